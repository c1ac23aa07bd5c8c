//! Small releases made by seed, imports of them, and what an import must leave.

use crate::by_hand::{self, HandPack};
use crate::fixture::{STREAM, allowed_signers, import_options, name, objects, scratch, signer, terms, upload_count};
use crate::tree::Random;
use airlift::format::{Head, SignatureFile};
use airlift::machine::Machine;
use airlift::media::Medium;
use airlift::pipeline::bundle::{BundleError, TrustedBundle, sources_of};
use airlift::pipeline::globs::Glob;
use airlift::pipeline::import::{Holder, ImportError, ImportOptions, ImportReport, ReceiptSigner, Shipment, import_on};
use airlift::pipeline::progress::Quiet;
use airlift::pipeline::volumes::Volumes;
use airlift::store::{Key, MemoryStore, Store, paging};
use airlift::trust::policy::Expected;
use airlift::trust::{Authority, Purpose, Revoked, TrustedHead, authenticate};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files by path.
type Files = BTreeMap<String, Vec<u8>>;

/// How large the files of a scene are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// A few kilobytes each.
    Small,
    /// One of them has several parts.
    Parts,
}

/// Two releases of a stream, the second a change of the first.
pub(crate) struct Scene {
    pub(crate) releases: [Release; 2],
    _directory: tempfile::TempDir,
}

/// A release on media, and what must be there after its import.
pub(crate) struct Release {
    /// A medium that carries every volume.
    pub(crate) whole: PathBuf,
    /// Media that carry one volume each.
    pub(crate) single: Vec<PathBuf>,
    /// A medium with a bit flipped in every volume.
    pub(crate) damaged: PathBuf,
    /// Key and bytes of every file.
    pub(crate) objects: BTreeMap<String, Bytes>,
    /// What lies under the state prefix, but for what tells of times and counts.
    state: BTreeMap<String, Vec<u8>>,
}

impl Scene {
    pub(crate) fn new(number: u64, extent: Extent) -> Scene {
        let directory = scratch();
        let mut random = Random::new(number + 1);
        let first = files(&mut random, extent);
        let second = changed(&first, &mut random);
        let releases = [(1, first), (2, second)].map(|(counter, files)| {
            let packs = packs_of(&files, &mut random);
            let top = directory.path().join(counter.to_string());
            Release::new(&top, counter, (&files, &packs), &mut random)
        });
        Scene { releases, _directory: directory }
    }
}

fn files(random: &mut Random, extent: Extent) -> Files {
    let mut files = Files::new();
    for root in ["datasets", "models"] {
        let mut earlier: Vec<Vec<u8>> = vec![Vec::new()];
        for number in 0..2 + random.below(4) {
            let bytes = match random.below(3) {
                0 => earlier[random.below(earlier.len() as u64) as usize].clone(),
                _ => {
                    let len = 1 + random.below(3000);
                    random.bytes(len as usize)
                }
            };
            earlier.push(bytes.clone());
            files.insert(format!("{root}/{}/{number}", random.below(3)), bytes);
        }
    }
    if extent == Extent::Parts {
        // Chunks that differ in one part and the next, and are the same within each.
        let mut bytes = vec![random.next() as u8; 32 << 20];
        bytes.resize((32 << 20) + 1 + random.below(100_000) as usize, random.next() as u8);
        files.insert("models/1/large".to_owned(), bytes.clone());
        // Behind it, and the same in its first chunk: a reference.
        files.insert("models/2/tail".to_owned(), bytes[..4 << 20].to_vec());
    }
    files
}

fn changed(files: &Files, random: &mut Random) -> Files {
    let mut changed = files.clone();
    for (path, bytes) in files {
        match random.below(6) {
            0 | 1 if bytes.len() < 4000 => {
                let len = random.below(3000) as usize;
                drop(changed.insert(path.clone(), random.bytes(len)));
            }
            2 if changed.len() > 2 => drop(changed.remove(path)),
            _ => {}
        }
    }
    for root in ["datasets", "models"] {
        changed.insert(format!("{root}/new"), random.bytes(500));
    }
    changed
}

