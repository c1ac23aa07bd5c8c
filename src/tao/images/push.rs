//! From a bundle into a registry, blob by blob, without a file on the way.

use super::carried::{CarriedImage, CarriedImages};
use super::image_name::{ImageName, ImageNameRule, check_repository, digest_text};
use super::registry::{Given, Mounted, Place, Registry, RegistryError, Upload};
use crate::error::Class;
use crate::format::cover::Piece;
use crate::format::{EntryPath, Sha256};
use crate::pipeline::bundle::{Bundle, BundleError};
use crate::pipeline::contents::{ReadReport, Step, Taker, read_contents};
use crate::pipeline::progress::Progress;
use crate::pipeline::volumes::Volumes;
use std::collections::{BTreeMap, BTreeSet};

/// How often a blob is sent that breaks on the way.
const SEND_COUNT_MAX: u32 = 3;
/// Longest blob that goes in one question, in bytes.
const SHORT_LEN_MAX: usize = 16 << 20;

/// Why images can't be pushed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// Manifest or pack table can't be used.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The registry does not take it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Two images would have one name there.
    #[error("{first} and {second} would both be {name} there")]
    Clash {
        /// One of them.
        first: String,
        /// The other.
        second: String,
        /// The name.
        name: String,
    },
    /// The prefix makes a name that is none.
    #[error("{image_name} can't be pushed there: {rule}")]
    BadName {
        /// The image.
        image_name: String,
        /// The rule that its name would break.
        rule: ImageNameRule,
    },
}

impl PushError {
    /// Returns whose problem it is.
    pub fn class(&self) -> Class {
        match self {
            PushError::Bundle(error) => error.class(),
            PushError::Registry(error) => error.class(),
            PushError::Clash { .. } => Class::Refused,
            PushError::BadName { .. } => Class::Usage,
        }
    }
}

/// What a push came to.
#[derive(Debug, Default)]
pub struct PushReport {
    /// Images that are there now, by the name that they have there.
    pub pushed: Vec<String>,
    /// Images that were there already, with the same digest.
    pub already: Vec<String>,
    /// Images that are not there, for want of a blob.
    pub lost: Vec<ImageName>,
    /// Blobs that were sent.
    pub sent_count: u64,
    /// Their bytes.
    pub sent_len: u64,
    /// Blobs that were there already, or that the registry took from another of its repositories.
    pub there_count: u64,
    /// What reading came to.
    pub read: ReadReport,
}

/// Where images go.
pub struct Destination<'a> {
    /// The registry.
    pub registry: &'a Registry<'a>,
    /// What stands before every repository.
    pub prefix: Option<&'a str>,
}

/// An image and the name that it will have.
struct Placed<'a> {
    carried: &'a CarriedImage,
    repository: String,
    target: String,
}

impl Placed<'_> {
    fn name(&self) -> String {
        let mark = if self.target.starts_with("sha256:") { '@' } else { ':' };
        format!("{}{mark}{}", self.repository, self.target)
    }
}

/// A blob of one repository.
type Wish = (Sha256, String);

/// Pushes images: blobs that the registry has not, then the manifests, whose digests stay what they are.
///
/// # Errors
/// Two images would have one name, or the registry takes nothing. Damage and missing volumes are no
/// errors: the report names them and the images that they cost.
pub fn push(
    bundle: &Bundle,
    volumes: &Volumes,
    images: &CarriedImages,
    destination: &Destination<'_>,
    progress: &dyn Progress,
) -> Result<PushReport, PushError> {
    let placed = place(images, destination.prefix)?;
    let mut report = PushReport::default();
    let registry = destination.registry;
    let mut wishes: BTreeSet<Wish> = BTreeSet::new();
    // Where the registry has a blob already, for other repositories to take it from.
    let mut homes: BTreeMap<Sha256, String> = BTreeMap::new();
    for (digest, repository) in wanted(&placed) {
        let len = images.blobs.get(&digest).map_or(0, |blob| blob.len);
        if registry.has_blob(&repository, digest, len)? {
            report.there_count += 1;
            homes.insert(digest, repository);
        } else {
            wishes.insert((digest, repository));
        }
        if progress.is_cancelled() {
            report.read.is_cancelled = true;
            return Ok(report);
        }
    }
    let mut lost = BTreeSet::new();
    let mut broken: BTreeMap<Sha256, u32> = BTreeMap::new();
    while !wishes.is_empty() && !report.read.is_cancelled {
        let uploads = begin(registry, &mut wishes, &homes, &mut report)?;
        progress.begin("push", bundle.head().totals.bytes, bundle.head().totals.files);
        let mut sender = Sender::new(registry, images, uploads, &mut report);
        let read = read_contents(bundle, volumes, &mut sender, progress)?;
        let Ended { sent, left, failed } = sender.end(read.is_cancelled);
        for (digest, repository) in sent {
            wishes.remove(&(digest, repository.clone()));
            homes.insert(digest, repository);
        }
        for digest in left {
            lost.insert(digest);
            wishes.retain(|(wished, _)| *wished != digest);
        }
        for (digest, error) in failed {
            let count = broken.entry(digest).or_default();
            *count += 1;
            if *count >= SEND_COUNT_MAX {
                return Err(error.into());
            }
            registry.wait_after(*count)?;
        }
        report.add(read);
    }
    if !report.read.is_cancelled {
        name_all(registry, &placed, &lost, &mut report)?;
    }
    Ok(report)
}

