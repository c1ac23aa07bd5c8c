//! The files of a bundle beside its volumes: what is repeated on every medium.

use super::WriteError;
use super::target::NewFile;
use crate::format::limits::{ATTACHMENT_LEN_MAX, README_LEN_MAX};
use crate::format::{Digest, Head, Sha256};
use crate::media::{Medium, MediumFile, MetaFile};
use crate::pipeline::inspect::Opened;
use sha2::Digest as _;
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes that are read at once.
const PIECE_LEN: usize = 1 << 20;

/// A small file of the bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Small {
    /// `head.json`.
    Head,
    /// A signature, by its index among those of the bundle, and its name on a medium.
    Signature {
        /// Which one, from 0.
        index: usize,
        /// N of `N.sig`.
        number: u32,
    },
    /// `manifest`, `packs` or `README.txt`.
    Meta(MetaFile),
    /// An attachment, from 1.
    Attachment(usize),
}

impl Small {
    /// Returns its path below the bundle directory.
    pub(super) fn below(&self) -> String {
        match self {
            Small::Head => "head.json".to_owned(),
            Small::Signature { number, .. } => format!("signatures/{number}.sig"),
            Small::Meta(file) => file.name().to_owned(),
            Small::Attachment(number) => format!("attachments/{number:02}"),
        }
    }
}

/// The small files of the bundle that is written.
pub(super) struct SmallFiles<'a> {
    bundle: &'a Opened,
    head: Vec<u8>,
    /// README and attachments that the bundle has, beside manifest and pack table.
    all: Vec<Small>,
    /// README and attachments that the head lists and the bundle lacks.
    absent: Vec<String>,
}

impl SmallFiles<'_> {
    /// Looks which of them the bundle has: it may lack README and attachments (F-05).
    pub(super) fn new(bundle: &Opened) -> Result<SmallFiles<'_>, WriteError> {
        let (mut all, mut absent) = (vec![Small::Meta(MetaFile::Manifest), Small::Meta(MetaFile::Packs)], Vec::new());
        let readme = std::iter::once(Small::Meta(MetaFile::Readme));
        let attachments = (1..=bundle.head().attachments.len()).map(Small::Attachment);
        for small in readme.chain(attachments) {
            match open_in(bundle.media(), &small)? {
                Some(_) => all.push(small),
                None => absent.push(small.below()),
            }
        }
        Ok(SmallFiles { bundle, head: bundle.head().encode(), all, absent })
    }

    /// Returns the paths of those that the head lists and the bundle lacks.
    pub(super) fn absent(&self) -> &[String] {
        &self.absent
    }

    /// Returns the length of one of them in bytes.
    pub(super) fn len_of(&self, small: &Small) -> u64 {
        let head = self.bundle.head();
        match small {
            Small::Head => self.head.len() as u64,
            Small::Signature { index, .. } => self.bundle.signatures()[*index].bytes.len() as u64,
            Small::Meta(file) => meta_facts(head, *file).0,
            Small::Attachment(number) => head.attachments[*number - 1].length,
        }
    }

    /// Returns those that a medium lacks, in the order in which they are written. The head comes first: from
    /// then on the directory belongs to this bundle.
    ///
    /// # Errors
    /// The medium has another head, or another file with 16 signatures, or can't be read.
    pub(super) fn lacking(&self, medium: Option<&Medium>) -> Result<Vec<Small>, WriteError> {
        let mut lacking = Vec::new();
        let mut taken = Vec::new();
        match medium {
            Some(medium) => taken = medium.signatures()?,
            None => lacking.push(Small::Head),
        }
        let mut numbers: Vec<u32> = taken.iter().map(|file| file.number).collect();
        for (index, signature) in self.bundle.signatures().iter().enumerate() {
            if taken.iter().any(|there| there.bytes == signature.bytes) {
                continue;
            }
            let Some(number) = (1..=16).find(|number| !numbers.contains(number)) else {
                let top = medium.map(|medium| medium.path().join("signatures"));
                return Err(WriteError::NoNumberLeft { path: top.unwrap_or_default() });
            };
            numbers.push(number);
            lacking.push(Small::Signature { index, number });
        }
        for small in &self.all {
            let is_there = match medium {
                Some(medium) => self.is_there(medium, small)?,
                None => false,
            };
            if !is_there {
                lacking.push(small.clone());
            }
        }
        Ok(lacking)
    }

    /// Tells whether a medium has a file with the bytes that the head states.
    fn is_there(&self, medium: &Medium, small: &Small) -> Result<bool, WriteError> {
        let Some(file) = open_on(medium, small)? else { return Ok(false) };
        Ok(file.len() == self.len_of(small) && self.is_due(small, &file)?)
    }

    fn is_due(&self, small: &Small, file: &MediumFile) -> Result<bool, WriteError> {
        let (mut proof, mut piece) = (Proof::default(), vec![0; PIECE_LEN]);
        let mut offset = 0;
        while offset < file.len() {
            let len = piece.len().min((file.len() - offset) as usize);
            file.read_at(&mut piece[..len], offset)?;
            proof.add(&piece[..len]);
            offset += len as u64;
        }
        Ok(proof.holds(self.bundle.head(), small))
    }

    /// Writes one of them, proven by the head before it gets its name.
    pub(super) fn write(&self, small: &Small, out: &mut NewFile<'_, '_>) -> Result<(), WriteError> {
        let mut proof = Proof::default();
        match small {
            Small::Head => return out.add(&self.head),
            Small::Signature { index, .. } => return out.add(&self.bundle.signatures()[*index].bytes),
            Small::Meta(file @ (MetaFile::Manifest | MetaFile::Packs)) => {
                for piece in self.bundle.meta_pieces(*file) {
                    let piece = piece?;
                    proof.add(&piece);
                    out.add(&piece)?;
                }
            }
            Small::Meta(MetaFile::Readme) | Small::Attachment(_) => {
                let Some(file) = open_in(self.bundle.media(), small)? else {
                    return Err(self.not_due(small));
                };
                let len_max = if *small == Small::Meta(MetaFile::Readme) { README_LEN_MAX } else { ATTACHMENT_LEN_MAX };
                let bytes = file.read_whole(len_max)?;
                proof.add(&bytes);
                out.add(&bytes)?;
            }
        }
        if proof.holds(self.bundle.head(), small) { Ok(()) } else { Err(self.not_due(small)) }
    }

    fn not_due(&self, small: &Small) -> WriteError {
        let place = self.bundle.media().first().map(|medium| medium.path().join(small.below()));
        WriteError::NotDue { path: place.unwrap_or_else(|| PathBuf::from(small.below())) }
    }
}

