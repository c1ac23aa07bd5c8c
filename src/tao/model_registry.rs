//! Where the models lie in the bucket: the same path for the platform and for what lands there.

use super::config_env::{Written, assignments};
use crate::error::Class;
use crate::format::head::Head;
use crate::format::{Name, Shown};
use crate::machine::read_limited;
use crate::pipeline::import::Prefix;
use crate::store::{Key, KeyError};
use serde::Deserialize;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The variable by which the platform is told.
pub const VARIABLE: &str = "LOCAL_MODEL_REGISTRY";
/// The name under which a head says for which path a bundle was packed.
const EXT_NAME: &str = "tao.registry";
/// Longest file of settings, in bytes.
const SETTINGS_LEN_MAX: u64 = 1 << 20;

/// The path of the models in the bucket, without slashes and blanks around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelRegistry(Prefix);

/// Who says where the models lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The option of the command line.
    Option,
    /// A file of settings of the deployment.
    File(PathBuf),
    /// The variable of the environment.
    Environment,
}

/// Why it is not known where the models lie.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelRegistryError {
    /// Nobody says it.
    #[error("it is not said where the models lie in the bucket")]
    NotSaid,
    /// It is no path of a bucket.
    #[error("{VARIABLE} is {text} by {by}, and that is no path in a bucket", text = Shown(.text))]
    NoPath {
        /// What is said.
        text: String,
        /// By whom.
        by: Source,
    },
    /// Two say it differently.
    #[error("{first} says that the models lie at {one}, and {second} at {other}")]
    Disagree {
        /// Who says it.
        first: Source,
        /// What.
        one: ModelRegistry,
        /// Who says another thing.
        second: Source,
        /// What.
        other: ModelRegistry,
    },
    /// The bundle was packed for another place.
    #[error("the bundle was packed for models at {packed}, and {by} says that they lie at {told}", packed = Shown(.packed))]
    OtherBundle {
        /// What the head says.
        packed: String,
        /// What is said here.
        told: ModelRegistry,
        /// By whom.
        by: Source,
    },
    /// A file says nothing of it.
    #[error("{path} does not set {VARIABLE}", path = .path.display())]
    NotInFile {
        /// The file.
        path: PathBuf,
    },
    /// A file sets it to what a shell works out.
    #[error("{path}, line {line}: {VARIABLE} is not written out", path = .path.display())]
    NotWrittenOut {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A file is no YAML of the form that the chart takes.
    #[error("{path} is no file of values", path = .path.display())]
    NoValues {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Box<serde_saphyr::Error>,
    },
    /// A file is too long or no text.
    #[error("{path} is no text of at most 1 MiB", path = .path.display())]
    NoText {
        /// The file.
        path: PathBuf,
    },
    /// A file can't be read.
    #[error("cannot read {path}", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl ModelRegistryError {
    /// Returns whose problem it is.
    pub fn class(&self) -> Class {
        match self {
            ModelRegistryError::Disagree { .. } | ModelRegistryError::OtherBundle { .. } => Class::Refused,
            ModelRegistryError::Unreadable { source, .. } if source.kind() != io::ErrorKind::NotFound => {
                Class::of_io(source)
            }
            _ => Class::Usage,
        }
    }
}

impl ModelRegistry {
    /// Returns the path that a text spells, as the platform reads it: blanks around it go, then slashes.
    pub fn parse(text: &str) -> Option<ModelRegistry> {
        let inner = text.trim().trim_matches('/');
        // Without a path the metadata would be sought nowhere: the platform refuses that as unset.
        let prefix = Prefix::parse(&format!("{inner}/")).ok().filter(|_| !inner.is_empty());
        prefix.map(ModelRegistry)
    }

    /// Returns the path.
    pub fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// Returns the key of a file below the path.
    ///
    /// # Errors
    /// It breaks a rule of keys.
    pub fn key(&self, path: &str) -> Result<Key, KeyError> {
        Key::parse(&format!("{}{path}", self.0.as_str()))
    }

    /// Returns what the keys of the models begin with.
    pub fn prefix(&self) -> &Prefix {
        &self.0
    }

    /// Returns what the head of a bundle says that is packed for this path; nothing where a head can't
    /// say it.
    pub fn ext(&self) -> Option<(Name, String)> {
        let path = self.as_str();
        Some((Name::parse(EXT_NAME).ok()?, path.to_owned())).filter(|_| Head::may_say(path))
    }
}

impl fmt::Display for ModelRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown(self.as_str()).fmt(f)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Option => f.write_str("--registry"),
            Source::File(path) => write!(f, "{}", path.display()),
            Source::Environment => f.write_str("the environment"),
        }
    }
}

/// A path, and who says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The path.
    pub registry: ModelRegistry,
    /// Who says it.
    pub by: Source,
    /// Whether a platform that is told it so loads the metadata and then finds no weights: it takes off
    /// what stands around the path for the one, and not for the other.
    pub hides_weights: bool,
}

