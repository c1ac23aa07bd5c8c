//! Group T: stores that fail, lie or stall, through an S3 server in this process.

use super::bench::Bench;
use super::resume::two_parts;
use super::server::{Ask, Server, serve};
use super::{Line, checked, elsewhere, ends, named, tests, waits};
use crate::program::shown;
use crate::s3_faults::{Reply, Request, StandIn, answer, error};
use crate::s3_server::{authority, certificate, openssl_server};
use airlift::store::{Key, MemoryStore, Store as _, paging};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub(super) const LINES: &[Line] = &[
    checked("T01", "500 on every n-th request", "on every third", &[ends("import", 0, "")], |bench| {
        let medium = bench.good();
        let server = Server::start(|at, _| (at % 3 == 2).then(|| error(500, "InternalError")));
        bench.import_to(&server, &medium, &[]);
    }),
    checked(
        "T02",
        "503 with Retry-After",
        "one that asks for a second, and one that asks for a day, which is cut to 30 s",
        &[ends("import", 0, "")],
        retry_after,
    ),
    checked(
        "T04",
        "200 with an error document on multipart completion",
        "each completion until the command is repeated; a file of two parts",
        &[ends("import", 6, "landed/models/noise.bin"), ends("import", 0, "")],
        error_in_success,
    ),
    checked(
        "T05",
        "PUT answered OK, object absent",
        "every object is dropped, and `--read-back` looks; then the server is honest",
        &[ends("import", 6, "landed/"), ends("import", 0, "")],
        |bench| {
            lying(bench, |ask| ask.puts_object().then(|| answer(200, &[("ETag", "\"tag\"")], "")));
        },
    ),
    checked(
        "T07",
        "HEAD right, GET empty",
        "every GET of an object is empty, and `--read-back` looks. It is the store that fails, so *unavailable*",
        &[ends("import", 6, "landed/"), ends("import", 0, "")],
        |bench| {
            let is_get = |ask: &Ask<'_>| ask.method == "GET" && ask.key.starts_with("landed/");
            lying(bench, move |ask| is_get(ask).then(|| answer(200, &[("ETag", "\"tag\"")], "")));
        },
    ),
    checked(
        "T08",
        "ETag in an unknown form",
        "without quotes, with a slash and a tilde, in answers, lists and conditions",
        &[ends("import", 0, "")],
        odd_tags,
    ),
    checked(
        "T10",
        "eight importers race for the pointer",
        "eight processes, each with a state of its own",
        &[ends("import", 0, "")],
        race,
    ),
    checked(
        "T11",
        "redirect to another host",
        "301, 302, 307 and 308 to a server that counts what it is asked",
        &[ends("import", 7, "never followed")],
        |bench| {
            let medium = bench.good();
            let other = StandIn::start(|_, _| answer(200, &[], ""));
            for status in [301, 302, 307, 308] {
                let location = format!("http://{}/bucket", other.address);
                let server = Server::start(move |_, _| Some(answer(status, &[("Location", &location)], "")));
                bench.import_to(&server, &medium, &[]);
            }
            assert_eq!(other.requests().len(), 0);
        },
    ),
    checked(
        "T13",
        "list token that loops",
        "every page of a listing names the same next one",
        &[ends("import", 7, "")],
        |bench| {
            let medium = bench.good();
            let page = "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>a</NextContinuationToken></ListBucketResult>";
            let server = Server::start(move |_, ask| ask.value("list-type").map(|_| answer(200, &[], page)));
            bench.import_to(&server, &medium, &[]);
        },
    ),
    checked(
        "T14",
        "wrong authority, wrong name, expired or self-signed certificate",
        "servers with certificates made by openssl, and `--ca-file`",
        &[ends("import", 7, "certificate")],
        certificates,
    ),
    checked(
        "T16",
        "403 half-way",
        "from the fourth object on, until the command is repeated",
        &[ends("import", 6, ""), ends("import", 0, "")],
        |bench| {
            let medium = bench.good();
            let (put_count, is_over) = (AtomicUsize::new(0), Arc::new(AtomicBool::new(false)));
            let over = Arc::clone(&is_over);
            let server = Server::start(move |_, ask| {
                let is_refused = ask.puts_object() && put_count.fetch_add(1, Ordering::SeqCst) >= 3;
                (is_refused && !over.load(Ordering::SeqCst)).then(|| error(403, "AccessDenied"))
            });
            assert_eq!(bench.import_to(&server, &medium, &[]).code, 6);
            is_over.store(true, Ordering::SeqCst);
            assert_eq!(bench.import_to(&server, &medium, &[]).code, 0);
        },
    ),
    elsewhere(
        "T17",
        "one byte a second",
        named![crate::s3_faults::t17_one_byte_a_second_is_a_stall],
        "the program waits a minute in each of eight attempts, and no option shortens that",
    ),
    checked(
        "T19",
        "cleaner deletes staging during import",
        "all below the state prefix goes when the third object comes; then the command is repeated",
        &[ends("import", 6, ""), ends("import", 0, "")],
        cleaned,
    ),
    waits(
        "T20",
        "versioned and object-locked buckets",
        "no rule says what they change, and the server of the tests keeps no locks",
    ),
    waits(
        "T22",
        "server version below the safe floor",
        "no floor is known, and an S3 server does not tell its version reliably",
    ),
    checked(
        "T23",
        "server ignores `If-None-Match`",
        "conditions are not looked at: the probe finds it before an object lands",
        &[ends("import", 7, "condition")],
        |bench| {
            let medium = bench.good();
            let server = Server::over(|store, _, ask| {
                let mut request = ask.request.clone();
                request.headers.retain(|(name, _)| name != "if-none-match" && name != "if-match");
                Some(serve(store, &Ask::of(&request)))
            });
            let arguments = bench.arguments_to(&server, &medium, &[]);
            bench.call(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
            assert!(server.landed().is_empty());
        },
    ),
];

tests!(t01 t02 t04 t05 t07 t08 t10 t11 t13 t14 t16 t19 t23);

fn retry_after(bench: &Bench) {
    for (asked, least, most) in [("1", 1, 30), ("86400", 29, 90)] {
        let (medium, _) = bench.bundle(&format!("medium-{asked}"), 1, 10);
        let is_asked = AtomicBool::new(false);
        let server = Server::start(move |_, ask| {
            let is_first = ask.puts_object() && !is_asked.swap(true, Ordering::SeqCst);
            is_first.then(|| answer(503, &[("Retry-After", asked)], ""))
        });
        let start = Instant::now();
        bench.import_to(&server, &medium, &["--state", shown(&bench.path(asked))]);
        let waited = start.elapsed().as_secs();
        assert!((least..most).contains(&waited), "{asked} s asked, {waited} s waited");
    }
}

fn error_in_success(bench: &Bench) {
    let medium = two_parts(bench);
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    let server = Server::start(move |_, ask| {
        let is_completion = ask.method == "POST" && ask.value("uploadId").is_some();
        let document = "<Error><Code>InternalError</Code><Message>m</Message></Error>";
        (is_completion && !over.load(Ordering::SeqCst)).then(|| answer(200, &[], document))
    });
    assert_eq!(bench.import_to(&server, &medium, &[]).code, 6);
    assert!(server.landed().is_empty());
    is_over.store(true, Ordering::SeqCst);
    assert_eq!(bench.import_to(&server, &medium, &[]).code, 0);
    assert_eq!(paging::uploads(server.store.as_ref(), "").count(), 0);
}

/// Imports with `--read-back` while the server lies, and again when it does no more.
fn lying(bench: &Bench, lie: impl Fn(&Ask<'_>) -> Option<Reply> + Send + Sync + 'static) {
    let medium = bench.good();
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    let server = Server::start(move |_, ask| if over.load(Ordering::SeqCst) { None } else { lie(ask) });
    assert_eq!(bench.import_to(&server, &medium, &["--read-back"]).code, 6);
    assert!(!server.everything().contains_key(".airlift/models-eu/installed"));
    is_over.store(true, Ordering::SeqCst);
    assert_eq!(bench.import_to(&server, &medium, &["--read-back"]).code, 0);
}

fn odd_tags(bench: &Bench) {
    let medium = bench.good();
    let odd = |tag: &str| format!("odd/{tag}~");
    let plain = |tag: &str| tag.trim_start_matches("odd/").trim_end_matches('~').to_owned();
    let server = Server::over(move |store, _, ask| {
        let mut request: Request = ask.request.clone();
        for (_, value) in request.headers.iter_mut().filter(|(name, _)| name == "if-match") {
            *value = plain(value);
        }
        let mut reply = serve(store, &Ask::of(&request));
        if let Reply::Answer { headers, body, .. } = &mut reply {
            headers.iter_mut().filter(|(name, _)| *name == "ETag").for_each(|(_, value)| *value = odd(value));
            let text = String::from_utf8_lossy(body).into_owned();
            if text.contains("<ETag>") {
                *body = text.replace("<ETag>", "<ETag>odd/").replace("</ETag>", "~</ETag>").into_bytes();
            }
        }
        Some(reply)
    });
    bench.import_to(&server, &medium, &[]);
    // Known again by these tags: nothing is sent a second time.
    let before = server.stand_in.requests().len();
    bench.import_to(&server, &medium, &[]);
    let again = &server.stand_in.requests()[before..];
    assert!(!again.iter().any(|request| Ask::of(request).puts_object()));
}

fn race(bench: &Bench) {
    let medium = bench.good();
    let server = Server::honest();
    let start = |number: usize| {
        let state = bench.path(&format!("state-{number}"));
        let mut command = bench.bare_to(&server, &medium, &["--state", shown(&state)]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("run")
    };
    let children: Vec<Child> = (0..8).map(start).collect();
    let mut won_count = 0;
    for child in children {
        let output = child.wait_with_output().expect("ended");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // Who came while another held the lease is to come again.
        assert!(matches!(output.status.code(), Some(0 | 6)), "{:?}: {said}", output.status);
        won_count += usize::from(output.status.code() == Some(0));
    }
    assert!(won_count >= 1);
    let sent = server.stand_in.requests().iter().filter(|request| Ask::of(request).puts_object()).count();
    assert_eq!(sent, bench.files().len(), "one lands each object");
    assert_eq!(server.everything().keys().filter(|key| key.ends_with("/installed")).count(), 1);
    assert_eq!(bench.import_to(&server, &medium, &[]).code, 0);
}

fn certificates(bench: &Bench) {
    let medium = bench.good();
    let dir = bench.path("");
    authority(&dir, "ours");
    authority(&dir, "theirs");
    // Older OpenSSL has no option for the dates themselves.
    certificate(&dir, "wrong-authority", "theirs", "IP:127.0.0.1", &[]);
    certificate(&dir, "wrong-name", "ours", "DNS:store.example", &[]);
    certificate(&dir, "expired", "ours", "IP:127.0.0.1", &["-days", "-1"]);
    for served in ["wrong-authority", "wrong-name", "expired", "theirs"] {
        let tls = openssl_server(&dir, served);
        bench.set_variable("AWS_ACCESS_KEY_ID", "a");
        bench.set_variable("AWS_SECRET_ACCESS_KEY", "b");
        let (endpoint, ca_file) = (format!("https://127.0.0.1:{}", tls.port), dir.join("ours.pem"));
        let options = ["--enrol", "--to", "s3://bucket", "--endpoint", &endpoint, "--ca-file", shown(&ca_file)];
        let arguments = bench.import_arguments(&[&medium], &options);
        let start = Instant::now();
        bench.call(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(start.elapsed() < Duration::from_secs(20), "{served} is tried again");
    }
}

fn clean(store: &MemoryStore) {
    let keys: Vec<String> = paging::objects(store, ".airlift/").map(|listed| listed.expect("listed").key).collect();
    keys.iter().for_each(|key| store.remove(&Key::parse(key).expect("a key")).expect("removed"));
}

fn cleaned(bench: &Bench) {
    let medium = bench.good();
    let put_count = AtomicUsize::new(0);
    let server = Server::over(move |store, _, ask| {
        if ask.puts_object() && put_count.fetch_add(1, Ordering::SeqCst) == 2 {
            clean(store);
        }
        None
    });
    assert_eq!(bench.import_to(&server, &medium, &[]).code, 6);
    assert_eq!(bench.import_to(&server, &medium, &[]).code, 0);
    let state = server.everything();
    for part in ["installed", "manifest", "packs", "head.json", "receipt.json"] {
        assert!(state.keys().any(|key| key.starts_with(".airlift/") && key.ends_with(part)), "{part} is not there");
    }
}
