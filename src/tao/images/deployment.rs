//! Which images a deployment needs: from its file of variables and its compose files.

use super::image_name::{ImageName, ImageNameError};
use crate::error::Class;
use crate::format::Shown;
use crate::tao::config_env::{Assignment, Written, assignments, is_name};
use serde_json::Value;
use std::collections::BTreeMap;

/// Longest file of a deployment, in bytes.
pub const DEPLOYMENT_LEN_MAX: u64 = 1 << 20;
/// Most variables in a file.
const VARIABLE_COUNT_MAX: usize = 10_000;
/// Most services in a compose file.
const SERVICE_COUNT_MAX: usize = 1_000;
/// How deep defaults may stand in defaults.
const DEPTH_MAX: usize = 8;
/// Longest text that variables are put into, in bytes.
const VALUE_LEN_MAX: usize = 64 << 10;
/// What the names of variables begin with that name images.
const IMAGE_PREFIX: &str = "IMAGE_";
/// The variables whose images the vendor's script saves.
const SAVED_VARIABLES: [&str; 5] =
    ["IMAGE_TAO_API", "IMAGE_TAO_PYTORCH", "IMAGE_TAO_DEPLOY", "IMAGE_VILA", "IMAGE_TAO_DS"];

/// Why the files of a deployment do not say which images it needs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeploymentError {
    /// A file is too long.
    #[error("it is longer than {DEPLOYMENT_LEN_MAX} bytes")]
    TooLong,
    /// A file is no UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// A file has too much of something.
    #[error("it has more than {max} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        max: usize,
    },
    /// A line of a file of variables is none.
    #[error("line {line_number} is no NAME=VALUE")]
    BadLine {
        /// Which line, from 1.
        line_number: usize,
    },
    /// A compose file is no YAML with services.
    #[error("it is no compose file: {why}")]
    NotCompose {
        /// Why not.
        why: String,
    },
    /// A variable has no value.
    #[error("the image of {place} hangs on variable {variable}, which has no value")]
    NoValue {
        /// The service.
        place: String,
        /// The variable.
        variable: String,
    },
    /// A substitution can't be read, or leads to too much.
    #[error("the image of {place} is written in a way that is not understood")]
    BadSubstitution {
        /// The service.
        place: String,
    },
    /// What is named is no image.
    #[error("{place} names no image")]
    BadImage {
        /// The variable or service.
        place: String,
        /// Why.
        source: ImageNameError,
    },
}

impl DeploymentError {
    /// Returns whose problem it is.
    pub fn class(&self) -> Class {
        Class::Usage
    }
}

/// An image that a deployment needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// The variables and services that name it.
    pub places: Vec<String>,
    /// Whether the vendor's script saves it.
    pub is_saved: bool,
    /// Services that ask a registry for it at each start, even where it is loaded.
    pub always_pulled_by: Vec<String>,
}

/// The images that a deployment needs.
#[derive(Clone, Debug, Default)]
pub struct Deployment {
    variables: Vec<(String, String)>,
    /// Each image and who needs it.
    pub images: BTreeMap<ImageName, Need>,
    /// Services that name no image: they are built where they run.
    pub built: Vec<String>,
    /// Whether a compose file was read.
    pub has_compose: bool,
}

/// Returns the variables of a file such as `config.env`, in order; the last of a name counts.
///
/// # Errors
/// A line is no variable, or an image hangs on what has no value. Comments, blank lines and `export`
/// are accepted.
pub fn parse_env(bytes: &[u8]) -> Result<Vec<(String, String)>, DeploymentError> {
    let text = text(bytes)?;
    let mut variables: Vec<(String, String)> = Vec::new();
    for line in assignments(text) {
        let bad = |line_number| DeploymentError::BadLine { line_number };
        let Assignment { line_number, name, value } = line.map_err(bad)?;
        let value = match value.ok_or_else(|| bad(line_number))? {
            Written::Single(text) => text.to_owned(),
            Written::Double(text) | Written::Bare(text) => {
                match (Substitution { variables: &variables, place: name }).apply(text, 0) {
                    Ok(value) => value,
                    // What the shell alone can tell has no value here, which is an error where an image needs it.
                    Err(_) if !name.starts_with(IMAGE_PREFIX) => continue,
                    Err(error) => return Err(error),
                }
            }
        };
        if variables.len() >= VARIABLE_COUNT_MAX {
            return Err(DeploymentError::TooMany { what: "variables", max: VARIABLE_COUNT_MAX });
        }
        variables.push((name.to_owned(), value));
    }
    Ok(variables)
}

