//! `airlift demo`: the whole way of a bundle on this machine, with one damaged bit.

mod key;
mod sample;
mod weed;

use super::verify::finding_text;
use super::{name_of, workers};
use crate::cli::args::{DemoArgs, StoreArgs};
use crate::cli::failure::Failure;
use crate::cli::opening::{find_one, now};
use crate::cli::progress::Shown;
use crate::cli::report::Report;
use crate::cli::scratch::Scratch;
use crate::cli::size::{Count, Percent, Size};
use crate::cli::stores::{self, Target};
use airlift::error::Class;
use airlift::format::{Name, OneLine};
use airlift::pipeline::import::{
    Destination, Holder, ImportError, ImportOptions, ImportReport, Mapping, OnExisting, Prefix, Shipment, import,
};
use airlift::pipeline::inspect::{Demand, Opened};
use airlift::pipeline::pack::{PackOptions, PackReport, pack};
use airlift::pipeline::progress::Progress as _;
use airlift::pipeline::verify::{Depth, Findings, verify};
use airlift::pipeline::volumes::Volumes;
use airlift::pipeline::walk::{Links, Unsupported};
use airlift::store::IfMissing;
use airlift::trust::{AllowedSigners, Authority, Enrol, Revoked, Terms};
use key::DemoKey;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use weed::Weed;

const VOLUME_LEN: u64 = 64 << 20;
const WORKERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);
const BUDGET_LEN: usize = 32 << 20;

pub(crate) fn run(args: &DemoArgs, report: &Report) -> Result<(), Failure> {
    let place = Place::new(args.keep.as_deref())?;
    let weed = args.weed.as_deref().map(|program| Weed::start(program, &place.path().join("weed"))).transpose()?;
    let store = store_args(args, weed.as_ref(), place.path());
    let progress = Shown::new(report);
    let demo = Demo::new(place.path().to_owned(), progress)?;
    let outcome = demo.run(&store);
    demo.progress.finish();
    let rows = outcome?;
    report.result(&document(&rows), &table(&rows))?;
    if args.keep.is_some() {
        report.note(&format!("kept: {}", place.path().display()));
    }
    Ok(())
}

/// Where the demo works.
enum Place {
    Passing(Scratch),
    Kept(PathBuf),
}

impl Place {
    fn new(keep: Option<&Path>) -> Result<Place, Failure> {
        let Some(path) = keep else { return Ok(Place::Passing(Scratch::new()?)) };
        fs::create_dir(path).map_err(|error| Failure::io("create", path, &error))?;
        Ok(Place::Kept(path.to_owned()))
    }

    fn path(&self) -> &Path {
        match self {
            Place::Passing(scratch) => scratch.path(),
            Place::Kept(path) => path,
        }
    }
}

fn store_args(args: &DemoArgs, weed: Option<&Weed>, place: &Path) -> StoreArgs {
    let endpoint = args.endpoint.clone().or_else(|| weed.map(Weed::endpoint));
    let to = match &endpoint {
        Some(_) => format!("s3://airlift-demo-{}", now().unix()),
        None => format!("dir:{}", place.join("store").display()),
    };
    StoreArgs { to, endpoint, credentials_file: weed.map(Weed::credentials_file), ..StoreArgs::default() }
}

/// One line of the table at the end.
struct Row {
    step: &'static str,
    len: u64,
    took: Duration,
    outcome: String,
}

struct Demo {
    place: PathBuf,
    progress: Shown,
    key: DemoKey,
    signers: AllowedSigners,
    revoked: Revoked,
    stream: Name,
}

impl Demo {
    fn new(place: PathBuf, progress: Shown) -> Result<Demo, Failure> {
        let key = DemoKey::new()?;
        let signers = key.allowed_signers()?;
        Ok(Demo { place, progress, key, signers, revoked: Revoked::default(), stream: name("demo")? })
    }

    fn bundle(&self) -> PathBuf {
        self.place.join("demo-1")
    }

    fn say(&self, line: &str) {
        self.progress.note(line);
    }

    fn run(&self, store: &StoreArgs) -> Result<Vec<Row>, Failure> {
        let mut rows = vec![self.sample()?];
        rows.push(self.pack()?);
        rows.push(self.verify()?);
        let target = stores::open(store)?;
        rows.push(self.import(&target, "import")?);
        let (volume, offset) = self.flip()?;
        rows.push(self.find_damage(volume)?);
        let second = StoreArgs { to: format!("{}-2", store.to), ..store.clone() };
        let second = stores::open(&second)?;
        rows.push(self.import_damaged(&second)?);
        self.flip_at(volume, offset)?;
        self.say("a good copy of that volume is brought, and the same command repeated");
        rows.push(self.import(&second, "good copy, again")?);
        Ok(rows)
    }

