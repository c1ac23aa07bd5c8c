//! Packs directories into a bundle, in one pass over them.
//!
//! Five stages, each in manifest order and joined by short queues: the reader cuts files into
//! units of one pack; hashing; the sequencer and encoding; the writer. Hashing and encoding spread
//! the work inside a unit over a pool of threads, so order needs no lock, and the outcome depends
//! neither on the number of threads nor on the memory for index and sort.
//!
//! Until the head is there, the output holds `.pack`, from which a repeated run goes on behind the
//! last finished volume.

mod encode;
mod error;
mod finish;
mod hash;
mod journal;
mod read;
mod readme;
mod records;
mod recover;
mod sequence;
mod state;
#[cfg(fuzzing)]
pub mod torn;
mod unit;
mod volume;
mod write;

pub use error::PackError;

use crate::error::Class;
use crate::format::head::{Attachment, Head, Release};
use crate::format::limits::{
    ATTACHMENT_COUNT_MAX, ATTACHMENT_LEN_MAX, COUNTER_MAX, EXT_COUNT_MAX, PACK_RAW_LEN, VOLUME_LEN_MIN,
};
use crate::format::manifest::part_bound;
use crate::format::packs::VolumeNumber;
use crate::format::{Name, Sha256, Time};
use crate::machine::Machine;
use crate::pipeline::globs::Glob;
use crate::pipeline::progress::Progress;
use crate::pipeline::spill::ChunkIndex;
use crate::pipeline::walk::{
    EntryReader, Links, Refusals, Roots, SortedEntries, Unsupported, WalkOptions, Walked, walk,
};
use crate::plan::packs::part_stored_len_max;
use crossbeam_channel::{Receiver, Sender, bounded};
use encode::encode;
use hash::Hasher;
use journal::Line;
use rayon::ThreadPool;
use read::{Reader, Start};
use recover::Recovered;
use sequence::Sequencer;
use serde::{Deserialize, Serialize};
use state::State;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread::{Scope, ScopedJoinHandle};
use unit::{Buffer, Hashes, Unit};
use volume::VolumeWriter;
use write::{Packed, Writer};

/// Units on their way, whatever the number of threads: they share the work inside each. One is read,
/// one hashed, one encoded, one written, and one waits.
const BUFFER_COUNT: usize = 5;

/// Entries between two looks at whether to stop.
const STOP_STEP: usize = 4096;

/// What to pack, and how.
#[derive(Clone, Debug)]
pub struct PackOptions {
    /// The roots: a name and a directory each.
    pub roots: Vec<(Name, PathBuf)>,
    /// What is done with symbolic links.
    pub links: Links,
    /// What is done with entries that cannot be carried.
    pub unsupported: Unsupported,
    /// What is left out, a directory with all below it.
    pub exclude: Vec<Glob>,
    /// The bundle directory: new, empty, or begun by an earlier run with the same arguments.
    pub out: PathBuf,
    /// The stream of the release.
    pub stream: Name,
    /// The number of the release.
    pub counter: u64,
    /// Largest length of a volume in bytes, `VOLUME_LEN_MIN <= volume_len`.
    pub volume_len: u64,
    /// Threads that hash and encode.
    pub threads: NonZeroUsize,
    /// Memory for the chunk index, in bytes.
    pub index_budget_len: usize,
    /// Memory for sorting entries, in bytes.
    pub sort_budget_len: usize,
    /// When packing begins; a repeated run keeps the time of the first.
    pub created_at: Time,
    /// The release before.
    pub previous: Option<Release>,
    /// The last moment at which the bundle may be imported.
    pub not_after: Option<Time>,
    /// The enclave that it is meant for.
    pub audience: Option<Name>,
    /// Files that travel with the bundle: type and path.
    pub attachments: Vec<(Name, PathBuf)>,
    /// What the head says under names of its own (F-120), each value at most 1 KiB.
    pub ext: BTreeMap<Name, String>,
}

/// What came of packing.
#[derive(Debug)]
pub struct PackReport {
    /// The head, as it was written.
    pub head: Head,
    /// What was counted; nothing where the bundle had been finished before.
    pub figures: Option<Figures>,
    /// The last volume that an earlier run had finished.
    pub resumed_behind: Option<VolumeNumber>,
    /// Entries that can't be carried and were left out.
    pub skipped: Refusals,
    /// How many entries each glob has left out, as [`Walked::excluded`]; empty where the bundle had been
    /// finished before.
    pub excluded: Vec<u64>,
}

