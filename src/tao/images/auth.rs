//! Who asks a registry: the file that `docker login` writes, and what a registry wants to see (A-84).

use crate::error::Class;
use crate::trust::base64;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use url::Url;

/// Longest file of credentials, in bytes.
pub const AUTH_LEN_MAX: u64 = 1 << 20;
/// Longest challenge of a registry, in bytes.
const CHALLENGE_LEN_MAX: usize = 8 << 10;

/// Why a file holds no credentials.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// It is too long.
    #[error("it is longer than {AUTH_LEN_MAX} bytes")]
    TooLong,
    /// It is no JSON as `docker login` writes it.
    #[error("it is not a file as docker login writes it")]
    NotJson(#[source] serde_json::Error),
    /// What stands for a registry is no user and password.
    #[error("what it has for {registry} is no user and password")]
    NotBasic {
        /// The registry.
        registry: String,
    },
    /// Docker asks another program for the credentials.
    #[error("what it has for {registry} is kept by a credential helper, which is not asked")]
    Helper {
        /// The registry.
        registry: String,
    },
}

impl AuthError {
    /// Returns whose problem it is.
    pub fn class(&self) -> Class {
        Class::Usage
    }
}

/// A user and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub(super) user: String,
    pub(super) password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

/// The credentials of a file, by registry.
#[derive(Default)]
pub struct AuthFile {
    raw: RawFile,
}

#[derive(Default, Deserialize)]
struct RawFile {
    #[serde(default)]
    auths: BTreeMap<String, RawAuth>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
}

#[derive(Default, Deserialize)]
struct RawAuth {
    #[serde(default)]
    auth: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
}

impl AuthFile {
    /// Reads the bytes of a `config.json`.
    ///
    /// # Errors
    /// They are none. The bytes are never repeated.
    pub fn parse(bytes: &[u8]) -> Result<AuthFile, AuthError> {
        if bytes.len() as u64 > AUTH_LEN_MAX {
            return Err(AuthError::TooLong);
        }
        Ok(AuthFile { raw: serde_json::from_slice(bytes).map_err(AuthError::NotJson)? })
    }

    /// Returns the credentials for a registry; nothing where the file has none.
    ///
    /// # Errors
    /// What it has is no user and password, or is kept by another program.
    pub fn credentials(&self, registry: &str) -> Result<Option<Credentials>, AuthError> {
        let bad = || AuthError::NotBasic { registry: registry.to_owned() };
        let found = self.raw.auths.iter().find(|(key, _)| host_of(key) == host_of(registry)).map(|(_, auth)| auth);
        let is_empty = found.is_none_or(|auth| auth.auth.is_none() && auth.username.is_none());
        if is_empty {
            let is_kept = found.is_some() && self.raw.store.is_some();
            let has_helper = self.raw.helpers.keys().any(|key| host_of(key) == host_of(registry));
            return match is_kept || has_helper {
                true => Err(AuthError::Helper { registry: registry.to_owned() }),
                false => Ok(None),
            };
        }
        let Some(auth) = found else { return Ok(None) };
        if let (Some(user), Some(password)) = (&auth.username, &auth.password) {
            return Ok(Some(Credentials { user: user.clone(), password: password.clone() }));
        }
        let bytes = auth.auth.as_ref().and_then(|text| base64::decode(text.trim().as_bytes())).ok_or_else(bad)?;
        let text = String::from_utf8(bytes).map_err(|_| bad())?;
        let (user, password) = text.split_once(':').ok_or_else(bad)?;
        Ok(Some(Credentials { user: user.to_owned(), password: password.trim_end_matches('\0').to_owned() }))
    }
}

/// Returns the host of a key of the file, which may be a whole address.
fn host_of(key: &str) -> &str {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    match bare.split('/').next().unwrap_or(bare) {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        host => host,
    }
}

/// Returns where `docker login` keeps its file.
pub fn usual_place(docker_config: Option<&Path>, home: Option<&Path>) -> Option<std::path::PathBuf> {
    docker_config.map(|dir| dir.join("config.json")).or_else(|| home.map(|home| home.join(".docker/config.json")))
}

/// What a registry wants to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password with each question.
    Basic,
    /// A token, which this address gives.
    Bearer {
        /// The address.
        realm: Url,
        /// What the token is for, as the registry calls itself.
        service: Option<String>,
    },
}

impl Challenge {
    /// Returns the challenge that a header spells.
    pub(super) fn parse(text: &str) -> Option<Challenge> {
        if text.len() > CHALLENGE_LEN_MAX {
            return None;
        }
        let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Challenge::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let values = values(rest)?;
        let value = |name: &str| values.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let realm = Url::parse(value("realm")?).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
        Some(Challenge::Bearer { realm, service: value("service").cloned() })
    }
}

/// Returns the values of `key="value",key=value`.
fn values(mut rest: &str) -> Option<Vec<(String, String)>> {
    let mut values = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if rest.is_empty() {
            return Some(values);
        }
        let (key, behind) = rest.split_once('=')?;
        let (value, behind) = match behind.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => behind.split_once(',').unwrap_or((behind, "")),
        };
        values.push((key.trim().to_owned(), value.to_owned()));
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_credentials_of_a_registry_however_its_key_is_written() {
        let text = r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "dXNlcjpwYTpzcw=="},
            "nvcr.io": {"username": "$oauthtoken", "password": "nvapi"},
            "bad.io": {"auth": "dXNlcg=="},
            "kept.io": {}
        }, "credHelpers": {"helped.io": "gcloud"}, "credsStore": "desktop"}"#;
        let file = AuthFile::parse(text.as_bytes()).expect("a file");
        let of = |registry: &str| file.credentials(registry);
        let credentials = |user: &str, password: &str| Credentials { user: user.into(), password: password.into() };
        assert_eq!(of("docker.io").expect("good"), Some(credentials("user", "pa:ss")));
        assert_eq!(of("nvcr.io").expect("good"), Some(credentials("$oauthtoken", "nvapi")));
        assert_eq!(of("other.io").expect("good"), None);
        assert!(matches!(of("bad.io"), Err(AuthError::NotBasic { .. })));
        assert!(matches!(of("kept.io"), Err(AuthError::Helper { .. })));
        assert!(matches!(of("helped.io"), Err(AuthError::Helper { .. })));
    }

    #[test]
    fn reads_the_challenges_of_registries() {
        let bearer = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="a:b,c""#;
        let Some(Challenge::Bearer { realm, service }) = Challenge::parse(bearer) else { panic!("{bearer}") };
        assert_eq!((realm.as_str(), service.as_deref()), ("https://auth.docker.io/token", Some("registry.docker.io")));
        assert_eq!(Challenge::parse(r#"basic realm="x""#), Some(Challenge::Basic));
        for text in ["", "Negotiate", "Bearer", "Bearer realm=\"file:///etc/passwd\"", "Bearer realm=\"x", "Bearer x"] {
            assert_eq!(Challenge::parse(text), None, "{text}");
        }
    }
}
