//! Addresses of a server's answers.

use std::fmt;
use url::{Host, Url};

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
        // Before an @ may stand a password.
        let shown = if text.contains('@') { "what has a user before its host" } else { text };
        let refused = || EndpointError { text: shown.to_owned() };
        let url = Url::parse(text.trim_end_matches('/')).map_err(|_| refused())?;
        let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
        let is_bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        if is_web && is_bare && url.fragment().is_none() { Ok(Endpoint(url)) } else { Err(refused()) }
    }

    /// Tells whether an address is one of the web, and none that more can listen to than to this.
    pub fn is_matched_by(&self, url: &Url) -> bool {
        url.scheme() == "https" || (url.scheme() == "http" && self.0.scheme() == "http")
    }

    /// Tells whether what is asked there can be read on the way: plain http to another machine.
    pub fn is_plain_beyond_this_machine(&self) -> bool {
        let is_here = match self.0.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        self.0.scheme() == "http" && !is_here
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

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
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
    fn plain_http_to_another_machine_can_be_read_on_the_way() {
        for (text, is_plain) in [
            ("http://platform:8090", true),
            ("http://192.0.2.1:8090", true),
            ("https://platform:8090", false),
            ("http://localhost:8090", false),
            ("http://127.0.0.1:8090", false),
            ("http://[::1]:8090", false),
        ] {
            assert_eq!(Endpoint::parse(text).expect(text).is_plain_beyond_this_machine(), is_plain, "{text}");
        }
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
