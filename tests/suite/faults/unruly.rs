//! A store that fails, is slow, answers late or never, does things twice, lies, and dies: by seed.
//!
//! What befalls a call depends on the seed, the call, its key and how often it was made before; so a seed
//! gives the same faults again, however threads are interleaved.

use crate::tree::Random;
use airlift::format::{Digest, Proven};
use airlift::store::{
    Attributes, Call, Cause, Condition, IfMissing, Key, Listed, ListedPart, Loaded, MemoryStore, OpenUpload, Page,
    PageToken, PartNumber, PartTag, Stat, Store, StoreError, Stored, Tag, UploadId, UploadedPart, paging,
};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How often something happens, in 1024 calls.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Odds {
    /// The call fails and does nothing.
    pub(crate) before: u64,
    /// The call is done, and its answer is lost.
    pub(crate) after: u64,
    /// The call is done twice; either answer comes.
    pub(crate) twice: u64,
    /// The call fails, and is done later all the same.
    pub(crate) late: u64,
    /// The call takes a while.
    pub(crate) slow: u64,
    /// This call and every later one of the importer fail, as for one that is killed.
    pub(crate) stop: u64,
    /// A write is answered as done and is not (T05).
    pub(crate) lost: u64,
    /// A read gives nothing (T07).
    pub(crate) empty: u64,
    /// A write gives a tag that the object does not have (T08).
    pub(crate) odd_tag: u64,
    /// A listing never ends (T13).
    pub(crate) loops: u64,
    /// Something of the state, or an upload, is removed (T19).
    pub(crate) cleaner: u64,
    /// Whether conditions are ignored (T23).
    pub(crate) ignores_conditions: bool,
}

/// Nothing happens.
const CALM: Odds = Odds {
    before: 0,
    after: 0,
    twice: 0,
    late: 0,
    slow: 0,
    stop: 0,
    lost: 0,
    empty: 0,
    odd_tag: 0,
    loops: 0,
    cleaner: 0,
    ignores_conditions: false,
};

/// What is done later.
type Deed = Box<dyn FnOnce(&MemoryStore) + Send>;

/// What all importers see: the objects, what may be at each key, and what was wrong.
pub(crate) struct Shelf {
    pub(crate) store: MemoryStore,
    allowed: Mutex<BTreeMap<String, Vec<Bytes>>>,
    /// What is in the key of everything that the import under way keeps in the store.
    staging: String,
    late: Mutex<Vec<(String, Deed)>>,
    /// The key of the object that comes last, and all objects of its release.
    last: Mutex<Option<(String, BTreeMap<String, Bytes>)>>,
    breaches: Mutex<Vec<String>>,
}

