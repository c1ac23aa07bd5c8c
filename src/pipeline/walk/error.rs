//! Why roots cannot be packed.

use crate::error::Class;
use crate::format::limits::{FILE_LEN_MAX, TOTAL_LEN_MAX};
use crate::format::path::PathRule;
use crate::format::{Name, Shown};
use crate::pipeline::spill::SpillError;
use rustix::fs::FileType;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Refusals that a report names; the rest is counted.
pub const NAMED_COUNT_MAX: usize = 1000;

/// Why roots were not walked, or a file of them not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WalkError {
    /// Two roots have one name.
    #[error("root name {name} is given twice")]
    RootTwice {
        /// The name.
        name: Name,
    },
    /// The directory of a root cannot be opened.
    #[error("cannot open {path} as root {name}", path = Shown(.path.to_string_lossy()))]
    BadRoot {
        /// The name of the root.
        name: Name,
        /// The directory that was given.
        path: PathBuf,
        /// Why it cannot be opened.
        source: io::Error,
    },
    /// The packer would read what it writes.
    #[error("root {name} and {path} lie one in the other", path = Shown(.path.to_string_lossy()))]
    OwnDirectory {
        /// The name of the root.
        name: Name,
        /// The directory that the packer writes.
        path: PathBuf,
    },
    /// The roots hold what cannot be carried.
    #[error("{count} entries cannot be carried, first {first}", count = .refusals.count(), first = .refusals.first())]
    Refused {
        /// All that is refused.
        refusals: Refusals,
    },
    /// The files together are longer than a bundle may be.
    #[error("all files have {total_len} bytes, the limit is {TOTAL_LEN_MAX}")]
    TotalTooLong {
        /// Their length, in bytes.
        total_len: u64,
    },
    /// An entry is not what it was when it was listed.
    #[error("{path} changed while it was packed", path = Shown(String::from_utf8_lossy(.path)))]
    Changed {
        /// The path of the entry.
        path: Vec<u8>,
    },
    /// An entry cannot be read.
    #[error("cannot read {path}", path = Shown(String::from_utf8_lossy(.path)))]
    CannotRead {
        /// The path of the entry.
        path: Vec<u8>,
        /// Why it cannot be read.
        source: io::Error,
    },
    /// The list of entries cannot be kept.
    #[error("cannot {action} {path}", path = Shown(.path.to_string_lossy()))]
    List {
        /// What was tried: open, read or write.
        action: &'static str,
        /// The list, or the directory beside it.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The list of entries is not as it was written.
    #[error("list of entries {path} is damaged", path = Shown(.path.to_string_lossy()))]
    ListDamaged {
        /// The list.
        path: PathBuf,
    },
    /// The sort failed.
    #[error("cannot sort the entries")]
    Spill(#[from] SpillError),
    /// The caller asked to stop.
    #[error("stopped while listing entries")]
    Stopped,
}

impl WalkError {
    /// Returns whose problem this is.
    pub fn class(&self) -> Class {
        match self {
            WalkError::RootTwice { .. } | WalkError::OwnDirectory { .. } => Class::Usage,
            WalkError::BadRoot { source, .. } => match source.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Class::Usage,
                _ => Class::of_io(source),
            },
            WalkError::Refused { .. } | WalkError::TotalTooLong { .. } => Class::Refused,
            WalkError::Changed { .. } | WalkError::ListDamaged { .. } => Class::Failed,
            WalkError::CannotRead { source, .. } | WalkError::List { source, .. } => Class::of_io(source),
            WalkError::Spill(error) => error.class(),
            WalkError::Stopped => Class::Interrupted,
        }
    }
}

/// Why an entry cannot be carried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Its path breaks the grammar.
    #[error("{0}")]
    Path(PathRule),
    /// It is a symbolic link, and links are not followed.
    #[error("it is a symbolic link")]
    Link,
    /// It is a link whose target is absolute or outside its root.
    #[error("it is a link out of its root")]
    LinkOutside,
    /// It is a link to nothing.
    #[error("it is a link to nothing")]
    LinkDangling,
    /// It is a link to a directory that it is in, or a ring of links.
    #[error("it is a link in a loop")]
    LinkLoop,
    /// It is a link to a directory below too many such links.
    #[error("it is a link below {} links to directories", super::LINK_DEPTH_MAX)]
    LinkTooDeep,
    /// It is a named pipe.
    #[error("it is a named pipe")]
    Pipe,
    /// It is a socket.
    #[error("it is a socket")]
    Socket,
    /// It is a device, or of a kind without a name.
    #[error("it is a device")]
    Device,
    /// It is a file longer than the format allows.
    #[error("it has {len} bytes, the limit is {FILE_LEN_MAX}")]
    TooLong {
        /// Its length, in bytes.
        len: u64,
    },
    /// Some file systems take its name for that of its sibling (F-37).
    #[error("its name is a twin of {of}", of = Shown(String::from_utf8_lossy(.of)))]
    Twin {
        /// The path of the sibling.
        of: Vec<u8>,
    },
}

impl Reason {
    /// Returns why an entry of a kind that is neither file nor directory cannot be carried.
    pub(super) fn of_kind(kind: FileType) -> Reason {
        match kind {
            FileType::Symlink => Reason::Link,
            FileType::Fifo => Reason::Pipe,
            FileType::Socket => Reason::Socket,
            _ => Reason::Device,
        }
    }
}

/// Entries that cannot be carried: how many, and the first thousand by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    named: BTreeMap<Vec<u8>, Reason>,
    count: u64,
}

/// An entry that cannot be carried; displays as one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// The bytes of its path.
    pub path: &'a [u8],
    /// Why not.
    pub reason: &'a Reason,
}

impl Refusals {
    /// Returns how many entries there are, named or not.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the first [`NAMED_COUNT_MAX`] entries in the order of their paths.
    pub fn named(&self) -> impl Iterator<Item = Refusal<'_>> {
        self.named.iter().map(|(path, reason)| Refusal { path, reason })
    }

    pub(super) fn add(&mut self, path: &[u8], reason: Reason) {
        self.count += 1;
        self.named.insert(path.to_vec(), reason);
        if self.named.len() > NAMED_COUNT_MAX {
            self.named.pop_last();
        }
    }

    pub(super) fn add_unnamed(&mut self, count: u64) {
        self.count += count;
    }

    fn first(&self) -> String {
        self.named().next().map(|refusal| refusal.to_string()).unwrap_or_default()
    }
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", Shown(String::from_utf8_lossy(self.path)), self.reason)
    }
}
