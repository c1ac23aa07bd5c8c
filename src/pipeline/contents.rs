//! The proven bytes of a release, pack by pack, for whoever reads it without a store.

use super::bundle::{Bundle, BundleError};
use super::lookup::Lookup;
use super::progress::Progress;
use super::proof::proves;
use super::reader::{PackReader, SourceRead, ended_file_count};
use super::resolve::{NoSpares, Resolver};
use super::unpack::{Carried, Damage, ReferenceRun, room};
use super::verify::{Finding, damage_finding};
use super::volumes::{PackSource, Volumes};
use crate::format::cover::{PackContent, Piece};
use crate::format::packs::VolumeNumber;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ops::Range;

/// Most findings that are kept with their details; the rest is counted.
const FINDING_COUNT_KEPT: usize = 1000;
/// Packs that are asked for before the first of them is taken: that one, and the next.
const AHEAD_COUNT: usize = 2;

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

    /// Tells whether a piece is wanted. It is asked for every piece of a pack before any is read, and
    /// before the pack in front of it is taken: the answer can't depend on what became of that.
    ///
    /// # Errors
    /// It can't go on.
    fn wants(&mut self, piece: &Piece) -> Result<bool, Self::Error>;

    /// Takes the bytes of a piece, all of them proven.
    ///
    /// # Errors
    /// It can't go on.
    fn take(&mut self, piece: &Piece, bytes: &[u8]) -> Result<Step, Self::Error>;

    /// Hears that a wanted piece can't be had: it is damaged, or its volume is not at hand. Of that file
    /// nothing more is taken or lost.
    ///
    /// # Errors
    /// It can't go on.
    fn lose(&mut self, piece: &Piece) -> Result<Step, Self::Error>;

    /// Hears that a pack is through, of which something was wanted.
    ///
    /// # Errors
    /// It can't go on.
    fn end_pack(&mut self) -> Result<Step, Self::Error> {
        Ok(Step::On)
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

/// Reads what `taker` wants of a release, a pack at a time: while one is taken, a thread of its own
/// reads and proves the next. It holds the raw bytes of two packs at most.
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
    let resolver = &Resolver::new(bundle, volumes, &lookup, &NoSpares);
    std::thread::scope(|scope| {
        let (ask, asked) = bounded(AHEAD_COUNT);
        let (hand, read) = bounded(AHEAD_COUNT);
        scope.spawn(move || Reader { resolver, packs: PackReader::new(resolver.base_count()) }.run(&asked, &hand));
        let report = ReadReport::default();
        let mut supplier =
            Supplier { taker, progress, ask, read, asked_count: 0, spare: Vec::new(), lost: None, report };
        supplier.run(bundle)?;
        Ok(supplier.report)
    })
}

/// A pack that is to be read, and where to.
struct Asked {
    content: PackContent,
    /// Which of its pieces are wanted.
    wanted: Vec<bool>,
    raw: Vec<u8>,
}

/// A pack that is read.
struct ReadPack {
    asked: Asked,
    /// Where the bytes of each piece lie in the buffer; nothing for those that can't be had or are not
    /// wanted.
    proven: Vec<Option<Range<usize>>>,
    report: ReadReport,
}

/// Asks for packs and hands out their pieces, both in manifest order.
struct Supplier<'a, T> {
    taker: &'a mut T,
    progress: &'a dyn Progress,
    ask: Sender<Asked>,
    read: Receiver<ReadPack>,
    /// Packs that are asked for and not handed out.
    asked_count: usize,
    /// Buffers that nobody uses.
    spare: Vec<Vec<u8>>,
    /// The entry of which a piece was lost last.
    lost: Option<u64>,
    report: ReadReport,
}

