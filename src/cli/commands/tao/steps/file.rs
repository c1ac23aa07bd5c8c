//! The file of steps: a table for each command, and in it options of the command (C-49).

use crate::cli::args::names_a_secret;
use crate::cli::config::read_text;
use crate::cli::failure::Failure;
use airlift::error::Class;
use airlift::format::Shown;
use clap::{Arg, Command};
use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// Tables that belong to no command: their keys go to every command that has such an option.
const SHARED: [&str; 3] = ["release", "trust", "store"];
/// Tables of one command each, or of none, with keys that the steps read themselves.
const OWN: [&str; 9] = ["roots", "fetch", "pack", "sign", "write", "land", "import", "register", "doctor"];

/// What a file of steps says.
pub(super) struct StepsFile {
    /// The file, wherever the program is started.
    pub(super) path: PathBuf,
    tables: Vec<Table>,
}

struct Table {
    name: String,
    entries: Vec<Entry>,
}

/// A key and what it is given.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    line: usize,
    value: Value,
}

#[derive(Clone)]
enum Value {
    Switch(bool),
    Text(String),
    List(Vec<String>),
}

impl StepsFile {
    /// Reads a file of steps.
    ///
    /// # Errors
    /// The file can't be read or is no TOML, or has a table that no step has, or a secret.
    pub(super) fn read(path: &Path) -> Result<StepsFile, Failure> {
        let path = std::path::absolute(path).map_err(|error| Failure::io("use", path, &error))?;
        let text = read_text(&path).map_err(|error| {
            let message = format!("cannot read {}: {error}", path.display());
            Failure::new(Class::Usage, message, "airlift tao init writes such a file")
        })?;
        let reader = Reader { text: &text, path: &path };
        let document = DeTable::parse(&text)
            .map_err(|error| reader.refused(error.span(), error.message(), "write it as TOML: key = \"value\""))?;
        let mut tables = Vec::new();
        for (name, value) in document.get_ref() {
            tables.push(reader.table(name.get_ref(), name.span(), value.get_ref())?);
        }
        Ok(StepsFile { path, tables })
    }

    /// Returns the directory that the paths in the file are below.
    pub(super) fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    pub(super) fn has(&self, table: &str) -> bool {
        self.tables.iter().any(|one| one.name == table)
    }

    fn entries(&self, table: &str) -> &[Entry] {
        self.tables.iter().find(|one| one.name == table).map(|one| one.entries.as_slice()).unwrap_or_default()
    }

    /// Returns the text of a key that a step can't be without; `line` is how it is written.
    ///
    /// # Errors
    /// It is not there or no text.
    pub(super) fn text(&self, table: &str, key: &str, line: &str) -> Result<&str, Failure> {
        match self.entries(table).iter().find(|entry| entry.key == key).map(|entry| &entry.value) {
            Some(Value::Text(text)) if !text.is_empty() => Ok(text),
            _ => Err(self.missing(table, line)),
        }
    }

    /// Returns the texts of a key that a table can't be without; none where there is no such table.
    ///
    /// # Errors
    /// The table is there without the key, or with an empty one.
    pub(super) fn list_if_table(&self, table: &str, key: &str) -> Result<Vec<&str>, Failure> {
        match self.list(table, key) {
            texts if texts.is_empty() && self.has(table) => Err(Failure {
                remedy: "add that line, or remove the table: then the step is left out".into(),
                ..self.missing(table, &format!("{key} = [\"...\"]"))
            }),
            texts => Ok(texts),
        }
    }

    /// Refuses keys of a table that the steps read themselves, but for these.
    ///
    /// # Errors
    /// Names the first of them.
    pub(super) fn check_own(&self, table: &str, known: &[&str]) -> Result<(), Failure> {
        match self.entries(table).iter().find(|entry| !known.contains(&entry.key.as_str())) {
            Some(entry) => {
                let what = format!("{} is nothing that {table} has", Shown(&entry.key));
                Err(self.refused(entry.line, &what, format!("write one of {}", known.join(", "))))
            }
            None => Ok(()),
        }
    }

    /// Returns the texts of a key; none where it is not there.
    pub(super) fn list(&self, table: &str, key: &str) -> Vec<&str> {
        match self.entries(table).iter().find(|entry| entry.key == key).map(|entry| &entry.value) {
            Some(Value::List(texts)) => texts.iter().map(String::as_str).collect(),
            Some(Value::Text(text)) => vec![text],
            _ => Vec::new(),
        }
    }

