//! Going on where an earlier run was stopped, without reading what it packed.

use super::error::PackError;
use super::journal::Line;
use super::read::Start;
use super::records::LogReader;
use super::sequence::{Sequencer, SequencerStart};
use super::state::{LOG_NAMES, State};
use super::stop_if_asked;
use crate::format::{EntryPath, Mark};
use crate::pipeline::progress::Progress;
use crate::pipeline::spill::ChunkIndex;
use crate::pipeline::walk::{EntryReader, SortedEntries, SourceEntry, SourceKind};

/// Where each stage goes on.
pub(super) struct Recovered {
    pub(super) sequencer: Sequencer,
    pub(super) start: Start,
    pub(super) mark: Option<Mark>,
}

/// Returns the beginning of everything.
pub(super) fn afresh(index: ChunkIndex) -> Recovered {
    Recovered { sequencer: Sequencer::new(index, SequencerStart::default()), start: Start::default(), mark: None }
}

/// Returns where to go on behind the volume of `line`.
///
/// Fails where an entry of a finished volume is not in `entries` as it was when it was packed.
pub(super) fn recover(
    state: &State,
    line: &Line,
    entries: &SortedEntries,
    mut index: ChunkIndex,
    progress: &dyn Progress,
) -> Result<Recovered, PackError> {
    let mut found = entries.iter();
    let mut log = LogReader::open(&state.machine, &state.path(LOG_NAMES[0]), line.logs[0].len)?;
    let mut rows = LogReader::open(&state.machine, &state.path(LOG_NAMES[1]), line.logs[1].len)?;
    let mut start = SequencerStart { ordinal: 0, file_ordinal: 0, root: String::new() };
    let mut count = 0;
    while let Some(record) = log.next_entry()? {
        stop_if_asked(count, progress)?;
        count += 1;
        confirm(&mut found, &record.source)?;
        begin_entry(&mut start, &mut index, &record.source.path);
        let mut rest_len = record.source.len;
        while rest_len > 0 {
            let row_len = learn(&mut start, &mut index, &mut rows)?.ok_or_else(|| rows.damaged())?;
            rest_len = rest_len.checked_sub(row_len).ok_or_else(|| rows.damaged())?;
        }
    }
    let position = &line.position;
    let mut reader_start = Start { entry: position.entry, offset: 0, part_offset: 0 };
    let mut mark = None;
    if let Some(file) = &position.file {
        let source = file.source().ok_or_else(|| log.damaged())?;
        confirm(&mut found, &source)?;
        begin_entry(&mut start, &mut index, &source.path);
        start.file_ordinal = file.file_ordinal;
        while learn(&mut start, &mut index, &mut rows)?.is_some() {}
        let behind = file.mark().ok_or_else(|| log.damaged())?;
        (reader_start.offset, reader_start.part_offset) = (behind.offset(), file.part_offset);
        mark = Some(behind);
    }
    if start.ordinal != position.ordinal {
        return Err(rows.damaged());
    }
    Ok(Recovered { sequencer: Sequencer::new(index, start), start: reader_start, mark })
}

/// Compares the next entry that the walk found with one that was packed.
fn confirm(found: &mut EntryReader, packed: &SourceEntry) -> Result<(), PackError> {
    let next = found.next().transpose()?;
    let is_same = next.as_ref().is_some_and(|next| match packed.kind {
        SourceKind::File => next.is_unchanged_since(packed),
        // The times of a directory say nothing: it is there and has no entry.
        SourceKind::Directory => next.kind == SourceKind::Directory && next.path == packed.path,
    });
    if is_same {
        return Ok(());
    }
    // Whatever comes first was added, removed or changed.
    let path = next.map_or(packed.path.clone(), |next| next.path.min(packed.path.clone()));
    Err(PackError::ChangedSince { path })
}

fn begin_entry(start: &mut SequencerStart, index: &mut ChunkIndex, path: &EntryPath) {
    if path.root() != start.root {
        index.clear();
        start.root = path.root().to_owned();
    }
}

/// Takes the next row of the log; returns its length in bytes.
fn learn(start: &mut SequencerStart, index: &mut ChunkIndex, rows: &mut LogReader) -> Result<Option<u64>, PackError> {
    let Some((row, is_carrier)) = rows.next_row()? else { return Ok(None) };
    if is_carrier {
        index.insert(row.digest, start.ordinal)?;
    }
    start.ordinal += 1;
    Ok(Some(u64::from(row.len)))
}
