//! Finishing: manifest, pack table, README and attachments, and last the head.

use super::error::PackError;
use super::journal::Line;
use super::readme::readme;
use super::records::LogReader;
use super::state::{LOG_NAMES, State};
use super::{Attached, PackOptions};
use crate::format::head::{FormatTag, Head, ManifestFile, PacksFile, PlainFile, SuiteTag, Totals, Volumes};
use crate::format::limits::{PAGE_COUNT_MAX, ROOTS_LEN_MAX};
use crate::format::manifest::{FileFacts, ManifestEncoder, ManifestRoot, part_bound};
use crate::format::packs::{PackRoot, PackTableEncoder};
use crate::format::{Digest, Mark, Sha256, Structure};
use crate::machine::{Machine, MachineFile, read_limited};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// Writes everything but the volumes and returns the head.
///
/// All of it follows from the logs and the arguments, so it may be done again after any stop.
pub(super) fn finish(
    state: &State,
    options: &PackOptions,
    attachments: &[Attached],
    line: &Line,
) -> Result<Head, PackError> {
    let (manifest_root, tree_id, manifest_pages) = write_manifest_pages(state, line)?;
    let (pack_root, volumes, pack_pages) = write_pack_pages(state, line)?;
    let (manifest_bytes, pack_bytes) = (manifest_root.encode(), pack_root.encode());
    check_limits(&manifest_root, &pack_root, (manifest_bytes.len() + pack_bytes.len()) as u64)?;
    let manifest = join(state, &manifest_bytes, &manifest_pages, "manifest")?;
    let packs = join(state, &pack_bytes, &pack_pages, "packs")?;
    let totals = Totals {
        files: manifest_root.file_count,
        directories: manifest_root.entry_count - manifest_root.file_count,
        bytes: manifest_root.total_len,
    };
    let readme_text = readme(options, state.created_at, &volumes, &totals);
    let readme = plain_file(readme_text.as_bytes());
    state.write_durably(&state.out.join("README.txt"), readme_text.as_bytes())?;
    copy_attachments(state, attachments)?;
    state.make_dir(&state.out.join("signatures"))?;
    let head = Head {
        format: FormatTag::Airlift1,
        suite: SuiteTag::Blake3Sha256,
        stream: options.stream.clone(),
        counter: options.counter,
        previous: options.previous,
        created_at: state.created_at,
        not_after: options.not_after,
        audience: options.audience.clone(),
        content_id: Digest::of_structure(Structure::ManifestRoot, &manifest_bytes),
        tree_id,
        manifest: ManifestFile {
            length: manifest.length,
            root_length: manifest_bytes.len() as u64,
            blake3: manifest.blake3,
            sha256: manifest.sha256,
        },
        packs: PacksFile {
            root: Digest::of_structure(Structure::PackRoot, &pack_bytes),
            length: packs.length,
            root_length: pack_bytes.len() as u64,
            blake3: packs.blake3,
            sha256: packs.sha256,
        },
        readme,
        volumes,
        bases: Vec::new(),
        repairs: None,
        totals,
        attachments: attachments.iter().map(|one| one.facts.clone()).collect(),
        critical: Vec::new(),
        ext: options.ext.clone(),
    };
    head.check().map_err(PackError::Head)?;
    // The head last: while it is missing, the bundle is not finished.
    state.write_durably(&state.out.join("head.json"), &head.encode())?;
    Ok(head)
}

/// Writes the pages of the manifest to a file of the state; returns root, tree id and that file.
fn write_manifest_pages(state: &State, line: &Line) -> Result<(ManifestRoot, Sha256, PathBuf), PackError> {
    let mut entries = LogReader::open(&state.machine, &state.path(LOG_NAMES[0]), line.logs[0].len)?;
    let mut rows = LogReader::open(&state.machine, &state.path(LOG_NAMES[1]), line.logs[1].len)?;
    let mut marks = LogReader::open(&state.machine, &state.path(LOG_NAMES[2]), line.logs[2].len)?;
    let mut pages = PageFile::create(&state.machine, &state.path("manifest.pages"))?;
    let mut encoder = ManifestEncoder::new();
    let mut listing = Mark::start();
    while let Some(record) = entries.next_entry()? {
        let path = record.source.path;
        let Some(facts) = record.file else {
            pages.add(encoder.push_directory(path))?;
            continue;
        };
        listing.update(format!("{}  {path}\n", facts.sha256).as_bytes());
        pages.add(encoder.push_file(path, &facts))?;
        push_rows(&mut encoder, &facts, &mut rows, &mut marks, &mut pages)?;
    }
    let (root, last) = encoder.finish();
    pages.add(last)?;
    Ok((root, listing.digest(), pages.finish()?))
}

fn push_rows(
    encoder: &mut ManifestEncoder,
    facts: &FileFacts,
    rows: &mut LogReader,
    marks: &mut LogReader,
    pages: &mut PageFile,
) -> Result<(), PackError> {
    let bound = part_bound(facts.len);
    let (mut done_len, mut part_len) = (0, 0);
    while done_len < facts.len {
        let (row, _) = rows.next_row()?.ok_or_else(|| rows.damaged())?;
        pages.add(encoder.push_row(&row))?;
        done_len += u64::from(row.len);
        part_len += u64::from(row.len);
        if part_len >= bound && done_len < facts.len {
            let mark = marks.next_mark()?.filter(|mark| mark.offset() == done_len);
            pages.add(encoder.push_mark(&mark.ok_or_else(|| marks.damaged())?))?;
            part_len = 0;
        }
    }
    Ok(())
}

