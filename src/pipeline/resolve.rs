//! References to earlier files, read from the packs that are at hand (F-106, F-107).

use super::bundle::{Bundle, BundleError};
use super::lookup::Lookup;
use super::unpack::{Carried, Copies, Damage, DamageFact, ReferenceRun, read_index};
use super::volumes::{PackInVolume, PackSource, Volumes};
use crate::codec::{Codec, Decoder};
use crate::format::cover::PackContent;
use crate::format::index::{Index, RowSource};
use crate::format::packs::{Pack, Place, VolumeNumber};
use crate::format::{Digest, EntryPath};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Packs whose indexes are kept; each takes at most about 4 MiB.
const PACK_COUNT_KEPT: usize = 8;
/// Raw bytes of decoded frames that are kept.
const FRAME_LEN_KEPT: usize = 16 << 20;

/// Gives packs other than those on media: what an importer has put under its state prefix.
pub trait SparePacks: Send + Sync {
    /// Returns a source of the pack with this index in the pack table; nothing where there is none.
    fn spare(&self, number: u64) -> Option<Arc<dyn PackSource>>;
}

/// Has no packs beside those on media.
pub struct NoSpares;

impl SparePacks for NoSpares {
    fn spare(&self, _: u64) -> Option<Arc<dyn PackSource>> {
        None
    }
}

