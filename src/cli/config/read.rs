//! The config file: strict, so that a misspelt option of trust is never passed over (C-40).

use super::settings::{Kind, SETTINGS, Setting};
use crate::cli::args::names_a_secret;
use crate::cli::failure::Failure;
use airlift::error::Class;
use airlift::format::Shown;
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// The longest config file, in bytes.
const CONFIG_LEN_MAX: u64 = 64 << 10;

/// A value that the file has.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) setting: &'static Setting,
    /// As the command line would have it.
    pub(crate) value: String,
    /// The line where it stands, from 1.
    pub(crate) line: usize,
}

/// Reads the text of a config file.
///
/// # Errors
/// The file is there and can't be read, or is too long, or no text. What is not there is said by the
/// kind of the error.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(CONFIG_LEN_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > CONFIG_LEN_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is longer than 64 KiB"));
    }
    Ok(text)
}

/// Returns what a config file says, in the order of its lines.
///
/// # Errors
/// Names file, line and key of what is no option, no value of the option, or no TOML.
pub(crate) fn parse(text: &str, path: &Path) -> Result<Vec<Entry>, Failure> {
    let reader = Reader { text, path };
    let table = DeTable::parse(text)
        .map_err(|error| reader.refused(error.span(), error.message(), "write it as TOML: key = \"value\""))?;
    let mut entries = Vec::new();
    for (key, value) in table.get_ref() {
        entries.push(reader.entry(key.get_ref(), key.span(), value.get_ref())?);
    }
    entries.sort_by_key(|entry| entry.line);
    Ok(entries)
}

struct Reader<'a> {
    text: &'a str,
    path: &'a Path,
}

impl Reader<'_> {
    fn entry(&self, key: &str, span: Range<usize>, value: &DeValue<'_>) -> Result<Entry, Failure> {
        let shown = Shown(key);
        if names_a_secret(key) {
            let what = format!("{shown} is no option: a secret does not belong in this file");
            let remedy = "put credentials into a file of their own (credentials_file) or into the environment";
            return Err(self.refused(Some(span), &what, remedy));
        }
        let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
            let remedy = "airlift config show names what the file may hold";
            return Err(self.refused(Some(span), &format!("{shown} is no option of this file"), remedy));
        };
        let kind = setting.kind;
        let line = self.line(span.start);
        let wrong = |why: String| self.refused(Some(span.clone()), &format!("{key} {why}"), "correct that line");
        let value = text_of(kind, value).ok_or_else(|| wrong(format!("must be {}", kind.name())))?;
        kind.check(&value).map_err(|why| wrong(format!("must be {}: {why}", kind.name())))?;
        let value = if kind == Kind::Path { self.resolved(&value)? } else { value };
        Ok(Entry { setting, value, line })
    }

    /// Returns a path that means the same wherever the program is started.
    fn resolved(&self, value: &str) -> Result<String, Failure> {
        let above = self.path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let above = std::path::absolute(above).map_err(|error| Failure::io("use", above, &error))?;
        Ok(above.join(value).to_string_lossy().into_owned())
    }

    fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
    }

    fn refused(&self, span: Option<Range<usize>>, what: &str, remedy: &'static str) -> Failure {
        let line = self.line(span.map_or(0, |span| span.start));
        Failure::new(Class::Usage, format!("{}, line {line}: {what}", self.path.display()), remedy)
    }
}

/// Returns a value as the command line would have it, where its type fits.
fn text_of(kind: Kind, value: &DeValue<'_>) -> Option<String> {
    match (kind, value) {
        (Kind::Switch, DeValue::Boolean(switch)) => Some(switch.to_string()),
        (Kind::Count | Kind::Size | Kind::Rate, DeValue::Integer(number)) if number.radix() == 10 => {
            Some(number.as_str().to_owned())
        }
        (Kind::Switch | Kind::Count, _) => None,
        (_, DeValue::String(text)) => Some(text.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<(String, String, usize)>, String> {
        let entries = parse(text, Path::new("/etc/a/config.toml")).map_err(|failure| failure.to_string())?;
        Ok(entries.into_iter().map(|one| (one.setting.key.to_owned(), one.value, one.line)).collect())
    }

    #[test]
    fn every_value_comes_with_its_line_and_paths_belong_to_the_file() {
        let text = "# ours\nthreshold = 2\nallowed_signers = \"signers\"\nca_file='/etc/ca.pem'\nquiet = true\n\nvolume_size = \"4GiB\"";
        let expected = [
            ("threshold", "2", 2),
            ("allowed_signers", "/etc/a/signers", 3),
            ("ca_file", "/etc/ca.pem", 4),
            ("quiet", "true", 5),
            ("volume_size", "4GiB", 7),
        ];
        let expected = expected.map(|(key, value, line)| (key.to_owned(), value.to_owned(), line));
        assert_eq!(parsed(text), Ok(expected.to_vec()));
        assert_eq!(parsed(""), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_option_or_no_value_of_it_is_refused_with_its_line() {
        for (text, part) in [
            ("\nalowed_signers = \"x\"", "line 2: \"alowed_signers\" is no option"),
            ("[store]\nendpoint = \"x\"", "line 1: \"store\" is no option"),
            ("threshold = \"2\"", "line 1: threshold must be a number from 1"),
            ("threshold = 0", "threshold must be a number from 1"),
            ("threshold = 0x2", "threshold must be a number from 1"),
            ("threshold = -1", "threshold must be a number from 1"),
            ("quiet = \"true\"", "quiet must be true or false"),
            ("volume_size = \"4G\"", "volume_size must be a size"),
            ("allowed_signers = [\"a\"]", "allowed_signers must be the path"),
            ("allowed_signers = \"\"", "it is empty"),
            ("stream = \"a b\"", "stream must be a name"),
            ("threads = 1\nthreads = 2", "line 2: "),
            ("threads 1", "line 1: "),
            ("\"a\\u001b\" = 1", "\\u{1b}"),
        ] {
            let refused = parsed(text).expect_err(text);
            assert!(refused.contains(part) && refused.contains("/etc/a/config.toml, line "), "{text}: {refused}");
        }
    }

    #[test]
    fn a_secret_is_refused_and_not_repeated() {
        for key in ["secret_access_key", "AWS_ACCESS_KEY_ID", "password", "session_token"] {
            let refused = parsed(&format!("{key} = \"canary\"")).expect_err(key);
            assert!(refused.contains("a secret does not belong") && !refused.contains("canary"), "{refused}");
        }
        let refused = parsed("secret_access_key = canary").expect_err("no TOML");
        assert!(!refused.contains("canary"), "{refused}");
    }
}
