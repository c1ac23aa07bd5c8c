//! A registry of images: what it has, and what it is given.

use super::auth::{Challenge, Credentials};
use super::image_name::{digest_text, parse_digest};
use super::manifest::{ACCEPTED_TYPES, MANIFEST_LEN_MAX};
use crate::error::Class;
use crate::format::Sha256;
use crate::tao::http::{Http, HttpError, Response, place_of, refused};
use reqwest::StatusCode;
use reqwest::blocking::{Client, RequestBuilder};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use url::Url;

/// Bytes of a blob that go in one question.
const CHUNK_LEN: usize = 16 << 20;
/// The header in which a registry says the digest of what it gives or takes.
const DIGEST_HEADER: &str = "docker-content-digest";

/// Why a registry does not give or take something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// It gives no answer, or a refusal.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It wants something else to see than user and password or a token.
    #[error("{place} wants a kind of login that is not known")]
    OtherLogin {
        /// The address.
        place: String,
    },
    /// It sends the credentials, or what is pushed, to an address without TLS.
    #[error("{place} leads away from TLS")]
    NoTls {
        /// The address that leads there.
        place: String,
    },
    /// Its answer lacks what it must have.
    #[error("the answer of {place} has no {what}")]
    Lacks {
        /// The address.
        place: String,
        /// What.
        what: &'static str,
    },
    /// It gives or has taken something else than was meant.
    #[error("{place} has {found} where {expected} is due")]
    OtherDigest {
        /// The address.
        place: String,
        /// As asked for.
        expected: Sha256,
        /// As given.
        found: Sha256,
    },
    /// A blob can't be gone on with.
    #[error("{place} has {found} bytes of a blob, and {expected} were sent")]
    OtherLen {
        /// The address.
        place: String,
        /// As sent.
        expected: u64,
        /// As it says.
        found: u64,
    },
}

impl RegistryError {
    /// Returns whose problem it is.
    pub fn class(&self) -> Class {
        match self {
            RegistryError::Http(HttpError::NotFound { .. }) => Class::Unavailable,
            RegistryError::Http(HttpError::TooLong { .. }) => Class::Refused,
            RegistryError::Http(error) => error.class(),
            RegistryError::OtherLogin { .. } => Class::Failed,
            RegistryError::NoTls { .. } => Class::Refused,
            // What a registry gives wrongly may be right later.
            _ => Class::Unavailable,
        }
    }
}

/// What is to be done with a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Only reading.
    Pull,
    /// Reading and writing.
    Push,
}

/// What a registry is shown with each question.
#[derive(Clone)]
enum Grant {
    Nothing,
    Header(HeaderValue),
}

/// A manifest as a registry gives it.
#[derive(Debug)]
pub struct Given {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What it is said to be.
    pub media_type: String,
}

/// A blob of which a part is at the registry.
#[derive(Debug)]
pub struct Upload {
    url: Url,
    repository: String,
    /// How much of it is there, in bytes.
    len: u64,
}

/// What became of the wish to have a blob of another repository.
#[derive(Debug)]
pub enum Mounted {
    /// It is there.
    Done,
    /// It has to be sent.
    Upload(Upload),
}

/// A registry and who asks it.
pub struct Registry<'a> {
    http: &'a Http<'a>,
    base: Url,
    credentials: Option<Credentials>,
    grants: Mutex<HashMap<(String, Access), Grant>>,
}

/// Whether a registry is asked with or without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// With it.
    Tls,
    /// Without: whoever is on the way can read and change everything but digests.
    Plain,
}

/// What a registry answers who asks for a token.
#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
}