/// Why the bytes of a reference can't be had from a pack.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The pack that carries them is not at hand.
    #[error("volume {volume} is missing, which carries chunks of this pack")]
    Absent {
        /// The volume of that pack.
        volume: VolumeNumber,
    },
    /// This is a repair, and it does not carry the pack that has them.
    #[error("a chunk is in a pack that this repair does not carry")]
    NotCarried,
    /// The reference, or the pack it leads to, is damaged.
    #[error("a referenced chunk can't be had")]
    Damaged(#[source] Box<Damage>),
    /// The reference breaks a rule.
    #[error("a reference breaks {rule}: {why}")]
    Breach {
        /// The rule of `spec/format.md`.
        rule: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// Manifest or pack table can't be read.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

/// Follows references to the packs that carry their chunks, and proves what it reads.
pub struct Resolver<'a> {
    bundle: &'a Bundle,
    volumes: &'a Volumes,
    lookup: &'a Lookup,
    spares: &'a dyn SparePacks,
    packs: Mutex<VecDeque<Arc<TargetPack>>>,
    frames: Mutex<Frames>,
}

/// A pack that references lead to.
struct TargetPack {
    content: PackContent,
    place: Place,
    index: Index,
    /// Where each new row begins in its frame.
    in_frame: Vec<usize>,
    /// Every copy at hand, first one whose index is good.
    sources: Vec<Arc<dyn PackSource>>,
}

/// Number of a pack and of a frame in it.
type FrameName = (u64, u32);

#[derive(Default)]
struct Frames {
    kept: VecDeque<(FrameName, Arc<Vec<u8>>)>,
    kept_len: usize,
}

impl<'a> Resolver<'a> {
    /// Returns a resolver over the packs on media and the spare ones.
    pub fn new(
        bundle: &'a Bundle,
        volumes: &'a Volumes,
        lookup: &'a Lookup,
        spares: &'a dyn SparePacks,
    ) -> Resolver<'a> {
        Resolver { bundle, volumes, lookup, spares, packs: Mutex::default(), frames: Mutex::default() }
    }

    /// Returns how many bases the head lists.
    pub fn base_count(&self) -> usize {
        self.bundle.head().bases.len()
    }

    /// Returns every copy of a pack that is at hand: those on media, then the spare one; none for a pack
    /// that is not carried.
    pub fn sources(&self, number: u64, pack: &Pack) -> Vec<Arc<dyn PackSource>> {
        let Some(place) = pack.place else { return Vec::new() };
        let copies = self.volumes.copies(place.volume).into_iter();
        let on_media = copies.map(|copy| Arc::new(PackInVolume::new(copy, place)) as Arc<dyn PackSource>);
        on_media.chain(self.spares.spare(number)).collect()
    }

    /// Fills `raw`, the bytes of the run's rows, from the packs that carry them, proven, once the run has
    /// been checked.
    ///
    /// # Errors
    /// As [`Resolver::check_run`] and [`Resolver::fill_from_packs`].
    pub fn fill(&self, content: &PackContent, run: &ReferenceRun, raw: &mut [u8]) -> Result<(), ResolveError> {
        self.check_run(content, run)?;
        self.fill_from_packs(content, run, raw)
    }

    /// Checks the targets of a run against F-106 and F-107, as far as the manifest shows, and returns
    /// where each lies.
    ///
    /// # Errors
    /// The run breaks a rule, or the manifest can't be read.
    pub fn check_run(
        &self,
        content: &PackContent,
        run: &ReferenceRun,
    ) -> Result<Vec<super::lookup::Located>, ResolveError> {
        let mut located = Vec::with_capacity(run.rows.len());
        let breach = |rule, why| Err(ResolveError::Breach { rule, why });
        for (step, row) in run.rows.clone().enumerate() {
            let Some(ordinal) = run.ordinal.checked_add(step as u64).filter(|&one| one < content.pack.first_ordinal)
            else {
                return breach("F-106", "it does not lead to an earlier pack");
            };
            let Some(target) = self.lookup.row(self.bundle, ordinal)? else {
                return breach("F-106", "it leads to no row");
            };
            let own = piece_of(content, row);
            if own.is_none_or(|(entry, path)| target.entry >= entry || target.path.root() != path.root()) {
                return breach("F-106", "it does not lead to an earlier file below the same root");
            }
            if target.row != content.rows[row] {
                return breach("F-107", "both ends differ in digest or length");
            }
            located.push(target);
        }
        Ok(located)
    }

    /// Fills `raw`, the bytes of the run's rows, from the packs that carry them, proven.
    ///
    /// # Errors
    /// [`ResolveError::Absent`] or [`ResolveError::NotCarried`] where such a pack is not at hand; the
    /// run is then unfilled in part.
    pub fn fill_from_packs(
        &self,
        content: &PackContent,
        run: &ReferenceRun,
        raw: &mut [u8],
    ) -> Result<(), ResolveError> {
        let mut offset = 0;
        for (step, row) in run.rows.clone().enumerate() {
            let expected = content.rows[row];
            let target = &mut raw[offset..offset + expected.len as usize];
            offset += expected.len as usize;
            self.fill_row(run.ordinal + step as u64, expected.digest, target)?;
        }
        Ok(())
    }

    fn fill_row(&self, ordinal: u64, expected: Digest, raw: &mut [u8]) -> Result<(), ResolveError> {
        let target = self.target_of(ordinal)?;
        let mut row = (ordinal - target.content.pack.first_ordinal) as usize;
        if let RowSource::Repeat { row: first } = target.index.sources[row] {
            row = first as usize;
        }
        let RowSource::New { frame } = target.index.sources[row] else {
            return Err(ResolveError::Breach { rule: "F-106", why: "the bytes are not in the pack it leads to" });
        };
        let bytes = self.frame(&target, frame)?;
        let from = target.in_frame[row];
        let Some(chunk) = bytes.get(from..from + raw.len()) else {
            return Err(ResolveError::Breach { rule: "F-104", why: "a frame is shorter than its rows" });
        };
        let found = Digest::of(chunk);
        if found != expected {
            return Err(target.damaged(frame, DamageFact::ChunkDigest { expected, found }));
        }
        raw.copy_from_slice(chunk);
        Ok(())
    }

    fn target_of(&self, ordinal: u64) -> Result<Arc<TargetPack>, ResolveError> {
        let holds = |target: &Arc<TargetPack>| {
            (target.content.pack.first_ordinal..target.content.pack.end_ordinal()).contains(&ordinal)
        };
        let kept = self.packs.lock().unwrap_or_else(PoisonError::into_inner).iter().find(|one| holds(one)).cloned();
        if let Some(target) = kept {
            return Ok(target);
        }
        let Some((number, pack)) = self.bundle.pack_of(ordinal)? else {
            return Err(ResolveError::Breach { rule: "F-106", why: "it leads to no pack" });
        };
        let target = Arc::new(self.open_target(number, pack)?);
        let mut packs = self.packs.lock().unwrap_or_else(PoisonError::into_inner);
        if packs.len() >= PACK_COUNT_KEPT {
            packs.pop_front();
        }
        packs.push_back(Arc::clone(&target));
        Ok(target)
    }

    fn open_target(&self, number: u64, pack: Pack) -> Result<TargetPack, ResolveError> {
        let rows = self.lookup.rows(self.bundle, pack.first_ordinal, pack.row_count)?;
        if rows.len() != pack.row_count as usize {
            return Err(ResolveError::Breach { rule: "F-52", why: "the pack has more rows than the manifest" });
        }
        let raw_len = rows.iter().map(|row| u64::from(row.len)).sum();
        let content = PackContent { number, pack, rows, pieces: Vec::new(), raw_len };
        let carried = Carried::new(&content).ok_or(ResolveError::NotCarried)?;
        let place = carried.place;
        let mut sources = self.sources(number, &pack);
        let mut last = ResolveError::Absent { volume: place.volume };
        for first in 0..sources.len() {
            match read_index(sources[first].as_ref(), &carried, Copies::FirstGood) {
                Ok(proven) => {
                    let in_frame = starts_in_frames(&content, &proven.index);
                    sources.rotate_left(first);
                    return Ok(TargetPack { content, place, index: proven.index, in_frame, sources });
                }
                Err(damage) => last = ResolveError::Damaged(Box::new(damage)),
            }
        }
        Err(last)
    }

    fn frame(&self, target: &TargetPack, frame: u32) -> Result<Arc<Vec<u8>>, ResolveError> {
        let name = (target.content.number, frame);
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bytes)) = frames.kept.iter().find(|(kept, _)| *kept == name) {
            return Ok(Arc::clone(bytes));
        }
        drop(frames);
        let bytes = Arc::new(target.decode(frame)?);
        frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        frames.kept_len += bytes.len();
        frames.kept.push_back((name, Arc::clone(&bytes)));
        while frames.kept_len > FRAME_LEN_KEPT && frames.kept.len() > 1 {
            if let Some((_, dropped)) = frames.kept.pop_front() {
                frames.kept_len -= dropped.len();
            }
        }
        Ok(bytes)
    }
}

