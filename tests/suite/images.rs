//! Container images, from a real registry through a bundle into another one.

use crate::fixture::{STREAM, directory, sign, signer};
use crate::hostile::faults::{Act, Fault, set};
use crate::program::{Transcript, airlift, files_below, flip, shown, signer_line};
use crate::registry::{LOGIN, Open, Registry, skopeo};
use airlift::format::Sha256;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const REPOSITORY: &str = "nvidia/tao/tao-toolkit";
const LAYER_LEN: usize = 3 << 20;
/// Which layers each tag has, of six.
const TAGS: [(&str, &[u64]); 5] =
    [("1.0", &[0, 1]), ("1.1", &[0, 1, 2]), ("1.2", &[0, 1, 2, 3]), ("2.0", &[0, 4]), ("3.0-pyt", &[0, 1, 5])];

/// Returns bytes that no compression makes smaller.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes()
    };
    (0..len.div_ceil(8)).flat_map(|_| next()).take(len).collect()
}

/// Returns a layer: a tar of one file.
fn layer(seed: u64) -> Vec<u8> {
    layer_of(seed, LAYER_LEN)
}

fn layer_of(seed: u64, len: usize) -> Vec<u8> {
    let content = noise(seed + 1, len);
    let mut header = tar::Header::new_ustar();
    header.set_path(format!("data-{seed}")).expect("short");
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    header.set_cksum();
    let mut bytes = [header.as_bytes().as_slice(), &content].concat();
    bytes.resize(bytes.len().next_multiple_of(512) + 1024, 0);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut child =
        Command::new("gzip").args(["-n", "-1"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("gzip");
    let (mut stdin, bytes) = (child.stdin.take().expect("piped"), bytes.to_vec());
    let writer = std::thread::spawn(move || stdin.write_all(&bytes).expect("written"));
    let output = child.wait_with_output().expect("ended");
    writer.join().expect("written");
    output.stdout
}

/// Writes blobs below a layout.
struct Blobs(PathBuf);

impl Blobs {
    fn put(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Sha256::of(bytes);
        let path = self.0.join("blobs/sha256");
        fs::create_dir_all(&path).expect("made");
        fs::write(path.join(digest.to_string()), bytes).expect("written");
        json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len() })
    }

    fn image(&self, seeds: &[u64], architecture: &str) -> Value {
        let layers: Vec<Vec<u8>> = seeds.iter().map(|seed| layer(*seed)).collect();
        let diff_ids: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", Sha256::of(layer))).collect();
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "config": { "Labels": { "layers": format!("{seeds:?}") } },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let put = |layer: &Vec<u8>| self.put("application/vnd.oci.image.layer.v1.tar+gzip", &gzip(layer));
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": self.put("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes()),
            "layers": layers.iter().map(put).collect::<Vec<_>>(),
        });
        self.put("application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes())
    }
}

/// A registry with five tags that share layers, and a list of images for two platforms.
fn source() -> &'static Registry {
    static SOURCE: OnceLock<Registry> = OnceLock::new();
    SOURCE.get_or_init(|| {
        let registry = Registry::start(Open::ToAll);
        let top = directory();
        let blobs = Blobs(top.path().join("layout"));
        let mut named = Vec::new();
        for (tag, seeds) in TAGS {
            let mut image = blobs.image(seeds, "amd64");
            image["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
            named.push(image);
        }
        let platforms = [("amd64", 6), ("arm64", 7)].map(|(architecture, seed)| {
            let mut image = blobs.image(&[seed], architecture);
            image["platform"] = json!({ "os": "linux", "architecture": architecture });
            image
        });
        let list = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": platforms,
        });
        let mut list = blobs.put("application/vnd.oci.image.index.v1+json", list.to_string().as_bytes());
        list["annotations"] = json!({ "org.opencontainers.image.ref.name": "list" });
        named.push(list);
        let index = json!({ "schemaVersion": 2, "manifests": named });
        fs::write(blobs.0.join("index.json"), index.to_string()).expect("written");
        fs::write(blobs.0.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("written");
        for tag in TAGS.map(|(tag, _)| tag).iter().chain(&["list"]) {
            let to = format!("docker://{}/{REPOSITORY}:{tag}", registry.host());
            let from = format!("oci:{}:{tag}", shown(&blobs.0));
            skopeo(&["copy", "--all", "--quiet", "--dest-tls-verify=false", &from, &to]);
        }
        registry
    })
}