    /// Returns every key of a table with its text.
    ///
    /// # Errors
    /// One has no text.
    pub(super) fn texts(&self, table: &str) -> Result<Vec<(&str, &str)>, Failure> {
        let text = |entry: &'_ Entry| match &entry.value {
            Value::Text(_) => Ok(()),
            _ => Err(self.refused(entry.line, &format!("{} must be a text", entry.key), "correct that line")),
        };
        self.entries(table).iter().try_for_each(text)?;
        Ok(self.entries(table).iter().map(|entry| (entry.key.as_str(), entry.shown())).collect())
    }

    pub(super) fn missing(&self, table: &str, line: &str) -> Failure {
        let message = format!("{}: the table {table} has no {line}", self.path.display());
        Failure::new(Class::Usage, message, "add that line")
    }

    /// Returns the options of a command: what its own table says but for `taken`, and what the tables of
    /// `lenders` say that it has an option for. The first that says it counts.
    ///
    /// # Errors
    /// The own table has a key that is no option of the command, or a value of another type.
    pub(super) fn options(
        &self,
        (command, path): (&Command, &[&str]),
        (table, lenders): (&str, &[&str]),
        taken: &[&str],
    ) -> Result<Vec<OsString>, Failure> {
        let mut words = Vec::new();
        for entry in self.entries(table).iter().filter(|entry| !taken.contains(&entry.key.as_str())) {
            let Some(option) = option_of(command, &entry.key) else {
                let path = path.join(" ");
                let what = format!("{} is no option of {path}", Shown(&entry.key));
                let remedy = format!("airlift {path} --help names them");
                return Err(self.refused(entry.line, &what, remedy));
            };
            words.extend(self.words(entry, option)?);
        }
        let mut said: Vec<&str> = self.entries(table).iter().map(|entry| entry.key.as_str()).collect();
        for entry in lenders.iter().flat_map(|lender| self.entries(lender)) {
            if let Some(option) = option_of(command, &entry.key).filter(|_| !said.contains(&entry.key.as_str())) {
                words.extend(self.words(entry, option)?);
                said.push(&entry.key);
            }
        }
        Ok(words)
    }

    fn words(&self, entry: &Entry, option: &Arg) -> Result<Vec<OsString>, Failure> {
        let long = OsString::from(format!("--{}", entry.key.replace('_', "-")));
        let is_switch = !option.get_action().takes_values();
        let values = match (&entry.value, is_switch) {
            (Value::Switch(true), true) => return Ok(vec![long]),
            (Value::Switch(false), true) => return Ok(Vec::new()),
            (Value::Text(text), false) => vec![text.clone()],
            (Value::List(texts), false) if option.get_value_delimiter().is_some() => vec![texts.join(",")],
            (Value::List(texts), false) => texts.clone(),
            _ => {
                let wanted = if is_switch { "true or false" } else { "a text, a number or a list" };
                let what = format!("{} must be {wanted}", entry.key);
                return Err(self.refused(entry.line, &what, "correct that line"));
            }
        };
        Ok(values.into_iter().flat_map(|value| [long.clone(), value.into()]).collect())
    }

    fn refused(&self, line: usize, what: &str, remedy: impl Into<std::borrow::Cow<'static, str>>) -> Failure {
        Failure::new(Class::Usage, format!("{}, line {line}: {what}", self.path.display()), remedy)
    }

    /// Refuses keys of shared tables that no command of the steps has.
    ///
    /// # Errors
    /// Names the first of them.
    pub(super) fn check_shared(&self, commands: &[&Command], taken: &[&str]) -> Result<(), Failure> {
        for entry in SHARED.iter().flat_map(|shared| self.entries(shared)) {
            let is_known = taken.contains(&entry.key.as_str())
                || commands.iter().any(|command| option_of(command, &entry.key).is_some());
            if !is_known {
                let what = format!("{} is no option of any step", Shown(&entry.key));
                return Err(self.refused(entry.line, &what, "correct or remove that line"));
            }
        }
        Ok(())
    }
}

impl Entry {
    fn shown(&self) -> &str {
        match &self.value {
            Value::Text(text) => text,
            _ => "",
        }
    }
}

fn option_of<'a>(command: &'a Command, key: &str) -> Option<&'a Arg> {
    let long = key.replace('_', "-");
    command.get_arguments().find(|argument| argument.get_long() == Some(&long))
}

struct Reader<'a> {
    text: &'a str,
    path: &'a Path,
}

impl Reader<'_> {
    fn table(&self, name: &str, span: Range<usize>, value: &DeValue<'_>) -> Result<Table, Failure> {
        let is_known = SHARED.contains(&name) || OWN.contains(&name);
        let DeValue::Table(entries) = value else {
            return Err(self.refused(Some(span), &format!("{} stands in no table", Shown(name)), "put it into one"));
        };
        if !is_known {
            let remedy = "airlift tao init writes a file with every table that there is";
            return Err(self.refused(Some(span), &format!("{} is no table of this file", Shown(name)), remedy));
        }
        let entries: Result<Vec<Entry>, Failure> =
            entries.iter().map(|(key, value)| self.entry(key.get_ref(), key.span(), value.get_ref())).collect();
        let mut entries = entries?;
        entries.sort_by_key(|entry| entry.line);
        Ok(Table { name: name.to_owned(), entries })
    }

    fn entry(&self, key: &str, span: Range<usize>, value: &DeValue<'_>) -> Result<Entry, Failure> {
        if names_a_secret(key) {
            let what = format!("{} is no option: a secret does not belong in this file", Shown(key));
            return Err(self.refused(Some(span), &what, "put it into a file of its own or into the environment"));
        }
        let line = self.line(span.start);
        let value = value_of(value).ok_or_else(|| {
            let what = format!("{} must be a text, a number, true or false, or a list of texts", Shown(key));
            self.refused(Some(span), &what, "correct that line")
        })?;
        Ok(Entry { key: key.to_owned(), line, value })
    }

    fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
    }

    fn refused(&self, span: Option<Range<usize>>, what: &str, remedy: &'static str) -> Failure {
        let line = self.line(span.map_or(0, |span| span.start));
        Failure::new(Class::Usage, format!("{}, line {line}: {what}", self.path.display()), remedy)
    }
}

fn value_of(value: &DeValue<'_>) -> Option<Value> {
    let text = |value: &DeValue<'_>| match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        _ => None,
    };
    match value {
        DeValue::Boolean(switch) => Some(Value::Switch(*switch)),
        DeValue::Array(items) => items.iter().map(|item| text(item.get_ref())).collect::<Option<_>>().map(Value::List),
        value => text(value).map(Value::Text),
    }
}
