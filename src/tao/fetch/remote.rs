//! Files of a model as its source names them.

use crate::error::Class;
use crate::format::limits::{FILE_LEN_MAX, PATH_LEN_MAX};
use crate::format::path::{PathRule, check_segment};
use crate::format::{Sha256, Shown};
use crate::tao::http::HttpError;
use std::collections::HashSet;

/// Most pages of a list that are asked for.
const PAGE_COUNT_MAX: u64 = 10_000;
/// Longest list, all its pages together, in bytes.
const LIST_LEN_MAX: u64 = 512 << 20;
/// Most files of one model.
const FILE_COUNT_MAX: usize = 1_000_000;

/// A file that a source has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    /// Its path below the folder of the model.
    pub path: String,
    /// Its length, in bytes.
    pub len: u64,
    /// Its SHA-256, where the source publishes it.
    pub sha256: Option<Sha256>,
    /// Whether its source never has other bytes of this path and length: then length alone says that it
    /// is there.
    pub is_fixed: bool,
}

/// Why a source gives no files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// It gives no answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It names a file that can't lie below a folder, or can't be carried.
    #[error("file {shown} is not allowed: {rule}", shown = Shown(.path))]
    BadPath {
        /// The path.
        path: String,
        /// The rule that it breaks.
        rule: PathRule,
    },
    /// It gives no address for a file.
    #[error("file {shown} has no address that can be asked", shown = Shown(.path))]
    BadLink {
        /// The path.
        path: String,
    },
    /// It names a path that is longer than any that a bundle carries.
    #[error("the path of a file has {len} bytes, more than {PATH_LEN_MAX}")]
    PathTooLong {
        /// How many it has.
        len: usize,
    },
    /// It lists a file that is longer than any that a bundle carries.
    #[error("{shown} has {len} bytes, more than {FILE_LEN_MAX}", shown = Shown(.path))]
    FileTooLong {
        /// The path.
        path: String,
        /// How many it has.
        len: u64,
    },
    /// It names one path twice, or a file and a folder by one path.
    #[error("{shown} is there twice", shown = Shown(.path))]
    Twice {
        /// The path.
        path: String,
    },
    /// A list goes on for more pages than anything has.
    #[error("the list of {place} has more than {max} pages", max = PAGE_COUNT_MAX)]
    TooManyPages {
        /// What was asked.
        place: String,
    },
    /// A list is longer than any that is needed.
    #[error("the list of {place} is longer than {max} bytes", max = LIST_LEN_MAX)]
    ListTooLong {
        /// What was asked.
        place: String,
    },
    /// A list leads back to a page that was there.
    #[error("the list of {place} leads back to a page that was there")]
    PageAgain {
        /// What was asked.
        place: String,
    },
    /// It has too many files for one model.
    #[error("the model has more than {max} files")]
    TooManyFiles {
        /// How many it may have.
        max: usize,
    },
}

impl RemoteError {
    /// Returns whose problem it is.
    pub fn class(&self) -> Class {
        match self {
            RemoteError::Http(error) => error.class(),
            RemoteError::PathTooLong { .. }
            | RemoteError::FileTooLong { .. }
            | RemoteError::BadPath { .. }
            | RemoteError::TooManyFiles { .. }
            | RemoteError::Twice { .. } => Class::Refused,
            RemoteError::BadLink { .. }
            | RemoteError::TooManyPages { .. }
            | RemoteError::ListTooLong { .. }
            | RemoteError::PageAgain { .. } => Class::Failed,
        }
    }
}

/// Refuses files that would leave the folder or that no bundle can carry (F-31 to F-35).
pub(super) fn check_path(path: &str, len: u64) -> Result<(), RemoteError> {
    if len > FILE_LEN_MAX {
        return Err(RemoteError::FileTooLong { path: path.to_owned(), len });
    }

    let bad = |rule| RemoteError::BadPath { path: path.to_owned(), rule };
    if path.len() > PATH_LEN_MAX {
        return Err(RemoteError::PathTooLong { len: path.len() });
    }
    path.split('/').try_for_each(check_segment).map_err(bad)
}

/// Refuses more files than a model may have.
pub(super) const fn check_file_count(count: usize) -> Result<(), RemoteError> {
    if count > FILE_COUNT_MAX { Err(RemoteError::TooManyFiles { max: FILE_COUNT_MAX }) } else { Ok(()) }
}

/// A list that is asked for page by page, and how far it may go.
pub(super) struct PageLimits {
    place: String,
    count: u64,
    len: u64,
    /// What led to each page.
    seen: HashSet<String>,
}

impl PageLimits {
    pub(super) fn new(place: impl Into<String>) -> PageLimits {
        PageLimits { place: place.into(), count: 0, len: 0, seen: HashSet::new() }
    }

    /// Refuses a list that says to have so many pages.
    pub(super) fn check_count(&self, count: u64) -> Result<(), RemoteError> {
        let too_many = || RemoteError::TooManyPages { place: self.place.clone() };
        if count > PAGE_COUNT_MAX { Err(too_many()) } else { Ok(()) }
    }

    /// Counts a page of this length.
    pub(super) fn add(&mut self, len: u64) -> Result<(), RemoteError> {
        self.count += 1;
        self.check_count(self.count)?;
        self.len = self.len.saturating_add(len);
        let too_long = || RemoteError::ListTooLong { place: self.place.clone() };
        if self.len > LIST_LEN_MAX { Err(too_long()) } else { Ok(()) }
    }

    /// Goes on to the page that this leads to.
    pub(super) fn follow(&mut self, page: &str) -> Result<(), RemoteError> {
        match self.seen.insert(page.to_owned()) {
            true => Ok(()),
            false => Err(RemoteError::PageAgain { place: self.place.clone() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_ends_at_its_limits_and_where_it_leads_back() {
        let mut pages = PageLimits::new("x");
        (0..PAGE_COUNT_MAX).for_each(|_| pages.add(0).expect("within the limit"));
        assert!(matches!(pages.add(0), Err(RemoteError::TooManyPages { .. })));
        let mut pages = PageLimits::new("x");
        pages.add(LIST_LEN_MAX).expect("as long as may be");
        assert!(matches!(pages.add(1), Err(RemoteError::ListTooLong { .. })));
        let mut pages = PageLimits::new("x");
        ["a", "b"].iter().for_each(|page| pages.follow(page).expect("new"));
        assert!(matches!(pages.follow("a"), Err(RemoteError::PageAgain { .. })));
    }
}
