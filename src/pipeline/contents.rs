//! The proven bytes of a release, pack by pack, for whoever reads it without a store.

use super::bundle::{Bundle, BundleError};
use super::lookup::Lookup;
use super::progress::Progress;
use super::resolve::{NoSpares, ResolveError, Resolver};
use super::unpack::{
    Copies, Damage, DamageFact, Unpacker, base_fact, copy_repeats, read_index, reference_runs, row_starts, spread,
};
use super::verify::{Finding, damage_finding, proves, reference_damage};
use super::volumes::{PackInVolume, PackSource as _, Volumes};
use crate::format::cover::{PackContent, Piece};
use crate::format::packs::{Place, VolumeNumber};
use std::collections::BTreeSet;

/// Most findings that are kept with their details; the rest is counted.
const FINDING_COUNT_KEPT: usize = 1000;

/// Whether a reader goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It does.
    On,
    /// It has what it came for, or can't go on.
    Stop,
}

/// Takes the files of a release in manifest order, piece by piece.
pub trait Taker {
    /// Why it takes no more.
    type Error: From<BundleError>;

    /// Tells whether a piece is wanted. It is asked for every piece of a pack before any is read.
    ///
    /// # Errors
    /// It can't go on.
    fn wants(&mut self, piece: &Piece) -> Result<bool, Self::Error>;

    /// Takes the bytes of a piece, all of them proven.
    ///
    /// # Errors
    /// It can't go on.
    fn take(&mut self, piece: &Piece, bytes: &[u8]) -> Result<Step, Self::Error>;

    /// Hears that a wanted piece can't be had: it is damaged, or its volume is not at hand.
    ///
    /// # Errors
    /// It can't go on.
    fn lose(&mut self, piece: &Piece) -> Result<Step, Self::Error>;

    /// Hears that a pack is through.
    ///
    /// # Errors
    /// It can't go on.
    fn end_pack(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// What reading came to.
#[derive(Debug, Default)]
pub struct ReadReport {
    /// What is damaged; no byte of a piece that needs it was handed out.
    pub findings: Vec<Finding>,
    /// Findings beyond those kept.
    pub more_count: u64,
    /// Volumes that were needed and are not at hand.
    pub missing_volumes: BTreeSet<VolumeNumber>,
    /// Whether reading was stopped by the person.
    pub is_cancelled: bool,
}

/// Reads what `taker` wants of a release, a pack at a time.
///
/// # Errors
/// Manifest or pack table can't be read, or the taker gives up. Damage and missing volumes are no
/// errors: the report names them.
pub fn read_contents<T: Taker>(
    bundle: &Bundle,
    volumes: &Volumes,
    taker: &mut T,
    progress: &dyn Progress,
) -> Result<ReadReport, T::Error> {
    let lookup = Lookup::new();
    let resolver = Resolver::new(bundle, volumes, &lookup, &NoSpares);
    let (unpacker, report) = (Unpacker::new(), ReadReport::default());
    let mut reader = PackReader { volumes, resolver: &resolver, unpacker, raw: Vec::new(), report };
    for content in bundle.contents() {
        if progress.is_cancelled() {
            reader.report.is_cancelled = true;
            break;
        }
        let content = content?;
        let wanted = content.pieces.iter().map(|piece| taker.wants(piece)).collect::<Result<Vec<bool>, _>>()?;
        if wanted.contains(&true) {
            if let Some(first) = content.pieces.first() {
                progress.now_at(first.path.as_str());
            }
            let unpacked = reader.read(&content)?;
            if reader.hand_out(&content, &wanted, unpacked.as_ref(), taker)? == Step::Stop {
                break;
            }
            taker.end_pack()?;
        }
        let files = content.pieces.iter().filter(|piece| piece.file.is_some() && piece.part.is_last).count();
        progress.advance(content.raw_len, files as u64);
    }
    Ok(reader.report)
}

struct PackReader<'a> {
    volumes: &'a Volumes,
    resolver: &'a Resolver<'a>,
    unpacker: Unpacker,
    raw: Vec<u8>,
    report: ReadReport,
}

/// What was read into the buffer.
struct Unpacked {
    place: Place,
    source: String,
    starts: Vec<usize>,
    bad_rows: Vec<bool>,
}

/// One copy of a pack, read.
struct Attempt {
    unpacked: Unpacked,
    damages: Vec<Damage>,
    absent: BTreeSet<VolumeNumber>,
}

impl PackReader<'_> {
    fn hand_out<T: Taker>(
        &mut self,
        content: &PackContent,
        wanted: &[bool],
        unpacked: Option<&Unpacked>,
        taker: &mut T,
    ) -> Result<Step, T::Error> {
        for (piece, _) in content.pieces.iter().zip(wanted).filter(|(_, wanted)| **wanted) {
            let step = match unpacked.and_then(|unpacked| self.range_of(content, piece, unpacked)) {
                Some(range) => taker.take(piece, &self.raw[range])?,
                None => taker.lose(piece)?,
            };
            if step == Step::Stop {
                return Ok(Step::Stop);
            }
        }
        Ok(Step::On)
    }

