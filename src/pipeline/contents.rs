//! The proven bytes of a release, pack by pack, for whoever reads it without a store.

use super::bundle::{Bundle, BundleError};
use super::lookup::Lookup;
use super::progress::Progress;
use super::proof::proves;
use super::reader::{PackReader, SourceRead, ended_file_count};
use super::resolve::{NoSpares, Resolver};
use super::unpack::{Carried, Damage, ReferenceRun};
use super::verify::{Finding, damage_finding};
use super::volumes::{PackSource, Volumes};
use crate::format::cover::{PackContent, Piece};
use crate::format::packs::VolumeNumber;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ops::Range;

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
    let mut reader = Reader {
        resolver: &resolver,
        packs: PackReader::new(resolver.base_count()),
        raw: Vec::new(),
        report: ReadReport::default(),
    };
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
            if reader.read(&content, &wanted, taker)? == Step::Stop {
                break;
            }
            taker.end_pack()?;
        }
        progress.advance(content.raw_len, ended_file_count(&content));
    }
    Ok(reader.report)
}

struct Reader<'a> {
    resolver: &'a Resolver<'a>,
    packs: PackReader,
    raw: Vec<u8>,
    report: ReadReport,
}

impl Reader<'_> {
    /// Reads a pack and hands out what is wanted of it.
    fn read<T: Taker>(&mut self, content: &PackContent, wanted: &[bool], taker: &mut T) -> Result<Step, T::Error> {
        let pack = Carried::new(content);
        let read = pack.as_ref().map(|pack| self.read_best(pack)).transpose()?.flatten();
        for (piece, _) in content.pieces.iter().zip(wanted).filter(|(_, wanted)| **wanted) {
            let range = match (&pack, &read) {
                (Some(pack), Some(read)) => self.proven_range(pack, piece, read),
                _ => None,
            };
            let step = match range {
                Some(range) => taker.take(piece, &self.raw[range])?,
                None => taker.lose(piece)?,
            };
            if step == Step::Stop {
                return Ok(Step::Stop);
            }
        }
        Ok(Step::On)
    }

    /// Reads the best copy of a pack into the buffer; nothing where there is none.
    fn read_best(&mut self, pack: &Carried<'_>) -> Result<Option<SourceRead>, BundleError> {
        let content = pack.content;
        let sources = self.resolver.sources(content.number, &content.pack);
        self.raw.resize(content.raw_len as usize, 0);
        let mut fill = |run: &ReferenceRun, raw: &mut [u8]| Ok::<_, Infallible>(self.resolver.fill(content, run, raw));
        let Ok(mut reads) = self.packs.read_best(pack, sources, &mut self.raw, &mut fill);
        for (source, read) in reads.iter().filter(|(_, read)| !read.is_whole()) {
            self.report.missing_volumes.extend(&read.absent);
            read.damages.iter().for_each(|damage| self.report.find(content, source.as_ref(), damage));
        }
        if reads.is_empty() {
            self.report.missing_volumes.insert(pack.place.volume);
        }
        Ok(reads.pop())
    }

    /// Returns where the bytes of a piece lie in the buffer, if all of them are proven.
    fn proven_range(&mut self, pack: &Carried<'_>, piece: &Piece, (source, read): &SourceRead) -> Option<Range<usize>> {
        if read.bad_rows[piece.rows.clone()].contains(&true) {
            return None;
        }
        let range = pack.range(&piece.rows);
        if proves(piece, &self.raw[range.clone()]) {
            return Some(range);
        }
        self.report.find(pack.content, source.as_ref(), &pack.piece_damage(piece));
        None
    }
}

impl ReadReport {
    fn find(&mut self, content: &PackContent, source: &dyn PackSource, damage: &Damage) {
        if self.findings.len() < FINDING_COUNT_KEPT {
            self.findings.push(damage_finding(content, &source.describe(), damage));
        } else {
            self.more_count += 1;
        }
    }
}
