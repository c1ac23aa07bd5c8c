//! Where the members of a tar lie: its headers are read, and nothing else.

use crate::format::Shown;
use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};

/// Length of a tar record.
pub(super) const RECORD_LEN: u64 = 512;
/// Most members of an archive.
const MEMBER_COUNT_MAX: usize = 100_000;
/// Longest extended header, in bytes.
const EXTENDED_LEN_MAX: u64 = 64 << 10;
/// Most links that lead from one member to another.
const LINK_COUNT_MAX: usize = 8;

/// Why a file is no tar that can be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TarError {
    /// The file can't be read.
    #[error("it can't be read at byte {offset}")]
    Unreadable {
        /// Where.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// The file ends inside a member.
    #[error("it ends at byte {len}, inside {shown}", shown = Shown(.path))]
    CutOff {
        /// The length of the file.
        len: u64,
        /// The member.
        path: String,
    },
    /// What should be a header is none.
    #[error("it has no header of a tar at byte {offset}")]
    BadHeader {
        /// Where.
        offset: u64,
    },
    /// It has too many members.
    #[error("it has more than {MEMBER_COUNT_MAX} members")]
    TooMany,
    /// An extended header is too long.
    #[error("it has an extended header of {len} bytes at byte {offset}")]
    TooLong {
        /// Where.
        offset: u64,
        /// How long it is.
        len: u64,
    },
}

/// A member of a tar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// A file.
    File {
        /// Where its bytes begin.
        offset: u64,
        /// Its length, in bytes.
        len: u64,
    },
    /// A link to another member.
    Link {
        /// The path of that.
        target: String,
    },
}

/// The members of a tar, by their paths.
#[derive(Debug, Default)]
pub struct Members(BTreeMap<String, Member>);

/// What extended headers say of the next member.
#[derive(Default)]
struct Extended {
    path: Option<String>,
    link: Option<String>,
    len: Option<u64>,
}

impl Members {
    /// Reads the headers of a tar of `file_len` bytes.
    ///
    /// # Errors
    /// It is none, is cut off, or can't be read.
    pub fn scan(file: &mut (impl Read + Seek), file_len: u64) -> Result<Members, TarError> {
        let mut members = BTreeMap::new();
        let mut extended = Extended::default();
        let mut offset = 0;
        while offset + RECORD_LEN <= file_len {
            let mut header = tar::Header::new_old();
            read_at(file, offset, header.as_mut_bytes())?;
            if header.as_bytes().iter().all(|byte| *byte == 0) {
                break;
            }
            let (kind, len) = checked(&header).ok_or(TarError::BadHeader { offset })?;
            let begin = offset + RECORD_LEN;
            let len = extended.len.filter(|_| kind.is_file()).unwrap_or(len);
            let end = begin.checked_add(len).ok_or(TarError::BadHeader { offset })?;
            let path =
                extended.path.clone().unwrap_or_else(|| String::from_utf8_lossy(&header.path_bytes()).into_owned());
            if end > file_len {
                return Err(TarError::CutOff { len: file_len, path });
            }
            if kind.is_pax_local_extensions() || kind.is_gnu_longname() || kind.is_gnu_longlink() {
                extended.read(file, begin, len, kind)?;
            } else {
                if let Some(member) = member(&header, kind, &extended, begin, len) {
                    members.insert(plain(&path), member);
                }
                extended = Extended::default();
            }
            if members.len() > MEMBER_COUNT_MAX {
                return Err(TarError::TooMany);
            }
            offset = end.checked_next_multiple_of(RECORD_LEN).ok_or(TarError::BadHeader { offset })?;
        }
        // An archive has at least one member, and ends in zeros: without them something is missing.
        if members.is_empty() || offset + RECORD_LEN > file_len {
            return Err(TarError::CutOff { len: file_len, path: "the end".to_owned() });
        }
        Ok(Members(members))
    }

    /// Returns where a file lies, and its length; links within the archive are followed.
    pub fn file(&self, path: &str) -> Option<(u64, u64)> {
        let mut path = plain(path);
        for _ in 0..LINK_COUNT_MAX {
            match self.0.get(&path)? {
                Member::File { offset, len } => return Some((*offset, *len)),
                Member::Link { target } => {
                    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
                    path = plain(&format!("{directory}/{target}"));
                }
            }
        }
        None
    }
}

/// Returns kind and length of a member whose header has the right sum.
fn checked(header: &tar::Header) -> Option<(tar::EntryType, u64)> {
    let bytes = header.as_bytes();
    let sum: u32 = bytes[..148].iter().chain(&bytes[156..]).map(|byte| u32::from(*byte)).sum();
    let is_good = header.cksum().is_ok_and(|found| found == sum + 8 * u32::from(b' '));
    is_good.then(|| header.entry_size().ok()).flatten().map(|len| (header.entry_type(), len))
}

