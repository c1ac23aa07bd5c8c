//! Addresses of a server's answers.

use url::Url;

/// Where a server is: scheme, host, port and what stands before every path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Url);

/// Why a text is no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text} is no endpoint such as https://api.ngc.nvidia.com")]
pub struct EndpointError {
    /// The text.
    pub text: String,
}

impl Endpoint {
    /// Returns the endpoint that `text` spells.
    ///
    /// # Errors
    /// Refuses what is no URL of the web with a host, or has a user, a query or a fragment.
    pub fn parse(text: &str) -> Result<Endpoint, EndpointError> {
        let refused = || EndpointError { text: text.to_owned() };
        let url = Url::parse(text.trim_end_matches('/')).map_err(|_| refused())?;
        let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
        let is_bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        if is_web && is_bare && url.fragment().is_none() { Ok(Endpoint(url)) } else { Err(refused()) }
    }

    /// Returns the address of an answer. Each part of the path is one segment of it.
    pub fn at<'a>(&self, path: impl IntoIterator<Item = &'a str>, query: &[(&str, &str)]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_path_stay_parts() {
        let endpoint = Endpoint::parse("http://127.0.0.1:8080/proxy/").expect("an endpoint");
        let url = endpoint.at(["v2", "org", "a/b", "c d"], &[("q", "{\"a\": 1}")]);
        assert_eq!(url.as_str(), "http://127.0.0.1:8080/proxy/v2/org/a%2Fb/c%20d?q=%7B%22a%22%3A+1%7D");
        assert_eq!(Endpoint::parse("https://x.y").expect("one").at(["token"], &[]).as_str(), "https://x.y/token");
    }

    #[test]
    fn refuses_what_is_no_endpoint() {
        for text in
            ["", "api.ngc.nvidia.com", "ftp://x", "http://user:word@x", "https://x?y", "https://x#y", "file:///x"]
        {
            assert!(Endpoint::parse(text).is_err(), "{text}");
        }
    }
}
