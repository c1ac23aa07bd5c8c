//! One program played: the bundle is changed and imported, and the store looked at after each call.

use crate::due::{self, Due};
use crate::fixture::{STREAM, allowed_signers, import_options, name, signer, terms};
use crate::forge::bases::Base;
use crate::forge::{self, CALLER_KINDS, Files, Forge, Step};
use crate::{place, program};
use airlift::error::Class;
use airlift::format::Head;
use airlift::machine::{Gate, Machine};
use airlift::media::find;
use airlift::pipeline::import::{
    ImportError, ImportOptions, ImportReport, OnExisting, Shipment, abort, import_on, status,
};
use airlift::pipeline::inspect::{Demand, Opened};
use airlift::pipeline::progress::Progress;
use airlift::pipeline::volumes::Volumes;
use airlift::store::{Key, MemoryStore, Store, StoreError, Watched, paging};
use airlift::trust::{AllowedSigners, Authority, Revoked};
use bytes::Bytes;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};

/// A program goes on no longer than this.
const STEP_COUNT_MAX: usize = 24;
const CALL_COUNT_MAX: usize = 3;
/// What refuses an import before anything is written.
const REFUSALS: [Class; 6] =
    [Class::Usage, Class::Untrusted, Class::Damaged, Class::Refused, Class::BaseMissing, Class::Older];

/// Where this process keeps its files.
pub(crate) static PLACE: LazyLock<PathBuf> = LazyLock::new(|| place::make("import"));
static SIGNERS: LazyLock<AllowedSigners> = LazyLock::new(allowed_signers);

type Objects = BTreeMap<String, Bytes>;

/// A store, and what may be visible in it.
pub(crate) struct Scene<'a> {
    base: &'a Base,
    store: Arc<MemoryStore>,
    /// By key, what each trusted bundle so far makes of it.
    due: BTreeMap<String, Vec<Due>>,
    /// Whether a head was trusted that the packer did not make.
    is_hostile: bool,
}

