//! The options that the config file may hold, each once (C-40).

use crate::cli::args::rate;
use crate::cli::size;
use airlift::format::Name;
use airlift::pipeline::import::Prefix;
use std::num::NonZeroUsize;

/// An option that the config file may hold.
#[derive(Debug)]
pub(crate) struct Setting {
    /// The key in the file: the long name of the option with `_` for `-`.
    pub(crate) key: &'static str,
    pub(crate) kind: Kind,
    /// Variables of the environment that come before the file, beside the one of the option itself.
    pub(crate) variables: &'static [&'static str],
    /// Commands that have an option of this name which means something else.
    pub(crate) not_of: &'static [&'static str],
}

/// What values an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// A path; in the file, one that is not absolute is below the directory of the file.
    Path,
    /// A name as streams and audiences have it.
    Name,
    /// A prefix of keys in the store.
    Prefix,
    /// A number from 1.
    Count,
    /// A size, or bytes as a number (C-05).
    Size,
    /// Bytes a second, more than 0 (C-33).
    Rate,
    /// True or false.
    Switch,
}

const fn setting(key: &'static str, kind: Kind) -> Setting {
    Setting { key, kind, variables: &[], not_of: &[] }
}

pub(crate) const SETTINGS: &[Setting] = &[
    setting("allowed_signers", Kind::Path),
    setting("threshold", Kind::Count),
    setting("revoked", Kind::Path),
    setting("stream", Kind::Name),
    // With `pack` it is whom a bundle is for, not where this machine is.
    Setting { not_of: &["pack"], ..setting("audience", Kind::Name) },
    // A demo must not reach the store of every day.
    Setting { not_of: &["demo"], variables: &["AWS_ENDPOINT_URL"], ..setting("endpoint", Kind::Text) },
    Setting { variables: &["AWS_REGION", "AWS_DEFAULT_REGION"], ..setting("region", Kind::Text) },
    Setting { variables: &["AWS_PROFILE"], ..setting("aws_profile", Kind::Text) },
    Setting {
        variables: &["AWS_ACCESS_KEY_ID", "AWS_SHARED_CREDENTIALS_FILE"],
        ..setting("credentials_file", Kind::Path)
    },
    Setting { variables: &["AWS_CA_BUNDLE"], ..setting("ca_file", Kind::Path) },
    setting("state", Kind::Path),
    setting("state_prefix", Kind::Prefix),
    setting("workers", Kind::Count),
    setting("threads", Kind::Count),
    setting("volume_size", Kind::Size),
    setting("bwlimit", Kind::Rate),
    setting("strict", Kind::Switch),
    setting("quiet", Kind::Switch),
    setting("no_progress", Kind::Switch),
];

impl Setting {
    /// Returns the long name of the option.
    pub(crate) fn long(&self) -> String {
        self.key.replace('_', "-")
    }
}

impl Kind {
    /// Returns what the values of the option are, for messages.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Kind::Text => "a text",
            Kind::Path => "the path of a file or directory, as a text",
            Kind::Name => "a name, as a text",
            Kind::Prefix => "a prefix that ends in '/', as a text",
            Kind::Count => "a number from 1",
            Kind::Size => "a size such as \"4GiB\", or a number of bytes",
            Kind::Rate => "a size such as \"50MiB\", or a number of bytes, a second",
            Kind::Switch => "true or false",
        }
    }

    /// Tells whether the option takes this value, and why not.
    ///
    /// # Errors
    /// Says what a value must be.
    pub(crate) fn check(self, value: &str) -> Result<(), String> {
        match self {
            Kind::Text | Kind::Path if value.is_empty() => Err("it is empty".to_owned()),
            Kind::Text | Kind::Path | Kind::Switch => Ok(()),
            Kind::Name => Name::parse(value).map(drop).map_err(|error| error.to_string()),
            Kind::Prefix => Prefix::parse(value).map(drop).map_err(|error| error.to_string()),
            Kind::Count => value.parse::<NonZeroUsize>().map(drop).map_err(|error| error.to_string()),
            Kind::Size => size::parse(value).map(drop),
            Kind::Rate => rate(value).map(drop),
        }
    }
}
