//! One config file: defaults of the options that are the same every day (C-40 to C-42).

mod read;
mod settings;

pub(crate) use read::{Entry, read_text};
pub(crate) use settings::{Kind, SETTINGS, Setting};

use super::failure::Failure;
use airlift::error::Class;
use clap::Command;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// The variable that names the file.
const VARIABLE: &str = "AIRLIFT_CONFIG";

/// What the config file says.
#[derive(Debug, Default)]
pub(crate) struct Config {
    /// The file; nothing where there is none.
    pub(crate) path: Option<PathBuf>,
    pub(crate) entries: Vec<Entry>,
}

/// Where the value of an option comes from.
#[derive(Debug)]
pub(crate) enum Origin<'a> {
    Environment(String),
    File { path: &'a Path, line: usize },
    BuiltIn,
}

impl Config {
    /// Reads the file that the words of the command line, the environment, or the system's custom name.
    ///
    /// # Errors
    /// A file that is named or there can't be read, or holds what it must not.
    pub(crate) fn load(words: &[OsString]) -> Result<Config, Failure> {
        let named = named_by(words).or_else(|| set(VARIABLE).map(PathBuf::from));
        let (path, is_named) = match (named, usual_path()) {
            (Some(path), _) => (path, true),
            (None, Some(path)) => (path, false),
            (None, None) => return Ok(Config::default()),
        };
        let text = match read::read_text(&path) {
            Ok(text) => text,
            Err(error) if !is_named && error.kind() == io::ErrorKind::NotFound => return Ok(Config::default()),
            Err(error) => {
                let message = format!("cannot read the config file {}: {error}", path.display());
                return Err(Failure::new(Class::Usage, message, "correct that, or name another with --config FILE"));
            }
        };
        let entries = read::parse(&text, &path)?;
        Ok(Config { path: Some(path), entries })
    }

    /// Makes what the file says the default of every option of its name, of commands below commands
    /// too. The parser puts the command line and the environment before defaults.
    pub(crate) fn apply(&self, command: Command) -> Command {
        let name = command.get_name().to_owned();
        let mine = |entry: &&Entry| !entry.setting.not_of.contains(&name.as_str());
        let command = self.entries.iter().filter(mine).fold(command, default);
        let below: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
        below.iter().fold(command, |command, name| command.mut_subcommand(name, |below| self.apply(below)))
    }

    /// Returns where the value of an option comes from, and the value where it is not built in.
    /// `variable` is the one that the option itself reads.
    pub(crate) fn origin(&self, setting: &Setting, variable: Option<&str>) -> (Origin<'_>, Option<String>) {
        let variables = variable.into_iter().chain(setting.variables.iter().copied());
        for name in variables {
            if let Some(value) = set(name) {
                return (Origin::Environment(name.to_owned()), Some(value.to_string_lossy().into_owned()));
            }
        }
        let entry = self.entries.iter().find(|entry| entry.setting.key == setting.key);
        match (entry, &self.path) {
            (Some(entry), Some(path)) => (Origin::File { path, line: entry.line }, Some(entry.value.clone())),
            _ => (Origin::BuiltIn, None),
        }
    }
}

/// Gives the option of this name a default, if the command has it and the environment says nothing.
fn default(command: Command, entry: &Entry) -> Command {
    let long = entry.setting.long();
    let is_meant = command.get_arguments().any(|argument| argument.get_long() == Some(&long));
    if !is_meant || entry.setting.variables.iter().any(|name| set(name).is_some()) {
        return command;
    }
    let value = entry.value.clone();
    command.mut_arg(entry.setting.key, |argument| argument.required(false).default_value(value))
}

/// Returns a variable that is set and not empty.
fn set(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Returns what `--config` names. The parser looks at it only when the file has been read.
fn named_by(words: &[OsString]) -> Option<PathBuf> {
    let mut words = words.iter().skip(1).take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        if word == "--config" {
            return words.next().map(PathBuf::from);
        }
        if let Some(path) = word.to_str().and_then(|word| word.strip_prefix("--config=")) {
            return Some(PathBuf::from(path));
        }
    }
    None
}

/// Returns where the file is when nothing names it.
fn usual_path() -> Option<PathBuf> {
    let absolute = |name: &str| set(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let top = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")))?;
    Some(top.join("airlift/config.toml"))
}
