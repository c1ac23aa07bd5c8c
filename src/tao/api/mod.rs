//! The platform's API, as far as models are registered by it.
//!
//! Nothing is asked twice: whoever repeats the command repeats the question.

mod answer;
mod error;

pub use error::{ApiError, LoadCause, MESSAGE_COUNT_MAX};

use super::address::Endpoint;
use super::http::{HttpError, Patience, builder};
use crate::store::Keys;
use answer::{Answer, Asked};
use reqwest::blocking::Client;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// How long nothing may come of an answer, in milliseconds: for a dead store the platform takes 80 s.
pub const STALL_MS: u64 = 120_000;
/// Longest user or token that a login may answer with, in bytes.
const BEARER_LEN_MAX: usize = 16 << 10;
/// Longest id, in characters; the platform's are UUIDs.
const ID_LEN_MAX: usize = 36;

/// The versions of the API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// Version 1, whose server keeps the credentials of a workspace out of its log.
    #[default]
    V1,
    /// Version 2, whose server writes the credentials of a workspace into its log.
    V2,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Version::V1 => "v1",
            Version::V2 => "v2",
        })
    }
}

/// A store as the platform sees it.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// The name that people see.
    pub name: String,
    /// The URL of the store, as the platform reaches it.
    pub endpoint: String,
    /// The region that signatures name.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// What proves the platform to the store.
    pub keys: Keys,
}

impl Workspace {
    /// Returns what the platform is sent, the keys among it. Version 2 reads the kind of the store
    /// inside, version 1 outside.
    pub fn body(&self) -> Value {
        json!({
            "name": self.name,
            "cloud_type": "seaweedfs",
            "cloud_specific_details": {
                "cloud_type": "seaweedfs",
                "access_key": self.keys.access,
                "secret_key": self.keys.secret,
                "cloud_region": self.region,
                "endpoint_url": self.endpoint,
                "cloud_bucket_name": self.bucket,
            },
        })
    }
}

/// The API of a platform, for one organisation.
pub struct Api<'a> {
    client: Client,
    endpoint: Endpoint,
    org: String,
    version: Version,
    /// Keys that the platform was sent: no message repeats them.
    sent: Mutex<Option<Keys>>,
    /// Whether a person asked to stop.
    is_stopped: &'a (dyn Fn() -> bool + Sync),
}

impl<'a> Api<'a> {
    /// Returns the API at an address. Sends nothing.
    ///
    /// # Errors
    /// The file of authorities can't be read or holds no certificate.
    pub fn new(
        endpoint: Endpoint,
        org: &str,
        version: Version,
        ca_file: Option<&Path>,
        is_stopped: &'a (dyn Fn() -> bool + Sync),
    ) -> Result<Api<'a>, ApiError> {
        let patience = Patience { stall_ms: STALL_MS, ..Patience::default() };
        let client = builder(ca_file, &patience)?;
        // The platform is reached directly: whoever it would send us to, and a proxy of the
        // environment, would see the credentials of the store.
        let client = client.no_proxy().redirect(Policy::none()).build().map_err(HttpError::Setup)?;
        Ok(Api { client, endpoint, org: org.to_owned(), version, sent: Mutex::default(), is_stopped })
    }

    /// Logs in, with a name where there is one. An air-gapped platform gives no token and takes the id
    /// of the user for one.
    ///
    /// # Errors
    /// There is no such API, or it refuses.
    pub fn log_in(&self, name: Option<&str>) -> Result<Session<'_>, ApiError> {
        let body = name.map_or_else(|| json!({}), |name| json!({ "username": name }));
        let answer = self.ask(Asked::post(&["login"], body))?;
        if answer.status == 404 {
            return Err(ApiError::NoApi { place: answer.place, version: self.version });
        }
        let answer = answer.success()?;
        let place = answer.place.clone();
        let LoginAnswer { user_id, token } = answer.value()?;
        let bearer = token.unwrap_or_else(|| user_id.clone());
        let is_good =
            |text: &str| (1..=BEARER_LEN_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_good(&bearer) || !is_good(&user_id) {
            return Err(ApiError::BadUser { place });
        }
        Ok(Session { api: self, user: user_id, bearer })
    }

    /// Returns the version that the platform says it is of; nothing where it says none.
    ///
    /// # Errors
    /// It does not answer.
    pub fn release(&self) -> Result<Option<String>, ApiError> {
        let answer = self.ask(Asked { version: Some(Version::V1), ..Asked::get(&["version"], &[]) })?;
        let said = answer.success().and_then(Answer::value::<ReleaseAnswer>).ok().map(|said| said.version);
        Ok(said.map(|version| version.chars().take(ID_LEN_MAX).collect()))
    }

    fn ask(&self, asked: Asked) -> Result<Answer, ApiError> {
        let version = asked.version.unwrap_or(self.version).to_string();
        let org = if asked.is_of_org { vec!["orgs", self.org.as_str()] } else { Vec::new() };
        let path = ["api", version.as_str()].into_iter().chain(org).chain(asked.path.iter().copied());
        let url = self.endpoint.at(path, &asked.query);
        let request = match &asked.body {
            Some(body) => {
                // Version 1 does not read what has no type.
                self.client.post(url).header(CONTENT_TYPE, "application/json").body(body.to_string())
            }
            None => self.client.get(url),
        };
        let request = match asked.bearer {
            Some(bearer) => request.bearer_auth(bearer),
            None => request,
        };
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Answer::of(request, sent, self.is_stopped)
    }
}