impl Shelf {
    /// Returns an empty store in which each key may hold the bytes that one of these releases has for it,
    /// for the import of a release with this counter.
    pub(crate) fn new<'a>(releases: impl Iterator<Item = &'a BTreeMap<String, Bytes>>, counter: u64) -> Shelf {
        let mut allowed: BTreeMap<String, Vec<Bytes>> = BTreeMap::new();
        for (key, bytes) in releases.flatten() {
            allowed.entry(key.clone()).or_default().push(bytes.clone());
        }
        let staging = format!("/releases/{counter}-");
        let allowed = Mutex::new(allowed);
        let (late, last, breaches) = (Mutex::default(), Mutex::default(), Mutex::default());
        Shelf { store: MemoryStore::new(), allowed, staging, late, last, breaches }
    }

    /// Expects from now on that the object at a key is there only when all others of its release are.
    pub(crate) fn expect_last(&self, key: &str, objects: &BTreeMap<String, Bytes>) {
        *self.last.lock().expect("no panic elsewhere") = Some((key.to_owned(), objects.clone()));
    }

    /// Does what was put off.
    pub(crate) fn settle(&self) {
        let late = std::mem::take(&mut *self.late.lock().expect("no panic elsewhere"));
        late.into_iter().for_each(|(_, deed)| deed(&self.store));
        let keys: Vec<String> = self.allowed.lock().expect("no panic elsewhere").keys().cloned().collect();
        keys.iter().for_each(|key| self.check(key));
    }

    /// Puts an object of somebody else, as long as the one that belongs there.
    pub(crate) fn put_stranger(&self, key: &str, bytes: &[u8]) {
        let bytes: Bytes = bytes.iter().map(|byte| !byte).collect();
        let (parsed, body) = (Key::parse(key).expect("a key"), Proven::record(bytes.clone()));
        self.store.put(&parsed, &body, &Attributes::default(), &Condition::Any).expect("put");
        self.allowed.lock().expect("no panic elsewhere").entry(key.to_owned()).or_default().push(bytes);
    }

    /// Returns what was visible and should not have been.
    pub(crate) fn breaches(&self) -> Vec<String> {
        self.breaches.lock().expect("no panic elsewhere").clone()
    }

    /// Notes an object that is visible and is none of those that may be at its key.
    fn check(&self, key: &str) {
        if key.starts_with(".airlift/") {
            return;
        }
        let parsed = Key::parse(key).expect("a key");
        let Ok(Some(stat)) = self.store.stat(&parsed) else { return };
        // Between the two somebody may write; a range that is too long then says so.
        let Ok(found) = self.store.read(&parsed, 0..stat.len) else { return };
        let allowed = self.allowed.lock().expect("no panic elsewhere");
        if !allowed.get(key).is_some_and(|allowed| allowed.contains(&found)) {
            let breach = format!("{key} is visible with {} bytes that nobody signed", found.len());
            self.breaches.lock().expect("no panic elsewhere").push(breach);
        }
        self.check_order();
    }

    /// Notes what is not there although the object that comes last is.
    fn check_order(&self) {
        let last = self.last.lock().expect("no panic elsewhere");
        let Some((last, due)) = last.as_ref() else { return };
        let is_there = |key: &String| {
            let read = self.store.read(&Key::parse(key).expect("a key"), 0..due[key].len() as u64);
            read.is_ok_and(|bytes| bytes == due[key])
        };
        if !is_there(last) {
            return;
        }
        if let Some(missing) = due.keys().find(|key| !is_there(key)) {
            self.breaches.lock().expect("no panic elsewhere").push(format!("{last} is there before {missing}"));
        }
    }

    /// Removes an object under the state prefix, or an upload.
    fn clean(&self, random: &mut Random) {
        let kept = paging::objects(&self.store, ".airlift/").map_while(Result::ok);
        let kept = kept.filter(|listed| listed.key.contains(&self.staging) || listed.key.ends_with("/lease"));
        let objects: Vec<Key> = kept.filter_map(|listed| Key::parse(&listed.key).ok()).collect();
        let uploads: Vec<OpenUpload> = paging::uploads(&self.store, "").map_while(Result::ok).collect();
        let choice = random.below((objects.len() + uploads.len()).max(1) as u64) as usize;
        if let Some(key) = objects.get(choice) {
            self.store.remove(key).expect("removed");
        } else if let Some(upload) = uploads.get(choice.saturating_sub(objects.len())) {
            let key = Key::parse(&upload.key).expect("a key");
            self.store.abort_upload(&key, &upload.upload).expect("aborted");
        }
    }
}

/// The store as one importer sees it.
pub(crate) struct Unruly {
    shelf: Arc<Shelf>,
    odds: Odds,
    seed: u64,
    made: Mutex<HashMap<(Call, String), u64>>,
    /// The only call that anything befalls, where there is one: of this kind, counted from 0.
    only: Option<(Call, u64)>,
    met_count: AtomicU64,
    is_stopped: AtomicBool,
}

/// What befalls one call.
struct Fate<'a> {
    odds: &'a Odds,
    random: Random,
}

impl Fate<'_> {
    fn has(&mut self, odds: impl Fn(&Odds) -> u64) -> bool {
        let draw = self.random.below(1024);
        draw < odds(self.odds)
    }
}

impl Unruly {
    pub(crate) fn new(shelf: &Arc<Shelf>, odds: Odds, seed: u64) -> Unruly {
        Unruly {
            shelf: Arc::clone(shelf),
            odds,
            seed,
            made: Mutex::default(),
            only: None,
            met_count: AtomicU64::new(0),
            is_stopped: AtomicBool::new(false),
        }
    }

    /// Returns the store with something that befalls one call alone: the one of this kind with this number.
    pub(crate) fn once(shelf: &Arc<Shelf>, odds: Odds, (call, number): (Call, u64)) -> Unruly {
        Unruly { only: Some((call, number)), ..Unruly::new(shelf, odds, 1) }
    }

