//! A bundle in memory, changed step by step: by a careless carrier, who has no key, and by a hostile
//! signer, who makes every digest above a change agree and signs again.
//!
//! A step is a few numbers, any numbers, so that a fuzzer can write a program as well as a seed.

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

/// The first of the kinds that the signer has; before them are the carrier's.
const SIGNER_KINDS: u8 = 10;
const RESTORE: u8 = 22;
/// The first of the kinds that mean nothing here.
pub(crate) const CALLER_KINDS: u8 = 23;

/// One step of a program.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Step {
    /// What is done.
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
    /// Tells whether it takes a key that a reader trusts.
    pub(crate) fn is_signed(&self) -> bool {
        (SIGNER_KINDS..RESTORE).contains(&self.kind)
    }

    /// Tells whether the signer may then have said one thing in two ways, by what he leaves or in the head,
    /// so that several rules are broken at once.
    pub(crate) fn contradicts(&self) -> bool {
        self.is_signed() && (self.left != 0 || signer::is_of_head(self))
    }
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
            0..SIGNER_KINDS => carrier::take(&mut self.files, step),
            SIGNER_KINDS..RESTORE => {
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
