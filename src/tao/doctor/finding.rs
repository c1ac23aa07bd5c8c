//! What a look at one side found: facts, each with what was looked at.

use crate::error::Class;
use crate::format::{OneLine, Shown};
use crate::pipeline::import::Unfinished;
use crate::store::StoreError;
use crate::tao::api::ApiError;
use crate::tao::check::{Flaw, Remark};
use crate::tao::http::HttpError;
use crate::tao::metadata::BadField;
use crate::tao::model_registry::{ModelRegistryError, Source, VARIABLE};
use crate::tao::register::{Problem, RegisterError};
use crate::tao::tree::TreeError;
use std::fmt;
use std::io;

/// What is looked at, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// A tree of models on disk.
    Tree,
    /// The keys of what models are fetched from.
    Keys,
    /// Where the models lie in the bucket, as settings say.
    Registry,
    /// Whether the store answers.
    Store,
    /// The clock of the store and ours.
    StoreClock,
    /// Whether the store takes the credentials.
    Credentials,
    /// Whether the bucket is there.
    Bucket,
    /// Whether an import into the bucket has come to its end.
    Import,
    /// The metadata of the models in the bucket.
    Metadata,
    /// The values of their entries.
    Entries,
    /// The files of each entry.
    Weights,
    /// Whether the platform answers and lets in.
    Api,
    /// The clock of the platform and ours.
    ApiClock,
    /// Which version the platform is of.
    Version,
    /// Whether the platform can list its models.
    List,
    /// Whether it lists each entry.
    Listed,
    /// Free space of a directory.
    Space,
}

/// What one check found.
#[derive(Debug)]
pub struct Finding {
    /// The check.
    pub check: Check,
    /// What was looked at: an address, a path, a key.
    pub about: String,
    /// What was found.
    pub outcome: Outcome,
}

/// How a check came out.
#[derive(Debug)]
pub enum Outcome {
    /// As it should be.
    Good,
    /// As it may be, and a person should know.
    Noted(Note),
    /// Not as it should be.
    Wrong(Wrong),
    /// It needs what another check found wrong.
    NotLooked {
        /// The other check.
        since: Check,
    },
}

/// What works, and may surprise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Note {
    /// Something of the models.
    #[error(transparent)]
    Remark(Remark),
    /// The clocks differ, and signatures still hold.
    #[error("its clock is {0}")]
    Clock(Skew),
    /// A key is not set.
    #[error("none of these is set: {names}", names = .names.join(", "))]
    NoKey {
        /// The variables that would hold it.
        names: &'static [&'static str],
    },
    /// The platform lists models that are not in the metadata.
    #[error("it lists models that the metadata do not have, as a load removes none: {count}")]
    OthersListed {
        /// How many.
        count: u64,
    },
}

