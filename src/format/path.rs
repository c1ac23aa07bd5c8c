//! Paths of entries: one type, one parser, nothing normalised (F-31 to F-36).

use super::limits::{PATH_LEN_MAX, SEGMENT_LEN_MAX};
use super::name::Name;
use super::shown::{Shown, is_unshowable};
use std::fmt;
use unicode_normalization::UnicodeNormalization as _;

/// The path of an entry: the root's name, then segments, joined by `/`.
///
/// Ordered by bytes. Safe to print: the grammar leaves no control or invisible character.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryPath(String);

/// Why bytes are not the path of an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("path {shown} is not allowed: {rule}", shown = Shown(String::from_utf8_lossy(.bytes)))]
pub struct PathError {
    /// The refused bytes.
    pub bytes: Vec<u8>,
    /// The rule that they break.
    pub rule: PathRule,
}

/// The rules of the path grammar, one for each way to break it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathRule {
    /// F-31: at least 1 byte.
    #[error("it is empty")]
    Empty,
    /// F-31: at most 1024 bytes.
    #[error("it is longer than 1024 bytes")]
    TooLong,
    /// F-32: valid UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// F-33: no control, invisible or reordering character.
    #[error("it has a control, invisible or text-reordering character")]
    Unshowable,
    /// F-33: no backslash.
    #[error("it has a backslash, which stores take for a slash")]
    Backslash,
    /// F-33: no colon.
    #[error("it has a colon")]
    Colon,
    /// F-34: no empty segment, so no leading, trailing or double slash.
    #[error("it has an empty segment")]
    EmptySegment,
    /// F-34: no `.` or `..`.
    #[error("a segment is '.' or '..'")]
    DotSegment,
    /// F-34: a segment has at most 255 bytes.
    #[error("a segment is longer than 255 bytes")]
    SegmentTooLong,
    /// F-34: a segment ends in neither dot nor space.
    #[error("a segment ends in a dot or a space")]
    TrailingDotOrSpace,
    /// F-35: not a device name of Windows.
    #[error("a segment is a device name of Windows")]
    DeviceName,
    /// F-35: not a name that the store hides.
    #[error("a segment is '.uploads' or ends in '.versions', which the store hides")]
    HiddenByStore,
    /// F-36: the first segment is a root name.
    #[error("the first segment is not a root name")]
    BadRoot,
}

impl EntryPath {
    /// Returns the path that `bytes` spell.
    ///
    /// # Errors
    /// Names the first broken rule of F-31 to F-36.
    pub fn parse(bytes: &[u8]) -> Result<EntryPath, PathError> {
        match check_path(bytes) {
            Ok(text) => Ok(EntryPath(text.to_owned())),
            Err(rule) => Err(PathError { bytes: bytes.to_vec(), rule }),
        }
    }

    /// Returns the text of the path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the bytes of the path; paths are ordered by them.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Returns the name of the root: the first segment.
    pub fn root(&self) -> &str {
        self.0.split_once('/').map_or(self.as_str(), |(root, _)| root)
    }

