//! A real registry of images, and skopeo, for tests.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const START_S_MAX: u64 = 60;
/// Who may ask a registry that wants a login, and with which password.
pub(crate) const LOGIN: (&str, &str) = ("canary-user", "canary-password");
/// The same, as the registry keeps it.
const LOGIN_KEPT: &str = "canary-user:$2y$04$.wZzKT9RCtkWJx9wGT.sgOI.mcikDwy/FqEETb0/fNOEyPVFJerKi\n";

/// Runs the server until its own input ends, so that it dies with the test process however that ends,
/// and takes its directory with it.
const KEEPER: &str = r#"
dir=$1; shift
"$@" >"$dir/log" 2>&1 </dev/null &
echo $!
read -r word
kill -KILL $!
wait $! 2>/dev/null
rm -rf "$dir"
"#;

/// Whom a registry answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Open {
    /// Everybody.
    ToAll,
    /// Who knows the password.
    ToLogin,
}

/// A running registry with a directory and a port of its own.
pub(crate) struct Registry {
    dir: PathBuf,
    port: u16,
    keeper: Child,
}

impl Registry {
    /// Starts an empty registry.
    pub(crate) fn start(open: Open) -> Registry {
        let dir = tempfile::Builder::new().prefix("registry").tempdir().expect("temporary directory").keep();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        drop(listener);
        let login = match open {
            Open::ToAll => String::new(),
            Open::ToLogin => format!("auth: {{htpasswd: {{realm: test, path: {}/htpasswd}}}}\n", dir.display()),
        };
        let config = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}/data}}}}\n\
             http: {{addr: '127.0.0.1:{port}'}}\n{login}",
            dir.display()
        );
        fs::write(dir.join("config.yml"), config).expect("written");
        fs::write(dir.join("htpasswd"), LOGIN_KEPT).expect("written");
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "sh"]).arg(&dir).arg(&tools().registry).arg("serve").arg(dir.join("config.yml"));
        // A proxy of this machine has no business between the two.
        keeper.env_remove("HTTP_PROXY").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper = keeper.spawn().expect("start the shell");
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().expect("piped")).read_line(&mut line).expect("process id");
        let registry = Registry { dir, port, keeper };
        registry.wait_until_it_answers();
        registry
    }

    /// Returns the host and port by which names of images begin.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns the lines of its log that have these words.
    pub(crate) fn log_count(&self, words: &[&str]) -> usize {
        let log = fs::read_to_string(self.dir.join("log")).expect("a log");
        log.lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
    }

    fn wait_until_it_answers(&self) {
        let start = Instant::now();
        while !self.answers() {
            let log = || fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            assert!(start.elapsed() < Duration::from_secs(START_S_MAX), "no answer from the registry:\n{}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        let mut answer = String::new();
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("set timeout");
        stream.write_all(b"GET /v2/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").is_ok()
            && stream.read_to_string(&mut answer).is_ok()
            && answer.starts_with("HTTP/1.1 ")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        self.keeper.wait().expect("the shell ends");
    }
}

/// Runs skopeo and returns what it prints.
pub(crate) fn skopeo(arguments: &[&str]) -> String {
    let tools = tools();
    let mut command = Command::new(&tools.skopeo);
    command.arg("--insecure-policy").args(arguments).stdin(Stdio::null());
    if let Some(libraries) = &tools.libraries {
        command.env("LD_LIBRARY_PATH", libraries);
    }
    let output = command.output().expect("run skopeo");
    assert!(output.status.success(), "skopeo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The programs that the tests of images need.
struct Tools {
    registry: PathBuf,
    skopeo: PathBuf,
    /// Where their libraries are that the machine may not have.
    libraries: Option<PathBuf>,
}

/// Returns the programs: `AIRLIFT_REGISTRY` and `AIRLIFT_SKOPEO`, or those on the path, or those of the
/// packages of the distribution, which are unpacked on first use and installed nowhere.
fn tools() -> &'static Tools {
    static TOOLS: OnceLock<Tools> = OnceLock::new();
    TOOLS.get_or_init(|| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let on_path = |name: &str| std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file());
        let registry = std::env::var_os("AIRLIFT_REGISTRY").map(PathBuf::from).or_else(|| on_path("docker-registry"));
        let skopeo = std::env::var_os("AIRLIFT_SKOPEO").map(PathBuf::from).or_else(|| on_path("skopeo"));
        match (registry, skopeo) {
            (Some(registry), Some(skopeo)) => Tools { registry, skopeo, libraries: None },
            (registry, skopeo) => unpack(registry, skopeo),
        }
    })
}

/// Unpacks both programs and the libraries of the second below the target directory; no right of an
/// administrator is needed.
fn unpack(registry: Option<PathBuf>, skopeo: Option<PathBuf>) -> Tools {
    const SCRIPT: &str = r#"
        set -e
        cd "$1"
        needs() { apt-cache depends --important "$@" | sed -n 's/^ *|\{0,1\}Depends: \(lib[a-z0-9.+-]*\)$/\1/p'; }
        list() {
            echo docker-registry skopeo
            # What it needs, what that needs, and once more.
            first=$(needs skopeo); second=$(needs $first); third=$(needs $second)
            printf '%s\n' $first $second $third | grep -vE '^(libc6|libgcc)' | sort -u
        }
        apt-get download $(list) || { apt-get update; apt-get download $(list); }
        for package in *.deb; do dpkg-deb -x "$package" tree; done
        rm -f ./*.deb
        mv tree whole
    "#;
    // The test program is target/<profile>/deps/suite-...
    let program = std::env::current_exe().expect("own path");
    let top = program.ancestors().nth(3).expect("the target directory").join("image-tools");
    fs::create_dir_all(&top).expect("made");
    let lock = fs::File::create(top.join("lock")).expect("create the lock");
    lock.lock().expect("one installation at a time");
    let tree = top.join("whole");
    if !tree.is_dir() {
        let output = Command::new("sh").args(["-c", SCRIPT, "sh"]).arg(&top).output().expect("start the shell");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let hint = "these tests need docker-registry and skopeo: install both, or name them in AIRLIFT_REGISTRY \
                    and AIRLIFT_SKOPEO";
        assert!(output.status.success(), "{hint}\n{said}");
    }
    let libraries = Some(libraries(&tree)).filter(|_| skopeo.is_none());
    Tools {
        registry: registry.unwrap_or_else(|| tree.join("usr/bin/docker-registry")),
        skopeo: skopeo.unwrap_or_else(|| tree.join("usr/bin/skopeo")),
        libraries,
    }
}

fn libraries(tree: &Path) -> PathBuf {
    let tops = [tree.join("usr/lib"), tree.join("lib")];
    let below =
        tops.iter().filter_map(|top| fs::read_dir(top).ok()).flatten().map(|item| item.expect("an entry").path());
    let all: Vec<PathBuf> = below.filter(|path| path.is_dir()).chain(tops.iter().cloned()).collect();
    std::env::join_paths(all).expect("paths without colons").into()
}