impl PushReport {
    fn add(&mut self, read: ReadReport) {
        self.read.findings.extend(read.findings);
        self.read.more_count += read.more_count;
        self.read.missing_volumes.extend(read.missing_volumes);
        self.read.is_cancelled |= read.is_cancelled;
    }
}

/// Gives every image its name in the registry: the repository keeps its path, and the prefix stands in
/// place of the registry.
fn place<'a>(images: &'a CarriedImages, prefix: Option<&str>) -> Result<Vec<Placed<'a>>, PushError> {
    let mut placed: BTreeMap<String, Placed<'a>> = BTreeMap::new();
    for carried in &images.images {
        let image_name = &carried.image.image_name;
        let repository = match prefix {
            Some(prefix) => format!("{prefix}/{}", image_name.repository()),
            None => image_name.repository().to_owned(),
        };
        let bad = |rule| PushError::BadName { image_name: image_name.to_string(), rule };
        check_repository(&repository).map_err(bad)?;
        let target = image_name.tag().map_or_else(|| digest_text(carried.image.manifest.digest), str::to_owned);
        let one = Placed { carried, repository, target };
        let name = one.name();
        if let Some(other) = placed.insert(name.clone(), one)
            && other.carried.image.manifest.digest != carried.image.manifest.digest
        {
            let first = other.carried.image.image_name.to_string();
            return Err(PushError::Clash { first, second: image_name.to_string(), name });
        }
    }
    Ok(placed.into_values().collect())
}

fn wanted(placed: &[Placed<'_>]) -> BTreeSet<Wish> {
    let wishes = placed.iter().flat_map(|one| {
        let blobs = one.carried.manifest.blobs();
        blobs.map(|blob| (blob.digest, one.repository.clone()))
    });
    wishes.collect()
}

/// Lets repositories take blobs that the registry has, and begins to send one copy of every other.
fn begin(
    registry: &Registry<'_>,
    wishes: &mut BTreeSet<Wish>,
    homes: &BTreeMap<Sha256, String>,
    report: &mut PushReport,
) -> Result<BTreeMap<Sha256, (String, Option<Upload>)>, PushError> {
    let mut uploads: BTreeMap<Sha256, (String, Option<Upload>)> = BTreeMap::new();
    for (digest, repository) in wishes.clone() {
        let Some(home) = homes.get(&digest) else {
            uploads.entry(digest).or_insert((repository, None));
            continue;
        };
        match registry.mount(&repository, digest, home)? {
            Mounted::Done => {
                report.there_count += 1;
                wishes.remove(&(digest, repository));
            }
            // Of one digest a single copy is sent at a time; the others are asked for again.
            Mounted::Upload(upload) if uploads.contains_key(&digest) => registry.abandon(&upload),
            Mounted::Upload(upload) => drop(uploads.insert(digest, (repository, Some(upload)))),
        }
    }
    Ok(uploads)
}

/// Sends the blobs that were begun, as they come out of the bundle.
struct Sender<'a> {
    registry: &'a Registry<'a>,
    /// What is still to be sent, by its path in the bundle.
    due: BTreeMap<EntryPath, (Sha256, String, Option<Upload>)>,
    report: &'a mut PushReport,
    ended: Ended,
}