/// Splits files in manifest order into packs, and these into volumes.
fn packs_of<'a>(files: &'a Files, random: &mut Random) -> Vec<HandPack<'a>> {
    let mut packs: Vec<HandPack<'a>> = Vec::new();
    let mut volume = 1;
    let mut follows_large = true;
    for (path, bytes) in files {
        let is_large = bytes.len() > 32 << 20;
        if follows_large || is_large || random.below(2) == 0 {
            volume += u32::from(!packs.is_empty() && random.below(3) == 0);
            packs.push(HandPack { volume, files: Vec::new() });
        }
        packs.last_mut().expect("a pack").files.push((path, bytes.clone()));
        // Its last part lies in the next volume.
        volume += u32::from(is_large);
        follows_large = is_large;
    }
    packs
}

impl Release {
    fn new(top: &Path, counter: u64, (files, packs): (&Files, &[HandPack<'_>]), random: &mut Random) -> Release {
        let whole = top.join("whole");
        by_hand::write(&whole, counter, packs);
        let head = Head::decode(&fs::read(whole.join("head.json")).expect("read")).expect("a head");
        let single = (1..=head.volumes.count).map(|number| medium(top, &number.to_string(), &[number])).collect();
        let numbers: Vec<u32> = (1..=head.volumes.count).collect();
        let damaged = medium(top, "damaged", &numbers);
        numbers.iter().for_each(|number| flip_a_bit(&damaged.join(volume(*number)), random));
        let key_of = |path: &str| match path.strip_prefix("models/") {
            Some(below) => format!("registry/models/{below}"),
            None => path.replacen("datasets/", "data/", 1),
        };
        let objects = files.iter().map(|(path, bytes)| (key_of(path), Bytes::from(bytes.clone()))).collect();
        let mut release = Release { whole, single, damaged, objects, state: BTreeMap::new() };
        let (store, state) = (Arc::new(MemoryStore::new()), scratch());
        let host = Host::new(Machine::default(), state.path());
        let report = host.import(&release, std::slice::from_ref(&release.whole), &(Arc::clone(&store) as _), &|_| ());
        assert_eq!(report.expect("imported").class(), None);
        release.state = steady_state(store.as_ref());
        release
    }

    /// Returns what is wrong with a store that an import of this release has finished, after one of `before`.
    pub(crate) fn breach_of_end(&self, store: &dyn Store, before: Option<&Release>) -> Option<String> {
        let mut expected = before.map(|before| before.objects.clone()).unwrap_or_default();
        expected.extend(self.objects.clone());
        let found = objects(store);
        if !found.keys().eq(expected.keys()) {
            return Some(format!("objects {:?}, not {:?}", found.keys(), expected.keys()));
        }
        if let Some((key, _)) = found.iter().find(|&(key, bytes)| expected[key] != *bytes) {
            return Some(format!("{key} differs"));
        }
        if upload_count(store) > 0 {
            return Some("an upload is left".to_owned());
        }
        let (found, mut expected) = (steady_state(store), self.state.clone());
        let releases = before.map(|before| before.state.clone()).unwrap_or_default();
        expected.extend(releases.into_iter().filter(|(key, _)| key.contains("/releases/")));
        if !found.keys().eq(expected.keys()) {
            return Some(format!("state {:?}, not {:?}", found.keys(), expected.keys()));
        }
        let differs = found.iter().find(|&(key, bytes)| expected[key] != *bytes);
        differs.map(|(key, _)| format!("{key} differs"))
    }
}

/// Makes a medium that carries some volumes beside the files of every medium.
fn medium(top: &Path, name: &str, numbers: &[u32]) -> PathBuf {
    let (whole, medium) = (top.join("whole"), top.join(name));
    fs::create_dir_all(medium.join("volumes")).expect("made");
    fs::create_dir_all(medium.join("signatures")).expect("made");
    let always = ["head.json", "manifest", "packs", "README.txt", "signatures/1.sig"].map(str::to_owned);
    for file in always.into_iter().chain(numbers.iter().map(|number| volume(*number))) {
        fs::copy(whole.join(&file), medium.join(&file)).expect("copied");
    }
    medium
}

fn volume(number: u32) -> String {
    format!("volumes/{number:06}.vol")
}

fn flip_a_bit(path: &Path, random: &mut Random) {
    let mut bytes = fs::read(path).expect("read");
    let place = random.below(bytes.len() as u64) as usize;
    bytes[place] ^= 1 << random.below(8);
    fs::write(path, bytes).expect("written");
}

/// Returns what lies under the state prefix. Receipts and records tell of one run and are only named; not
/// every run signs its receipt.
fn steady_state(store: &dyn Store) -> BTreeMap<String, Vec<u8>> {
    let mut state = BTreeMap::new();
    for listed in paging::objects(store, ".airlift/") {
        let listed = listed.expect("listed");
        if listed.key.ends_with("/receipt.sig") {
            continue;
        }
        let tells_of_run = ["receipt.json", "objects"].iter().any(|name| listed.key.ends_with(name));
        let len = if tells_of_run { 0 } else { listed.len };
        let bytes = store.read(&Key::parse(&listed.key).expect("a key"), 0..len).expect("read");
        state.insert(listed.key, bytes.to_vec());
    }
    state
}

/// Returns the glob of the file that lands at a key.
pub(crate) fn last_at(key: &str) -> Glob {
    let (root, below) = match key.strip_prefix("registry/models/") {
        Some(below) => ("models", below),
        None => ("datasets", key.strip_prefix("data/").expect("a key of a scene")),
    };
    Glob::parse(below).expect("a glob").of_root(&name(root))
}

/// Where an importer runs, and as whom.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) machine: Machine,
    pub(crate) state: PathBuf,
    pub(crate) holder: Holder,
    /// Whether receipts are signed.
    pub(crate) signs: bool,
}

impl Host {
    /// Returns this process on a machine.
    pub(crate) fn new(machine: Machine, state: &Path) -> Host {
        Host { machine, state: state.to_owned(), holder: Holder::this_process(), signs: true }
    }