    /// Returns the path below the root; empty for the root itself.
    pub fn below_root(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, below)| below)
    }

    /// Tells whether `self` is a directory above `other`.
    pub fn is_above(&self, other: &EntryPath) -> bool {
        other.0.strip_prefix(self.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl fmt::Display for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Checks one segment of a path against F-33 to F-35.
///
/// # Errors
/// Returns the first broken rule.
pub fn check_segment(segment: &str) -> Result<(), PathRule> {
    if segment.is_empty() {
        return Err(PathRule::EmptySegment);
    }
    let is_plain = segment.bytes().all(|byte| matches!(byte, 0x20..=0x7e));
    if !is_plain && segment.contains(is_unshowable) {
        return Err(PathRule::Unshowable);
    }
    if segment.contains('\\') {
        return Err(PathRule::Backslash);
    }
    if segment.contains(':') {
        return Err(PathRule::Colon);
    }
    if segment == "." || segment == ".." {
        return Err(PathRule::DotSegment);
    }
    if segment.len() > SEGMENT_LEN_MAX {
        return Err(PathRule::SegmentTooLong);
    }
    if segment.ends_with(['.', ' ']) {
        return Err(PathRule::TrailingDotOrSpace);
    }
    if is_device_name(segment) {
        return Err(PathRule::DeviceName);
    }
    if segment == ".uploads" || segment.ends_with(".versions") {
        return Err(PathRule::HiddenByStore);
    }
    Ok(())
}

/// Returns the form under which two segments are twins on some file system (F-37): NFKC, then
/// upper and lower case of each character in full, then NFKC again. The tables are those of the
/// standard library and of the crate, both later than Unicode 14.0.
pub fn fold(segment: &str) -> String {
    segment.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfkc().collect()
}

fn check_path(bytes: &[u8]) -> Result<&str, PathRule> {
    if bytes.is_empty() {
        return Err(PathRule::Empty);
    }
    if bytes.len() > PATH_LEN_MAX {
        return Err(PathRule::TooLong);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| PathRule::NotUtf8)?;
    text.split('/').try_for_each(check_segment)?;
    let root = text.split('/').next().unwrap_or_default();
    Name::parse(root).map_err(|_| PathRule::BadRoot)?;
    Ok(text)
}

/// Length of the longest name of a device, in bytes.
const DEVICE_NAME_LEN_MAX: usize = "CONOUT$".len();

/// Tells whether Windows would open a device: the part before the first dot, without trailing
/// spaces, in any case.
fn is_device_name(segment: &str) -> bool {
    let stem = segment.split('.').next().unwrap_or_default().trim_end_matches(' ');
    if !(3..=DEVICE_NAME_LEN_MAX).contains(&stem.len()) {
        return false;
    }
    let stem = stem.to_ascii_uppercase();
    if matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") {
        return true;
    }
    let number = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    number.is_some_and(|number| matches!(number, "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &[u8]) -> Option<PathRule> {
        EntryPath::parse(text).err().map(|error| error.rule)
    }

    #[test]
    fn each_rule_refuses_its_own_breach() {
        let long_segment = format!("m/{}", "x".repeat(256));
        let long_path = format!("m{}", "/x".repeat(512));
        let cases: &[(&[u8], PathRule)] = &[
            (b"", PathRule::Empty),
            (long_path.as_bytes(), PathRule::TooLong),
            (b"m/\xff", PathRule::NotUtf8),
            (b"m/a\nb", PathRule::Unshowable),
            ("m/a\u{202e}b".as_bytes(), PathRule::Unshowable),
            (b"m/a\\b", PathRule::Backslash),
            (b"m/a:b", PathRule::Colon),
            (b"m//b", PathRule::EmptySegment),
            (b"/m", PathRule::EmptySegment),
            (b"m/", PathRule::EmptySegment),
            (b"m/../x", PathRule::DotSegment),
            (b"./m", PathRule::DotSegment),
            (long_segment.as_bytes(), PathRule::SegmentTooLong),
            (b"m/a.", PathRule::TrailingDotOrSpace),
            (b"m/a ", PathRule::TrailingDotOrSpace),
            (b"m/nul.txt", PathRule::DeviceName),
            (b"m/Com1", PathRule::DeviceName),
            (b"m/.uploads/x", PathRule::HiddenByStore),
            (b"m/x.versions", PathRule::HiddenByStore),
            (b"Models/x", PathRule::BadRoot),
        ];
        for (bytes, expected) in cases {
            assert_eq!(rule(bytes), Some(*expected), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn keeps_odd_but_harmless_names_as_they_are() {
        for text in ["m/%2e%2e%2f", "m/a b?#+&%", "m/é", "m/.git/config", "m/console", "m/com10", "m"] {
            assert_eq!(EntryPath::parse(text.as_bytes()).expect(text).as_str(), text);
        }
        for longest in [format!("m/{}", "x".repeat(255)), format!("mm{}", "/x".repeat(511))] {
            assert!(EntryPath::parse(longest.as_bytes()).is_ok(), "{}", longest.len());
        }
    }

    #[test]
    fn twins_fold_together() {
        for (one, other) in [("K", "k"), ("\u{212a}", "k"), ("ß", "SS"), ("ｆ", "f"), ("é", "e\u{301}")] {
            assert_eq!(fold(one), fold(other), "{one} {other}");
        }
        assert_ne!(fold("a"), fold("b"));
        // A sigma at the end of a word is judged as any other.
        assert_eq!([fold("ΑΣ"), fold("ας")], ["ασ", "ασ"]);
    }

    #[test]
    fn knows_root_and_what_is_above() {
        let path = EntryPath::parse(b"models/a/b").expect("good");
        assert_eq!((path.root(), path.below_root()), ("models", "a/b"));
        assert!(EntryPath::parse(b"models/a").expect("good").is_above(&path));
        assert!(!EntryPath::parse(b"models/a/b").expect("good").is_above(&path));
    }
}