    fn sample(&self) -> Result<Row, Failure> {
        self.say("making a sample: model weights, a fine-tune of them, and many small files");
        let started = Instant::now();
        let made = sample::write(&self.place.join("sample"), &self.progress)?;
        let outcome = format!("FP32 and BF16 weights, a fine-tune, {}", Count(made.file_count, "file"));
        Ok(Row { step: "sample", len: made.len, took: started.elapsed(), outcome })
    }

    fn pack(&self) -> Result<Row, Failure> {
        self.say("airlift pack models=... datasets=... --stream demo --counter 1 --volume-size 64MiB");
        let root = |root: &str| Ok::<_, Failure>((name(root)?, self.place.join("sample").join(root)));
        let options = PackOptions {
            roots: vec![root("models")?, root("datasets")?],
            links: Links::Refuse,
            unsupported: Unsupported::Refuse,
            exclude: Vec::new(),
            out: self.bundle(),
            stream: self.stream.clone(),
            counter: 1,
            volume_len: VOLUME_LEN,
            threads: workers(None),
            index_budget_len: BUDGET_LEN,
            sort_budget_len: BUDGET_LEN,
            created_at: now(),
            previous: None,
            not_after: None,
            audience: None,
            attachments: Vec::new(),
            ext: BTreeMap::new(),
        };
        let started = Instant::now();
        let packed = pack(&options, &self.progress)?;
        let took = started.elapsed();
        self.key.sign(&packed.head.encode(), &self.stream, &self.bundle())?;
        Ok(Row { step: "pack and sign", len: packed.head.totals.bytes, took, outcome: pack_outcome(&packed) })
    }

    fn open(&self) -> Result<Opened, Failure> {
        let terms = Terms { threshold: NonZeroUsize::MIN, audience: None, now: now(), installed_at: None };
        let authority = Authority { signers: &self.signers, revoked: &self.revoked };
        let demand = Demand { authority, stream: Some(self.stream.clone()), terms };
        Ok(Opened::trusted(find_one(&[self.bundle()])?, demand)?)
    }

    fn check(&self) -> Result<(Findings, u64), Failure> {
        let opened = self.open()?;
        let findings = verify(&opened, opened.media(), Depth::Contents, workers(None), &self.progress);
        match findings.class() {
            Some(Class::Interrupted) => Err(Failure::interrupted()),
            _ => Ok((findings, opened.head().totals.bytes)),
        }
    }

    fn verify(&self) -> Result<Row, Failure> {
        self.say("airlift verify demo-1 --allowed-signers ...");
        let started = Instant::now();
        let (findings, len) = self.check()?;
        if let Some(class) = findings.class() {
            return Err(Failure::new(class, "the fresh bundle is not clean", "this is a defect: report it"));
        }
        let outcome = "every file proven to its SHA-256, signed by demo".to_owned();
        Ok(Row { step: "verify", len, took: started.elapsed(), outcome })
    }

    fn import(&self, target: &Target, step: &'static str) -> Result<Row, Failure> {
        self.say(&format!("airlift import demo-1 --to {} ...", target.name));
        let started = Instant::now();
        let imported = self.import_into(target)?;
        if let Some(class) = imported.class() {
            return Err(Failure::new(class, "not everything has landed", "this is a defect: report it"));
        }
        let (landed, before) = (imported.landed_count, imported.plan.landed_count);
        let outcome = match before {
            0 => format!("{} in {}", Count(landed, "file"), OneLine(&target.name)),
            _ => format!("{} sent, {} there already", Count(landed, "file"), Count(before, "file")),
        };
        Ok(Row { step, len: imported.sent_len, took: started.elapsed(), outcome })
    }

    fn import_into(&self, target: &Target) -> Result<ImportReport, Failure> {
        let opened = self.open()?;
        let Some(bundle) = opened.vouched() else {
            return Err(Failure::new(Class::Bug, "a bundle without trust", "report it"));
        };
        let volumes = Volumes::new(opened.media().to_vec());
        let authority = Authority { signers: &self.signers, revoked: &self.revoked };
        let shipment = Shipment { bundle, volumes: &volumes, signatures: opened.signatures(), authority };
        let state_prefix = Prefix::parse(".airlift/").map_err(ImportError::from)?;
        let to = |root: &str, prefix: &str| {
            let prefix = Prefix::parse(prefix).map_err(ImportError::from)?;
            Ok::<_, Failure>((name(root)?, Destination::Prefix(prefix)))
        };
        let roots = [to("models", "shared-storage/models/")?, to("datasets", "data/")?];
        let options = ImportOptions {
            map: Mapping::new(roots, &state_prefix).map_err(ImportError::from)?,
            state_prefix,
            state_directory: self.place.join("state"),
            store_name: target.name.clone(),
            on_existing: OnExisting::Error,
            enrol: Enrol::Allowed,
            bucket: IfMissing::Create,
            read_back: false,
            last: Vec::new(),
            workers: WORKERS,
            holder: Holder::this_process(),
            clock: now,
        };
        Ok(import(&shipment, &target.store, &options, None, &self.progress)?)
    }

