//! Where the server is and how to prove each other: options, AWS environment and files, TLS.

use super::watch::Patience;
use crate::store::{Keys, StoreError};
use aws_config::environment::{EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider};
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Connector, proxy::ProxyConfig};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_types::service_config::ServiceConfigKey;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

/// Idle connections kept for reuse; more calls than this at once are not useful.
const IDLE_COUNT_MAX: usize = 64;
/// Shorter than the 120 s after which SeaweedFS closes an idle connection.
const IDLE_MS_MAX: u64 = 60_000;

/// How to reach an S3 store. What is not given comes from the usual AWS environment variables and
/// files; a secret is never an option.
#[derive(Clone, Debug)]
pub struct S3Options {
    /// The bucket.
    pub bucket: String,
    /// The URL of the server, such as `https://store.example:8333`; else `AWS_ENDPOINT_URL_S3`,
    /// `AWS_ENDPOINT_URL` or the profile's `endpoint_url`.
    pub endpoint: Option<String>,
    /// The region that signatures name; else `AWS_REGION`, the profile's, or `us-east-1`.
    pub region: Option<String>,
    /// The profile in the AWS files; else `AWS_PROFILE` or `default`.
    pub profile: Option<String>,
    /// A file in the form of `~/.aws/credentials`, to be used before all other credentials.
    pub credentials_file: Option<PathBuf>,
    /// A PEM file with the only certificate authorities to accept; else `AWS_CA_BUNDLE`, the
    /// profile's `ca_bundle`, or those of the machine.
    pub ca_file: Option<PathBuf>,
    /// Whether plain http may leave the machine.
    pub plain_http: PlainHttp,
    /// How long to wait, and how often to try.
    pub patience: Patience,
}

/// Whether plain http may leave the machine. To the machine itself it always may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainHttp {
    /// It may not.
    Refuse,
    /// It may, and every body is then hashed and signed.
    Allow,
}

impl S3Options {
    /// Returns the options for a bucket with everything else from the environment.
    pub fn new(bucket: impl Into<String>) -> S3Options {
        S3Options {
            bucket: bucket.into(),
            endpoint: None,
            region: None,
            profile: None,
            credentials_file: None,
            ca_file: None,
            plain_http: PlainHttp::Refuse,
            patience: Patience::default(),
        }
    }

    /// Returns the keys that the options name, for a program that has to be told of them.
    ///
    /// # Errors
    /// There are none, or they hold for a session only.
    pub fn keys(&self) -> Result<Keys, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(|source| StoreError::Io { action: "start the threads of", path: "S3".into(), source })?;
        let shared = runtime.block_on(load(self));
        let provided = shared.credentials_provider().map(|provider| runtime.block_on(provider.provide_credentials()));
        let Some(Ok(found)) = provided else { return Err(no_credentials()) };
        if found.session_token().is_some() {
            return Err(bad("credentials", "hold for a session only, which can't be handed on"));
        }
        Ok(Keys { access: found.access_key_id().to_owned(), secret: found.secret_access_key().to_owned() })
    }
}

/// A client and what it was told about the server.
pub(super) struct Connection {
    pub(super) client: Client,
    /// Scheme, host and port.
    pub(super) endpoint: String,
    /// Whether bodies are hashed for the signature: only where neither TLS nor the machine itself
    /// keeps others from changing them on the way.
    pub(super) signs_bodies: bool,
}

