//! What the S3 store and its server do with small objects, and with media types.
//!
//! `cargo bench --bench store`; add `--profile dev` to spare the release build, since the server
//! is the wall.

#![expect(clippy::expect_used, reason = "a measurement ends where something fails")]

#[path = "../tests/suite/weed.rs"]
mod weed;

use airlift::format::Proven;
use airlift::store::{Attributes, Condition, IfMissing, Key, S3Store, Store};
use bytes::Bytes;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use weed::Weed;

const LARGE_COUNT: usize = 24;

fn main() {
    let server = Weed::start();
    let store = server.store("bench");
    store.ensure_bucket(IfMissing::Create).expect("bucket");
    small_objects(&server, &store);
    media_types(&server, &store);
}

/// 4 KiB objects from plain threads.
fn small_objects(server: &Weed, store: &S3Store) {
    println!("| threads | 4 KiB puts/s | server CPU ms a put | client CPU ms a put |");
    println!("|---|---|---|---|");
    let body = random(4096);
    for thread_count in [1, 8, 32, 64] {
        let count = 400 * thread_count.min(10);
        let spent = spend(server, count, thread_count, |at| {
            put(store, &format!("small/{thread_count}/{at}"), &body, "application/octet-stream");
        });
        println!(
            "| {thread_count} | {:.0} | {:.2} | {:.2} |",
            count as f64 / spent.elapsed.as_secs_f64(),
            spent.server.as_secs_f64() * 1000.0 / count as f64,
            spent.client.as_secs_f64() * 1000.0 / count as f64,
        );
    }
}

/// Objects of 8 MiB of three kinds, under media types and endings.
fn media_types(server: &Weed, store: &S3Store) {
    println!("| bytes | key | media type | server CPU s/GiB | stored/raw | client CPU s/GiB |");
    println!("|---|---|---|---|---|---|");
    for (kind, body) in [("text", text(8 << 20)), ("float32", weights(8 << 20)), ("random", random(8 << 20))] {
        for (ending, media_type) in [
            ("bin", "application/octet-stream"),
            ("json", "application/octet-stream"),
            ("safetensors", "application/octet-stream"),
            ("txt", "text/plain"),
            ("json", "application/json"),
            ("bin", "application/json"),
            ("bin", "binary/octet-stream"),
            ("yaml", "application/yaml"),
            ("safetensors", "application/x-airlift"),
        ] {
            let before = server.disk_len();
            let spent = spend(server, LARGE_COUNT, 2, |at| {
                put(store, &format!("{kind}/{}/{at}.{ending}", media_type.replace('/', "-")), &body, media_type);
            });
            let raw_len = (LARGE_COUNT * body.len()) as f64;
            let gib = raw_len / (1u64 << 30) as f64;
            println!(
                "| {kind} | .{ending} | {media_type} | {:.1} | {:.2} | {:.2} |",
                spent.server.as_secs_f64() / gib,
                (server.disk_len() - before) as f64 / raw_len,
                spent.client.as_secs_f64() / gib,
            );
        }
    }
}

struct Spent {
    elapsed: Duration,
    server: Duration,
    client: Duration,
}

fn spend(server: &Weed, count: usize, thread_count: usize, call: impl Fn(usize) + Sync) -> Spent {
    let (start, server_start, client_start) = (Instant::now(), server.cpu(), weed::cpu_of(std::process::id()));
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..thread_count {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= count {
                        return;
                    }
                    call(at);
                }
            });
        }
    });
    Spent {
        elapsed: start.elapsed(),
        server: server.cpu() - server_start,
        client: weed::cpu_of(std::process::id()) - client_start,
    }
}

fn put(store: &S3Store, name: &str, body: &Bytes, media_type: &str) {
    let key = Key::parse(name).expect("good");
    store.put(&key, &Proven::record(body.clone()), &Attributes::of_type(media_type), &Condition::Any).expect("put");
}

fn random(len: u64) -> Bytes {
    numbers().take(len as usize / 8).flat_map(u64::to_le_bytes).collect()
}

/// Records of JSON with words and numbers, which zstd and gzip make about a quarter of.
fn text(len: usize) -> Bytes {
    let mut text = String::with_capacity(len + 200);
    let mut numbers = numbers();
    while text.len() < len {
        let mut next = || numbers.next().unwrap_or_default();
        text += &format!("{{\"id\": {}, \"score\": 0.{}, \"text\": \"", next() % 100_000, next() % 1_000_000);
        for _ in 0..12 {
            text += &format!("w{} ", next() % 4000);
        }
        text += "\"}\n";
    }
    text.truncate(len);
    text.into()
}

/// Numbers between 2^-8 and 1 as weights have them: one byte in four says little.
fn weights(len: usize) -> Bytes {
    numbers().take(len / 4).flat_map(|number| (0x3f00_0000 ^ (number as u32 & 0x83ff_ffff)).to_le_bytes()).collect()
}

fn numbers() -> impl Iterator<Item = u64> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    })
}
