//! What the file system says about an entry.

use rustix::fs::{AtFlags, FileType, Statx, StatxFlags};
use std::ffi::CStr;
use std::os::fd::AsFd;

/// What changes when a file changes: the same stamp means that the bytes need not be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// When the bytes last changed, in nanoseconds since 1970; a time beyond 64 bits wraps.
    pub mtime_ns: i64,
    /// When the file last changed in any way, in nanoseconds since 1970; a time beyond 64 bits wraps.
    pub ctime_ns: i64,
    /// The number of the file in its file system.
    pub inode: u64,
    /// The number of the file system.
    pub device: u64,
}

/// Which directory this is, by whatever path or mount it is reached.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

pub(super) struct Stat {
    pub(super) kind: FileType,
    pub(super) len: u64,
    pub(super) stamp: Stamp,
}

impl Stat {
    /// Returns what is said of a name in a directory, a link itself where it is one.
    pub(super) fn of_name(dir: impl AsFd, name: &CStr) -> rustix::io::Result<Stat> {
        let found = rustix::fs::statx(dir, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT, wanted())?;
        Ok(Stat::from(&found))
    }

    /// Returns what is said of an open file or directory.
    pub(super) fn of(file: impl AsFd) -> rustix::io::Result<Stat> {
        Ok(Stat::from(&rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, wanted())?))
    }

    pub(super) fn identity(&self) -> Identity {
        Identity { device: self.stamp.device, inode: self.stamp.inode }
    }
}

impl From<&Statx> for Stat {
    fn from(found: &Statx) -> Stat {
        let nanoseconds = |time: rustix::fs::StatxTimestamp| {
            time.tv_sec.wrapping_mul(1_000_000_000).wrapping_add(i64::from(time.tv_nsec))
        };
        Stat {
            kind: FileType::from_raw_mode(u32::from(found.stx_mode)),
            len: found.stx_size,
            stamp: Stamp {
                mtime_ns: nanoseconds(found.stx_mtime),
                ctime_ns: nanoseconds(found.stx_ctime),
                inode: found.stx_ino,
                device: rustix::fs::makedev(found.stx_dev_major, found.stx_dev_minor),
            },
        }
    }
}

fn wanted() -> StatxFlags {
    StatxFlags::TYPE | StatxFlags::SIZE | StatxFlags::MTIME | StatxFlags::CTIME | StatxFlags::INO
}
