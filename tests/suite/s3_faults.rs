//! How the S3 store takes a server that fails, lies or stalls: a stand-in on this machine answers
//! what each test scripts.

use airlift::error::Class;
use airlift::format::{Proven, Sha256};
use airlift::store::s3::PlainHttp;
use airlift::store::{
    Attributes, Call, Cause, Condition, Key, PartNumber, PartTag, S3Options, S3Store, Store, StoreError, UploadId,
    UploadedPart, paging,
};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(crate) const SECRET: &str = "canary-secret";
pub(crate) const ACCESS_KEY: &str = "CANARYACCESSKEY";

/// What the stand-in was asked.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// What it does then.
pub(crate) enum Reply {
    Answer {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    },
    /// Promises ten bytes and sends one a second.
    Drip,
    /// Closes the connection without an answer.
    Close,
    /// Sends without end.
    Endless,
}

pub(crate) fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Reply {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Reply::Answer { status, headers, body: body.into() }
}

pub(crate) fn error(status: u16, code: &str) -> Reply {
    answer(status, &[], &format!("<Error><Code>{code}</Code><Message>m</Message></Error>"))
}

fn stored() -> Reply {
    answer(200, &[("ETag", "\"tag\"")], "")
}

pub(crate) struct StandIn {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    connection_count: Arc<AtomicUsize>,
}

impl StandIn {
    /// Starts a server that answers its n-th request, from 0, with `script(n, request)`.
    pub(crate) fn start(script: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> StandIn {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let connection_count = Arc::new(AtomicUsize::new(0));
        let (script, seen, counted) = (Arc::new(script), requests.clone(), connection_count.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                counted.fetch_add(1, Ordering::Relaxed);
                let (script, seen) = (script.clone(), seen.clone());
                std::thread::spawn(move || serve(stream.expect("accept"), &*script, &seen));
            }
        });
        StandIn { address, requests, connection_count }
    }

    fn store(&self, change: impl FnOnce(&mut S3Options)) -> S3Store {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        let text = format!("[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET}\n");
        std::fs::write(file.path(), text).expect("write");
        let mut options = S3Options::new("bucket");
        options.endpoint = Some(format!("http://{}", self.address));
        options.credentials_file = Some(file.path().to_owned());
        options.patience.pause_first_ms = 1;
        options.patience.attempt_count_max = 4;
        change(&mut options);
        S3Store::open(&options).expect("good options")
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no panic").clone()
    }
}

fn serve(stream: TcpStream, script: &dyn Fn(usize, &Request) -> Reply, seen: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("clone"));
    let mut writer = stream;
    while let Some(request) = receive(&mut reader) {
        let at = {
            let mut seen = seen.lock().expect("no panic");
            seen.push(request.clone());
            seen.len() - 1
        };
        // A client that has gone ends the connection, which is all there is to do.
        if send(&mut writer, &request, script(at, &request)).is_err() {
            return;
        }
    }
}

fn receive(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let headers: Vec<(String, String)> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let mut request = Request { line: lines.remove(0), headers, body: Vec::new() };
    let len = request.header("content-length").map_or(0, |len| len.parse().expect("a length"));
    request.body = vec![0; len];
    reader.read_exact(&mut request.body).ok()?;
    Some(request)
}

fn send(writer: &mut TcpStream, request: &Request, reply: Reply) -> std::io::Result<()> {
    match reply {
        Reply::Answer { status, headers, body } => {
            let mut text = format!("HTTP/1.1 {status} scripted\r\n");
            if !headers.iter().any(|(name, _)| *name == "Content-Length") {
                text += &format!("Content-Length: {}\r\n", body.len());
            }
            for (name, value) in headers {
                text += &format!("{name}: {value}\r\n");
            }
            text += "\r\n";
            let body = if request.line.starts_with("HEAD") { Vec::new() } else { body };
            writer.write_all(&[text.as_bytes(), &body].concat())
        }
        Reply::Drip => {
            writer.write_all(b"HTTP/1.1 200 OK\r\nETag: \"t\"\r\nContent-Length: 10\r\n\r\n")?;
            for _ in 0..10 {
                writer.write_all(b"x")?;
                std::thread::sleep(Duration::from_secs(1));
            }
            Ok(())
        }
        Reply::Close => Err(std::io::ErrorKind::ConnectionAborted.into()),
        Reply::Endless => {
            writer.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<ListBucketResult>")?;
            loop {
                writer.write_all(&[b' '; 1 << 16])?;
            }
        }
    }
}

