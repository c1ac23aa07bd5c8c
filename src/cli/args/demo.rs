//! Arguments of `demo`.

use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  airlift demo
  airlift demo --weed /usr/local/bin/weed        # starts SeaweedFS on this machine for it
  airlift demo --endpoint https://seaweed:8333   # credentials from the AWS environment or files";

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DemoArgs {
    /// The SeaweedFS program; it is started for the time of the demo
    #[arg(long, value_name = "PATH", conflicts_with = "endpoint")]
    pub(crate) weed: Option<PathBuf>,
    /// URL of an S3 server to import into; a bucket of its own is made there and left
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// Work in this new directory and keep it
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
}
