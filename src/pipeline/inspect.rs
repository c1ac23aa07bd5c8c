//! Looking at a bundle: opened with or without trust, and summed up.

use super::bundle::{Bundle, BundleError, TrustedBundle, sources_of};
use super::dedup::Dedup;
use super::progress::Progress;
use super::reader::ended_file_count;
use super::unpack::{Carried, Copies, read_index};
use super::volumes::{PackInVolume, Volumes};
use crate::codec::Codec;
use crate::error::Class;
use crate::format::cover::PackContent;
use crate::format::head::HeadError;
use crate::format::index::{Index, RowSource};
use crate::format::manifest::Profile;
use crate::format::packs::VolumeNumber;
use crate::format::{EntryPath, Name, SignatureFile};
use crate::media::{Found, Medium};
use crate::trust::{Authority, Expected, Purpose, Sshsig, Terms, TrustError, TrustedHead, UntrustedHead, authenticate};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;

/// Why a bundle can't be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Its signatures do not make it acceptable.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// Its head is no head.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// Its manifest or pack table can't be used.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

impl OpenError {
    /// Returns whose problem this is.
    pub fn class(&self) -> Class {
        match self {
            OpenError::Trust(error) => error.class(),
            OpenError::Head(_) => Class::Untrusted,
            OpenError::Bundle(error) => error.class(),
        }
    }
}

/// What a receiver demands of the signatures of a bundle.
#[derive(Clone, Debug)]
pub struct Demand<'a> {
    /// Who may sign.
    pub authority: Authority<'a>,
    /// The stream; without it the signatures say which.
    pub stream: Option<Name>,
    /// What else is demanded of the head.
    pub terms: Terms,
}

/// A bundle to look at: its release, its media, and whether anybody vouches for it.
pub struct Opened {
    kind: Kind,
    media: Vec<Arc<Medium>>,
    signatures: Vec<SignatureFile>,
}

enum Kind {
    Trusted(Box<TrustedBundle>),
    Untrusted(Box<Bundle>),
}

impl Opened {
    /// Checks the signatures of what was found, and its roots.
    ///
    /// # Errors
    /// The signatures do not meet the demand, or the roots can't be read.
    pub fn trusted(found: Found, demand: Demand<'_>) -> Result<Opened, OpenError> {
        let media: Vec<Arc<Medium>> = found.media.into_iter().map(Arc::new).collect();
        let expected = Expected { purpose: Purpose::Head, stream: demand.stream };
        let authentic = authenticate(found.head.into(), &found.signatures, &expected, demand.authority)?;
        let head = TrustedHead::accept(authentic, &demand.terms)?;
        let kind = Kind::Trusted(Box::new(TrustedBundle::open(head, sources_of(&media))?));
        Ok(Opened { kind, media, signatures: found.signatures })
    }

    /// Reads what was found without any check of signatures.
    ///
    /// # Errors
    /// It is no head, or it has a critical feature that is not known (F-123), or the roots can't be
    /// read.
    pub fn untrusted(found: Found) -> Result<Opened, OpenError> {
        let media: Vec<Arc<Medium>> = found.media.into_iter().map(Arc::new).collect();
        let head = UntrustedHead::decode(&found.head)?;
        if let Some(name) = head.head().unknown_critical() {
            return Err(TrustError::UnknownCritical { name: name.clone() }.into());
        }
        let kind = Kind::Untrusted(Box::new(Bundle::open_untrusted(&head, sources_of(&media))?));
        Ok(Opened { kind, media, signatures: found.signatures })
    }

    /// Returns the trusted bundle; nothing where nobody vouches for it.
    pub fn vouched(&self) -> Option<&TrustedBundle> {
        match &self.kind {
            Kind::Trusted(bundle) => Some(bundle.as_ref()),
            Kind::Untrusted(_) => None,
        }
    }

    /// Returns the media that carry it.
    pub fn media(&self) -> &[Arc<Medium>] {
        &self.media
    }

    /// Returns its signature files.
    pub fn signatures(&self) -> &[SignatureFile] {
        &self.signatures
    }

    /// Returns what each signature file says of itself, proven or not; nothing for one that is not
    /// understood.
    pub fn claims(&self) -> impl Iterator<Item = (u32, Option<Sshsig>)> + '_ {
        self.signatures.iter().map(|file| (file.number, Sshsig::decode(&file.bytes).ok()))
    }
}