impl<'a> Registry<'a> {
    /// Returns the registry that names call `name`; nothing where that is no host.
    pub fn new(
        http: &'a Http<'a>,
        name: &str,
        transport: Transport,
        credentials: Option<Credentials>,
    ) -> Option<Registry<'a>> {
        let host = if name == "docker.io" { "registry-1.docker.io" } else { name };
        let scheme = if transport == Transport::Tls { "https" } else { "http" };
        let base = Url::parse(&format!("{scheme}://{host}/v2/")).ok().filter(|_| super::image_name::is_host(host))?;
        Some(Registry { http, base, credentials, grants: Mutex::default() })
    }

    /// Waits before something is asked again that failed this often.
    ///
    /// # Errors
    /// A person asked to stop.
    pub fn wait_after(&self, attempt: u32) -> Result<(), RegistryError> {
        Ok(self.http.wait_after(attempt)?)
    }

    /// Returns a manifest, or a list of them.
    ///
    /// # Errors
    /// The registry does not give it.
    pub fn manifest(&self, repository: &str, target: &str) -> Result<Given, RegistryError> {
        let url = self.at(repository, &["manifests", target]);
        let response = self.granted(repository, Access::Pull, &|client, grant| {
            let request = grant.on(client.get(url.clone()));
            ACCEPTED_TYPES.iter().fold(request, |request, accepted| request.header(ACCEPT, *accepted))
        })?;
        let response = success(response)?;
        let media_type = header(&response, CONTENT_TYPE.as_str()).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_owned();
        let bytes = response.bytes(MANIFEST_LEN_MAX)?;
        Ok(Given { bytes, media_type })
    }

    /// Calls `fetch` with what asks for a blob, and once more where what was granted has ended.
    ///
    /// # Errors
    /// The registry wants another login, or what `fetch` says.
    pub fn with_blob<T, E: From<RegistryError>>(
        &self,
        repository: &str,
        digest: Sha256,
        is_refused: impl Fn(&E) -> bool,
        fetch: impl Fn(&dyn Fn(&Client) -> RequestBuilder) -> Result<T, E>,
    ) -> Result<T, E> {
        let url = self.at(repository, &["blobs", &digest_text(digest)]);
        let grant = self.grant(repository, Access::Pull);
        match fetch(&|client| grant.on(client.get(url.clone()))) {
            Err(error) if is_refused(&error) => {
                let grant = self.renew(repository, Access::Pull)?;
                fetch(&|client| grant.on(client.get(url.clone())))
            }
            other => other,
        }
    }

    /// Tells whether a repository has a blob.
    ///
    /// # Errors
    /// The registry does not say.
    pub fn has_blob(&self, repository: &str, digest: Sha256, len: u64) -> Result<bool, RegistryError> {
        let url = self.at(repository, &["blobs", &digest_text(digest)]);
        let response = self.granted(repository, Access::Push, &|client, grant| grant.on(client.head(url.clone())))?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => {
                // One that says another length is no blob to rely on.
                let said = header(&response, CONTENT_LENGTH.as_str()).and_then(|text| text.parse::<u64>().ok());
                Ok(said.is_none_or(|said| said == len))
            }
            _ => Err(refused(&response).into()),
        }
    }

    /// Returns the digest of the manifest that has this name; nothing where none has.
    ///
    /// # Errors
    /// The registry does not say.
    pub fn digest_of(&self, repository: &str, target: &str) -> Result<Option<Sha256>, RegistryError> {
        let url = self.at(repository, &["manifests", target]);
        let response = self.granted(repository, Access::Push, &|client, grant| {
            let request = grant.on(client.head(url.clone()));
            ACCEPTED_TYPES.iter().fold(request, |request, accepted| request.header(ACCEPT, *accepted))
        })?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => {
                Ok(header(&response, DIGEST_HEADER).and_then(|digest| parse_digest(&digest)))
            }
            _ => Err(refused(&response).into()),
        }
    }

    /// Asks a repository to take a blob that another one of the same registry has.
    ///
    /// # Errors
    /// The registry takes nothing.
    pub fn mount(&self, repository: &str, digest: Sha256, from: &str) -> Result<Mounted, RegistryError> {
        let mut url = self.at(repository, &["blobs", "uploads", ""]);
        url.query_pairs_mut().append_pair("mount", &digest_text(digest)).append_pair("from", from);
        let response = self.begun(repository, &url)?;
        if response.status() == StatusCode::CREATED {
            return Ok(Mounted::Done);
        }
        self.upload_of(repository, response).map(Mounted::Upload)
    }

    /// Begins to send a blob.
    ///
    /// # Errors
    /// The registry takes nothing.
    pub fn begin(&self, repository: &str) -> Result<Upload, RegistryError> {
        let response = self.begun(repository, &self.at(repository, &["blobs", "uploads", ""]))?;
        self.upload_of(repository, response)
    }

    fn begun(&self, repository: &str, url: &Url) -> Result<Response<'_>, RegistryError> {
        let response = self.granted(repository, Access::Push, &|client, grant| {
            grant.on(client.post(url.clone())).header(CONTENT_LENGTH, 0)
        })?;
        success(response)
    }

    fn upload_of(&self, repository: &str, response: Response<'_>) -> Result<Upload, RegistryError> {
        let url = self.location(&response)?;
        Ok(Upload { url, repository: repository.to_owned(), len: 0 })
    }

    /// Sends more bytes of a blob.
    ///
    /// # Errors
    /// The registry does not take them, however often they are sent.
    pub fn send(&self, upload: &mut Upload, bytes: &[u8]) -> Result<(), RegistryError> {
        bytes.chunks(CHUNK_LEN).try_for_each(|chunk| self.send_chunk(upload, chunk))
    }

    fn send_chunk(&self, upload: &mut Upload, chunk: &[u8]) -> Result<(), RegistryError> {
        let end = upload.len + chunk.len() as u64;
        let mut attempt = 1;
        loop {
            let error = match self.patch(upload, chunk) {
                Ok(url) => {
                    (upload.url, upload.len) = (url, end);
                    return Ok(());
                }
                Err(error) => error,
            };
            if attempt >= self.http.attempt_count() || error.class() != Class::Unavailable {
                return Err(error);
            }
            self.http.wait_after(attempt)?;
            attempt += 1;
            // The bytes may have arrived although the answer did not. A registry that can't tell wants
            // the blob from its start.
            let Ok((url, there)) = self.state(upload) else { return Err(error) };
            upload.url = url;
            if there == end {
                upload.len = end;
                return Ok(());
            }
            if there != upload.len {
                return Err(RegistryError::OtherLen {
                    place: place_of(&upload.url),
                    expected: upload.len,
                    found: there,
                });
            }
        }
    }

    fn patch(&self, upload: &Upload, chunk: &[u8]) -> Result<Url, RegistryError> {
        let last = upload.len + chunk.len() as u64 - 1;
        let response = self.granted_at(upload, &upload.url, &|client, grant| {
            grant
                .on(client.patch(upload.url.clone()))
                .header(CONTENT_TYPE, "application/octet-stream")
                .header("content-range", format!("{}-{last}", upload.len))
                .body(chunk.to_vec())
        })?;
        self.location(&success(response)?)
    }

    /// Returns where to go on with a blob, and how much of it is there.
    fn state(&self, upload: &Upload) -> Result<(Url, u64), RegistryError> {
        let ask = |client: &Client, grant: &Grant| grant.on(client.get(upload.url.clone()));
        let response = success(self.granted_at(upload, &upload.url, &ask)?)?;
        let place = place_of(&upload.url);
        let range = header(&response, "range").ok_or(RegistryError::Lacks { place, what: "range" })?;
        // `0-0` is what registries say of nothing and of one byte.
        let last: u64 = range.rsplit_once('-').and_then(|(_, last)| last.parse().ok()).unwrap_or(0);
        Ok((self.location(&response)?, if last == 0 { 0 } else { last + 1 }))
    }

    /// Ends a blob, whose last bytes these are: the registry compares the digest.
    ///
    /// # Errors
    /// The registry does not take it.
    pub fn end(&self, upload: &Upload, last: &[u8], digest: Sha256) -> Result<(), RegistryError> {
        let mut url = upload.url.clone();
        url.query_pairs_mut().append_pair("digest", &digest_text(digest));
        let response = self.granted_at(upload, &url, &|client, grant| {
            grant
                .on(client.put(url.clone()))
                .header(CONTENT_TYPE, "application/octet-stream")
                .header(CONTENT_LENGTH, last.len())
                .body(last.to_vec())
        })?;
        self.check(&success(response)?, digest)
    }

    /// Gives up a blob. That it can't be told to the registry is no failure: it forgets by itself.
    pub fn abandon(&self, upload: &Upload) {
        let grant = self.grant_at(&upload.url, &upload.repository);
        let _ = self.http.once(&|client| grant.on(client.delete(upload.url.clone())));
    }

    /// Gives a manifest its name; all that it needs must be there.
    ///
    /// # Errors
    /// The registry does not take it.
    pub fn put_manifest(&self, place: &Place<'_>, given: &Given) -> Result<(), RegistryError> {
        let url = self.at(place.repository, &["manifests", place.target]);
        let response = self.granted(place.repository, Access::Push, &|client, grant| {
            let request = grant.on(client.put(url.clone())).header(CONTENT_TYPE, &given.media_type);
            request.body(given.bytes.clone())
        })?;
        self.check(&success(response)?, Sha256::of(&given.bytes))
    }

    fn check(&self, response: &Response<'_>, expected: Sha256) -> Result<(), RegistryError> {
        let found = header(response, DIGEST_HEADER).and_then(|digest| parse_digest(&digest));
        match found.filter(|found| *found != expected) {
            Some(found) => Err(RegistryError::OtherDigest { place: response.place(), expected, found }),
            None => Ok(()),
        }
    }

    fn at(&self, repository: &str, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(repository.split('/')).extend(path);
        }
        url
    }

    /// Returns where a registry says that things go on.
    fn location(&self, response: &Response<'_>) -> Result<Url, RegistryError> {
        let place = response.place();
        let text = header(response, LOCATION.as_str());
        let url = text.and_then(|text| response.url().join(&text).ok()).filter(|url| url.has_host());
        let url = url.ok_or(RegistryError::Lacks { place: place.clone(), what: "location" })?;
        self.refuse_downgrade(&url).map(|()| url)
    }

    fn refuse_downgrade(&self, url: &Url) -> Result<(), RegistryError> {
        let is_safe = url.scheme() == "https" || (url.scheme() == "http" && self.base.scheme() == "http");
        if is_safe { Ok(()) } else { Err(RegistryError::NoTls { place: place_of(&self.base) }) }
    }

    /// Asks with what was granted, and once more with a new grant where that has ended or is missing.
    fn granted(
        &self,
        repository: &str,
        access: Access,
        ask: &dyn Fn(&Client, &Grant) -> RequestBuilder,
    ) -> Result<Response<'_>, RegistryError> {
        let grant = self.grant(repository, access);
        let response = self.http.response(&|client| ask(client, &grant))?;
        // Another host that a redirect led to is told nothing, whatever it asks for.
        let is_ours = response.url().origin() == self.base.origin();
        if response.status() != StatusCode::UNAUTHORIZED || !is_ours {
            return Ok(response);
        }
        let grant = self.renew_by(repository, access, &response)?;
        Ok(self.http.response(&|client| ask(client, &grant))?)
    }

    fn grant(&self, repository: &str, access: Access) -> Grant {
        let grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        grants.get(&(repository.to_owned(), access)).cloned().unwrap_or(Grant::Nothing)
    }

    /// Returns what the registry is shown at an address that it named: another host is shown nothing.
    fn grant_at(&self, url: &Url, repository: &str) -> Grant {
        if url.origin() == self.base.origin() { self.grant(repository, Access::Push) } else { Grant::Nothing }
    }

    /// Asks once at an address that the registry named, and again where what was granted has ended.
    fn granted_at(
        &self,
        upload: &Upload,
        url: &Url,
        ask: &dyn Fn(&Client, &Grant) -> RequestBuilder,
    ) -> Result<Response<'_>, RegistryError> {
        let grant = self.grant_at(url, &upload.repository);
        let response = self.http.once(&|client| ask(client, &grant))?;
        let is_ours = response.url().origin() == self.base.origin();
        if response.status() != StatusCode::UNAUTHORIZED || matches!(grant, Grant::Nothing) || !is_ours {
            return Ok(response);
        }
        let grant = self.renew_by(&upload.repository, Access::Push, &response)?;
        Ok(self.http.once(&|client| ask(client, &grant))?)
    }

    fn renew(&self, repository: &str, access: Access) -> Result<Grant, RegistryError> {
        let base = self.base.clone();
        let response = self.http.response(&|client| client.get(base.clone()))?;
        match response.status() {
            StatusCode::UNAUTHORIZED => self.renew_by(repository, access, &response),
            _ => Ok(Grant::Nothing),
        }
    }

    fn renew_by(&self, repository: &str, access: Access, refusal: &Response<'_>) -> Result<Grant, RegistryError> {
        let place = refusal.place();
        let mut challenges = refusal.headers().get_all(WWW_AUTHENTICATE).iter();
        let challenge = challenges.find_map(|text| Challenge::parse(text.to_str().ok()?));
        let grant = match (challenge, &self.credentials) {
            (None, _) => return Err(RegistryError::OtherLogin { place }),
            (Some(Challenge::Basic), None) => return Err(refused(refusal).into()),
            (Some(Challenge::Basic), Some(credentials)) => Grant::basic(credentials),
            (Some(Challenge::Bearer { realm, service }), credentials) => {
                self.refuse_downgrade(&realm)?;
                let scope = match access {
                    Access::Pull => format!("repository:{repository}:pull"),
                    Access::Push => format!("repository:{repository}:pull,push"),
                };
                self.token(realm, service, &scope, credentials.as_ref())?
            }
        };
        let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        grants.insert((repository.to_owned(), access), grant.clone());
        Ok(grant)
    }

    fn token(
        &self,
        mut realm: Url,
        service: Option<String>,
        scope: &str,
        credentials: Option<&Credentials>,
    ) -> Result<Grant, RegistryError> {
        if let Some(service) = service {
            realm.query_pairs_mut().append_pair("service", &service);
        }
        realm.query_pairs_mut().append_pair("scope", scope);
        let answer: TokenAnswer = self.http.value(&|client| match credentials {
            Some(credentials) => client.get(realm.clone()).basic_auth(&credentials.user, Some(&credentials.password)),
            None => client.get(realm.clone()),
        })?;
        let lacks = || RegistryError::Lacks { place: place_of(&realm), what: "token" };
        let token = answer.token.or(answer.access_token).filter(|token| !token.is_empty()).ok_or_else(lacks)?;
        Grant::secret(&format!("Bearer {token}")).ok_or_else(lacks)
    }
}

