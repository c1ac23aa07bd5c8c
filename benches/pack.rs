//! Packs directories and prints how long it took.
//!
//! `cargo bench --no-default-features --bench pack -- THREADS OUT NAME=DIRECTORY ...`; without
//! arguments it does nothing. The output directory must be new; it is left there.

use airlift::format::limits::VOLUME_LEN_DEFAULT;
use airlift::format::{Name, Time};
use airlift::pipeline::pack::{PackOptions, pack};
use airlift::pipeline::progress::Progress;
use airlift::pipeline::walk::{Links, Unsupported};
use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

/// Says when what began.
struct Phases(Instant);

impl Progress for Phases {
    fn begin(&self, phase: &'static str, _: u64, _: u64) {
        println!("{:.3} s: {phase}", self.0.elapsed().as_secs_f64());
    }

    fn now_at(&self, what: &str) {
        println!("{:.3} s: {what}", self.0.elapsed().as_secs_f64());
    }

    fn advance(&self, _: u64, _: u64) {}
    fn note(&self, _: &str) {}
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [threads, out, roots @ ..] = arguments.as_slice() else { return Ok(()) };
    let root = |text: &String| -> Result<(Name, PathBuf), Box<dyn Error>> {
        let (name, path) = text.split_once('=').ok_or("a root is NAME=DIRECTORY")?;
        Ok((Name::parse(name)?, path.into()))
    };
    let options = PackOptions {
        roots: roots.iter().map(root).collect::<Result<_, _>>()?,
        links: Links::Refuse,
        unsupported: Unsupported::Refuse,
        out: out.into(),
        stream: Name::parse("bench")?,
        counter: 1,
        volume_len: VOLUME_LEN_DEFAULT,
        threads: threads.parse()?,
        index_budget_len: 64 << 20,
        sort_budget_len: 64 << 20,
        created_at: Time::from_unix(0),
        previous: None,
        not_after: None,
        audience: None,
        attachments: Vec::new(),
    };
    let begun = Instant::now();
    let report = pack(&options, &Phases(begun))?;
    let seconds = begun.elapsed().as_secs_f64();
    let totals = report.head.totals;
    println!("{seconds:.3} s, {:.0} MB/s, {} files", totals.bytes as f64 / seconds / 1e6, totals.files);
    println!("{:?}", report.figures);
    println!("volumes {} bytes", report.head.volumes.length);
    let peak = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    println!("{}", peak.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default());
    Ok(())
}
