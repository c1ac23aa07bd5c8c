//! `airlift tao values`.

use super::{registry, workspace};
use crate::cli::args::ValuesArgs;
use crate::cli::failure::Failure;
use crate::cli::report::Report;
use airlift::store::Keys;
use airlift::tao::values::{config_env, values_yaml};
use serde_json::json;

/// What stands where a person puts the credentials of the store.
const NO_KEYS: [&str; 2] = ["ACCESS_KEY_OF_THE_STORE", "SECRET_KEY_OF_THE_STORE"];

pub(crate) fn run(args: &ValuesArgs, report: &Report) -> Result<(), Failure> {
    let registry = registry(&args.registry)?.registry;
    let [access, secret] = NO_KEYS.map(str::to_owned);
    let workspace = workspace(&args.place, None, Keys { access, secret }).body();
    let (yaml, env) = (values_yaml(&registry), config_env(&registry));
    let text = format!(
        "# values.yaml\n{yaml}\n# config.env\n{env}\n# workspace, as airlift tao register makes it: \
         POST /api/v1/orgs/ORG/workspaces\n{workspace:#}\n"
    );
    let document = json!({
        "registry": format!("/{}", registry.as_str()),
        "values_yaml": yaml,
        "config_env": env,
        "workspace": workspace,
    });
    report.result(&document, &text)
}
