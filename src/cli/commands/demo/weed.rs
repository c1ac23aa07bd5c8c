//! A SeaweedFS server of one's own, for the time of a demo.

use crate::cli::failure::Failure;
use airlift::error::Class;
use airlift::format::Digest;
use ring::rand::{SecureRandom as _, SystemRandom};
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const START_MAX: Duration = Duration::from_secs(60);

/// Runs the server until its own input ends, so that it ends with this process however that ends.
const KEEPER: &str = r#"log=$1; shift
"$@" >"$log" 2>&1 </dev/null &
read -r word
kill -KILL $!
wait $! 2>/dev/null
"#;

/// A running server on this machine alone.
pub(super) struct Weed {
    directory: PathBuf,
    ports: [u16; 8],
    keeper: Child,
}

impl Weed {
    /// Starts the server with its files in a new directory.
    ///
    /// # Errors
    /// It does not start, or does not answer within a minute.
    pub(super) fn start(program: &Path, directory: &Path) -> Result<Weed, Failure> {
        if !program.is_file() {
            let message = format!("{} is no program", program.display());
            return Err(Failure::new(Class::Usage, message, "name the SeaweedFS program weed"));
        }
        let failed = |error: io::Error| Failure::io("start SeaweedFS in", directory, &error);
        fs::create_dir(directory).map_err(failed)?;
        let ports = free_ports().map_err(failed)?;
        write_credentials(directory).map_err(failed)?;
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh"])
            .arg(directory.join("log"))
            .arg(program)
            .args(arguments(directory, ports))
            .stdin(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let mut weed = Weed { directory: directory.to_owned(), ports, keeper };
        let started = Instant::now();
        while !weed.answers() {
            let has_ended = weed.keeper.try_wait().map_err(failed)?.is_some();
            if has_ended || started.elapsed() > START_MAX {
                let log = fs::read_to_string(directory.join("log")).unwrap_or_default();
                let last = log.lines().last().unwrap_or("it said nothing").to_owned();
                let message = format!("SeaweedFS does not answer: {last}");
                return Err(Failure::new(Class::Unavailable, message, "see its log with --keep DIR"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(weed)
    }

    pub(super) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[6])
    }

    pub(super) fn credentials_file(&self) -> PathBuf {
        self.directory.join("credentials")
    }

    /// Tells whether the S3 server refuses a request without a signature, as it should.
    fn answers(&self) -> bool {
        let ask = || -> io::Result<String> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.ports[6]))?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.take(4096).read_to_string(&mut answer)?;
            Ok(answer)
        };
        ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 403"))
    }
}

impl Drop for Weed {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // The keeper has nothing else to wait for; what fails here leaves nothing to do.
        let _ = self.keeper.wait();
    }
}

/// Writes a key of this run for the server and for the client, readable by this user alone.
fn write_credentials(directory: &Path) -> io::Result<()> {
    let mut random = [0; 32];
    SystemRandom::new().fill(&mut random).map_err(|_| io::Error::other("no random numbers for a key"))?;
    let secret = Digest::from_bytes(random).to_string();
    let server = format!(
        "{{\"identities\":[{{\"name\":\"demo\",\"credentials\":[{{\"accessKey\":\"airlift-demo\",\"secretKey\":\"{secret}\"}}],\
         \"actions\":[\"Admin\",\"Read\",\"Write\",\"List\",\"Tagging\"]}}]}}"
    );
    let client = format!("[default]\naws_access_key_id = airlift-demo\naws_secret_access_key = {secret}\n");
    for (name, text) in [("identities.json", server), ("credentials", client)] {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(directory.join(name))?;
        file.write_all(text.as_bytes())?;
    }
    Ok(())
}

fn arguments(directory: &Path, ports: [u16; 8]) -> Vec<String> {
    let [master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3, s3_grpc] = ports;
    let dir = directory.display();
    let numbered = [
        ("master.port", master),
        ("master.port.grpc", master_grpc),
        ("volume.port", volume),
        ("volume.port.grpc", volume_grpc),
        ("filer.port", filer),
        ("filer.port.grpc", filer_grpc),
        ("s3.port", s3),
        ("s3.port.grpc", s3_grpc),
        // Two servers on a host would collide on these.
        ("s3.port.iceberg", 0),
        ("s3.port.lance", 0),
    ];
    let mut arguments = vec!["server".to_owned(), format!("-dir={dir}")];
    arguments.extend(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"].map(str::to_owned));
    arguments.extend(["-master.volumeSizeLimitMB=64", "-volume.max=200", "-filer", "-s3"].map(str::to_owned));
    arguments.push(format!("-s3.config={dir}/identities.json"));
    arguments.push(format!("-filer.localSocket={dir}/filer.sock"));
    arguments.push(format!("-s3.localSocket={dir}/s3.sock"));
    arguments.extend(numbered.map(|(name, port)| format!("-{name}={port}")));
    arguments
}

/// Returns ports that nobody listened on a moment ago.
fn free_ports() -> io::Result<[u16; 8]> {
    let listeners = (0..8).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<io::Result<Vec<_>>>()?;
    let mut ports = [0; 8];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}
