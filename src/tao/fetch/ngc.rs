//! NGC as a source: what a key may see, and the files of a version (contract of the platform's downloader).

use super::remote::{PageLimits, RemoteError, RemoteFile, check_file_count, check_path};
use crate::format::Sha256;
use crate::tao::address::Endpoint;
use crate::tao::http::{Document, Http, HttpError};
use crate::tao::model::NgcModel;
use crate::tao::ngc::{VersionAnswer, VersionDetails};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use url::Url;

/// Most items that a page of an answer is asked for.
const PAGE_COUNT: &str = "1000";
/// Most links that a page is asked for.
const LINK_PAGE_COUNT: &str = "100";
/// Tokens for one question: the first and two new ones.
const TOKEN_COUNT_MAX: usize = 3;

/// A key of NGC. It is never shown.
#[derive(Clone)]
pub struct NgcKey(String);

impl NgcKey {
    /// Returns the key that a text is, without what stands around it; nothing where it is empty.
    pub fn new(text: &str) -> Option<NgcKey> {
        let text = text.trim();
        (!text.is_empty()).then(|| NgcKey(text.to_owned()))
    }

    /// Tells whether the key is the bearer, and not exchanged for tokens.
    fn is_bearer(&self) -> bool {
        self.0.starts_with("nvapi")
    }
}

impl fmt::Debug for NgcKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NgcKey(not shown)")
    }
}

/// An organisation, or a team in one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrgTeam {
    /// The organisation.
    pub org: String,
    /// The team; none for the organisation's own models.
    pub team: Option<String>,
}

impl fmt::Display for OrgTeam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.team {
            Some(team) => write!(f, "{}/{team}", self.org),
            None => f.write_str(&self.org),
        }
    }
}

