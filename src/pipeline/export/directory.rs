//! All files into a directory, never outside it and never over anything.

use super::destination::{Destination, Parents, WORK};
use super::settle::{Settler, Whole, split};
use super::{ExportError, ExportReport};
use crate::format::cover::Piece;
use crate::format::manifest::FileFacts;
use crate::format::walk::Item;
use crate::format::{EntryPath, Sha256};
use crate::pipeline::bundle::Bundle;
use crate::pipeline::contents::{Step, Taker, read_contents};
use crate::pipeline::progress::Progress;
use crate::pipeline::volumes::Volumes;
use crate::pipeline::walk::twins::{self, Twins};
use crossbeam_channel::{Sender, bounded};
use rustix::fs::{self, FileType, Mode, OFlags};
use rustix::io::Errno;
use sha2::Digest as _;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Memory for the names while twins are looked for, in bytes.
const SORT_LEN: usize = 64 << 20;
/// Packs whose files wait to be named while those of others are.
const WAITING_COUNT: usize = 2;

/// Writes all files and empty directories below `to`, which is created where it is not there. Files
/// that are there already with the same bytes are left: a repeated call resumes.
///
/// # Errors
/// Names are twins of others (F-37), or something else is where an entry belongs, or the disk fails.
/// Damage and missing volumes are no errors: the report names them, and their files are left out.
pub fn write_directory(
    bundle: &Bundle,
    volumes: &Volumes,
    to: &Path,
    progress: &dyn Progress,
) -> Result<ExportReport, ExportError> {
    let to = Destination::open(to)?;
    refuse_twins(bundle, &to.path.join(WORK), progress)?;
    progress.begin("export", bundle.head().totals.bytes, bundle.head().totals.files);
    let (report, settled) = std::thread::scope(|scope| {
        let (whole, written) = bounded(WAITING_COUNT);
        let to = &to;
        // The receiver ends with the thread: a writer never waits for one that failed.
        let settler = scope.spawn(move || Settler::new(to).run(&written));
        let mut writer = Writer::new(to, whole);
        let read = read_contents(bundle, volumes, &mut writer, progress);
        let report = read.map(|read| ExportReport { read, ..std::mem::take(&mut writer.report) });
        // No more can come now.
        drop(writer);
        (report, settler.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    // What settles was written before anything else failed.
    settled?;
    let report = report?;
    to.close()?;
    Ok(report)
}

/// Refuses names that some file systems take for one (F-37), before anything is written.
fn refuse_twins(bundle: &Bundle, work: &Path, progress: &dyn Progress) -> Result<(), ExportError> {
    progress.begin("names", 0, bundle.manifest().entry_count);
    let mut names = Twins::new(work, SORT_LEN);
    each_new_name(bundle, |dir, name| names.add(&twins::key_of_dir(dir), name).map_err(ExportError::from))?;
    let found = names.finish()?;
    if found.count == 0 {
        return Ok(());
    }
    let mut first = None;
    each_new_name(bundle, |dir, name| {
        if first.is_none() && found.has(&twins::key_of_name(&twins::key_of_dir(dir), name)) {
            first = Some(format!("{}/{name}", String::from_utf8_lossy(dir)));
        }
        Ok(())
    })?;
    Err(ExportError::Twins { path: first.unwrap_or_default(), count: found.count })
}

fn each_new_name(
    bundle: &Bundle,
    mut each: impl FnMut(&[u8], &str) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let mut last: Vec<u8> = Vec::new();
    for item in bundle.items() {
        let Item::Entry(entry) = item? else { continue };
        let path = entry.path.as_bytes();
        twins::new_names(&last, path).try_for_each(|(dir, name)| each(dir, name))?;
        last.clear();
        last.extend_from_slice(path);
    }
    Ok(())
}

/// Writes files into the work directory.
struct Writer<'a> {
    to: &'a Destination,
    parents: Parents<'a>,
    /// Files of this pack that are whole.
    whole: Vec<Whole>,
    settler: Sender<Vec<Whole>>,
    /// The file of several pieces that was wanted last.
    wanted: Option<u64>,
    large: Option<Large>,
    next_name: u64,
    report: ExportReport,
}

/// A file of several pieces on its way.
struct Large {
    work_name: String,
    file: File,
}

impl Writer<'_> {
    fn new(to: &Destination, settler: Sender<Vec<Whole>>) -> Writer<'_> {
        let (whole, report) = (Vec::new(), ExportReport::default());
        Writer { to, parents: Parents::new(to), whole, settler, wanted: None, large: None, next_name: 0, report }
    }

    /// Tells whether the file is there already with the bytes that are due.
    fn is_there(&mut self, path: &EntryPath, due: &FileFacts) -> Result<bool, ExportError> {
        let (above, name) = split(path);
        let in_the_way = ExportError::InTheWay { path: self.to.path.join(path.as_str()) };
        let shown = self.to.path.join(path.as_str());
        let directory = self.parents.directory(above)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = match fs::openat(directory, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(false),
            Err(Errno::LOOP | Errno::NXIO) => return Err(in_the_way),
            Err(error) => return Err(ExportError::Io { action: "open", path: shown, source: error.into() }),
        };
        let read = |source| ExportError::Io { action: "read", path: shown.clone(), source };
        let metadata = file.metadata().map_err(read)?;
        let is_file = FileType::from_raw_mode(metadata.mode()) == FileType::RegularFile;
        if !is_file || metadata.len() != due.len {
            return Err(in_the_way);
        }
        let (mut hasher, mut buffer) = (sha2::Sha256::new(), vec![0; 1 << 20]);
        loop {
            match file.read(&mut buffer).map_err(read)? {
                0 => break,
                len => hasher.update(&buffer[..len]),
            }
        }
        let found = Sha256::from_bytes(hasher.finalize().into());
        if found == due.sha256 { Ok(true) } else { Err(in_the_way) }
    }

    /// Creates a file in the work directory.
    fn create(&mut self) -> Result<(String, File), ExportError> {
        let name = self.next_name.to_string();
        self.next_name += 1;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::openat(&self.to.work, &name, flags, Mode::from_raw_mode(0o666));
        let file = file.map_err(|error| self.to.failed("create a file in", WORK, error))?;
        Ok((name, File::from(file)))
    }

    fn write(&self, mut file: &File, piece: &Piece, bytes: &[u8]) -> Result<(), ExportError> {
        let path = || self.to.path.join(piece.path.as_str());
        file.write_all(bytes).map_err(|source| ExportError::Io { action: "write", path: path(), source })
    }

    fn take_large(&mut self, piece: &Piece, bytes: &[u8]) -> Result<(), ExportError> {
        if piece.offset == 0 {
            let (work_name, file) = self.create()?;
            self.large = Some(Large { work_name, file });
        }
        let Some(large) = self.large.take() else { return Ok(()) };
        self.write(&large.file, piece, bytes)?;
        if piece.part.is_last {
            self.whole.push(Whole { work_name: large.work_name, path: piece.path.clone() });
        } else {
            self.large = Some(large);
        }
        Ok(())
    }
}

