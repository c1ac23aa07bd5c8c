//! Runs the program on a tree and writes down what it took.

use crate::land::LAND;
use crate::mount::{Mounted, Shared};
use crate::space::{INPUT, Space, locked};
use crate::tree::Tree;
use fuser::{Config, MountOption, Session};
use serde_json::{Value, json};
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use wait4::{ResUse, Wait4 as _};

/// Between two looks at the memory of the program.
const LOOK: Duration = Duration::from_millis(50);
/// Between two samples that are kept, at first; doubled whenever there are too many.
const SAMPLE: Duration = Duration::from_secs(1);
const SAMPLE_COUNT_MAX: usize = 400;
/// The step that is not measured.
const KEY: &str = "key";
const THREAD_COUNT: usize = 2;
/// What the kernel counts CPU time in, a second.
const TICK_COUNT: f64 = 100.0;

/// Where things are.
pub(crate) struct Places<'a> {
    /// The program.
    pub(crate) airlift: &'a Path,
    pub(crate) scratch: &'a Path,
    /// The file that gets the lines.
    pub(crate) results: &'a Path,
}

/// Packs, verifies and imports a tree, or some of it; appends a line for each to the results.
pub(crate) fn measure(places: Places<'_>, wanted: &str, name: &str, tree: Tree) -> Result<(), Box<dyn Error>> {
    let Places { airlift, scratch, results } = places;
    fs::create_dir_all(scratch)?;
    let scratch = tempfile::tempdir_in(scratch)?;
    let (place, kept) = (scratch.path().join("mount"), scratch.path().join("kept"));
    fs::create_dir(&place)?;
    fs::create_dir(&kept)?;
    let (file_count, total_len) = (tree.file_count(), tree.total_len());
    let shared = Arc::new(Shared::new(Space::new(tree, &kept), kept));
    let mut config = Config::default();
    config.mount_options = vec![MountOption::FSName("terabyte".into()), MountOption::NoAtime];
    config.n_threads = Some(THREAD_COUNT);
    config.clone_fd = true;
    let session = Session::new(Mounted(shared.clone()), &place, &config)?.spawn()?;
    let is_wanted = |step: &str| step == KEY || wanted.split(',').any(|wanted| wanted == step);
    let steps = steps(airlift, scratch.path(), &place, name)?.into_iter().filter(|(step, _)| is_wanted(step));
    let ran = { steps }.try_for_each(|(step, command)| {
        let mut line = run(&shared, &place, step, command)?;
        line["tree"] = name.into();
        (line["files"], line["bytes"]) = (file_count.into(), total_len.into());
        if step == KEY {
            return Ok(());
        }
        println!("{name} {step}: {}", summary(&line));
        let mut lines = File::options().create(true).append(true).open(results)?;
        Ok::<(), Box<dyn Error>>(writeln!(lines, "{line}")?)
    });
    session.umount_and_join()?;
    ran
}

/// Returns the commands, in order.
fn steps(
    airlift: &Path,
    scratch: &Path,
    place: &Path,
    name: &str,
) -> Result<Vec<(&'static str, Command)>, Box<dyn Error>> {
    let at = |path: &Path, name: &str| path.join(name).into_os_string();
    let [key, signers, bundle] = [at(scratch, "key"), at(scratch, "signers"), at(place, "bundle")];
    let mut prepare = Command::new("sh");
    let script = "ssh-keygen -q -t ed25519 -N '' -f \"$1\" && \
        echo \"bench namespaces=\\\"airlift-head@v1/bench\\\" $(cut -d' ' -f1,2 \"$1.pub\")\" > \"$2\"";
    prepare.args(["-c", script, "sh"]).arg(&key).arg(&signers);
    let mut pack = Command::new(airlift);
    let mut root = std::ffi::OsString::from("tree=");
    root.push(place.join(INPUT));
    pack.arg("pack").arg(root).args(["--stream", "bench", "--counter", "1", "--json", "--out"]);
    pack.arg(&bundle).arg("--sign").arg(&key);
    let mut verify = Command::new(airlift);
    verify.arg("verify").arg(&bundle).arg("--json").arg("--allowed-signers").arg(&signers);
    let mut import = Command::new(std::env::current_exe()?);
    import.args([LAND, name]).arg(&bundle).arg(&signers).arg(scratch);
    Ok(vec![(KEY, prepare), ("pack", pack), ("verify", verify), ("import", import)])
}

