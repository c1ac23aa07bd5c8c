//! Servers that say nothing, or a byte now and then, or lead in circles, for ever.

use crate::fixture::directory;
use airlift::machine::Machine;
use airlift::pipeline::progress::Quiet;
use airlift::tao::address::Endpoint;
use airlift::tao::fetch::file::{Fetcher, FileError, Target};
use airlift::tao::fetch::ngc::{Ngc, NgcKey};
use airlift::tao::fetch::remote::{RemoteError, RemoteFile};
use airlift::tao::http::{Http, HttpError, Patience, client};
use airlift::tao::model::NgcModel;
use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// Longer than any test: what waits for it hangs.
const NEVER_MS: u64 = 24 * 3600 * 1000;
const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nETag: \"t\"\r\n\r\n";

/// Answers each connection with `head`, and then a byte every 20 ms; returns where, and how often it was asked.
fn dripping(head: &'static str) -> (String, Arc<AtomicU32>) {
    serving(move |mut stream, _, _| {
        let _ = stream.write_all(head.as_bytes());
        while head.is_empty() || stream.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    })
}

/// Answers each connection as `answer` does, which is told the question and how many there were before.
fn serving(answer: impl Fn(TcpStream, &str, u32) + Clone + Send + 'static) -> (String, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let asked_count = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked_count);
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let (answer, before) = (answer.clone(), count.fetch_add(1, Ordering::SeqCst));
            thread::spawn(move || {
                let mut question = [0; 4096];
                let len = stream.read(&mut question).unwrap_or(0);
                answer(stream, &String::from_utf8_lossy(&question[..len]), before);
            });
        }
    });
    (address, asked_count)
}

/// Answers with a body, and closes.
fn say(mut stream: &TcpStream, status: &str, body: &str) {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _ = stream.write_all((head + body).as_bytes());
}

fn ngc<'a>(http: &'a Http<'a>, address: &str) -> Ngc<'a> {
    let endpoint = || Endpoint::parse(address).expect("an endpoint");
    Ngc::new(http, endpoint(), endpoint(), NgcKey::new("nvapi-canary").expect("a key"))
}

fn patience(stall_ms: u64, attempt_count: u32) -> Patience {
    Patience { connect_ms: 5_000, stall_ms, attempt_count, pause_ms: 1 }
}

/// Fetches a file of 100,000 bytes, which does not come, and returns why.
fn not_fetched(http: &Http<'_>, address: &str) -> FileError {
    let top = directory();
    let target = Target { path: top.path().join("x"), part: top.path().join("x.part") };
    let file = RemoteFile { path: "x".to_owned(), len: 100_000, sha256: None, is_fixed: true };
    let fetcher = Fetcher { http, machine: &Machine::default(), progress: &Quiet };
    let error = fetcher.fetch(&file, &target, &|client| client.get(address)).expect_err("it does not come");
    assert!(!target.path.exists());
    error
}

#[test]
fn an_answer_that_drips_is_broken_off_and_asked_for_as_often_as_any_other() {
    let (address, asked_count) = dripping(HEAD);
    let patience = patience(300, 3);
    let http = Http::new(client(None, &patience).expect("a client"), patience, &|| false);
    let error = http.value::<String>(&|client| client.get(&address)).expect_err("no answer");
    assert!(matches!(error, HttpError::BrokenOff { .. }), "{error}");
    assert_eq!(asked_count.load(Ordering::SeqCst), 3);
}

#[test]
fn a_file_that_drips_is_given_up_though_each_attempt_brings_some_of_it() {
    let (address, asked_count) = dripping(HEAD);
    let patience = patience(300, 3);
    let http = Http::new(client(None, &patience).expect("a client"), patience, &|| false);
    let error = not_fetched(&http, &address);
    assert!(matches!(error, FileError::BrokenOff { .. }), "{error}");
    assert_eq!(asked_count.load(Ordering::SeqCst), 3);
}