impl Taker for Writer<'_> {
    type Error = ExportError;

    fn wants(&mut self, piece: &Piece) -> Result<bool, ExportError> {
        let Some(file) = &piece.file else {
            // A directory needs no bytes, so no pack is read for it.
            self.parents.directory(piece.path.as_str())?;
            return Ok(false);
        };
        if piece.offset > 0 {
            return Ok(self.wanted == Some(piece.entry));
        }
        if self.is_there(&piece.path, file)? {
            self.report.already_count += 1;
            return Ok(false);
        }
        if !piece.part.is_last {
            self.wanted = Some(piece.entry);
        }
        Ok(true)
    }

    fn take(&mut self, piece: &Piece, bytes: &[u8]) -> Result<Step, ExportError> {
        let Some(file) = &piece.file else { return Ok(Step::On) };
        if piece.offset == 0 && piece.part.is_last {
            let (work_name, new) = self.create()?;
            self.write(&new, piece, bytes)?;
            self.whole.push(Whole { work_name, path: piece.path.clone() });
        } else {
            self.take_large(piece, bytes)?;
        }
        if piece.part.is_last {
            self.report.file_count += 1;
            self.report.file_len += file.len;
        }
        Ok(Step::On)
    }

    fn lose(&mut self, piece: &Piece) -> Result<Step, ExportError> {
        self.report.lost_count += 1;
        if piece.offset > 0 || !piece.part.is_last {
            self.large = None;
        }
        Ok(Step::On)
    }

    /// Files get their names when their bytes are on the disk, many at a time. A pack that ends none is
    /// made durable too: the disk is never behind by much.
    fn end_pack(&mut self) -> Result<Step, ExportError> {
        // The settler ends before this one does only where it failed.
        let sent = self.settler.send(std::mem::take(&mut self.whole));
        Ok(if sent.is_ok() { Step::On } else { Step::Stop })
    }
}