fn image_name(tag: &str) -> String {
    format!("{}/{REPOSITORY}:{tag}", source().host())
}

/// Returns the digest of an image at a registry, as skopeo sees it.
fn digest_at(name: &str) -> String {
    let raw = skopeo(&["inspect", "--raw", "--tls-verify=false", &format!("docker://{name}")]);
    format!("sha256:{}", Sha256::of(raw.as_bytes()))
}

fn fetch_command(image_names: &[String], out: &Path, more: &[&str]) -> Command {
    let words: Vec<&str> = image_names.iter().map(String::as_str).collect();
    airlift(&[&["images", "fetch"][..], &words, &["--out", shown(out), "--plain-http"], more].concat())
}

fn fetch(image_names: &[String], out: &Path, more: &[&str]) -> Transcript {
    Transcript::of(fetch_command(image_names, out, more))
}

/// A bundle of the five tags, signed, and who may sign.
struct Carried {
    top: tempfile::TempDir,
}

impl Carried {
    fn shared() -> &'static Carried {
        static SHARED: OnceLock<Carried> = OnceLock::new();
        SHARED.get_or_init(|| {
            let top = directory();
            let layout = top.path().join("images");
            let image_names: Vec<String> = TAGS.iter().map(|(tag, _)| image_name(tag)).collect();
            let fetched = fetch(&image_names, &layout, &[]);
            assert_eq!(fetched.code, 0, "{}", fetched.err);
            let carried = Carried { top };
            carried.pack();
            carried
        })
    }

    fn pack(&self) {
        let (roots, out) = (format!("images={}", shown(&self.layout())), self.bundle());
        let words = ["pack", &roots, "--stream", STREAM, "--counter", "1", "--out", shown(&out)];
        let packed = Transcript::of(airlift(&words));
        assert_eq!(packed.code, 0, "{}", packed.err);
        sign(&self.bundle());
        fs::write(self.top.path().join("signers"), signer_line(signer().line())).expect("written");
    }

    fn layout(&self) -> PathBuf {
        self.top.path().join("images")
    }

    fn bundle(&self) -> PathBuf {
        self.top.path().join("bundle")
    }

    /// A call that trusts the signer of the bundle.
    fn command(&self, verb: &str, bundle: &Path, more: &[&str]) -> Command {
        let mut command = airlift(&[&["images", verb, shown(bundle)], more].concat());
        command.env("AIRLIFT_ALLOWED_SIGNERS", self.top.path().join("signers"));
        command
    }

    fn call(&self, verb: &str, more: &[&str]) -> Transcript {
        Transcript::of(self.command(verb, &self.bundle(), more))
    }

    fn push(&self, to: &str) -> Transcript {
        self.call("push", &["--to", to, "--plain-http", "--json"])
    }

    /// Returns a copy of the bundle with one bit changed, in a volume.
    fn damaged(&self, top: &Path) -> PathBuf {
        let copy = top.join("damaged");
        for (path, bytes) in files_below(&self.bundle()) {
            fs::create_dir_all(copy.join(&path).parent().expect("one")).expect("made");
            fs::write(copy.join(&path), bytes).expect("written");
        }
        flip(&copy.join("volumes/000001.vol"), 9 << 20);
        copy
    }
}

fn blob_lens(layout: &Path) -> BTreeMap<String, u64> {
    let blobs = fs::read_dir(layout.join("blobs/sha256")).expect("blobs").map(|blob| blob.expect("an entry"));
    blobs.map(|blob| (blob.file_name().into_string().expect("UTF-8"), blob.metadata().expect("facts").len())).collect()
}

#[test]
fn five_tags_that_share_layers_cost_each_layer_once() {
    let carried = Carried::shared();
    // Six layers, five configurations and five manifests, each under the digest of its bytes.
    let lens = blob_lens(&carried.layout());
    assert_eq!(lens.len(), 16);
    for name in lens.keys() {
        let bytes = fs::read(carried.layout().join("blobs/sha256").join(name)).expect("read");
        assert_eq!(Sha256::of(&bytes).to_string(), *name);
    }
    let unique_len: u64 = lens.values().sum();
    let bundle_len: u64 = files_below(&carried.bundle()).values().map(|bytes| bytes.len() as u64).sum();
    let ratio = bundle_len as f64 / unique_len as f64;
    assert!(ratio <= 1.02, "{bundle_len} of {unique_len} bytes: {ratio}");
    // The layout is one that others read, by the full names.
    for (tag, _) in TAGS {
        let name = format!("oci:{}:{}", shown(&carried.layout()), image_name(tag));
        let raw = skopeo(&["inspect", "--raw", &name]);
        assert_eq!(format!("sha256:{}", Sha256::of(raw.as_bytes())), digest_at(&image_name(tag)));
    }
    assert!(!carried.layout().join(".airlift-fetch").exists());
}