impl Deref for Opened {
    type Target = Bundle;

    fn deref(&self) -> &Bundle {
        match &self.kind {
            Kind::Trusted(bundle) => bundle.as_ref(),
            Kind::Untrusted(bundle) => bundle.as_ref(),
        }
    }
}

/// Lengths before and after encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Bytes before encoding.
    pub raw_len: u64,
    /// Bytes as stored.
    pub stored_len: u64,
}

/// What the packs at hand add up to.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Volumes at hand.
    pub present_volumes: BTreeSet<VolumeNumber>,
    /// Bytes of files whose packs were read.
    pub seen_len: u64,
    /// Bytes of their rows that are the same as an earlier row of their pack.
    pub repeat_len: u64,
    /// Bytes of their rows that are the same as a row of an earlier file or of a base.
    pub reference_len: u64,
    /// Stored bytes of their packs, with the indexes.
    pub packs_len: u64,
    /// What was new, by how the file was cut and how the frame is encoded.
    pub kinds: BTreeMap<(&'static str, &'static str), Stored>,
    /// Where it was the same.
    pub dedup: Dedup,
    /// Packs at hand whose index can't be read.
    pub damaged_pack_count: u64,
    /// Whether the summing up was stopped before its end.
    pub is_cancelled: bool,
}

/// Reads the index of every pack at hand and sums up what it says.
///
/// # Errors
/// Manifest or pack table can't be read.
pub fn summarise(bundle: &Bundle, volumes: &Volumes, progress: &dyn Progress) -> Result<Summary, BundleError> {
    let mut summary = Summary::default();
    progress.begin("info", bundle.head().totals.bytes, bundle.head().totals.files);
    for content in bundle.contents() {
        if progress.is_cancelled() {
            summary.is_cancelled = true;
            break;
        }
        let content = content?;
        let Some(pack) = Carried::new(&content) else { continue };
        let place = pack.place;
        let copies = volumes.copies(place.volume);
        progress.advance(content.raw_len, ended_file_count(&content));
        if copies.is_empty() {
            continue;
        }
        summary.present_volumes.insert(place.volume);
        let sources = copies.into_iter().map(|copy| PackInVolume::new(copy, place));
        let index = sources.into_iter().find_map(|one| read_index(&one, &pack, Copies::FirstGood).ok());
        match index {
            Some(proven) => {
                summary.packs_len += place.stored_len();
                summary.add(&content, &proven.index);
            }
            None => summary.damaged_pack_count += 1,
        }
    }
    summary.dedup.finish();
    Ok(summary)
}

impl Summary {
    fn add(&mut self, content: &PackContent, index: &Index) {
        self.seen_len += content.raw_len;
        self.dedup.add(content, index);
        let mut frame_profiles: Vec<Option<Profile>> = vec![None; index.frames.len()];
        let profile_of_row = |row| {
            let after = content.pieces.partition_point(|piece| piece.rows.end <= row);
            content.pieces.get(after).and_then(|piece| piece.file).map(|file| file.profile)
        };
        for (number, (row, source)) in content.rows.iter().zip(&index.sources).enumerate() {
            match source {
                // A frame of several files counts for the first: only whole small files share one.
                RowSource::New { frame } => {
                    let profile = &mut frame_profiles[*frame as usize];
                    *profile = profile.or_else(|| profile_of_row(number));
                }
                RowSource::Repeat { .. } => self.repeat_len += u64::from(row.len),
                RowSource::Reference { .. } | RowSource::Base { .. } => self.reference_len += u64::from(row.len),
            }
        }
        for (frame, profile) in index.frames.iter().zip(frame_profiles) {
            let codec = match Codec::from_id(frame.codec) {
                Ok(Codec::Stored) => "stored",
                Ok(Codec::Zstd) => "zstd",
                Ok(Codec::Planes(_)) => "planes",
                Err(_) => "unknown",
            };
            let kind = self.kinds.entry((profile.map_or("unknown", Profile::name), codec)).or_default();
            kind.raw_len += u64::from(frame.raw_len);
            kind.stored_len += u64::from(frame.stored_len);
        }
    }
}

/// Tells whether an entry is what `wanted` names, or below it; everything is below nothing.
pub fn is_below(path: &EntryPath, wanted: Option<&EntryPath>) -> bool {
    wanted.is_none_or(|wanted| wanted == path || wanted.is_above(path))
}
