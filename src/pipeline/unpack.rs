//! From the stored bytes of a pack to the bytes of its rows, proven at every step (F-100 to F-109).

use super::bundle::BundleError;
use super::volumes::PackSource;
use crate::codec::{Codec, CodecError, Decoder};
use crate::error::Class;
use crate::format::cover::{PackContent, Piece};
use crate::format::error::prove;
use crate::format::index::{Frame, Index, RowSource};
use crate::format::packs::{Place, VolumeNumber};
use crate::format::{Digest, FormatError, Structure};
use crate::media::MediaError;
use crate::store::StoreError;
use std::ops::Range;
use std::sync::Arc;

/// Why the bytes of a pack can't be had from where they are.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// A medium fails, or something else stands where the volume belongs.
    #[error(transparent)]
    Media(Arc<MediaError>),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SourceError {
    /// Returns whose problem this is.
    pub fn class(&self) -> Class {
        match self {
            SourceError::Media(error) => error.class(),
            SourceError::Store(error) => error.class(),
        }
    }
}

/// Bytes of a pack that are not what was signed, or an index that breaks a rule.
#[derive(Debug, thiserror::Error)]
#[error("volume {volume}, bytes {} to {}: {fact}", .range.start, .range.end)]
pub struct Damage {
    /// The volume.
    pub volume: VolumeNumber,
    /// Which bytes of the volume.
    pub range: Range<u64>,
    /// The rows of the pack that can't be had for it.
    pub rows: Vec<u32>,
    /// What is wrong.
    #[source]
    pub fact: DamageFact,
}