#[test]
fn what_is_pushed_has_the_same_digests_and_a_second_push_sends_nothing() {
    let (carried, target) = (Carried::shared(), Registry::start(Open::ToAll));
    let pushed = carried.push(&target.host());
    assert_eq!(pushed.code, 0, "{}", pushed.err);
    let document: Value = serde_json::from_str(&pushed.out).expect("JSON");
    assert_eq!(document["pushed"].as_array().map(Vec::len), Some(5));
    // Each blob went once, and nothing but blobs.
    assert_eq!(document["blobs_sent"], json!(11));
    for (tag, _) in TAGS {
        assert_eq!(digest_at(&format!("{}/{REPOSITORY}:{tag}", target.host())), digest_at(&image_name(tag)));
    }
    let again = carried.push(&target.host());
    let document: Value = serde_json::from_str(&again.out).expect("JSON");
    assert_eq!((again.code, &document["blobs_sent"], &document["bytes_sent"]), (0, &json!(0), &json!(0)));
    assert_eq!(document["already"].as_array().map(Vec::len), Some(5));
    // Under another prefix the registry takes the blobs from the repository that has them.
    let prefixed = carried.push(&format!("{}/mirror", target.host()));
    assert_eq!(prefixed.code, 0, "{}", prefixed.err);
    assert_eq!(digest_at(&format!("{}/mirror/{REPOSITORY}:1.2", target.host())), digest_at(&image_name("1.2")));
}

#[test]
fn what_load_streams_is_read_by_skopeo_and_by_add() {
    let (carried, top) = (Carried::shared(), directory());
    let archive = top.path().join("images.tar");
    let mut command = carried.command("load", &carried.bundle(), &["--to", "-"]);
    command.stdout(fs::File::create(&archive).expect("created"));
    assert!(command.status().expect("run").success());
    for (tag, seeds) in TAGS {
        let from = format!("docker-archive:{}:{}", shown(&archive), image_name(tag));
        let to = top.path().join(format!("copied-{tag}"));
        skopeo(&["copy", "--quiet", &from, &format!("dir:{}", shown(&to))]);
        // What skopeo copies is not compressed: the layers are those that the image was made of.
        for seed in seeds {
            let digest = Sha256::of(&layer(*seed)).to_string();
            let copied = fs::read(to.join(&digest)).expect("the layer is there");
            assert_eq!(Sha256::of(&copied).to_string(), digest);
        }
    }
    let layout = top.path().join("added");
    let added = Transcript::of(airlift(&["images", "add", shown(&archive), "--out", shown(&layout)]));
    assert_eq!(added.code, 0, "{}", added.err);
    assert_eq!(files_below(&layout), files_below(&carried.layout()));
}

#[test]
fn a_list_gives_the_image_of_the_platform_with_its_own_digest() {
    let top = directory();
    let list: Value = serde_json::from_str(&skopeo(&[
        "inspect",
        "--raw",
        "--tls-verify=false",
        &format!("docker://{}", image_name("list")),
    ]))
    .expect("JSON");
    for (platform, place) in [("linux/amd64", 0), ("linux/arm64", 1)] {
        let out = top.path().join(platform.replace('/', "-"));
        let fetched = fetch(&[image_name("list")], &out, &["--platform", platform, "--json"]);
        assert_eq!(fetched.code, 0, "{}", fetched.err);
        let document: Value = serde_json::from_str(&fetched.out).expect("JSON");
        assert_eq!(document["images"][0]["digest"], list["manifests"][place]["digest"]);
        assert_eq!(document["images"][0]["platform"], json!(platform));
        assert_eq!(blob_lens(&out).len(), 3);
    }
    let out = top.path().join("none");
    let fetched = fetch(&[image_name("list")], &out, &["--platform", "linux/riscv64"]);
    assert_eq!(fetched.code, 7);
    assert!(fetched.err.contains("linux/amd64, linux/arm64"), "{}", fetched.err);
    // An image that is in no list is not taken for one of another platform either.
    let fetched = fetch(&[image_name("1.0")], &out, &["--platform", "linux/arm64"]);
    assert_eq!(fetched.code, 7, "{}", fetched.err);
    let index: Value = serde_json::from_slice(&fs::read(out.join("index.json")).expect("an index")).expect("JSON");
    assert_eq!(index["manifests"], json!([]));
}