#[derive(Deserialize)]
struct LoginAnswer {
    user_id: String,
    token: Option<String>,
}

#[derive(Deserialize)]
struct ReleaseAnswer {
    version: String,
}

/// A user of the API.
pub struct Session<'a> {
    api: &'a Api<'a>,
    user: String,
    bearer: String,
}

/// A model that the platform lists.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ListedModel {
    /// Its id.
    pub id: String,
    /// The path that says where its files are sought; nothing where the platform has none.
    #[serde(default)]
    pub ngc_path: Option<String>,
}

impl Session<'_> {
    /// Returns the id of the user.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Makes a workspace, or finds the one with the same details, and returns its id. The platform does
    /// not try it.
    ///
    /// # Errors
    /// It refuses the details.
    pub fn workspace(&self, workspace: &Workspace) -> Result<String, ApiError> {
        *self.api.sent.lock().unwrap_or_else(PoisonError::into_inner) = Some(workspace.keys.clone());
        let answer = self.ask(Asked::post(&["workspaces"], workspace.body())).and_then(Answer::success)?;
        Ok(answer.value::<WorkspaceAnswer>()?.id)
    }

    /// Lets the platform load the metadata of the models in a workspace. That it says so is no proof.
    ///
    /// # Errors
    /// It loads nothing.
    pub fn load(&self, workspace: &str) -> Result<(), ApiError> {
        let path = [match self.api.version {
            Version::V1 => "experiments:load_airgapped",
            Version::V2 => "jobs:load_airgapped",
        }];
        let answer = self.ask(Asked::post(&path, json!({ "workspace_id": workspace })))?;
        match answer.status {
            200..300 => Ok(()),
            // A refusal of the handler comes as a status of 404, with 403 in its body.
            404 if answer.error_code() == Some(403) => {
                Err(ApiError::OtherUser { workspace: workspace.to_owned(), user: self.user.clone() })
            }
            400 => Err(ApiError::NotLoaded { cause: LoadCause::of(&answer.message()) }),
            _ => Err(answer.refused()),
        }
    }

    /// Returns every model that the platform lists.
    ///
    /// # Errors
    /// [`ApiError::ListBroken`] where one entry breaks the list for all.
    pub fn models(&self) -> Result<Vec<ListedModel>, ApiError> {
        let path = [match self.api.version {
            Version::V1 => "experiments:base",
            Version::V2 => "jobs:list_base_experiments",
        }];
        let answer = self.ask(Asked::get(&path, &[]))?;
        if matches!(answer.status, 400 | 500) && !answer.is_disk_full() {
            let message = answer.message();
            return Err(ApiError::ListBroken { place: answer.place, status: answer.status, message });
        }
        Ok(answer.success()?.value::<ListAnswer>()?.experiments)
    }

    /// Returns the id of an entry that breaks the list; nothing where it can't be told.
    ///
    /// Version 1 filters before it looks: the list of the entries whose id has some text in it breaks
    /// where one of them breaks it. So the id is found digit by digit, in some hundred questions.
    ///
    /// # Errors
    /// The platform does not answer.
    pub fn poison(&self) -> Result<Option<String>, ApiError> {
        // Where even the list of nothing breaks, the filter itself fails.
        if self.breaks_with("no id has this in it")? {
            return Ok(None);
        }
        // Every id has a dash with digits around it; few names and descriptions do.
        let mut found = "-".to_owned();
        while found.len() < ID_LEN_MAX {
            let longer = |digit: char| [format!("{found}{digit}"), format!("{digit}{found}")];
            let mut next = None;
            for text in "0123456789abcdef-".chars().flat_map(longer) {
                if self.breaks_with(&text)? {
                    next = Some(text);
                    break;
                }
            }
            match next {
                Some(text) => found = text,
                None => return Ok(None),
            }
        }
        Ok(Some(found))
    }

    fn breaks_with(&self, text: &str) -> Result<bool, ApiError> {
        let asked = Asked { version: Some(Version::V1), ..Asked::get(&["experiments:base"], &[("search", text)]) };
        match self.ask(asked)? {
            answer if answer.is_disk_full() => Err(answer.refused()),
            answer if matches!(answer.status, 400 | 500) => Ok(true),
            answer => answer.success().map(|_| false),
        }
    }

    fn ask(&self, asked: Asked) -> Result<Answer, ApiError> {
        self.api.ask(Asked { bearer: Some(&self.bearer), is_of_org: true, ..asked })
    }
}

