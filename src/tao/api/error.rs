//! What the platform's API refuses, and what it can't do.

use super::Version;
use crate::error::Class;
use crate::format::Shown;
use crate::tao::http::HttpError;

/// Longest message of the platform that is repeated, in characters.
pub const MESSAGE_COUNT_MAX: usize = 500;

/// Why the API did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// No client can be made, no answer that can be read came, or a person asked to stop.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A server is there, and not this API.
    #[error("{place} is not there, so this is no {version} API of the platform")]
    NoApi {
        /// The address.
        place: String,
        /// The version that was asked for.
        version: Version,
    },
    /// The user or token is nothing that a request can carry.
    #[error("the login of {place} gives a user that no request can name")]
    BadUser {
        /// The address.
        place: String,
    },
    /// The disk of the platform is nearly full, and it does nothing.
    #[error("{place} answers that its disk is nearly full: {shown}", shown = Shown(.message))]
    DiskFull {
        /// The address.
        place: String,
        /// What it says.
        message: String,
    },
    /// The workspace belongs to another user.
    #[error("workspace {workspace} belongs to another user than {user}", workspace = Shown(.workspace), user = Shown(.user))]
    OtherUser {
        /// The workspace.
        workspace: String,
        /// Who asked.
        user: String,
    },
    /// The metadata were not loaded.
    #[error("the platform does not load the models: {cause}")]
    NotLoaded {
        /// Why, as far as it can be told.
        cause: LoadCause,
    },
    /// The list of models can't be made: one entry breaks it for all.
    #[error("the platform can't list its models, {place} answers {status}: {shown}", shown = Shown(.message))]
    ListBroken {
        /// The address.
        place: String,
        /// The status.
        status: u16,
        /// What it says.
        message: String,
    },
    /// Another answer than one of success.
    #[error("{place} answers {status}: {shown}", shown = Shown(.message))]
    Refused {
        /// The address.
        place: String,
        /// The status.
        status: u16,
        /// What it says.
        message: String,
    },
}

/// Why the metadata were not loaded. The platform says all of it in one sentence after another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadCause {
    /// It looks for an object that is not there.
    #[error("it finds no {shown}", shown = Shown(.key))]
    NoObject {
        /// The key.
        key: String,
    },
    /// It finds no such bucket.
    #[error("it finds no such bucket")]
    NoBucket,
    /// The store refuses the credentials of the workspace.
    #[error("the store refuses the credentials that the workspace has")]
    KeysRefused,
    /// It does not reach the store.
    #[error("it does not reach the store: {shown}", shown = Shown(.message))]
    StoreUnreachable {
        /// What it says.
        message: String,
    },
    /// It is not told where the models lie.
    #[error("its LOCAL_MODEL_REGISTRY is not set")]
    NoRegistry,
    /// It reads the metadata and takes no entry of them.
    #[error("it takes no entry of the metadata")]
    NoEntry,
    /// Something else.
    #[error("{shown}", shown = Shown(.message))]
    Other {
        /// What it says.
        message: String,
    },
}

impl ApiError {
    /// Returns whose problem it is.
    pub fn class(&self) -> Class {
        match self {
            ApiError::Http(error) => error.class(),
            ApiError::Refused { status: 429 | 500.., .. } => Class::Unavailable,
            ApiError::NotLoaded { cause: LoadCause::StoreUnreachable { .. } } => Class::Unavailable,
            ApiError::NoApi { .. } => Class::Usage,
            ApiError::BadUser { .. } => Class::Failed,
            ApiError::DiskFull { .. } => Class::NoSpace,
            ApiError::OtherUser { .. }
            | ApiError::NotLoaded { .. }
            | ApiError::ListBroken { .. }
            | ApiError::Refused { .. } => Class::Refused,
        }
    }
}

impl LoadCause {
    /// Returns what a refusal to load is about, from the words that the platform and its libraries use.
    pub(super) fn of(message: &str) -> LoadCause {
        // What the platform adds names the same words, whatever is wrong.
        let said = message.split_once("JSON file not found at ").and_then(|(_, rest)| rest.split_once(": "));
        let (key, cause) = said.map_or((None, message), |(key, rest)| (Some(key), rest));
        let cause = cause.split("Ensure the ").next().unwrap_or(cause).trim();
        let says = |words: &[&str]| words.iter().any(|word| cause.contains(word));
        match key {
            _ if cause == "Failed to load airgapped experiments" => LoadCause::NoEntry,
            _ if says(&["LOCAL_MODEL_REGISTRY environment variable is not set"]) => LoadCause::NoRegistry,
            _ if says(&["Could not connect", "Cannot reach", "timed out", "timeout", "Name or service"]) => {
                LoadCause::StoreUnreachable { message: cause.to_owned() }
            }
            _ if says(&["bucket does not exist", "NoSuchBucket"]) => LoadCause::NoBucket,
            _ if says(&["signature", "access key", "Access Denied", "Forbidden"]) => LoadCause::KeysRefused,
            Some(key) if says(&["key does not exist", "NoSuchKey"]) => LoadCause::NoObject { key: key.to_owned() },
            _ => LoadCause::Other { message: message.to_owned() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_causes_of_the_platforms_one_sentence_apart() {
        let says = |cause: &str| {
            LoadCause::of(&format!(
                "Error loading airgapped experiments: JSON file not found at shared/models/ptm_metadatas.json: {cause}. \
                 Ensure the 'copy to Seaweed' step ran and TAO API has LOCAL_MODEL_REGISTRY=shared-storage/models."
            ))
        };
        let key = "shared/models/ptm_metadatas.json".to_owned();
        assert_eq!(says("The specified key does not exist."), LoadCause::NoObject { key });
        assert_eq!(says("The specified bucket does not exist"), LoadCause::NoBucket);
        assert_eq!(says("The access key ID you provided does not exist in our records."), LoadCause::KeysRefused);
        let signature = "The request signature we calculated does not match the signature you provided.";
        assert_eq!(says(signature), LoadCause::KeysRefused);
        let unreachable = says("Could not connect to the endpoint URL: \"http://seaweed:1/tao?list-type=2\"");
        assert!(matches!(unreachable, LoadCause::StoreUnreachable { .. }));
        assert_eq!(LoadCause::of("Failed to load airgapped experiments"), LoadCause::NoEntry);
        assert!(matches!(says("Something else"), LoadCause::Other { .. }));
    }
}