/// Makes the client; sends nothing.
pub(super) async fn connect(options: &S3Options) -> Result<Connection, StoreError> {
    check_bucket(&options.bucket)?;
    let shared = load(options).await;
    let endpoint = match options.endpoint.clone().or_else(|| look_up(&shared, "AWS_ENDPOINT_URL", "endpoint_url")) {
        Some(url) => Endpoint::parse(&url)?,
        None => match shared.endpoint_url() {
            Some(url) => Endpoint::parse(url)?,
            None => return Err(bad("endpoint", "is not given, neither as an option nor in the environment")),
        },
    };
    if !endpoint.is_tls && !endpoint.is_loopback && options.plain_http == PlainHttp::Refuse {
        return Err(StoreError::PlainHttp { endpoint: endpoint.url });
    }
    check_credentials(&shared).await?;
    let ca_file = options.ca_file.clone().or_else(|| look_up(&shared, "AWS_CA_BUNDLE", "ca_bundle").map(PathBuf::from));
    let config = aws_sdk_s3::config::Builder::from(&shared)
        .endpoint_url(&endpoint.url)
        .force_path_style(true)
        .http_client(http_client(&endpoint, ca_file, &options.patience)?)
        // Retries, time limits and checksums are ours: see `calls` and `watch`.
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .build();
    let signs_bodies = !endpoint.is_tls && !endpoint.is_loopback;
    Ok(Connection { client: Client::from_conf(config), endpoint: endpoint.url, signs_bodies })
}

/// Loads the AWS environment and files. Nothing here can ask the network: no instance metadata, no
/// single sign-on, no role of another account.
async fn load(options: &S3Options) -> SdkConfig {
    let profile_name = options.profile.clone();
    let mut region_files = ProfileFileRegionProvider::builder();
    let offline =
        ProviderConfig::without_region().with_http_client(http_client_fn(|_, _| SharedHttpConnector::new(Offline)));
    let mut credentials_files = ProfileFileCredentialsProvider::builder().configure(&offline);
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
    if let Some(name) = profile_name {
        region_files = region_files.profile_name(&name);
        credentials_files = credentials_files.profile_name(&name);
        loader = loader.profile_name(name);
    }
    let region = RegionProviderChain::first_try(options.region.clone().map(Region::new))
        .or_else(EnvironmentVariableRegionProvider::new())
        .or_else(region_files.build())
        .or_else(Region::new("us-east-1"));
    let credentials = match &options.credentials_file {
        Some(file) => {
            let files = EnvConfigFiles::builder().with_file(EnvConfigFileKind::Credentials, file).build();
            SharedCredentialsProvider::new(credentials_files.profile_files(files).build())
        }
        None => SharedCredentialsProvider::new(
            CredentialsProviderChain::first_try("environment", EnvironmentVariableCredentialsProvider::new())
                .or_else("files", credentials_files.build()),
        ),
    };
    loader.region(region).credentials_provider(credentials).load().await
}

/// What credentials in files may ask: nobody.
#[derive(Debug)]
struct Offline;

impl HttpConnector for Offline {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::ready(Err(ConnectorError::user("credentials come from the environment and files".into())))
    }
}

/// Returns a setting as the environment has it for S3, for all services, or the profile.
fn look_up(shared: &SdkConfig, env: &str, profile: &str) -> Option<String> {
    let key = ServiceConfigKey::builder().service_id("S3").env(env).profile(profile).build().ok()?;
    shared.service_config()?.load_config(key)
}

async fn check_credentials(shared: &SdkConfig) -> Result<(), StoreError> {
    let found = match shared.credentials_provider() {
        Some(provider) => provider.provide_credentials().await.is_ok(),
        None => false,
    };
    if found { Ok(()) } else { Err(no_credentials()) }
}

/// The provider's own error may quote lines of the file.
fn no_credentials() -> StoreError {
    bad("credentials", "are neither in the environment nor readable in a file")
}

fn http_client(
    endpoint: &Endpoint,
    ca_file: Option<PathBuf>,
    patience: &Patience,
) -> Result<SharedHttpClient, StoreError> {
    let trust = match ca_file {
        Some(path) => TrustStore::empty().with_pem_certificate(read_authorities(path)?),
        None => TrustStore::empty().with_native_roots(endpoint.is_tls),
    };
    let context = TlsContext::builder().with_trust_store(trust).build();
    let context = context.map_err(|_| bad("TLS", "cannot be set up"))?;
    let settings = HttpConnectorSettings::builder().connect_timeout(Duration::from_millis(patience.connect_ms)).build();
    let connector = Connector::builder()
        .connector_settings(settings)
        .pool_max_idle_per_host(IDLE_COUNT_MAX)
        .pool_idle_timeout(Duration::from_millis(IDLE_MS_MAX))
        // The store is reached directly: a proxy from the environment would see what it should not.
        .proxy_config(ProxyConfig::disabled())
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(context)
        .build();
    let connector = SharedHttpConnector::new(connector);
    Ok(http_client_fn(move |_, _| connector.clone()))
}