/// Where a manifest is put.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The repository.
    pub repository: &'a str,
    /// The tag or digest.
    pub target: &'a str,
}

impl Grant {
    fn basic(credentials: &Credentials) -> Grant {
        let text = format!("{}:{}", credentials.user, credentials.password);
        let encoded = crate::trust::base64::encode(text.as_bytes());
        Grant::secret(&format!("Basic {encoded}")).unwrap_or(Grant::Nothing)
    }

    fn secret(text: &str) -> Option<Grant> {
        let mut value = HeaderValue::from_str(text).ok()?;
        // The client keeps such a header from every other host.
        value.set_sensitive(true);
        Some(Grant::Header(value))
    }

    fn on(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Grant::Nothing => request,
            Grant::Header(value) => request.header(AUTHORIZATION, value),
        }
    }
}

fn success(response: Response<'_>) -> Result<Response<'_>, RegistryError> {
    if response.status().is_success() { Ok(response) } else { Err(refused(&response).into()) }
}

fn header(response: &Response<'_>, name: &str) -> Option<String> {
    response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tao::http::{Patience, client};

    #[test]
    fn a_registry_with_tls_leads_nowhere_without() {
        let patience = Patience::default();
        let http = Http::new(client(None, &patience).expect("a client"), patience, &|| false);
        let registry = |transport| Registry::new(&http, "reg.io", transport, None).expect("a registry");
        let url = |text| Url::parse(text).expect("an address");
        let (safe, plain) = (registry(Transport::Tls), registry(Transport::Plain));
        assert!(safe.refuse_downgrade(&url("https://auth.io/token")).is_ok());
        assert!(plain.refuse_downgrade(&url("http://auth.io/token")).is_ok());
        let error = safe.refuse_downgrade(&url("http://auth.io/token")).expect_err("refused");
        assert_eq!(error.class(), Class::Refused);
    }

    #[test]
    fn a_grant_is_shown_to_its_own_registry_alone() {
        let patience = Patience::default();
        let http = Http::new(client(None, &patience).expect("a client"), patience, &|| false);
        let registry = Registry::new(&http, "reg.io:5000", Transport::Tls, None).expect("a registry");
        let grant = Grant::secret("Bearer x").expect("a header");
        registry.grants.lock().expect("whole").insert(("a/b".to_owned(), Access::Push), grant);
        let shown = |text| registry.grant_at(&Url::parse(text).expect("an address"), "a/b");
        assert!(matches!(shown("https://reg.io:5000/v2/a/b/blobs/uploads/1"), Grant::Header(_)));
        for other in ["https://reg.io/v2/a", "http://reg.io:5000/v2/a", "https://storage.io/x"] {
            assert!(matches!(shown(other), Grant::Nothing), "{other}");
        }
    }

    #[test]
    fn addresses_keep_repositories_and_digests_in_their_place() {
        let patience = Patience::default();
        let http = Http::new(client(None, &patience).expect("a client"), patience, &|| false);
        let registry = Registry::new(&http, "docker.io", Transport::Tls, None).expect("a registry");
        let url = registry.at("library/mongo", &["blobs", "uploads", ""]);
        assert_eq!(url.as_str(), "https://registry-1.docker.io/v2/library/mongo/blobs/uploads/");
        for name in ["reg.io/a", "a b", "user@reg.io", "", "reg.io:x"] {
            assert!(Registry::new(&http, name, Transport::Tls, None).is_none(), "{name}");
        }
    }
}