    /// Imports what these media have of a release.
    pub(crate) fn import(
        &self,
        release: &Release,
        media: &[PathBuf],
        store: &Arc<dyn Store>,
        adjust: &dyn Fn(&mut ImportOptions),
    ) -> Result<ImportReport, ImportError> {
        let opened = media.iter().map(|path| Medium::open_on(&self.machine, path).map(Arc::new));
        let media: Vec<Arc<Medium>> = opened.collect::<Result<_, _>>().map_err(BundleError::from)?;
        let head = Bytes::from(fs::read(release.whole.join("head.json")).expect("read"));
        let signature = fs::read(release.whole.join("signatures/1.sig")).expect("read");
        let signatures = [SignatureFile { number: 1, bytes: signature }];
        let expected = Expected { purpose: Purpose::Head, stream: Some(name(STREAM)) };
        let (signers, revoked) = (allowed_signers(), Revoked::default());
        let authority = Authority { signers: &signers, revoked: &revoked };
        let authentic = authenticate(head, &signatures, &expected, authority).expect("authentic");
        let head = TrustedHead::accept(authentic, &terms()).expect("trusted");
        let bundle = TrustedBundle::open(head, sources_of(&media))?;
        let volumes = Volumes::new(media);
        let shipment = Shipment { bundle: &bundle, volumes: &volumes, signatures: &signatures, authority };
        let mut options = import_options(&self.state);
        options.holder = self.holder.clone();
        adjust(&mut options);
        let sign = |receipt: &[u8]| Ok(signer().sign(&format!("airlift-receipt@v1/{STREAM}"), receipt));
        let sign: Option<&ReceiptSigner<'_>> = if self.signs { Some(&sign) } else { None };
        import_on(&self.machine, &shipment, store, &options, sign, &Quiet)
    }
}