fn key() -> Key {
    Key::parse("models/a").expect("good")
}

fn put(store: &S3Store, condition: &Condition) -> Result<String, StoreError> {
    let stored = store.put(&key(), &Proven::record("123456789"), &Attributes::of_type("text/plain"), condition);
    stored.map(|stored| stored.tag.as_str().to_owned())
}

fn finish(store: &S3Store) -> Result<String, StoreError> {
    let part = UploadedPart { number: PartNumber::new(1).expect("good"), tag: PartTag::new("\"p\"") };
    let stored = store.finish_upload(&key(), &UploadId::new("u"), &[part], &Condition::Any);
    stored.map(|stored| stored.tag.as_str().to_owned())
}

fn cause(outcome: Result<impl std::fmt::Debug, StoreError>) -> Cause {
    match outcome {
        Err(StoreError::Unavailable { cause, .. }) => cause,
        other => panic!("not unavailable: {other:?}"),
    }
}

#[test]
fn t01_rides_over_a_server_error_on_every_third_request() {
    let server = StandIn::start(|at, _| if at % 3 == 0 { error(500, "InternalError") } else { stored() });
    let store = server.store(|_| {});
    for _ in 0..20 {
        assert_eq!(put(&store, &Condition::Any).expect("within the budget"), "\"tag\"");
    }
    assert_eq!(server.requests().len(), 30);
}