/// How the rows of a bundle are carried, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Length of the rows whose bytes are carried.
    pub new_len: u64,
    /// Length of the rows that repeat another of their pack.
    pub repeat_len: u64,
    /// Length of the rows that refer to an earlier file.
    pub reference_len: u64,
    /// Frames that are stored as they are.
    pub stored: CodecFigures,
    /// Frames of zstd.
    pub zstd: CodecFigures,
    /// Frames of planes.
    pub planes: CodecFigures,
}

/// What frames of one codec add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodecFigures {
    /// Bytes before encoding.
    pub raw_len: u64,
    /// Bytes in the volumes.
    pub stored_len: u64,
}

/// An attachment whose digest was taken.
struct Attached {
    path: PathBuf,
    facts: Attachment,
}

/// Packs, or goes on where an earlier run with the same arguments was stopped.
///
/// Where the output already is the finished bundle of this release, its head is returned and the
/// roots are not looked at again.
///
/// # Errors
/// See [`PackError`]; whatever is wrong with the arguments is found before any file is read.
pub fn pack(options: &PackOptions, progress: &dyn Progress) -> Result<PackReport, PackError> {
    pack_on(&Machine::default(), options, progress)
}

/// Packs as [`pack`] does, on a machine that a test may have put a gate before.
///
/// # Errors
/// As [`pack`].
pub fn pack_on(machine: &Machine, options: &PackOptions, progress: &dyn Progress) -> Result<PackReport, PackError> {
    check(options)?;
    if let Some(bytes) = state::finished_head(machine, &options.out)? {
        let head = Head::decode(&bytes).map_err(PackError::Head)?;
        check_finished(options, &head)?;
        let (skipped, excluded) = (Refusals::default(), Vec::new());
        return Ok(PackReport { head, figures: None, resumed_behind: None, skipped, excluded });
    }
    let attachments = attach(&options.attachments)?;
    let roots = Roots::open(&options.roots, options.links)?;
    let state = State::open(machine, options, &attachments)?;
    let listed = list(options, &state, &roots, progress);
    let listed = listed.and_then(|walked| check_entries(options, &walked.entries, progress).map(|()| walked));
    let Walked { entries, skipped, excluded } = match listed {
        // Whoever follows what a refusal says repeats with other arguments: no state may hold them to these.
        Err(error) if matches!(error.class(), Class::Refused | Class::Usage) => {
            state.abandon()?;
            return Err(error);
        }
        listed => listed?,
    };
    let progressed = state.recover()?;
    let resumed_behind = progressed.line.as_ref().and_then(|line| VolumeNumber::new(line.volume));
    let index = ChunkIndex::new(&state.dir, options.index_budget_len);
    let recovered = match &progressed.line {
        Some(line) => recover::recover(&state, line, &entries, index, progress)?,
        None => recover::afresh(index),
    };
    let last_line = match progressed.line {
        Some(line) if line.is_last => line,
        line => {
            let number = resumed_behind.map_or(Some(VolumeNumber::FIRST), VolumeNumber::next);
            let number = number.ok_or(PackError::TooManyVolumes { volume_len: options.volume_len })?;
            let volumes = VolumeWriter::new(&state, number, options.volume_len);
            let figures = line.map(|line| line.figures).unwrap_or_default();
            let writer = Writer::new(volumes, progressed.logs, progressed.journal, figures, progress);
            let from = entries.iter_from(recovered.start.entry)?;
            report_rest(&entries, &recovered.start, progress)?;
            run(options, &roots, from, recovered, writer, progress)?
        }
    };
    let head = finish::finish(&state, options, &attachments, &last_line)?;
    state.remove()?;
    Ok(PackReport { head, figures: Some(last_line.figures), resumed_behind, skipped, excluded })
}

/// Checks what can be checked without any file.
fn check(options: &PackOptions) -> Result<(), PackError> {
    let PackOptions { volume_len, counter, previous, not_after, created_at, attachments, ext, .. } = options;
    if *volume_len < VOLUME_LEN_MIN {
        return Err(PackError::VolumeTooSmall { volume_len: *volume_len });
    }
    if !(1..=COUNTER_MAX).contains(counter) {
        return Err(PackError::Argument { field: "counter", why: "it is from 1 to 2^53 - 1" });
    }
    if previous.is_some_and(|previous| previous.counter == 0 || previous.counter >= *counter) {
        return Err(PackError::Argument { field: "previous", why: "its counter is smaller than that of this release" });
    }
    if not_after.is_some_and(|end| end < *created_at) {
        return Err(PackError::Argument { field: "not_after", why: "it is not before the present" });
    }
    if attachments.len() > ATTACHMENT_COUNT_MAX {
        return Err(PackError::TooManyAttachments { count: attachments.len() });
    }
    if ext.len() > EXT_COUNT_MAX || !ext.values().all(|value| Head::may_say(value)) {
        return Err(PackError::Argument { field: "ext", why: "it is at most 64 texts of 1 KiB of printable ASCII" });
    }
    Ok(())
}

