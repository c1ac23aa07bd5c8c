//! From packs to objects: read, prove, decode, fill references, hand over.

use super::ImportOptions;
use super::error::ImportError;
use super::outcome::Outcome;
use super::put::{Job, Putter, Target};
use super::slots::{Slot, Slots};
use super::spool::Spool;
use super::uploads::Uploads;
use crate::codec::Codec;
use crate::format::cover::{PackContent, Piece};
use crate::format::index::{Index, RowSource};
use crate::format::manifest::FileFacts;
use crate::format::packs::Place;
use crate::format::{Digest, Proven};
use crate::pipeline::bundle::TrustedBundle;
use crate::pipeline::lookup::Located;
use crate::pipeline::progress::Progress;
use crate::pipeline::resolve::{ResolveError, Resolver, SparePacks as _};
use crate::pipeline::unpack::{
    Copies, Damage, DamageFact, ReferenceRun, Unpacker, copy_repeats, read_index, reference_runs, row_starts, spread,
};
use crate::pipeline::verify::{Finding, damage_finding, reference_damage};
use crate::pipeline::volumes::{PackInVolume, PackSource, Volumes};
use crate::store::content_type::Compressibility;
use crate::store::{Key, PartNumber, Store, StoreError};
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Small objects in flight at a time.
const SMALL_COUNT: usize = 32;
/// Parts and large objects in flight at a time.
const LARGE_COUNT: usize = 4;
/// A whole file from this length on counts as large, in bytes.
const LARGE_LEN: u64 = 4 << 20;
/// Bytes that are read from an object at once, about.
const READ_LEN: u64 = 4 << 20;
/// Raw packs in memory beside those in the hands of workers: in flight to the store.
const SPARE_BUFFER_COUNT: usize = 1;

/// One run over the packs at hand.
pub(super) struct Transfer<'a> {
    pub(super) bundle: &'a TrustedBundle,
    pub(super) volumes: &'a Volumes,
    pub(super) resolver: &'a Resolver<'a>,
    pub(super) spool: &'a Spool<'a>,
    pub(super) store: &'a dyn Store,
    pub(super) options: &'a ImportOptions,
    pub(super) slots: &'a Slots,
    pub(super) slots_path: &'a Path,
    pub(super) uploads: &'a Uploads<'a>,
    pub(super) outcome: &'a Outcome,
    pub(super) progress: &'a dyn Progress,
    /// Whether some volumes are on no present medium.
    pub(super) is_partial: bool,
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

/// Where jobs go.
struct Hands {
    small: Sender<Job>,
    large: Sender<Job>,
    buffers: Receiver<Vec<u8>>,
    home: Sender<Vec<u8>>,
}