#[test]
fn a_dry_run_lists_and_writes_nothing() {
    let top = directory();
    let out = top.path().join("out");
    let listed = fetch(&[image_name("1.0"), image_name("1.1")], &out, &["--dry-run", "--json"]);
    assert_eq!(listed.code, 0, "{}", listed.err);
    let document: Value = serde_json::from_str(&listed.out).expect("JSON");
    let len = |index: usize| document["images"][index]["bytes"].as_u64().expect("a number");
    let all = document["bytes"].as_u64().expect("a number");
    // Of the second image only the third layer, the configuration and the manifest are its own.
    assert!(all < len(0) + len(1) - 2 * LAYER_LEN as u64 && all > len(1), "{document}");
    assert!(!out.exists());
}

#[test]
fn an_image_that_is_not_there_is_named_and_the_others_are_fetched() {
    let top = directory();
    let out = top.path().join("out");
    let fetched = fetch(&[image_name("1.0"), image_name("absent")], &out, &[]);
    assert_eq!(fetched.code, 6);
    assert!(fetched.err.contains(&format!("not fetched: {}", image_name("absent"))), "{}", fetched.err);
    let index = fs::read_to_string(out.join("index.json")).expect("an index");
    assert!(index.contains(&image_name("1.0")) && !index.contains("absent"), "{index}");
    // A later fetch adds to what is there.
    assert_eq!(fetch(&[image_name("2.0")], &out, &[]).code, 0);
    let index = fs::read_to_string(out.join("index.json")).expect("an index");
    assert!(index.contains(&image_name("1.0")) && index.contains(&image_name("2.0")), "{index}");
}

/// Runs a command again and again, and kills it later each time, until it ends by itself; returns how
/// often it was killed.
fn kill_until_done(mut command: impl FnMut() -> Command) -> u32 {
    let (mut kills, mut delay) = (0, Duration::from_millis(15));
    loop {
        let mut child = command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started");
        std::thread::sleep(delay);
        if let Some(status) = child.try_wait().expect("its state") {
            assert!(status.success(), "{status}");
            return kills;
        }
        child.kill().expect("killed");
        child.wait().expect("ended");
        (kills, delay) = (kills + 1, delay * 3 / 2);
    }
}

/// Passes bytes on to a registry, and cuts the first connection that sends a piece of a blob once this
/// much of it has gone; returns its host.
fn cutting(registry: &Registry, after_len: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (host, target) = (listener.local_addr().expect("bound").to_string(), registry.host());
    let has_cut = Arc::new(AtomicBool::new(false));
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(&target).expect("it runs");
            let (mut from, mut to) = (server.try_clone().expect("one"), client.try_clone().expect("one"));
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            let has_cut = Arc::clone(&has_cut);
            std::thread::spawn(move || pass_on(client, server, &has_cut, after_len));
        }
    });
    host
}

