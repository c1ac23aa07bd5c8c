//! What the program wrote to a file: noise by its place, all else as it is.

use crate::noise::Place;
use crate::tree::{Entry, Tree};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Bytes kept in memory before they go to a file.
const KEPT_LEN_MAX: usize = 16 << 10;
/// Bytes compared at once.
const COMPARED_LEN: usize = 64 << 10;

/// A file that is written from its start to its end.
#[derive(Debug, Default)]
pub(crate) struct Written {
    len: u64,
    spans: Vec<Span>,
    kept: Kept,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    start: u64,
    len: u64,
    source: Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Noise(Place),
    /// At this offset of what is kept.
    Kept(u64),
}

/// Bytes that are not noise.
#[derive(Debug, Default)]
struct Kept {
    memory: Vec<u8>,
    file: Option<File>,
    len: u64,
}

impl Written {
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// Fails where the scratch directory has no room.
    pub(crate) fn append(&mut self, mut bytes: &[u8], scratch: &Path) -> io::Result<()> {
        if let Some(Span { len, source: Source::Noise(place), .. }) = self.spans.last() {
            let place = place.behind(*len);
            let (noise, rest) = bytes.split_at(place.matching_len(bytes));
            self.push(noise.len() as u64, Source::Noise(place));
            bytes = rest;
        }
        while !bytes.is_empty() {
            let found = (0..bytes.len()).find_map(|start| Place::of(&bytes[start..]).map(|place| (start, place)));
            let (kept, rest) = bytes.split_at(found.map_or(bytes.len(), |(start, _)| start));
            self.keep(kept, scratch)?;
            bytes = rest;
            if let Some((_, place)) = found {
                // What says that it is noise counts only as far as it is; and the search has to go on.
                let len = place.matching_len(bytes);
                self.push(len as u64, Source::Noise(place));
                bytes = &bytes[len..];
            }
        }
        Ok(())
    }

    /// Appends a range of another file.
    ///
    /// # Errors
    /// As [`Written::append`].
    pub(crate) fn append_from(&mut self, other: &Written, start: u64, len: u64, scratch: &Path) -> io::Result<u64> {
        let end = other.len.min(start.saturating_add(len));
        let mut done = start;
        while done < end {
            let Some((source, rest_len)) = other.source_at(done) else { break };
            let len = rest_len.min(end - done);
            match source {
                Source::Noise(_) => self.push(len, source),
                Source::Kept(offset) => {
                    let mut bytes = vec![0; len as usize];
                    other.kept.read(offset, &mut bytes)?;
                    self.keep(&bytes, scratch)?;
                }
            }
            done += len;
        }
        Ok(done - start)
    }

    /// Fills `bytes` from `start` on, as far as the file goes; returns how many bytes that is.
    ///
    /// # Errors
    /// Fails where the scratch directory does.
    pub(crate) fn read(&self, start: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < bytes.len() {
            let Some((source, rest_len)) = self.source_at(start + done as u64) else { break };
            let len = rest_len.min((bytes.len() - done) as u64) as usize;
            let into = &mut bytes[done..done + len];
            match source {
                Source::Noise(place) => place.fill(into),
                Source::Kept(offset) => self.kept.read(offset, into)?,
            }
            done += len;
        }
        Ok(done)
    }

    /// Tells whether this is the file of a tree, byte for byte.
    ///
    /// # Errors
    /// As [`Written::read`].
    pub(crate) fn is(&self, tree: &Tree, entry: Entry) -> io::Result<bool> {
        if tree.len(entry) != Some(self.len) {
            return Ok(false);
        }
        let (mut found, mut due) = (vec![0; COMPARED_LEN], vec![0; COMPARED_LEN]);
        let mut offset = 0;
        while let Some((source, len)) = self.source_at(offset) {
            let same_len = match (source, tree.noise_at(entry, offset)) {
                (Source::Noise(place), Some((due, due_len))) if place == due => len.min(due_len),
                _ => 0,
            };
            if same_len > 0 {
                offset += same_len;
                continue;
            }
            let len = len.min(COMPARED_LEN as u64) as usize;
            let (found, due) = (&mut found[..len], &mut due[..len]);
            self.read(offset, found)?;
            tree.read(entry, offset, due);
            if found != due {
                return Ok(false);
            }
            offset += len as u64;
        }
        Ok(offset == self.len)
    }