/// What is wrong with bytes of a pack.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DamageFact {
    /// Neither copy of the index is the one of the pack table.
    #[error("the index is damaged")]
    Index(#[source] FormatError),
    /// One copy of the index differs, and the other is good.
    #[error("one copy of the index is damaged; the other is good")]
    IndexCopy,
    /// A frame's stored bytes have another digest.
    #[error("a frame has digest {found}; {expected} is due")]
    FrameDigest {
        /// The digest of the index.
        expected: Digest,
        /// The digest of the bytes.
        found: Digest,
    },
    /// A frame with the right digest does not decode.
    #[error("a frame does not decode")]
    Codec(#[source] CodecError),
    /// A decoded chunk has another digest than its row.
    #[error("a chunk has digest {found}; {expected} is due")]
    ChunkDigest {
        /// The digest of the row.
        expected: Digest,
        /// The digest of the bytes.
        found: Digest,
    },
    /// The bytes can't be read.
    #[error("the bytes can't be read")]
    Unreadable(#[source] SourceError),
    /// A reference leads to where it may not lead, or to another chunk.
    #[error("a reference breaks {rule}: {why}")]
    Reference {
        /// The rule of `spec/format.md`.
        rule: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// Manifest or pack table can't be read to follow a reference.
    #[error("what a reference leads to can't be looked up")]
    Lookup(#[source] Box<BundleError>),
    /// The bytes are in a base, which is not at hand.
    #[error("a chunk is in base {base} of this bundle, which is not at hand")]
    BaseMissing {
        /// Which of the head's bases, from 0.
        base: u16,
    },
    /// The chunks are proven and yet the file has another SHA-256 than the manifest says.
    #[error("the bytes of {path} do not give the SHA-256 of the manifest")]
    FileSha256 {
        /// The file.
        path: crate::format::EntryPath,
    },
}

impl DamageFact {
    /// Returns the rule of `spec/format.md` that is broken, where one is.
    pub fn rule(&self) -> Option<&'static str> {
        match self {
            DamageFact::Index(FormatError::Breach { rule, .. } | FormatError::Pack { rule, .. }) => Some(rule),
            DamageFact::Codec(CodecError::Breach { rule, .. }) | DamageFact::Reference { rule, .. } => Some(rule),
            DamageFact::Index(FormatError::SectionDigest { .. }) => Some("F-58"),
            DamageFact::Index(_) | DamageFact::IndexCopy => Some("F-100"),
            DamageFact::BaseMissing { .. } => Some("F-102"),
            DamageFact::FrameDigest { .. } => Some("F-101"),
            DamageFact::ChunkDigest { .. } => Some("F-109"),
            DamageFact::FileSha256 { .. } => Some("F-23"),
            DamageFact::Codec(_) => Some("F-80"),
            DamageFact::Unreadable(_) | DamageFact::Lookup(_) => None,
        }
    }

    /// Returns whose problem this is.
    pub fn class(&self) -> Class {
        match self {
            DamageFact::Index(error) => error.class(),
            DamageFact::Unreadable(error) => error.class(),
            DamageFact::Codec(error) => error.class(),
            DamageFact::Lookup(error) => error.class(),
            // The index was signed, and so was the manifest (F-11).
            DamageFact::Reference { .. } => Class::Untrusted,
            DamageFact::BaseMissing { .. } => Class::BaseMissing,
            _ => Class::Damaged,
        }
    }
}

/// A pack that is carried: what it holds, where it lies, and where its rows belong.
pub struct Carried<'a> {
    /// What it holds.
    pub content: &'a PackContent,
    /// Where it lies.
    pub place: Place,
    /// Where each row begins in the raw bytes of the pack, and last where they end.
    starts: Vec<usize>,
}

impl<'a> Carried<'a> {
    /// Returns the pack; nothing for one that is not carried.
    pub fn new(content: &'a PackContent) -> Option<Carried<'a>> {
        let place = content.pack.place?;
        let mut starts = Vec::with_capacity(content.rows.len() + 1);
        starts.push(0);
        starts.extend(content.rows.iter().scan(0, |end, row| {
            *end += row.len as usize;
            Some(*end)
        }));
        Some(Carried { content, place, starts })
    }

    /// Returns where the bytes of these rows belong in the raw bytes of the pack.
    pub fn range(&self, rows: &Range<usize>) -> Range<usize> {
        self.starts[rows.start]..self.starts[rows.end]
    }

    /// Returns damage at the first copy of the index that costs these rows.
    pub fn index_damage(&self, fact: DamageFact, rows: Range<usize>) -> Damage {
        let range = self.place.offset..self.place.payload_offset();
        Damage { volume: self.place.volume, range, rows: rows.map(|row| row as u32).collect(), fact }
    }

    /// Returns the damage of a piece whose proven chunks do not give what the manifest says of the file.
    pub fn piece_damage(&self, piece: &Piece) -> Damage {
        let rows = piece.rows.clone().map(|row| row as u32).collect();
        let fact = DamageFact::FileSha256 { path: piece.path.clone() };
        Damage { volume: self.place.volume, range: self.place.offset..self.place.end(), rows, fact }
    }
}

/// The index of a pack, proven.
#[derive(Debug)]
pub struct ProvenIndex {
    /// The index.
    pub index: Index,
    /// The damage of the other copy, where that was read and is bad.
    pub bad_copy: Option<Damage>,
}

/// Which copies of an index are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copies {
    /// The first that is good: what an importer needs.
    FirstGood,
    /// Both: what a check needs.
    Both,
}

/// Reads and proves the index of a pack.
///
/// # Errors
/// Neither copy is good, or the index breaks a rule.
pub fn read_index(source: &dyn PackSource, pack: &Carried<'_>, copies: Copies) -> Result<ProvenIndex, Damage> {
    let place = &pack.place;
    let all_rows = 0..pack.content.rows.len();
    let at = |offset: u64, fact, rows| {
        let start = place.offset + offset;
        Damage { range: start..start + u64::from(place.index_len), ..pack.index_damage(fact, rows) }
    };
    let mut first_bad = None;
    let mut good: Option<Vec<u8>> = None;
    for offset in [0, place.copy_offset() - place.offset] {
        let mut bytes = vec![0; place.index_len as usize];
        let read = source.read_pack(offset, &mut bytes).map_err(DamageFact::Unreadable);
        let proven =
            read.and_then(|()| prove(Structure::PackIndex, &bytes, &place.index_digest).map_err(DamageFact::Index));
        match proven {
            Ok(()) => good = good.or(Some(bytes)),
            Err(fact) => first_bad = first_bad.or(Some((offset, fact))),
        }
        if copies == Copies::FirstGood && good.is_some() {
            break;
        }
    }
    match (good, first_bad) {
        (Some(bytes), bad) => {
            let index = Index::decode(&bytes, &pack.content.rows, place.payload_len);
            let index = index.map_err(|error| pack.index_damage(DamageFact::Index(error), all_rows))?;
            Ok(ProvenIndex { index, bad_copy: bad.map(|(offset, _)| at(offset, DamageFact::IndexCopy, 0..0)) })
        }
        (None, Some((offset, fact))) => Err(at(offset, fact, all_rows)),
        (None, None) => {
            let error = FormatError::Pack { pack: pack.content.number, rule: "F-100", why: "it has no index" };
            Err(pack.index_damage(DamageFact::Index(error), all_rows))
        }
    }
}

/// Rows whose bytes are elsewhere, in row order; neighbours are one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceRun {
    /// The rows of the pack.
    pub rows: Range<usize>,
    /// The ordinal of the first one's target; the others follow.
    pub ordinal: u64,
}

/// Hears which rows of a pack have their proven bytes in their place in the raw bytes of the pack.
pub type Arrived<'a> = dyn FnMut(&mut dyn Iterator<Item = usize>, &[u8]) + 'a;

/// Returns the first `len` bytes of a buffer that only grows: to shrink it would mean to zero it again.
pub(super) fn room(buffer: &mut Vec<u8>, len: usize) -> &mut [u8] {
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
    &mut buffer[..len]
}

/// Decodes packs, one after the other; a worker keeps one. It holds one frame at a time.
pub struct Unpacker {
    decoder: Decoder,
    stored: Vec<u8>,
    frame: Vec<u8>,
}

impl Default for Unpacker {
    fn default() -> Self {
        Unpacker::new()
    }
}

/// A frame of a pack and where its stored bytes lie in the pack.
struct StoredFrame<'a> {
    frame: &'a Frame,
    source: &'a dyn PackSource,
    offset: u64,
}

