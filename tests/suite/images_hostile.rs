//! A registry that lies, and names that pose as paths: what is refused, and as what.

use crate::fixture::directory;
use crate::program::{Transcript, airlift, files_below, shown};
use airlift::format::Sha256;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// A question that a registry was asked.
#[derive(Clone, Debug)]
struct Asked {
    path: String,
    authorization: Option<String>,
    range: Option<String>,
}

/// What a registry answers.
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Whether the body is followed by more, for ever.
    is_endless: bool,
}

impl Answer {
    fn of(status: u16, body: impl Into<Vec<u8>>) -> Answer {
        Answer { status, headers: Vec::new(), body: body.into(), is_endless: false }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Answer {
        self.headers.push((name, value.into()));
        self
    }

    fn manifest(document: &Value) -> Answer {
        Answer::of(200, document.to_string()).with("Content-Type", MANIFEST)
    }

    fn endless(self) -> Answer {
        Answer { is_endless: true, ..self }
    }

    fn write(self, stream: &mut TcpStream) -> std::io::Result<()> {
        write!(stream, "HTTP/1.1 {} x\r\nConnection: close\r\n", self.status)?;
        for (name, value) in &self.headers {
            write!(stream, "{name}: {value}\r\n")?;
        }
        if !self.is_endless {
            if !self.headers.iter().any(|(name, _)| *name == "Content-Length") {
                write!(stream, "Content-Length: {}\r\n", self.body.len())?;
            }
            write!(stream, "\r\n")?;
            return stream.write_all(&self.body);
        }
        write!(stream, "Transfer-Encoding: chunked\r\n\r\n")?;
        // It ends when the other side hangs up.
        loop {
            write!(stream, "10000\r\n")?;
            stream.write_all(&[b' '; 0x10000])?;
            write!(stream, "\r\n")?;
        }
    }
}

/// A registry that answers as it is told.
struct Liar {
    host: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Liar {
    fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Liar {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let host = listener.local_addr().expect("bound").to_string();
        let (asked, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answer));
        let heard = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (heard, answer) = (Arc::clone(&heard), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, &heard, answer.as_ref()));
            }
        });
        Liar { host, asked }
    }

    fn asked(&self, path: &str) -> Vec<Asked> {
        self.asked.lock().expect("whole").iter().filter(|asked| asked.path.contains(path)).cloned().collect()
    }
}

fn serve(mut stream: TcpStream, heard: &Mutex<Vec<Asked>>, answer: &dyn Fn(&Asked) -> Answer) {
    let mut lines = BufReader::new(stream.try_clone().expect("a second handle")).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut asked = Asked { path, authorization: None, range: None };
    for line in lines.take_while(|line| !line.is_empty()) {
        match line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())) {
            Some((name, value)) if name == "authorization" => asked.authorization = Some(value),
            Some((name, value)) if name == "range" => asked.range = Some(value),
            _ => {}
        }
    }
    heard.lock().expect("whole").push(asked.clone());
    // Who hangs up has heard enough.
    let _ = answer(&asked).write(&mut stream);
}

fn blob(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": format!("sha256:{}", Sha256::of(bytes)), "size": bytes.len() })
}

fn config() -> Vec<u8> {
    json!({ "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": [] } })
        .to_string()
        .into_bytes()
}

fn image(layers: &Value) -> Value {
    json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": blob(CONFIG, &config()), "layers": layers })
}

fn is_layer(asked: &Asked, layer: &[u8]) -> bool {
    asked.path.ends_with(&format!("blobs/sha256:{}", Sha256::of(layer)))
}

fn fetch(image_name: &str, out: &Path, more: &[&str]) -> Transcript {
    let words = ["images", "fetch", image_name, "--plain-http", "--out", shown(out)];
    let mut command = airlift(&[&words[..], more].concat());
    // Nobody's credentials but those of the test.
    command.env("DOCKER_CONFIG", out).env("NO_PROXY", "127.0.0.1");
    Transcript::of(command)
}