/// Reads a PEM file of certificate authorities and makes sure that each is one, since the client
/// takes that for granted.
fn read_authorities(path: PathBuf) -> Result<Vec<u8>, StoreError> {
    let pem = std::fs::read(&path).map_err(|source| StoreError::Io { action: "read", path, source })?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| bad("CA file", "is not PEM"))?;
        roots.add(certificate).map_err(|_| bad("CA file", "holds a certificate that is not readable"))?;
    }
    if roots.is_empty() { Err(bad("CA file", "holds no certificate")) } else { Ok(pem) }
}

/// The server's URL.
#[derive(Debug, PartialEq, Eq)]
struct Endpoint {
    url: String,
    is_tls: bool,
    is_loopback: bool,
}

impl Endpoint {
    fn parse(text: &str) -> Result<Endpoint, StoreError> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("endpoint", "has no http:// or https://"))?;
        let is_tls = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(bad("endpoint", "is neither http nor https")),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains('@') {
            return Err(bad("endpoint", "holds a user name or password, which belong in a file"));
        }
        if authority.is_empty()
            || authority.contains(['/', '?', '#'])
            || !authority.bytes().all(|b| b.is_ascii_graphic())
        {
            return Err(bad("endpoint", "is not just scheme, host and port"));
        }
        let host = host_of(authority).ok_or_else(|| bad("endpoint", "has a port that is no number"))?;
        let is_loopback = host == "localhost"
            || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
            || host.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback());
        Ok(Endpoint { url: format!("{scheme}://{authority}"), is_tls, is_loopback })
    }
}

fn host_of(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, rest.strip_prefix(':').or(rest.is_empty().then_some("0"))?)
        }
        None => authority.split_once(':').unwrap_or((authority, "0")),
    };
    port.parse::<u16>().ok().map(|_| host)
}

fn check_bucket(bucket: &str) -> Result<(), StoreError> {
    let good = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    let edges_good = !bucket.starts_with(['-', '.']) && !bucket.ends_with(['-', '.']) && !bucket.contains("..");
    if (3..=63).contains(&bucket.len()) && bucket.bytes().all(good) && edges_good {
        return Ok(());
    }
    Err(bad("bucket", "is not 3 to 63 of a-z, 0-9, '-' and '.', with a letter or digit at both ends"))
}

fn bad(option: &'static str, problem: &'static str) -> StoreError {
    StoreError::BadOption { option, problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for (text, is_loopback) in [
            ("http://localhost:8333", true),
            ("http://127.0.0.1:8333/", true),
            ("http://127.1.2.3", true),
            ("http://[::1]:8333", true),
            ("http://127.0.0.1.example:8333", false),
            ("http://localhost.example", false),
            ("http://192.0.2.1", false),
            ("http://[2001:db8::1]:8333", false),
        ] {
            assert_eq!(Endpoint::parse(text).expect(text).is_loopback, is_loopback, "{text}");
        }
    }

    #[test]
    fn refuses_an_endpoint_that_is_more_than_scheme_host_and_port_and_never_repeats_it() {
        for text in [
            "store:8333",
            "ftp://store",
            "https://canary-user:canary-password@store",
            "https://store/canary?X-Amz-Signature=canary",
            "https://store:port",
            "https://",
        ] {
            let error = Endpoint::parse(text).expect_err(text);
            assert!(matches!(error, StoreError::BadOption { option: "endpoint", .. }));
            assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
        }
    }

    #[test]
    fn refuses_a_bucket_that_would_be_a_path() {
        for text in ["ab", "a/b", "../b", "UPPER", "a..b", "-ab"] {
            assert!(check_bucket(text).is_err(), "{text}");
        }
        assert!(check_bucket("models.v1-a").is_ok());
    }
}
