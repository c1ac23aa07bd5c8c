//! A hub as a source: the revision that is fetched, and its files.

use super::remote::{PageLimits, RemoteError, RemoteFile, check_file_count, check_path};
use crate::format::Sha256;
use crate::tao::address::Endpoint;
use crate::tao::http::{Document, Http, HttpError};
use crate::tao::model::HubModel;
use reqwest::blocking::{Client, RequestBuilder};
use reqwest::header::{HeaderMap, LINK};
use serde::Deserialize;
use std::fmt;
use url::Url;

/// A token of a hub. It is never shown.
#[derive(Clone)]
pub struct HubToken(String);

impl HubToken {
    /// Returns the token that a text is, without what stands around it; nothing where it is empty.
    pub fn new(text: &str) -> Option<HubToken> {
        let text = text.trim();
        (!text.is_empty()).then(|| HubToken(text.to_owned()))
    }
}

impl fmt::Debug for HubToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HubToken(not shown)")
    }
}

/// What a repository is at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// The commit.
    pub sha: String,
    /// The licence, where the repository names one.
    pub license: Option<String>,
}

#[derive(Deserialize)]
struct RevisionAnswer {
    sha: String,
    #[serde(default, rename = "cardData")]
    card: Option<Card>,
}

#[derive(Deserialize)]
struct Card {
    #[serde(default)]
    license: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    oid: String,
    size: u64,
}

/// A hub, seen with one token or none.
pub struct Hub<'a> {
    http: &'a Http<'a>,
    endpoint: Endpoint,
    token: Option<HubToken>,
}

impl<'a> Hub<'a> {
    /// Returns the hub at an endpoint; asks nothing yet.
    pub fn new(http: &'a Http<'a>, endpoint: Endpoint, token: Option<HubToken>) -> Hub<'a> {
        Hub { http, endpoint, token }
    }

    /// Returns what `main` of a repository is now.
    ///
    /// # Errors
    /// The hub does not answer, or has no such repository for this token.
    pub fn revision(&self, model: &HubModel) -> Result<Revision, RemoteError> {
        let path = ["api", "models"].into_iter().chain(model.as_str().split('/')).chain(["revision", "main"]);
        let answer = self.ask::<RevisionAnswer>(self.endpoint.at(path, &[]))?.value;
        // The commit becomes a part of addresses.
        let is_commit = !answer.sha.is_empty() && answer.sha.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_commit {
            return Err(RemoteError::BadLink { path: answer.sha });
        }
        let license = answer.card.and_then(|card| card.license?.as_str().map(str::to_owned));
        Ok(Revision { sha: answer.sha, license })
    }

    /// Returns the files of a revision.
    ///
    /// # Errors
    /// The hub does not answer, or names a file that can't lie below a folder.
    pub fn files(&self, model: &HubModel, revision: &Revision) -> Result<Vec<RemoteFile>, RemoteError> {
        let path = ["api", "models"].into_iter().chain(model.as_str().split('/')).chain(["tree", &revision.sha]);
        let mut url = Some(self.endpoint.at(path, &[("recursive", "true"), ("expand", "false")]));
        let mut files = Vec::new();
        let mut limits = PageLimits::new(format!("files of {model}"));
        while let Some(page) = url {
            limits.follow(page.as_str())?;
            let answer = self.ask::<Vec<Item>>(page.clone())?;
            limits.add(answer.len)?;
            for item in answer.value.into_iter().filter(|item| item.kind == "file") {
                let (len, sha256) = match item.lfs {
                    Some(lfs) => (lfs.size, Sha256::from_hex(&lfs.oid)),
                    None => (item.size, None),
                };
                check_path(&item.path, len)?;
                files.push(RemoteFile { path: item.path, len, sha256, is_fixed: false });
            }
            check_file_count(files.len())?;
            url = next(&answer.headers).map(|next| next_page(&page, &next)).transpose()?;
        }
        Ok(files)
    }

    /// Returns a question for the bytes of a file.
    pub fn question(&self, model: &HubModel, revision: &Revision, path: &str, client: &Client) -> RequestBuilder {
        let parts = model.as_str().split('/').chain(["resolve", &revision.sha]).chain(path.split('/'));
        self.with_token(client.get(self.endpoint.at(parts, &[])))
    }

    fn ask<T: serde::de::DeserializeOwned>(&self, url: Url) -> Result<Document<T>, HttpError> {
        self.http.document(&|client| self.with_token(client.get(url.clone())))
    }

    fn with_token(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(&token.0),
            None => request,
        }
    }
}

/// Returns the address of the next page: `<address>; rel="next"`.
fn next(headers: &HeaderMap) -> Option<String> {
    let links = headers.get(LINK)?.to_str().ok()?;
    let next = links.split(',').find(|link| link.contains("rel=\"next\""))?;
    Some(next.split_once('<')?.1.split_once('>')?.0.to_owned())
}

/// Returns the address of the next page, on the same server alone: the token goes along.
fn next_page(page: &Url, next: &str) -> Result<Url, RemoteError> {
    let url = page.join(next).ok().filter(|next| next.origin() == page.origin() && next != page);
    url.ok_or_else(|| RemoteError::BadLink { path: next.to_owned() })
}
