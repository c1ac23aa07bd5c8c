//! Servers that say nothing, or a byte now and then, for ever.

use airlift::machine::Machine;
use airlift::pipeline::progress::Quiet;
use airlift::tao::fetch::file::{Fetcher, FileError, Target};
use airlift::tao::fetch::remote::RemoteFile;
use airlift::tao::http::{Http, HttpError, Patience, client};
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
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}/x", listener.local_addr().expect("an address"));
    let asked_count = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked_count);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            count.fetch_add(1, Ordering::SeqCst);
            thread::spawn(move || drip(stream, head));
        }
    });
    (address, asked_count)
}

fn drip(mut stream: TcpStream, head: &str) {
    let mut question = [0; 4096];
    let _ = stream.read(&mut question);
    let _ = stream.write_all(head.as_bytes());
    while head.is_empty() || stream.write_all(b"x").is_ok() {
        thread::sleep(Duration::from_millis(20));
    }
}

fn patience(stall_ms: u64, attempt_count: u32) -> Patience {
    Patience { connect_ms: 5_000, stall_ms, attempt_count, pause_ms: 1 }
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
    let top = tempfile::tempdir().expect("a directory");
    let target = Target { path: top.path().join("x"), part: top.path().join("x.part") };
    let file = RemoteFile { path: "x".to_owned(), len: 100_000, sha256: None, is_fixed: true };
    let fetcher = Fetcher { http: &http, machine: &Machine::default(), progress: &Quiet };
    let error = fetcher.fetch(&file, &target, &|client| client.get(&address)).expect_err("it drips");
    assert!(matches!(error, FileError::BrokenOff { offset: 1.., .. }), "{error}");
    assert_eq!(asked_count.load(Ordering::SeqCst), 3);
    assert!(!target.path.exists());
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