impl<'a> Scene<'a> {
    pub(crate) fn new(base: &'a Base) -> Scene<'a> {
        let _ = fs::remove_dir_all(PLACE.join("state"));
        Scene { base, store: Arc::default(), due: BTreeMap::new(), is_hostile: false }
    }

    /// Plays a program, and imports once where it does not; where every head was honest, the good bundle
    /// lands after all.
    pub(crate) fn play(mut self, program: &[u8]) {
        let base = self.base;
        // Every head that was ever signed.
        let signed = RefCell::new(HashSet::from([base.files["head.json"].clone()]));
        let sign = |head: &[u8]| {
            signed.borrow_mut().insert(head.to_vec());
            signer().sign(&format!("airlift-head@v1/{STREAM}"), head)
        };
        let mut forge = Forge::new(&base.files, &sign);
        let mut call_count = 0;
        for step in program::steps(program).take(STEP_COUNT_MAX) {
            if step.kind < CALLER_KINDS {
                forge.take(&step);
            } else if call_count < CALL_COUNT_MAX {
                call_count += 1;
                self.call(&forge.files, &signed.borrow(), &step);
            }
        }
        if call_count == 0 {
            self.call(&forge.files, &signed.borrow(), &Step::default());
        }
        if !self.is_hostile {
            forge.restore();
            let report = self.call(&forge.files, &signed.borrow(), &Step::default());
            let report =
                report.expect("the good bundle is trusted").expect("what was refused or stopped leaves no trace");
            assert!(report.receipt.is_some(), "the good bundle does not land: {report:?}");
        }
    }

    /// Imports once and judges what is visible then; nothing where the bundle is not trusted.
    fn call(
        &mut self,
        files: &Files,
        signed: &HashSet<Vec<u8>>,
        step: &Step,
    ) -> Option<Result<ImportReport, ImportError>> {
        let before = objects(&self.store, "");
        let medium = PLACE.join("medium");
        let is_present = |name: &str| {
            let number = name.strip_prefix("volumes/").and_then(|name| name.get(..6)?.parse::<u32>().ok());
            number.is_none_or(|number| step.value >> (number % 16) & 1 == 0)
        };
        forge::write(&medium, files.iter().filter(|(name, _)| is_present(name)));
        let mut places = vec![medium];
        if step.field & 16 != 0 {
            places.push(PLACE.join("other"));
            forge::write(&places[1], self.base.files.iter());
        }
        let authority = Authority { signers: &SIGNERS, revoked: &Revoked::default() };
        let demand = Demand { authority, stream: Some(name(STREAM)), terms: terms() };
        let found = find(&places).ok().and_then(|mut found| (!found.is_empty()).then(|| found.remove(0)));
        let opened = found.and_then(|found| {
            let head = found.head.clone();
            let opened = Opened::trusted(found, demand).ok()?;
            assert!(signed.contains(&head), "a head is trusted that nobody signed");
            Some(opened)
        });
        let Some(opened) = opened else {
            assert!(before == objects(&self.store, ""), "a bundle that is not trusted has changed the store");
            return None;
        };
        let bundle = opened.vouched().expect("trusted");
        self.expect(bundle.head(), files);
        let volumes = Volumes::new(opened.media().to_vec());
        let shipment = Shipment { bundle, volumes: &volumes, signatures: opened.signatures(), authority };
        let called = self.import(&shipment, step);
        self.judge(bundle.head(), files, &before, &called);
        if step.field & 32 != 0 {
            self.tidy(&shipment, step);
        }
        Some(called)
    }

    /// Asks how the release stands, which changes nothing, and aborts it, which leaves what has landed.
    fn tidy(&self, shipment: &Shipment<'_>, step: &Step) {
        let store: Arc<dyn Store> = self.store.clone();
        let before = objects(&self.store, "");
        // Either may be refused: the installed head may not be trusted any more, the lease may be held.
        let _ = status(shipment, &store, &options(step));
        assert!(before == objects(&self.store, ""), "a look has changed the store");
        let aborted = abort(shipment, &store, &options(step), &|| false);
        let landed = |mut objects: Objects| {
            objects.retain(|key, _| !key.starts_with(".airlift/"));
            objects
        };
        assert!(landed(before) == landed(objects(&self.store, "")), "an abort has changed what had landed");
        let open_count = paging::uploads(self.store.as_ref(), "").count();
        assert!(self.is_hostile || aborted.is_err() || open_count == 0, "an abort leaves {open_count} uploads");
    }

    /// Takes note of what a trusted head leads to.
    fn expect(&mut self, head: &Head, files: &Files) {
        self.is_hostile |= head.encode() != self.base.files["head.json"];
        for files in [files, &self.base.files] {
            for (key, due) in due::objects_of(head, files).into_iter().flatten() {
                self.due.entry(key).or_default().push(due);
            }
        }
    }

    fn import(&self, shipment: &Shipment<'_>, step: &Step) -> Result<ImportReport, ImportError> {
        let left = AtomicU32::new((step.place % 512).into());
        let stop = Arc::new(Stop { kind: step.which % 4, left });
        let gate = Arc::clone(&stop);
        let store: Arc<dyn Store> = Arc::new(Watched::new(self.store.clone(), move |call, key: &str| {
            let stopped = || StoreError::Stopped { call, key: key.to_owned() };
            if gate.now(1) { Err(stopped()) } else { Ok(()) }
        }));
        import_on(&Machine::behind(stop.clone()), shipment, &store, &options(step), None, stop.as_ref())
    }

    /// Whatever is visible is proven, whatever came of the call.
    fn judge(&self, head: &Head, files: &Files, before: &Objects, called: &Result<ImportReport, ImportError>) {
        let after = objects(&self.store, "");
        if let Err(error) = called
            && REFUSALS.contains(&error.class())
        {
            assert!(*before == after, "a refused import has changed the store: {error}");
        }
        let visible: Vec<_> = after.iter().filter(|(key, _)| !key.starts_with(".airlift/")).collect();
        for (key, bytes) in &visible {
            let due = self.due.get(*key).expect("an object is visible that no signed manifest names");
            assert!(due.iter().any(|due| due.is(bytes)), "{key} is visible and is not what was signed");
        }
        if !self.is_hostile {
            for (path, source) in &self.base.sources {
                let key = due::key_of(path).expect("a root that is mapped");
                assert!(after.get(&key).is_none_or(|bytes| bytes == source), "{key} is not its source");
            }
        }
        let is_whole = matches!(called, Ok(ImportReport { receipt: Some(_), .. }));
        if is_whole {
            let due = due::objects_of(head, files).or_else(|| due::objects_of(head, &self.base.files));
            let due = due.expect("a receipt is of a manifest that is whole");
            assert!(due.keys().all(|key| after.contains_key(key)), "a receipt counts what did not arrive");
        }
    }
}

fn options(step: &Step) -> ImportOptions {
    let mut options = import_options(&PLACE.join("state"));
    options.read_back = step.field & 1 != 0;
    options.on_existing = match step.field >> 1 & 3 {
        1 => OnExisting::Skip,
        2 => OnExisting::Replace,
        _ => OnExisting::Error,
    };
    options.workers = NonZeroUsize::MIN.saturating_add(usize::from(step.field >> 3 & 1));
    options
}

/// Returns every object whose key begins with a prefix.
fn objects(store: &MemoryStore, prefix: &str) -> Objects {
    let read = |key: &str, len| store.read(&Key::parse(key).expect("a key"), 0..len).expect("read");
    let listed = paging::objects(store, prefix).map(|listed| listed.expect("listed"));
    listed.map(|one| (one.key.clone(), read(&one.key, one.len))).collect()
}

/// Ends a call after some steps of one kind, as a crash would: whatever it tries then fails.
struct Stop {
    /// 0 never, 1 at the store, 2 by the person, 3 at the files of the machine.
    kind: u8,
    left: AtomicU32,
}

impl Stop {
    fn now(&self, kind: u8) -> bool {
        let less = |left: u32| left.checked_sub(1);
        self.kind == kind && self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_err()
    }
}

impl Gate for Stop {
    fn before(&self, _: &airlift::machine::Step<'_>) -> std::io::Result<()> {
        if self.now(3) { Err(std::io::Error::other("stopped")) } else { Ok(()) }
    }
}

impl Progress for Stop {
    fn begin(&self, _: &'static str, _: u64, _: u64) {}
    fn advance(&self, _: u64, _: u64) {}
    fn now_at(&self, _: &str) {}
    fn note(&self, _: &str) {}
    fn is_cancelled(&self) -> bool {
        self.now(2)
    }
}