impl<T: Taker> Supplier<'_, T> {
    fn run(&mut self, bundle: &Bundle) -> Result<(), T::Error> {
        for content in bundle.contents() {
            if let Err(error) = content.map_err(T::Error::from).and_then(|content| self.ask(content)) {
                // The packs before it are handed out as if nothing were read ahead.
                return match self.hand_out_to(0)? {
                    Step::On => Err(error),
                    Step::Stop => Ok(()),
                };
            }
            if self.hand_out_to(AHEAD_COUNT - 1)? == Step::Stop {
                return Ok(());
            }
        }
        self.hand_out_to(0).map(drop)
    }

    fn ask(&mut self, content: PackContent) -> Result<(), T::Error> {
        let mut wants = |piece: &Piece| Ok(self.lost != Some(piece.entry) && self.taker.wants(piece)?);
        let wanted = content.pieces.iter().map(&mut wants).collect::<Result<Vec<bool>, T::Error>>()?;
        let raw = self.spare.pop().unwrap_or_default();
        // This fails only behind a panic of the reading thread, which the scope passes on.
        if self.ask.send(Asked { content, wanted, raw }).is_ok() {
            self.asked_count += 1;
        }
        Ok(())
    }

    /// Hands packs out until no more than these are asked for.
    fn hand_out_to(&mut self, asked_count: usize) -> Result<Step, T::Error> {
        while self.asked_count > asked_count {
            if self.progress.is_cancelled() {
                self.report.is_cancelled = true;
                return Ok(Step::Stop);
            }
            // As above.
            let Ok(pack) = self.read.recv() else { return Ok(Step::Stop) };
            self.asked_count -= 1;
            if self.hand_out(pack)? == Step::Stop {
                return Ok(Step::Stop);
            }
        }
        Ok(Step::On)
    }

    fn hand_out(&mut self, pack: ReadPack) -> Result<Step, T::Error> {
        let ReadPack { asked: Asked { content, wanted, raw }, proven, report } = pack;
        // It was asked for before a piece of the same file was lost.
        let is_lost = content.pieces.iter().all(|piece| self.lost == Some(piece.entry));
        if wanted.contains(&true) && !is_lost {
            self.report.add(report);
            if let Some(first) = content.pieces.first() {
                self.progress.now_at(first.path.as_str());
            }
            for ((piece, range), _) in content.pieces.iter().zip(proven).zip(wanted).filter(|(_, wanted)| *wanted) {
                let step = match range {
                    Some(range) => self.taker.take(piece, &raw[range])?,
                    None => {
                        self.lost = Some(piece.entry);
                        self.taker.lose(piece)?
                    }
                };
                if step == Step::Stop {
                    return Ok(Step::Stop);
                }
            }
            if self.taker.end_pack()? == Step::Stop {
                return Ok(Step::Stop);
            }
        }
        self.spare.push(raw);
        self.progress.advance(content.raw_len, ended_file_count(&content));
        Ok(Step::On)
    }
}

/// Reads and proves packs on a thread of its own.
struct Reader<'a> {
    resolver: &'a Resolver<'a>,
    packs: PackReader,
}

impl Reader<'_> {
    fn run(mut self, asked: &Receiver<Asked>, hand: &Sender<ReadPack>) {
        for asked in asked {
            if hand.send(self.read(asked)).is_err() {
                return;
            }
        }
    }

    /// Reads what is wanted of a pack.
    fn read(&mut self, mut asked: Asked) -> ReadPack {
        let mut report = ReadReport::default();
        let mut proven = vec![None; asked.wanted.len()];
        let carried = Carried::new(&asked.content).filter(|_| asked.wanted.contains(&true));
        if let Some(pack) = carried {
            let raw = room(&mut asked.raw, pack.content.raw_len as usize);
            if let Some(read) = self.read_best(&pack, raw, &mut report) {
                let pieces = pack.content.pieces.iter().zip(&mut proven).zip(&asked.wanted);
                for ((piece, proven), _) in pieces.filter(|(_, wanted)| **wanted) {
                    *proven = proven_range(&pack, piece, &read, raw, &mut report);
                }
            }
        }
        ReadPack { asked, proven, report }
    }

    /// Reads the best copy of a pack into the buffer; nothing where there is none.
    fn read_best(&mut self, pack: &Carried<'_>, raw: &mut [u8], report: &mut ReadReport) -> Option<SourceRead> {
        let content = pack.content;
        let sources = self.resolver.sources(content.number, &content.pack);
        let mut fill = |run: &ReferenceRun, raw: &mut [u8]| Ok::<_, Infallible>(self.resolver.fill(content, run, raw));
        let Ok(mut reads) = self.packs.read_best(pack, sources, raw, &mut fill);
        for (source, read) in reads.iter().filter(|(_, read)| !read.is_whole()) {
            report.missing_volumes.extend(&read.absent);
            read.damages.iter().for_each(|damage| report.find(content, source.as_ref(), damage));
        }
        if reads.is_empty() {
            report.missing_volumes.insert(pack.place.volume);
        }
        reads.pop()
    }
}

/// Returns where the bytes of a piece lie in the buffer, if all of them are proven.
fn proven_range(
    pack: &Carried<'_>,
    piece: &Piece,
    (source, read): &SourceRead,
    raw: &[u8],
    report: &mut ReadReport,
) -> Option<Range<usize>> {
    if read.bad_rows[piece.rows.clone()].contains(&true) {
        return None;
    }
    let range = pack.range(&piece.rows);
    if proves(piece, &raw[range.clone()]) {
        return Some(range);
    }
    report.find(pack.content, source.as_ref(), &pack.piece_damage(piece));
    None
}

impl ReadReport {
    fn find(&mut self, content: &PackContent, source: &dyn PackSource, damage: &Damage) {
        if self.findings.len() < FINDING_COUNT_KEPT {
            self.findings.push(damage_finding(content, &source.describe(), damage));
        } else {
            self.more_count += 1;
        }
    }

    /// Adds what reading another pack came to.
    fn add(&mut self, mut pack: ReadReport) {
        let kept_count = pack.findings.len().min(FINDING_COUNT_KEPT - self.findings.len());
        self.more_count += pack.more_count + (pack.findings.len() - kept_count) as u64;
        self.findings.extend(pack.findings.drain(..kept_count));
        self.missing_volumes.append(&mut pack.missing_volumes);
    }
}
