//! What comes from registries, archives and deployments: names, manifests, indexes and tars.
#![no_main]

use airlift::tao::images::auth::AuthFile;
use airlift::tao::images::deployment::{Deployment, parse_env};
use airlift::tao::images::image_name::ImageName;
use airlift::tao::images::layout::{encode_index, parse_index};
use airlift::tao::images::manifest::{Document, ImageConfig, MANIFEST_TYPE};
use airlift::tao::images::saved::{parse_archive_manifest, parse_saved};
use airlift::tao::images::tarball::Members;
use libfuzzer_sys::fuzz_target;
use std::io::Cursor;

fuzz_target!(|bytes: &[u8]| {
    // The first byte says for what the rest is taken.
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 6 {
        0 => name(bytes),
        1 => manifest(bytes),
        2 => index(bytes),
        3 => tar(bytes),
        4 => deployment(bytes),
        _ => archive(bytes),
    }
});

fn name(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(name) = ImageName::parse(text) else { return };
    assert_eq!(ImageName::parse(&name.to_string()).as_ref(), Ok(&name));
    let file = name.saved_name();
    assert!(!file.contains(['/', '\\']) && !file.starts_with('.'), "{file}");
    assert!(name.repository().split('/').all(|part| !matches!(part, "" | "." | "..")));
}

fn manifest(bytes: &[u8]) {
    let Ok(Document::Image(manifest)) = Document::parse(bytes, MANIFEST_TYPE) else { return };
    let again = Document::parse(&manifest.encode(), MANIFEST_TYPE).expect("own bytes");
    assert_eq!(again, Document::Image(manifest));
}

fn index(bytes: &[u8]) {
    let Ok(images) = parse_index(bytes) else { return };
    assert_eq!(parse_index(&encode_index(&images)).expect("own bytes"), images);
}

fn tar(bytes: &[u8]) {
    let Ok(members) = Members::scan(&mut Cursor::new(bytes), bytes.len() as u64) else { return };
    for path in ["manifest.json", "a/layer.tar", "../x", "oci-layout"] {
        if let Some((offset, len)) = members.file(path) {
            assert!(offset + len <= bytes.len() as u64);
        }
    }
}

fn deployment(bytes: &[u8]) {
    let at = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (variables, compose) = bytes.split_at(at);
    let Ok(variables) = parse_env(variables) else { return };
    let Ok(mut deployment) = Deployment::of_variables(variables) else { return };
    let _ = deployment.add_compose(compose.strip_prefix(b"\0").unwrap_or_default());
    assert!(deployment.images.values().all(|need| !need.places.is_empty()));
}

fn archive(bytes: &[u8]) {
    let _ = parse_archive_manifest(bytes);
    let _ = ImageConfig::parse(bytes);
    if let Ok(saved) = parse_saved(bytes) {
        assert!(saved.iter().all(|(file, _)| !file.contains('/') && file != ".."));
    }
    if let Ok(file) = AuthFile::parse(bytes) {
        let _ = file.credentials("docker.io");
    }
}