impl StoredFrame<'_> {
    /// Reads the stored bytes and compares their digest.
    fn read(&self, stored: &mut [u8]) -> Result<(), DamageFact> {
        self.source.read_pack(self.offset, stored).map_err(DamageFact::Unreadable)?;
        let (expected, found) = (self.frame.digest, Digest::of(stored));
        if found == expected { Ok(()) } else { Err(DamageFact::FrameDigest { expected, found }) }
    }
}

impl Unpacker {
    /// Returns an unpacker.
    pub fn new() -> Unpacker {
        Unpacker { decoder: Decoder::new(), stored: Vec::new(), frame: Vec::new() }
    }

    /// Reads the frames of a pack, proves and decodes them, and puts every new row at its place in
    /// `raw`, which has the pack's raw length. Returns what is damaged; the rows named there hold
    /// anything. `arrived` hears of all others, frame by frame.
    pub fn decode_new(
        &mut self,
        pack: &Carried<'_>,
        index: &Index,
        source: &dyn PackSource,
        raw: &mut [u8],
        arrived: &mut Arrived<'_>,
    ) -> Vec<Damage> {
        self.each_frame(&pack.place, index, source, |unpacker, frame, rows| {
            unpacker.decode_frame(frame, &FrameLay { pack, rows }, raw)?;
            arrived(&mut rows.iter().map(|&row| row as usize), raw);
            Ok(())
        })
    }

    /// Reads the frames of a pack and compares the digests of their stored bytes only.
    pub fn check_stored(&mut self, pack: &Carried<'_>, index: &Index, source: &dyn PackSource) -> Vec<Damage> {
        self.each_frame(&pack.place, index, source, |unpacker, frame, rows| {
            let stored = room(&mut unpacker.stored, frame.frame.stored_len as usize);
            frame.read(stored).map_err(|fact| (rows.to_vec(), fact))
        })
    }

    fn each_frame(
        &mut self,
        place: &Place,
        index: &Index,
        source: &dyn PackSource,
        mut check: impl FnMut(&mut Unpacker, &StoredFrame<'_>, &[u32]) -> Result<(), (Vec<u32>, DamageFact)>,
    ) -> Vec<Damage> {
        let rows = FrameRows::new(index);
        let mut damages = Vec::new();
        let mut offset = u64::from(place.index_len);
        for (number, frame) in index.frames.iter().enumerate() {
            let stored = StoredFrame { frame, source, offset };
            let start = place.offset + offset;
            let range = start..start + u64::from(frame.stored_len);
            offset += u64::from(frame.stored_len);
            if let Err((rows, fact)) = check(self, &stored, rows.of(number)) {
                damages.push(Damage { volume: place.volume, range, rows, fact });
            }
        }
        damages
    }

    fn decode_frame(
        &mut self,
        stored: &StoredFrame<'_>,
        lay: &FrameLay<'_>,
        raw: &mut [u8],
    ) -> Result<(), (Vec<u32>, DamageFact)> {
        let all = |fact| (lay.rows.to_vec(), fact);
        let frame = stored.frame;
        let codec = Codec::from_id(frame.codec).map_err(|error| all(DamageFact::Codec(error)))?;
        let contiguous = lay.contiguous();
        if let (Codec::Stored, Some(range)) = (codec, &contiguous)
            && frame.stored_len == frame.raw_len
        {
            // Stored chunks go straight to where they belong.
            stored.read(&mut raw[range.clone()]).map_err(all)?;
        } else {
            stored.read(room(&mut self.stored, frame.stored_len as usize)).map_err(all)?;
            self.decode_to(codec, frame, contiguous, lay, raw).map_err(|error| all(DamageFact::Codec(error)))?;
        }
        // The digest of a single stored chunk is the frame's, which has just been compared (F-108).
        if codec == Codec::Stored && lay.rows.len() == 1 { Ok(()) } else { lay.prove(raw) }
    }

    fn decode_to(
        &mut self,
        codec: Codec,
        frame: &Frame,
        contiguous: Option<Range<usize>>,
        lay: &FrameLay<'_>,
        raw: &mut [u8],
    ) -> Result<(), CodecError> {
        let stored = &self.stored[..frame.stored_len as usize];
        if let Some(range) = contiguous {
            return self.decoder.decode(codec, stored, &mut raw[range]);
        }
        let decoded = room(&mut self.frame, frame.raw_len as usize);
        self.decoder.decode(codec, stored, decoded)?;
        let mut from = 0;
        for range in lay.ranges() {
            let len = range.len();
            raw[range].copy_from_slice(&decoded[from..from + len]);
            from += len;
        }
        Ok(())
    }
}

/// Which rows of a pack lie in a frame, and where they go.
struct FrameLay<'a> {
    pack: &'a Carried<'a>,
    rows: &'a [u32],
}