fn member(header: &tar::Header, kind: tar::EntryType, extended: &Extended, offset: u64, len: u64) -> Option<Member> {
    if kind.is_file() || kind.is_contiguous() {
        return Some(Member::File { offset, len });
    }
    let link =
        || extended.link.clone().or_else(|| Some(String::from_utf8_lossy(&header.link_name_bytes()?).into_owned()));
    if kind.is_symlink() {
        return Some(Member::Link { target: link()? });
    }
    // A hard link names its target from the top.
    kind.is_hard_link().then(link).flatten().map(|target| Member::Link { target: format!("/{target}") })
}

impl Extended {
    fn read(
        &mut self,
        file: &mut (impl Read + Seek),
        offset: u64,
        len: u64,
        kind: tar::EntryType,
    ) -> Result<(), TarError> {
        if len > EXTENDED_LEN_MAX {
            return Err(TarError::TooLong { offset, len });
        }
        let mut bytes = vec![0; len as usize];
        read_at(file, offset, &mut bytes)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned();
        if kind.is_gnu_longname() {
            self.path = Some(text(&bytes));
        } else if kind.is_gnu_longlink() {
            self.link = Some(text(&bytes));
        } else {
            for record in tar::PaxExtensions::new(&bytes).flatten() {
                match record.key_bytes() {
                    b"path" => self.path = Some(text(record.value_bytes())),
                    b"linkpath" => self.link = Some(text(record.value_bytes())),
                    b"size" => self.len = text(record.value_bytes()).parse().ok(),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// Returns a path without `.`, and with `..` taken back; nothing leads above the top.
fn plain(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    // From the top.
    let path = path.rsplit_once("//").map_or(path, |(_, rest)| rest);
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn read_at(file: &mut (impl Read + Seek), offset: u64, bytes: &mut [u8]) -> Result<(), TarError> {
    let read = file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(bytes));
    read.map_err(|source| TarError::Unreadable { offset, source })
}

/// Returns the header of a file in an archive that is written here.
pub(super) fn file_header(path: &str, len: u64, time: u64) -> io::Result<tar::Header> {
    let mut header = tar::Header::new_ustar();
    header.set_path(path)?;
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(len);
    header.set_mtime(time);
    header.set_cksum();
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn archive(members: &[(&str, &[u8])], links: &[(&str, &str)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (path, content) in members {
            bytes.extend_from_slice(file_header(path, content.len() as u64, 0).expect("short").as_bytes());
            bytes.extend_from_slice(content);
            bytes.resize(bytes.len().next_multiple_of(512), 0);
        }
        for (path, target) in links {
            let mut header = file_header(path, 0, 0).expect("short");
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_link_name_literal(target).expect("short");
            header.set_cksum();
            bytes.extend_from_slice(header.as_bytes());
        }
        bytes.resize(bytes.len() + 1024, 0);
        bytes
    }

    fn scan(bytes: &[u8]) -> Result<Members, TarError> {
        Members::scan(&mut Cursor::new(bytes), bytes.len() as u64)
    }

    #[test]
    fn finds_files_and_follows_links_inside() {
        let bytes = archive(
            &[("a/layer.tar", b"layer"), ("./manifest.json", b"[]")],
            &[("b/layer.tar", "../a/layer.tar"), ("c/layer.tar", "../../../../a/layer.tar"), ("loop", "loop")],
        );
        let members = scan(&bytes).expect("a tar");
        let text = |path: &str| members.file(path).map(|(offset, len)| &bytes[offset as usize..][..len as usize]);
        for path in ["a/layer.tar", "b/layer.tar", "c/layer.tar"] {
            assert_eq!(text(path), Some(&b"layer"[..]), "{path}");
        }
        assert_eq!(text("manifest.json"), Some(&b"[]"[..]));
        assert_eq!(text("loop"), None);
        assert_eq!(text("absent"), None);
    }

    #[test]
    fn names_what_is_cut_off_or_no_tar() {
        let bytes = archive(&[("a", &[7; 2000])], &[]);
        assert!(matches!(scan(&bytes[..1500]), Err(TarError::CutOff { .. })));
        assert!(matches!(scan(&bytes[..2560]), Err(TarError::CutOff { .. })));
        assert!(matches!(scan(&[0; 1024]), Err(TarError::CutOff { .. })));
        let mut changed = bytes.clone();
        changed[0] ^= 1;
        assert!(matches!(scan(&changed), Err(TarError::BadHeader { offset: 0 })));
    }

    #[test]
    fn an_extended_header_gives_path_and_length() {
        let record = |key: &str, value: &str| {
            let rest = format!(" {key}={value}\n");
            let len = (rest.len() + 1..).find(|len| len.to_string().len() + rest.len() == *len).expect("one");
            format!("{len}{rest}")
        };
        let long = format!("{}/layer.tar", "d".repeat(200));
        let extended = record("path", &long) + &record("size", "5");
        let mut header = file_header("pax", extended.len() as u64, 0).expect("short");
        header.set_entry_type(tar::EntryType::XHeader);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(extended.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes.extend_from_slice(&archive(&[("short", b"layer")], &[]));
        assert_eq!(scan(&bytes).expect("a tar").file(&long).map(|(_, len)| len), Some(5));
    }
}