    /// Tells whether there was such a call.
    pub(crate) fn is_met(&self) -> bool {
        self.only.is_some_and(|(_, number)| self.met_count.load(Ordering::SeqCst) > number)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::SeqCst)
    }

    fn fate(&self, call: Call, key: &str) -> Fate<'_> {
        let mut made = self.made.lock().expect("no panic elsewhere");
        let count = made.entry((call, key.to_owned())).or_default();
        *count += 1;
        let text = format!("{} {call} {key} {count}", self.seed);
        let digest = Digest::of(text.as_bytes());
        let number = digest.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let is_spared = self
            .only
            .is_some_and(|(only, number)| only != call || self.met_count.fetch_add(1, Ordering::SeqCst) != number);
        Fate { odds: if is_spared { &CALM } else { &self.odds }, random: Random::new(number) }
    }

    /// Lets the call be made, or ends it before it does anything.
    fn begin(&self, fate: &mut Fate<'_>, call: Call, key: &str) -> Result<(), StoreError> {
        if self.is_stopped() {
            return Err(StoreError::Stopped { call, key: key.to_owned() });
        }
        let late = self.shelf.late.lock().expect("no panic elsewhere").pop();
        if let Some((key, deed)) = late {
            deed(&self.shelf.store);
            self.shelf.check(&key);
        }
        if fate.has(|odds| odds.slow) {
            std::thread::sleep(Duration::from_micros(fate.random.below(150)));
        }
        if fate.has(|odds| odds.cleaner) {
            self.shelf.clean(&mut fate.random);
        }
        if fate.has(|odds| odds.before) {
            return Err(outage(call, key));
        }
        Ok(())
    }

    /// Makes a call that changes something.
    fn change<T>(
        &self,
        (call, key): (Call, &Key),
        make: impl Fn(&MemoryStore) -> Result<T, StoreError>,
        later: impl FnOnce() -> Deed,
    ) -> Result<T, StoreError> {
        let key = key.as_str();
        let mut fate = self.fate(call, key);
        self.begin(&mut fate, call, key)?;
        if fate.has(|odds| odds.stop) {
            self.is_stopped.store(true, Ordering::SeqCst);
            if fate.random.below(2) == 0 {
                let _ = make(&self.shelf.store);
                self.shelf.check(key);
            }
            return Err(StoreError::Stopped { call, key: key.to_owned() });
        }
        if fate.has(|odds| odds.late) {
            self.shelf.late.lock().expect("no panic elsewhere").push((key.to_owned(), later()));
            return Err(outage(call, key));
        }
        let first = make(&self.shelf.store);
        self.shelf.check(key);
        if fate.has(|odds| odds.after) {
            return Err(outage(call, key));
        }
        if fate.has(|odds| odds.twice) {
            let second = make(&self.shelf.store);
            self.shelf.check(key);
            return if fate.random.below(2) == 0 { first } else { second };
        }
        first
    }

    /// Makes a call that only asks.
    fn ask<T>(
        &self,
        (call, key): (Call, &str),
        make: impl Fn(&MemoryStore) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut fate = self.fate(call, key);
        self.begin(&mut fate, call, key)?;
        let answer = make(&self.shelf.store);
        if fate.has(|odds| odds.after) { Err(outage(call, key)) } else { answer }
    }

    fn condition(&self, condition: &Condition) -> Condition {
        if self.odds.ignores_conditions { Condition::Any } else { condition.clone() }
    }

    /// Tells whether a lie befalls this call; drawn apart from the faults.
    fn lies(&self, what: &str, key: &str, call: Call, odds: impl Fn(&Odds) -> u64) -> bool {
        odds(&self.odds) > 0 && self.fate(call, &format!("{what} {key}")).has(odds)
    }

    /// Returns the tag that is given for a write: that of the object, or another.
    fn given(&self, key: &Key, stored: Stored) -> Stored {
        let is_odd =
            !key.as_str().starts_with(".airlift/") && self.lies("tag", key.as_str(), Call::Stat, |odds| odds.odd_tag);
        if is_odd { Stored { tag: Tag::new(format!("W/\"odd {}\"", stored.tag)) } } else { stored }
    }
}

fn outage(call: Call, key: &str) -> StoreError {
    StoreError::Unavailable { call, key: key.to_owned(), attempts: 1, cause: Cause::NoAnswer { waited_ms: 0 } }
}

impl Store for Unruly {
    fn ensure_bucket(&self, if_missing: IfMissing) -> Result<(), StoreError> {
        self.ask((Call::EnsureBucket, ""), |store| store.ensure_bucket(if_missing))
    }

    fn put(
        &self,
        key: &Key,
        body: &Proven,
        attributes: &Attributes,
        condition: &Condition,
    ) -> Result<Stored, StoreError> {
        let condition = self.condition(condition);
        if self.lies("lost", key.as_str(), Call::Put, |odds| odds.lost) && !self.is_stopped() {
            return Ok(Stored { tag: Tag::new(Digest::of(body.bytes()).to_string()) });
        }
        let later = || -> Deed {
            // A copy: no body is held when its call has returned.
            let body = Proven::record(Bytes::copy_from_slice(body.bytes()));
            let (key, attributes, condition) = (key.clone(), attributes.clone(), condition.clone());
            Box::new(move |store| drop(store.put(&key, &body, &attributes, &condition)))
        };
        let stored = self.change((Call::Put, key), |store| store.put(key, body, attributes, &condition), later)?;
        Ok(self.given(key, stored))
    }