#[test]
fn t01_gives_up_within_the_budget() {
    let server = StandIn::start(|_, _| error(500, "InternalError"));
    let store = server.store(|_| {});
    let outcome = put(&store, &Condition::Any);
    assert!(matches!(outcome, Err(StoreError::Unavailable { call: Call::Put, attempts: 4, .. })), "{outcome:?}");
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn t02_waits_as_long_as_the_server_asks_and_no_longer_than_the_limit() {
    for (asked_s, least, most) in [("1", 1000, 5000), ("86400", 2000, 6000)] {
        let server = StandIn::start(move |at, _| match at {
            0 => answer(503, &[("Retry-After", asked_s)], ""),
            _ => stored(),
        });
        let store = server.store(|options| options.patience.retry_after_ms_max = 2000);
        let start = Instant::now();
        put(&store, &Condition::Any).expect("the second attempt");
        let waited = start.elapsed().as_millis();
        assert!((least..most).contains(&waited), "{asked_s} s asked, {waited} ms waited");
    }
}

#[test]
fn t04_an_error_document_with_a_status_of_success_is_a_failure() {
    let document = "<?xml version=\"1.0\"?><Error><Code>InternalError</Code><Message>m</Message></Error>";
    let server = StandIn::start(move |_, _| answer(200, &[], document));
    let found = cause(finish(&server.store(|_| {})));
    assert_eq!(found, Cause::Answer { status: 200, code: Some("InternalError") });

    let server = StandIn::start(|_, _| answer(200, &[], ""));
    assert_eq!(cause(finish(&server.store(|_| {}))), Cause::Unreadable);
}

#[test]
fn t07_an_answer_shorter_than_asked_is_damage() {
    let server = StandIn::start(|_, request| match request.line.starts_with("HEAD") {
        true => answer(200, &[("ETag", "\"t\""), ("Content-Length", "10")], ""),
        false => answer(200, &[("ETag", "\"t\"")], ""),
    });
    let store = server.store(|_| {});
    assert_eq!(store.stat(&key()).expect("stat").expect("there").len, 10);
    let error = store.read(&key(), 0..10).expect_err("nothing came");
    assert!(matches!(error, StoreError::ShortAnswer { expected_len: 10, found_len: 0, .. }), "{error}");
    assert_eq!(error.class(), Class::Damaged);
}

#[test]
fn another_range_than_asked_is_damage() {
    let server = StandIn::start(|_, _| answer(206, &[("ETag", "\"t\""), ("Content-Range", "bytes 0-3/10")], "1234"));
    let error = server.store(|_| {}).read(&key(), 4..8).expect_err("the wrong bytes");
    assert_eq!(error.class(), Class::Damaged);
}

#[test]
fn t08_keeps_a_tag_of_unknown_form_as_it_is() {
    let server = StandIn::start(|_, _| answer(200, &[("ETag", "W/odd tag-of=a:kind")], ""));
    assert_eq!(put(&server.store(|_| {}), &Condition::Any).expect("put"), "W/odd tag-of=a:kind");
}

#[test]
fn t11_never_follows_a_redirect() {
    let other = StandIn::start(|_, _| stored());
    for status in [301, 302, 307, 308] {
        let location = format!("http://{}/bucket/models/a", other.address);
        let server = StandIn::start(move |_, _| answer(status, &[("Location", &location)], ""));
        let store = server.store(|_| {});
        for outcome in [put(&store, &Condition::Any).map(|_| ()), store.stat(&key()).map(|_| ())] {
            let error = outcome.expect_err("not followed");
            assert!(matches!(error, StoreError::Redirected { .. }), "{error}");
            assert_eq!(error.class(), Class::Refused);
        }
        assert_eq!(server.requests().len(), 2);
    }
    assert_eq!(other.connection_count.load(Ordering::Relaxed), 0);
}

#[test]
fn t13_refuses_a_listing_that_loops() {
    let page = "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>same</NextContinuationToken>\
        <Contents><Key>p/a</Key><Size>1</Size></Contents></ListBucketResult>";
    let server = StandIn::start(move |_, _| answer(200, &[], page));
    let store = server.store(|_| {});
    let error = paging::objects(&store, "p/").find_map(Result::err).expect("it ends");
    assert!(matches!(error, StoreError::ListingLoops { .. }), "{error}");
    assert_eq!(error.class(), Class::Refused);
    let error = paging::objects(&store, "q/").find_map(Result::err).expect("it ends");
    assert!(matches!(error, StoreError::MisplacedKey { .. }), "{error}");
}

#[test]
fn t16_a_refusal_half_way_is_unavailable_and_not_tried_again() {
    let server = StandIn::start(|at, _| if at < 2 { stored() } else { error(403, "AccessDenied") });
    let store = server.store(|_| {});
    put(&store, &Condition::Any).expect("allowed");
    put(&store, &Condition::Any).expect("allowed");
    let error = put(&store, &Condition::Any).expect_err("no longer");
    assert_eq!(error.class(), Class::Unavailable);
    assert_eq!(server.requests().len(), 3);
}

#[test]
pub(crate) fn t17_one_byte_a_second_is_a_stall() {
    let server = StandIn::start(|_, _| Reply::Drip);
    let store = server.store(|options| {
        options.patience.stall_ms = 1500;
        options.patience.attempt_count_max = 1;
    });
    let start = Instant::now();
    assert_eq!(cause(store.read(&key(), 0..10)), Cause::Stalled { waited_ms: 1500 });
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_server_that_reads_nothing_is_a_stall_and_one_that_says_nothing_no_answer() {
    let patient = |options: &mut S3Options| {
        options.patience.stall_ms = 500;
        options.patience.answer_ms = 1000;
        options.patience.attempt_count_max = 1;
    };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let deaf = StandIn {
        address: listener.local_addr().expect("bound"),
        requests: Arc::default(),
        connection_count: Arc::default(),
    };
    let store = deaf.store(patient);
    let body = Proven::record(vec![7; 64 << 20]);
    let outcome = store.put(&key(), &body, &Attributes::default(), &Condition::Any);
    assert_eq!(cause(outcome), Cause::Stalled { waited_ms: 500 });
    assert_eq!(cause(store.stat(&key())), Cause::NoAnswer { waited_ms: 1000 });
    drop(listener);
}

#[test]
fn an_answer_without_end_is_not_read_without_end() {
    let server = StandIn::start(|_, _| Reply::Endless);
    let store = server.store(|options| options.patience.attempt_count_max = 1);
    assert_eq!(store.list("", None).expect_err("too long").class(), Class::Unavailable);
}

#[test]
fn sends_one_checksum_and_no_other_hash() {
    let server = StandIn::start(|_, _| stored());
    let store = server.store(|_| {});
    put(&store, &Condition::Any).expect("put");
    let number = PartNumber::new(1).expect("good");
    store.put_part(&key(), &UploadId::new("u"), number, &Proven::record("123456789")).expect("put part");
    for request in server.requests() {
        // The check value of CRC-64/NVME over the nine digits.
        assert_eq!(request.header("x-amz-checksum-crc64nvme"), Some("rosUhgp5mIg="));
        assert_eq!(request.header("x-amz-content-sha256"), Some("UNSIGNED-PAYLOAD"));
        assert_eq!(request.header("content-length"), Some("9"));
        assert_eq!(request.body, b"123456789");
        for absent in ["content-md5", "x-amz-trailer", "transfer-encoding", "content-encoding", "expect"] {
            assert_eq!(request.header(absent), None, "{absent}");
        }
    }
}

#[test]
fn a_body_that_arrives_damaged_every_time_is_named_so() {
    let server = StandIn::start(|_, _| error(400, "BadDigest"));
    let outcome = put(&server.store(|_| {}), &Condition::Any);
    assert!(matches!(outcome, Err(StoreError::DamagedOnTheWay { attempts: 4, .. })), "{outcome:?}");
}

#[test]
fn a_write_whose_answer_was_lost_is_known_as_ours_by_its_bytes() {
    for (content, is_ours) in [("123456789", true), ("987654321", false)] {
        let server = StandIn::start(move |at, request| match (at, request.line.split(' ').next()) {
            (0, _) => Reply::Close,
            (1, _) => error(412, "PreconditionFailed"),
            (_, Some("HEAD")) => answer(200, &[("ETag", "\"t\""), ("Content-Length", "9")], ""),
            _ => answer(206, &[("ETag", "\"t\""), ("Content-Range", "bytes 0-8/9")], content),
        });
        match put(&server.store(|_| {}), &Condition::Absent) {
            Ok(tag) => assert!(is_ours && tag == "\"t\""),
            Err(StoreError::ConditionFailed { .. }) => assert!(!is_ours),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn uses_connections_again() {
    let server = StandIn::start(|_, _| stored());
    let store = server.store(|_| {});
    for _ in 0..50 {
        put(&store, &Condition::Any).expect("put");
    }
    // One that is on its way back when the next call starts may cost another.
    let count = server.connection_count.load(Ordering::Relaxed);
    assert!(count <= 3, "{count} connections for 50 calls");
}

#[test]
fn l01_no_error_repeats_a_secret_even_if_the_server_does() {
    let echo = |request: &Request| {
        let sent = request.header("authorization").unwrap_or_default().to_owned();
        format!(
            "<Error><Code>{ACCESS_KEY}</Code><Message>{sent}</Message><AWSAccessKeyId>{ACCESS_KEY}</AWSAccessKeyId></Error>"
        )
    };
    let mut said = String::new();
    for status in [200, 301, 400, 403, 404, 412, 500] {
        let server = StandIn::start(move |_, request| answer(status, &[], &echo(request)));
        let store = server.store(|options| options.patience.attempt_count_max = 1);
        said += &format!("{store:?}");
        let outcomes = [
            put(&store, &Condition::Absent).err(),
            finish(&store).err(),
            store.list("", None).err(),
            store.read(&key(), 0..4).err(),
            store.open_upload(&key(), &Attributes::default()).err(),
        ];
        for error in outcomes.into_iter().flatten() {
            let sources = std::iter::successors(std::error::Error::source(&error), |error| error.source());
            said += &sources.map(|source| format!("{source} {source:?}")).collect::<String>();
            said += &format!("{error} {error:?}");
        }
    }
    assert!(said.contains("403"), "the errors say something");
    for canary in [SECRET, ACCESS_KEY, "AWS4-HMAC", "Signature"] {
        assert!(!said.contains(canary), "{canary} in {said}");
    }
}

#[test]
fn plain_http_beyond_this_machine_needs_permission_and_signs_what_it_sends() {
    let server = StandIn::start(|_, _| stored());
    // This spelling reaches the stand-in and is not taken for this machine.
    let endpoint = format!("http://127.1:{}", server.address.port());
    let mut options = S3Options::new("bucket");
    options.endpoint = Some(endpoint.clone());
    let error = S3Store::open(&options).expect_err("not allowed");
    assert!(matches!(error, StoreError::PlainHttp { .. }), "{error}");
    assert_eq!(error.class(), Class::Refused);
    assert_eq!(server.connection_count.load(Ordering::Relaxed), 0);

    let store = server.store(|options| {
        options.endpoint = Some(endpoint);
        options.plain_http = PlainHttp::Allow;
    });
    put(&store, &Condition::Any).expect("allowed");
    let requests = server.requests();
    let sha256 = Sha256::of(b"123456789").to_string();
    assert_eq!(requests[0].header("x-amz-content-sha256"), Some(sha256.as_str()));
    assert_eq!(requests[0].body, b"123456789");
}