/// Writes the pages of the pack table to a file of the state.
fn write_pack_pages(state: &State, line: &Line) -> Result<(PackRoot, Volumes, PathBuf), PackError> {
    let mut packs = LogReader::open(&state.machine, &state.path(LOG_NAMES[3]), line.logs[3].len)?;
    let mut pages = PageFile::create(&state.machine, &state.path("packs.pages"))?;
    let mut encoder = PackTableEncoder::new();
    let mut volumes = Volumes { count: 0, length: 0 };
    while let Some(pack) = packs.next_pack()? {
        volumes.length += pack.place.map_or(0, |place| place.stored_len());
        pages.add(encoder.push(&pack))?;
    }
    let (root, last) = encoder.finish();
    pages.add(last)?;
    volumes.count = root.volume_count;
    Ok((root, volumes, pages.finish()?))
}

fn check_limits(manifest: &ManifestRoot, packs: &PackRoot, roots_len: u64) -> Result<(), PackError> {
    let page_count = manifest.pages.len().max(packs.pages.len());
    if page_count > PAGE_COUNT_MAX as usize {
        return Err(PackError::TooMuch { what: "pages" });
    }
    if roots_len > ROOTS_LEN_MAX {
        return Err(PackError::TooMuch { what: "roots" });
    }
    Ok(())
}

/// Joins root and pages to a file of the bundle.
fn join(state: &State, root: &[u8], pages: &Path, name: &'static str) -> Result<PlainFile, PackError> {
    let new_path = state.path("new");
    let failed = PackError::io("write", &new_path);
    let mut hashing = Hashing::new(state.machine.create(&new_path, 0o666).map_err(&failed)?);
    hashing.write_all(root).map_err(&failed)?;
    let mut source = state.machine.open_to_read(pages).map_err(PackError::io("open", pages))?;
    io::copy(&mut source, &mut hashing).map_err(&failed)?;
    let facts = hashing.finish().map_err(&failed)?;
    let path = state.out.join(name);
    state.machine.rename(&new_path, &path).map_err(PackError::io("rename to", &path))?;
    state.machine.sync_directory(&state.out).map_err(PackError::io("write", &state.out))?;
    Ok(facts)
}

fn copy_attachments(state: &State, attachments: &[Attached]) -> Result<(), PackError> {
    if attachments.is_empty() {
        return Ok(());
    }
    let dir = state.out.join("attachments");
    state.make_dir(&dir)?;
    for (number, attached) in (1..).zip(attachments) {
        let bytes = read_attachment(&attached.path, attached.facts.length)?;
        if Sha256::of(&bytes) != attached.facts.sha256 {
            return Err(PackError::AttachmentChanged { path: attached.path.clone() });
        }
        state.write_durably(&dir.join(format!("{number:02}")), &bytes)?;
    }
    Ok(())
}

/// Reads an attachment, one byte more than `len_max` at most.
pub(super) fn read_attachment(path: &Path, len_max: u64) -> Result<Vec<u8>, PackError> {
    read_limited(path, len_max).map_err(PackError::io("read", path))
}

fn plain_file(bytes: &[u8]) -> PlainFile {
    PlainFile { length: bytes.len() as u64, blake3: Digest::of(bytes), sha256: Sha256::of(bytes) }
}

/// A file that takes pages as they are finished.
struct PageFile {
    writer: BufWriter<MachineFile>,
    path: PathBuf,
}

impl PageFile {
    fn create(machine: &Machine, path: &Path) -> Result<PageFile, PackError> {
        let file = machine.create(path, 0o666).map_err(PackError::io("create", path))?;
        Ok(PageFile { writer: BufWriter::new(file), path: path.to_owned() })
    }

    fn add(&mut self, page: Option<Vec<u8>>) -> Result<(), PackError> {
        let Some(page) = page else { return Ok(()) };
        self.writer.write_all(&page).map_err(PackError::io("write", &self.path))
    }

    fn finish(mut self) -> Result<PathBuf, PackError> {
        self.writer.flush().map_err(PackError::io("write", &self.path))?;
        Ok(self.path)
    }
}

/// Writes a file and hashes it on the way.
struct Hashing {
    writer: BufWriter<MachineFile>,
    len: u64,
    blake3: blake3::Hasher,
    sha256: Mark,
}

impl Hashing {
    fn new(file: MachineFile) -> Hashing {
        let writer = BufWriter::with_capacity(1 << 20, file);
        Hashing { writer, len: 0, blake3: blake3::Hasher::new(), sha256: Mark::start() }
    }

    fn finish(self) -> io::Result<PlainFile> {
        let file = self.writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync()?;
        let blake3 = Digest::from_bytes(*self.blake3.finalize().as_bytes());
        Ok(PlainFile { length: self.len, blake3, sha256: self.sha256.digest() })
    }
}

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write_all(bytes)?;
        self.len += bytes.len() as u64;
        self.blake3.update(bytes);
        self.sha256.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
