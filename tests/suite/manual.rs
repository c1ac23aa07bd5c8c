//! What shells and `man` are told about the program.

use crate::cli::{COMMANDS, SUBCOMMANDS};
use crate::fixture::directory;
use crate::program::{Transcript, airlift, shown};
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Lets a real bash complete the last of these words, and returns what it offers.
fn completed_by_bash(words: &[&str]) -> Vec<String> {
    let script = Transcript::of(airlift(&["completions", "bash"]));
    assert_eq!((script.code, script.err.as_str()), (0, ""));
    // The function that the script registers is called as bash calls it.
    let ask = r#"
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); last=${COMP_WORDS[COMP_CWORD]}
        function=$(complete -p airlift | sed 's/.*-F \([^ ]*\).*/\1/')
        $function airlift "$last" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-s", "--"]).args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = bash.spawn().expect("bash");
    child.stdin.take().expect("piped").write_all((script.out + ask).as_bytes()).expect("written");
    let output = child.wait_with_output().expect("ended");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let offered = String::from_utf8(output.stdout).expect("UTF-8");
    offered.lines().map(str::to_owned).filter(|line| !line.is_empty()).collect()
}

#[test]
fn bash_completes_commands_options_and_their_values() {
    assert_eq!(completed_by_bash(&["airlift", "imp"]), ["import"]);
    assert_eq!(completed_by_bash(&["airlift", "import", "--on-exi"]), ["--on-existing"]);
    assert_eq!(completed_by_bash(&["airlift", "import", "--on-existing", ""]), ["error", "skip", "replace"]);
    let commands = completed_by_bash(&["airlift", ""]);
    for command in COMMANDS {
        assert!(commands.iter().any(|offered| offered == command), "{command} is not in {commands:?}");
    }
}

#[test]
fn completions_of_every_shell_name_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = Transcript::of(airlift(&["completions", shell]));
        assert_eq!(script.code, 0, "{}", script.err);
        for command in COMMANDS {
            assert!(script.out.contains(command), "{shell} is not told of {command}");
        }
    }
    assert_eq!(Transcript::of(airlift(&["completions", "tcsh"])).code, 2);
    assert_eq!(Transcript::of(airlift(&["completions", "bash", "--json"])).code, 2);
}

/// Returns the long options that the help of a command shows.
fn options_in_help(command: &[&str]) -> Vec<String> {
    let help = Transcript::of(airlift(&[command, &["--help"]].concat())).out;
    let help = help.split("Examples:").next().unwrap_or_default().to_owned();
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let words = lines.filter_map(|line| line.split_whitespace().find(|word| word.starts_with("--")));
    words.map(str::to_owned).collect()
}

#[test]
fn man_pages_name_every_option_and_render_without_a_warning() {
    let directory = directory();
    let out = directory.path().join("man1");
    for _ in 0..2 {
        let written = Transcript::of(airlift(&["man", "--out", shown(&out)]));
        assert_eq!(written.code, 0, "{}", written.err);
    }
    // Nothing unfinished stays, and a second run replaces the pages of the first: one for each command,
    // and for the program.
    assert_eq!(fs::read_dir(&out).expect("a directory").count(), 1 + COMMANDS.len() + SUBCOMMANDS.len());
    for command in COMMANDS {
        let path = out.join(format!("airlift-{command}.1"));
        let page = fs::read_to_string(&path).expect("a page");
        assert!(page.contains(&format!(".TH airlift-{command} 1")), "{command}");
        assert!(page.contains(".SH EXAMPLES"), "{command}");
        let options = options_in_help(&[command]);
        assert!(options.len() > 4, "{command}: {options:?}");
        for option in options {
            assert!(page.contains(&option.replace('-', "\\-")), "{command}: {option} is not in the page");
        }
        // Where there is no groff, what is above still holds.
        let Ok(output) = Command::new("groff").args(["-man", "-ww", "-z"]).arg(&path).output() else { continue };
        assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
