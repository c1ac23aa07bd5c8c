//! A finished bundle onto media: each volume to the first that has room, proven on the way and read again.
//!
//! Everything but the volumes is repeated on every medium. A name on a medium means that the file is whole.
//! A record beside the bundle says which volumes went where, so media may come one at a time.

mod error;
mod record;
mod small;
mod target;
mod volume;

pub use error::WriteError;

use super::inspect::Opened;
use super::progress::Progress;
use super::volumes::Volumes;
use crate::error::Class;
use crate::format::packs::VolumeNumber;
use crate::machine::{Lock, Machine};
use crate::plan::media::{Room, Rooms, place};
use record::{MediumRecord, Record};
use small::{Small, SmallFiles};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use target::{Meter, Present, Target, identity_of, lock};
use volume::{SourceVolumes, lens_of};

/// What volumes leave free on each file system, in bytes: room for signatures that are added later, 16 files
/// in clusters of 32 KiB, and as much again for what the file system needs itself.
pub const RESERVE_LEN: u64 = 1 << 20;

/// Where a bundle goes.
#[derive(Clone, Debug)]
pub struct WriteOptions {
    /// The media in the order in which they are filled: directories that are there.
    pub media: Vec<PathBuf>,
    /// The record of what went where; see [`record_beside`].
    pub record: PathBuf,
    /// What becomes of the record of earlier calls.
    pub earlier: Earlier,
}

/// What becomes of the record of earlier calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earlier {
    /// What is recorded is not written again.
    Keep,
    /// It is forgotten: what is on none of the media named now is written.
    Forget,
}

/// What is where, after a call.
#[derive(Debug, Default)]
pub struct WriteReport {
    /// The media, in the order in which they were named.
    pub media: Vec<WrittenMedium>,
    /// Volumes that are recorded to be on media that were not named.
    pub elsewhere: BTreeSet<VolumeNumber>,
    /// Volumes that have no place yet, and their lengths in bytes.
    pub left: BTreeMap<VolumeNumber, u64>,
    /// Whether the writing was stopped before its end.
    pub is_cancelled: bool,
}

/// What is on one medium.
#[derive(Debug)]
pub struct WrittenMedium {
    /// Where it is mounted, as it was named.
    pub place: PathBuf,
    /// The bundle directory on it.
    pub directory: PathBuf,
    /// Volumes that were written, and their lengths in bytes.
    pub written: BTreeMap<VolumeNumber, u64>,
    /// Volumes that were there already.
    pub already: BTreeSet<VolumeNumber>,
    /// Other files of the bundle that were written, as paths below the bundle directory.
    pub small: Vec<String>,
    /// Whether it has no room even for those.
    pub is_full: bool,
}

impl WriteReport {
    /// Returns the class of the whole; nothing where every volume has its place.
    pub fn class(&self) -> Option<Class> {
        // A medium that carries volumes and lacks other files misleads whoever reads it alone.
        let lacks = |medium: &WrittenMedium| medium.is_full && !medium.already.is_empty();
        match self {
            report if report.is_cancelled => Some(Class::Interrupted),
            report if report.media.iter().any(lacks) => Some(Class::NoSpace),
            report if !report.left.is_empty() => Some(Class::Incomplete),
            _ => None,
        }
    }
}

/// Returns where the record of a bundle lies unless it is said otherwise: beside the bundle directory, as
/// nothing else may lie in it (F-01).
///
/// # Errors
/// The directory is not there.
pub fn record_beside(bundle: &Path) -> Result<PathBuf, WriteError> {
    let bundle = bundle.canonicalize().map_err(WriteError::io("look at", bundle))?;
    let name = bundle.file_name().unwrap_or_default().to_string_lossy();
    Ok(bundle.with_file_name(format!("{name}.written.json")))
}

