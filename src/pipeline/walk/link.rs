//! Symbolic links followed by hand, so that no step leaves the root.

use super::error::Reason;
use super::roots::Links;
use super::stat::Stat;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::CString;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Most links on the way to one target; the number at which systems speak of a loop.
const LINK_COUNT_MAX: usize = 40;

/// A file or directory that a path leads to.
pub(super) struct Resolved {
    /// The directory that holds it.
    pub(super) dir: OwnedFd,
    /// Its name there, which was no link.
    pub(super) name: CString,
    /// Its path below the root, without links.
    pub(super) path: Vec<u8>,
    pub(super) stat: Stat,
}

pub(super) enum ResolveError {
    /// The path leads nowhere that may be packed.
    Refused(Reason),
    Io(Errno),
}

/// Follows a path below a root to something that is no link.
pub(super) fn resolve(root: BorrowedFd<'_>, path: &[u8], links: Links) -> Result<Resolved, ResolveError> {
    let mut walked = Walked { root, dirs: Vec::new() };
    // The segments still to go, the next one last.
    let mut segments: Vec<Vec<u8>> = Vec::new();
    push_reversed(&mut segments, path);
    let mut link_count = 0;
    while let Some(segment) = segments.pop() {
        if segment == b".." {
            walked.dirs.pop().ok_or(ResolveError::Refused(Reason::LinkOutside))?;
            continue;
        }
        let name = CString::new(segment).map_err(|_| ResolveError::Io(Errno::INVAL))?;
        let stat = Stat::of_name(walked.last(), &name).map_err(dangling)?;
        match stat.kind {
            FileType::Symlink => {
                link_count += 1;
                if links == Links::Refuse {
                    return Err(ResolveError::Refused(Reason::Link));
                }
                if link_count > LINK_COUNT_MAX {
                    return Err(ResolveError::Refused(Reason::LinkLoop));
                }
                let target = rustix::fs::readlinkat(walked.last(), &*name, Vec::new()).map_err(dangling)?;
                if target.as_bytes().starts_with(b"/") {
                    return Err(ResolveError::Refused(Reason::LinkOutside));
                }
                push_reversed(&mut segments, target.as_bytes());
            }
            FileType::Directory if !segments.is_empty() => walked.enter(name)?,
            _ if segments.is_empty() => return walked.resolved(name, stat),
            _ => return Err(ResolveError::Refused(Reason::LinkDangling)),
        }
    }
    // The path ended in a step up, so the target is the directory that was stepped into last.
    let Some((_, name)) = walked.dirs.pop() else { return Err(ResolveError::Refused(Reason::LinkLoop)) };
    let stat = Stat::of_name(walked.last(), &name).map_err(dangling)?;
    walked.resolved(name, stat)
}

/// The directories that were entered below the root, each with its name.
struct Walked<'a> {
    root: BorrowedFd<'a>,
    dirs: Vec<(OwnedFd, CString)>,
}

impl Walked<'_> {
    fn last(&self) -> BorrowedFd<'_> {
        use std::os::fd::AsFd as _;
        self.dirs.last().map_or(self.root, |(dir, _)| dir.as_fd())
    }

    fn enter(&mut self, name: CString) -> Result<(), ResolveError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(self.last(), &*name, flags, Mode::empty()).map_err(dangling)?;
        self.dirs.push((dir, name));
        Ok(())
    }

    fn resolved(self, name: CString, stat: Stat) -> Result<Resolved, ResolveError> {
        let dir = self
            .last()
            .try_clone_to_owned()
            .map_err(|error| ResolveError::Io(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        let mut path = Vec::new();
        for (_, above) in &self.dirs {
            path.extend_from_slice(above.as_bytes());
            path.push(b'/');
        }
        path.extend_from_slice(name.as_bytes());
        Ok(Resolved { dir, name, path, stat })
    }
}

fn push_reversed(segments: &mut Vec<Vec<u8>>, path: &[u8]) {
    let parts = path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    segments.extend(parts.rev().map(<[u8]>::to_vec));
}

fn dangling(errno: Errno) -> ResolveError {
    match errno {
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => ResolveError::Refused(Reason::LinkDangling),
        Errno::LOOP => ResolveError::Refused(Reason::LinkLoop),
        other => ResolveError::Io(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn path(root: &std::path::Path, path: &str, links: Links) -> Result<String, Option<Reason>> {
        use std::os::fd::AsFd as _;
        let root = std::fs::File::open(root).expect("directory");
        match resolve(root.as_fd(), path.as_bytes(), links) {
            Ok(resolved) => Ok(String::from_utf8(resolved.path).expect("text")),
            Err(ResolveError::Refused(reason)) => Err(Some(reason)),
            Err(ResolveError::Io(_)) => Err(None),
        }
    }

    #[test]
    fn a_plain_path_needs_no_link_and_a_link_only_where_links_are_followed() {
        let dir = tempfile::tempdir().expect("directory");
        let root = dir.path();
        std::fs::create_dir_all(root.join("a/b")).expect("directories");
        std::fs::write(root.join("a/b/c"), b"").expect("file");
        symlink("b", root.join("a/link")).expect("link");
        symlink("b/..", root.join("a/up")).expect("link");
        for links in [Links::Refuse, Links::FollowInside] {
            assert_eq!(path(root, "a/b/c", links), Ok("a/b/c".to_owned()));
            assert_eq!(path(root, "a/nothing", links), Err(Some(Reason::LinkDangling)));
        }
        assert_eq!(path(root, "a/link/c", Links::Refuse), Err(Some(Reason::Link)));
        assert_eq!(path(root, "a/link/c", Links::FollowInside), Ok("a/b/c".to_owned()));
        assert_eq!(path(root, "a/up", Links::FollowInside), Ok("a".to_owned()));
        assert_eq!(path(root, "a/up/up/link", Links::FollowInside), Ok("a/b".to_owned()));
    }

    #[test]
    fn forty_links_are_followed_and_one_more_is_a_loop() {
        let dir = tempfile::tempdir().expect("directory");
        std::fs::write(dir.path().join("0"), b"").expect("file");
        (1..=41).for_each(|i| symlink((i - 1).to_string(), dir.path().join(i.to_string())).expect("link"));
        assert_eq!(path(dir.path(), "40", Links::FollowInside), Ok("0".to_owned()));
        assert_eq!(path(dir.path(), "41", Links::FollowInside), Err(Some(Reason::LinkLoop)));
    }
}
