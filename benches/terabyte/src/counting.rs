//! A store that compares each object with its file of the tree and keeps one bit of it.

use crate::space::locked;
use crate::tree::{Entry, Tree};
use crate::written::Written;
use airlift::format::Proven;
use airlift::store::{
    Attributes, Condition, DirectoryStore, IfMissing, Key, Listed, ListedPart, Loaded, OpenUpload, Page, PageToken,
    PartNumber, PartTag, Stat, Store, StoreError, Stored, Tag, UploadId, UploadedPart,
};
use bytes::Bytes;
use rustix::time::{ClockId, clock_gettime};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where the objects of the tree land; all else goes to a directory store.
pub(crate) const OBJECTS: &str = "objects/";
const LISTED_COUNT: usize = 1000;

/// The store.
pub(crate) struct CountingStore {
    tree: Tree,
    others: DirectoryStore,
    scratch: PathBuf,
    landed: Mutex<Vec<u64>>,
    uploads: Mutex<HashMap<UploadId, Upload>>,
    opened_count: AtomicU64,
    pub(crate) landed_count: AtomicU64,
    pub(crate) landed_len: AtomicU64,
    /// CPU time of its calls in nanoseconds, but for those of the directory store.
    pub(crate) used_ns: AtomicU64,
}

/// The parts of an upload, put together as they come.
#[derive(Default)]
struct Upload {
    whole: Written,
    part_count: u16,
    /// Parts that came before one in front of them.
    early: BTreeMap<u16, Written>,
}

impl Upload {
    /// Takes a part in; each comes once.
    fn take(&mut self, number: PartNumber, part: Written, scratch: &Path) -> io::Result<()> {
        self.early.insert(number.number(), part);
        while let Some(part) = self.early.remove(&(self.part_count + 1)) {
            self.whole.append_from(&part, 0, part.len(), scratch)?;
            self.part_count += 1;
        }
        Ok(())
    }
}

impl CountingStore {
    pub(crate) fn new(tree: Tree, others: DirectoryStore, scratch: PathBuf) -> CountingStore {
        CountingStore {
            landed: Mutex::new(vec![0; tree.file_count().div_ceil(64) as usize]),
            tree,
            others,
            scratch,
            uploads: Mutex::default(),
            opened_count: AtomicU64::new(0),
            landed_count: AtomicU64::new(0),
            landed_len: AtomicU64::new(0),
            used_ns: AtomicU64::new(0),
        }
    }

    /// Does something of its own; nothing for a key that is not of the tree.
    fn own<T>(&self, key: &Key, call: impl FnOnce(Entry) -> Result<T, StoreError>) -> Option<Result<T, StoreError>> {
        let path = key.as_str().strip_prefix(OBJECTS)?;
        let began = thread_time_ns();
        let entry = path.split('/').try_fold(Entry::Root, |above, name| self.tree.child(above, name));
        let answer = match entry.filter(|entry| self.tree.file_index(*entry).is_some()) {
            Some(entry) => call(entry),
            None => Err(refused(key)),
        };
        self.used_ns.fetch_add(thread_time_ns() - began, Ordering::Relaxed);
        Some(answer)
    }

    fn has_landed(&self, entry: Entry) -> bool {
        self.tree.file_index(entry).is_some_and(|index| is_set(&locked(&self.landed), index))
    }

    fn land(&self, key: &Key, entry: Entry, is_right: bool) -> Result<Stored, StoreError> {
        let index = self.tree.file_index(entry).filter(|_| is_right).ok_or_else(|| refused(key))?;
        let mut landed = locked(&self.landed);
        if is_set(&landed, index) {
            return Err(StoreError::ConditionFailed { key: key.clone() });
        }
        landed[(index / 64) as usize] |= 1 << (index % 64);
        self.landed_count.fetch_add(1, Ordering::Relaxed);
        self.landed_len.fetch_add(self.tree.len(entry).unwrap_or_default(), Ordering::Relaxed);
        Ok(Stored { tag: tag() })
    }
}

