//! Where a model comes from, the folder where the platform looks for it, and its id.

use crate::format::Shown;
use std::fmt;
use uuid::Uuid;

/// Longest path of a model, in bytes; longer ones break a listing.
pub const MODEL_PATH_LEN_MAX: usize = 250;
/// Longest name of a repository or of its owner, in bytes.
const HUB_NAME_LEN_MAX: usize = 96;
/// What some write for an organisation's own models; the platform then looks where nothing lies.
const NO_TEAM: &str = "no-team";

/// A model in a registry: `org/[team/]model:version`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NgcModel {
    org: String,
    team: Option<String>,
    model: String,
    version: String,
}

/// A repository of a hub: `[owner/]name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HubModel(String);

/// A model and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Model {
    /// From NGC.
    Ngc(NgcModel),
    /// From Hugging Face, or a hub that speaks as it does.
    Hub(HubModel),
}

/// Why a text names no model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// at most 250 bytes.
    #[error("{shown} is longer than {MODEL_PATH_LEN_MAX} bytes", shown = Shown(.found))]
    TooLong {
        /// The text.
        found: String,
    },
    /// `org/[team/]model:version`.
    #[error("{shown} is not ORG/MODEL:VERSION or ORG/TEAM/MODEL:VERSION", shown = Shown(.found))]
    NotNgc {
        /// The text.
        found: String,
    },
    /// `[owner/]name`, without a revision.
    #[error("{shown} is not the name of a repository, NAME or OWNER/NAME, without a revision", shown = Shown(.found))]
    NotHub {
        /// The text.
        found: String,
    },
    /// a part is no name of a folder.
    #[error("{part} in {shown} has other characters than letters, digits and -_.+", part = Shown(.part), shown = Shown(.found))]
    BadPart {
        /// The text.
        found: String,
        /// The part of it.
        part: String,
    },
}

impl NgcModel {
    /// Returns the model that `text` names. A team `no-team` is none.
    ///
    /// # Errors
    /// Refuses what is no `org/[team/]model:version`.
    pub fn parse(text: &str) -> Result<NgcModel, ModelError> {
        let not_ngc = || ModelError::NotNgc { found: text.to_owned() };
        check_len(text)?;
        let (path, version) = text.split_once(':').ok_or_else(not_ngc)?;
        let (org, team, model) = match path.split('/').collect::<Vec<_>>()[..] {
            [org, model] => (org, None, model),
            [org, NO_TEAM, model] => (org, None, model),
            [org, team, model] => (org, Some(team), model),
            _ => return Err(not_ngc()),
        };
        for part in [org, team.unwrap_or(org), model, version] {
            check_part(text, part)?;
        }
        Ok(NgcModel {
            org: org.to_owned(),
            team: team.map(str::to_owned),
            model: model.to_owned(),
            version: version.to_owned(),
        })
    }

    /// Returns the organisation.
    pub fn org(&self) -> &str {
        &self.org
    }

    /// Returns the team; none for a model of the organisation itself.
    pub fn team(&self) -> Option<&str> {
        self.team.as_deref()
    }

    /// Returns the name of the model.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Returns the version.
    pub fn version(&self) -> &str {
        &self.version
    }
}

impl fmt::Display for NgcModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.org)?;
        if let Some(team) = &self.team {
            write!(f, "{team}/")?;
        }
        write!(f, "{}:{}", self.model, self.version)
    }
}

impl HubModel {
    /// Returns the repository that `text` names.
    ///
    /// # Errors
    /// Refuses what is no `[owner/]name`; a revision behind a colon is no part of it.
    pub fn parse(text: &str) -> Result<HubModel, ModelError> {
        let not_hub = || ModelError::NotHub { found: text.to_owned() };
        check_len(text)?;
        let parts: Vec<&str> = text.split('/').collect();
        if parts.len() > 2 || text.contains(':') {
            return Err(not_hub());
        }
        for part in parts {
            let is_bad_end = part.starts_with(['-', '.']) || part.ends_with(['-', '.']);
            if part.len() > HUB_NAME_LEN_MAX || is_bad_end || part.contains("--") || part.contains("..") {
                return Err(not_hub());
            }
            check_part(text, part)?;
        }
        Ok(HubModel(text.to_owned()))
    }

