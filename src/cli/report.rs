//! Printing: results to standard output, everything else to standard error (C-02, C-11, C-12).

use super::args::OutputArgs;
use super::failure::Failure;
use airlift::error::Class;
use airlift::format::OneLine;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

/// Where and how a command reports.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    output: OutputArgs,
}

impl Report {
    pub(crate) const fn new(output: &OutputArgs) -> Report {
        Report { output: *output }
    }

    /// Returns how to report before the arguments are understood.
    pub(crate) fn before_arguments(words: &[OsString]) -> Report {
        let json = words.iter().skip(1).take_while(|word| *word != "--").any(|word| word == "--json");
        Report { output: OutputArgs { json, quiet: false, no_progress: true, verbose: false } }
    }

    pub(crate) const fn is_json(&self) -> bool {
        self.output.json
    }

    pub(crate) const fn is_verbose(&self) -> bool {
        self.output.verbose && !self.output.quiet
    }

    /// Returns the words that make another command report as this one does.
    pub(crate) fn words(&self) -> Vec<&'static str> {
        let OutputArgs { json, quiet, no_progress, verbose } = self.output;
        let words = [(json, "--json"), (quiet, "--quiet"), (no_progress, "--no-progress"), (verbose, "--verbose")];
        words.into_iter().filter_map(|(is_set, word)| is_set.then_some(word)).collect()
    }

    /// Tells whether progress is shown. With `--json`, standard error has JSON alone.
    pub(crate) const fn shows_progress(&self) -> bool {
        !(self.output.quiet || self.output.no_progress || self.output.json)
    }

    /// Prints the result of a command: as one JSON document, or as text.
    ///
    /// # Errors
    /// Standard output can't be written.
    pub(crate) fn result(&self, document: &Value, text: &str) -> Result<(), Failure> {
        self.stream(|out| {
            if self.output.json {
                serde_json::to_writer_pretty(&mut *out, document)?;
                out.write_all(b"\n")
            } else {
                out.write_all(text.as_bytes())
            }
        })
    }

    /// Lets `write` write a result that is too long to hold.
    ///
    /// # Errors
    /// Standard output can't be written.
    pub(crate) fn stream(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
        let mut out = io::BufWriter::with_capacity(64 << 10, io::stdout().lock());
        write(&mut out).and_then(|()| out.flush()).map_err(|error| Failure::output(&error))
    }

    /// Prints a line that a person should see, whatever was asked for but `--quiet`.
    pub(crate) fn note(&self, line: &str) {
        if !self.output.quiet {
            self.warn(line);
        }
    }

    /// Prints a line that nothing silences.
    pub(crate) fn warn(&self, line: &str) {
        let line = OneLine(line).to_string();
        if self.output.json {
            to_stderr(&json!({ "note": line }).to_string());
        } else {
            to_stderr(&line);
        }
    }

    /// Prints why a command failed and returns its exit code.
    pub(crate) fn fail(&self, failure: &Failure) -> ExitCode {
        let code = failure.class.exit_code();
        if !failure.is_silent {
            let line = OneLine(failure.to_string()).to_string();
            if self.output.json {
                let error = json!({
                    "class": failure.class.name(),
                    "exit_code": code,
                    "message": OneLine(&failure.message).to_string(),
                    "remedy": failure.remedy,
                });
                to_stderr(&json!({ "error": error }).to_string());
            } else {
                to_stderr(&format!("error: {line}"));
            }
        }
        ExitCode::from(code)
    }

    /// Prints help, the version, or what is wrong with the arguments.
    pub(crate) fn usage(&self, error: &clap::Error) -> ExitCode {
        if !error.use_stderr() {
            let printed = self.stream(|out| write!(out, "{error}"));
            return printed.map_or_else(|failure| self.fail(&failure), |()| ExitCode::SUCCESS);
        }
        let text = error.to_string();
        if self.output.json {
            let lines = text.lines().take_while(|line| !line.starts_with("Usage:")).map(str::trim);
            let line = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
            let message = line.trim_start_matches("error: ").to_owned();
            let remedy = super::remedy::of_class(Class::Usage);
            return self.fail(&Failure::new(Class::Usage, message, remedy));
        }
        to_stderr(text.trim_end());
        ExitCode::from(Class::Usage.exit_code())
    }
}

/// Writes a line. Where standard error is closed there is nobody to tell.
pub(crate) fn to_stderr(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