impl Store for CountingStore {
    fn ensure_bucket(&self, if_missing: IfMissing) -> Result<(), StoreError> {
        self.others.ensure_bucket(if_missing)
    }

    fn put(
        &self,
        key: &Key,
        body: &Proven,
        attributes: &Attributes,
        condition: &Condition,
    ) -> Result<Stored, StoreError> {
        let own = self.own(key, |entry| {
            let mut due = vec![0; self.tree.len(entry).unwrap_or_default() as usize];
            self.tree.read(entry, 0, &mut due);
            self.land(key, entry, due == *body.bytes())
        });
        own.unwrap_or_else(|| self.others.put(key, body, attributes, condition))
    }

    fn stat(&self, key: &Key) -> Result<Option<Stat>, StoreError> {
        let own = self.own(key, |entry| {
            let len = self.tree.len(entry).filter(|_| self.has_landed(entry));
            Ok(len.map(|len| Stat { len, tag: tag(), attributes: Attributes::default() }))
        });
        own.unwrap_or_else(|| self.others.stat(key))
    }

    fn read(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError> {
        let own = self.own(key, |entry| {
            let len = self.tree.len(entry).filter(|_| self.has_landed(entry));
            let len = len.ok_or_else(|| StoreError::NotFound { key: key.clone() })?;
            let (offset, expected_len) = (range.start, range.end.saturating_sub(range.start));
            if range.end > len {
                let found_len = len.saturating_sub(offset);
                return Err(StoreError::ShortAnswer { key: key.clone(), offset, expected_len, found_len });
            }
            let mut bytes = vec![0; expected_len as usize];
            self.tree.read(entry, offset, &mut bytes);
            Ok(bytes.into())
        });
        own.unwrap_or_else(|| self.others.read(key, range.clone()))
    }

    fn load(&self, key: &Key, len_max: u64) -> Result<Option<Loaded>, StoreError> {
        self.own(key, |_| Err(refused(key))).unwrap_or_else(|| self.others.load(key, len_max))
    }

    fn list(&self, prefix: &str, after: Option<&PageToken>) -> Result<Page<Listed>, StoreError> {
        if !prefix.starts_with(OBJECTS) {
            return self.others.list(prefix, after);
        }
        let first = after.map_or(0, |token| token.as_str().parse().unwrap_or_default());
        let landed = locked(&self.landed);
        let mut of_tree = (first..self.tree.file_count()).filter(|index| is_set(&landed, *index));
        let listed = |index| {
            let (path, entry) = self.tree.file(index)?;
            let (key, len) = (format!("{OBJECTS}{path}"), self.tree.len(entry)?);
            key.starts_with(prefix).then(|| Listed { key, len, tag: Some(tag()) })
        };
        let items = of_tree.by_ref().filter_map(listed).take(LISTED_COUNT).collect();
        Ok(Page { items, next: of_tree.next().map(|index| PageToken::new(index.to_string())) })
    }

    fn remove(&self, key: &Key) -> Result<(), StoreError> {
        self.own(key, |_| Err(refused(key))).unwrap_or_else(|| self.others.remove(key))
    }

    fn open_upload(&self, key: &Key, attributes: &Attributes) -> Result<UploadId, StoreError> {
        let own = self.own(key, |_| {
            let upload = UploadId::new(format!("{}", self.opened_count.fetch_add(1, Ordering::Relaxed)));
            locked(&self.uploads).insert(upload.clone(), Upload::default());
            Ok(upload)
        });
        own.unwrap_or_else(|| self.others.open_upload(key, attributes))
    }

    fn put_part(&self, key: &Key, upload: &UploadId, number: PartNumber, body: &Proven) -> Result<PartTag, StoreError> {
        let own = self.own(key, |_| {
            let mut written = Written::default();
            written.append(body.bytes(), &self.scratch).map_err(|_| refused(key))?;
            let mut uploads = locked(&self.uploads);
            let missing = || StoreError::UploadMissing { key: key.clone(), upload: upload.clone() };
            let upload = uploads.get_mut(upload).ok_or_else(missing)?;
            upload.take(number, written, &self.scratch).map_err(|_| refused(key))?;
            Ok(PartTag::new(number.number().to_string()))
        });
        own.unwrap_or_else(|| self.others.put_part(key, upload, number, body))
    }

    fn list_parts(
        &self,
        key: &Key,
        upload: &UploadId,
        after: Option<&PageToken>,
    ) -> Result<Page<ListedPart>, StoreError> {
        self.own(key, |_| Err(refused(key))).unwrap_or_else(|| self.others.list_parts(key, upload, after))
    }

    fn finish_upload(
        &self,
        key: &Key,
        upload: &UploadId,
        parts: &[UploadedPart],
        condition: &Condition,
    ) -> Result<Stored, StoreError> {
        let own = self.own(key, |entry| {
            let missing = || StoreError::UploadMissing { key: key.clone(), upload: upload.clone() };
            let held = locked(&self.uploads).remove(upload).ok_or_else(missing)?;
            if !parts.iter().map(|part| part.number.number()).eq(1..=held.part_count) {
                return Err(refused(key));
            }
            self.land(key, entry, held.whole.is(&self.tree, entry).map_err(|_| refused(key))?)
        });
        own.unwrap_or_else(|| self.others.finish_upload(key, upload, parts, condition))
    }

    fn abort_upload(&self, key: &Key, upload: &UploadId) -> Result<(), StoreError> {
        let own = self.own(key, |_| {
            locked(&self.uploads).remove(upload);
            Ok(())
        });
        own.unwrap_or_else(|| self.others.abort_upload(key, upload))
    }

    fn list_uploads(&self, prefix: &str, after: Option<&PageToken>) -> Result<Page<OpenUpload>, StoreError> {
        if prefix.starts_with(OBJECTS) {
            return Ok(Page { items: Vec::new(), next: None });
        }
        self.others.list_uploads(prefix, after)
    }
}

/// What ends the run: an object that is not of the tree, or a call that no import makes.
fn refused(key: &Key) -> StoreError {
    StoreError::NotFound { key: key.clone() }
}

fn tag() -> Tag {
    Tag::new("landed".to_owned())
}

fn is_set(bits: &[u64], index: u64) -> bool {
    bits[(index / 64) as usize] & 1 << (index % 64) != 0
}

fn thread_time_ns() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_tree_has_lands_and_one_bit_of_it_is_kept() {
        let scratch = tempfile::tempdir().expect("a directory");
        let others = DirectoryStore::new(scratch.path().join("others"));
        others.ensure_bucket(IfMissing::Create).expect("made");
        let store = CountingStore::new(Tree::records(3000), others, scratch.path().to_owned());
        let (path, entry) = store.tree.file(2).expect("a file");
        assert_eq!((&path[..], entry), ("part-00000/record-002", Entry::Record(2)));
        let mut bytes = vec![0; store.tree.len(entry).expect("a file") as usize];
        store.tree.read(entry, 0, &mut bytes);
        let mut changed = bytes.clone();
        changed[bytes.len() - 1] ^= 1;
        let put = |path: &str, bytes: &[u8]| {
            let key = Key::parse(&format!("{OBJECTS}{path}")).expect("a key");
            store.put(&key, &Proven::record(bytes.to_vec()), &Attributes::default(), &Condition::Any)
        };
        for (path, bytes) in
            [(&path[..], &changed[..]), (&path, &bytes[1..]), ("part-00000/record-003", &bytes), ("other", &bytes)]
        {
            assert!(put(path, bytes).is_err());
        }
        let listed = |store: &CountingStore| store.list(OBJECTS, None).expect("listed").items;
        assert!(listed(&store).is_empty());
        put(&path, &bytes).expect("landed");
        assert!(put(&path, &bytes).is_err(), "once");
        let [one] = &listed(&store)[..] else { panic!("one object") };
        assert_eq!((&one.key[..], one.len), ("objects/part-00000/record-002", bytes.len() as u64));
        assert_eq!(store.landed_count.load(Ordering::Relaxed), 1);
        let key = Key::parse(&one.key).expect("a key");
        assert_eq!(store.read(&key, 1..one.len).expect("read"), bytes[1..]);
    }
}