/// What is not as it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Wrong {
    /// It is not known where the models lie.
    #[error(transparent)]
    Registry(ModelRegistryError),
    /// a spelling with which weights are not found.
    #[error("{by} has a slash behind or blanks around {VARIABLE}, so that models are listed and no weights found")]
    HidesWeights {
        /// Who says it.
        by: Source,
        /// How it should be written.
        path: String,
    },
    /// The store is not named well.
    #[error(transparent)]
    StoreOptions(StoreError),
    /// The store does not answer.
    #[error(transparent)]
    StoreSilent(HttpError),
    /// signatures fail.
    #[error("its clock is {0}, and signatures do not hold for more than 15 minutes")]
    Clock(Skew),
    /// The store refuses the credentials.
    #[error("the store refuses the credentials")]
    Credentials(#[source] StoreError),
    /// There is no such bucket.
    #[error(transparent)]
    NoBucket(StoreError),
    /// The store fails at something else.
    #[error(transparent)]
    Store(StoreError),
    /// An import has not come to its end.
    #[error("an import of stream {stream} has not come to its end{who}{waiting}", stream = Shown(&.0.stream), who = Who(.0), waiting = Waiting(.0))]
    Unfinished(Unfinished),
    /// There are no metadata where the platform looks.
    #[error("the bucket has no {key}{found}", found = Elsewhere(.elsewhere))]
    NoMetadata {
        /// Where they should lie.
        key: String,
        /// Where others lie in the bucket.
        elsewhere: Vec<String>,
    },
    /// The metadata are none, or can't be read.
    #[error(transparent)]
    Metadata(RegisterError),
    /// A value breaks the platform's lists, or drops its entry.
    #[error("entry {}: {} {}", .0.entry, .0.field, .0.rule)]
    Field(BadField),
    /// An entry is not as it should be, with its files or in the platform's list.
    #[error("entry {entry}: {problem}")]
    Entry {
        /// Its id.
        entry: String,
        /// What is wrong.
        problem: Problem,
    },
    /// The models on disk would break the platform.
    #[error(transparent)]
    Flaw(Flaw),
    /// The models on disk can't be looked at.
    #[error(transparent)]
    Tree(TreeError),
    /// The platform does not answer.
    #[error(transparent)]
    ApiSilent(HttpError),
    /// The platform refuses.
    #[error(transparent)]
    Api(ApiError),
    /// Of these versions some load models and never list them.
    #[error("it is of version {}", Shown(.version))]
    OldVersion {
        /// The version.
        version: String,
    },
    /// an entry breaks the list for all.
    #[error("entry {entry} breaks its list, {origin}", origin = if *.is_ours { "and is one of the metadata" } else { "and is none of the metadata" })]
    ListBroken {
        /// Its id.
        entry: String,
        /// Whether it is in the metadata.
        is_ours: bool,
        /// What the platform answers.
        source: ApiError,
    },
    /// it lists nothing of what it should.
    #[error("it lists none of the entries of the metadata, of which there are {count}")]
    NoneListed {
        /// How many there are.
        count: usize,
    },
    /// A directory has too little room.
    #[error("{free_len} bytes are free, and {needed_len} are needed")]
    LittleSpace {
        /// What is free.
        free_len: u64,
        /// What is needed.
        needed_len: u64,
    },
    /// It can't be told what is free.
    #[error("it can't be told how much is free")]
    NoSpaceKnown(#[source] io::Error),
}

/// How far another clock is from ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skew {
    /// Seconds that it is ahead; behind where negative.
    pub ahead_s: i64,
}

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.ahead_s < 0 { "behind" } else { "ahead of" };
        write!(f, "{} s {side} that of this machine", self.ahead_s.unsigned_abs())
    }
}

struct Who<'a>(&'a Unfinished);
struct Waiting<'a>(&'a Unfinished);
struct Elsewhere<'a>(&'a [String]);

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.holder {
            Some(holder) => write!(f, ", begun by process {} on {}", holder.process, OneLine(&holder.host)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Waiting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.waiting_count {
            0 => Ok(()),
            count => write!(f, ", packs that wait for others: {count}"),
        }
    }
}

impl fmt::Display for Elsewhere<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut word = ", and has ";
        for key in self.0 {
            write!(f, "{word}{}", Shown(key))?;
            word = ", ";
        }
        Ok(())
    }
}

impl Check {
    /// Returns the name of the check as reports print it.
    pub const fn name(self) -> &'static str {
        match self {
            Check::Tree => "tree",
            Check::Keys => "keys",
            Check::Registry => "registry",
            Check::Store => "store",
            Check::StoreClock => "store-clock",
            Check::Credentials => "credentials",
            Check::Bucket => "bucket",
            Check::Import => "import",
            Check::Metadata => "metadata",
            Check::Entries => "entries",
            Check::Weights => "weights",
            Check::Api => "api",
            Check::ApiClock => "api-clock",
            Check::Version => "version",
            Check::List => "list",
            Check::Listed => "listed",
            Check::Space => "space",
        }
    }
}

impl Wrong {
    /// Returns whose problem it is: *unavailable* where something does not answer or has no room, else
    /// *refused* (C-43).
    pub fn class(&self) -> Class {
        let class = match self {
            Wrong::StoreSilent(error) | Wrong::ApiSilent(error) => error.class(),
            Wrong::Store(error) => error.class(),
            Wrong::Metadata(error) => error.class(),
            Wrong::Api(error) => error.class(),
            Wrong::LittleSpace { .. } => Class::NoSpace,
            _ => Class::Refused,
        };
        match class {
            Class::Unavailable | Class::NoSpace => Class::Unavailable,
            _ => Class::Refused,
        }
    }
}
