//! Why a command ended without success: one line, and what to do about it.

use super::remedy;
use airlift::error::Class;
use airlift::format::head::HeadError;
use airlift::media::MediaError;
use airlift::pipeline::bundle::BundleError;
use airlift::pipeline::sign::SignError;
use airlift::pipeline::trust_files::TrustFileError;
use airlift::store::StoreError;
use airlift::trust::TrustError;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;

/// What ends a command: the class decides the exit code, the text is one line.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) class: Class,
    pub(crate) message: String,
    pub(crate) remedy: Cow<'static, str>,
    /// Set where nobody is there to read a message: the reader of our output has gone.
    pub(crate) is_silent: bool,
}

impl Failure {
    pub(crate) fn new(class: Class, message: impl Into<String>, remedy: impl Into<Cow<'static, str>>) -> Failure {
        Failure { class, message: message.into(), remedy: remedy.into(), is_silent: false }
    }

    /// Returns the failure that an error of the library is, with the remedy of its class.
    pub(crate) fn of(class: Class, error: &dyn Error) -> Failure {
        Failure::new(class, chain(error), remedy::of_class(class))
    }

    /// Puts what was being done before the message.
    #[must_use]
    pub(crate) fn while_doing(mut self, what: &str) -> Failure {
        self.message = format!("{what}: {}", self.message);
        self
    }

    pub(crate) fn interrupted() -> Failure {
        Failure::new(Class::Interrupted, "stopped by a signal", remedy::of_class(Class::Interrupted))
    }

    /// Returns the failure of a write to standard output (C-12).
    pub(crate) fn output(error: &io::Error) -> Failure {
        let is_silent = error.kind() == io::ErrorKind::BrokenPipe;
        let class = Class::of_io(error);
        let message = format!("cannot write standard output: {error}");
        Failure { is_silent, ..Failure::new(class, message, remedy::of_class(class)) }
    }

    /// Returns the failure of an operation on a file of this machine.
    pub(crate) fn io(what: &str, path: &std::path::Path, error: &io::Error) -> Failure {
        let class = Class::of_io(error);
        Failure::new(class, format!("cannot {what} {}: {error}", path.display()), remedy::of_class(class))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message, self.remedy)
    }
}

/// Returns an error and its causes as one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Transparent layers repeat what is said already.
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}

impl From<MediaError> for Failure {
    fn from(error: MediaError) -> Failure {
        Failure { remedy: remedy::of_media(&error).into(), ..Failure::of(error.class(), &error) }
    }
}

impl From<BundleError> for Failure {
    fn from(error: BundleError) -> Failure {
        match error {
            BundleError::Media(error) => error.into(),
            BundleError::Store(error) => error.into(),
            error => Failure { remedy: remedy::of_bundle(&error).into(), ..Failure::of(error.class(), &error) },
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        if let StoreError::Stopped { .. } = error {
            return Failure::interrupted();
        }
        Failure { remedy: remedy::of_store(&error).into(), ..Failure::of(error.class(), &error) }
    }
}

impl From<TrustError> for Failure {
    fn from(error: TrustError) -> Failure {
        Failure { remedy: remedy::of_trust(&error).into(), ..Failure::of(error.class(), &error) }
    }
}

impl From<TrustFileError> for Failure {
    fn from(error: TrustFileError) -> Failure {
        Failure { remedy: remedy::of_trust_file(&error).into(), ..Failure::of(error.class(), &error) }
    }
}

impl From<HeadError> for Failure {
    fn from(error: HeadError) -> Failure {
        // Signed bytes that break a rule are untrusted; unsigned ones are no better.
        Failure::of(Class::Untrusted, &error)
    }
}

impl From<SignError> for Failure {
    fn from(error: SignError) -> Failure {
        Failure { remedy: remedy::of_sign(&error).into(), ..Failure::of(error.class(), &error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_one_line_of_what_why_and_what_to_do() {
        let source = io::Error::from(io::ErrorKind::NotFound);
        let failure: Failure = MediaError::Open { path: "head.json".into(), source }.into();
        assert_eq!(failure.class, Class::Incomplete);
        let line = failure.to_string();
        assert!(line.starts_with("cannot open head.json: "), "{line}");
        assert!(line.contains("; "), "{line}");
    }
}