/// Returns what [`write()`] would do; nothing is written.
///
/// # Errors
/// As [`write()`], as far as it can be known.
pub fn plan(bundle: &Opened, options: &WriteOptions, progress: &dyn Progress) -> Result<WriteReport, WriteError> {
    let machine = Machine::default();
    let mut writer = Writer::open(&machine, bundle, options, progress)?;
    writer.measure()?;
    for (medium, seen) in writer.seen.iter().enumerate().filter(|(medium, _)| writer.usable.contains(medium)) {
        writer.report.media[medium].small = seen.lacking.iter().map(Small::below).collect();
    }
    for ((number, len), medium) in place(&mut writer.rooms, &writer.usable, writer.due.iter().map(|one| (one, *one.1)))
    {
        match medium {
            Some(medium) => writer.report.media[medium].written.insert(*number, *len),
            None => writer.report.left.insert(*number, *len),
        };
    }
    Ok(writer.report)
}

/// Writes a bundle to media: to each everything but the volumes, then the volumes in order of number, each to
/// the first medium with room beside [`RESERVE_LEN`]. What is there already is kept: a volume by its length, any
/// other file by its digest. Repeated, with the same media or the next, it goes on.
///
/// Each pack is read once and its stored bytes are proven by the pack table before they are written; each file
/// is made durable and read again from the medium before it gets its name.
///
/// # Errors
/// A medium can't be used, fails or gives back other bytes, or the bundle is damaged. Volumes without a place
/// are no error: the report names them.
pub fn write(bundle: &Opened, options: &WriteOptions, progress: &dyn Progress) -> Result<WriteReport, WriteError> {
    write_on(&Machine::default(), bundle, options, progress)
}

/// Writes as [`write()`] does, on a machine that a test may have put a gate before.
///
/// # Errors
/// As [`write()`].
pub fn write_on(
    machine: &Machine,
    bundle: &Opened,
    options: &WriteOptions,
    progress: &dyn Progress,
) -> Result<WriteReport, WriteError> {
    let mut writer = Writer::open(machine, bundle, options, progress)?;
    // Before anything else: a record that can't be written is no use after hours of writing.
    writer.record.write(machine)?;
    writer.clear()?;
    writer.measure()?;
    writer.begin();
    let written = writer.write_small_files().and_then(|()| writer.write_volumes());
    match written {
        Err(WriteError::Stopped) => writer.report.is_cancelled = true,
        other => other?,
    }
    Ok(writer.report)
}

/// What is on a medium before anything is written.
struct Seen {
    /// What it lacks beside volumes.
    lacking: Vec<Small>,
    present: Present,
}

/// Writes one bundle to some media.
struct Writer<'a> {
    machine: &'a Machine,
    progress: &'a dyn Progress,
    small_files: SmallFiles<'a>,
    volumes: SourceVolumes<'a>,
    targets: Vec<Target>,
    seen: Vec<Seen>,
    record: Record,
    /// Volumes that are neither on a medium nor recorded, and their lengths.
    due: BTreeMap<VolumeNumber, u64>,
    rooms: Rooms,
    /// Media with room for what is repeated.
    usable: Vec<usize>,
    report: WriteReport,
    /// No other call writes this bundle.
    _lock: Option<Lock>,
}