impl FrameLay<'_> {
    fn ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.rows.iter().map(|&row| self.pack.range(&(row as usize..row as usize + 1)))
    }

    /// Returns the place of all rows together where they follow each other.
    fn contiguous(&self) -> Option<Range<usize>> {
        let (&first, &last) = (self.rows.first()?, self.rows.last()?);
        let follows = (last - first) as usize + 1 == self.rows.len();
        follows.then(|| self.pack.range(&(first as usize..last as usize + 1)))
    }

    /// Compares every chunk with its row (F-109).
    fn prove(&self, raw: &[u8]) -> Result<(), (Vec<u32>, DamageFact)> {
        for (&row, range) in self.rows.iter().zip(self.ranges()) {
            let expected = self.pack.content.rows[row as usize].digest;
            let found = Digest::of(&raw[range]);
            if found != expected {
                return Err((self.rows.to_vec(), DamageFact::ChunkDigest { expected, found }));
            }
        }
        Ok(())
    }
}

/// The rows of each frame, in row order.
struct FrameRows {
    starts: Vec<usize>,
    rows: Vec<u32>,
}

impl FrameRows {
    fn new(index: &Index) -> FrameRows {
        let mut starts = vec![0; index.frames.len() + 1];
        for source in &index.sources {
            if let RowSource::New { frame } = source {
                starts[*frame as usize + 1] += 1;
            }
        }
        for frame in 1..starts.len() {
            starts[frame] += starts[frame - 1];
        }
        let mut next = starts.clone();
        let mut rows = vec![0; starts.last().copied().unwrap_or(0)];
        for (row, source) in index.sources.iter().enumerate() {
            if let RowSource::New { frame } = source {
                rows[next[*frame as usize]] = row as u32;
                next[*frame as usize] += 1;
            }
        }
        FrameRows { starts, rows }
    }

    fn of(&self, frame: usize) -> &[u32] {
        &self.rows[self.starts[frame]..self.starts[frame + 1]]
    }
}

/// Copies every repeat from the row it repeats; call it when new rows and references are in place.
pub fn copy_repeats(pack: &Carried<'_>, index: &Index, raw: &mut [u8]) {
    for (row, source) in index.sources.iter().enumerate() {
        if let RowSource::Repeat { row: target } = source {
            let target = *target as usize;
            raw.copy_within(pack.range(&(target..target + 1)), pack.starts[row]);
        }
    }
}

/// Returns the runs of references to earlier files.
pub fn reference_runs(index: &Index) -> Vec<ReferenceRun> {
    let mut runs: Vec<ReferenceRun> = Vec::new();
    for (row, source) in index.sources.iter().enumerate() {
        let RowSource::Reference { ordinal } = *source else { continue };
        match runs.last_mut() {
            Some(run) if run.rows.end == row && run.ordinal + run.rows.len() as u64 == ordinal => run.rows.end += 1,
            _ => runs.push(ReferenceRun { rows: row..row + 1, ordinal }),
        }
    }
    runs
}

/// Returns why a pack with base references can't be read: this version reads no bases.
pub fn base_fact(index: &Index, base_count: usize) -> Option<DamageFact> {
    let bases = index.sources.iter().filter_map(|source| match source {
        RowSource::Base { base, .. } => Some(*base),
        _ => None,
    });
    bases.max().map(|base| match usize::from(base) < base_count {
        true => DamageFact::BaseMissing { base },
        false => DamageFact::Reference { rule: "F-102", why: "it refers to a base that the head does not list" },
    })
}

/// Returns which rows of the pack can't be had, where those of `damages` and the `absent` ones can't:
/// these themselves and every repeat of one.
pub fn spread(index: &Index, damages: &[Damage], absent: Vec<Range<usize>>) -> Vec<bool> {
    let mut bad = vec![false; index.sources.len()];
    let damaged = damages.iter().flat_map(|damage| &damage.rows).map(|&row| row as usize);
    damaged.chain(absent.into_iter().flatten()).for_each(|row| bad[row] = true);
    for (row, source) in index.sources.iter().enumerate() {
        if let RowSource::Repeat { row: target } = source {
            bad[row] |= bad[*target as usize];
        }
    }
    bad
}
