//! The record of which medium has which volumes, kept beside the bundle: media come one at a time.

use super::WriteError;
use crate::format::packs::VolumeNumber;
use crate::format::{Digest, Head};
use crate::machine::Machine;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const FORMAT: &str = "airlift-written-1";
/// Longest record that is read, in bytes: every volume number that there is takes less.
const RECORD_LEN_MAX: u64 = 64 << 20;

/// Where the volumes of one bundle went.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    /// What says which bundle it is of.
    bundle: Identity,
    media: Vec<MediumRecord>,
}

/// Which bundle a record is of: the digest of its head; stream and counter are for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    stream: String,
    counter: u64,
    head: String,
}

/// What one medium has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MediumRecord {
    /// Where it was mounted.
    pub(super) path: String,
    /// The volumes on it.
    pub(super) volumes: BTreeSet<VolumeNumber>,
}

/// The record as its file has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordFile {
    format: String,
    stream: String,
    counter: u64,
    head: String,
    media: Vec<MediumFacts>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MediumFacts {
    path: String,
    volumes: Vec<u32>,
}

impl Record {
    /// Returns a record that says nothing yet.
    pub(super) fn empty(path: &Path, head: &Head) -> Record {
        let bundle = Identity {
            stream: head.stream.as_str().to_owned(),
            counter: head.counter,
            head: Digest::of(&head.encode()).to_string(),
        };
        Record { path: path.to_owned(), bundle, media: Vec::new() }
    }

    /// Reads the record of a bundle; where there is no file it says nothing yet.
    ///
    /// # Errors
    /// The file is of another bundle, or no record.
    pub(super) fn read(machine: &Machine, path: &Path, head: &Head) -> Result<Record, WriteError> {
        let empty = Record::empty(path, head);
        let no_record = || WriteError::NoRecord { path: path.to_owned() };
        if path.metadata().is_ok_and(|about| about.len() > RECORD_LEN_MAX || !about.is_file()) {
            return Err(no_record());
        }
        let Some(bytes) = machine.read(path).map_err(WriteError::io("read", path))? else { return Ok(empty) };
        let file: RecordFile = serde_json::from_slice(&bytes).map_err(|_| no_record())?;
        if file.format != FORMAT {
            return Err(no_record());
        }
        let bundle = Identity { stream: file.stream, counter: file.counter, head: file.head };
        if bundle != empty.bundle {
            return Err(WriteError::OtherRecord { path: path.to_owned() });
        }
        let known = |number| VolumeNumber::new(number).filter(|volume| volume.number() <= head.volumes.count);
        let medium = |facts: MediumFacts| {
            let volumes = facts.volumes.into_iter().map(known).collect::<Option<_>>()?;
            Some(MediumRecord { path: facts.path, volumes })
        };
        let media = file.media.into_iter().map(medium).collect::<Option<_>>().ok_or_else(no_record)?;
        Ok(Record { media, ..empty })
    }

    /// Returns every volume that is recorded.
    pub(super) fn volumes(&self) -> BTreeSet<VolumeNumber> {
        self.media.iter().flat_map(|medium| &medium.volumes).copied().collect()
    }

    /// Compares what is recorded with the media that are here. A recorded medium of which any volume is
    /// here, whole or `broken`, is here itself: what else it had is lost, and returned.
    pub(super) fn meet(
        &mut self,
        here: impl IntoIterator<Item = MediumRecord>,
        broken: &BTreeSet<VolumeNumber>,
    ) -> BTreeSet<VolumeNumber> {
        let here: Vec<MediumRecord> = here.into_iter().collect();
        let found: BTreeSet<VolumeNumber> = here.iter().flat_map(|medium| &medium.volumes).copied().collect();
        let is_elsewhere =
            |medium: &MediumRecord| medium.volumes.is_disjoint(&found) && medium.volumes.is_disjoint(broken);
        let mut lost = self.volumes();
        self.media.retain(is_elsewhere);
        lost.retain(|volume| !found.contains(volume) && !self.media.iter().any(|one| one.volumes.contains(volume)));
        self.media.extend(here);
        lost
    }

