//! Values of options.

use crate::cli::size;
use airlift::format::{Name, Time};
use airlift::pipeline::globs::Glob;
use std::fmt;
use std::num::NonZeroU64;
use std::path::PathBuf;

/// A length in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = self.0 >> 20;
        if mib << 20 == self.0 { write!(f, "{mib}MiB") } else { write!(f, "{}", self.0) }
    }
}

pub(crate) fn bytes(text: &str) -> Result<Bytes, String> {
    size::parse(text).map(Bytes)
}

/// Returns the bytes that may go in a second.
pub(crate) fn rate(text: &str) -> Result<NonZeroU64, String> {
    let rate =
        size::parse(text).map_err(|_| format!("{text} is no rate; write it as 50MiB, 10MB or in bytes, a second"))?;
    NonZeroU64::new(rate).ok_or_else(|| "at 0 bytes a second nothing would ever go".to_owned())
}

pub(crate) fn time(text: &str) -> Result<Time, String> {
    Time::parse(text).ok_or_else(|| "a time is written as 2030-12-31T23:59:59Z".to_owned())
}

pub(crate) fn glob(text: &str) -> Result<Glob, String> {
    Glob::parse(text).map_err(|error| error.to_string())
}

pub(crate) fn named_path(text: &str) -> Result<(Name, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("it has no '='")?;
    let name = Name::parse(name).map_err(|error| error.to_string())?;
    if path.is_empty() {
        return Err("nothing is named behind the '='".to_owned());
    }
    Ok((name, PathBuf::from(path)))
}
