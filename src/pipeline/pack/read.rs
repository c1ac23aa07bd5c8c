//! The reader: files in manifest order, cut, into units.

use super::Stop;
use super::error::PackError;
use super::unit::{Buffer, PieceFacts, Unit, UnitEntry};
use crate::chunking::{Cutter, SINGLE_LEN_MAX};
use crate::format::EntryPath;
use crate::format::limits::PACK_RAW_LEN;
use crate::format::manifest::Profile;
use crate::pipeline::progress::Progress;
use crate::pipeline::walk::{EntryReader, Roots, SourceEntry, SourceFile, SourceKind, WalkError};
use crate::plan::packs::{End, Pieces, Run};
use crossbeam_channel::{Receiver, Sender};
use rayon::ThreadPool;
use rayon::prelude::*;
use std::io;
use std::os::unix::fs::FileExt as _;

/// Bytes asked for at once from a file that is cut while it is read.
const READ_LEN: usize = 1 << 20;
/// Entries between two reports of progress.
const PROGRESS_STEP: u64 = 64;
/// Small entries that are read at once, and their bytes.
const BATCH_COUNT: usize = 512;
const BATCH_LEN: usize = 4 << 20;
/// Small files that one thread reads before another takes some of them.
const READS_A_TASK: usize = 16;

/// Where reading begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Start {
    /// Index of the entry.
    pub(super) entry: u64,
    /// Bytes of the file that are done; above 0 only in a file of several parts.
    pub(super) offset: u64,
    /// Bytes of its current part that are done.
    pub(super) part_offset: u64,
}