    /// Adds a volume to the medium that is or was mounted there, among those that are here.
    pub(super) fn add(&mut self, path: &str, volume: VolumeNumber) {
        // What is here was added last.
        if let Some(medium) = self.media.iter_mut().rev().find(|medium| medium.path == path) {
            medium.volumes.insert(volume);
        }
    }

    /// Writes the record: afterwards it is there, whole and durable.
    ///
    /// # Errors
    /// The disk fails; the record is then as it was, or whole.
    pub(super) fn write(&self, machine: &Machine) -> Result<(), WriteError> {
        let media = self.media.iter().filter(|medium| !medium.volumes.is_empty());
        let facts = |medium: &MediumRecord| MediumFacts {
            path: medium.path.clone(),
            volumes: medium.volumes.iter().map(|volume| volume.number()).collect(),
        };
        let Identity { stream, counter, head } = self.bundle.clone();
        let media = media.map(facts).collect();
        let file = RecordFile { format: FORMAT.to_owned(), stream, counter, head, media };
        // Texts, numbers and lists always serialise.
        let mut bytes = serde_json::to_vec_pretty(&file).unwrap_or_default();
        bytes.push(b'\n');
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let new = self.path.with_file_name(format!(".{name}.new"));
        machine.write_durably(&new, &self.path, &bytes).map_err(WriteError::io("write", &self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn medium(path: &str, numbers: &[u32]) -> MediumRecord {
        let volumes = numbers.iter().filter_map(|&number| VolumeNumber::new(number)).collect();
        MediumRecord { path: path.to_owned(), volumes }
    }

    fn record(media: Vec<MediumRecord>) -> Record {
        let bundle = Identity { stream: "s".to_owned(), counter: 1, head: String::new() };
        Record { path: PathBuf::new(), bundle, media }
    }

    fn numbers(volumes: &BTreeSet<VolumeNumber>) -> Vec<u32> {
        volumes.iter().map(|volume| volume.number()).collect()
    }

    #[test]
    fn a_medium_that_is_here_counts_for_what_it_has_and_one_that_is_not_for_what_it_had() {
        let none = BTreeSet::new();
        let mut one = record(vec![medium("/a", &[1, 2]), medium("/b", &[3])]);
        assert_eq!(numbers(&one.meet([medium("/elsewhere", &[1])], &none)), [2]);
        assert_eq!(numbers(&one.volumes()), [1, 3]);
        // What is not whole is not recorded as written, and what was beside it is here or lost.
        let mut one = record(vec![medium("/a", &[1, 2]), medium("/b", &[3])]);
        assert_eq!(numbers(&one.meet([medium("/a", &[])], &medium("", &[1]).volumes)), [1, 2]);
        assert_eq!(numbers(&one.volumes()), [3]);
        // Another medium at the same place is another medium.
        let mut one = record(vec![medium("/a", &[1, 2])]);
        assert_eq!(numbers(&one.meet([medium("/a", &[])], &none)), [0u32; 0]);
        one.add("/a", VolumeNumber::new(3).expect("a volume"));
        assert_eq!(one.media, [medium("/a", &[1, 2]), medium("/a", &[3])]);
        // What one of two copies lacks the other has.
        let mut one = record(vec![medium("/a", &[1, 2])]);
        assert_eq!(numbers(&one.meet([medium("/a", &[1, 2]), medium("/b", &[1])], &none)), [0u32; 0]);
        assert_eq!(numbers(&one.volumes()), [1, 2]);
        let mut one = record(vec![medium("/a", &[1, 2]), medium("/b", &[2, 3])]);
        assert_eq!(numbers(&one.meet([medium("/a", &[1])], &none)), [0u32; 0]);
    }
}