    /// Returns where the bytes of a piece lie in the buffer, if all of them are proven.
    fn range_of(
        &mut self,
        content: &PackContent,
        piece: &Piece,
        unpacked: &Unpacked,
    ) -> Option<std::ops::Range<usize>> {
        if unpacked.bad_rows[piece.rows.clone()].contains(&true) {
            return None;
        }
        let range = unpacked.starts[piece.rows.start]..unpacked.starts[piece.rows.end];
        if proves(piece, &self.raw[range.clone()]) {
            return Some(range);
        }
        let rows = piece.rows.clone().map(|row| row as u32).collect();
        let fact = DamageFact::FileSha256 { path: piece.path.clone() };
        let place = &unpacked.place;
        let damage = Damage { volume: place.volume, range: place.offset..place.end(), rows, fact };
        self.find(content, &unpacked.source, &damage);
        None
    }

    /// Reads a pack into the buffer from the copy with the least damage; nothing where there is none.
    fn read(&mut self, content: &PackContent) -> Result<Option<Unpacked>, BundleError> {
        let Some(place) = content.pack.place else { return Ok(None) };
        let sources = self.volumes.copies(place.volume)?.into_iter().map(|file| PackInVolume::new(file, place));
        let sources: Vec<PackInVolume> = sources.collect();
        let mut best: Option<(usize, usize)> = None;
        for (number, source) in sources.iter().enumerate() {
            let attempt = self.attempt(content, &place, source);
            if attempt.unpacked.bad_rows.contains(&true) {
                let bad_count = attempt.unpacked.bad_rows.iter().filter(|&&bad| bad).count();
                self.note(content, &attempt);
                if best.is_none_or(|(fewest, _)| bad_count < fewest) {
                    best = Some((bad_count, number));
                }
                continue;
            }
            return Ok(Some(attempt.unpacked));
        }
        match best {
            // A later copy has overwritten what the best one gave.
            Some((_, number)) => Ok(Some(self.attempt(content, &place, &sources[number]).unpacked)),
            None => {
                self.report.missing_volumes.insert(place.volume);
                Ok(None)
            }
        }
    }

    fn attempt(&mut self, content: &PackContent, place: &Place, source: &PackInVolume) -> Attempt {
        let (starts, described) = (row_starts(content), source.describe());
        let all_bad = |starts, damages| {
            let bad_rows = vec![true; content.rows.len()];
            let unpacked = Unpacked { place: *place, source: source.describe(), starts, bad_rows };
            Attempt { unpacked, damages, absent: BTreeSet::new() }
        };
        let index = match read_index(source, place, content, Copies::FirstGood) {
            Ok(proven) => proven.index,
            Err(damage) => return all_bad(starts, vec![damage]),
        };
        if let Some(fact) = base_fact(&index, self.resolver.base_count()) {
            let range = place.offset..place.payload_offset();
            return all_bad(starts, vec![Damage { volume: place.volume, range, rows: Vec::new(), fact }]);
        }
        self.raw.resize(content.raw_len as usize, 0);
        let mut damages = self.unpacker.decode_new(content, place, &index, source, &mut self.raw);
        let (mut absent, mut absent_rows) = (BTreeSet::new(), Vec::new());
        for run in reference_runs(&index) {
            let raw = &mut self.raw[starts[run.rows.start]..starts[run.rows.end]];
            let checked = self.resolver.check_run(content, &run);
            match checked.and_then(|_| self.resolver.fill_from_packs(content, &run, raw)) {
                Ok(()) => {}
                Err(ResolveError::Absent { volume }) => {
                    absent.insert(volume);
                    absent_rows.extend(run.rows.clone());
                }
                Err(ResolveError::NotCarried) => absent_rows.extend(run.rows.clone()),
                Err(error) => damages.push(reference_damage(place, error, &run.rows)),
            }
        }
        copy_repeats(content, &index, &starts, &mut self.raw);
        let mut bad_rows = spread(&index, &damages);
        absent_rows.into_iter().for_each(|row| bad_rows[row] = true);
        let unpacked = Unpacked { place: *place, source: described, starts, bad_rows };
        Attempt { unpacked, damages, absent }
    }

    fn note(&mut self, content: &PackContent, attempt: &Attempt) {
        for damage in &attempt.damages {
            self.find(content, &attempt.unpacked.source, damage);
        }
        self.report.missing_volumes.extend(&attempt.absent);
    }

    fn find(&mut self, content: &PackContent, source: &str, damage: &Damage) {
        if self.report.findings.len() < FINDING_COUNT_KEPT {
            self.report.findings.push(damage_finding(content, source, damage));
        } else {
            self.report.more_count += 1;
        }
    }
}