fn text(bytes: &[u8]) -> Result<&str, DeploymentError> {
    if bytes.len() as u64 > DEPLOYMENT_LEN_MAX {
        return Err(DeploymentError::TooLong);
    }
    std::str::from_utf8(bytes).map_err(|_| DeploymentError::NotUtf8)
}

impl Deployment {
    /// Returns the images that variables name.
    ///
    /// # Errors
    /// The value of one that should is no image.
    pub fn of_variables(variables: Vec<(String, String)>) -> Result<Deployment, DeploymentError> {
        let mut deployment = Deployment { variables, ..Deployment::default() };
        let mut named: BTreeMap<String, String> = BTreeMap::new();
        named.extend(deployment.variables.iter().cloned());
        for (name, value) in named.iter().filter(|(name, value)| name.starts_with(IMAGE_PREFIX) && !value.is_empty()) {
            let need = deployment.need(name, value)?;
            need.is_saved |= SAVED_VARIABLES.contains(&name.as_str());
        }
        Ok(deployment)
    }

    /// Adds the images of the services of a compose file; its variables are those of the deployment.
    ///
    /// # Errors
    /// It is no compose file, or a service names no image that can be told.
    pub fn add_compose(&mut self, bytes: &[u8]) -> Result<(), DeploymentError> {
        let bad = |why: &str| DeploymentError::NotCompose { why: why.chars().take(300).collect() };
        let document: Value = serde_saphyr::from_str(text(bytes)?)
            .map_err(|error| bad(error.to_string().lines().next().unwrap_or_default()))?;
        let services = document.get("services").and_then(Value::as_object).ok_or_else(|| bad("it has no services"))?;
        if services.len() > SERVICE_COUNT_MAX {
            return Err(DeploymentError::TooMany { what: "services", max: SERVICE_COUNT_MAX });
        }
        self.has_compose = true;
        for (name, service) in services {
            let place = format!("service {}", Shown(name));
            let Some(image) = service.get("image").and_then(Value::as_str) else {
                self.built.push(name.clone());
                continue;
            };
            let image = Substitution { variables: &self.variables, place: &place }.apply(image, 0)?;
            let need = self.need(&place, &image)?;
            if service.get("pull_policy").and_then(Value::as_str) == Some("always") {
                need.always_pulled_by.push(name.clone());
            }
        }
        Ok(())
    }

    fn need(&mut self, place: &str, image: &str) -> Result<&mut Need, DeploymentError> {
        let image_name =
            ImageName::parse(image).map_err(|source| DeploymentError::BadImage { place: place.to_owned(), source })?;
        let need = self.images.entry(image_name).or_default();
        need.places.push(place.to_owned());
        Ok(need)
    }
}

/// Puts variables into texts, as compose does: `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`,
/// `${NAME:+other}`, `${NAME:?message}`, and `$$` for a dollar.
struct Substitution<'a> {
    variables: &'a [(String, String)],
    /// Whose text it is.
    place: &'a str,
}