#[test]
fn whoever_stops_waits_for_no_server() {
    for head in ["", HEAD] {
        let (address, asked_count) = dripping(head);
        let patience = patience(NEVER_MS, 8);
        let is_stopped = AtomicBool::new(false);
        let is_stopped_now = || is_stopped.load(Ordering::SeqCst);
        let http = Http::new(client(None, &patience).expect("a client"), patience, &is_stopped_now);
        let error = thread::scope(|scope| {
            let asking = scope.spawn(|| http.value::<String>(&|client| client.get(&address)));
            while asked_count.load(Ordering::SeqCst) == 0 {
                thread::sleep(Duration::from_millis(1));
            }
            is_stopped.store(true, Ordering::SeqCst);
            asking.join().expect("it ends").expect_err("stopped")
        });
        assert!(matches!(error, HttpError::Stopped), "{error}");
    }
}

#[test]
fn a_file_that_breaks_off_here_and_there_without_getting_further_is_given_up() {
    // Without a tag each attempt begins at the first byte.
    let (address, asked_count) = serving(|mut stream, _, before| {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
        let body = vec![b'x'; if before % 2 == 0 { 20_000 } else { 10_000 }];
        let _ = stream.write_all(&[head.as_bytes(), &body].concat());
    });
    let patience = patience(5_000, 3);
    let http = Http::new(client(None, &patience).expect("a client"), patience, &|| false);
    let error = not_fetched(&http, &address);
    assert!(matches!(error, FileError::BrokenOff { .. }), "{error}");
    assert_eq!(asked_count.load(Ordering::SeqCst), 4);
}

#[test]
fn a_list_that_leads_in_circles_is_refused() {
    for marks in [["a", "a"], ["a", "b"]] {
        let (address, asked_count) = serving(move |stream, _, before| {
            let next = marks[(before % 2) as usize];
            say(
                &stream,
                "200 OK",
                &format!("{{\"modelFiles\": [], \"paginationInfo\": {{\"nextPage\": \"{next}\"}}}}"),
            );
        });
        let patience = patience(5_000, 1);
        let http = Http::new(client(None, &patience).expect("a client"), patience, &|| false);
        let model = NgcModel::parse("nvidia/tao/m:1").expect("a model");
        let error = ngc(&http, &address).files(&model, &HashMap::new()).expect_err("refused");
        assert!(matches!(error, RemoteError::PageAgain { .. }), "{error}");
        assert!(asked_count.load(Ordering::SeqCst) <= 3);
    }
}

#[test]
fn a_key_that_a_server_repeats_is_not_shown() {
    let (address, _) = serving(|stream, question, _| {
        say(&stream, "200 OK", &serde_json::Value::from(question).to_string());
    });
    let patience = patience(5_000, 1);
    let http = Http::new(client(None, &patience).expect("a client"), patience, &|| false);
    let error = ngc(&http, &address).org_teams().expect_err("no list");
    let mut text = error.to_string();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(next) = cause.source() {
        text += &next.to_string();
        cause = next;
    }
    assert!(text.contains("JSON of another form") && !text.contains("canary"), "{text}");
}

#[test]
fn answers_that_nobody_reads_keep_no_connection() {
    let open_count = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&open_count);
    let (address, asked_count) = serving(move |mut stream, _, _| {
        count.fetch_add(1, Ordering::SeqCst);
        let head = "HTTP/1.1 503 Later\r\nRetry-After: 0\r\nContent-Length: 1000000\r\n\r\n";
        let _ = stream.write_all(head.as_bytes());
        // Nothing more is asked here: the read ends when the other side has closed.
        let _ = stream.read(&mut [0]);
        count.fetch_sub(1, Ordering::SeqCst);
    });
    let patience = patience(NEVER_MS, 50);
    let http = Http::new(client(None, &patience).expect("a client"), patience, &|| false);
    let error = http.value::<String>(&|client| client.get(&address)).expect_err("no answer");
    assert!(matches!(error, HttpError::Status { status: 503, .. }), "{error}");
    assert_eq!(asked_count.load(Ordering::SeqCst), 50);
    while open_count.load(Ordering::SeqCst) > 0 {
        thread::yield_now();
    }
}
