//! From a bundle into the stream that container engines load.

use super::carried::{CarriedImage, CarriedImages};
use super::layout::{INDEX_NAME, MARK, MARK_NAME, blob_path, encode_index};
use super::saved::{Archive, SAVED_NAME};
use super::tarball::{RECORD_LEN, file_header};
use crate::format::cover::Piece;
use crate::format::{EntryPath, Sha256};
use crate::pipeline::bundle::Bundle;
use crate::pipeline::contents::{Step, Taker, read_contents};
use crate::pipeline::export::{ExportError, ExportReport};
use crate::pipeline::progress::{Inside, Progress};
use crate::pipeline::volumes::Volumes;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

/// Writes images as one archive that `docker load`, `ctr images import` and skopeo read: a layout, and
/// the `manifest.json` of older engines. Every digest stays what it is.
///
/// # Errors
/// The writer fails. Damage and missing volumes end the output, without the end of an archive, and
/// stand in the report.
pub fn write_archive(
    bundle: &Bundle,
    volumes: &Volumes,
    images: &CarriedImages,
    out: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<ExportReport, ExportError> {
    let total_len = images.blobs.values().map(|blob| blob.len).sum();
    progress.begin("load", total_len, images.blobs.len() as u64);
    let due = images.blobs.iter().map(|(digest, blob)| (blob.path.clone(), *digest)).collect();
    let time = bundle.head().created_at.unix();
    let mut stream = Stream { out, time, due, progress, report: ExportReport::default() };
    stream.documents(images).map_err(ExportError::Output)?;
    let silent = Inside { progress };
    let read = if stream.due.is_empty() { None } else { Some(read_contents(bundle, volumes, &mut stream, &silent)?) };
    if stream.report.lost_count == 0 {
        stream.report.lost_count = stream.due.len() as u64;
    }
    let report = ExportReport { read: read.unwrap_or_default(), ..stream.report };
    if report.class().is_none() {
        // Only a whole archive gets its end: two records of zeros.
        stream.out.write_all(&[0; 2 * RECORD_LEN as usize]).map_err(ExportError::Output)?;
    }
    stream.out.flush().map_err(ExportError::Output)?;
    Ok(report)
}

/// Returns what the vendor's loader reads beside the archives: which file is which image, those of an
/// earlier list included.
pub fn saved_list(images: &CarriedImages, earlier: &[Archive]) -> Vec<u8> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for archive in earlier {
        let file = archive.path.file_name().map(|name| name.to_string_lossy().into_owned());
        files.extend(file.zip(archive.image_name.as_ref().map(ToString::to_string)));
    }
    let names = images.images.iter().map(|one| &one.image.image_name);
    files.extend(names.map(|name| (name.saved_name(), name.to_string())));
    let list: Vec<_> = files.iter().map(|(file, name)| json!({ "file": file, "ref": name })).collect();
    let mut bytes = serde_json::to_vec_pretty(&list).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

struct Stream<'a> {
    out: &'a mut dyn Write,
    time: u64,
    /// What is still to come, by its path in the bundle.
    due: BTreeMap<EntryPath, Sha256>,
    progress: &'a dyn Progress,
    report: ExportReport,
}

impl Stream<'_> {
    /// Writes what engines look for first, and the manifests.
    fn documents(&mut self, images: &CarriedImages) -> io::Result<()> {
        self.file(MARK_NAME, MARK.as_bytes())?;
        self.file(INDEX_NAME, &encode_index(images.images.iter().map(|one| &one.image)))?;
        self.file(SAVED_NAME, &archive_manifest(images))?;
        let mut written = BTreeSet::new();
        for one in &images.images {
            // A layer that is a manifest as well comes with the blobs.
            let digest = one.image.manifest.digest;
            if written.insert(digest) && !images.blobs.contains_key(&digest) {
                self.file(&blob_path(digest), &one.bytes)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let len = bytes.len() as u64;
        self.out.write_all(file_header(path, len, self.time)?.as_bytes())?;
        self.out.write_all(bytes)?;
        self.pad(len)
    }

    fn pad(&mut self, len: u64) -> io::Result<()> {
        let missing = len.next_multiple_of(RECORD_LEN) - len;
        self.out.write_all(&[0; RECORD_LEN as usize][..missing as usize])
    }
}

fn archive_manifest(images: &CarriedImages) -> Vec<u8> {
    let one = |carried: &CarriedImage| {
        let manifest = &carried.manifest;
        json!({
            "Config": blob_path(manifest.config.digest),
            "RepoTags": carried.image.image_name.tagged().map(|tag| vec![tag]),
            "Layers": manifest.layers.iter().map(|layer| blob_path(layer.digest)).collect::<Vec<_>>(),
        })
    };
    serde_json::to_vec(&images.images.iter().map(one).collect::<Vec<_>>()).unwrap_or_default()
}

impl Taker for Stream<'_> {
    type Error = ExportError;

    fn wants(&mut self, piece: &Piece) -> Result<bool, ExportError> {
        Ok(piece.file.is_some() && self.due.contains_key(&piece.path))
    }

    fn take(&mut self, piece: &Piece, bytes: &[u8]) -> Result<Step, ExportError> {
        let (Some(digest), Some(file)) = (self.due.get(&piece.path).copied(), &piece.file) else { return Ok(Step::On) };
        if piece.offset == 0 {
            let header = file_header(&blob_path(digest), file.len, self.time).map_err(ExportError::Output)?;
            self.out.write_all(header.as_bytes()).map_err(ExportError::Output)?;
        }
        self.out.write_all(bytes).map_err(ExportError::Output)?;
        self.progress.advance(bytes.len() as u64, u64::from(piece.part.is_last));
        if piece.part.is_last {
            self.pad(file.len).map_err(ExportError::Output)?;
            self.due.remove(&piece.path);
            self.report.file_count += 1;
            self.report.file_len += file.len;
        }
        Ok(if self.due.is_empty() { Step::Stop } else { Step::On })
    }

    fn lose(&mut self, _: &Piece) -> Result<Step, ExportError> {
        self.report.lost_count += 1;
        Ok(Step::Stop)
    }
}
