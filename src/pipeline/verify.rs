//! Checking a bundle, at three depths, and naming everything that is wrong.

use super::bundle::{Bundle, BundleError, MetaSource as _};
use super::lookup::Lookup;
use super::progress::Progress;
use super::proof::Proofs;
use super::reader::{PackReader, ended_file_count};
use super::resolve::{NoSpares, Resolver};
use super::unpack::{Carried, Copies, Damage, ReferenceRun, room};
use super::volumes::{PackSource, Volumes};
use crate::error::Class;
use crate::format::cover::{PackContent, Piece};
use crate::format::packs::VolumeNumber;
use crate::format::walk::Item;
use crate::format::{Digest, EntryPath, Sha256};
use crate::media::{MediaError, Medium, MediumFile, MetaFile};
use sha2::Digest as _;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

/// How deep a check goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Signatures, head, manifest, pack table, README and attachments.
    Head,
    /// The same, and every stored byte of every volume by its digest.
    Stored,
    /// The same, and every chunk and every file after decoding.
    Contents,
}

/// Most findings that are kept with their details; the rest is counted.
const FINDING_COUNT_KEPT: usize = 1000;
/// Most file names that a finding lists.
const FILE_COUNT_LISTED: usize = 20;

/// Something wrong with a bundle.
#[derive(Debug)]
pub struct Finding {
    /// Whose problem it is.
    pub class: Class,
    /// The file of the bundle, as a path on the medium where one is known.
    pub place: String,
    /// The volume and its bytes, where the finding lies in one.
    pub extent: Option<(VolumeNumber, std::ops::Range<u64>)>,
    /// The rule that is broken.
    pub rule: Option<&'static str>,
    /// What is wrong, as one line.
    pub what: String,
    /// Files that can't be had for it: at most 20 names, and how many there are.
    pub files: (Vec<EntryPath>, u64),
}

/// What a check found.
#[derive(Debug, Default)]
pub struct Findings {
    /// The findings in the order of the bundle.
    pub findings: Vec<Finding>,
    /// Findings beyond those kept.
    pub more_count: u64,
    /// Volumes that are not at hand.
    pub missing_volumes: BTreeSet<VolumeNumber>,
    /// Bytes of files that were checked.
    pub checked_len: u64,
    /// Stored bytes that were checked.
    pub stored_len: u64,
    /// Whether the check was stopped before its end.
    pub is_cancelled: bool,
}

impl Findings {
    /// Returns the class of the whole: the gravest finding, or nothing for a good bundle.
    pub fn class(&self) -> Option<Class> {
        let grave = self.findings.iter().map(|finding| finding.class).max_by_key(|class| gravity(*class));
        let missing = (!self.missing_volumes.is_empty()).then_some(Class::Incomplete);
        let cancelled = self.is_cancelled.then_some(Class::Interrupted);
        [grave, missing, cancelled].into_iter().flatten().max_by_key(|class| gravity(*class))
    }

    /// Adds what is wrong with manifest or pack table, once: every walk over them meets it.
    fn add_bundle(&mut self, error: &BundleError) {
        let finding = bundle_finding(error);
        if !self.findings.iter().any(|known| known.place == finding.place && known.what == finding.what) {
            self.add(finding);
        }
    }

    fn add(&mut self, finding: Finding) {
        if self.findings.len() < FINDING_COUNT_KEPT {
            self.findings.push(finding);
        } else {
            self.more_count += 1;
        }
    }
}

/// Orders classes by how much they ask of a person.
pub(in crate::pipeline) const fn gravity(class: Class) -> u8 {
    match class {
        Class::Untrusted => 5,
        Class::Damaged => 4,
        Class::Refused | Class::BaseMissing => 3,
        Class::Incomplete => 1,
        Class::Interrupted => 0,
        _ => 2,
    }
}

/// Checks a bundle on these media to this depth with this many workers.
pub fn verify(
    bundle: &Bundle,
    media: &[Arc<Medium>],
    depth: Depth,
    threads: NonZeroUsize,
    progress: &dyn Progress,
) -> Findings {
    let mut findings = Findings::default();
    for medium in media {
        check_meta_files(bundle, medium, &mut findings);
        check_attachments(bundle, medium, &mut findings);
    }
    if let Err(error) = check_tree_id(bundle) {
        findings.add_bundle(&error);
    }
    if let Some(error) = bundle.sections().find_map(Result::err) {
        findings.add_bundle(&error);
    }
    if depth == Depth::Head {
        if let Some(error) = bundle.contents().find_map(Result::err) {
            findings.add_bundle(&error);
        }
        return findings;
    }
    let volumes = Volumes::new(media.to_vec());
    check_volume_lens(bundle, media, &mut findings);
    let lookup = Lookup::new();
    let resolver = Resolver::new(bundle, &volumes, &lookup, &NoSpares);
    let check = Check { resolver: &resolver, depth, progress, findings: Mutex::new(findings) };
    let (total_len, count) = (bundle.head().totals.bytes, bundle.head().totals.files);
    progress.begin("verify", total_len, count);
    check.run(bundle, threads);
    check.findings.into_inner().unwrap_or_else(PoisonError::into_inner)
}

