//! From packs to objects: read, prove, decode, fill references, hand over.

use super::error::ImportError;
use super::put::{Job, Putter, Target};
use super::slots::Slot;
use super::spool::Spool;
use crate::codec::Codec;
use crate::format::cover::{PackContent, Piece};
use crate::format::index::{Index, RowSource};
use crate::format::manifest::FileFacts;
use crate::format::{Digest, Proven};
use crate::pipeline::bundle::TrustedBundle;
use crate::pipeline::globs::first_match;
use crate::pipeline::lookup::Located;
use crate::pipeline::reader::{CopyRead, PackReader};
use crate::pipeline::resolve::{ResolveError, Resolver, SparePacks as _};
use crate::pipeline::unpack::{Carried, Damage, ReferenceRun};
use crate::pipeline::verify::{Finding, damage_finding};
use crate::pipeline::volumes::PackSource;
use crate::store::content_type::Compressibility;
use crate::store::{Key, PartNumber, StoreError};
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::ops::Range;

/// Small objects in flight at a time.
const SMALL_COUNT: usize = 32;
/// Small objects that are handed over at once: a pack of many would wake a thread for each.
const BATCH_COUNT_MAX: usize = 16;
/// Parts and large objects in flight at a time.
const LARGE_COUNT: usize = 4;
/// A whole file from this length on counts as large, in bytes.
const LARGE_LEN: u64 = 4 << 20;
/// Bytes that are read from an object at once, about.
const READ_LEN: u64 = 4 << 20;
/// Raw packs in memory beside those in the hands of workers: in flight to the store.
const SPARE_BUFFER_COUNT: usize = 1;

/// Which files are put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// All but those that come last.
    Others,
    /// All.
    Last,
}

/// When a piece has to be put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// Now.
    Now,
    /// When all other files are there.
    Later,
    /// It is there already, is left out or is no file.
    Never,
}

/// One run over the packs at hand.
pub(super) struct Transfer<'a> {
    pub(super) bundle: &'a TrustedBundle,
    pub(super) resolver: &'a Resolver<'a>,
    pub(super) spool: &'a Spool<'a>,
    pub(super) putter: Putter<'a>,
    /// Whether some volumes are on no present medium.
    pub(super) is_partial: bool,
    /// Files that are still to be sent.
    pub(super) send_count: u64,
    /// Which of them may be sent now.
    pub(super) turn: Turn,
}

/// The packs of one part, or a pack of whole entries.
struct Task {
    packs: Vec<PackContent>,
}

/// Raw bytes of packs, given back for the next ones when the last object made of them is put.
struct RawBuffer {
    bytes: Vec<u8>,
    len: usize,
    home: Sender<Vec<u8>>,
}

impl AsRef<[u8]> for RawBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Drop for RawBuffer {
    fn drop(&mut self) {
        // At the end of a run nobody waits for buffers any more.
        let _ = self.home.send(std::mem::take(&mut self.bytes));
    }
}

/// Where jobs go. A closed queue means that the run ends with an error that is noted already.
struct Hands {
    small: Sender<Vec<Job>>,
    large: Sender<Vec<Job>>,
    buffers: Receiver<Vec<u8>>,
    home: Sender<Vec<u8>>,
}

impl Hands {
    fn put_small(&self, jobs: Vec<Job>) {
        let _ = self.small.send(jobs);
    }

    fn put_large(&self, job: Job) {
        let _ = self.large.send(vec![job]);
    }
}

