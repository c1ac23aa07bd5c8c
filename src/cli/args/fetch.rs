//! Arguments of `fetch`.

use clap::ArgGroup;
use std::num::NonZeroUsize;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  airlift fetch --csv models.csv --out ./airgapped-models --ngc-key-file ~/.ngc-key
  airlift fetch --org-teams nvidia/tao --model-names dino,segformer --out ./airgapped-models
  airlift fetch --csv models.csv --org-teams nvidia/tao --out ./airgapped-models
  airlift fetch --csv models.csv --out ./airgapped-models --dry-run

Keys: PTM_API_KEY or NGC_API_KEY, or --ngc-key-file; HF_TOKEN, or --hf-token-file. HF_ENDPOINT names \
another hub. Proxies come from HTTPS_PROXY, HTTP_PROXY and NO_PROXY. Repeating the command goes on \
where it was stopped.";

/// Arguments of `fetch`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group = ArgGroup::new("models").required(true).multiple(true).args(["csv", "org_teams", "every_org"]))]
pub(crate) struct FetchArgs {
    /// CSV file of models: display name, path, architecture and whether it is a backbone
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,
    /// What these organisations and teams have: ORG or ORG/TEAM, with commas
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) org_teams: Vec<String>,
    /// What every organisation of the key has
    #[arg(long, conflicts_with = "org_teams")]
    pub(crate) every_org: bool,
    /// Only models for these architectures, with commas
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) model_names: Vec<String>,
    /// Directory of the models: new, empty, or of an earlier fetch
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Files at a time
    #[arg(long, value_name = "N", default_value = "16")]
    pub(crate) parallel: NonZeroUsize,
    /// Only list what would be fetched
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// File with the key of NGC
    #[arg(long, value_name = "FILE", help_heading = "Sources")]
    pub(crate) ngc_key_file: Option<PathBuf>,
    /// Where NGC is
    #[arg(long, value_name = "URL", env = "AIRLIFT_NGC_ENDPOINT", hide_env_values = true, help_heading = "Sources")]
    #[arg(default_value = "https://api.ngc.nvidia.com")]
    pub(crate) ngc_endpoint: String,
    /// Where NGC gives tokens for keys
    #[arg(
        long,
        value_name = "URL",
        env = "AIRLIFT_NGC_AUTH_ENDPOINT",
        hide_env_values = true,
        help_heading = "Sources"
    )]
    #[arg(default_value = "https://authn.nvidia.com")]
    pub(crate) ngc_auth_endpoint: String,
    /// File with the token of the hub
    #[arg(long, value_name = "FILE", help_heading = "Sources")]
    pub(crate) hf_token_file: Option<PathBuf>,
    /// Where the hub is
    #[arg(long, value_name = "URL", env = "HF_ENDPOINT", hide_env_values = true, help_heading = "Sources")]
    #[arg(default_value = "https://huggingface.co")]
    pub(crate) hf_endpoint: String,
    /// File with certificate authorities to trust beside those of the machine
    #[arg(long, value_name = "FILE", help_heading = "Sources")]
    pub(crate) ca_file: Option<PathBuf>,
}
