//! Trees, bundles and imports for tests: made by seed, the same in every run.

use crate::authenticator::TestKey;
use airlift::format::{Head, Name, SignatureFile, Time};
use airlift::media::{Medium, find};
use airlift::pipeline::bundle::{TrustedBundle, sources_of};
use airlift::pipeline::import::{
    Destination, Holder, ImportError, ImportOptions, ImportReport, Mapping, OnExisting, Prefix, Shipment, import,
};
use airlift::pipeline::pack::{PackOptions, pack};
use airlift::pipeline::progress::Quiet;
use airlift::pipeline::volumes::Volumes;
use airlift::pipeline::walk::{Links, Unsupported};
use airlift::store::{IfMissing, Store, paging};
use airlift::trust::policy::Expected;
use airlift::trust::{AllowedSigners, Authority, Enrol, Purpose, Revoked, Terms, TrustedHead, authenticate};
use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) const STREAM: &str = "models-eu";

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).expect("a name")
}

/// Numbers by seed: not random enough for anything but tests.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).collect();
        bytes.truncate(len);
        bytes
    }

    /// Numbers as weights have them: the upper halves of small floats.
    pub(crate) fn weights(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 2);
        while bytes.len() < len {
            let sum: f32 = (0..4).map(|_| (self.next() >> 40) as f32 / (1u64 << 24) as f32 - 0.5).sum();
            bytes.extend_from_slice(&(sum * 0.05).to_le_bytes()[2..]);
        }
        bytes.truncate(len);
        bytes
    }
}

/// A safetensors file of BF16 tensors with this data.
pub(crate) fn safetensors(data: &[u8], tensor_count: usize) -> Vec<u8> {
    let step = data.len() / tensor_count / 2 * 2;
    let tensors: Vec<String> = (0..tensor_count)
        .map(|number| {
            let (start, end) =
                (number * step, if number + 1 == tensor_count { data.len() } else { (number + 1) * step });
            let count = (end - start) / 2;
            format!("\"t{number:03}\":{{\"dtype\":\"BF16\",\"shape\":[{count}],\"data_offsets\":[{start},{end}]}}")
        })
        .collect();
    let mut header = format!("{{{}}}", tensors.join(",")).into_bytes();
    while header.len() % 8 != 0 {
        header.push(b' ');
    }
    [&(header.len() as u64).to_le_bytes()[..], &header, data].concat()
}

/// What a test tree is made of.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    /// Bytes of the base model and of its fine-tune.
    pub(crate) model_len: usize,
    /// Bytes of each file of noise; they are not compressed.
    pub(crate) noise_len: usize,
    pub(crate) noise_count: u64,
    /// Small text files, some of them twice, with a picture for every fourth.
    pub(crate) small_count: usize,
}

/// Writes a tree of two roots below `top`: a base model, a fine-tune of it that shares most chunks,
/// noise, and small files. Returns the roots.
pub(crate) fn write_tree(top: &Path, size: Size, release: u64) -> Vec<(Name, PathBuf)> {
    let Size { model_len, noise_len, noise_count, small_count } = size;
    let mut random = Random::new(7);
    let mut base = random.weights(model_len);
    let models = top.join("models");
    let datasets = top.join("datasets");
    let put = |path: PathBuf, bytes: &[u8]| {
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, bytes).expect("written");
    };
    put(models.join("org/base/v1/model.safetensors"), &safetensors(&base, 8));
    let changed = model_len / 8;
    let step = 1 + release as usize % 3;
    let fresh = Random::new(100 + release).weights(changed);
    base[step * changed..][..changed].copy_from_slice(&fresh);
    put(models.join("org/tuned/v1/model.safetensors"), &safetensors(&base, 8));
    put(models.join("org/tuned/v1/config.json"), format!("{{\"release\": {release}}}\n").as_bytes());
    put(models.join("org/tuned/v1/lock"), b"");
    fs::create_dir_all(models.join("org/empty/v1")).expect("made");
    for number in 0..noise_count {
        put(models.join(format!("org/noise/{number}.bin")), &Random::new(1000 + number).bytes(noise_len));
    }
    for number in 0..small_count {
        let text = format!("label {} of picture {number}\n", number % 10).repeat(1 + number % 40);
        put(datasets.join(format!("train/labels/{:03}/{number:06}.txt", number / 100)), text.as_bytes());
        if number % 4 == 0 {
            let len = 2000 + (random.next() % 9000) as usize;
            put(datasets.join(format!("train/pictures/{number:06}.jpg")), &random.bytes(len));
        }
        if number % 10 == 0 {
            put(datasets.join(format!("val/labels/{number:06}.txt")), text.as_bytes());
        }
    }
    put(datasets.join("odd/a b?#+%&=é.txt"), b"odd name");
    vec![(name("models"), models), (name("datasets"), datasets)]
}

