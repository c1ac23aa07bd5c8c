//! A hostile signer: bundles whose structures are changed and whose digests and signatures agree all the
//! same, so that only the rule in question stands between them and a reader.

use crate::fixture::{STREAM, sign, signer};
use crate::forge::seal::{Structures, restate};
use airlift::format::manifest::ManifestRoot;
use airlift::format::packs::PackRoot;
use airlift::format::{Digest, Head, Structure};
use std::fs;
use std::path::Path;

/// What a bundle is made of. Lengths and digests of the head follow from it.
pub(super) struct Parts {
    pub(super) head: Head,
    pub(super) manifest_root: Vec<u8>,
    pub(super) manifest_pages: Vec<u8>,
    pub(super) pack_root: Vec<u8>,
    pub(super) pack_pages: Vec<u8>,
    pub(super) volumes: Vec<Vec<u8>>,
    /// Count and length of the volumes in the head, where they are not those of the volumes.
    pub(super) stated_volumes: Option<(u32, u64)>,
}

/// Changes a bundle of this stream and signs it again.
pub(super) fn reseal(bundle: &Path, change: impl FnOnce(&mut Parts)) {
    let read = |file: &str| fs::read(bundle.join(file)).expect("read");
    let head = Head::decode(&read("head.json")).expect("a head");
    let split = |file: &str, root_len: u64| {
        let mut root = read(file);
        let pages = root.split_off(root_len as usize);
        (root, pages)
    };
    let (manifest_root, manifest_pages) = split("manifest", head.manifest.root_length);
    let (pack_root, pack_pages) = split("packs", head.packs.root_length);
    let volumes = (1..=head.volumes.count).map(|number| read(&format!("volumes/{number:06}.vol"))).collect();
    let mut parts = Parts { head, manifest_root, manifest_pages, pack_root, pack_pages, volumes, stated_volumes: None };
    change(&mut parts);
    parts.write(bundle);
}

/// The same, with the only page of the manifest changed and named by the root.
pub(super) fn reseal_page(bundle: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    reseal(bundle, |parts| {
        change(&mut parts.manifest_pages);
        let mut root = ManifestRoot::decode(&parts.manifest_root).expect("a root");
        root.pages[0].digest = Digest::of_structure(Structure::ManifestPage, &parts.manifest_pages);
        root.pages[0].len = parts.manifest_pages.len() as u32;
        parts.manifest_root = root.encode();
    });
}

/// The same, with the only page of the pack table changed and named by the root.
pub(super) fn reseal_pack_page(bundle: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    reseal(bundle, |parts| {
        change(&mut parts.pack_pages);
        let mut root = PackRoot::decode(&parts.pack_root).expect("a root");
        root.pages[0].digest = Digest::of_structure(Structure::PackPage, &parts.pack_pages);
        parts.pack_root = root.encode();
    });
}

/// Signs these bytes as the head, be they one or not.
pub(super) fn sign_raw(bundle: &Path, head: &[u8]) {
    sign_raw_for(bundle, STREAM, head);
}

/// The same for a stream.
pub(super) fn sign_raw_for(bundle: &Path, stream: &str, head: &[u8]) {
    fs::create_dir_all(bundle.join("signatures")).expect("made");
    fs::write(bundle.join("head.json"), head).expect("written");
    fs::write(bundle.join("signatures/1.sig"), signer().sign(&format!("airlift-head@v1/{stream}"), head))
        .expect("written");
}

/// Changes the text of the head and signs what comes of it.
pub(super) fn resign_text(bundle: &Path, change: impl FnOnce(&str) -> String) {
    let text = fs::read_to_string(bundle.join("head.json")).expect("read");
    let changed = change(&text);
    assert_ne!(changed, text, "the change is in vain");
    sign_raw(bundle, changed.as_bytes());
}

impl Parts {
    fn write(mut self, bundle: &Path) {
        let structures = Structures {
            manifest_root: &self.manifest_root,
            manifest_pages: &self.manifest_pages,
            pack_root: &self.pack_root,
            pack_pages: &self.pack_pages,
        };
        let (manifest, packs) = restate(&mut self.head, &structures);
        let head = &mut self.head;
        let volumes_len = self.volumes.iter().map(|volume| volume.len() as u64).sum();
        let volumes = self.stated_volumes.unwrap_or((self.volumes.len() as u32, volumes_len));
        (head.volumes.count, head.volumes.length) = volumes;
        for (file, bytes) in [("head.json", head.encode()), ("manifest", manifest), ("packs", packs)] {
            fs::write(bundle.join(file), bytes).expect("written");
        }
        for (number, bytes) in (1..).zip(&self.volumes) {
            fs::write(bundle.join(format!("volumes/{number:06}.vol")), bytes).expect("written");
        }
        sign(bundle);
    }
}

/// Returns the head of a bundle.
pub(super) fn head(bundle: &Path) -> Head {
    Head::decode(&fs::read(bundle.join("head.json")).expect("read")).expect("a head")
}