/// Compares the arguments with what the head of a finished bundle says.
fn check_finished(options: &PackOptions, head: &Head) -> Result<(), PackError> {
    let kinds = |one: &Attachment| one.kind.clone();
    let attached = options.attachments.iter().map(|(kind, _)| kind.clone());
    let difference = [
        (head.stream == options.stream, "stream"),
        (head.counter == options.counter, "counter"),
        (head.previous == options.previous, "previous release"),
        (head.not_after == options.not_after, "end of validity"),
        (head.audience == options.audience, "audience"),
        (head.attachments.iter().map(kinds).eq(attached), "set of attachments"),
        (head.ext == options.ext, "set of further facts"),
    ];
    match difference.into_iter().find(|(is_same, _)| !is_same) {
        Some((_, argument)) => Err(PackError::OtherArguments { path: options.out.clone(), argument }),
        None => Ok(()),
    }
}

fn attach(attachments: &[(Name, PathBuf)]) -> Result<Vec<Attached>, PackError> {
    let attach_one = |(kind, path): &(Name, PathBuf)| {
        let bytes = finish::read_attachment(path, ATTACHMENT_LEN_MAX)?;
        if bytes.len() as u64 > ATTACHMENT_LEN_MAX {
            return Err(PackError::AttachmentTooLong { path: path.clone() });
        }
        let facts = Attachment { kind: kind.clone(), length: bytes.len() as u64, sha256: Sha256::of(&bytes) };
        Ok(Attached { path: path.clone(), facts })
    };
    attachments.iter().map(attach_one).collect()
}

fn list(options: &PackOptions, state: &State, roots: &Roots, progress: &dyn Progress) -> Result<Walked, PackError> {
    let walk_options = WalkOptions {
        unsupported: options.unsupported,
        exclude: options.exclude.clone(),
        own_dirs: vec![state.out.clone()],
        state_dir: state.dir.clone(),
        machine: state.machine.clone(),
        budget_len: options.sort_budget_len,
    };
    Ok(walk(roots, &walk_options, progress)?)
}

/// Checks that there is a file, and that each part of the files fits a volume.
fn check_entries(options: &PackOptions, entries: &SortedEntries, progress: &dyn Progress) -> Result<(), PackError> {
    if entries.totals().file_count == 0 {
        return Err(PackError::NoFile);
    }
    if entries.totals().total_len < options.volume_len {
        return Ok(());
    }
    for (index, entry) in entries.iter().enumerate() {
        stop_if_asked(index, progress)?;
        let entry = entry?;
        let needed_len = part_stored_len_max(entry.len);
        if part_bound(entry.len) > PACK_RAW_LEN && needed_len > options.volume_len {
            let volume_len = options.volume_len;
            return Err(PackError::PartTooLarge { volume_len, needed_len, path: entry.path });
        }
    }
    Ok(())
}

/// Says how much is left to read.
fn report_rest(entries: &SortedEntries, start: &Start, progress: &dyn Progress) -> Result<(), PackError> {
    let totals = entries.totals();
    let mut done_len = start.offset;
    let done_count = usize::try_from(start.entry).unwrap_or(usize::MAX);
    for (index, entry) in entries.iter().take(done_count).enumerate() {
        stop_if_asked(index, progress)?;
        done_len += entry?.len;
    }
    progress.begin("pack", totals.total_len.saturating_sub(done_len), totals.entry_count() - start.entry);
    Ok(())
}

/// Ends a run over millions of entries within a second of being asked to.
fn stop_if_asked(index: usize, progress: &dyn Progress) -> Result<(), PackError> {
    if index.is_multiple_of(STOP_STEP) && progress.is_cancelled() { Err(PackError::Stopped) } else { Ok(()) }
}

/// Why a stage ended early.
enum Stop {
    /// It failed.
    Error(PackError),
    /// The stage that it reads from or writes to has ended, and knows why.
    Elsewhere,
}

impl From<PackError> for Stop {
    fn from(error: PackError) -> Stop {
        Stop::Error(error)
    }
}

