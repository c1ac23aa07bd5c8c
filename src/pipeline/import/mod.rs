//! A trusted bundle into a store: judged, planned, proven, landed (`spec/transfer.md`).
//!
//! [`import`] is the whole; [`look`] plans and sends nothing; [`abort`] and [`status`] tidy up and
//! tell. Read [`plan`] for what is sent, `transfer` for how packs become objects.

mod bits;
pub mod error;
mod journal;
mod lease;
pub mod mapping;
mod outcome;
pub mod plan;
mod put;
pub mod receipt;
mod slots;
mod spool;
mod state;
mod tidy;
#[cfg(fuzzing)]
pub mod torn;
mod transfer;
mod uploads;

pub use error::ImportError;
pub use lease::Holder;
pub use mapping::{Destination, Mapping, MappingError, Prefix};
pub use plan::Plan;
pub use receipt::Receipt;
pub use tidy::{Aborted, Status, Unfinished, abort, status, unfinished};

use crate::error::Class;
use crate::format::head::Release;
use crate::format::packs::VolumeNumber;
use crate::format::{SignatureFile, Time};
use crate::machine::Machine;
use crate::media::MetaFile;
use crate::pipeline::bundle::{Bundle, MetaSource, TrustedBundle};
use crate::pipeline::globs::Glob;
use crate::pipeline::lookup::Lookup;
use crate::pipeline::progress::Progress;
use crate::pipeline::resolve::Resolver;
use crate::pipeline::verify::{Finding, check_tree_id, gravity};
use crate::pipeline::volumes::Volumes;
use crate::store::{IfMissing, Key, Store, StoreError, probe_conditions};
use crate::trust::{Authority, Enrol, Installed, Step, judge_release};
use journal::Journal;
use lease::{Held, RENEW_EVERY};
use outcome::Outcome;
use plan::{Earlier, Planner};
use put::Putter;
use receipt::Arrival;
use slots::Slots;
use spool::Spool;
use state::{InstalledRelease, LocalInstalled, LocalState, StateKeys, StoreCopy, Use};
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use transfer::{Transfer, Turn};
use uploads::Uploads;

/// Most runs over the packs: the second takes up what had to wait, the third what a server dropped.
const RUN_COUNT_MAX: usize = 3;

/// What to do about foreign objects at our keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnExisting {
    /// Refuse and name them.
    #[default]
    Error,
    /// Leave them.
    Skip,
    /// Write over them.
    Replace,
}

/// Signs the bytes of a receipt and returns the armoured signature.
pub type ReceiptSigner<'a> = dyn Fn(&[u8]) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> + Sync + 'a;

/// How to import.
pub struct ImportOptions {
    /// Where the roots land.
    pub map: Mapping,
    /// Where the state lies in the store.
    pub state_prefix: Prefix,
    /// Where the local state of all streams lies.
    pub state_directory: PathBuf,
    /// What names the store and bucket for good: the endpoint and the bucket.
    pub store_name: String,
    /// What to do about foreign objects.
    pub on_existing: OnExisting,
    /// Whether the stream may be taken up for the first time.
    pub enrol: Enrol,
    /// Whether a bucket that is not there is created.
    pub bucket: IfMissing,
    /// Whether every object is read again after it landed.
    pub read_back: bool,
    /// The files that land when all others have landed.
    pub last: Vec<Glob>,
    /// How many packs are decoded at a time.
    pub workers: NonZeroUsize,
    /// Who imports.
    pub holder: Holder,
    /// The clock.
    pub clock: fn() -> Time,
}

/// What is imported: the release, where its volumes are, and who vouches for it.
pub struct Shipment<'a> {
    /// The release.
    pub bundle: &'a TrustedBundle,
    /// The volumes at hand.
    pub volumes: &'a Volumes,
    /// The signatures of the head, for the state in the store.
    pub signatures: &'a [SignatureFile],
    /// Who may sign, for what the state in the store says of earlier releases.
    pub authority: Authority<'a>,
}

