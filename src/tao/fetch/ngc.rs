//! NGC as a source: what a key may see, and the files of a version (contract of the platform's downloader).

use super::remote::{RemoteError, RemoteFile, check_page_count, check_path};
use crate::format::Sha256;
use crate::tao::address::Endpoint;
use crate::tao::http::{Http, HttpError};
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
/// Most files of one version.
const FILE_COUNT_MAX: usize = 1_000_000;

/// A key of NGC. It is never shown.
#[derive(Clone)]
pub struct NgcKey(String);

impl NgcKey {
    /// Returns the key that a text is, without what stands around it; nothing where it is empty.
    pub fn new(text: &str) -> Option<NgcKey> {
        let text = text.trim();
        (!text.is_empty()).then(|| NgcKey(text.to_owned()))
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
struct OrgsAnswer {
    organizations: Vec<Named>,
}

#[derive(Deserialize)]
struct TeamsAnswer {
    teams: Vec<Named>,
}

/// One page of an answer, and which there are.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<T> {
    #[serde(flatten)]
    items: T,
    #[serde(default)]
    pagination_info: Option<Pages>,
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
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FilesAnswer {
    #[serde(default)]
    model_files: Vec<ListedFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedFile {
    path: String,
    size_in_bytes: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pages {
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
}

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
        let search = |q: Value| -> Result<SearchAnswer, HttpError> {
            self.ask(Some(place), &["v2", "search", "resources", "MODEL"], &[("q", &q.to_string())])
        };
        let page_count = search(json!({"pageSize": 1000, "query": query}))?.result_page_total;
        check_page_count(page_count, "search")?;
        let fields = ["resourceId", "name", "displayName", "orgName", "teamName"];
        let mut found = Vec::new();
        for page in 0..page_count {
            let answer = search(json!({"fields": fields, "page": page, "pageSize": 1000, "query": query}))?;
            found.extend(answer.results.into_iter().flat_map(|result| result.resources));
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
        self.by_reference(Some(&place), &path, |page: VersionsAnswer| {
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
        self.ask(Some(&place), &path, &[("page-size", PAGE_COUNT)])
    }

    /// Returns the files of a version, with the digests that its attributes publish.
    ///
    /// # Errors
    /// NGC does not answer, or names a file that can't lie below a folder.
    pub fn files(&self, model: &NgcModel, digests: &HashMap<String, Sha256>) -> Result<Vec<RemoteFile>, RemoteError> {
        let place = place_of(model);
        let path = [models_path(&place), vec![model.model(), "versions", model.version(), "files"]].concat();
        let mut files = Vec::new();
        self.by_reference(Some(&place), &path, |page: FilesAnswer| {
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
    fn by_number<T: DeserializeOwned>(
        &self,
        place: Option<&OrgTeam>,
        path: &[&str],
        page_len: &str,
        mut take: impl FnMut(T) -> Result<(), RemoteError>,
    ) -> Result<(), RemoteError> {
        for number in 0_u64.. {
            check_page_count(number, &path.join("/"))?;
            let number_text = number.to_string();
            let query = [("page-number", number_text.as_str()), ("page-size", page_len)];
            let page: Page<T> = self.ask(place, path, &query)?;
            take(page.items)?;
            if number + 1 >= page.pagination_info.map_or(1, |pages| pages.total_pages) {
                break;
            }
        }
        Ok(())
    }

    /// Asks for page after page, each by the reference that the one before has to it.
    fn by_reference<T: DeserializeOwned>(
        &self,
        place: Option<&OrgTeam>,
        path: &[&str],
        mut take: impl FnMut(T) -> Result<(), RemoteError>,
    ) -> Result<(), RemoteError> {
        let mut reference: Option<String> = None;
        for number in 0.. {
            check_page_count(number, &path.join("/"))?;
            let mut query = vec![("page-size", PAGE_COUNT)];
            query.extend(reference.as_deref().map(|reference| ("page-reference", reference)));
            let page: Page<T> = self.ask(place, path, &query)?;
            take(page.items)?;
            let next = page.pagination_info.and_then(|pages| pages.next_page).filter(|next| !next.is_empty());
            match next {
                Some(next) if reference.as_ref() != Some(&next) => reference = Some(next),
                _ => break,
            }
        }
        Ok(())
    }

    fn ask<T: DeserializeOwned>(
        &self,
        place: Option<&OrgTeam>,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, HttpError> {
        let url = self.api.at(path.iter().copied(), query);
        let ask = |bearer: String| {
            self.http.value(&|client| {
                let request = client.get(url.clone()).bearer_auth(&bearer);
                request.header(ACCEPT, "application/json").header(ACCEPT_ENCODING, "identity")
            })
        };
        match ask(self.bearer(place)?) {
            // A token lasts for minutes, a fetch for hours.
            Err(HttpError::KeyRefused { status: 401, .. }) if self.forget_token(place) => ask(self.bearer(place)?),
            other => other,
        }
    }

    /// Forgets the token of a place; tells whether there was one.
    fn forget_token(&self, place: Option<&OrgTeam>) -> bool {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).remove(&place.cloned()).is_some()
    }

    /// Returns what stands behind `Bearer`: the key itself, or a token that it is exchanged for.
    fn bearer(&self, place: Option<&OrgTeam>) -> Result<String, HttpError> {
        if self.key.0.starts_with("nvapi") {
            return Ok(self.key.0.clone());
        }
        let place = place.cloned();
        if let Some(token) = self.tokens.lock().unwrap_or_else(PoisonError::into_inner).get(&place) {
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
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(place, answer.token.clone());
        Ok(answer.token)
    }
}

fn check_file_count(count: usize) -> Result<(), RemoteError> {
    if count > FILE_COUNT_MAX { Err(RemoteError::TooManyFiles { max: FILE_COUNT_MAX }) } else { Ok(()) }
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
