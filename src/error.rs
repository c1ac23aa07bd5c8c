//! Whose problem an error is.

/// The class of an error: who has to act, and the exit code of the program.
///
/// Every error type of the library answers `class()`. The codes are fixed by `spec/cli.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Class {
    /// The machine failed at something: a disk, a permission, a changed source file.
    Failed,
    /// The command was not understood or does not fit what is there.
    Usage,
    /// Bytes differ from what was signed: get another copy of what is named.
    Damaged,
    /// The signatures do not make this acceptable; repeating will not help.
    Untrusted,
    /// Volumes are missing: bring them and repeat the command.
    Incomplete,
    /// The store cannot be used now: repeat later.
    Unavailable,
    /// Understood, trusted and not allowed.
    Refused,
    /// A bundle that this one builds on is not installed.
    BaseMissing,
    /// Older than, or forked from, what is installed.
    Older,
    /// A disk or store is full.
    NoSpace,
    /// A defect of this program.
    Bug,
    /// Stopped by a signal: repeating resumes.
    Interrupted,
}

const ALL: [Class; 12] = [
    Class::Failed,
    Class::Usage,
    Class::Damaged,
    Class::Untrusted,
    Class::Incomplete,
    Class::Unavailable,
    Class::Refused,
    Class::BaseMissing,
    Class::Older,
    Class::NoSpace,
    Class::Bug,
    Class::Interrupted,
];

impl Class {
    /// Returns the exit code of the program for this class.
    pub const fn exit_code(self) -> u8 {
        match self {
            Class::Failed => 1,
            Class::Usage => 2,
            Class::Damaged => 3,
            Class::Untrusted => 4,
            Class::Incomplete => 5,
            Class::Unavailable => 6,
            Class::Refused => 7,
            Class::BaseMissing => 8,
            Class::Older => 9,
            Class::NoSpace => 10,
            Class::Bug => 70,
            Class::Interrupted => 130,
        }
    }

    /// Returns the class that an exit code of the program stands for; nothing for success and other codes.
    pub fn of_exit_code(code: i32) -> Option<Class> {
        ALL.into_iter().find(|class| i32::from(class.exit_code()) == code)
    }

    /// Returns the lower-case name of the class as reports print it.
    pub const fn name(self) -> &'static str {
        match self {
            Class::Failed => "failed",
            Class::Usage => "usage",
            Class::Damaged => "damaged",
            Class::Untrusted => "untrusted",
            Class::Incomplete => "incomplete",
            Class::Unavailable => "unavailable",
            Class::Refused => "refused",
            Class::BaseMissing => "base-missing",
            Class::Older => "older",
            Class::NoSpace => "no-space",
            Class::Bug => "bug",
            Class::Interrupted => "interrupted",
        }
    }

    /// Returns the class of an input or output error of the operating system.
    pub fn of_io(error: &std::io::Error) -> Class {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Class::NoSpace,
            std::io::ErrorKind::Interrupted => Class::Interrupted,
            _ => Class::Failed,
        }
    }
}