/// What came of an import.
#[derive(Debug)]
pub struct ImportReport {
    /// How the release stands to what was installed.
    pub step: Step,
    /// What there was to do.
    pub plan: Plan,
    /// Files that this run has landed.
    pub landed_count: u64,
    /// Bytes of files that were sent.
    pub sent_len: u64,
    /// Volumes that are needed and on no present medium.
    pub missing_volumes: BTreeSet<VolumeNumber>,
    /// What is damaged; the entries that need it have not landed.
    pub findings: Vec<Finding>,
    /// Findings beyond those kept.
    pub more_findings: u64,
    /// Damage that a good copy made up for, one line each.
    pub healed: Vec<String>,
    /// Uploads of nobody that were aborted.
    pub orphan_count: u64,
    /// Packs that wait in the store for what they refer to.
    pub waiting_count: u64,
    /// Uploads that are open until missing parts come.
    pub open_upload_count: u64,
    /// Files that come last and are held back, since not all others are there.
    pub held_count: u64,
    /// The receipt, where everything has arrived.
    pub receipt: Option<Receipt>,
}

impl ImportReport {
    /// Returns the class of the whole; nothing where everything has arrived.
    pub fn class(&self) -> Option<Class> {
        let grave = self.findings.iter().map(|finding| finding.class).max_by_key(|class| gravity(*class));
        grave.or_else(|| self.receipt.is_none().then_some(Class::Incomplete))
    }
}

/// What a dry run has found.
#[derive(Debug)]
pub struct Look {
    /// How the release stands to what is installed.
    pub step: Step,
    /// What there is to do.
    pub plan: Plan,
    /// Volumes that are on no present medium.
    pub absent_volumes: BTreeSet<VolumeNumber>,
}

/// Plans an import and sends nothing.
///
/// # Errors
/// What would refuse the import refuses the plan, but for foreign objects, which the plan counts.
pub fn look(
    shipment: &Shipment<'_>,
    store: &Arc<dyn Store>,
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<Look, ImportError> {
    let local = LocalState::open(&Machine::default(), options, stream_of(shipment), Use::Look)?;
    let session = Session { shipment, store, options, progress, keys: keys_of(shipment, options), local };
    let bucket_is_there = session.bucket_is_there()?;
    let (step, installed) = if bucket_is_there { session.judge()? } else { (session.judge_against(None)?, None) };
    let path = session.local.release_file(&session.head().content_id, "objects");
    let slots = Slots::scratch(session.local.machine(), &path, shipment.bundle.manifest().entry_count);
    let slots = slots.map_err(|source| ImportError::State { path: path.clone(), source })?;
    let plan = session.plan(&slots, &path, installed.as_ref())?;
    session.prove_structures()?;
    Ok(Look { step, plan, absent_volumes: session.absent_volumes() })
}

/// Imports what is at hand of a release. Repeating the call goes on where it ended.
///
/// # Errors
/// A refusal leaves the store as it was. Later errors leave only proven objects visible, and uploads
/// that a repeated call resumes. Damage and missing volumes are no errors: the report names them.
pub fn import(
    shipment: &Shipment<'_>,
    store: &Arc<dyn Store>,
    options: &ImportOptions,
    sign_receipt: Option<&ReceiptSigner<'_>>,
    progress: &dyn Progress,
) -> Result<ImportReport, ImportError> {
    import_on(&Machine::default(), shipment, store, options, sign_receipt, progress)
}

/// Imports as [`import`] does, on a machine that a test may have put a gate before.
///
/// # Errors
/// As [`import`].
pub fn import_on(
    machine: &Machine,
    shipment: &Shipment<'_>,
    store: &Arc<dyn Store>,
    options: &ImportOptions,
    sign_receipt: Option<&ReceiptSigner<'_>>,
    progress: &dyn Progress,
) -> Result<ImportReport, ImportError> {
    let started_at = (options.clock)();
    let local = LocalState::open(machine, options, stream_of(shipment), Use::Import)?;
    let session = Session { shipment, store, options, progress, keys: keys_of(shipment, options), local };
    let bucket_is_there = session.bucket_is_there()?;
    let (_, installed) = if bucket_is_there { session.judge()? } else { (session.judge_against(None)?, None) };
    let content_id = session.head().content_id;
    let slots_path = session.local.release_file(&content_id, "objects");
    session.local.make_release(&content_id)?;
    let slots = Slots::open(machine, &slots_path, shipment.bundle.manifest().entry_count);
    let slots = slots.map_err(|source| ImportError::State { path: slots_path.clone(), source })?;
    let plan = session.plan(&slots, &slots_path, installed.as_ref())?;
    session.refuse_foreign(&plan)?;
    session.prove_structures()?;
    // Nothing was written so far; from here on the store changes.
    store.ensure_bucket(options.bucket)?;
    let is_cancelled = || progress.is_cancelled();
    let on = (store.as_ref(), machine);
    let lease = Held::take(on, &session.keys, &options.holder, session.head().counter, &is_cancelled)?;
    let landing = Landing { session: &session, slots: &slots, slots_path: &slots_path, started_at, sign_receipt };
    let outcome = landing.under_lease(&lease);
    match outcome {
        // Whoever took the lease owns it now.
        Err(ImportError::LeaseLost) => Err(ImportError::LeaseLost),
        outcome => {
            let released = lease.release();
            let report = outcome?;
            released?;
            Ok(report)
        }
    }
}

/// One call: what is imported where.
struct Session<'a> {
    shipment: &'a Shipment<'a>,
    store: &'a Arc<dyn Store>,
    options: &'a ImportOptions,
    progress: &'a dyn Progress,
    keys: StateKeys,
    local: LocalState,
}

