//! What stands in for NGC and a hub, and the platform's own downloader.

use crate::program::{airlift, shown};
use crate::venv::{python, scripts};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

/// A key that is used as it is.
pub(crate) const PERSONAL_KEY: &str = "nvapi-stand-in-key";
/// A key that is exchanged for tokens.
pub(crate) const OLD_KEY: &str = "stand-in-key";
const HUB_TOKEN: &str = "hf_stand_in";

/// A running stand-in; it ends when this is dropped or the test does.
pub(crate) struct Standin {
    pub(crate) endpoint: String,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Standin {
    pub(crate) fn start(arguments: &[&str]) -> Standin {
        let mut child = Command::new("python3")
            .arg(scripts().join("standin.py"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python");
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        let mut port = String::new();
        output.read_line(&mut port).expect("a port");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        thread::spawn(move || output.lines().map_while(Result::ok).for_each(|line| kept.lock().unwrap().push(line)));
        let scheme = if arguments.contains(&"--tls") { "https" } else { "http" };
        Standin { endpoint: format!("{scheme}://127.0.0.1:{}", port.trim()), child, lines }
    }

    /// Returns what it said of the bytes that it gave: one JSON object a line.
    pub(crate) fn given(&self) -> Vec<serde_json::Value> {
        let lines = self.lines.lock().unwrap();
        lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Returns a fetch from here to `out`.
    pub(crate) fn fetch(&self, out: &Path, more: &[&str]) -> Command {
        let here = self.endpoint.as_str();
        let fixed = ["fetch", "--out", shown(out), "--ngc-endpoint", here, "--ngc-auth-endpoint", here];
        let mut command = airlift(&[&fixed[..], &["--hf-endpoint", here], more].concat());
        for proxy in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            command.env_remove(proxy).env_remove(proxy.to_uppercase());
        }
        for key in ["NGC_API_KEY", "NGC_KEY"] {
            command.env_remove(key);
        }
        command.env("PTM_API_KEY", PERSONAL_KEY).env("HF_TOKEN", HUB_TOKEN);
        command
    }

    /// Returns a call of the platform's own downloader with one worker, from here to `out`.
    pub(crate) fn vendor(&self, out: &Path, home: &Path, more: &[&str]) -> Command {
        let mut command = Command::new(python("tao-vendor-venv", "vendor-requirements.txt"));
        command.arg(scripts().join("vendor.py")).arg(&self.endpoint).arg("--shared-folder-path").arg(out).args(more);
        for proxy in ["http_proxy", "https_proxy", "all_proxy"] {
            command.env_remove(proxy).env_remove(proxy.to_uppercase());
        }
        command
            .env("AIRGAPPED_MODE", "true")
            .env("PTM_MAX_WORKERS", "1")
            .env("PTM_API_KEY", PERSONAL_KEY)
            .env("NGC_CLI_API_URL", &self.endpoint)
            .env("NGC_CLI_HOME", home)
            .env("HF_ENDPOINT", &self.endpoint)
            .env("HF_TOKEN", HUB_TOKEN)
            .env("HF_HOME", home)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }
}