impl TargetPack {
    /// Decodes a frame from the first copy that gives it whole.
    fn decode(&self, number: u32) -> Result<Vec<u8>, ResolveError> {
        let mut last = DamageFact::Reference { rule: "F-100", why: "the pack it leads to is at hand nowhere" };
        for source in &self.sources {
            match self.decode_from(source.as_ref(), number) {
                Ok(raw) => return Ok(raw),
                Err(fact) => last = fact,
            }
        }
        Err(self.damaged(number, last))
    }

    fn decode_from(&self, source: &dyn PackSource, number: u32) -> Result<Vec<u8>, DamageFact> {
        let frame = &self.index.frames[number as usize];
        let mut stored = vec![0; frame.stored_len as usize];
        let offset = u64::from(self.place.index_len) + self.frame_offset(number);
        source.read_pack(offset, &mut stored).map_err(DamageFact::Unreadable)?;
        let (expected, found) = (frame.digest, Digest::of(&stored));
        if found != expected {
            return Err(DamageFact::FrameDigest { expected, found });
        }
        let mut raw = vec![0; frame.raw_len as usize];
        let codec = Codec::from_id(frame.codec).map_err(DamageFact::Codec)?;
        Decoder::new().decode(codec, &stored, &mut raw).map_err(DamageFact::Codec)?;
        Ok(raw)
    }

    fn frame_offset(&self, number: u32) -> u64 {
        self.index.frames[..number as usize].iter().map(|frame| u64::from(frame.stored_len)).sum()
    }

    fn damaged(&self, number: u32, fact: DamageFact) -> ResolveError {
        let start = self.place.payload_offset() + self.frame_offset(number);
        let end = start + u64::from(self.index.frames[number as usize].stored_len);
        let (volume, rows) = (self.place.volume, Vec::new());
        ResolveError::Damaged(Box::new(Damage { volume, range: start..end, rows, fact }))
    }
}

/// Returns the entry that a row of the pack belongs to, and its path.
fn piece_of(content: &PackContent, row: usize) -> Option<(u64, &EntryPath)> {
    let after = content.pieces.partition_point(|piece| piece.rows.start <= row);
    // Pieces without rows share their start with the next: the last of them begins with the row.
    let piece = content.pieces.get(after.checked_sub(1)?)?;
    piece.rows.contains(&row).then_some((piece.entry, &piece.path))
}

/// Returns where each new row begins in its frame; 0 for the others.
fn starts_in_frames(content: &PackContent, index: &Index) -> Vec<usize> {
    let mut ends = vec![0; index.frames.len()];
    let start_of = |(row, source): (&crate::format::manifest::Row, &RowSource)| match source {
        RowSource::New { frame } => {
            let end = &mut ends[*frame as usize];
            *end += row.len as usize;
            *end - row.len as usize
        }
        _ => 0,
    };
    content.rows.iter().zip(&index.sources).map(start_of).collect()
}