/// Runs the stages and returns the line of the last volume.
///
/// `None` in a queue says that all has come; a queue that closes without it says that the stage
/// before has stopped, so that an unfinished volume is never taken for a finished one.
fn run(
    options: &PackOptions,
    roots: &Roots,
    entries: EntryReader,
    recovered: Recovered,
    writer: Writer<'_>,
    progress: &dyn Progress,
) -> Result<Line, PackError> {
    let count = options.threads.get();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(count).thread_name(|number| format!("pack-{number}"));
    let pool = &pool.build().map_err(|source| PackError::Threads { count, source })?;
    let (empty, buffers) = bounded(BUFFER_COUNT);
    for _ in 0..BUFFER_COUNT {
        // The queue has room for all of them.
        let _ = empty.send(Buffer::new());
    }
    let (units, read_units) = bounded(1);
    let (hashed, hashed_units) = bounded(1);
    let (packed, packed_units) = bounded(1);
    let Recovered { sequencer, start, mark } = recovered;
    let reader = Reader::new(roots, pool, progress, buffers, units);
    std::thread::scope(|scope| {
        let stages = [
            spawn(scope, "pack-read", move || reader.read(entries, start)),
            spawn(scope, "pack-hash", move || hash_units(pool, Hasher::new(mark), &read_units, &hashed)),
            spawn(scope, "pack-encode", move || encode_units(pool, sequencer, &hashed_units, &packed)),
        ];
        let written = write_units(writer, packed_units, empty, progress);
        let mut failed = None;
        for stage in stages {
            let ended = stage.map_err(|source| Stop::Error(PackError::io("start a thread for", &options.out)(source)));
            match ended.and_then(join) {
                Err(Stop::Error(error)) => failed = failed.or(Some(error)),
                Err(Stop::Elsewhere) | Ok(()) => {}
            }
        }
        match (written, failed) {
            (Err(Stop::Error(error)), _) | (_, Some(error)) => Err(error),
            (Ok(line), None) => Ok(line),
            // A stage ends so only beside one that failed.
            (Err(Stop::Elsewhere), None) => Err(PackError::Stopped),
        }
    })
}

fn spawn<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    name: &str,
    stage: impl FnOnce() -> Result<(), Stop> + Send + 'scope,
) -> std::io::Result<ScopedJoinHandle<'scope, Result<(), Stop>>> {
    std::thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, stage)
}

/// Returns what a stage returned; a panic in it goes on here.
fn join(stage: ScopedJoinHandle<'_, Result<(), Stop>>) -> Result<(), Stop> {
    stage.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn hash_units(
    pool: &ThreadPool,
    mut hasher: Hasher,
    units: &Receiver<Option<Unit>>,
    hashed: &Sender<Option<(Unit, Hashes)>>,
) -> Result<(), Stop> {
    while let Some(unit) = units.recv().map_err(|_| Stop::Elsewhere)? {
        let hashes = pool.install(|| hasher.hash(&unit));
        hashed.send(Some((unit, hashes))).map_err(|_| Stop::Elsewhere)?;
    }
    hashed.send(None).map_err(|_| Stop::Elsewhere)
}

fn encode_units(
    pool: &ThreadPool,
    mut sequencer: Sequencer,
    hashed: &Receiver<Option<(Unit, Hashes)>>,
    packed: &Sender<Option<Packed>>,
) -> Result<(), Stop> {
    while let Some((unit, hashes)) = hashed.recv().map_err(|_| Stop::Elsewhere)? {
        let sequenced = sequencer.sequence(&unit, &hashes.rows).map_err(PackError::Index)?;
        let encoded = pool.install(|| encode(&unit, &hashes, &sequenced.decisions));
        let path = || unit.entries.first().map_or(String::new(), |entry| entry.source.path.as_str().to_owned());
        let encoded = encoded.map_err(|source| PackError::Codec { path: path(), source })?;
        packed.send(Some(Packed { unit, hashes, sequenced, encoded })).map_err(|_| Stop::Elsewhere)?;
    }
    packed.send(None).map_err(|_| Stop::Elsewhere)
}

fn write_units(
    mut writer: Writer<'_>,
    packed: Receiver<Option<Packed>>,
    empty: Sender<Buffer>,
    progress: &dyn Progress,
) -> Result<Line, Stop> {
    while let Some(packed) = packed.recv().map_err(|_| Stop::Elsewhere)? {
        if progress.is_cancelled() {
            return Err(PackError::Stopped.into());
        }
        writer.write(&packed)?;
        let mut buffer = packed.unit.buffer;
        buffer.shrink();
        // The reader has ended where it no longer takes it.
        let _ = empty.send(buffer);
    }
    Ok(writer.finish()?)
}
