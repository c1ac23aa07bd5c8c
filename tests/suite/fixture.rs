//! Trees, bundles and imports for tests: made by seed, the same in every run.

use crate::authenticator::TestKey;
use crate::tree;
pub(crate) use crate::tree::Size;
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
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use tempfile::TempDir;

pub(crate) const STREAM: &str = "models-eu";

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).expect("a name")
}

/// Writes [`tree::of_release`] below `top` and returns its roots.
pub(crate) fn write_tree(top: &Path, size: Size, release: u64) -> Vec<(Name, PathBuf)> {
    tree::write(top, &tree::of_release(size, release));
    ["models", "datasets"].map(|root| (name(root), top.join(root))).to_vec()
}

pub(crate) fn pack_options(roots: Vec<(Name, PathBuf)>, out: &Path, counter: u64) -> PackOptions {
    PackOptions {
        roots,
        links: Links::Refuse,
        unsupported: Unsupported::Refuse,
        exclude: Vec::new(),
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
        ext: BTreeMap::new(),
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
    pub(crate) directory: TempDir,
    expected: OnceLock<BTreeMap<String, Vec<u8>>>,
}

impl Packed {
    pub(crate) fn new(size: Size, counter: u64) -> Packed {
        let directory = directory();
        let roots = write_tree(&directory.path().join("tree"), size, counter);
        let options = pack_options(roots, &directory.path().join("bundle"), counter);
        pack(&options, &Quiet).expect("packed");
        sign(&options.out);
        Packed { directory, expected: OnceLock::new() }
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

    /// Returns what a store must hold: key and bytes of every file. The tree is read once.
    pub(crate) fn expected(&self) -> &BTreeMap<String, Vec<u8>> {
        self.expected.get_or_init(|| {
            let mut expected = BTreeMap::new();
            for (root, prefix) in [("models", "registry/models/"), ("datasets", "data/")] {
                let top = self.tree().join(root);
                collect(&top, &top, prefix, &mut expected);
            }
            expected
        })
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
        last: Vec::new(),
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

/// Returns a directory in memory, where there is one: a thousand runs that make small files durable
/// would wait for a disk most of the time.
pub(crate) fn scratch() -> TempDir {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    let memory = Path::new("/dev/shm");
    let root = ROOT.get_or_init(|| going_root(if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }));
    tempfile::tempdir_in(root).expect("a directory")
}

/// Returns a directory that goes with this program, however that ends: what all tests share is dropped by
/// nobody, and a test that is killed drops nothing.
pub(crate) fn directory() -> TempDir {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    tempfile::tempdir_in(ROOT.get_or_init(|| going_root(std::env::temp_dir()))).expect("a directory")
}

/// Makes a directory that is removed when the input of its keeper ends, which is when this program does.
fn going_root(above: PathBuf) -> PathBuf {
    let root = tempfile::Builder::new().prefix("airlift-suite").tempdir_in(above).expect("a directory").keep();
    let keeper = "trap '' INT TERM HUP; read -r _; rm -rf \"$0\"";
    let mut command = Command::new("sh");
    let child = command
        .args(["-c", keeper])
        .arg(&root)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    // Never waited for: it outlives us.
    std::mem::forget(child.expect("a shell"));
    root
}