fn pass_on(mut client: TcpStream, mut server: TcpStream, has_cut: &AtomicBool, after_len: usize) {
    let (mut buffer, mut patch_len) = (vec![0; 64 << 10], None);
    while let Ok(len @ 1..) = client.read(&mut buffer) {
        if buffer.starts_with(b"PATCH ") && !has_cut.load(Ordering::SeqCst) {
            patch_len = Some(0);
        }
        server.write_all(&buffer[..len]).expect("it runs");
        patch_len = patch_len.map(|done| done + len);
        if patch_len.is_some_and(|done| done >= after_len) && !has_cut.swap(true, Ordering::SeqCst) {
            client.shutdown(Shutdown::Both).expect("it was open");
            server.shutdown(Shutdown::Both).expect("it was open");
            return;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
}

#[test]
fn a_layer_of_several_parts_goes_up_in_pieces_also_when_the_connection_breaks() {
    let top = directory();
    let carried = Carried { top };
    let blobs = Blobs(carried.layout());
    let layer = layer_of(9, 40 << 20);
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", Sha256::of(&layer))] },
    });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blobs.put("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes()),
        "layers": [blobs.put("application/vnd.oci.image.layer.v1.tar", &layer)],
    });
    let mut image = blobs.put("application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
    let digest = image["digest"].clone();
    image["annotations"] = json!({ "org.opencontainers.image.ref.name": "nvcr.io/large/one:1" });
    let index = json!({ "schemaVersion": 2, "manifests": [image] });
    fs::write(blobs.0.join("index.json"), index.to_string()).expect("written");
    fs::write(blobs.0.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("written");
    carried.pack();
    for after_len in [100, 5 << 20] {
        let target = Registry::start(Open::ToAll);
        let pushed = carried.push(&cutting(&target, after_len));
        assert_eq!(pushed.code, 0, "{}", pushed.err);
        assert_eq!(json!(digest_at(&format!("{}/large/one:1", target.host()))), digest);
        assert!(target.log_count(&["PATCH", "response.status=202"]) >= 3);
    }
}

#[test]
fn a_fetch_and_a_push_that_are_killed_are_gone_on_with() {
    let top = directory();
    let out = top.path().join("out");
    let image_names: Vec<String> = TAGS.iter().map(|(tag, _)| image_name(tag)).collect();
    let kills = kill_until_done(|| fetch_command(&image_names, &out, &["--parallel", "2"]));
    assert!(kills > 0);
    assert_eq!(files_below(&out), files_below(&Carried::shared().layout()));
    let (carried, target) = (Carried::shared(), Registry::start(Open::ToAll));
    let words = ["--to", &target.host(), "--plain-http"];
    let kills = kill_until_done(|| carried.command("push", &carried.bundle(), &words));
    assert!(kills > 0);
    for (tag, _) in TAGS {
        assert_eq!(digest_at(&format!("{}/{REPOSITORY}:{tag}", target.host())), digest_at(&image_name(tag)));
    }
    // No blob went up twice whole: each was ended once.
    assert_eq!(target.log_count(&["PUT", "/blobs/uploads/", "response.status=201"]), 11);
}

#[test]
fn damage_costs_the_images_that_need_the_bytes_and_no_others() {
    let (carried, target) = (Carried::shared(), Registry::start(Open::ToAll));
    let top = directory();
    let damaged = carried.damaged(top.path());
    let words = ["--to", &target.host(), "--plain-http", "--json"];
    let pushed = Transcript::of(carried.command("push", &damaged, &words));
    assert_eq!(pushed.code, 3, "{}", pushed.err);
    let document: Value = serde_json::from_str(&pushed.out).expect("JSON");
    let lost = document["lost"].as_array().expect("a list");
    assert!(!lost.is_empty(), "{document}");
    for (tag, _) in TAGS {
        let name = format!("{REPOSITORY}:{tag}");
        let is_lost = lost.iter().any(|lost| lost == &json!(image_name(tag)));
        let is_pushed = document["pushed"].as_array().expect("a list").contains(&json!(name));
        assert!(is_lost != is_pushed, "{tag}: {document}");
        if is_pushed {
            assert_eq!(digest_at(&format!("{}/{name}", target.host())), digest_at(&image_name(tag)));
        }
    }
    let archive = top.path().join("images.tar");
    let mut command = carried.command("load", &damaged, &["--to", "-"]);
    let output = command.stdout(fs::File::create(&archive).expect("created")).output().expect("run");
    assert_eq!(output.status.code(), Some(3));
    let added = Transcript::of(airlift(&["images", "add", shown(&archive), "--out", shown(&top.path().join("x"))]));
    assert_eq!(added.code, 3, "half an archive does not pass for a whole one: {}", added.err);
    // A good copy completes the registry.
    let pushed = carried.push(&target.host());
    assert_eq!(pushed.code, 0, "{}", pushed.err);
}

#[test]
fn nothing_leaves_a_bundle_that_nobody_vouches_for() {
    let (carried, target) = (Carried::shared(), Registry::start(Open::ToAll));
    let top = directory();
    fs::write(top.path().join("none"), "").expect("written");
    for verb in ["push", "load"] {
        let to = if verb == "push" { target.host() } else { "docker".to_owned() };
        let mut command = airlift(&["images", verb, shown(&carried.bundle()), "--to", &to]);
        command.env("AIRLIFT_ALLOWED_SIGNERS", top.path().join("none"));
        assert_eq!(Transcript::of(command).code, 4, "{verb}");
        let command = airlift(&["images", verb, shown(&carried.bundle()), "--to", &to]);
        assert_eq!(Transcript::of(command).code, 2, "{verb}");
    }
    assert_eq!(target.log_count(&["/blobs/"]), 0);
}

#[test]
fn a_registry_that_wants_a_login_gets_it_from_the_file_alone() {
    let (carried, target) = (Carried::shared(), Registry::start(Open::ToLogin));
    let top = directory();
    let refused = carried.push(&target.host());
    assert_eq!(refused.code, 7, "{}", refused.err);
    let write = |name: &str, password: &str| {
        let auth = airlift::trust::base64::encode(format!("{}:{password}", LOGIN.0).as_bytes());
        let host = target.host();
        let path = top.path().join(name);
        fs::write(&path, json!({ "auths": { host: { "auth": auth } } }).to_string()).expect("written");
        path
    };
    let (good, bad) = (write("config.json", LOGIN.1), write("bad.json", "another"));
    let host = target.host();
    let words = |file: &Path| {
        let file = shown(file).to_owned();
        ["--to", &host, "--plain-http", "--auth-file", &file].map(str::to_owned)
    };
    let call = |file: &Path| {
        let words = words(file);
        carried.call("push", &words.each_ref().map(String::as_str))
    };
    let refused = call(&bad);
    assert_eq!(refused.code, 7);
    assert!(refused.error().contains("--auth-file"), "{}", refused.err);
    let pushed = call(&good);
    assert_eq!(pushed.code, 0, "{}", pushed.err);
    for transcript in [&refused, &pushed] {
        assert!(!transcript.err.contains("canary-password") && !transcript.out.contains("canary-password"));
    }
    // The file of docker login is found where Docker looks for it.
    let out = top.path().join("out");
    let mut command = fetch_command(&[format!("{host}/{REPOSITORY}:1.0")], &out, &[]);
    command.env("DOCKER_CONFIG", top.path());
    let fetched = Transcript::of(command);
    assert_eq!(fetched.code, 0, "{}", fetched.err);
}

#[test]
fn a_layout_that_lacks_or_changes_a_blob_is_refused_before_anything_is_sent() {
    let (shared, target) = (Carried::shared(), Registry::start(Open::ToAll));
    for (what, code) in [("lacks", 7), ("changed", 7), ("no layout", 2)] {
        let carried = Carried { top: directory() };
        for (path, bytes) in files_below(&shared.layout()) {
            let path = carried.layout().join(path);
            fs::create_dir_all(path.parent().expect("one")).expect("made");
            fs::write(path, bytes).expect("written");
        }
        let gzipped = Sha256::of(&gzip(&layer(5)));
        let blob = carried.layout().join("blobs/sha256").join(gzipped.to_string());
        assert!(blob.is_file());
        match what {
            "lacks" => fs::remove_file(&blob).expect("removed"),
            "changed" => flip(&blob, 100),
            _ => fs::remove_file(carried.layout().join("oci-layout")).expect("removed"),
        }
        carried.pack();
        let refused = carried.push(&target.host());
        assert_eq!(refused.code, code, "{what}: {}", refused.err);
        assert!(what == "no layout" || refused.err.contains(&gzipped.to_string()), "{what}: {}", refused.err);
    }
    assert_eq!(target.log_count(&["/v2/nvidia"]), 0);
}

/// Writes a program that takes what it reads from its input to a file.
fn stand_in(dir: &Path, name: &str, ending: &str) {
    let path = dir.join(name);
    fs::write(&path, format!("#!/bin/sh\necho \"$@\" >'{0}.words'\ncat >'{0}.input'\n{ending}\n", shown(&path)))
        .expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("may be run");
}

#[test]
fn engines_get_the_stream_and_their_refusal_is_told() {
    let (carried, top) = (Carried::shared(), directory());
    let path = format!("{}:{}", shown(top.path()), std::env::var("PATH").expect("a path"));
    for (engine, program, words) in [("docker", "docker", "load"), ("containerd", "ctr", "images import -")] {
        stand_in(top.path(), program, "");
        let mut command = carried.command("load", &carried.bundle(), &["--to", engine, "--only", &image_name("2.0")]);
        let loaded = Transcript::of({
            command.env("PATH", &path);
            command
        });
        assert_eq!(loaded.code, 0, "{}", loaded.err);
        let said = fs::read_to_string(top.path().join(format!("{program}.words"))).expect("words");
        assert_eq!(said.trim_end(), words);
        let input = top.path().join(format!("{program}.input"));
        let from = format!("docker-archive:{}:{}", shown(&input), image_name("2.0"));
        skopeo(&["copy", "--quiet", &from, &format!("dir:{}", shown(&top.path().join(format!("{engine}.copied"))))]);
        stand_in(top.path(), program, "exit 3");
        let mut command = carried.command("load", &carried.bundle(), &["--to", engine]);
        command.env("PATH", &path);
        let refused = Transcript::of(command);
        assert_eq!(refused.code, 1);
        assert!(refused.error().contains(program), "{}", refused.err);
    }
}

#[test]
fn the_folder_of_the_vendors_scripts_is_written_and_read() {
    let (carried, top) = (Carried::shared(), directory());
    let folder = top.path().join("saved_docker_images");
    let written = carried.call("load", &["--compat", shown(&folder)]);
    assert_eq!(written.code, 0, "{}", written.err);
    let list: Value = serde_json::from_slice(&fs::read(folder.join("manifest.json")).expect("a list")).expect("JSON");
    let host = source().host().replace(':', "-");
    for (tag, entry) in TAGS.iter().map(|(tag, _)| tag).zip(list.as_array().expect("a list")) {
        assert_eq!(entry["ref"], json!(image_name(tag)));
        assert_eq!(entry["file"], json!(format!("{host}__nvidia__tao__tao-toolkit__t-{tag}.tar")));
        let file = folder.join(entry["file"].as_str().expect("a name"));
        let raw = skopeo(&["inspect", &format!("docker-archive:{}", shown(&file))]);
        assert!(raw.contains("\"Architecture\": \"amd64\""), "{raw}");
    }
    // Written again for one image, the list still names all.
    let again = carried.call("load", &["--compat", shown(&folder), "--only", &image_name("1.1")]);
    assert_eq!(again.code, 0, "{}", again.err);
    let read: Value = serde_json::from_slice(&fs::read(folder.join("manifest.json")).expect("a list")).expect("JSON");
    assert_eq!(read, list);
    let layout = top.path().join("layout");
    fs::write(folder.join("stray.tar"), "x").expect("written");
    let added = Transcript::of(airlift(&["images", "add", shown(&folder), "--out", shown(&layout)]));
    assert_eq!(added.code, 0, "{}", added.err);
    assert!(added.err.contains("stray.tar"), "{}", added.err);
    assert_eq!(files_below(&layout), files_below(&carried.layout()));
}

#[test]
fn the_folder_of_the_vendors_scripts_names_whole_archives_alone_killed_at_any_moment() {
    let (carried, top) = (Carried::shared(), directory());
    let whole = top.path().join("whole");
    let load = |folder: &Path| {
        let two = ["--only", &image_name("1.0"), "--only", &image_name("1.1")];
        carried.command("load", &carried.bundle(), &[&["--compat", shown(folder)], &two[..]].concat())
    };
    let written = Transcript::of(load(&whole));
    assert_eq!(written.code, 0, "{}", written.err);
    let whole = files_below(&whole);
    assert_eq!(whole.len(), 3, "{:?}", whole.keys());
    let mut killed_count = 0;
    for (call, step) in [("write", 5), ("sync", 1), ("rename", 1)] {
        for from in (1..).step_by(step) {
            let folder = top.path().join(format!("{call}-{from}"));
            let mut faulty = load(&folder);
            set(&mut faulty, &Fault { call, path: shown(&folder), from, every: 0, act: Act::Lose });
            if faulty.output().expect("run").status.success() {
                break;
            }
            killed_count += 1;
            let mut left = if folder.exists() { files_below(&folder) } else { BTreeMap::new() };
            left.remove(".airlift-load");
            assert!(left.iter().all(|(name, bytes)| whole[name] == *bytes), "{call} {from}: {:?}", left.keys());
            assert!(!left.contains_key("manifest.json") || left == whole, "{call} {from}: {:?}", left.keys());
            assert_eq!(Transcript::of(load(&folder)).code, 0, "{call} {from}");
            assert!(files_below(&folder) == whole, "{call} {from}");
            fs::remove_dir_all(&folder).expect("removed");
        }
    }
    assert!(killed_count > 10, "only {killed_count} steps");

    let folder = top.path().join("held");
    fs::create_dir(&folder).expect("made");
    let held = fs::File::open(&folder).expect("opened");
    held.lock().expect("locked");
    let refused = Transcript::of(load(&folder));
    assert_eq!(refused.code, 6, "{}", refused.err);
    assert!(refused.error().contains("another command works in "), "{}", refused.err);
}

#[test]
fn archives_without_manifests_are_added_with_their_layers_proven() {
    let top = directory();
    let folder = top.path().join("saved");
    fs::create_dir_all(&folder).expect("made");
    let mut list = Vec::new();
    for tag in ["1.0", "1.1"] {
        // As older versions of docker save: a configuration, layers, and links between them.
        let name = format!("t-{tag}.tar");
        let to = format!("docker-archive:{}:nvcr.io/{REPOSITORY}:{tag}", shown(&folder.join(&name)));
        skopeo(&["copy", "--quiet", "--src-tls-verify=false", &format!("docker://{}", image_name(tag)), &to]);
        list.push(json!({ "file": name, "ref": format!("nvcr.io/{REPOSITORY}:{tag}") }));
    }
    fs::write(folder.join("manifest.json"), Value::from(list).to_string()).expect("written");
    let layout = top.path().join("layout");
    let added = Transcript::of(airlift(&["images", "add", shown(&folder), "--out", shown(&layout)]));
    assert_eq!(added.code, 0, "{}", added.err);
    // Three layers as they are, two configurations, two manifests.
    let lens = blob_lens(&layout);
    assert_eq!(lens.len(), 7);
    for seed in [0, 1, 2] {
        assert!(lens.contains_key(&Sha256::of(&layer(seed)).to_string()), "layer {seed}");
    }
    let name = format!("oci:{}:nvcr.io/{REPOSITORY}:1.1", shown(&layout));
    skopeo(&["copy", "--quiet", &name, &format!("dir:{}", shown(&top.path().join("copied")))]);
    // One changed bit is named, and costs that archive alone.
    flip(&folder.join("t-1.0.tar"), 5 << 20);
    let layout = top.path().join("second");
    let added = Transcript::of(airlift(&["images", "add", shown(&folder), "--out", shown(&layout)]));
    assert_eq!(added.code, 3);
    assert!(added.err.contains("t-1.0.tar"), "{}", added.err);
    let index = fs::read_to_string(layout.join("index.json")).expect("an index");
    assert!(index.contains("tao-toolkit:1.1") && !index.contains("tao-toolkit:1.0"), "{index}");
}

#[test]
fn what_a_deployment_needs_is_listed_with_what_the_vendor_forgets() {
    let top = directory();
    let (config, compose) = (top.path().join("config.env"), top.path().join("docker-compose.yaml"));
    let host = source().host();
    let text = format!("IMAGE_TAO_API={host}/{REPOSITORY}:1.0\nIMAGE_COSMOS_RL={host}/{REPOSITORY}:2.0\n");
    fs::write(&config, text).expect("written");
    let text =
        "services:\n  app: {image: '${IMAGE_TAO_API}', pull_policy: always}\n  mongodb: {image: 'mongo:latest'}\n";
    fs::write(&compose, text).expect("written");
    let needed = ["--config-env", shown(&config), "--compose", shown(&compose)];
    let listed = Transcript::of(airlift(&[&["images", "list", "--json"], &needed[..]].concat()));
    assert_eq!(listed.code, 0, "{}", listed.err);
    let document: Value = serde_json::from_str(&listed.out).expect("JSON");
    let marks = |index: usize| {
        let image = &document["images"][index];
        (image["image"].as_str().expect("a name"), &image["saved_by_vendor"], &image["floating"])
    };
    let (yes, no) = (json!(true), json!(false));
    assert_eq!(marks(0), (format!("{host}/{REPOSITORY}:1.0").as_str(), &yes, &no));
    assert_eq!(marks(1), (format!("{host}/{REPOSITORY}:2.0").as_str(), &no, &no));
    assert_eq!(marks(2), ("docker.io/library/mongo:latest", &no, &yes));
    assert_eq!(document["images"][0]["always_pulled_by"], json!(["app"]));
    let layout = Carried::shared().layout();
    let have = ["--have", shown(&layout)];
    let words = [&["images", "list", "--config-env", shown(&config)][..], &have].concat();
    let listed = Transcript::of(airlift(&words));
    assert_eq!(listed.code, 0, "{}", listed.err);
    let missing = Transcript::of(airlift(&[&["images", "list"], &have[..], &needed].concat()));
    assert_eq!(missing.code, 5);
    assert!(missing.out.contains("floating tag; missing"), "{}", missing.out);
    let out = top.path().join("out");
    let fetched = fetch(&[], &out, &["--config-env", shown(&config)]);
    assert_eq!(fetched.code, 0, "{}", fetched.err);
    assert_eq!(blob_lens(&out).len(), 7);
}