impl Said {
    /// Returns what the command line says.
    ///
    /// # Errors
    /// It is no path of a bucket.
    pub fn by_option(text: &str) -> Result<Said, ModelRegistryError> {
        Said::new(text, Source::Option)
    }

    /// Returns what the variable of the environment says; nothing where it says nothing.
    ///
    /// # Errors
    /// It is no path of a bucket.
    pub fn by_environment(text: &str) -> Result<Option<Said>, ModelRegistryError> {
        if text.trim().is_empty() { Ok(None) } else { Said::new(text, Source::Environment).map(Some) }
    }

    /// Returns what a `config.env` says, of which each line sets a variable.
    ///
    /// # Errors
    /// It can't be read, does not set the variable, or has a shell work it out.
    pub fn by_config_env(path: &Path) -> Result<Said, ModelRegistryError> {
        let text = read_text(path)?;
        let mut found = None;
        // Lines that set nothing are no matter of ours.
        for line in assignments(&text).flatten().filter(|line| line.name == VARIABLE) {
            let literal = line.value.and_then(Written::literal);
            let not_written_out =
                || ModelRegistryError::NotWrittenOut { path: path.to_owned(), line: line.line_number };
            // The last one counts, as in a shell.
            found = Some(literal.ok_or_else(not_written_out)?);
        }
        let text = found.ok_or_else(|| ModelRegistryError::NotInFile { path: path.to_owned() })?;
        Said::new(text, Source::File(path.to_owned()))
    }

    /// Returns what a file of values for the chart says, below `airgapped.environment`.
    ///
    /// # Errors
    /// It can't be read, is no such file, or does not set the variable.
    pub fn by_values(path: &Path) -> Result<Said, ModelRegistryError> {
        let text = read_text(path)?;
        // An error is one line: what surrounds it is not repeated.
        let options = serde_saphyr::options! { with_snippet: false };
        let values: Option<Values> = serde_saphyr::from_str_with_options(&text, options)
            .map_err(|source| ModelRegistryError::NoValues { path: path.to_owned(), source: Box::new(source) })?;
        let environment = values.and_then(|values| values.airgapped).and_then(|airgapped| airgapped.environment);
        let text = environment.and_then(|environment| environment.registry);
        let text = text.ok_or_else(|| ModelRegistryError::NotInFile { path: path.to_owned() })?;
        Said::new(&text, Source::File(path.to_owned()))
    }

    fn new(text: &str, by: Source) -> Result<Said, ModelRegistryError> {
        match ModelRegistry::parse(text) {
            Some(registry) => {
                let hides_weights = text != text.trim() || text.ends_with('/');
                Ok(Said { registry, by, hides_weights })
            }
            None => Err(ModelRegistryError::NoPath { text: text.to_owned(), by }),
        }
    }

    /// Compares with the path that a bundle was packed for, where its head says one.
    ///
    /// # Errors
    /// It is another one.
    pub fn check_bundle(&self, head: &Head) -> Result<(), ModelRegistryError> {
        match packed_for(head) {
            Some(packed) if ModelRegistry::parse(packed).as_ref() != Some(&self.registry) => {
                Err(ModelRegistryError::OtherBundle {
                    packed: packed.to_owned(),
                    told: self.registry.clone(),
                    by: self.by.clone(),
                })
            }
            _ => Ok(()),
        }
    }
}

/// Returns the path that a bundle was packed for, as its head says it.
pub fn packed_for(head: &Head) -> Option<&str> {
    let (_, path) = head.ext.iter().find(|(name, _)| name.as_str() == EXT_NAME)?;
    Some(path)
}

/// Returns what all say, in their order of precedence.
///
/// # Errors
/// Nobody says anything, or one says another path than the first.
pub fn agreed(said: Vec<Said>) -> Result<Said, ModelRegistryError> {
    let mut said = said.into_iter();
    let first = said.next().ok_or(ModelRegistryError::NotSaid)?;
    match said.find(|one| one.registry != first.registry) {
        Some(other) => Err(ModelRegistryError::Disagree {
            first: first.by,
            one: first.registry,
            second: other.by,
            other: other.registry,
        }),
        None => Ok(first),
    }
}

/// What is read of a file of values; the chart has much more in it.
#[derive(Deserialize)]
struct Values {
    airgapped: Option<Airgapped>,
}

#[derive(Deserialize)]
struct Airgapped {
    environment: Option<Environment>,
}

#[derive(Deserialize)]
struct Environment {
    #[serde(rename = "LOCAL_MODEL_REGISTRY")]
    registry: Option<String>,
}