/// Fetches an image of one layer from a registry that gives this for the layer; returns how that ended
/// and what is there.
fn with_layer(layer: &'static [u8], answer: impl Fn() -> Answer + Send + Sync + 'static) -> Transcript {
    let registry = Liar::start(move |asked| match () {
        () if asked.path.contains("/manifests/") => Answer::manifest(&image(&json!([blob(LAYER, layer)]))),
        () if is_layer(asked, layer) => answer(),
        () => Answer::of(200, config()),
    });
    let top = directory();
    let out = top.path().join("out");
    let fetched = fetch(&format!("{}/a/b:1", registry.host), &out, &[]);
    let files = files_below(&out);
    assert!(!files.contains_key(&format!("blobs/sha256/{}", Sha256::of(layer))), "{}", fetched.err);
    let index: Value = serde_json::from_slice(&files["index.json"]).expect("JSON");
    assert_eq!(index["manifests"], json!([]));
    fetched
}

#[test]
fn blobs_that_are_not_what_their_digest_says_are_never_there() {
    const LAYER: &[u8] = b"the layer as it should be";
    let other = with_layer(LAYER, || Answer::of(200, "the layer as it is not to").with("ETag", "\"x\""));
    assert_eq!(other.code, 6);
    assert!(other.err.contains(&Sha256::of(LAYER).to_string()), "{}", other.err);
    let longer = with_layer(LAYER, || Answer::of(200, [LAYER, b" and more"].concat()));
    assert_eq!((longer.code, longer.err.contains("34 bytes")), (6, true), "{}", longer.err);
    let endless = with_layer(LAYER, || Answer::of(200, "").endless());
    assert_eq!(endless.code, 6, "{}", endless.err);
    let gone = with_layer(LAYER, || Answer::of(404, ""));
    assert_eq!(gone.code, 6, "{}", gone.err);
}

#[test]
fn a_blob_that_breaks_off_is_gone_on_with_by_range() {
    const LAYER: &[u8] = b"0123456789";
    let registry = Liar::start(|asked| match () {
        () if asked.path.contains("/manifests/") => Answer::manifest(&image(&json!([blob(self::LAYER, LAYER)]))),
        () if !is_layer(asked, LAYER) => Answer::of(200, config()),
        () if asked.range.as_deref() == Some("bytes=4-") => {
            Answer::of(206, &LAYER[4..]).with("Content-Range", "bytes 4-9/10").with("ETag", "\"x\"")
        }
        () => Answer::of(200, &LAYER[..4]).with("Content-Length", "10").with("ETag", "\"x\""),
    });
    let top = directory();
    let out = top.path().join("out");
    let fetched = fetch(&format!("{}/a/b:1", registry.host), &out, &[]);
    assert_eq!(fetched.code, 0, "{}", fetched.err);
    let path = format!("blobs/sha256/{}", Sha256::of(LAYER));
    assert_eq!(files_below(&out)[&path], LAYER);
    assert_eq!(registry.asked(&Sha256::of(LAYER).to_string()).len(), 2);
}

/// Fetches from a registry that gives this for every manifest; returns how that ended.
fn with_manifest(target: &str, answer: impl Fn() -> Answer + Send + Sync + 'static) -> Transcript {
    let registry = Liar::start(move |_| answer());
    let top = directory();
    let out = top.path().join("out");
    let fetched = fetch(&format!("{}/a/b{target}", registry.host), &out, &[]);
    assert!(registry.asked("/blobs/").is_empty(), "nothing is asked for on the word of a bad manifest");
    fetched
}

#[test]
fn manifests_that_can_not_be_carried_are_refused_before_a_blob_is_asked_for() {
    let layer = blob(LAYER, b"layer");
    let many = image(&json!(vec![layer.clone(); 513]));
    let mut elsewhere = layer.clone();
    elsewhere["urls"] = json!(["http://127.0.0.1:1/layer"]);
    let mut path = layer.clone();
    path["digest"] = json!("sha256:../../../../etc/passwd");
    let mut both = image(&json!([layer.clone()]));
    both["manifests"] = json!([]);
    for (document, words) in [
        (many, "513 layers"),
        (image(&json!([elsewhere])), "is to be had elsewhere"),
        (image(&json!([path])), "is no digest of SHA-256"),
        (both, "layers and manifests at once"),
        (json!({ "schemaVersion": 1, "fsLayers": [] }), "layers"),
        (json!([1, 2]), "not the JSON of a manifest"),
    ] {
        let refused = with_manifest(":1", move || Answer::manifest(&document));
        assert_eq!(refused.code, 7, "{words}: {}", refused.err);
        assert!(refused.err.contains(words), "{words}: {}", refused.err);
    }
    let endless = with_manifest(":1", || Answer::of(200, "").with("Content-Type", MANIFEST).endless());
    assert_eq!(endless.code, 7, "{}", endless.err);
    let page = with_manifest(":1", || Answer::of(200, "<html>").with("Content-Type", "text/html"));
    assert_eq!(page.code, 7, "{}", page.err);
}