impl Session<'_> {
    fn head(&self) -> &crate::format::Head {
        self.shipment.bundle.head()
    }

    fn bucket_is_there(&self) -> Result<bool, ImportError> {
        match self.store.ensure_bucket(IfMissing::Refuse) {
            Ok(()) => Ok(true),
            Err(StoreError::BucketMissing { .. }) if self.options.bucket == IfMissing::Create => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Judges the release against what is installed, by the store's state and by the local one.
    fn judge(&self) -> Result<(Step, Option<InstalledRelease>), ImportError> {
        let Shipment { bundle, authority, .. } = *self.shipment;
        let in_store = state::read_installed(self.store.as_ref(), &self.keys, bundle, authority)?;
        let step = self.judge_against(in_store.as_ref())?;
        Ok((step, in_store))
    }

    fn judge_against(&self, in_store: Option<&InstalledRelease>) -> Result<Step, ImportError> {
        let head = self.head();
        if let Some(base) = head.bases.first() {
            return Err(ImportError::NeedsBase { stream: base.stream.clone(), counter: base.counter });
        }
        let local = self.local.installed()?.map(|local| Installed {
            release: Release { counter: local.counter, content_id: local.content_id },
            created_at: local.created_at,
        });
        // The state in the store can be rolled back by whoever writes there: the later one counts.
        let installed = [in_store.map(|one| one.installed), local].into_iter().flatten();
        let latest = installed.max_by_key(|one| one.release.counter);
        if let Some(latest) = &latest {
            self.shipment.bundle.trusted_head().accept_after(latest.created_at)?;
        }
        Ok(judge_release(head, latest.as_ref(), self.options.enrol)?)
    }

    fn plan(
        &self,
        slots: &Slots,
        slots_path: &std::path::Path,
        installed: Option<&InstalledRelease>,
    ) -> Result<Plan, ImportError> {
        let earlier = installed.map(|installed| self.earlier(installed)).transpose()?.flatten();
        let planner = Planner {
            bundle: self.shipment.bundle,
            store: self.store.as_ref(),
            options: self.options,
            slots,
            slots_path,
            earlier: earlier.as_ref().map(|(bundle, map, slots)| Earlier { bundle, map, slots }),
            progress: self.progress,
        };
        match planner.plan() {
            // A bucket that is to be created holds nothing.
            Err(ImportError::Store(StoreError::BucketMissing { .. })) if self.options.bucket == IfMissing::Create => {
                planner.plan_empty()
            }
            other => other,
        }
    }

    /// Returns the installed release with what is known of its objects: from the local state, or from
    /// a receipt that trust accepts.
    fn earlier(&self, installed: &InstalledRelease) -> Result<Option<(Bundle, Mapping, Slots)>, ImportError> {
        let release = installed.installed.release;
        let Some(head) = installed.head.clone().filter(|_| release.content_id != self.head().content_id) else {
            return Ok(None);
        };
        let keys = self.keys.of_release(&release);
        let path = self.local.release_file(&release.content_id, "objects");
        let local = self.local.installed()?.filter(|local| local.content_id == release.content_id && path.exists());
        let map = match local {
            Some(local) => local.map,
            None => {
                self.local.make_release(&release.content_id)?;
                let of = (&self.head().stream, &release.content_id);
                let receipt = receipt::fetch(
                    self.store.as_ref(),
                    &keys,
                    of,
                    self.shipment.authority,
                    (self.local.machine(), &path),
                )?;
                let Some(receipt) = receipt else { return Ok(None) };
                receipt.map
            }
        };
        let sources: Vec<Arc<dyn MetaSource>> = vec![Arc::new(StoreCopy::new(Arc::clone(self.store), keys))];
        let bundle = Bundle::open_installed(head, sources)?;
        let slots = Slots::open(self.local.machine(), &path, bundle.manifest().entry_count);
        let slots = slots.map_err(|source| ImportError::State { path, source })?;
        Ok(Some((bundle, map, slots)))
    }

    fn refuse_foreign(&self, plan: &Plan) -> Result<(), ImportError> {
        match plan.foreign.0.first() {
            Some(first) if self.options.on_existing == OnExisting::Error => {
                Err(ImportError::Foreign { first: first.clone(), count: plan.foreign.1 })
            }
            _ => Ok(()),
        }
    }

    fn absent_volumes(&self) -> BTreeSet<VolumeNumber> {
        let numbers = (1..=self.shipment.bundle.packs().volume_count).filter_map(VolumeNumber::new);
        numbers.filter(|&number| self.shipment.volumes.copies(number).is_empty()).collect()
    }

    /// Proves manifest and pack table, alone and together, so that whatever is wrong with them is met
    /// before anything is written.
    fn prove_structures(&self) -> Result<(), ImportError> {
        let bundle = self.shipment.bundle;
        bundle.meta_pieces(MetaFile::Packs).try_for_each(|piece| piece.map(|_| ()))?;
        bundle.contents().try_for_each(|content| content.map(|_| ()))?;
        Ok(check_tree_id(bundle)?)
    }
}

/// An import whose lease is held.
struct Landing<'a> {
    session: &'a Session<'a>,
    slots: &'a Slots,
    slots_path: &'a std::path::Path,
    started_at: Time,
    sign_receipt: Option<&'a ReceiptSigner<'a>>,
}