struct Check<'a> {
    resolver: &'a Resolver<'a>,
    depth: Depth,
    progress: &'a dyn Progress,
    findings: Mutex<Findings>,
}

impl Check<'_> {
    fn run(&self, bundle: &Bundle, threads: NonZeroUsize) {
        let (send, receive) = crossbeam_channel::bounded::<PackContent>(threads.get());
        std::thread::scope(|scope| {
            for _ in 0..threads.get() {
                let receive = receive.clone();
                scope.spawn(move || {
                    let mut worker =
                        CheckWorker { reader: PackReader::new(self.resolver.base_count()), raw: Vec::new() };
                    for content in receive {
                        self.check_pack(&content, &mut worker);
                    }
                });
            }
            drop(receive);
            for content in bundle.contents() {
                if self.progress.is_cancelled() {
                    self.findings().is_cancelled = true;
                    break;
                }
                match content {
                    Ok(content) => {
                        if send.send(content).is_err() {
                            break;
                        }
                    }
                    Err(error) => {
                        self.findings().add_bundle(&error);
                        break;
                    }
                }
            }
            drop(send);
        });
    }

    fn findings(&self) -> std::sync::MutexGuard<'_, Findings> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_pack(&self, content: &PackContent, worker: &mut CheckWorker) {
        let Some(pack) = Carried::new(content) else { return };
        let sources = self.resolver.sources(content.number, &content.pack);
        if sources.is_empty() {
            self.findings().missing_volumes.insert(pack.place.volume);
        }
        sources.iter().for_each(|source| self.check_copy(&pack, source.as_ref(), worker));
        self.progress.advance(content.raw_len, ended_file_count(content));
    }

    fn check_copy(&self, pack: &Carried<'_>, source: &dyn PackSource, worker: &mut CheckWorker) {
        self.progress.now_at(&source.describe());
        let damages = match self.depth {
            Depth::Head | Depth::Stored => worker.reader.check_stored(pack, source),
            Depth::Contents => self.check_contents(pack, source, worker),
        };
        let mut findings = self.findings();
        findings.stored_len += pack.place.stored_len();
        findings.checked_len += pack.content.raw_len;
        for damage in &damages {
            findings.add(damage_finding(pack.content, &source.describe(), damage));
        }
    }

    fn check_contents(&self, pack: &Carried<'_>, source: &dyn PackSource, worker: &mut CheckWorker) -> Vec<Damage> {
        let (content, raw) = (pack.content, room(&mut worker.raw, pack.content.raw_len as usize));
        let mut fill = |run: &ReferenceRun, raw: &mut [u8]| Ok::<_, Infallible>(self.resolver.fill(content, run, raw));
        let mut proofs = Proofs::new(pack);
        let mut arrived = |rows: &mut dyn Iterator<Item = usize>, raw: &[u8]| proofs.add(rows, raw);
        let Ok(read) = worker.reader.read_copy(pack, (source, Copies::Both), raw, &mut fill, &mut arrived);
        self.findings().missing_volumes.extend(&read.absent);
        let unproven = proofs.finish(&read.bad_rows, raw).into_iter().map(|piece| pack.piece_damage(piece));
        read.bad_index.into_iter().chain(read.damages).chain(unproven).collect()
    }
}

struct CheckWorker {
    reader: PackReader,
    raw: Vec<u8>,
}

/// Reads `manifest`, `packs` and `README.txt` of one medium whole and compares lengths and digests (F-06).
fn check_meta_files(bundle: &Bundle, medium: &Medium, findings: &mut Findings) {
    let head = bundle.head();
    let due = [
        (MetaFile::Manifest, head.manifest.length, head.manifest.blake3, head.manifest.sha256),
        (MetaFile::Packs, head.packs.length, head.packs.blake3, head.packs.sha256),
        (MetaFile::Readme, head.readme.length, head.readme.blake3, head.readme.sha256),
    ];
    for (file, len, blake3, sha256) in due {
        let place = medium.describe(file);
        match medium.meta_file(file) {
            Ok(None) => {}
            Ok(Some(open)) => match digests_of(&open, len) {
                Ok(found) if found == Some((blake3, sha256)) => {}
                Ok(_) => findings.add(plain_finding(place, "F-06", "it is not the file that the head states")),
                Err(error) => findings.add(media_finding(&error)),
            },
            Err(error) => findings.add(media_finding(&error)),
        }
    }
}

fn check_attachments(bundle: &Bundle, medium: &Medium, findings: &mut Findings) {
    for (index, attachment) in bundle.head().attachments.iter().enumerate() {
        match medium.attachment(index + 1) {
            Ok(None) => {}
            Ok(Some(open)) => match digests_of(&open, attachment.length) {
                Ok(Some((_, sha256))) if sha256 == attachment.sha256 => {}
                Ok(_) => {
                    let place = open.path().display().to_string();
                    findings.add(plain_finding(place, "F-06", "it is not the attachment that the head states"));
                }
                Err(error) => findings.add(media_finding(&error)),
            },
            Err(error) => findings.add(media_finding(&error)),
        }
    }
}