impl Substitution<'_> {
    fn apply(&self, text: &str, depth: usize) -> Result<String, DeploymentError> {
        if depth > DEPTH_MAX {
            return Err(self.bad());
        }
        let (mut out, mut rest) = (String::new(), text);
        while let Some((before, behind)) = rest.split_once('$') {
            out.push_str(before);
            rest = if let Some(behind) = behind.strip_prefix('$') {
                out.push('$');
                behind
            } else if let Some(behind) = behind.strip_prefix('{') {
                let end = closing(behind).ok_or_else(|| self.bad())?;
                out.push_str(&self.value(&behind[..end], depth)?);
                &behind[end + 1..]
            } else {
                let (name, behind) = behind.split_at(name_len(behind));
                out.push_str(&self.value(name, depth)?);
                behind
            };
            if out.len() > VALUE_LEN_MAX {
                return Err(self.bad());
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    /// Returns what stands for the text between two braces.
    fn value(&self, inner: &str, depth: usize) -> Result<String, DeploymentError> {
        let (name, rest) = inner.split_at(name_len(inner));
        if !is_name(name) {
            return Err(self.bad());
        }
        let set = self.variables.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let filled = set.clone().filter(|value| !value.is_empty());
        let none = || DeploymentError::NoValue { place: self.place.to_owned(), variable: name.to_owned() };
        let is_strict = rest.starts_with(':');
        let found = if is_strict { filled.clone() } else { set };
        let (operator, other) = rest.strip_prefix(':').unwrap_or(rest).split_at_checked(1).unwrap_or_default();
        match operator {
            "" if !is_strict => filled.ok_or_else(none),
            "?" => found.ok_or_else(none),
            "-" => found.map_or_else(|| self.apply(other, depth + 1), Ok),
            "+" => found.map_or_else(|| Ok(String::new()), |_| self.apply(other, depth + 1)),
            _ => Err(self.bad()),
        }
    }

    fn bad(&self) -> DeploymentError {
        DeploymentError::BadSubstitution { place: self.place.to_owned() }
    }
}

fn name_len(text: &str) -> usize {
    text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len())
}

/// Returns where the brace closes that was opened before this text.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (index, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(index),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "\
# The images
export REGISTRY=nvcr.io/nvidia/tao   # where from
IMAGE_TAO_API=\"${REGISTRY}/tao-toolkit:6.26.3-api\"
IMAGE_COSMOS_RL=$REGISTRY/tao-toolkit:6.26.3-rl
IMAGE_VILA=
SECRET='$not ${a} variable'
NUM_GPU_PER_NODE=4
DATA=${HOME}/data
";

    const COMPOSE: &str = "\
services:
  app:
    image: ${IMAGE_TAO_API}
    pull_policy: always
  mongodb:
    image: mongo:latest
  nginx:
    image: ${NGINX_IMAGE:-nginx:${NGINX_TAG:-alpine}}
  local:
    build: .
";

    fn deployment() -> Deployment {
        let mut deployment = Deployment::of_variables(parse_env(CONFIG.as_bytes()).expect("variables")).expect("good");
        deployment.add_compose(COMPOSE.as_bytes()).expect("a compose file");
        deployment
    }

    #[test]
    fn names_what_variables_and_services_need() {
        let deployment = deployment();
        let found: Vec<(String, bool, bool)> = deployment
            .images
            .iter()
            .map(|(image_name, need)| (image_name.to_string(), need.is_saved, image_name.is_floating()))
            .collect();
        let expected = [
            ("docker.io/library/mongo:latest", false, true),
            ("docker.io/library/nginx:alpine", false, true),
            ("nvcr.io/nvidia/tao/tao-toolkit:6.26.3-api", true, false),
            ("nvcr.io/nvidia/tao/tao-toolkit:6.26.3-rl", false, false),
        ];
        assert_eq!(found, expected.map(|(name, saved, floating)| (name.to_owned(), saved, floating)));
        let api = ImageName::parse("nvcr.io/nvidia/tao/tao-toolkit:6.26.3-api").expect("a name");
        assert_eq!(deployment.images[&api].places, ["IMAGE_TAO_API", "service \"app\""]);
        assert_eq!(deployment.images[&api].always_pulled_by, ["app"]);
        assert_eq!(deployment.built, ["local"]);
    }

    #[test]
    fn puts_variables_into_texts_as_compose_does() {
        let variables = [("A", "a"), ("EMPTY", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let put = |text| Substitution { variables: &variables, place: "x" }.apply(text, 0);
        for (text, expected) in [
            ("$A-${A}", "a-a"),
            ("$$A", "$A"),
            ("${B:-b}${B-c}", "bc"),
            ("${EMPTY:-b}${EMPTY-c}", "b"),
            ("${A:+x}${EMPTY:+y}${B:+z}", "x"),
            ("${B:-${C:-${A}}}", "a"),
        ] {
            assert_eq!(put(text).expect(text), expected, "{text}");
        }
        for text in ["${A", "${}", "${A!x}", "$", "${A:}", "$\u{e9}"] {
            assert!(matches!(put(text), Err(DeploymentError::BadSubstitution { .. })), "{text}");
        }
        assert!(matches!(put("${B}"), Err(DeploymentError::NoValue { .. })));
        assert!(matches!(put("${B:?it must be set}"), Err(DeploymentError::NoValue { .. })));
        let deep = format!("{}x{}", "${B:-".repeat(20), "}".repeat(20));
        assert!(matches!(put(&deep), Err(DeploymentError::BadSubstitution { .. })));
    }

    #[test]
    fn refuses_lines_and_files_that_are_none() {
        assert!(matches!(parse_env(b"\nIMAGE TAO=x"), Err(DeploymentError::BadLine { line_number: 2 })));
        assert!(matches!(parse_env(b"IMAGE_A=$B:1"), Err(DeploymentError::NoValue { .. })));
        assert!(matches!(parse_env(b"A=\"x"), Err(DeploymentError::BadLine { line_number: 1 })));
        let mut deployment = Deployment::default();
        assert!(matches!(deployment.add_compose(b"[1, 2"), Err(DeploymentError::NotCompose { .. })));
        assert!(matches!(deployment.add_compose(b"a: b"), Err(DeploymentError::NotCompose { .. })));
        let bad = deployment.add_compose(b"services: {a: {image: '../x'}}");
        assert!(matches!(bad, Err(DeploymentError::BadImage { .. })));
    }
}