/// The digests of a file while it passes.
#[derive(Default)]
struct Proof {
    blake3: blake3::Hasher,
    sha256: sha2::Sha256,
}

impl Proof {
    fn add(&mut self, bytes: &[u8]) {
        self.blake3.update(bytes);
        self.sha256.update(bytes);
    }

    /// Tells whether the head states these bytes (F-06).
    fn holds(self, head: &Head, small: &Small) -> bool {
        let blake3 = Digest::from_bytes(*self.blake3.finalize().as_bytes());
        let sha256 = Sha256::from_bytes(self.sha256.finalize().into());
        match small {
            Small::Meta(file) => (blake3, sha256) == meta_facts(head, *file).1,
            Small::Attachment(number) => sha256 == head.attachments[*number - 1].sha256,
            Small::Head | Small::Signature { .. } => true,
        }
    }
}

fn meta_facts(head: &Head, file: MetaFile) -> (u64, (Digest, Sha256)) {
    match file {
        MetaFile::Manifest => (head.manifest.length, (head.manifest.blake3, head.manifest.sha256)),
        MetaFile::Packs => (head.packs.length, (head.packs.blake3, head.packs.sha256)),
        MetaFile::Readme => (head.readme.length, (head.readme.blake3, head.readme.sha256)),
    }
}

fn open_in(media: &[Arc<Medium>], small: &Small) -> Result<Option<MediumFile>, WriteError> {
    for medium in media {
        if let Some(file) = open_on(medium, small)? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

fn open_on(medium: &Medium, small: &Small) -> Result<Option<MediumFile>, WriteError> {
    Ok(match small {
        Small::Meta(file) => medium.meta_file(*file)?,
        Small::Attachment(number) => medium.attachment(*number)?,
        Small::Head | Small::Signature { .. } => None,
    })
}