    fn stat(&self, key: &Key) -> Result<Option<Stat>, StoreError> {
        self.ask((Call::Stat, key.as_str()), |store| store.stat(key))
    }

    fn read(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError> {
        if self.lies("empty", key.as_str(), Call::Read, |odds| odds.empty) {
            let expected_len = range.end - range.start;
            return Err(StoreError::ShortAnswer { key: key.clone(), offset: range.start, expected_len, found_len: 0 });
        }
        self.ask((Call::Read, key.as_str()), |store| store.read(key, range.clone()))
    }

    fn load(&self, key: &Key, len_max: u64) -> Result<Option<Loaded>, StoreError> {
        let loaded = self.ask((Call::Load, key.as_str()), |store| store.load(key, len_max))?;
        let is_empty = self.lies("empty", key.as_str(), Call::Load, |odds| odds.empty);
        Ok(loaded.map(|loaded| if is_empty { Loaded { bytes: Bytes::new(), ..loaded } } else { loaded }))
    }

    fn list(&self, prefix: &str, after: Option<&PageToken>) -> Result<Page<Listed>, StoreError> {
        let page = self.ask((Call::List, prefix), |store| store.list(prefix, after))?;
        let loops = self.lies("loops", prefix, Call::List, |odds| odds.loops) || after.is_some();
        Ok(if loops { Page { next: Some(PageToken::new("again")), ..page } } else { page })
    }

    fn remove(&self, key: &Key) -> Result<(), StoreError> {
        let later = || -> Deed {
            let key = key.clone();
            Box::new(move |store| drop(store.remove(&key)))
        };
        self.change((Call::Remove, key), |store| store.remove(key), later)
    }

    fn open_upload(&self, key: &Key, attributes: &Attributes) -> Result<UploadId, StoreError> {
        let later = || -> Deed {
            let (key, attributes) = (key.clone(), attributes.clone());
            Box::new(move |store| drop(store.open_upload(&key, &attributes)))
        };
        self.change((Call::OpenUpload, key), |store| store.open_upload(key, attributes), later)
    }

    fn put_part(&self, key: &Key, upload: &UploadId, number: PartNumber, body: &Proven) -> Result<PartTag, StoreError> {
        if self.lies("lost", key.as_str(), Call::PutPart, |odds| odds.lost) && !self.is_stopped() {
            return Ok(PartTag::new(Digest::of(body.bytes()).to_string()));
        }
        let later = || -> Deed {
            let body = Proven::record(Bytes::copy_from_slice(body.bytes()));
            let (key, upload) = (key.clone(), upload.clone());
            Box::new(move |store| drop(store.put_part(&key, &upload, number, &body)))
        };
        self.change((Call::PutPart, key), |store| store.put_part(key, upload, number, body), later)
    }

    fn list_parts(
        &self,
        key: &Key,
        upload: &UploadId,
        after: Option<&PageToken>,
    ) -> Result<Page<ListedPart>, StoreError> {
        self.ask((Call::ListParts, key.as_str()), |store| store.list_parts(key, upload, after))
    }

    fn finish_upload(
        &self,
        key: &Key,
        upload: &UploadId,
        parts: &[UploadedPart],
        condition: &Condition,
    ) -> Result<Stored, StoreError> {
        let condition = self.condition(condition);
        if self.lies("lost", key.as_str(), Call::FinishUpload, |odds| odds.lost) && !self.is_stopped() {
            self.shelf.store.abort_upload(key, upload)?;
            return Ok(Stored { tag: Tag::new("lost") });
        }
        let later = || -> Deed {
            let (key, upload, parts, condition) = (key.clone(), upload.clone(), parts.to_vec(), condition.clone());
            Box::new(move |store| drop(store.finish_upload(&key, &upload, &parts, &condition)))
        };
        let finish = |store: &MemoryStore| store.finish_upload(key, upload, parts, &condition);
        let stored = self.change((Call::FinishUpload, key), finish, later)?;
        Ok(self.given(key, stored))
    }

    fn abort_upload(&self, key: &Key, upload: &UploadId) -> Result<(), StoreError> {
        let later = || -> Deed {
            let (key, upload) = (key.clone(), upload.clone());
            Box::new(move |store| drop(store.abort_upload(&key, &upload)))
        };
        self.change((Call::AbortUpload, key), |store| store.abort_upload(key, upload), later)
    }

    fn list_uploads(&self, prefix: &str, after: Option<&PageToken>) -> Result<Page<OpenUpload>, StoreError> {
        self.ask((Call::ListUploads, prefix), |store| store.list_uploads(prefix, after))
    }
}