/// Reads entries into units.
pub(super) struct Reader<'a> {
    roots: &'a Roots,
    pool: &'a ThreadPool,
    progress: &'a dyn Progress,
    /// Empty buffers come from here.
    buffers: Receiver<Buffer>,
    /// Units go here; nothing tells that the last one has gone.
    units: Sender<Option<Unit>>,
    /// What the run holds, the batch included.
    run: Run,
    unit: Option<Unit>,
    /// The last entries of the run, not read yet.
    batch: Vec<SourceEntry>,
    batch_len: usize,
    next_entry: u64,
    /// Bytes and entries that are done and not reported.
    unreported: (u64, u64),
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        roots: &'a Roots,
        pool: &'a ThreadPool,
        progress: &'a dyn Progress,
        buffers: Receiver<Buffer>,
        units: Sender<Option<Unit>>,
    ) -> Reader<'a> {
        Reader {
            roots,
            pool,
            progress,
            buffers,
            units,
            run: Run::default(),
            unit: None,
            batch: Vec::new(),
            batch_len: 0,
            next_entry: 0,
            unreported: (0, 0),
        }
    }

    /// Reads all entries from the start on; `entries` begin with the entry of the start.
    pub(super) fn read(mut self, entries: EntryReader, start: Start) -> Result<(), Stop> {
        self.next_entry = start.entry;
        let mut start = Some(start).filter(|start| start.offset > 0);
        for entry in entries {
            let entry = entry.map_err(PackError::Walk)?;
            match (entry.kind, entry.len) {
                (SourceKind::Directory, _) | (SourceKind::File, 0..=SINGLE_LEN_MAX) => self.add_small(entry)?,
                (SourceKind::File, ..=PACK_RAW_LEN) => self.add_file(entry)?,
                (SourceKind::File, _) => self.read_large(&entry, start.take())?,
            }
            self.next_entry += 1;
        }
        self.end_run()?;
        self.report_all();
        self.units.send(None).map_err(|_| Stop::Elsewhere)
    }

    /// Adds a directory, or a file of one chunk at most: they are read several at a time.
    fn add_small(&mut self, source: SourceEntry) -> Result<(), Stop> {
        let row_count = u32::from(source.len > 0);
        self.make_room(source.len, row_count)?;
        self.unit()?;
        self.run = self.run.with(source.len, row_count).unwrap_or_default();
        self.batch_len += source.len as usize;
        self.batch.push(source);
        let is_full = self.batch_len >= BATCH_LEN || self.batch.len() >= BATCH_COUNT;
        if is_full { self.read_batch() } else { Ok(()) }
    }

    /// Reads the entries of the batch with the threads of the pool: opening costs most of it.
    fn read_batch(&mut self) -> Result<(), Stop> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.check_cancelled()?;
        let (batch, batch_len) = (std::mem::take(&mut self.batch), std::mem::take(&mut self.batch_len));
        let (pool, roots) = (self.pool, self.roots);
        let unit = self.unit()?;
        let mut rest = &mut unit.buffer.bytes_mut()[unit.raw_len..][..batch_len];
        let mut reads = Vec::with_capacity(batch.len());
        for source in &batch {
            let (bytes, behind) = rest.split_at_mut(source.len as usize);
            rest = behind;
            reads.push((source, bytes));
        }
        let read = |(source, bytes): &mut (&SourceEntry, &mut [u8])| match source.kind {
            SourceKind::Directory => Ok(()),
            SourceKind::File => read_whole(roots, source, bytes),
        };
        pool.install(|| reads.par_iter_mut().with_min_len(READS_A_TASK).try_for_each(read))?;
        for (source, bytes) in reads {
            unit.chunks.extend(Cutter::new(source.len).next(bytes));
        }
        unit.raw_len += batch_len;
        let count = batch.len() as u64;
        unit.entries.extend(batch.into_iter().map(|source| {
            let row_count = u32::from(source.len > 0);
            UnitEntry { source, profile: Profile::Single, row_count }
        }));
        self.report(batch_len as u64, count);
        Ok(())
    }

    /// Adds a file of several chunks that shares a pack.
    fn add_file(&mut self, source: SourceEntry) -> Result<(), Stop> {
        self.make_room(source.len, 1)?;
        self.read_batch()?;
        self.check_cancelled()?;
        let (roots, len) = (self.roots, source.len as usize);
        let unit = self.unit()?;
        let (start, first_chunk) = (unit.raw_len, unit.chunks.len());
        let bytes = &mut unit.buffer.bytes_mut()[start..start + len];
        read_whole(roots, &source, bytes)?;
        let mut cutter = Cutter::new(source.len);
        let mut rest: &[u8] = bytes;
        while let Some(chunk) = cutter.next(rest) {
            rest = &rest[chunk.len as usize..];
            unit.chunks.push(chunk);
        }
        let row_count = (unit.chunks.len() - first_chunk) as u32;
        let profile = cutter.profile().unwrap_or(Profile::Single);
        if self.run.with(source.len, row_count).is_none() {
            self.carry_over(start..start + len, first_chunk)?;
        }
        self.run = self.run.with(source.len, row_count).unwrap_or_default();
        let unit = self.unit()?;
        unit.raw_len += len;
        unit.entries.push(UnitEntry { source, profile, row_count });
        self.report(len as u64, 1);
        Ok(())
    }

    /// Ends the run before a file that was read to its end and has too many rows for it.
    fn carry_over(&mut self, bytes: std::ops::Range<usize>, first_chunk: usize) -> Result<(), Stop> {
        let Some(mut full) = self.unit.take() else { return Ok(()) };
        let mut next = self.new_unit()?;
        next.buffer.bytes_mut()[..bytes.len()].copy_from_slice(&full.buffer.bytes()[bytes]);
        next.chunks = full.chunks.split_off(first_chunk);
        self.send(full)?;
        self.run = Run::default();
        self.unit = Some(next);
        Ok(())
    }

    /// Reads a file of more than 32 MiB, or what is left of it.
    fn read_large(&mut self, source: &SourceEntry, start: Option<Start>) -> Result<(), Stop> {
        self.end_run()?;
        self.progress.now_at(source.path.as_str());
        let file = self.open(source)?;
        let start = start.unwrap_or_default();
        let mut cutter = Cutter::new(source.len);
        let mut pieces = Pieces::new(source.len, start.offset, start.part_offset);
        let mut unit = self.new_unit()?;
        if start.offset > 0 {
            skip(&mut cutter, &file, source, &mut unit.buffer, start.offset)?;
        }
        let mut filled = Filled { file: &file, source, len: 0, offset: start.offset };
        let (mut piece_offset, mut part_offset) = (start.offset, start.part_offset);
        while !cutter.is_done() {
            let wanted = unit.raw_len + cutter.wants();
            let read_len = filled.fill(&mut unit.buffer, wanted)?;
            self.report(read_len, 0);
            let Some(chunk) = cutter.next(&unit.buffer.bytes()[unit.raw_len..filled.len]) else { continue };
            unit.chunks.push(chunk);
            unit.raw_len += chunk.len as usize;
            let end = pieces.add(chunk.len);
            if end == End::Nothing {
                continue;
            }
            let ends_file = end == End::File;
            if ends_file {
                file.confirm_unchanged().map_err(PackError::Walk)?;
            }
            let next = if ends_file { None } else { Some(self.next_piece(&unit, &mut filled)?) };
            let row_count = unit.chunks.len() as u32;
            let profile = cutter.profile().unwrap_or(Profile::Single);
            unit.entries.push(UnitEntry { source: source.clone(), profile, row_count });
            // A file whose first part is all of it is no piece but a run of its own (F-52).
            unit.piece = (piece_offset > 0 || !ends_file).then_some(PieceFacts {
                offset: piece_offset,
                part_offset,
                ends_part: end != End::Pack,
                ends_file,
            });
            (piece_offset, part_offset) = (pieces.offset(), pieces.part_len());
            self.send(unit)?;
            let Some(next) = next else { break };
            unit = next;
        }
        self.report(0, 1);
        Ok(())
    }

    /// Returns a unit that begins with what was read behind the last cut of `unit`.
    fn next_piece(&mut self, unit: &Unit, filled: &mut Filled<'_>) -> Result<Unit, Stop> {
        let mut next = self.new_unit()?;
        let tail = &unit.buffer.bytes()[unit.raw_len..filled.len];
        next.buffer.grow(tail.len());
        next.buffer.bytes_mut()[..tail.len()].copy_from_slice(tail);
        filled.len = tail.len();
        Ok(next)
    }

    fn open(&self, source: &SourceEntry) -> Result<SourceFile, Stop> {
        self.check_cancelled()?;
        Ok(self.roots.open_file(source).map_err(PackError::Walk)?)
    }

    /// Ends the run where it has no room for an entry.
    fn make_room(&mut self, raw_len: u64, row_count: u32) -> Result<(), Stop> {
        if self.run.with(raw_len, row_count).is_some() { Ok(()) } else { self.end_run() }
    }

    fn end_run(&mut self) -> Result<(), Stop> {
        self.read_batch()?;
        self.run = Run::default();
        self.unit.take().map_or(Ok(()), |unit| self.send(unit))
    }

    /// Returns the unit of the run, a new one where there is none.
    fn unit(&mut self) -> Result<&mut Unit, Stop> {
        let unit = match self.unit.take() {
            Some(unit) => unit,
            None => self.new_unit()?,
        };
        Ok(self.unit.insert(unit))
    }

    fn new_unit(&self) -> Result<Unit, Stop> {
        self.check_cancelled()?;
        let buffer = self.buffers.recv().map_err(|_| Stop::Elsewhere)?;
        let (entries, chunks) = (Vec::new(), Vec::new());
        Ok(Unit { first_entry: self.next_entry, entries, piece: None, chunks, buffer, raw_len: 0 })
    }

    fn check_cancelled(&self) -> Result<(), Stop> {
        if self.progress.is_cancelled() { Err(PackError::Stopped.into()) } else { Ok(()) }
    }

    fn send(&self, unit: Unit) -> Result<(), Stop> {
        self.units.send(Some(unit)).map_err(|_| Stop::Elsewhere)
    }

    /// Reports what was read, when it is enough.
    fn report(&mut self, len: u64, count: u64) {
        self.unreported = (self.unreported.0 + len, self.unreported.1 + count);
        if self.unreported.0 >= READ_LEN as u64 || self.unreported.1 >= PROGRESS_STEP {
            self.report_all();
        }
    }

    fn report_all(&mut self) {
        let (len, count) = std::mem::take(&mut self.unreported);
        self.progress.advance(len, count);
    }
}