    fn source_at(&self, offset: u64) -> Option<(Source, u64)> {
        let index = self.spans.partition_point(|span| span.start + span.len <= offset);
        let span = self.spans.get(index)?;
        let skipped_len = offset - span.start;
        Some((span.source.behind(skipped_len), span.len - skipped_len))
    }

    fn push(&mut self, len: u64, source: Source) {
        match self.spans.last_mut() {
            _ if len == 0 => {}
            Some(last) if last.source.behind(last.len) == source => last.len += len,
            _ => self.spans.push(Span { start: self.len, len, source }),
        }
        self.len += len;
    }

    fn keep(&mut self, bytes: &[u8], scratch: &Path) -> io::Result<()> {
        let offset = self.kept.append(bytes, scratch)?;
        self.push(bytes.len() as u64, Source::Kept(offset));
        Ok(())
    }
}

impl Source {
    fn behind(self, len: u64) -> Source {
        match self {
            Source::Noise(place) => Source::Noise(place.behind(len)),
            Source::Kept(offset) => Source::Kept(offset + len),
        }
    }
}

impl Kept {
    /// Appends bytes and returns where they are.
    fn append(&mut self, bytes: &[u8], scratch: &Path) -> io::Result<u64> {
        let offset = self.len;
        if self.file.is_none() && self.memory.len() + bytes.len() > KEPT_LEN_MAX {
            let file = tempfile::tempfile_in(scratch)?;
            file.write_all_at(&self.memory, 0)?;
            self.file = Some(file);
            self.memory = Vec::new();
        }
        match &self.file {
            Some(file) => file.write_all_at(bytes, offset)?,
            None => self.memory.extend_from_slice(bytes),
        }
        self.len += bytes.len() as u64;
        Ok(offset)
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        match &self.file {
            Some(file) => file.read_exact_at(bytes, offset),
            None => {
                bytes.copy_from_slice(&self.memory[offset as usize..][..bytes.len()]);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(written: &Written) -> Vec<u8> {
        let mut bytes = vec![0; written.len() as usize];
        assert_eq!(written.read(0, &mut bytes).expect("read"), bytes.len());
        bytes
    }

    #[test]
    fn what_was_written_in_any_steps_is_read_back_and_noise_is_not_kept() {
        let scratch = tempfile::tempdir().expect("a directory");
        let mut bytes: Vec<u8> = (0..40_000_u32).map(|number| (number % 251) as u8).collect();
        let mut noise = vec![0; 300_000];
        Place { seed: 3, offset: 640 }.fill(&mut noise);
        bytes.extend_from_slice(&noise);
        bytes.extend_from_slice(&[7; 100]);
        bytes.extend_from_slice(&noise[64_000..]);
        for step_len in [997, 65_536, 1 << 20] {
            let mut written = Written::default();
            bytes.chunks(step_len).for_each(|step| written.append(step, scratch.path()).expect("written"));
            assert_eq!(read_all(&written), bytes);
            assert!(written.kept.len < 40_300);
            let mut copy = Written::default();
            copy.append_from(&written, 0, 50_000, scratch.path()).expect("copied");
            copy.append_from(&written, 50_000, u64::MAX, scratch.path()).expect("copied");
            assert_eq!(read_all(&copy), bytes);
        }
    }

    #[test]
    fn a_changed_byte_makes_it_another_file() {
        let scratch = tempfile::tempdir().expect("a directory");
        let tree = Tree::models(1, 500_000_000);
        let len = tree.len(Entry::Model(0)).expect("a model");
        for changed in [None, Some(100), Some(len / 2)] {
            let (mut written, mut bytes) = (Written::default(), vec![0; 1 << 20]);
            for start in (0..len).step_by(1 << 20) {
                let step = &mut bytes[..(len - start).min(1 << 20) as usize];
                tree.read(Entry::Model(0), start, step);
                if let Some(byte) = changed.and_then(|at: u64| step.get_mut(at.checked_sub(start)? as usize)) {
                    *byte ^= 1;
                }
                written.append(step, scratch.path()).expect("written");
            }
            assert_eq!(written.is(&tree, Entry::Model(0)).expect("compared"), changed.is_none());
        }
    }
}