impl<'a> Writer<'a> {
    /// Looks at bundle, media and record, and changes nothing.
    fn open(
        machine: &'a Machine,
        bundle: &'a Opened,
        options: &WriteOptions,
        progress: &'a dyn Progress,
    ) -> Result<Writer<'a>, WriteError> {
        let head = bundle.head();
        let lock = bundle.media().first().map(|medium| lock(medium.path())).transpose()?;
        let lens = lens_of(bundle)?;
        let small_files = SmallFiles::new(bundle)?;
        let targets = open_targets(machine, bundle, &options.media)?;
        let see = |target: &Target| {
            Ok(Seen { lacking: small_files.lacking(target.medium.as_ref())?, present: target.present(&lens)? })
        };
        let seen: Vec<Seen> = targets.iter().map(see).collect::<Result<_, WriteError>>()?;
        let mut record = match options.earlier {
            Earlier::Keep => Record::read(machine, &options.record, head)?,
            Earlier::Forget => Record::empty(&options.record, head),
        };
        let here = targets
            .iter()
            .zip(&seen)
            .map(|(target, seen)| MediumRecord { path: name_of(target), volumes: seen.present.whole.clone() });
        let broken: BTreeSet<VolumeNumber> = seen.iter().flat_map(|seen| seen.present.broken.keys()).copied().collect();
        let lost = record.meet(here, &broken);
        let known = record.volumes();
        let due: BTreeMap<VolumeNumber, u64> = lens.into_iter().filter(|(number, _)| !known.contains(number)).collect();
        let volumes = SourceVolumes::new(bundle, Volumes::new(bundle.media().to_vec()));
        volumes.check(&due)?;
        let report = report_of(&targets, &seen, &known);
        let rooms = Rooms::new(Vec::<(u64, Room)>::new(), RESERVE_LEN);
        let usable = Vec::new();
        let writer = Writer {
            machine,
            progress,
            small_files,
            volumes,
            targets,
            seen,
            record,
            due,
            rooms,
            usable,
            report,
            _lock: lock,
        };
        writer.note_what_differs(&lost);
        Ok(writer)
    }

    fn note_what_differs(&self, lost: &BTreeSet<VolumeNumber>) {
        for absent in self.small_files.absent() {
            self.progress.note(&format!("the bundle lacks {absent}, and so will the media"));
        }
        for volume in lost {
            self.progress.note(&format!("volume {volume} was on one of these media and is not any more"));
        }
        for (target, seen) in self.targets.iter().zip(&self.seen) {
            for (number, len) in &seen.present.broken {
                let place = target.place.display();
                self.progress.note(&format!("volume {number} on {place} has {len} bytes, so it is not whole"));
            }
        }
    }

    /// Removes what is not whole.
    fn clear(&mut self) -> Result<(), WriteError> {
        for (target, seen) in self.targets.iter().zip(&mut self.seen) {
            target.clear()?;
            let broken = std::mem::take(&mut seen.present.broken);
            broken.keys().try_for_each(|number| target.remove(&below(*number)))?;
        }
        Ok(())
    }

    /// Measures the room on the media with what will be removed there, and takes that of what is repeated.
    fn measure(&mut self) -> Result<(), WriteError> {
        let rooms = self.targets.iter().map(|target| {
            let same = self.targets.iter().zip(&self.seen).filter(|(other, _)| other.device == target.device);
            let broken_len = same.flat_map(|(_, seen)| seen.present.broken.values()).sum::<u64>();
            let room = target.room()?;
            Ok((target.device, Room { free_len: room.free_len.saturating_add(broken_len), ..room }))
        });
        self.rooms = Rooms::new(rooms.collect::<Result<Vec<_>, WriteError>>()?, RESERVE_LEN);
        for (medium, seen) in self.seen.iter().enumerate() {
            let lens = seen.lacking.iter().map(|small| self.small_files.len_of(small));
            if self.rooms.take_small(medium, lens) {
                self.usable.push(medium);
            } else {
                self.report.media[medium].is_full = true;
                let place = self.targets[medium].place.display();
                self.progress.note(&format!("{place} has no room for what every medium carries: passed over"));
            }
        }
        Ok(())
    }

    fn begin(&self) {
        let small = self.usable.iter().flat_map(|&medium| &self.seen[medium].lacking);
        let small: Vec<u64> = small.map(|small| self.small_files.len_of(small)).collect();
        let planned = place(&mut self.rooms.clone(), &self.usable, self.due.values().map(|&len| (len, len)));
        let planned: Vec<u64> = planned.into_iter().filter_map(|(len, medium)| medium.map(|_| len)).collect();
        let total_len = small.iter().chain(&planned).sum();
        self.progress.begin("write", total_len, (small.len() + planned.len()) as u64);
    }

    /// Writes to each medium what is repeated.
    fn write_small_files(&mut self) -> Result<(), WriteError> {
        for medium in std::mem::take(&mut self.usable) {
            match self.write_small_files_to(medium) {
                Ok(()) => self.usable.push(medium),
                Err(error) if error.is_of_room() => {
                    self.report.media[medium].is_full = true;
                    self.note_no_room(medium, &error, "it is passed over");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn write_small_files_to(&mut self, medium: usize) -> Result<(), WriteError> {
        let target = &self.targets[medium];
        for small in &self.seen[medium].lacking {
            if self.progress.is_cancelled() {
                return Err(WriteError::Stopped);
            }
            let below = small.below();
            self.progress.now_at(&target.directory.join(&below).to_string_lossy());
            let mut meter = Meter::new(self.progress);
            target.land(&below, &mut meter, |out| self.small_files.write(small, out))?;
            self.progress.advance(0, 1);
            self.report.media[medium].small.push(below);
        }
        Ok(())
    }

    fn write_volumes(&mut self) -> Result<(), WriteError> {
        // What is not reached has no place yet.
        self.report.left = std::mem::take(&mut self.due);
        for (number, len) in self.report.left.clone() {
            let Some(medium) = self.write_volume(number, len)? else { continue };
            self.report.left.remove(&number);
            self.report.media[medium].written.insert(number, len);
            self.record.add(&name_of(&self.targets[medium]), number);
            self.record.write(self.machine)?;
            self.progress.advance(0, 1);
        }
        Ok(())
    }

    /// Writes a volume to the first medium with room; returns which.
    fn write_volume(&mut self, number: VolumeNumber, len: u64) -> Result<Option<usize>, WriteError> {
        let mut meter = Meter::new(self.progress);
        while let Some(medium) = self.rooms.take(len, self.usable.iter().copied()) {
            if self.progress.is_cancelled() {
                return Err(WriteError::Stopped);
            }
            let target = &self.targets[medium];
            let below = below(number);
            self.progress.now_at(&target.directory.join(&below).to_string_lossy());
            let (volumes, progress) = (&mut self.volumes, self.progress);
            match target.land(&below, &mut meter, |out| volumes.write(number, out, progress)) {
                Ok(_) => return Ok(Some(medium)),
                Err(error) if error.is_of_room() => {
                    self.rooms.had_none(medium, len);
                    self.note_no_room(medium, &error, "the volume goes to the next medium");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn note_no_room(&self, medium: usize, error: &WriteError, then: &str) {
        let why = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
        self.progress.note(&format!("{} has no room, {error}{why}; {then}", self.targets[medium].place.display()));
    }
}

fn open_targets(machine: &Machine, bundle: &Opened, media: &[PathBuf]) -> Result<Vec<Target>, WriteError> {
    let sources: Vec<_> = bundle.media().iter().filter_map(|medium| identity_of(medium.path())).collect();
    let (mut targets, mut known): (Vec<Target>, Vec<target::Identity>) = (Vec::new(), Vec::new());
    for place in media {
        let path = place.clone();
        match identity_of(place) {
            Some(identity) if known.contains(&identity) => return Err(WriteError::Twice { path }),
            Some(identity) if sources.contains(&identity) => return Err(WriteError::IsSource { path }),
            _ => {}
        }
        let target = Target::open(machine, place, bundle.head())?;
        if target.is_one_of(&sources) {
            return Err(WriteError::IsSource { path: target.directory });
        }
        if target.is_one_of(&known) {
            return Err(WriteError::Twice { path });
        }
        known.extend(target.identities());
        targets.push(target);
    }
    Ok(targets)
}

fn report_of(targets: &[Target], seen: &[Seen], known: &BTreeSet<VolumeNumber>) -> WriteReport {
    let medium = |(target, seen): (&Target, &Seen)| WrittenMedium {
        place: target.place.clone(),
        directory: target.directory.clone(),
        written: BTreeMap::new(),
        already: seen.present.whole.clone(),
        small: Vec::new(),
        is_full: false,
    };
    let here = |volume: &VolumeNumber| seen.iter().any(|seen| seen.present.whole.contains(volume));
    let elsewhere = known.iter().filter(|volume| !here(volume)).copied().collect();
    WriteReport { media: targets.iter().zip(seen).map(medium).collect(), elsewhere, ..WriteReport::default() }
}

/// Returns the name of a medium in the record, for people who look for it from anywhere.
fn name_of(target: &Target) -> String {
    let place = std::path::absolute(&target.place).unwrap_or_else(|_| target.place.clone());
    place.to_string_lossy().into_owned()
}

/// Returns the path of a volume below the bundle directory.
fn below(number: VolumeNumber) -> String {
    format!("volumes/{}", number.file_name())
}
