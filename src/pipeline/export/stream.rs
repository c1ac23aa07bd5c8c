//! One file, or all of them as a tar stream, to a writer.

use super::{ExportError, ExportReport};
use crate::format::EntryPath;
use crate::format::cover::Piece;
use crate::pipeline::bundle::Bundle;
use crate::pipeline::contents::{Step, Taker, read_contents};
use crate::pipeline::lookup::Lookup;
use crate::pipeline::progress::{Inside, Progress};
use crate::pipeline::volumes::Volumes;
use std::io::{self, Write};

/// Length of a tar record.
const RECORD_LEN: u64 = 512;
/// Longest name that is left in the header when the whole path stands before it.
const SHORT_LEN: usize = 100;

/// Writes the bytes of one file, a part at a time, each proven before it is written.
///
/// # Errors
/// There is no such file, or the writer fails. Damage and missing volumes end the output and stand in
/// the report.
pub fn write_file(
    bundle: &Bundle,
    volumes: &Volumes,
    path: &EntryPath,
    out: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<ExportReport, ExportError> {
    let found = Lookup::new().entry(bundle, path)?;
    let Some((entry, file)) = found.and_then(|found| found.file.map(|file| (found.entry, file))) else {
        return Err(ExportError::NoSuchFile { path: path.clone() });
    };
    progress.begin("read", file.len, 1);
    let mut taker = OneFile { entry, out, progress, report: ExportReport::default() };
    let read = read_contents(bundle, volumes, &mut taker, &Inside { progress })?;
    taker.out.flush().map_err(ExportError::Output)?;
    Ok(ExportReport { read, ..taker.report })
}

/// Writes all files and empty directories as a tar stream, in manifest order.
///
/// # Errors
/// The writer fails. Damage and missing volumes end the output, without the end of an archive, and
/// stand in the report.
pub fn write_tar(
    bundle: &Bundle,
    volumes: &Volumes,
    out: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<ExportReport, ExportError> {
    progress.begin("export", bundle.head().totals.bytes, bundle.head().totals.files);
    let time = bundle.head().created_at.unix();
    let mut taker = TarStream { out, time, report: ExportReport::default() };
    let read = read_contents(bundle, volumes, &mut taker, progress)?;
    let report = ExportReport { read, ..taker.report };
    if report.class().is_none() {
        // Only a whole archive gets its end: two records of zeros.
        taker.out.write_all(&[0; 2 * RECORD_LEN as usize]).map_err(ExportError::Output)?;
    }
    taker.out.flush().map_err(ExportError::Output)?;
    Ok(report)
}

struct OneFile<'a> {
    entry: u64,
    out: &'a mut dyn Write,
    progress: &'a dyn Progress,
    report: ExportReport,
}

impl Taker for OneFile<'_> {
    type Error = ExportError;

    fn wants(&mut self, piece: &Piece) -> Result<bool, ExportError> {
        Ok(piece.entry == self.entry)
    }

    fn take(&mut self, piece: &Piece, bytes: &[u8]) -> Result<Step, ExportError> {
        self.out.write_all(bytes).map_err(ExportError::Output)?;
        self.report.file_len += bytes.len() as u64;
        self.progress.advance(bytes.len() as u64, u64::from(piece.part.is_last));
        if !piece.part.is_last {
            return Ok(Step::On);
        }
        self.report.file_count = 1;
        Ok(Step::Stop)
    }

    fn lose(&mut self, _: &Piece) -> Result<Step, ExportError> {
        self.report.lost_count = 1;
        Ok(Step::Stop)
    }
}

struct TarStream<'a> {
    out: &'a mut dyn Write,
    time: u64,
    report: ExportReport,
}

impl TarStream<'_> {
    fn begin(&mut self, piece: &Piece) -> io::Result<()> {
        let mut path = piece.path.to_string();
        if piece.file.is_none() {
            path.push('/');
        }
        let mut header = tar::Header::new_ustar();
        if header.set_path(&path).is_err() {
            self.long_path(&path)?;
            let mut end = path.len().min(SHORT_LEN);
            while !path.is_char_boundary(end) {
                end -= 1;
            }
            header.set_path(path[..end].trim_end_matches('/'))?;
        }
        match &piece.file {
            Some(file) => self.header(header, tar::EntryType::Regular, file.len),
            None => self.header(header, tar::EntryType::Directory, 0),
        }
    }

    /// Writes a path that does not fit a header, as the extended header of POSIX.
    fn long_path(&mut self, path: &str) -> io::Result<()> {
        // The length at the front counts its own digits.
        let rest = format!(" path={path}\n");
        let lens = (rest.len() + 1..).find(|len| len.to_string().len() + rest.len() == *len);
        let record = format!("{}{rest}", lens.unwrap_or_default());
        let mut header = tar::Header::new_ustar();
        header.set_path("././@PaxHeader")?;
        self.header(header, tar::EntryType::XHeader, record.len() as u64)?;
        self.out.write_all(record.as_bytes())?;
        self.pad(record.len() as u64)
    }

    fn header(&mut self, mut header: tar::Header, kind: tar::EntryType, len: u64) -> io::Result<()> {
        header.set_entry_type(kind);
        header.set_mode(if kind == tar::EntryType::Directory { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(len);
        header.set_mtime(self.time);
        header.set_cksum();
        self.out.write_all(header.as_bytes())
    }

    fn pad(&mut self, len: u64) -> io::Result<()> {
        let missing = len.next_multiple_of(RECORD_LEN) - len;
        self.out.write_all(&[0; RECORD_LEN as usize][..missing as usize])
    }
}

impl Taker for TarStream<'_> {
    type Error = ExportError;

    fn wants(&mut self, _: &Piece) -> Result<bool, ExportError> {
        Ok(true)
    }

    fn take(&mut self, piece: &Piece, bytes: &[u8]) -> Result<Step, ExportError> {
        if piece.offset == 0 {
            self.begin(piece).map_err(ExportError::Output)?;
        }
        self.out.write_all(bytes).map_err(ExportError::Output)?;
        if let Some(file) = piece.file.filter(|_| piece.part.is_last) {
            self.pad(file.len).map_err(ExportError::Output)?;
            self.report.file_count += 1;
            self.report.file_len += file.len;
        }
        Ok(Step::On)
    }

    fn lose(&mut self, _: &Piece) -> Result<Step, ExportError> {
        self.report.lost_count += 1;
        Ok(Step::Stop)
    }
}
