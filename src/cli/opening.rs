//! From places and trust options to an open bundle (C-03, C-08).

use super::args::{MediaArgs, TrustArgs, VouchArgs};
use super::failure::Failure;
use super::report::Report;
use super::size::Count;
use airlift::error::Class;
use airlift::format::Time;
use airlift::media::{Found, MediaError, find};
use airlift::pipeline::inspect::{Demand, OpenError, Opened};
use airlift::pipeline::trust_files::{read_allowed_signers, read_revoked};
use airlift::trust::{AllowedSigners, Authority, Revoked, Terms};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// The trust files, read.
pub(crate) struct TrustFiles {
    signers: AllowedSigners,
    revoked: Revoked,
}

impl TrustFiles {
    /// Reads the files that the options name.
    ///
    /// # Errors
    /// No allowed signers are named, or a file is not accepted. No default takes their place.
    pub(crate) fn read(trust: &TrustArgs) -> Result<TrustFiles, Failure> {
        let Some(path) = &trust.allowed_signers else {
            let message = "it is not said whose signatures count";
            let remedy = "name the file with --allowed-signers FILE or in AIRLIFT_ALLOWED_SIGNERS";
            return Err(Failure::new(Class::Usage, message, remedy));
        };
        let signers = read_allowed_signers(path)?;
        let revoked = trust.revoked.as_deref().map(read_revoked).transpose()?.unwrap_or_default();
        Ok(TrustFiles { signers, revoked })
    }

    pub(crate) const fn authority(&self) -> Authority<'_> {
        Authority { signers: &self.signers, revoked: &self.revoked }
    }
}

/// Finds the one release in these places.
///
/// # Errors
/// There is none, or more than one.
pub(crate) fn find_one(places: &[PathBuf]) -> Result<Found, Failure> {
    let mut found = find(places).map_err(|error| not_there(error, places))?;
    match (found.pop(), found.len()) {
        (Some(one), 0) => Ok(one),
        (last, _) => {
            let all = found.iter().chain(&last);
            let names: Vec<_> = all.flat_map(|one| one.media.first()).map(|one| one.path().display()).collect();
            let names = names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let message = format!("these places hold more than one release: {names}");
            Err(Failure::new(Class::Usage, message, "name the one that is meant"))
        }
    }
}

/// Tells a place that a person has named wrongly from a medium that lacks something.
fn not_there(error: MediaError, places: &[PathBuf]) -> Failure {
    match &error {
        MediaError::Open { path, source } if is_no_place(source.kind()) && places.contains(path) => {
            let message = match source.kind() {
                ErrorKind::NotADirectory => format!("{} is not a directory", path.display()),
                _ => format!("there is no {}", path.display()),
            };
            Failure::new(Class::Usage, message, "name the directory where the medium is mounted")
        }
        _ => error.into(),
    }
}

const fn is_no_place(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Opens the release in these places by the trust options.
///
/// # Errors
/// It is not there, not trusted, or can't be read.
pub(crate) fn open_trusted(
    places: &[PathBuf],
    trust: &TrustArgs,
    files: &TrustFiles,
    report: &Report,
) -> Result<Opened, Failure> {
    let found = find_one(places)?;
    let terms = Terms { threshold: trust.threshold, audience: trust.audience.clone(), now: now(), installed_at: None };
    let place = found.media.first().map(|medium| medium.path().display().to_string()).unwrap_or_default();
    let demand = Demand { authority: files.authority(), stream: trust.stream.clone(), terms };
    let opened = Opened::trusted(found, demand).map_err(|error| match error {
        OpenError::Trust(error) => Failure::from(error).while_doing(&format!("{place} is not trusted")),
        error => error.into(),
    })?;
    if report.is_verbose() {
        opened.media().iter().for_each(|medium| report.note(&format!("medium: {}", medium.path().display())));
        if let Some(head) = opened.vouched().map(|bundle| bundle.trusted_head()) {
            head.principals().iter().for_each(|principal| report.note(&format!("signed by: {principal}")));
            head.uncounted().iter().for_each(|uncounted| report.note(&uncounted.to_string()));
        }
    }
    Ok(opened)
}

/// Opens the release in these places to be looked at, with a banner where nobody vouches for it.
///
/// # Errors
/// It is not there, not trusted unless that was asked for, or can't be read.
pub(crate) fn open_to_look(places: &[PathBuf], vouch: &VouchArgs, report: &Report) -> Result<Opened, Failure> {
    if !vouch.untrusted {
        if vouch.trust.allowed_signers.is_none() {
            let message = "it is not said whose signatures count";
            let remedy = "name the file with --allowed-signers FILE, or look without trust with --untrusted";
            return Err(Failure::new(Class::Usage, message, remedy));
        }
        return open_trusted(places, &vouch.trust, &TrustFiles::read(&vouch.trust)?, report);
    }
    report.warn("UNTRUSTED: no signature was checked. What follows may have been made by anybody.");
    Ok(Opened::untrusted(find_one(places)?)?)
}

/// Names what lies on the media beside the bundle, and returns how much that is (C-22).
///
/// # Errors
/// It is to be refused, or a medium can't be listed.
pub(crate) fn note_strays(opened: &Opened, asked: &MediaArgs, report: &Report) -> Result<u64, Failure> {
    let mut all = 0;
    for medium in opened.media() {
        let strays = medium.strays()?;
        if strays.count == 0 {
            continue;
        }
        let (number, place) = (Count(strays.count, "name"), medium.path().display());
        let found = format!("unexpected: {number} in {place} beside the bundle, such as {}", strays.names.join(", "));
        if asked.strict {
            return Err(Failure::new(Class::Refused, found, "remove what is there, or leave --strict away"));
        }
        report.note(&format!("{found}; never opened"));
        all += strays.count;
    }
    Ok(all)
}

/// Returns the clock of this machine.
pub(crate) fn now() -> Time {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Time::from_unix(seconds)
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Failure {
        match error {
            OpenError::Trust(error) => error.into(),
            OpenError::Head(error) => error.into(),
            OpenError::Bundle(error) => error.into(),
            error => Failure::of(error.class(), &error),
        }
    }
}