/// A model that a search found.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FoundModel {
    /// `org/[team/]model`.
    pub resource_id: String,
    /// The name that people see.
    #[serde(default)]
    pub display_name: Option<String>,
    name: String,
    org_name: String,
    #[serde(default)]
    team_name: Option<String>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: String,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OrgsAnswer {
    organizations: Vec<Named>,
    #[serde(default)]
    pagination_info: Option<PaginationInfo>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TeamsAnswer {
    teams: Vec<Named>,
    #[serde(default)]
    pagination_info: Option<PaginationInfo>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SearchAnswer {
    #[serde(default)]
    result_page_total: u64,
    #[serde(default)]
    results: Vec<SearchResult>,
}

#[derive(Deserialize)]
struct SearchResult {
    #[serde(default)]
    resources: Vec<FoundModel>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VersionsAnswer {
    #[serde(default)]
    model_versions: Vec<VersionDetails>,
    #[serde(default)]
    pagination_info: Option<PaginationInfo>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FilesAnswer {
    #[serde(default)]
    model_files: Vec<ListedFile>,
    #[serde(default)]
    pagination_info: Option<PaginationInfo>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedFile {
    path: String,
    size_in_bytes: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PaginationInfo {
    #[serde(default)]
    next_page: Option<String>,
    #[serde(default)]
    total_pages: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LinksAnswer {
    #[serde(default)]
    urls: Vec<String>,
    #[serde(default)]
    filepath: Vec<String>,
    #[serde(default)]
    pagination_info: Option<PaginationInfo>,
}

/// One page of a list.
trait Page: DeserializeOwned {
    /// Takes out which pages there are.
    fn pagination_info(&mut self) -> Option<PaginationInfo>;
}

macro_rules! impl_page {
    ($($answer:ty),*) => {
        $(impl Page for $answer {
            fn pagination_info(&mut self) -> Option<PaginationInfo> {
                self.pagination_info.take()
            }
        })*
    };
}

impl_page!(OrgsAnswer, TeamsAnswer, VersionsAnswer, FilesAnswer, LinksAnswer);

/// NGC, seen with one key.
pub struct Ngc<'a> {
    http: &'a Http<'a>,
    api: Endpoint,
    auth: Endpoint,
    key: NgcKey,
    /// Tokens that the key was exchanged for.
    tokens: Mutex<HashMap<Option<OrgTeam>, String>>,
}

impl<'a> Ngc<'a> {
    /// Returns NGC at its endpoints; asks nothing yet.
    pub fn new(http: &'a Http<'a>, api: Endpoint, auth: Endpoint, key: NgcKey) -> Ngc<'a> {
        Ngc { http, api, auth, key, tokens: Mutex::default() }
    }

    /// Returns every organisation and team that the key may see, and the one where the vendor's models are.
    ///
    /// # Errors
    /// NGC does not answer, or refuses the key.
    pub fn org_teams(&self) -> Result<BTreeSet<OrgTeam>, RemoteError> {
        let mut orgs = Vec::new();
        let path = ["v2", "orgs"];
        self.by_number(None, &path, PAGE_COUNT, |page: OrgsAnswer| {
            orgs.extend(page.organizations);
            Ok(())
        })?;
        let mut all = BTreeSet::from([OrgTeam { org: "nvidia".to_owned(), team: Some("tao".to_owned()) }]);
        for Named { name: org } in orgs {
            let path = ["v2", "org", &org, "teams"];
            let mut teams = Vec::new();
            self.by_number(None, &path, PAGE_COUNT, |page: TeamsAnswer| {
                teams.extend(page.teams);
                Ok(())
            })?;
            let teams = teams.into_iter().map(|team| Some(team.name));
            all.extend(teams.chain([None]).map(|team| OrgTeam { org: org.clone(), team }));
        }
        Ok(all)
    }

    /// Returns the models of an organisation or team.
    ///
    /// # Errors
    /// NGC does not answer; a page that fails is not taken for an empty one.
    pub fn models(&self, place: &OrgTeam) -> Result<Vec<FoundModel>, RemoteError> {
        let team = place.team.as_ref().map(|team| format!("{team}/")).unwrap_or_default();
        let query = format!("resourceId:{}/{team}*", place.org);
        let mut limits = PageLimits::new(format!("models of {place}"));
        let search = |q: Value| -> Result<Document<SearchAnswer>, HttpError> {
            self.ask(Some(place), &["v2", "search", "resources", "MODEL"], &[("q", &q.to_string())])
        };
        let first = search(json!({"pageSize": 1000, "query": query}))?;
        limits.add(first.len)?;
        let page_count = first.value.result_page_total;
        limits.check_count(page_count)?;
        let fields = ["resourceId", "name", "displayName", "orgName", "teamName"];
        let mut found = Vec::new();
        for page in 0..page_count {
            let answer = search(json!({"fields": fields, "page": page, "pageSize": 1000, "query": query}))?;
            limits.add(answer.len)?;
            found.extend(answer.value.results.into_iter().flat_map(|result| result.resources));
        }
        Ok(found)
    }

    /// Returns the versions of a model that was found.
    ///
    /// # Errors
    /// NGC does not answer.
    pub fn versions(&self, found: &FoundModel) -> Result<Vec<VersionDetails>, RemoteError> {
        let team = found.team_name.clone().filter(|team| !team.is_empty());
        let place = OrgTeam { org: found.org_name.clone(), team };
        let path = [models_path(&place), vec![&found.name, "versions", ""]].concat();
        let mut versions = Vec::new();
        self.by_page_reference(Some(&place), &path, |page: VersionsAnswer| {
            versions.extend(page.model_versions);
            Ok(())
        })?;
        Ok(versions)
    }

    /// Returns what is said of one version.
    ///
    /// # Errors
    /// NGC does not answer, or has no such version.
    pub fn version(&self, model: &NgcModel) -> Result<VersionAnswer, HttpError> {
        let place = place_of(model);
        let path = [models_path(&place), vec![model.model(), "versions", model.version()]].concat();
        Ok(self.ask(Some(&place), &path, &[("page-size", PAGE_COUNT)])?.value)
    }

    /// Returns the files of a version, with the digests that its attributes publish.
    ///
    /// # Errors
    /// NGC does not answer, or names a file that can't lie below a folder.
    pub fn files(&self, model: &NgcModel, digests: &HashMap<String, Sha256>) -> Result<Vec<RemoteFile>, RemoteError> {
        let place = place_of(model);
        let path = [models_path(&place), vec![model.model(), "versions", model.version(), "files"]].concat();
        let mut files = Vec::new();
        self.by_page_reference(Some(&place), &path, |page: FilesAnswer| {
            for file in page.model_files {
                check_path(&file.path, file.size_in_bytes)?;
                let sha256 = digests.get(&file.path).copied();
                files.push(RemoteFile { path: file.path, len: file.size_in_bytes, sha256, is_fixed: true });
            }
            check_file_count(files.len())
        })?;
        Ok(files)
    }

    /// Returns where the bytes of each file of a version are, for a while.
    ///
    /// # Errors
    /// NGC does not answer, or gives no address of the web.
    pub fn links(&self, model: &NgcModel) -> Result<HashMap<String, Url>, RemoteError> {
        let place = place_of(model);
        let path = [models_path(&place), vec![model.model(), model.version(), "files"]].concat();
        let mut links = HashMap::new();
        self.by_number(Some(&place), &path, LINK_PAGE_COUNT, |page: LinksAnswer| {
            for (path, url) in page.filepath.into_iter().zip(page.urls) {
                let url = Url::parse(&url).ok().filter(|url| self.api.is_matched_by(url));
                links.insert(path.clone(), url.ok_or(RemoteError::BadLink { path })?);
            }
            check_file_count(links.len())
        })?;
        Ok(links)
    }

    /// Asks for page after page, which are counted from 0, unlike their total.
    fn by_number<T: Page>(
        &self,
        place: Option<&OrgTeam>,
        path: &[&str],
        page_len: &str,
        mut take: impl FnMut(T) -> Result<(), RemoteError>,
    ) -> Result<(), RemoteError> {
        let mut limits = PageLimits::new(path.join("/"));
        let (mut number, mut page_count) = (0_u64, 1);
        while number < page_count {
            let number_text = number.to_string();
            let query = [("page-number", number_text.as_str()), ("page-size", page_len)];
            let mut answer: Document<T> = self.ask(place, path, &query)?;
            limits.add(answer.len)?;
            // A later page that says less ends nothing.
            page_count = page_count.max(answer.value.pagination_info().map_or(1, |info| info.total_pages));
            limits.check_count(page_count)?;
            take(answer.value)?;
            number += 1;
        }
        Ok(())
    }

    /// Asks for page after page, each by what the one before says of it.
    fn by_page_reference<T: Page>(
        &self,
        place: Option<&OrgTeam>,
        path: &[&str],
        mut take: impl FnMut(T) -> Result<(), RemoteError>,
    ) -> Result<(), RemoteError> {
        let mut limits = PageLimits::new(path.join("/"));
        let mut page: Option<String> = None;
        loop {
            let mut query = vec![("page-size", PAGE_COUNT)];
            query.extend(page.as_deref().map(|page| ("page-reference", page)));
            let mut answer: Document<T> = self.ask(place, path, &query)?;
            limits.add(answer.len)?;
            let next = answer.value.pagination_info().and_then(|info| info.next_page).filter(|next| !next.is_empty());
            take(answer.value)?;
            let Some(next) = next else { return Ok(()) };
            limits.follow(&next)?;
            page = Some(next);
        }
    }

    fn ask<T: DeserializeOwned>(
        &self,
        place: Option<&OrgTeam>,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Document<T>, HttpError> {
        let url = self.api.at(path.iter().copied(), query);
        let ask = |bearer: &str| {
            self.http.document(&|client| {
                let request = client.get(url.clone()).bearer_auth(bearer);
                request.header(ACCEPT, "application/json").header(ACCEPT_ENCODING, "identity")
            })
        };
        for _ in 1..TOKEN_COUNT_MAX {
            let bearer = self.bearer(place)?;
            match ask(&bearer) {
                // A token lasts for minutes, a fetch for hours.
                Err(HttpError::AccessRefused { status: 401, .. }) if !self.key.is_bearer() => {
                    self.forget_token(place, &bearer);
                }
                other => return other,
            }
        }
        ask(&self.bearer(place)?)
    }

    /// Forgets the token of a place, unless another question has got a new one meanwhile.
    fn forget_token(&self, place: Option<&OrgTeam>, token: &str) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.get(&place.cloned()).is_some_and(|known| known == token) {
            tokens.remove(&place.cloned());
        }
    }

    /// Returns what stands behind `Bearer`: the key itself, or a token that it is exchanged for.
    fn bearer(&self, place: Option<&OrgTeam>) -> Result<String, HttpError> {
        if self.key.is_bearer() {
            return Ok(self.key.0.clone());
        }
        let place = place.cloned();
        // Whoever comes meanwhile waits and gets the same token.
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = tokens.get(&place) {
            return Ok(token.clone());
        }
        let scopes = match &place {
            None => vec!["group/ngc".to_owned()],
            Some(OrgTeam { org, team: None }) => vec![format!("group/ngc:{org}")],
            Some(OrgTeam { org, team: Some(team) }) => {
                vec![format!("group/ngc:{org}"), format!("group/ngc:{org}/{team}")]
            }
        };
        let mut query = vec![("service", "ngc")];
        query.extend(scopes.iter().map(|scope| ("scope", scope.as_str())));
        let url = self.auth.at(["token"], &query);
        let answer: TokenAnswer = self.http.value(&|client| {
            let request = client.get(url.clone()).basic_auth("$oauthtoken", Some(&self.key.0));
            request.header(ACCEPT, "application/json")
        })?;
        tokens.insert(place, answer.token.clone());
        Ok(answer.token)
    }
}

/// Returns the place of a model.
fn place_of(model: &NgcModel) -> OrgTeam {
    OrgTeam { org: model.org().to_owned(), team: model.team().map(str::to_owned) }
}

/// Returns the first parts of the path of a place's models.
fn models_path(place: &OrgTeam) -> Vec<&str> {
    match &place.team {
        Some(team) => vec!["v2", "org", &place.org, "team", team, "models"],
        None => vec!["v2", "org", &place.org, "models"],
    }
}
