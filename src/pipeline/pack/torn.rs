//! The readers of a packer's own state, for the fuzz targets: what a crash or a full disk left there
//! is read again.

#![expect(clippy::expect_used, reason = "a fuzz target says what it expects by failing there")]

use super::journal::{Journal, Line, encode_text};
use super::records::LogReader;
use crate::machine::Machine;
use std::fs;
use std::path::Path;

/// Opens a journal of these bytes, in which a line that begins with `+` is given its digest, and proves
/// that a line appended behind what counts is the last that counts.
pub fn journal(path: &Path, bytes: &[u8]) {
    let framed = bytes.split_inclusive(|&byte| byte == b'\n').flat_map(|line| match line.strip_prefix(b"+") {
        Some(text) => encode_text(text.strip_suffix(b"\n").unwrap_or(text)),
        None => line.to_vec(),
    });
    fs::write(path, framed.collect::<Vec<u8>>()).expect("written");
    let (mut journal, mut lines) = Journal::open(&Machine::default(), path).expect("opened");
    for file in lines.iter().filter_map(|line: &Line| line.position.file.as_ref()) {
        if let (Some(source), Some(mark)) = (file.source(), file.mark()) {
            assert_eq!((mark.offset() % 64) as usize, mark.tail().len());
            assert!(source.path.as_str().contains('/'));
        }
    }
    if let Some(line) = lines.first().cloned() {
        journal.append(&line).expect("appended");
        lines.push(line);
        let (_, again) = Journal::open(&Machine::default(), path).expect("opened again");
        assert_eq!(again, lines);
    }
}

/// Reads these bytes as each of the four logs, up to their end or the first record that is none.
pub fn logs(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("written");
    let open = || LogReader::open(&Machine::default(), path, bytes.len() as u64).expect("opened");
    let (mut entries, mut rows, mut marks, mut packs) = (open(), open(), open(), open());
    let mut entry_count = 0;
    while let Ok(Some(_)) = entries.next_entry() {
        entry_count += 1;
    }
    assert!(entry_count <= bytes.len() / 64, "an entry takes more bytes than that");
    while let Ok(Some(_)) = rows.next_row() {}
    while let Ok(Some(mark)) = marks.next_mark() {
        assert_eq!((mark.offset() % 64) as usize, mark.tail().len());
    }
    while let Ok(Some(pack)) = packs.next_pack() {
        assert!(pack.place.is_some());
    }
}