/// Returns BLAKE3 and SHA-256 of a file; nothing where it has another length.
fn digests_of(file: &MediumFile, len: u64) -> Result<Option<(Digest, Sha256)>, MediaError> {
    if file.len() != len {
        return Ok(None);
    }
    let (mut blake3, mut sha256) = (blake3::Hasher::new(), sha2::Sha256::new());
    let mut buffer = vec![0; 1 << 20];
    let mut offset = 0;
    while offset < len {
        let step = buffer.len().min((len - offset) as usize);
        file.read_at(&mut buffer[..step], offset)?;
        blake3.update(&buffer[..step]);
        sha256.update(&buffer[..step]);
        offset += step as u64;
    }
    let blake3 = Digest::from_bytes(*blake3.finalize().as_bytes());
    Ok(Some((blake3, Sha256::from_bytes(sha256.finalize().into()))))
}

/// Compares the tree id of the head with the entries of the manifest (F-24).
pub(in crate::pipeline) fn check_tree_id(bundle: &Bundle) -> Result<(), BundleError> {
    let mut listing = sha2::Sha256::new();
    for item in bundle.items() {
        if let Item::Entry(entry) = item?
            && let Some(file) = &entry.file
        {
            listing.update(format!("{}  {}\n", file.sha256, entry.path));
        }
    }
    if bundle.head().tree_id == Sha256::from_bytes(listing.finalize().into()) {
        return Ok(());
    }
    Err(BundleError::OtherLen { name: "tree_id" })
}

/// Checks that every volume at hand has the length that its packs add up to (F-55).
fn check_volume_lens(bundle: &Bundle, media: &[Arc<Medium>], findings: &mut Findings) {
    let mut ends: Option<(VolumeNumber, u64)> = None;
    let mut compare = |number: VolumeNumber, end: u64| {
        for medium in media {
            match medium.volume(number) {
                Ok(Some(file)) if file.len() != end => {
                    let why = if file.len() < end { "it ends too soon" } else { "bytes follow its last pack" };
                    findings.add(Finding {
                        extent: Some((number, file.len().min(end)..file.len().max(end))),
                        ..plain_finding(file.path().display().to_string(), "F-55", why)
                    });
                }
                Ok(_) => {}
                Err(error) => findings.add(media_finding(&error)),
            }
        }
    };
    for page in 0..bundle.packs().pages.len() {
        // A page that can't be read is found again, and named, where the packs are checked.
        let Ok(packs) = bundle.pack_page(page) else { return };
        for place in packs.iter().filter_map(|pack| pack.place) {
            if let Some((number, end)) = ends
                && number != place.volume
            {
                compare(number, end);
            }
            ends = Some((place.volume, place.end()));
        }
    }
    if let Some((number, end)) = ends {
        compare(number, end);
    }
}

pub(in crate::pipeline) fn damage_finding(content: &PackContent, place: &str, damage: &Damage) -> Finding {
    let hit =
        |piece: &&Piece| piece.file.is_some() && damage.rows.iter().any(|&row| piece.rows.contains(&(row as usize)));
    let files: Vec<&Piece> = content.pieces.iter().filter(hit).collect();
    let names = files.iter().take(FILE_COUNT_LISTED).map(|piece| piece.path.clone()).collect();
    let is_elsewhere = content.pack.place.is_some_and(|own| own.volume != damage.volume);
    Finding {
        class: damage.fact.class(),
        place: if is_elsewhere { format!("which {place} refers to") } else { place.to_owned() },
        extent: Some((damage.volume, damage.range.clone())),
        rule: damage.fact.rule(),
        what: chain(&damage.fact),
        files: (names, files.len() as u64),
    }
}

fn bundle_finding(error: &BundleError) -> Finding {
    let place = match error {
        BundleError::Damaged { name, .. } | BundleError::Missing { name } => name.clone(),
        BundleError::Media(error) => error.path().display().to_string(),
        _ => "the bundle".to_owned(),
    };
    let rule = match error {
        BundleError::Damaged { source, .. } => source.rule(),
        BundleError::OtherLen { name: "tree_id" } => Some("F-24"),
        BundleError::Media(error) => rule_of(error),
        _ => None,
    };
    Finding { class: error.class(), place, extent: None, rule, what: chain(error), files: (Vec::new(), 0) }
}

fn media_finding(error: &MediaError) -> Finding {
    let place = error.path().display().to_string();
    Finding {
        class: error.class(),
        place,
        extent: None,
        rule: rule_of(error),
        what: chain(error),
        files: (Vec::new(), 0),
    }
}

/// Returns the rule that a medium breaks, where it is one.
fn rule_of(error: &MediaError) -> Option<&'static str> {
    let is_other =
        matches!(error, MediaError::NotRegular { .. } | MediaError::NotDirectory { .. } | MediaError::Mounted { .. });
    is_other.then_some("F-01")
}

fn plain_finding(place: String, rule: &'static str, what: &str) -> Finding {
    let (class, what) = (Class::Damaged, what.to_owned());
    Finding { class, place, extent: None, rule: Some(rule), what, files: (Vec::new(), 0) }
}

/// Returns an error and its causes as one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}
