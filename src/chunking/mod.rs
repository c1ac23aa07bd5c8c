//! Where a file is cut into chunks (F-60 to F-79), pure: the reader owns the buffers.

mod gguf;
mod json;
mod mincdc;
mod npy;
mod safetensors;
mod tensors;

use crate::format::Element;
use crate::format::manifest::Profile;
use tensors::{Table, Tensors};

/// Longest file that is one chunk whatever it holds, in bytes (F-61).
pub const SINGLE_LEN_MAX: u64 = 64 << 10;

/// One chunk of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Length in bytes, `1 <= len <= CHUNK_LEN_MAX`.
    pub len: u32,
    /// Number format of most of its bytes.
    pub element: Element,
}

/// Cuts one file from its first byte to its last.
///
/// The reader holds at least [`wants`](Cutter::wants) bytes from the current position on, asks
/// [`next`](Cutter::next), and lets go of as many bytes as the chunk has. How many more bytes it
/// holds does not change the cuts.
///
/// At most 96 KiB are wanted, or the next chunk of a file with tensors, which is below 2 MiB; and
/// while the table of such a file is read, up to 16 MiB, for GGUF 64 MiB.
pub struct Cutter {
    file_len: u64,
    position: u64,
    state: State,
}

enum State {
    /// The profile is not known until this many bytes have been seen.
    Undecided {
        wants: usize,
    },
    Single,
    Mincdc,
    Tensors(Profile, Tensors),
}

impl Cutter {
    /// Returns a cutter at the start of a file of `file_len` bytes.
    pub fn new(file_len: u64) -> Cutter {
        let state = match file_len {
            0..=SINGLE_LEN_MAX => State::Single,
            _ => State::Undecided { wants: mincdc::LEN_MAX },
        };
        Cutter { file_len, position: 0, state }
    }

    /// Returns how many bytes from the current position on must be shown to `next`; never more than
    /// the file has left.
    pub fn wants(&self) -> usize {
        let rest_len = self.file_len - self.position;
        let wanted = match &self.state {
            State::Undecided { wants } => *wants as u64,
            State::Single => rest_len,
            State::Mincdc => mincdc::LEN_MAX as u64,
            State::Tensors(_, tensors) => tensors.next_cut() - self.position,
        };
        wanted.min(rest_len) as usize
    }

    /// Returns the next chunk of the file, which `bytes` begin with, and moves behind it.
    ///
    /// Returns nothing at the end of the file, and while `bytes` are fewer than `wants`, which may
    /// have grown: the table at the start of the file turned out to be longer.
    pub fn next(&mut self, bytes: &[u8]) -> Option<Chunk> {
        while let State::Undecided { wants } = self.state {
            if bytes.len() < self.wants() {
                return None;
            }
            self.state = decide(bytes, self.file_len, wants);
        }
        if self.is_done() || bytes.len() < self.wants() {
            return None;
        }
        let (len, element) = match &mut self.state {
            State::Mincdc => (mincdc::cut_len(bytes), Element::Unknown),
            State::Tensors(_, tensors) => tensors.cut(self.position),
            State::Single | State::Undecided { .. } => (self.wants(), Element::Unknown),
        };
        self.position += len as u64;
        Some(Chunk { len: len as u32, element })
    }

    /// Moves on to `position`, where an earlier cutter is known to have cut this file. The profile
    /// is decided: the first chunk was returned.
    pub fn skip_to(&mut self, position: u64) {
        if let State::Tensors(_, tensors) = &mut self.state {
            while self.position < position {
                self.position += tensors.cut(self.position).0 as u64;
            }
        }
        self.position = position.min(self.file_len);
    }

    /// Tells whether the last chunk has been cut.
    pub fn is_done(&self) -> bool {
        self.position == self.file_len
    }

    /// Returns the profile of the file; nothing before the first chunk of a file above 64 KiB.
    pub fn profile(&self) -> Option<Profile> {
        match &self.state {
            State::Undecided { .. } => None,
            State::Single => Some(Profile::Single),
            State::Mincdc => Some(Profile::Mincdc),
            State::Tensors(profile, _) => Some(*profile),
        }
    }
}

/// Decides the profile by the start of the file, or says how many bytes of it must be seen (F-60).
fn decide(head: &[u8], file_len: u64, wants: usize) -> State {
    let (profile, table) = if safetensors::is_start(head) {
        (Profile::Safetensors, safetensors::read(head, file_len))
    } else if gguf::is_start(head) {
        (Profile::Gguf, gguf::read(head, file_len))
    } else if npy::is_start(head) {
        (Profile::Npy, npy::read(head, file_len))
    } else {
        return State::Mincdc;
    };
    match table {
        Table::Regions(regions) => State::Tensors(profile, Tensors::new(regions, file_len)),
        Table::Wants(table_len) => State::Undecided { wants: table_len },
        Table::Longer => State::Undecided { wants: (2 * wants).min(gguf::TABLE_LEN_MAX) },
        Table::Broken => State::Mincdc,
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod whole;