impl Transfer<'_> {
    /// Takes every pack that is at hand and still needed, once.
    pub(super) fn run(&self) -> Result<(), ImportError> {
        let workers = self.putter.options.workers.get();
        let (small, small_jobs) = bounded(SMALL_COUNT);
        let (large, large_jobs) = bounded(0);
        let (home, buffers) = bounded(workers + SPARE_BUFFER_COUNT);
        for _ in 0..workers + SPARE_BUFFER_COUNT {
            let _ = home.send(Vec::new());
        }
        // A pack of many small files takes 15 MiB before it is read: none waits in a queue.
        let (tasks, task_queue) = bounded::<Task>(0);
        std::thread::scope(|scope| {
            // More hands than files would have nothing to do.
            let hand_count = |most: usize| most.min(usize::try_from(self.send_count).unwrap_or(most)).max(1);
            for _ in 0..hand_count(SMALL_COUNT) {
                scope.spawn(|| self.putter.run(&small_jobs));
            }
            for _ in 0..LARGE_COUNT {
                scope.spawn(|| self.putter.run(&large_jobs));
            }
            let hands = Hands { small, large, buffers, home };
            for _ in 0..workers {
                let hands = Hands {
                    small: hands.small.clone(),
                    large: hands.large.clone(),
                    buffers: hands.buffers.clone(),
                    home: hands.home.clone(),
                };
                let task_queue = task_queue.clone();
                scope.spawn(move || self.work(&task_queue, &hands));
            }
            drop(task_queue);
            let fed = self.feed(&tasks, &hands);
            drop((tasks, hands));
            fed
        })
    }

    /// Walks the packs in order and hands over what is needed and at hand.
    fn feed(&self, tasks: &Sender<Task>, hands: &Hands) -> Result<(), ImportError> {
        let mut group: Vec<PackContent> = Vec::new();
        for content in self.bundle.contents() {
            if self.putter.progress.is_cancelled() {
                return Err(ImportError::Interrupted);
            }
            if self.putter.outcome.must_stop() {
                return Ok(());
            }
            let content = content?;
            if let Some(piece) = content.pieces.first() {
                self.note_part_count(piece, hands)?;
            }
            let ends = content.pieces.iter().all(|piece| piece.part.ends);
            group.push(content);
            if ends {
                let packs = std::mem::take(&mut group);
                if self.is_at_hand(&packs)? && tasks.send(Task { packs }).is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Tells the upload of a large file how many parts it has, once its last piece is met.
    fn note_part_count(&self, piece: &Piece, hands: &Hands) -> Result<(), ImportError> {
        let Some(file) = piece.file.filter(|_| piece.part.is_last && piece.part.number > 1) else { return Ok(()) };
        let is_open = matches!(self.slot(piece.entry)?, Slot::Nothing | Slot::Replace(_)) && !self.is_held(piece);
        let Some(key) = self.putter.options.map.key(&piece.path)?.filter(|_| is_open) else { return Ok(()) };
        if self.putter.uploads.set_part_count(piece.entry, piece.part.number) {
            let kind = Compressibility::Incompressible;
            let target = Target { entry: piece.entry, path: piece.path.clone(), key, file, kind };
            hands.put_large(Job::Finish(target));
        }
        Ok(())
    }

    /// Tells whether a task is still needed and its bytes are at hand; notes what is missing.
    fn is_at_hand(&self, packs: &[PackContent]) -> Result<bool, ImportError> {
        let (mut needed, mut held, mut skipped) = (false, false, false);
        for piece in packs.iter().flat_map(|content| &content.pieces) {
            match self.need(piece)? {
                Need::Now => needed = true,
                Need::Later => held = true,
                Need::Never => {}
            }
            skipped |= self.is_partial && matches!(self.slot(piece.entry)?, Slot::Skipped(_));
        }
        if !needed && !held && !skipped {
            return Ok(false);
        }
        for content in packs {
            let Some(place) = content.pack.place else { return Ok(false) };
            if self.resolver.sources(content.number, &content.pack).is_empty() {
                if needed || held {
                    self.putter.outcome.facts().missing_volumes.insert(place.volume);
                }
                return Ok(false);
            }
        }
        Ok(needed || skipped || (held && self.is_partial))
    }

    fn need(&self, piece: &Piece) -> Result<Need, ImportError> {
        if piece.file.is_none() || self.putter.options.map.key(&piece.path)?.is_none() {
            return Ok(Need::Never);
        }
        if matches!(self.slot(piece.entry)?, Slot::Landed(_) | Slot::Skipped(_)) {
            return Ok(Need::Never);
        }
        if part_number(piece).is_some_and(|number| self.putter.uploads.has_part(piece.entry, number)) {
            return Ok(Need::Never);
        }
        Ok(if self.is_held(piece) { Need::Later } else { Need::Now })
    }

    /// Tells whether a piece is of a file whose turn has not come.
    fn is_held(&self, piece: &Piece) -> bool {
        let (last, path) = (&self.putter.options.last, &piece.path);
        self.turn == Turn::Others && first_match(last, path.root(), path.below_root()).is_some()
    }

    fn slot(&self, entry: u64) -> Result<Slot, ImportError> {
        let path = self.putter.slots_path;
        self.putter.slots.get(entry).map_err(|source| ImportError::State { path: path.to_owned(), source })
    }

    fn work(&self, tasks: &Receiver<Task>, hands: &Hands) {
        let mut reader = PackReader::new(self.resolver.base_count());
        for task in tasks {
            if self.putter.outcome.must_stop() {
                continue;
            }
            let Ok(bytes) = hands.buffers.recv() else { return };
            let mut buffer = RawBuffer { bytes, len: 0, home: hands.home.clone() };
            if let Err(error) = self.take(&task, &mut reader, &mut buffer).and_then(|unpacked| match unpacked {
                Some(unpacked) => self.hand_over(&task, &unpacked, buffer, hands),
                None => Ok(()),
            }) {
                self.putter.outcome.fail(error);
            }
        }
    }

    /// Fills the buffer with the raw bytes of the task's packs; nothing where some of them have to wait.
    fn take<'t>(
        &self,
        task: &'t Task,
        reader: &mut PackReader,
        buffer: &mut RawBuffer,
    ) -> Result<Option<Vec<Unpacked<'t>>>, ImportError> {
        let mut unpacked = Vec::with_capacity(task.packs.len());
        for content in &task.packs {
            let Some(pack) = Carried::new(content) else { return Ok(None) };
            let start = buffer.len;
            buffer.len += content.raw_len as usize;
            if buffer.bytes.len() < buffer.len {
                buffer.bytes.resize(buffer.len, 0);
            }
            let Some(read) = self.read(&pack, reader, &mut buffer.bytes[start..buffer.len])? else {
                // The packs of a part wait together.
                task.packs.iter().try_for_each(|content| self.spool_from_media(content))?;
                return Ok(None);
            };
            unpacked.push(Unpacked { pack, read });
        }
        Ok(Some(unpacked))
    }

    /// Reads the best copy of a pack: what a whole one made up for is noted, else what is wrong with each
    /// is found. Nothing where the pack has to wait for what it refers to.
    fn read(
        &self,
        pack: &Carried<'_>,
        reader: &mut PackReader,
        raw: &mut [u8],
    ) -> Result<Option<CopyRead>, ImportError> {
        let content = pack.content;
        let sources = self.resolver.sources(content.number, &content.pack);
        let mut fill = |run: &ReferenceRun, raw: &mut [u8]| self.fill(content, run, raw);
        let mut reads = match reader.read_best(pack, sources, raw, &mut fill) {
            Ok(reads) => reads,
            Err(Unready::Waits) => return Ok(None),
            Err(Unready::Failed(error)) => return Err(error),
        };
        for (source, read) in &reads {
            self.note_bad_index(pack, source.as_ref(), read.bad_index.as_ref());
        }
        let is_healed = reads.last().is_some_and(|(_, read)| read.is_whole());
        for (source, damage) in
            reads.iter().flat_map(|(source, read)| read.damages.iter().map(move |one| (source, one)))
        {
            let (at, finding) = (damage.range.start, damage_finding(content, &source.describe(), damage));
            if is_healed {
                let Finding { place, what, .. } = finding;
                self.putter.outcome.heal(format!("{place}: {what} at byte {at}; another copy is good"));
            } else {
                self.putter.outcome.find((content.number, at), finding);
            }
        }
        Ok(reads.pop().map(|(_, read)| read))
    }

    /// Notes that the other copy of an index made up for a bad one.
    fn note_bad_index(&self, pack: &Carried<'_>, source: &dyn PackSource, bad: Option<&Damage>) {
        if bad.is_some() {
            let (at, copy_at, file) = (pack.place.offset, pack.place.copy_offset(), source.describe());
            let what = format!("{file}: the index at byte {at} is damaged; its copy at {copy_at} is good");
            self.putter.outcome.heal(what);
        }
    }

    /// Fills a run of references from the pack that carries it, or from objects that have landed.
    fn fill(
        &self,
        content: &PackContent,
        run: &ReferenceRun,
        raw: &mut [u8],
    ) -> Result<Result<(), ResolveError>, Unready> {
        let located = match self.resolver.check_run(content, run) {
            Ok(located) => located,
            Err(error) => return unready_or_damaged(error),
        };
        match self.resolver.fill_from_packs(content, run, raw) {
            Ok(()) => Ok(Ok(())),
            Err(error @ (ResolveError::Absent { .. } | ResolveError::NotCarried | ResolveError::Damaged(_))) => {
                if self.fill_from_objects(content, run, &located, raw)? {
                    return Ok(Ok(()));
                }
                unready_or_damaged(error)
            }
            Err(error) => unready_or_damaged(error),
        }
    }

    /// Fills a run of references from objects that have landed; false where they have not, or differ.
    fn fill_from_objects(
        &self,
        content: &PackContent,
        run: &ReferenceRun,
        located: &[Located],
        raw: &mut [u8],
    ) -> Result<bool, ImportError> {
        let mut done = 0;
        let mut rest = located;
        while let Some(first) = rest.first() {
            let key = self.putter.options.map.key(&first.path)?;
            let Some(key) = key.filter(|_| matches!(self.slot(first.entry), Ok(Slot::Landed(_)))) else {
                return Ok(false);
            };
            let count = neighbours(rest);
            let len: usize = rest[..count].iter().map(|one| one.row.len as usize).sum();
            let range = first.offset..first.offset + len as u64;
            if !self.read_object(&key, range, &mut raw[done..done + len])? {
                return Ok(false);
            }
            done += len;
            rest = &rest[count..];
        }
        let mut start = 0;
        Ok(run.rows.clone().all(|row| {
            let expected = &content.rows[row];
            let chunk = &raw[start..start + expected.len as usize];
            start += chunk.len();
            Digest::of(chunk) == expected.digest
        }))
    }

    fn read_object(&self, key: &Key, range: Range<u64>, raw: &mut [u8]) -> Result<bool, ImportError> {
        match self.putter.store.read(key, range) {
            Ok(bytes) => {
                raw.copy_from_slice(&bytes);
                Ok(true)
            }
            Err(StoreError::NotFound { .. } | StoreError::ShortAnswer { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Proves every file and part in the buffer and hands it to those who put.
    fn hand_over(
        &self,
        task: &Task,
        unpacked: &[Unpacked<'_>],
        buffer: RawBuffer,
        hands: &Hands,
    ) -> Result<(), ImportError> {
        let raw = Bytes::from_owner(buffer);
        let is_part = task.packs.len() > 1 || task.packs.iter().any(is_piece_of_large);
        if is_part {
            let is_bad = !unpacked.iter().all(|one| one.read.is_whole());
            let (Some(one), Some(last)) = (unpacked.first(), unpacked.last()) else { return Ok(()) };
            if let (false, Some(piece)) = (is_bad, last.pack.content.pieces.first()) {
                let kind = one.kind_of(&(0..one.pack.content.rows.len()));
                if let Some(job) = self.job(&last.pack, piece, raw, kind)? {
                    hands.put_large(job);
                }
            }
        } else {
            let mut start = 0;
            for one in unpacked {
                let len = one.pack.content.raw_len as usize;
                self.hand_over_files(one, &raw.slice(start..start + len), hands)?;
                start += len;
            }
        }
        self.keep_for_later(task)
    }

    /// Hands over the whole files of a pack, small ones in batches that leave no hand without any.
    fn hand_over_files(&self, one: &Unpacked<'_>, raw: &Bytes, hands: &Hands) -> Result<(), ImportError> {
        let pieces = &one.pack.content.pieces;
        let batch_count = (pieces.len() / (4 * SMALL_COUNT)).clamp(1, BATCH_COUNT_MAX);
        let mut batch = Vec::new();
        for piece in pieces {
            if one.read.bad_rows[piece.rows.clone()].contains(&true) {
                continue;
            }
            let bytes = raw.slice(one.pack.range(&piece.rows));
            let is_large = bytes.len() as u64 >= LARGE_LEN;
            let Some(job) = self.job(&one.pack, piece, bytes, one.kind_of(&piece.rows))? else { continue };
            if is_large {
                hands.put_large(job);
                continue;
            }
            batch.push(job);
            if batch.len() == batch_count {
                hands.put_small(std::mem::take(&mut batch));
            }
        }
        if !batch.is_empty() {
            hands.put_small(batch);
        }
        Ok(())
    }

    /// Returns the job that puts a piece, with its bytes proven; nothing for one that is not needed, or differs.
    fn job(
        &self,
        pack: &Carried<'_>,
        piece: &Piece,
        bytes: Bytes,
        kind: Compressibility,
    ) -> Result<Option<Job>, ImportError> {
        let Some(file) = piece.file else { return Ok(None) };
        if self.need(piece)? != Need::Now {
            return Ok(None);
        }
        let Some(key) = self.putter.options.map.key(&piece.path)? else { return Ok(None) };
        let target = Target { entry: piece.entry, path: piece.path.clone(), key, file, kind };
        let Some(body) = prove(piece, &file, bytes) else {
            let finding = damage_finding(pack.content, "the manifest", &pack.piece_damage(piece));
            self.putter.outcome.find((pack.content.number, pack.place.offset), finding);
            return Ok(None);
        };
        Ok(Some(match part_number(piece) {
            Some(number) => Job::Part(target, number, body),
            None => Job::File(target, body),
        }))
    }

    /// Spools packs of files that make no object now, while later packs may refer to them and their volumes
    /// may be gone when their turn comes.
    fn keep_for_later(&self, task: &Task) -> Result<(), ImportError> {
        if !self.is_partial {
            return Ok(());
        }
        for content in &task.packs {
            for piece in &content.pieces {
                let is_skipped = matches!(self.slot(piece.entry)?, Slot::Skipped(_));
                if is_skipped || self.need(piece)? == Need::Later {
                    self.spool_from_media(content)?;
                    break;
                }
            }
        }
        Ok(())
    }

    /// Puts a pack under the state prefix, from the first copy that is whole.
    fn spool_from_media(&self, content: &PackContent) -> Result<(), ImportError> {
        let Some(pack) = Carried::new(content) else { return Ok(()) };
        if self.spool.spare(content.number).is_some() {
            self.putter.outcome.facts().spooled.insert(content.number);
            return Ok(());
        }
        for source in self.resolver.sources(content.number, &content.pack) {
            if let Some(proven) = self.spool.keep(&pack, source.as_ref())? {
                self.note_bad_index(&pack, source.as_ref(), proven.bad_copy.as_ref());
                self.putter.outcome.facts().spooled.insert(content.number);
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Why a pack is not read to its end.
enum Unready {
    /// It refers to what can't be had now.
    Waits,
    /// The import ends.
    Failed(ImportError),
}

impl From<ImportError> for Unready {
    fn from(error: ImportError) -> Unready {
        Unready::Failed(error)
    }
}

/// Sorts out why a reference can't be filled: only damage is of the pack itself.
fn unready_or_damaged(error: ResolveError) -> Result<Result<(), ResolveError>, Unready> {
    match error {
        ResolveError::Absent { .. } | ResolveError::NotCarried => Err(Unready::Waits),
        ResolveError::Bundle(error) => Err(Unready::Failed(error.into())),
        error => Ok(Err(error)),
    }
}

/// A pack whose raw bytes are in a buffer.
struct Unpacked<'t> {
    pack: Carried<'t>,
    read: CopyRead,
}

impl Unpacked<'_> {
    /// Tells from the codec of the rows whether the server would compress them in vain.
    fn kind_of(&self, rows: &Range<usize>) -> Compressibility {
        let is_zstd = |index: &Index, source: &RowSource| match source {
            RowSource::New { frame } => {
                index.frames.get(*frame as usize).is_some_and(|frame| frame.codec == Codec::Zstd.id())
            }
            _ => false,
        };
        let compressible = self.read.index.as_ref().is_some_and(|index| {
            index.sources.get(rows.clone()).is_some_and(|sources| sources.iter().any(|source| is_zstd(index, source)))
        });
        if compressible { Compressibility::Compressible } else { Compressibility::Incompressible }
    }
}

/// Returns how many of the first rows lie behind each other in one file and are read at once.
fn neighbours(located: &[Located]) -> usize {
    let mut len = 0;
    let mut count = 1;
    for pair in located.windows(2) {
        let (one, next) = (&pair[0], &pair[1]);
        len += u64::from(one.row.len);
        if one.entry != next.entry || one.offset + u64::from(one.row.len) != next.offset || len >= READ_LEN {
            break;
        }
        count += 1;
    }
    count
}

fn is_piece_of_large(content: &PackContent) -> bool {
    content.pieces.iter().any(|piece| part_number(piece).is_some())
}

/// Returns the part's number in the upload of its file; nothing for a file of one part.
fn part_number(piece: &Piece) -> Option<PartNumber> {
    let is_only = piece.part.number == 1 && piece.part.is_last;
    if is_only {
        return None;
    }
    u16::try_from(piece.part.number).ok().and_then(PartNumber::new)
}

/// Proves a whole file by its SHA-256, or a part by the marks around it (F-23).
fn prove(piece: &Piece, file: &FileFacts, bytes: Bytes) -> Option<Proven> {
    let before = piece.part.start();
    match &piece.part.after {
        Some(after) => Proven::part(bytes, before, after).ok(),
        None => Proven::last_part(bytes, before, &file.sha256).ok(),
    }
}
