//! A bundle in memory, changed step by step: by a careless carrier, who has no key, and by a hostile
//! signer, who makes every digest above a change agree and signs again.
//!
//! A program of such steps is bytes, eight a step, so that a fuzzer can write it as well as a seed.

pub(crate) mod bases;
mod carrier;
mod edit;
mod layout;
pub(crate) mod seal;
mod signer;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The files of a bundle by their path below its directory.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// The length of a step in bytes.
pub(crate) const STEP_LEN: usize = 8;
/// Kinds of steps; a program that is more than a forger's uses those behind [`CALLER_KINDS`].
const KIND_COUNT: u8 = 32;
const SIGNER_KINDS: u8 = 10;
const RESTORE: u8 = 22;
/// The first of the kinds that mean nothing here.
pub(crate) const CALLER_KINDS: u8 = 23;

/// One step of a program.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Step {
    /// What is done, below 32.
    pub(crate) kind: u8,
    /// To which file, or to which structure.
    pub(crate) which: u8,
    /// Where in it: a byte, or a record.
    pub(crate) place: u16,
    /// To which field of the record, or with which other file.
    pub(crate) field: u8,
    /// What the signer leaves as it was, of all that he could make agree.
    pub(crate) left: u8,
    /// With which value.
    pub(crate) value: u16,
}

impl Step {
    /// Returns the step that eight bytes mean; any do.
    pub(crate) fn decode(bytes: &[u8; STEP_LEN]) -> Step {
        let [kind, which, place_low, place_high, field, left, value_low, value_high] = *bytes;
        Step {
            kind: kind % KIND_COUNT,
            which,
            place: u16::from_le_bytes([place_low, place_high]),
            field,
            left,
            value: u16::from_le_bytes([value_low, value_high]),
        }
    }
}

/// Returns the steps of a program; a rest of less than a step is passed over.
pub(crate) fn steps(program: &[u8]) -> impl Iterator<Item = Step> {
    program.as_chunks().0.iter().map(Step::decode)
}

/// Signs the bytes of a head and returns the armoured signature.
pub(crate) type Sign<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;

/// A bundle on its way from a signer to a reader.
pub(crate) struct Forge<'a> {
    /// What the bundle is now.
    pub(crate) files: Files,
    base: &'a Files,
    sign: Sign<'a>,
}

impl<'a> Forge<'a> {
    pub(crate) fn new(base: &'a Files, sign: Sign<'a>) -> Forge<'a> {
        Forge { files: base.clone(), base, sign }
    }

    /// Changes the bundle; a step that does not fit changes nothing.
    pub(crate) fn take(&mut self, step: &Step) {
        match step.kind {
            kind if kind < SIGNER_KINDS => carrier::take(&mut self.files, step),
            kind if kind < RESTORE => {
                if let Some(files) = signer::take(&self.files, step, self.sign) {
                    self.files = files;
                }
            }
            RESTORE => self.restore(),
            _ => {}
        }
    }

    /// Makes the bundle what it was at first.
    pub(crate) fn restore(&mut self) {
        self.files.clone_from(self.base);
    }
}

/// Reads the files of a bundle.
pub(crate) fn read(bundle: &Path) -> Files {
    let mut files = Files::new();
    let mut left = vec![bundle.to_owned()];
    while let Some(directory) = left.pop() {
        for item in fs::read_dir(directory).expect("a directory") {
            let path = item.expect("an entry").path();
            if path.is_dir() {
                left.push(path);
            } else {
                let name = path.strip_prefix(bundle).expect("below").to_str().expect("UTF-8");
                files.insert(name.to_owned(), fs::read(&path).expect("read"));
            }
        }
    }
    files
}

/// Writes files into a directory and removes all else from it.
pub(crate) fn write<'a>(directory: &Path, files: impl Iterator<Item = (&'a String, &'a Vec<u8>)>) {
    if directory.exists() {
        fs::remove_dir_all(directory).expect("removed");
    }
    for below in ["volumes", "signatures"] {
        fs::create_dir_all(directory.join(below)).expect("made");
    }
    for (name, bytes) in files {
        let path = directory.join(name);
        if name.starts_with("attachments/") {
            fs::create_dir_all(directory.join("attachments")).expect("made");
        }
        fs::write(path, bytes).expect("written");
    }
}