impl Transfer<'_> {
    /// Takes every pack that is at hand and still needed, once.
    pub(super) fn run(&self) -> Result<(), ImportError> {
        let workers = self.options.workers.get();
        let (small, small_jobs) = bounded(SMALL_COUNT);
        let (large, large_jobs) = bounded(0);
        let (home, buffers) = bounded(workers + SPARE_BUFFER_COUNT);
        for _ in 0..workers + SPARE_BUFFER_COUNT {
            let _ = home.send(Vec::new());
        }
        let (tasks, task_queue) = bounded::<Task>(1);
        let putter = Putter {
            store: self.store,
            head: self.bundle.head(),
            options: self.options,
            slots: self.slots,
            slots_path: self.slots_path,
            uploads: self.uploads,
            outcome: self.outcome,
            progress: self.progress,
        };
        std::thread::scope(|scope| {
            for _ in 0..SMALL_COUNT {
                scope.spawn(|| putter.run(&small_jobs));
            }
            for _ in 0..LARGE_COUNT {
                scope.spawn(|| putter.run(&large_jobs));
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
            if self.progress.is_cancelled() {
                return Err(ImportError::Interrupted);
            }
            if self.outcome.must_stop() {
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
        let is_open = matches!(self.slot(piece.entry)?, Slot::Nothing | Slot::Replace(_));
        let Some(key) = self.options.map.key(&piece.path)?.filter(|_| is_open) else { return Ok(()) };
        if self.uploads.set_part_count(piece.entry, piece.part.number) {
            let kind = Compressibility::Incompressible;
            let target = Target { entry: piece.entry, path: piece.path.clone(), key, file, kind };
            let _ = hands.large.send(Job::Finish(target));
        }
        Ok(())
    }

    /// Tells whether a task is still needed and its bytes are at hand; notes what is missing.
    fn is_at_hand(&self, packs: &[PackContent]) -> Result<bool, ImportError> {
        let mut needed = false;
        let mut skipped = false;
        for piece in packs.iter().flat_map(|content| &content.pieces) {
            needed |= self.is_needed(piece)?;
            skipped |= self.is_partial && matches!(self.slot(piece.entry)?, Slot::Skipped(_));
        }
        if !needed && !skipped {
            return Ok(false);
        }
        for content in packs {
            let Some(place) = content.pack.place else { return Ok(false) };
            let copies = self.volumes.copies(place.volume).map_err(crate::pipeline::bundle::BundleError::Media)?;
            if copies.is_empty() && self.spool.spare(content.number).is_none() {
                if needed {
                    self.outcome.facts().missing_volumes.insert(place.volume);
                }
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn is_needed(&self, piece: &Piece) -> Result<bool, ImportError> {
        if piece.file.is_none() || self.options.map.key(&piece.path)?.is_none() {
            return Ok(false);
        }
        if matches!(self.slot(piece.entry)?, Slot::Landed(_) | Slot::Skipped(_)) {
            return Ok(false);
        }
        Ok(!part_number(piece).is_some_and(|number| self.uploads.has_part(piece.entry, number)))
    }

    fn slot(&self, entry: u64) -> Result<Slot, ImportError> {
        let path = self.slots_path;
        self.slots.get(entry).map_err(|source| ImportError::State { path: path.to_owned(), source })
    }

    fn work(&self, tasks: &Receiver<Task>, hands: &Hands) {
        let mut unpacker = Unpacker::new();
        for task in tasks {
            if self.outcome.must_stop() {
                continue;
            }
            let Ok(bytes) = hands.buffers.recv() else { return };
            let mut buffer = RawBuffer { bytes, len: 0, home: hands.home.clone() };
            if let Err(error) = self.take(&task, &mut unpacker, &mut buffer).and_then(|unpacked| match unpacked {
                Some(unpacked) => self.hand_over(&task, &unpacked, buffer, hands),
                None => Ok(()),
            }) {
                self.outcome.fail(error);
            }
        }
    }

    /// Fills the buffer with the raw bytes of the task's packs; nothing where some of them have to wait.
    fn take(
        &self,
        task: &Task,
        unpacker: &mut Unpacker,
        buffer: &mut RawBuffer,
    ) -> Result<Option<Vec<Unpacked>>, ImportError> {
        let mut unpacked = Vec::with_capacity(task.packs.len());
        for content in &task.packs {
            let Some(place) = content.pack.place else { return Ok(None) };
            let start = buffer.len;
            buffer.len += content.raw_len as usize;
            if buffer.bytes.len() < buffer.len {
                buffer.bytes.resize(buffer.len, 0);
            }
            let raw = &mut buffer.bytes[start..buffer.len];
            let Some(one) = self.unpack(content, &place, unpacker, raw)? else {
                // The packs of a part wait together.
                task.packs.iter().try_for_each(|content| self.spool_from_media(content))?;
                return Ok(None);
            };
            unpacked.push(one);
        }
        Ok(Some(unpacked))
    }

    /// Tries every copy of the pack until one is whole; otherwise keeps the best of them. Nothing where
    /// the pack has to wait for what it refers to.
    fn unpack(
        &self,
        content: &PackContent,
        place: &Place,
        unpacker: &mut Unpacker,
        raw: &mut [u8],
    ) -> Result<Option<Unpacked>, ImportError> {
        let sources = self.sources(content, place)?;
        let mut best: Option<(usize, Arc<dyn PackSource>)> = None;
        let mut findings = Vec::new();
        for source in &sources {
            match self.attempt(content, place, (source.as_ref(), unpacker), raw)? {
                Attempt::Whole(unpacked) => {
                    for (at, finding) in findings {
                        let Finding { place, what, .. } = finding;
                        self.outcome.heal(format!("{place}: {what} at byte {at}; another copy is good"));
                    }
                    return Ok(Some(unpacked));
                }
                Attempt::Waits => return Ok(None),
                Attempt::Damaged(unpacked, damages) => {
                    let of =
                        |damage: &Damage| (damage.range.start, damage_finding(content, &source.describe(), damage));
                    findings.extend(damages.iter().map(of));
                    let bad_count = unpacked.bad_rows.iter().filter(|&&bad| bad).count();
                    if best.as_ref().is_none_or(|(fewest, _)| bad_count < *fewest) {
                        best = Some((bad_count, Arc::clone(source)));
                    }
                }
            }
        }
        for (at, finding) in findings {
            self.outcome.find((content.number, at), finding);
        }
        let Some((_, source)) = best else { return Ok(None) };
        // A later copy has overwritten what the best one gave.
        match self.attempt(content, place, (source.as_ref(), unpacker), raw)? {
            Attempt::Whole(unpacked) | Attempt::Damaged(unpacked, _) => Ok(Some(unpacked)),
            Attempt::Waits => Ok(None),
        }
    }

    fn attempt(
        &self,
        content: &PackContent,
        place: &Place,
        (source, unpacker): (&dyn PackSource, &mut Unpacker),
        raw: &mut [u8],
    ) -> Result<Attempt, ImportError> {
        let starts = row_starts(content);
        let proven = match read_index(source, place, content, Copies::FirstGood) {
            Ok(proven) => proven,
            Err(damage) => {
                let index = Index { frames: Vec::new(), sources: Vec::new() };
                let unpacked = Unpacked { index, starts, bad_rows: vec![true; content.rows.len()] };
                return Ok(Attempt::Damaged(unpacked, vec![damage]));
            }
        };
        if proven.is_from_copy {
            let (at, copy_at) = (place.offset, place.copy_offset());
            let file = source.describe();
            self.outcome.heal(format!("{file}: the index at byte {at} is damaged; its copy at {copy_at} is good"));
        }
        let mut damages = unpacker.decode_new(content, place, &proven.index, source, raw);
        if self.fill_references(content, place, (&proven.index, &starts), raw, &mut damages)? {
            return Ok(Attempt::Waits);
        }
        copy_repeats(content, &proven.index, &starts, raw);
        let bad_rows = spread(&proven.index, &damages);
        let unpacked = Unpacked { index: proven.index, starts, bad_rows };
        Ok(if damages.is_empty() { Attempt::Whole(unpacked) } else { Attempt::Damaged(unpacked, damages) })
    }

    fn sources(&self, content: &PackContent, place: &Place) -> Result<Vec<Arc<dyn PackSource>>, ImportError> {
        let copies = self.volumes.copies(place.volume).map_err(crate::pipeline::bundle::BundleError::Media)?;
        let media = copies.into_iter().map(|file| Arc::new(PackInVolume::new(file, *place)) as Arc<dyn PackSource>);
        Ok(media.chain(self.spool.spare(content.number)).collect())
    }

    /// Fills every reference of a pack; true where one can't be filled now and the pack has to wait.
    fn fill_references(
        &self,
        content: &PackContent,
        place: &Place,
        (index, starts): (&Index, &[usize]),
        raw: &mut [u8],
        damages: &mut Vec<Damage>,
    ) -> Result<bool, ImportError> {
        for run in reference_runs(index) {
            let target = &mut raw[starts[run.rows.start]..starts[run.rows.end]];
            let filled = self.resolver.check_run(content, &run).and_then(|located| {
                match self.resolver.fill_from_packs(content, &run, target) {
                    Err(error @ (ResolveError::Breach { .. } | ResolveError::Bundle(_))) => Err(error),
                    filled => Ok(filled.map_err(|error| (located, error))),
                }
            });
            match filled {
                Ok(Ok(())) => {}
                Ok(Err((located, error))) => {
                    if self.fill_from_objects(content, &run, &located, target)? {
                        continue;
                    }
                    match error {
                        ResolveError::Damaged(_) => damages.push(reference_damage(place, error, &run.rows)),
                        _ => return Ok(true),
                    }
                }
                Err(ResolveError::Bundle(error)) => return Err(error.into()),
                Err(error) => damages.push(reference_damage(place, error, &run.rows)),
            }
        }
        Ok(false)
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
            let key = self.options.map.key(&first.path)?;
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
        match self.store.read(key, range) {
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
        unpacked: &[Unpacked],
        buffer: RawBuffer,
        hands: &Hands,
    ) -> Result<(), ImportError> {
        let raw = Bytes::from_owner(buffer);
        let is_part = task.packs.len() > 1 || task.packs.iter().any(is_piece_of_large);
        let mut start = 0;
        if is_part {
            let is_bad = unpacked.iter().any(|one| one.bad_rows.contains(&true));
            let (Some(first), Some(last), Some(one)) = (task.packs.first(), task.packs.last(), unpacked.first()) else {
                return Ok(());
            };
            if let (false, Some(piece)) = (is_bad, last.pieces.first()) {
                self.hand_over_piece(last, piece, (raw, one.kind_of(&(0..first.rows.len()))), hands)?;
            }
        } else {
            for (content, one) in task.packs.iter().zip(unpacked) {
                for piece in &content.pieces {
                    let range = start + one.starts[piece.rows.start]..start + one.starts[piece.rows.end];
                    if !one.bad_rows[piece.rows.clone()].contains(&true) {
                        self.hand_over_piece(content, piece, (raw.slice(range), one.kind_of(&piece.rows)), hands)?;
                    }
                }
                start += content.raw_len as usize;
            }
        }
        self.keep_skipped(task)
    }

    fn hand_over_piece(
        &self,
        content: &PackContent,
        piece: &Piece,
        (bytes, kind): (Bytes, Compressibility),
        hands: &Hands,
    ) -> Result<(), ImportError> {
        let Some(file) = piece.file else { return Ok(()) };
        if !self.is_needed(piece)? {
            return Ok(());
        }
        let Some(key) = self.options.map.key(&piece.path)? else { return Ok(()) };
        let target = Target { entry: piece.entry, path: piece.path.clone(), key, file, kind };
        let Some(body) = prove(piece, &file, bytes) else {
            let place = content.pack.place;
            if let Some(place) = place {
                let rows = piece.rows.clone().map(|row| row as u32).collect();
                let fact = DamageFact::FileSha256 { path: piece.path.clone() };
                let damage = Damage { volume: place.volume, range: place.offset..place.end(), rows, fact };
                let finding = damage_finding(content, "the manifest", &damage);
                self.outcome.find((content.number, place.offset), finding);
            }
            return Ok(());
        };
        let job = match part_number(piece) {
            Some(number) => Job::Part(target, number, body),
            None => Job::File(target, body),
        };
        let is_large = matches!(job, Job::Part(..)) || file.len >= LARGE_LEN;
        let queue = if is_large { &hands.large } else { &hands.small };
        // A closed queue means that the run ends with an error that is noted already.
        let _ = queue.send(job);
        Ok(())
    }

    /// Spools packs of files that are skipped as foreign while later packs may refer to them.
    fn keep_skipped(&self, task: &Task) -> Result<(), ImportError> {
        if !self.is_partial {
            return Ok(());
        }
        for content in &task.packs {
            for piece in &content.pieces {
                if matches!(self.slot(piece.entry)?, Slot::Skipped(_)) {
                    self.spool_from_media(content)?;
                    break;
                }
            }
        }
        Ok(())
    }

    /// Puts a pack under the state prefix, from the first copy that is whole.
    fn spool_from_media(&self, content: &PackContent) -> Result<(), ImportError> {
        let Some(place) = content.pack.place else { return Ok(()) };
        if self.spool.spare(content.number).is_some() {
            self.outcome.facts().spooled.insert(content.number);
            return Ok(());
        }
        for source in self.sources(content, &place)? {
            if self.spool.keep(content, &place, source.as_ref())? {
                self.outcome.facts().spooled.insert(content.number);
                return Ok(());
            }
        }
        Ok(())
    }
}

/// What came of one copy of a pack.
enum Attempt {
    /// Every row is in the buffer, proven.
    Whole(Unpacked),
    /// Some rows can't be had from this copy.
    Damaged(Unpacked, Vec<Damage>),
    /// It refers to what can't be had now.
    Waits,
}

/// A pack whose raw bytes are in a buffer.
struct Unpacked {
    index: Index,
    starts: Vec<usize>,
    bad_rows: Vec<bool>,
}

impl Unpacked {
    /// Tells from the codec of the rows whether the server would compress them in vain.
    fn kind_of(&self, rows: &Range<usize>) -> Compressibility {
        let is_zstd = |source: &RowSource| match source {
            RowSource::New { frame } => {
                self.index.frames.get(*frame as usize).is_some_and(|frame| frame.codec == Codec::Zstd.id())
            }
            _ => false,
        };
        let compressible = self.index.sources.get(rows.clone()).is_some_and(|sources| sources.iter().any(is_zstd));
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
    let before = piece.part.before.clone();
    match &piece.part.after {
        Some(after) => Proven::part(bytes, before, after).ok(),
        None => Proven::last_part(bytes, before, &file.sha256).ok(),
    }
}