    /// Returns the name of the repository.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HubModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Model {
    /// Returns the model that a catalogue names: `ngc://`, `hf_model://`, or NGC without a scheme.
    ///
    /// # Errors
    /// As [`NgcModel::parse`] and [`HubModel::parse`].
    pub fn parse(text: &str) -> Result<Model, ModelError> {
        if let Some(repository) = text.strip_prefix("hf_model://") {
            return Ok(Model::Hub(HubModel::parse(repository)?));
        }
        Ok(Model::Ngc(NgcModel::parse(text.strip_prefix("ngc://").unwrap_or(text))?))
    }

    /// Returns the folder of the model's files below the root, where the platform looks.
    pub fn folder(&self) -> String {
        match self {
            Model::Ngc(NgcModel { org, team, model, version }) => {
                let team = team.as_ref().map(|team| format!("{team}/")).unwrap_or_default();
                format!("{org}/{team}{model}/{version}/{model}_v{version}")
            }
            Model::Hub(HubModel(repository)) => format!("huggingface/{}", repository.replace('/', "_")),
        }
    }

    /// Returns the id of the model's entry for an architecture.
    pub fn id(&self, architecture: &str) -> Uuid {
        let name = match self {
            Model::Ngc(model) => format!("{model}:{architecture}"),
            // One repository has one entry, whatever it is used for.
            Model::Hub(model) => format!("hf:{model}"),
        };
        Uuid::new_v5(&Uuid::nil(), name.as_bytes())
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Model::Ngc(model) => model.fmt(f),
            Model::Hub(model) => model.fmt(f),
        }
    }
}

fn check_len(text: &str) -> Result<(), ModelError> {
    if text.len() > MODEL_PATH_LEN_MAX {
        return Err(ModelError::TooLong { found: text.to_owned() });
    }
    Ok(())
}

/// Refuses what is no name of a folder: each part becomes one, here and in the store.
fn check_part(text: &str, part: &str) -> Result<(), ModelError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+');
    let is_folder = !part.is_empty() && !part.ends_with('.') && part.bytes().all(is_plain);
    if !is_folder {
        return Err(ModelError::BadPart { found: text.to_owned(), part: part.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(text: &str) -> Model {
        Model::parse(text).expect(text)
    }

    #[test]
    fn ids_are_those_of_the_platform() {
        let ngc = model("ngc://nvidia/tao/pretrained_dino_coco:dino_fan_small_trainable_v1.0");
        assert_eq!(ngc.id("dino").to_string(), "62223099-d90e-5d3c-a39f-5502f38b01f2");
        let hub = model("hf_model://facebook/detr-resnet-50");
        assert_eq!(hub.id("dino").to_string(), "4ccd4d1f-bb24-5e8f-899a-18df28b0d1f7");
        assert_eq!(hub.id("segformer"), hub.id("dino"));
    }

    #[test]
    fn folders_are_where_the_platform_looks() {
        for (text, folder) in [
            ("nvidia/tao/ocrnet:trainable_v2.0", "nvidia/tao/ocrnet/trainable_v2.0/ocrnet_vtrainable_v2.0"),
            ("nvidia/ocrnet:1", "nvidia/ocrnet/1/ocrnet_v1"),
            ("nvidia/no-team/ocrnet:1", "nvidia/ocrnet/1/ocrnet_v1"),
            ("hf_model://a/b_c", "huggingface/a_b_c"),
            ("hf_model://a_b/c", "huggingface/a_b_c"),
            ("hf_model://gpt2", "huggingface/gpt2"),
        ] {
            assert_eq!(model(text).folder(), folder);
        }
        assert_eq!(model("nvidia/no-team/ocrnet:1").to_string(), "nvidia/ocrnet:1");
    }

    #[test]
    fn refuses_what_is_no_model_or_would_leave_its_folder() {
        for text in [
            "",
            "model:1",
            "a/b",
            "a/b/c/d:1",
            "a/b:",
            "a/:1",
            "/b:1",
            "a/../b:1",
            "../b:1",
            "a/b:..",
            "a/b:1:2",
            "a/b:1/2",
            "a/b c:1",
            "a/b\\c:1",
            "a/b\u{301}:1",
            "a\u{0}/b:1",
            "hf_model://",
            "hf_model://a/b:main",
            "hf_model://a/b/c",
            "hf_model://a--b",
            "hf_model://.a",
            "hf_model://a/..",
            "hf_model:///a",
            "http://a/b",
        ] {
            assert!(Model::parse(text).is_err(), "{text}");
        }
        assert!(Model::parse(&format!("a/b:{}", "v".repeat(MODEL_PATH_LEN_MAX))).is_err());
    }
}
