//! What a deployment has to be told so that it finds the models of a bucket (A-70).

use super::model_registry::ModelRegistry;

/// Returns the part of a chart's `values.yaml` that is about models.
pub fn values_yaml(registry: &ModelRegistry) -> String {
    // A text of JSON is one of YAML.
    let registry = serde_json::Value::from(format!("/{}", registry.as_str()));
    format!(
        "airgapped:\n  enabled: true\n  environment:\n    AIRGAPPED_MODE: \"true\"\n    LOCAL_MODEL_REGISTRY: {registry}\n"
    )
}

/// Returns the lines of `config.env` that are about models. A shell reads it.
pub fn config_env(registry: &ModelRegistry) -> String {
    let registry = quoted(&format!("/{}", registry.as_str()));
    format!("AIRGAPPED_MODE=true\nPTM_PULL=false\nSEAWEEDFS_ENABLED=true\nLOCAL_MODEL_REGISTRY={registry}\n")
}

/// Returns a text as one word of a shell.
fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    if text.bytes().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_the_folder_gives_the_same_lines() {
        for text in ["models", "/models/", " //models"] {
            let registry = ModelRegistry::parse(text).expect(text);
            assert!(config_env(&registry).ends_with("\nLOCAL_MODEL_REGISTRY=/models\n"));
            assert!(values_yaml(&registry).ends_with("\n    LOCAL_MODEL_REGISTRY: \"/models\"\n"));
        }
    }

    #[test]
    fn a_folder_with_blanks_and_quotes_stays_one_word() {
        let registry = ModelRegistry::parse("it's a \"folder\"").expect("a folder");
        assert!(config_env(&registry).ends_with("=\'/it\'\\\'\'s a \"folder\"\'\n"), "{}", config_env(&registry));
        assert!(values_yaml(&registry).ends_with(": \"/it's a \\\"folder\\\"\"\n"), "{}", values_yaml(&registry));
    }
}
