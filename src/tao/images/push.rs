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
    let mut pushing = Pushing {
        registry: destination.registry,
        images,
        wishes: BTreeSet::new(),
        homes: BTreeMap::new(),
        broken: BTreeMap::new(),
        lost: BTreeSet::new(),
        report: PushReport::default(),
    };
    pushing.look(&placed, progress)?;
    while !pushing.wishes.is_empty() && !pushing.report.read.is_cancelled {
        progress.begin("push", bundle.head().totals.bytes, bundle.head().totals.files);
        let uploads = pushing.begin()?;
        let mut sender = Sender::new(pushing.registry, images, uploads, &mut pushing.report);
        let read = read_contents(bundle, volumes, &mut sender, progress)?;
        let ended = sender.end(read.is_cancelled);
        pushing.report.add(read);
        pushing.settle(ended)?;
    }
    if !pushing.report.read.is_cancelled {
        pushing.name_all(&placed)?;
    }
    Ok(pushing.report)
}

/// What is to be done, and what is.
struct Pushing<'a> {
    registry: &'a Registry<'a>,
    images: &'a CarriedImages,
    wishes: BTreeSet<Wish>,
    /// Where the registry has a blob already, for other repositories to take it from.
    homes: BTreeMap<Sha256, String>,
    /// How often a blob broke on the way.
    broken: BTreeMap<Sha256, u32>,
    /// What can't be had.
    lost: BTreeSet<Sha256>,
    report: PushReport,
}

impl Pushing<'_> {
    /// Asks the registry which blobs it has.
    fn look(&mut self, placed: &[Placed<'_>], progress: &dyn Progress) -> Result<(), PushError> {
        for (digest, repository) in wanted(placed) {
            let len = self.images.blobs.get(&digest).map_or(0, |blob| blob.len);
            if self.registry.has_blob(&repository, digest, len)? {
                self.report.there_count += 1;
                self.homes.insert(digest, repository);
            } else {
                self.wishes.insert((digest, repository));
            }
            if progress.is_cancelled() {
                self.report.read.is_cancelled = true;
                break;
            }
        }
        Ok(())
    }

    /// Lets repositories take blobs that the registry has, and begins to send one copy of every other.
    fn begin(&mut self) -> Result<BTreeMap<Sha256, (String, Option<Upload>)>, PushError> {
        let mut uploads: BTreeMap<Sha256, (String, Option<Upload>)> = BTreeMap::new();
        for (digest, repository) in self.wishes.clone() {
            let Some(home) = self.homes.get(&digest) else {
                uploads.entry(digest).or_insert((repository, None));
                continue;
            };
            match self.registry.mount(&repository, digest, home)? {
                Mounted::Done => {
                    self.report.there_count += 1;
                    self.wishes.remove(&(digest, repository));
                }
                // Of one digest a single copy is sent at a time; the others are asked for again.
                Mounted::Upload(upload) if uploads.contains_key(&digest) => self.registry.abandon(&upload),
                Mounted::Upload(upload) => drop(uploads.insert(digest, (repository, Some(upload)))),
            }
        }
        Ok(uploads)
    }

    /// Writes down what became of the blobs that were to be sent.
    fn settle(&mut self, ended: Ended) -> Result<(), PushError> {
        for (digest, repository) in ended.sent {
            self.wishes.remove(&(digest, repository.clone()));
            self.homes.insert(digest, repository);
        }
        for digest in ended.left {
            self.lost.insert(digest);
            self.wishes.retain(|(wished, _)| *wished != digest);
        }
        for (digest, error) in ended.failed {
            let count = self.broken.entry(digest).or_default();
            *count += 1;
            if *count >= SEND_COUNT_MAX {
                return Err(error.into());
            }
            self.registry.wait_after(*count)?;
        }
        Ok(())
    }

    /// Gives every image its name whose blobs are there.
    fn name_all(&mut self, placed: &[Placed<'_>]) -> Result<(), PushError> {
        for one in placed {
            let image = &one.carried.image;
            if one.carried.manifest.blobs().any(|blob| self.lost.contains(&blob.digest)) {
                self.report.lost.push(image.image_name.clone());
                continue;
            }
            if self.registry.digest_of(&one.repository, &one.target)? == Some(image.manifest.digest) {
                self.report.already.push(one.name());
                continue;
            }
            let given = Given { bytes: one.carried.bytes.clone(), media_type: image.manifest.media_type.clone() };
            self.registry.put_manifest(&Place { repository: &one.repository, target: &one.target }, &given)?;
            self.report.pushed.push(one.name());
        }
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use super::super::layout::Image;
    use super::super::manifest::{CONFIG_TYPE, Descriptor, MANIFEST_TYPE, Manifest};
    use super::*;

    fn carried(names: &[&str]) -> CarriedImages {
        let one = |name: &&str| {
            let blob = |media_type: &str| Descriptor {
                media_type: media_type.to_owned(),
                digest: Sha256::of(name.as_bytes()),
                len: 1,
            };
            let image_name = ImageName::parse(name).expect("a name");
            let image = Image { image_name, manifest: blob(MANIFEST_TYPE), platform: None };
            let manifest = Manifest { config: blob(CONFIG_TYPE), layers: Vec::new() };
            CarriedImage { image, bytes: Vec::new(), manifest }
        };
        CarriedImages { images: names.iter().map(one).collect(), blobs: BTreeMap::new() }
    }

    fn names(images: &CarriedImages, prefix: Option<&str>) -> Result<Vec<String>, PushError> {
        Ok(place(images, prefix)?.iter().map(Placed::name).collect())
    }

    #[test]
    fn the_prefix_stands_in_place_of_the_registry() {
        let digest = Sha256::of(b"x");
        let images = carried(&["nvcr.io/nvidia/tao:1", "mongo:7", &format!("a/b@sha256:{digest}")]);
        let own = images.images[2].image.manifest.digest;
        let with = |prefix| names(&images, prefix).expect("good names");
        assert_eq!(with(None), [format!("a/b@sha256:{own}"), "library/mongo:7".into(), "nvidia/tao:1".into()]);
        assert_eq!(with(Some("x/y"))[2], "x/y/nvidia/tao:1");
        for prefix in ["../x", "X", "a//b"] {
            assert!(matches!(names(&images, Some(prefix)), Err(PushError::BadName { .. })), "{prefix}");
        }
    }

    #[test]
    fn two_images_of_one_name_are_refused() {
        let images = carried(&["docker.io/library/a:1", "quay.io/library/a:1"]);
        let Err(PushError::Clash { name, .. }) = names(&images, None) else { panic!("no clash") };
        assert_eq!(name, "library/a:1");
    }
}
