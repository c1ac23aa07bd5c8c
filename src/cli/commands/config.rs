//! `airlift config`.

use crate::cli::args::{Args, ConfigArgs, ConfigCommand, ShowArgs};
use crate::cli::config::{Config, Kind, Origin, SETTINGS, Setting};
use crate::cli::failure::Failure;
use crate::cli::report::Report;
use crate::cli::stores::state_directory;
use airlift::format::OneLine;
use clap::{Arg, Command, CommandFactory as _};
use serde_json::{Value, json};
use std::fmt::Write as _;

pub(crate) fn run(args: &ConfigArgs, config: &Config, report: &Report) -> Result<(), Failure> {
    match &args.command {
        ConfigCommand::Show(args) => show(args, config, report),
    }
}

fn show(args: &ShowArgs, config: &Config, report: &Report) -> Result<(), Failure> {
    let program = Args::command();
    let lines: Vec<Line<'_>> = SETTINGS.iter().map(|setting| Line::of(setting, config, &program)).collect();
    let mut text = String::new();
    for line in &lines {
        let value = OneLine(line.value.as_deref().unwrap_or("-")).to_string();
        let _ = match args.origin {
            true => writeln!(text, "{:<17} {value:<32} {}", line.key, OneLine(line.origin_text())),
            false => writeln!(text, "{:<17} {value}", line.key),
        };
    }
    let options: Vec<Value> = lines.iter().map(Line::document).collect();
    report.result(&json!({ "file": config.path, "options": options }), &text)
}

/// An option and its value.
struct Line<'a> {
    key: &'static str,
    /// Nothing where the option is not given and has no default.
    value: Option<String>,
    origin: Origin<'a>,
}

impl<'a> Line<'a> {
    fn of(setting: &'static Setting, config: &'a Config, program: &Command) -> Line<'a> {
        let argument = argument_of(setting, program);
        let variable = argument.and_then(Arg::get_env).map(|name| name.to_string_lossy().into_owned());
        let (origin, value) = config.origin(setting, variable.as_deref());
        let value = match origin {
            // The variables of credentials say that there are some, and hold them.
            Origin::Environment(_) if setting.key == "credentials_file" => None,
            Origin::BuiltIn => argument.and_then(|argument| built_in(setting, argument)),
            _ => value,
        };
        Line { key: setting.key, value, origin }
    }

    fn origin_text(&self) -> String {
        match &self.origin {
            Origin::Environment(name) => format!("environment variable {name}"),
            Origin::File { path, line } => format!("{}, line {line}", path.display()),
            Origin::BuiltIn => "built-in".to_owned(),
        }
    }

    fn document(&self) -> Value {
        let origin = match &self.origin {
            Origin::Environment(name) => json!({ "kind": "environment", "variable": name }),
            Origin::File { path, line } => json!({ "kind": "file", "path": path, "line": line }),
            Origin::BuiltIn => json!({ "kind": "built-in" }),
        };
        json!({ "key": self.key, "value": self.value, "origin": origin })
    }
}

/// Returns the value of an option that nobody gives.
fn built_in(setting: &Setting, argument: &Arg) -> Option<String> {
    match setting.kind {
        Kind::Switch => Some("false".to_owned()),
        // Where local state lies follows from variables that are not this option's.
        Kind::Path if setting.key == "state" => {
            state_directory(None).ok().map(|path| path.to_string_lossy().into_owned())
        }
        _ => argument.get_default_values().first().map(|value| value.to_string_lossy().into_owned()),
    }
}

/// Returns the first option of this name that means what the config file means.
fn argument_of<'a>(setting: &Setting, program: &'a Command) -> Option<&'a Arg> {
    let long = setting.long();
    let commands = program.get_subcommands().filter(|command| !setting.not_of.contains(&command.get_name()));
    [program].into_iter().chain(commands).flat_map(Command::get_arguments).find(|arg| arg.get_long() == Some(&long))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_an_option_of_some_command() {
        let program = Args::command();
        for setting in SETTINGS {
            let argument = argument_of(setting, &program);
            let argument = argument.unwrap_or_else(|| panic!("{} is no option", setting.key));
            // Defaults are given to the argument by its id.
            assert_eq!(argument.get_id().as_str(), setting.key);
        }
    }
}