#[derive(Deserialize)]
struct WorkspaceAnswer {
    id: String,
}

#[derive(Deserialize)]
struct ListAnswer {
    experiments: Vec<ListedModel>,
}

/// Takes keys out of what a server may have made of them, and what is left of one at the end of a message
/// that was cut.
fn hidden(keys: &Keys, message: String) -> String {
    let hide = |text: String, key: &str| {
        let text = if key.is_empty() { text } else { text.replace(key, "***") };
        let begun = key.char_indices().rev().map(|(end, _)| &key[..end]);
        // Less than that is in any text.
        let begun = begun.take_while(|begun| begun.len() >= 4).find_map(|begun| text.strip_suffix(begun));
        begun.map(|kept| format!("{kept}***")).unwrap_or(text)
    };
    hide(hide(message, &keys.secret), &keys.access)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_key_is_repeated_where_a_message_was_cut() {
        let keys = Keys { access: "access-1".to_owned(), secret: "secret-2".to_owned() };
        for (message, hidden) in [
            ("no secret-2 here", "no *** here"),
            ("access-1 and secret-2", "*** and ***"),
            ("it was secre", "it was ***"),
            ("it was access-", "it was ***"),
            ("it was sec", "it was sec"),
            ("", ""),
            ("a secret-2 b access-1", "a *** b ***"),
        ] {
            assert_eq!(super::hidden(&keys, message.to_owned()), hidden);
        }
    }

    #[test]
    fn a_workspace_shows_its_keys_to_the_platform_alone() {
        let keys = Keys { access: "canary-access".to_owned(), secret: "canary-secret".to_owned() };
        let text = || String::new();
        let workspace = Workspace { name: text(), endpoint: text(), region: text(), bucket: text(), keys };
        assert!(!format!("{workspace:?}").contains("canary"));
        assert_eq!(workspace.body()["cloud_specific_details"]["secret_key"], "canary-secret");
    }
}