fn read_text(path: &Path) -> Result<String, ModelRegistryError> {
    let bytes = read_limited(path, SETTINGS_LEN_MAX)
        .map_err(|source| ModelRegistryError::Unreadable { path: path.to_owned(), source })?;
    let text = String::from_utf8(bytes).ok().filter(|text| text.len() as u64 <= SETTINGS_LEN_MAX);
    text.ok_or_else(|| ModelRegistryError::NoText { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("settings");
        std::fs::write(&path, text).expect("written");
        (directory, path)
    }

    fn by_config_env(text: &str) -> Result<String, String> {
        let (_directory, path) = file(text);
        let said = Said::by_config_env(&path).map_err(|error| error.to_string())?;
        Ok(said.registry.as_str().to_owned())
    }

    #[test]
    fn every_spelling_of_slashes_and_blanks_is_one_path() {
        for text in ["a/b", "/a/b", "a/b/", "//a/b//", "  /a/b ", "\t/a/b/\n"] {
            let registry = ModelRegistry::parse(text).expect(text);
            assert_eq!((registry.as_str(), registry.prefix().as_str()), ("a/b", "a/b/"), "{text:?}");
        }
        // As the platform reads them, slashes within stay; no object has such a key.
        for text in ["", " ", "/", " // ", "a//b", "a/../b", "./a", "a\\b"] {
            assert_eq!(ModelRegistry::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_file_of_settings_is_read_as_a_shell_reads_it() {
        for text in [
            "LOCAL_MODEL_REGISTRY=/a/b",
            "# LOCAL_MODEL_REGISTRY=/x\nOTHER=1\nexport LOCAL_MODEL_REGISTRY=\"/a/b/\"\n",
            "LOCAL_MODEL_REGISTRY=/x\nLOCAL_MODEL_REGISTRY='a/b' # ours\n",
            "  LOCAL_MODEL_REGISTRY=a/b  \r\nLOCAL_MODEL_REGISTRY_OLD=/x\r\n",
        ] {
            assert_eq!(by_config_env(text).as_deref(), Ok("a/b"), "{text}");
        }
        for (text, part) in [
            ("AIRGAPPED_MODE=true", "does not set"),
            ("x\nLOCAL_MODEL_REGISTRY=$HOME/a", "line 2: LOCAL_MODEL_REGISTRY is not written out"),
            ("LOCAL_MODEL_REGISTRY=${R:-/a}", "not written out"),
            ("LOCAL_MODEL_REGISTRY=\"a", "not written out"),
            ("LOCAL_MODEL_REGISTRY=a b", "not written out"),
            ("LOCAL_MODEL_REGISTRY=\"`pwd`\"", "not written out"),
            ("LOCAL_MODEL_REGISTRY=", "is \"\" by"),
            ("LOCAL_MODEL_REGISTRY=/", "no path in a bucket"),
        ] {
            let refused = by_config_env(text).expect_err(text);
            assert!(refused.contains(part), "{text}: {refused}");
        }
    }

    #[test]
    fn values_of_the_chart_are_read_where_the_chart_has_them() {
        let read = |text: &str| {
            let (_directory, path) = file(text);
            let said = Said::by_values(&path).map_err(|error| error.to_string())?;
            Ok::<_, String>(said.registry.as_str().to_owned())
        };
        let good = "image: x\nairgapped:\n  enabled: true\n  environment:\n    AIRGAPPED_MODE: \"true\"\n    LOCAL_MODEL_REGISTRY: \"/a/b\" # Must match\n";
        assert_eq!(read(good).as_deref(), Ok("a/b"));
        for (text, part) in [
            ("LOCAL_MODEL_REGISTRY: /a/b", "does not set"),
            ("", "does not set"),
            ("airgapped:\n  enabled: true", "does not set"),
            ("airgapped: [1", "is no file of values"),
            ("airgapped: 7", "is no file of values"),
        ] {
            let refused = read(text).expect_err(text);
            assert!(refused.contains(part), "{text}: {refused}");
        }
    }

    #[test]
    fn whoever_says_something_else_is_named_with_both_paths() {
        let said = |text: &str, by: Source| Said::new(text, by).expect(text);
        let file = || Source::File("config.env".into());
        let same = vec![said("/a/b/", Source::Option), said("a/b", file())];
        assert_eq!(agreed(same).map(|said| said.by).ok(), Some(Source::Option));
        let refused = agreed(vec![said("a/b", file()), said("/a/b", file()), said("a/c", Source::Environment)]);
        let refused = refused.expect_err("they differ");
        assert_eq!(
            refused.to_string(),
            "config.env says that the models lie at \"a/b\", and the environment at \"a/c\""
        );
        assert_eq!(refused.class(), Class::Refused);
        assert!(matches!(agreed(Vec::new()), Err(ModelRegistryError::NotSaid)));
    }

    #[test]
    fn a_head_says_no_more_than_it_may() {
        let (name, path) = ModelRegistry::parse("/a b/c").expect("a path").ext().expect("said");
        assert_eq!((name.as_str(), path.as_str()), (EXT_NAME, "a b/c"));
        assert_eq!(ModelRegistry::parse("é").expect("a path").ext(), None);
    }
}