impl Landing<'_> {
    /// Does everything between taking and releasing the lease, renewing it meanwhile.
    fn under_lease(&self, lease: &Held<'_>) -> Result<ImportReport, ImportError> {
        let outcome = Outcome::default();
        let (stop, stopped) = crossbeam_channel::bounded::<()>(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let pace = || self.session.local.machine().pace(RENEW_EVERY);
                while stopped.recv_timeout(pace()) == Err(crossbeam_channel::RecvTimeoutError::Timeout) {
                    if let Err(error) = lease.renew() {
                        outcome.fail(error);
                        return;
                    }
                }
            });
            let landed = self.land(&outcome, lease);
            drop(stop);
            landed
        })
    }

    fn land(&self, outcome: &Outcome, lease: &Held<'_>) -> Result<ImportReport, ImportError> {
        let session = self.session;
        let store = session.store.as_ref();
        // A race for the lease may have changed everything that was judged.
        let (step, installed) = session.judge()?;
        let plan = session.plan(self.slots, self.slots_path, installed.as_ref())?;
        session.refuse_foreign(&plan)?;
        let probe = session.keys.release_key("probe")?;
        // A run that was killed while probing has left it.
        store.remove(&probe)?;
        probe_conditions(store, &probe)?;
        let shipment = session.shipment;
        state::publish_release(store, &session.keys, shipment.bundle, shipment.signatures)?;
        let journal_path = session.local.release_file(&session.head().content_id, "uploads");
        let opened = Journal::open(session.local.machine(), &journal_path);
        let (journal, known) = opened.map_err(|source| ImportError::State { path: journal_path.clone(), source })?;
        let uploads = Uploads::new(store, journal, journal_path, known);
        let orphan_count = self.abort_orphans(&uploads)?;
        let spool = Spool::open(session.store, &session.keys)?;
        session.progress.begin("import", plan.send_len, plan.send_count);
        let held_count = self.run(outcome, &uploads, &spool, &plan)?;
        uploads.sync()?;
        self.slots.finish().map_err(|source| self.state_error(source))?;
        session.local.finish_release(&session.head().content_id)?;
        let mut facts = std::mem::take(&mut *outcome.facts());
        if let Some(error) = facts.error.take() {
            return Err(error);
        }
        let mut report = ImportReport {
            step,
            plan,
            landed_count: outcome.landed_count.load(Ordering::Relaxed),
            sent_len: outcome.sent_len.load(Ordering::Relaxed),
            missing_volumes: facts.missing_volumes,
            findings: facts.findings.into_values().collect(),
            more_findings: facts.more_findings,
            healed: facts.healed,
            orphan_count,
            waiting_count: facts.spooled.len() as u64,
            open_upload_count: uploads.open_uploads().len() as u64,
            held_count,
            receipt: None,
        };
        if self.has_arrived(&report) {
            // Whoever removed the lease may have removed what `installed` would point to (T19).
            lease.renew()?;
            report.receipt = Some(self.finish(&report, installed.as_ref(), &spool)?);
            report.waiting_count = 0;
        }
        Ok(report)
    }

    /// Runs over the packs, for the files that come last only when all others are there; returns how
    /// many of them are held back.
    fn run(
        &self,
        outcome: &Outcome,
        uploads: &Uploads<'_>,
        spool: &Spool<'_>,
        plan: &Plan,
    ) -> Result<u64, ImportError> {
        let session = self.session;
        let lookup = Lookup::new();
        let resolver = Resolver::new(session.shipment.bundle, session.shipment.volumes, &lookup, spool);
        let mut transfer = Transfer {
            bundle: session.shipment.bundle,
            resolver: &resolver,
            spool,
            putter: Putter {
                store: session.store.as_ref(),
                head: session.head(),
                options: session.options,
                slots: self.slots,
                slots_path: self.slots_path,
                uploads,
                outcome,
                progress: session.progress,
            },
            is_partial: !session.absent_volumes().is_empty(),
            send_count: plan.send_count,
            turn: Turn::Others,
        };
        repeat(&transfer, outcome)?;
        if plan.last_count == 0 || outcome.must_stop() {
            return Ok(plan.last_count);
        }
        if outcome.landed_count.load(Ordering::Relaxed) < plan.send_count - plan.last_count {
            return Ok(plan.last_count);
        }
        transfer.turn = Turn::Last;
        repeat(&transfer, outcome)?;
        Ok(0)
    }

    /// Aborts uploads at our keys that the journal does not know.
    fn abort_orphans(&self, uploads: &Uploads<'_>) -> Result<u64, ImportError> {
        let session = self.session;
        let lookup = Lookup::new();
        let mut is_ours = |key: &Key| {
            let Some(path) = session.options.map.path_of(key.as_str()) else { return Ok(false) };
            Ok(lookup.entry(session.shipment.bundle, &path)?.is_some_and(|found| found.file.is_some()))
        };
        let mut count = 0;
        for (_, prefix) in session.options.map.prefixes() {
            count += uploads.abort_orphans(prefix.as_str(), &mut is_ours)?;
        }
        Ok(count)
    }

    fn has_arrived(&self, report: &ImportReport) -> bool {
        report.landed_count == report.plan.send_count && report.findings.is_empty() && report.more_findings == 0
    }

    /// Writes the receipt and points at the release.
    fn finish(
        &self,
        report: &ImportReport,
        installed: Option<&InstalledRelease>,
        spool: &Spool<'_>,
    ) -> Result<Receipt, ImportError> {
        let session = self.session;
        let (store, head) = (session.store.as_ref(), session.head());
        let objects = receipt::objects_of(self.slots).map_err(|source| self.state_error(source))?;
        let principals = session.shipment.bundle.trusted_head().principals();
        let arrival = Arrival {
            store_name: &session.options.store_name,
            map: &session.options.map,
            plan: &report.plan,
            landed_count: report.landed_count,
            sent_len: report.sent_len,
            started_at: self.started_at,
            finished_at: (session.options.clock)(),
            signers: principals.iter().map(ToString::to_string).collect(),
            warnings: report.healed.clone(),
        };
        let receipt = Receipt::new(head, arrival, objects);
        let bytes = receipt.encode();
        let signature = self.sign_receipt.map(|sign| sign(&bytes)).transpose().map_err(ImportError::Receipt)?;
        session.local.write("receipt.json", &bytes)?;
        receipt::write(store, &session.keys, &receipt, signature, (self.slots, self.slots_path))?;
        // What the pointer leads to may have been removed meanwhile (T19).
        let shipment = session.shipment;
        state::publish_release(store, &session.keys, shipment.bundle, shipment.signatures)?;
        state::write_installed(store, &session.keys, head, installed.and_then(|one| one.tag.as_ref()))?;
        session.local.set_installed(&LocalInstalled {
            counter: head.counter,
            content_id: head.content_id,
            created_at: head.created_at,
            map: session.options.map.clone(),
        })?;
        session.local.keep_only(&[head.content_id])?;
        spool.clear()?;
        Ok(receipt)
    }

    fn state_error(&self, source: std::io::Error) -> ImportError {
        ImportError::State { path: self.slots_path.to_owned(), source }
    }
}

/// Takes the packs up to [`RUN_COUNT_MAX`] times: what had to wait may have its targets then.
fn repeat(transfer: &Transfer<'_>, outcome: &Outcome) -> Result<(), ImportError> {
    for _ in 0..RUN_COUNT_MAX {
        let waiting_before = std::mem::take(&mut outcome.facts().spooled);
        outcome.facts().missing_volumes.clear();
        transfer.run()?;
        if outcome.must_stop() {
            return Ok(());
        }
        let lost = outcome.take_lost_uploads();
        let waiting = outcome.facts().spooled.clone();
        // What had to wait may have its targets now; what waits again waits for volumes.
        if !lost && (waiting.is_empty() || waiting == waiting_before) {
            return Ok(());
        }
    }
    Ok(())
}

fn stream_of<'a>(shipment: &'a Shipment<'_>) -> &'a crate::format::Name {
    &shipment.bundle.head().stream
}

fn keys_of(shipment: &Shipment<'_>, options: &ImportOptions) -> StateKeys {
    let head = shipment.bundle.head();
    StateKeys::new(&options.state_prefix, &head.stream, head.counter, &head.content_id)
}
