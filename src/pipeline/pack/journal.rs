//! The journal: one line for each finished volume, from which a repeated run goes on.

use super::Figures;
use super::error::PackError;
use super::records::LogState;
use crate::format::{Digest, EntryPath, Mark};
use crate::machine::{Machine, MachineFile};
use crate::pipeline::walk::{SourceEntry, SourceKind, Stamp};
use serde::{Deserialize, Serialize};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// What was done when a volume was finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Line {
    /// The number of the volume.
    pub(super) volume: u32,
    /// Its length in bytes.
    pub(super) volume_len: u64,
    /// The logs of entries, rows, marks and packs.
    pub(super) logs: [LogState; 4],
    /// What comes next.
    pub(super) position: Position,
    /// What has been counted.
    pub(super) figures: Figures,
    /// Whether this is the last volume.
    pub(super) is_last: bool,
}

/// A place in the source: which entry comes next, and how much of it is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// Index of the entry.
    pub(super) entry: u64,
    /// The ordinal of the next row.
    pub(super) ordinal: u64,
    /// Set in a file of several parts.
    pub(super) file: Option<OpenFile>,
}

/// A file of several parts that is packed up to some place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OpenFile {
    /// Bytes of its current part that are done.
    pub(super) part_offset: u64,
    /// The ordinal of its first row.
    pub(super) file_ordinal: u64,
    path: String,
    len: u64,
    stamp: [u64; 4],
    words: [u32; 8],
    tail: Vec<u8>,
    offset: u64,
}

impl OpenFile {
    pub(super) fn new(source: &SourceEntry, mark: &Mark, part_offset: u64, file_ordinal: u64) -> OpenFile {
        let stamp = &source.stamp;
        OpenFile {
            part_offset,
            file_ordinal,
            path: source.path.as_str().to_owned(),
            len: source.len,
            stamp: [stamp.mtime_ns as u64, stamp.ctime_ns as u64, stamp.inode, stamp.device],
            words: *mark.words(),
            tail: mark.tail().to_vec(),
            offset: mark.offset(),
        }
    }

    /// Returns the file as it was listed.
    pub(super) fn source(&self) -> Option<SourceEntry> {
        let path = EntryPath::parse(self.path.as_bytes()).ok()?;
        let [mtime_ns, ctime_ns, inode, device] = self.stamp;
        let stamp = Stamp { mtime_ns: mtime_ns as i64, ctime_ns: ctime_ns as i64, inode, device };
        Some(SourceEntry { path, kind: SourceKind::File, len: self.len, stamp })
    }

    /// Returns the mark behind what is done.
    pub(super) fn mark(&self) -> Option<Mark> {
        Mark::from_parts(self.words, &self.tail, self.offset)
    }
}

/// The journal of a bundle that is being packed.
pub(super) struct Journal {
    file: MachineFile,
    path: PathBuf,
}

impl Journal {
    /// Opens the journal and returns its lines up to the first that is not whole, which goes with all
    /// behind it: the next line has to begin where the last whole one ends.
    pub(super) fn open(machine: &Machine, path: &Path) -> Result<(Journal, Vec<Line>), PackError> {
        let failed = PackError::io("open", path);
        let mut file = machine.open(path, 0o600).map_err(&failed)?;
        let text = machine.read(path).map_err(&failed)?.unwrap_or_default();
        let mut whole_len = 0;
        let mut lines = Vec::new();
        for bytes in text.split_inclusive(|&byte| byte == b'\n') {
            let Some(line) = decode(bytes) else { break };
            lines.push(line);
            whole_len += bytes.len() as u64;
        }
        file.set_len(whole_len).map_err(PackError::io("write", path))?;
        Ok((Journal { file, path: path.to_owned() }, lines))
    }

    /// Keeps only these lines.
    pub(super) fn rewrite(&mut self, lines: &[Line]) -> Result<(), PackError> {
        let bytes: Vec<u8> = lines.iter().flat_map(encode).collect();
        let written = self.file.set_len(0).and_then(|()| self.file.write_all(&bytes));
        self.sync(written)
    }

    /// Appends a line and makes it durable.
    pub(super) fn append(&mut self, line: &Line) -> Result<(), PackError> {
        let written = self.file.write_all(&encode(line));
        self.sync(written)
    }

    fn sync(&self, written: io::Result<()>) -> Result<(), PackError> {
        written.and_then(|()| self.file.sync()).map_err(PackError::io("write", &self.path))
    }
}

fn encode(line: &Line) -> Vec<u8> {
    // Numbers, texts and lists always serialise.
    encode_text(&serde_json::to_vec(line).unwrap_or_default())
}

/// A line is the digest of its text, a space, its text and a newline.
pub(super) fn encode_text(text: &[u8]) -> Vec<u8> {
    [Digest::of(text).to_string().as_bytes(), b" ", text, b"\n"].concat()
}

fn decode(bytes: &[u8]) -> Option<Line> {
    let (digest, text) = bytes.strip_suffix(b"\n")?.split_at_checked(64)?;
    let text = text.strip_prefix(b" ")?;
    let is_whole = Digest::from_hex(std::str::from_utf8(digest).ok()?) == Some(Digest::of(text));
    is_whole.then(|| serde_json::from_slice(text).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(volume: u32) -> Line {
        let mark = {
            let mut mark = Mark::start();
            mark.update(&[7; 100]);
            mark
        };
        let source = SourceEntry {
            path: EntryPath::parse("m/é \"x".as_bytes()).expect("a path"),
            kind: SourceKind::File,
            len: u64::MAX >> 20,
            stamp: Stamp { mtime_ns: -5, ctime_ns: i64::MAX, inode: u64::MAX, device: 1 },
        };
        let file = OpenFile::new(&source, &mark, 3, 4);
        assert_eq!((file.source(), file.mark()), (Some(source), Some(mark)));
        let logs = [0, 1, 2, 3].map(|len| LogState { len, digest: Digest::of(&[len as u8]) });
        let position = Position { entry: 5, ordinal: 6, file: Some(file) };
        Line { volume, volume_len: 9, logs, position, figures: Figures::default(), is_last: false }
    }

    fn lines_of(bytes: &[u8]) -> Vec<Line> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("journal");
        std::fs::write(&path, bytes).expect("written");
        let (mut journal, lines) = Journal::open(&Machine::default(), &path).expect("opened");
        // Whatever was torn off, the next line stands by itself.
        journal.append(&line(99)).expect("appended");
        let (_, again) = Journal::open(&Machine::default(), &path).expect("opened again");
        assert_eq!(again.len(), lines.len() + 1);
        lines
    }

    #[test]
    fn counts_whole_lines_wherever_it_is_cut() {
        let lines = [line(1), line(2), line(3)];
        let bytes: Vec<u8> = lines.iter().flat_map(encode).collect();
        assert_eq!(lines_of(&bytes), lines);
        let line_len = bytes.len() / 3;
        for len in (0..bytes.len()).step_by(7) {
            assert_eq!(lines_of(&bytes[..len]), lines[..len / line_len], "{len}");
        }
    }

    #[test]
    fn counts_nothing_from_a_flipped_bit_on() {
        let lines = [line(1), line(2), line(3)];
        let bytes: Vec<u8> = lines.iter().flat_map(encode).collect();
        let line_len = bytes.len() / 3;
        for place in (0..bytes.len()).step_by(11) {
            let mut changed = bytes.clone();
            changed[place] ^= 1 << (place % 8);
            assert_eq!(lines_of(&changed), lines[..place / line_len], "{place}");
        }
    }
}