pub(crate) fn pack_options(roots: Vec<(Name, PathBuf)>, out: &Path, counter: u64) -> PackOptions {
    PackOptions {
        roots,
        links: Links::Refuse,
        unsupported: Unsupported::Refuse,
        out: out.to_owned(),
        stream: name(STREAM),
        counter,
        volume_len: 64 << 20,
        threads: NonZeroUsize::new(2).expect("two"),
        index_budget_len: 4 << 20,
        sort_budget_len: 4 << 20,
        created_at: Time::from_unix(1_790_000_000 + counter),
        previous: None,
        not_after: None,
        audience: None,
        attachments: Vec::new(),
    }
}

pub(crate) fn signer() -> TestKey {
    TestKey::ed25519(42)
}

pub(crate) fn allowed_signers() -> AllowedSigners {
    let line = format!("release-team namespaces=\"airlift-head@v1/*,airlift-receipt@v1/*\" {}\n", signer().line());
    AllowedSigners::parse(line.as_bytes()).expect("a good file")
}

/// Adds the test signer's signature to a bundle.
pub(crate) fn sign(bundle: &Path) {
    let head = fs::read(bundle.join("head.json")).expect("a head");
    let signatures = bundle.join("signatures");
    fs::create_dir_all(&signatures).expect("made");
    let namespace = format!("airlift-head@v1/{}", Head::decode(&head).expect("a head").stream);
    fs::write(signatures.join("1.sig"), signer().sign(&namespace, &head)).expect("written");
}

/// A tree, and the signed bundle packed from it.
pub(crate) struct Packed {
    pub(crate) directory: tempfile::TempDir,
}

impl Packed {
    pub(crate) fn new(size: Size, counter: u64) -> Packed {
        let directory = tempfile::tempdir().expect("a directory");
        let roots = write_tree(&directory.path().join("tree"), size, counter);
        let options = pack_options(roots, &directory.path().join("bundle"), counter);
        pack(&options, &Quiet).expect("packed");
        sign(&options.out);
        Packed { directory }
    }

    pub(crate) fn bundle(&self) -> PathBuf {
        self.directory.path().join("bundle")
    }

    pub(crate) fn tree(&self) -> PathBuf {
        self.directory.path().join("tree")
    }

    pub(crate) fn volume_numbers(&self) -> Vec<u32> {
        let head = Head::decode(&fs::read(self.bundle().join("head.json")).expect("a head")).expect("a head");
        (1..=head.volumes.count).collect()
    }

    /// Returns a bundle directory that carries everything but the volumes, and of these only some.
    pub(crate) fn medium(&self, name: &str, volumes: &[u32]) -> PathBuf {
        let medium = self.directory.path().join(name);
        fs::create_dir_all(medium.join("volumes")).expect("made");
        fs::create_dir_all(medium.join("signatures")).expect("made");
        for file in ["head.json", "manifest", "packs", "README.txt", "signatures/1.sig"] {
            fs::copy(self.bundle().join(file), medium.join(file)).expect("copied");
        }
        for number in volumes {
            let file = format!("volumes/{number:06}.vol");
            fs::copy(self.bundle().join(&file), medium.join(&file)).expect("copied");
        }
        medium
    }

    /// Returns what a store must hold: key and bytes of every file.
    pub(crate) fn expected(&self) -> BTreeMap<String, Vec<u8>> {
        let mut expected = BTreeMap::new();
        for (root, prefix) in [("models", "registry/models/"), ("datasets", "data/")] {
            let top = self.tree().join(root);
            collect(&top, &top, prefix, &mut expected);
        }
        expected
    }
}