/// Runs a command and returns what it took.
fn run(shared: &Shared, place: &Path, step: &str, mut command: Command) -> Result<Value, Box<dyn Error>> {
    let server_before = cpu_seconds()?;
    let before = locked(&shared.space).counts();
    let began = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    // What the import says while it runs; other steps say nothing of this form.
    let (landed_len, store_ns) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let said = child.stdout.take().ok_or("no output")?;
    let listener = std::thread::spawn({
        let (landed_len, store_ns) = (landed_len.clone(), store_ns.clone());
        move || {
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                let numbers = line.split(' ').map(str::parse).collect::<Result<Vec<u64>, _>>();
                for (number, into) in numbers.unwrap_or_default().into_iter().zip([&landed_len, &store_ns]) {
                    into.store(number, Ordering::Relaxed);
                }
            }
        }
    });
    let mut samples = Samples { kept: Vec::new(), step: SAMPLE, now: (0, 0) };
    let mut peak_len = 0;
    let ResUse { status, rusage } = loop {
        if let Some(ended) = child.try_wait4()? {
            break ended;
        }
        let (len, highest_len) = memory(child.id());
        peak_len = peak_len.max(highest_len);
        samples.look(began.elapsed(), len, || {
            let landed = landed_len.load(Ordering::Relaxed);
            [shared.read_len.load(Ordering::Relaxed), shared.written_len.load(Ordering::Relaxed), landed]
        });
        std::thread::sleep(LOOK);
    };
    if !status.success() {
        return Err(format!("{step} ended with {status}").into());
    }
    listener.join().map_err(|_| "the listener failed")?;
    let store_s = Duration::from_nanos(store_ns.load(Ordering::Relaxed)).as_secs_f64();
    let len_of = |name: &str| fs::metadata(place.join("bundle").join(name)).map_or(0, |meta| meta.len());
    let volumes = fs::read_dir(place.join("bundle/volumes")).map(|volumes| {
        volumes.flatten().filter_map(|volume| volume.metadata().ok()).map(|meta| meta.len()).collect::<Vec<_>>()
    });
    let volumes = volumes.unwrap_or_default();
    let counts = locked(&shared.space).counts();
    Ok(json!({
        "step": step,
        "wall_s": began.elapsed().as_secs_f64(),
        "user_s": rusage.utime.as_secs_f64() - store_s,
        "system_s": rusage.stime.as_secs_f64(),
        "server_s": cpu_seconds()? - server_before + store_s,
        "peak_memory": peak_len,
        "state": counts.removed_len - before.removed_len,
        "spilled": counts.spilled_len - before.spilled_len,
        "manifest": len_of("manifest"),
        "packs": len_of("packs"),
        "volumes": volumes.iter().sum::<u64>(),
        "volume_count": volumes.len(),
        "sample_columns": ["seconds", "memory", "read", "written", "landed"],
        "samples": samples.kept,
    }))
}

/// Memory and progress over time.
struct Samples {
    kept: Vec<[u64; 5]>,
    step: Duration,
    /// The step that is looked at, and its largest memory in bytes.
    now: (u32, u64),
}

impl Samples {
    fn look(&mut self, elapsed: Duration, memory_len: u64, counts: impl Fn() -> [u64; 3]) {
        let number = (elapsed.as_secs_f64() / self.step.as_secs_f64()) as u32;
        self.now.1 = self.now.1.max(memory_len);
        if number == self.now.0 {
            return;
        }
        let [read, written, landed] = counts();
        self.kept.push([elapsed.as_secs(), self.now.1, read, written, landed]);
        self.now = (number, 0);
        if self.kept.len() > SAMPLE_COUNT_MAX {
            let pairs = self.kept.chunks_exact(2);
            self.kept = pairs
                .map(|pair| [pair[1][0], pair[0][1].max(pair[1][1]), pair[1][2], pair[1][3], pair[1][4]])
                .collect();
            self.step *= 2;
            self.now.0 = number / 2;
        }
    }
}

/// Returns the resident memory of a process now and at most, in bytes.
fn memory(process: u32) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or_default() << 10
    };
    (value("VmRSS"), value("VmHWM"))
}

/// Returns the CPU time of this process.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').ok_or("no stat")?;
    let ticks = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    Ok(ticks.sum::<f64>() / TICK_COUNT)
}

fn summary(line: &Value) -> String {
    let number = |name: &str| line[name].as_f64().unwrap_or_default();
    let cpu = number("user_s") + number("system_s");
    format!(
        "{:.1} s, CPU {cpu:.1} s ({:.1} user), server {:.1} s, {:.2} s/GB, {:.3} ms/file, peak {:.0} MiB, spilled {:.0} MB, volumes {:.0} MB",
        number("wall_s"),
        number("user_s"),
        number("server_s"),
        cpu / number("bytes") * 1e9,
        cpu / number("files") * 1e3,
        number("peak_memory") / f64::from(1 << 20),
        number("spilled") / 1e6,
        number("volumes") / 1e6,
    )
}