/// What became of the blobs that were to be sent.
#[derive(Default)]
struct Ended {
    sent: Vec<Wish>,
    /// What can't be had.
    left: Vec<Sha256>,
    /// What broke on the way, and goes again from its start.
    failed: Vec<(Sha256, RegistryError)>,
}

impl<'a> Sender<'a> {
    fn new(
        registry: &'a Registry<'a>,
        images: &CarriedImages,
        uploads: BTreeMap<Sha256, (String, Option<Upload>)>,
        report: &'a mut PushReport,
    ) -> Sender<'a> {
        let due = uploads.into_iter().filter_map(|(digest, (repository, upload))| {
            let blob = images.blobs.get(&digest)?;
            Some((blob.path.clone(), (digest, repository, upload)))
        });
        Sender { registry, due: due.collect(), report, ended: Ended::default() }
    }

    fn end(self, is_cancelled: bool) -> Ended {
        let Sender { mut ended, due, .. } = self;
        let has_moved = !(ended.sent.is_empty() && ended.left.is_empty() && ended.failed.is_empty());
        if !has_moved && !is_cancelled {
            // What did not come this time never will.
            ended.left.extend(due.into_values().map(|(digest, _, _)| digest));
        }
        ended
    }

    /// Sends a piece, and tells whether the blob is there with it.
    fn send(&mut self, piece: &Piece, bytes: &[u8]) -> Result<bool, RegistryError> {
        let Some((digest, _, Some(upload))) = self.due.get_mut(&piece.path) else { return Ok(false) };
        let is_short = piece.offset == 0 && piece.part.is_last && bytes.len() <= SHORT_LEN_MAX;
        let last = if is_short { bytes } else { &[] };
        if !is_short {
            self.registry.send(upload, bytes)?;
        }
        if piece.part.is_last {
            self.registry.end(upload, last, *digest)?;
        }
        Ok(piece.part.is_last)
    }
}

impl Taker for Sender<'_> {
    type Error = PushError;

    fn wants(&mut self, piece: &Piece) -> Result<bool, PushError> {
        Ok(piece.file.is_some() && self.due.contains_key(&piece.path))
    }

    fn take(&mut self, piece: &Piece, bytes: &[u8]) -> Result<Step, PushError> {
        let Some((_, repository, upload)) = self.due.get_mut(&piece.path) else { return Ok(Step::On) };
        if upload.is_none() {
            *upload = Some(self.registry.begin(repository)?);
        }
        match self.send(piece, bytes) {
            Ok(is_there) => {
                self.report.sent_len += bytes.len() as u64;
                if is_there && let Some((digest, repository, _)) = self.due.remove(&piece.path) {
                    self.report.sent_count += 1;
                    self.ended.sent.push((digest, repository));
                }
            }
            Err(error) if error.class() == Class::Unavailable => {
                if let Some((digest, _, upload)) = self.due.remove(&piece.path) {
                    upload.iter().for_each(|upload| self.registry.abandon(upload));
                    self.ended.failed.push((digest, error));
                }
            }
            Err(error) => return Err(error.into()),
        }
        Ok(if self.due.is_empty() { Step::Stop } else { Step::On })
    }

    fn lose(&mut self, piece: &Piece) -> Result<Step, PushError> {
        if let Some((digest, _, upload)) = self.due.remove(&piece.path) {
            if let Some(upload) = upload {
                self.registry.abandon(&upload);
            }
            self.ended.left.push(digest);
        }
        Ok(if self.due.is_empty() { Step::Stop } else { Step::On })
    }
}

fn name_all(
    registry: &Registry<'_>,
    placed: &[Placed<'_>],
    lost: &BTreeSet<Sha256>,
    report: &mut PushReport,
) -> Result<(), PushError> {
    for one in placed {
        let image = &one.carried.image;
        if one.carried.manifest.blobs().any(|blob| lost.contains(&blob.digest)) {
            report.lost.push(image.image_name.clone());
            continue;
        }
        if registry.digest_of(&one.repository, &one.target)? == Some(image.manifest.digest) {
            report.already.push(one.name());
            continue;
        }
        let given = Given { bytes: one.carried.bytes.clone(), media_type: image.manifest.media_type.clone() };
        registry.put_manifest(&Place { repository: &one.repository, target: &one.target }, &given)?;
        report.pushed.push(one.name());
    }
    Ok(())
}