/// What is in a buffer of a file that is read from start to end.
struct Filled<'a> {
    file: &'a SourceFile,
    source: &'a SourceEntry,
    /// Bytes in the buffer.
    len: usize,
    /// Bytes of the file that were read.
    offset: u64,
}

impl Filled<'_> {
    /// Reads until the buffer has `wanted` bytes; returns how many were read.
    fn fill(&mut self, buffer: &mut Buffer, wanted: usize) -> Result<u64, Stop> {
        let len_before = self.len;
        while self.len < wanted {
            buffer.grow(wanted);
            let rest_len = usize::try_from(self.source.len - self.offset).unwrap_or(usize::MAX);
            let len = READ_LEN.min(rest_len).min(buffer.len() - self.len);
            let bytes = &mut buffer.bytes_mut()[self.len..self.len + len];
            read_exact_at(self.file, &self.source.path, bytes, self.offset)?;
            self.len += len;
            self.offset += len as u64;
        }
        Ok((self.len - len_before) as u64)
    }
}

/// Brings a cutter behind a cut that an earlier run of this program made. It has to see the start of
/// the file again to know the tensors.
fn skip(
    cutter: &mut Cutter,
    file: &SourceFile,
    source: &SourceEntry,
    buffer: &mut Buffer,
    offset: u64,
) -> Result<(), Stop> {
    loop {
        let wanted = cutter.wants();
        buffer.grow(wanted);
        let head = &mut buffer.bytes_mut()[..wanted];
        read_exact_at(file, &source.path, head, 0)?;
        if cutter.next(head).is_some() {
            break;
        }
    }
    cutter.skip_to(offset);
    Ok(())
}

/// Reads a file whose length is that of `bytes`.
fn read_whole(roots: &Roots, source: &SourceEntry, bytes: &mut [u8]) -> Result<(), Stop> {
    let file = roots.open_file(source).map_err(PackError::Walk)?;
    read_exact_at(&file, &source.path, bytes, 0)?;
    Ok(file.confirm_unchanged().map_err(PackError::Walk)?)
}

/// Fills `bytes` from a file at `offset`; a file that ends before has changed.
fn read_exact_at(file: &SourceFile, path: &EntryPath, bytes: &mut [u8], offset: u64) -> Result<(), Stop> {
    let path = || path.as_bytes().to_vec();
    match file.file().read_exact_at(bytes, offset) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(PackError::Walk(WalkError::Changed { path: path() }).into())
        }
        Err(source) => Err(PackError::Walk(WalkError::CannotRead { path: path(), source }).into()),
    }
}