    /// Flips a bit in the middle of a volume and returns where.
    fn flip(&self) -> Result<(u32, u64), Failure> {
        let volume = self.open()?.head().volumes.count.min(2);
        let path = self.volume(volume);
        let len = fs::metadata(&path).map_err(|error| Failure::io("read", &path, &error))?.len();
        self.flip_at(volume, len / 2)?;
        self.say(&format!("one bit of volume {volume} is flipped, at byte {}", len / 2));
        Ok((volume, len / 2))
    }

    fn flip_at(&self, volume: u32, offset: u64) -> Result<(), Failure> {
        let path = self.volume(volume);
        let failed = |error| Failure::io("change", &path, &error);
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(failed)?;
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).map_err(failed)?;
        file.write_all_at(&[byte[0] ^ 0x10], offset).map_err(failed)
    }

    fn volume(&self, number: u32) -> PathBuf {
        self.bundle().join(format!("volumes/{number:06}.vol"))
    }

    fn find_damage(&self, volume: u32) -> Result<Row, Failure> {
        let started = Instant::now();
        let (findings, len) = self.check()?;
        let took = started.elapsed();
        for finding in &findings.findings {
            finding_text(finding).lines().for_each(|line| self.say(line));
        }
        let Some(extent) = findings.findings.iter().find_map(|one| one.extent.as_ref()) else {
            return Err(Failure::new(Class::Bug, "the flipped bit was not found", "report it"));
        };
        let files: BTreeSet<_> = findings.findings.iter().flat_map(|one| &one.files.0).collect();
        let files = Count(files.len() as u64, "file");
        let outcome = format!("found: volume {volume}, bytes {} to {}, {files}", extent.1.start, extent.1.end);
        Ok(Row { step: "one bit flipped", len, took, outcome })
    }

    fn import_damaged(&self, target: &Target) -> Result<Row, Failure> {
        self.say(&format!("airlift import demo-1 --to {} ...", target.name));
        let started = Instant::now();
        let imported = self.import_into(target)?;
        if imported.class() != Some(Class::Damaged) {
            return Err(Failure::new(Class::Bug, "the damaged volume was imported", "report it"));
        }
        let held = imported.plan.send_count - imported.landed_count;
        let (landed, held) = (Count(imported.landed_count, "file"), Count(held, "file"));
        let outcome = format!("exit 3: {held} held back, {landed} landed, all proven");
        Ok(Row { step: "import of that", len: imported.sent_len, took: started.elapsed(), outcome })
    }
}

fn pack_outcome(packed: &PackReport) -> String {
    let head = &packed.head;
    let ratio = Percent { part: head.volumes.length, whole: head.totals.bytes };
    let twice = packed.figures.map_or(0, |figures| figures.repeat_len + figures.reference_len);
    let volumes = Count(u64::from(head.volumes.count), "volume");
    format!(
        "{}: {} ({ratio}) in {volumes}, {} not carried twice",
        name_of(head),
        Size(head.volumes.length),
        Size(twice)
    )
}

fn name(text: &str) -> Result<Name, Failure> {
    Name::parse(text).map_err(|error| Failure::of(Class::Bug, &error))
}

fn rate(row: &Row) -> u64 {
    (row.len as f64 / row.took.as_secs_f64().max(0.001)) as u64
}

fn table(rows: &[Row]) -> String {
    let mut text = format!("{:<17} {:>10} {:>8} {:>12}  {}\n", "step", "bytes", "time", "rate", "what came of it");
    for row in rows {
        let took = format!("{:.2} s", row.took.as_secs_f64());
        let rate = format!("{}/s", Size(rate(row)));
        let len = Size(row.len).to_string();
        let _ = writeln!(text, "{:<17} {len:>10} {took:>8} {rate:>12}  {}", row.step, row.outcome);
    }
    text
}

fn document(rows: &[Row]) -> Value {
    let row = |row: &Row| {
        json!({
            "step": row.step,
            "bytes": row.len,
            "seconds": row.took.as_secs_f64(),
            "bytes_per_second": rate(row),
            "outcome": row.outcome,
        })
    };
    json!({ "result": "done", "steps": rows.iter().map(row).collect::<Vec<_>>() })
}