#[test]
fn a_manifest_with_another_digest_than_was_asked_for_is_not_taken() {
    let digest = Sha256::of(b"another");
    let other = with_manifest(&format!("@sha256:{digest}"), || Answer::manifest(&image(&json!([]))));
    assert_eq!(other.code, 6);
    assert!(other.err.contains(&digest.to_string()), "{}", other.err);
}

#[test]
fn names_that_pose_as_paths_or_addresses_are_usage_errors() {
    let top = directory();
    for name in ["127.0.0.1:1/../../etc:1", "http://127.0.0.1:1/a", "127.0.0.1:1/a?b=c", "user@127.0.0.1:1/a", "a:b:c/"]
    {
        let refused = fetch(name, &top.path().join("out"), &[]);
        assert_eq!(refused.code, 2, "{name}: {}", refused.err);
    }
    assert!(!top.path().join("out").exists());
}

/// Starts a registry that wants a token, gives one to who knows the password, and keeps its blobs on
/// another host.
fn with_token(elsewhere: String) -> Liar {
    let host = Arc::new(Mutex::new(String::new()));
    let realm = Arc::clone(&host);
    let registry = Liar::start(move |asked| {
        let token = asked.authorization.as_deref() == Some("Bearer canary-token");
        match () {
            () if asked.path.starts_with("/token") => match asked.authorization.as_deref() {
                // canary-user:canary-password
                Some("Basic Y2FuYXJ5LXVzZXI6Y2FuYXJ5LXBhc3N3b3Jk") => {
                    Answer::of(200, r#"{"token": "canary-token"}"#).with("Content-Type", "application/json")
                }
                _ => Answer::of(401, "{}"),
            },
            () if !token => {
                let realm = realm.lock().expect("whole");
                let challenge = format!("Bearer realm=\"http://{realm}/token\",service=\"test\"");
                Answer::of(401, "").with("WWW-Authenticate", challenge)
            }
            () if asked.path.contains("/manifests/") => Answer::manifest(&image(&json!([blob(LAYER, b"layer")]))),
            () => Answer::of(307, "").with("Location", format!("http://{elsewhere}{}", asked.path)),
        }
    });
    host.lock().expect("whole").push_str(&registry.host);
    registry
}

#[test]
fn a_token_goes_to_its_registry_and_to_no_other_host() {
    let storage = Liar::start(|asked| match is_layer(asked, b"layer") {
        true => Answer::of(200, "layer"),
        false => Answer::of(200, config()),
    });
    let registry = with_token(storage.host.clone());
    let top = directory();
    let (out, auth) = (top.path().join("out"), top.path().join("auth.json"));
    let image_name = format!("{}/a/b:1", registry.host);
    let login = json!({ "auths": { &registry.host: { "username": "canary-user", "password": "canary-password" } } });
    std::fs::write(&auth, login.to_string()).expect("written");
    let refused = fetch(&image_name, &out, &[]);
    assert_eq!(refused.code, 7, "{}", refused.err);
    assert!(refused.error().contains("--auth-file"), "{}", refused.err);
    let fetched = fetch(&image_name, &out, &["--auth-file", shown(&auth), "--verbose"]);
    assert_eq!(fetched.code, 0, "{}", fetched.err);
    let asked = registry.asked("/token");
    assert!(asked.iter().all(|asked| asked.path.contains("scope=repository%3Aa%2Fb%3Apull")), "{asked:?}");
    assert_eq!(registry.asked("/blobs/").len(), 2);
    let stored = storage.asked("/blobs/");
    assert_eq!(stored.len(), 2);
    assert!(stored.iter().all(|asked| asked.authorization.is_none()), "{stored:?}");
    for transcript in [&refused, &fetched] {
        assert!(!transcript.err.contains("canary") && !transcript.out.contains("canary"), "{}", transcript.err);
    }
}