fn collect(top: &Path, directory: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for item in fs::read_dir(directory).expect("a directory") {
        let path = item.expect("an entry").path();
        if path.is_dir() {
            collect(top, &path, prefix, files);
        } else {
            let below = path.strip_prefix(top).expect("below").to_str().expect("UTF-8");
            files.insert(format!("{prefix}{below}"), fs::read(&path).expect("read"));
        }
    }
}

pub(crate) fn terms() -> Terms {
    Terms { threshold: NonZeroUsize::MIN, audience: None, now: Time::from_unix(1_800_000_000), installed_at: None }
}

/// Returns the trusted release on these media, with its volumes and signatures.
pub(crate) fn open(places: &[PathBuf]) -> (TrustedBundle, Volumes, Vec<SignatureFile>) {
    let mut found = find(places).expect("a bundle");
    assert_eq!(found.len(), 1);
    let found = found.remove(0);
    let signatures = found.signatures;
    let expected = Expected { purpose: Purpose::Head, stream: Some(name(STREAM)) };
    let (signers, revoked) = (allowed_signers(), Revoked::default());
    let authority = Authority { signers: &signers, revoked: &revoked };
    let authentic = authenticate(found.head.into(), &signatures, &expected, authority).expect("authentic");
    let head = TrustedHead::accept(authentic, &terms()).expect("trusted");
    let media: Vec<Arc<Medium>> = found.media.into_iter().map(Arc::new).collect();
    let bundle = TrustedBundle::open(head, sources_of(&media)).expect("good roots");
    (bundle, Volumes::new(media), signatures)
}

pub(crate) fn import_options(state: &Path) -> ImportOptions {
    let state_prefix = Prefix::parse(".airlift/").expect("a prefix");
    let to = |prefix: &str| Destination::Prefix(Prefix::parse(prefix).expect("a prefix"));
    let roots = [(name("models"), to("registry/models/")), (name("datasets"), to("data/"))];
    ImportOptions {
        map: Mapping::new(roots, &state_prefix).expect("a mapping"),
        state_prefix,
        state_directory: state.to_owned(),
        store_name: "test".to_owned(),
        on_existing: OnExisting::Error,
        enrol: Enrol::Allowed,
        bucket: IfMissing::Create,
        read_back: false,
        workers: NonZeroUsize::new(2).expect("two"),
        holder: Holder::this_process(),
        clock: || Time::from_unix(1_800_000_000),
    }
}

/// Imports what these media have.
pub(crate) fn run_import(
    places: &[PathBuf],
    store: &Arc<dyn Store>,
    options: &ImportOptions,
) -> Result<ImportReport, ImportError> {
    let (bundle, volumes, signatures) = open(places);
    let (signers, revoked) = (allowed_signers(), Revoked::default());
    let authority = Authority { signers: &signers, revoked: &revoked };
    let shipment = Shipment { bundle: &bundle, volumes: &volumes, signatures: &signatures, authority };
    import(&shipment, store, options, None, &Quiet)
}

/// Returns every object outside the state prefix.
pub(crate) fn objects(store: &dyn Store) -> BTreeMap<String, Vec<u8>> {
    let mut objects = BTreeMap::new();
    for listed in paging::objects(store, "") {
        let listed = listed.expect("listed");
        if !listed.key.starts_with(".airlift/") {
            let key = airlift::store::Key::parse(&listed.key).expect("a key");
            let bytes = store.read(&key, 0..listed.len).expect("read");
            objects.insert(listed.key, bytes.to_vec());
        }
    }
    objects
}

/// Compares objects with files and names the first that differs, not gigabytes of them.
pub(crate) fn assert_same(found: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<u8>>) {
    let keys = |map: &BTreeMap<String, Vec<u8>>| map.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(found), keys(expected));
    for (key, bytes) in expected {
        assert!(found[key] == *bytes, "{key} differs");
    }
}

/// Counts the open uploads of a store.
pub(crate) fn upload_count(store: &dyn Store) -> usize {
    paging::uploads(store, "").count()
}
