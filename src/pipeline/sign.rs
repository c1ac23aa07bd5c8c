//! Signing through ssh-keygen, which alone touches private keys: files, agents, FIDO2, PKCS#11.

use crate::error::Class;
use crate::format::limits::{SIGNATURE_COUNT_MAX, SIGNATURE_LEN_MAX};
use crate::trust::key::{Fingerprint, PublicKey};
use crate::trust::sshsig::{Namespace, Sshsig, SshsigError};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// Longest public key file that is looked at, in bytes.
const PUBLIC_KEY_LEN_MAX: u64 = 16 << 10;

/// The program that signs, and what it needs to find keys.
#[derive(Clone, Debug)]
pub struct Keygen {
    program: PathBuf,
    variables: Vec<(OsString, OsString)>,
}

/// What came of a request to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signed {
    /// A signature was added.
    Added {
        /// Its file.
        path: PathBuf,
        /// The key that made it.
        fingerprint: Fingerprint,
    },
    /// The key had signed these bytes before; nothing was changed.
    Already {
        /// Its file.
        path: PathBuf,
        /// The key that made it.
        fingerprint: Fingerprint,
    },
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// ssh-keygen is not there or does not start.
    #[error("cannot run {program}", program = .program.display())]
    CannotRun {
        /// The program.
        program: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// ssh-keygen gave up; it has said why on the terminal.
    #[error("ssh-keygen did not sign with {key} ({status})", key = .key.display())]
    NotSigned {
        /// The key file asked for.
        key: PathBuf,
        /// How it ended.
        status: ExitStatus,
    },
    /// The signature is not one that a receiver would accept.
    #[error("the signature by {key} would not be accepted", key = .key.display())]
    NotAccepted {
        /// The key file asked for.
        key: PathBuf,
        /// The rule that it breaks.
        source: SshsigError,
    },
    /// The signature does not hold over the bytes given to ssh-keygen.
    #[error("the signature that ssh-keygen made with {key} does not hold", key = .key.display())]
    DoesNotHold {
        /// The key file asked for.
        key: PathBuf,
    },
    /// An earlier signature of the same key does not hold: every receiver would refuse the bundle.
    #[error("{path} names the key {fingerprint}, which did not sign these bytes", path = .path.display())]
    EarlierDoesNotHold {
        /// The file of the earlier signature.
        path: PathBuf,
        /// The key.
        fingerprint: Fingerprint,
    },
    /// There are 16 signatures already.
    #[error("{directory} has {SIGNATURE_COUNT_MAX} signatures, the most that a bundle carries", directory = .directory.display())]
    NoNumberLeft {
        /// The directory of the signatures.
        directory: PathBuf,
    },
    /// The directory of the signatures can't be read or written.
    #[error("cannot {action} {path}", path = .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl SignError {
    /// Returns the class of the error.
    pub fn class(&self) -> Class {
        match self {
            SignError::CannotRun { .. } | SignError::NotSigned { .. } | SignError::DoesNotHold { .. } => Class::Failed,
            SignError::NotAccepted { .. } | SignError::NoNumberLeft { .. } => Class::Refused,
            SignError::EarlierDoesNotHold { .. } => Class::Damaged,
            SignError::Io { source, .. } => Class::of_io(source),
        }
    }
}

impl Default for Keygen {
    fn default() -> Keygen {
        Keygen { program: PathBuf::from("ssh-keygen"), variables: Vec::new() }
    }
}

impl Keygen {
    /// Returns the signer that runs `program` in place of the `ssh-keygen` of the search path.
    pub fn at(program: impl Into<PathBuf>) -> Keygen {
        Keygen { program: program.into(), variables: Vec::new() }
    }

    /// Sets an environment variable for the program, such as `SSH_AUTH_SOCK` or `SSH_SK_PROVIDER`.
    #[must_use]
    pub fn with_variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Keygen {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Signs `message` and adds the signature to `directory` under the lowest free number (T-80 to T-84).
    ///
    /// `key` is a private key file, or a public key file whose private half an agent, a security key
    /// or a token holds. ssh-keygen asks for passphrase, PIN and touch on the terminal.
    ///
    /// # Errors
    /// Nothing is kept that our own verifier does not accept.
    pub fn sign(
        &self,
        message: &[u8],
        namespace: &Namespace,
        key: &Path,
        directory: &Path,
    ) -> Result<Signed, SignError> {
        let signatures = SignatureDirectory::open(directory)?;
        if let Some(public) = read_public_key(key)
            && let Some(already) = signatures.find(&public, namespace, message)?
        {
            return Ok(already);
        }
        let (armour, sshsig) = self.accepted(message, namespace, key)?;
        if let Some(already) = signatures.find(&sshsig.key, namespace, message)? {
            return Ok(already);
        }
        let path = signatures.add(&armour)?;
        Ok(Signed::Added { path, fingerprint: sshsig.fingerprint() })
    }

    /// Returns the armoured signature of `message`, for a receipt that is kept elsewhere.
    ///
    /// # Errors
    /// As [`Keygen::sign`].
    pub fn signature(&self, message: &[u8], namespace: &Namespace, key: &Path) -> Result<Vec<u8>, SignError> {
        Ok(self.accepted(message, namespace, key)?.0)
    }

    /// Makes a signature that our own verifier accepts (T-81).
    fn accepted(&self, message: &[u8], namespace: &Namespace, key: &Path) -> Result<(Vec<u8>, Sshsig), SignError> {
        let armour = self.make(message, namespace, key)?;
        let sshsig =
            Sshsig::decode(&armour).map_err(|source| SignError::NotAccepted { key: key.to_owned(), source })?;
        if sshsig.namespace != *namespace || !sshsig.verifies(message) {
            return Err(SignError::DoesNotHold { key: key.to_owned() });
        }
        Ok((armour, sshsig))
    }

    /// Runs ssh-keygen; the message goes in and the signature comes out by pipes, so no copy of the
    /// message lies on a disk while somebody looks for the security key.
    fn make(&self, message: &[u8], namespace: &Namespace, key: &Path) -> Result<Vec<u8>, SignError> {
        let cannot_run = |source| SignError::CannotRun { program: self.program.clone(), source };
        let mut command = Command::new(&self.program);
        command.args(["-q", "-Y", "sign", "-n", &namespace.to_string()]);
        if only_agent_has(key) {
            command.arg("-U");
        }
        // A name that begins with a dash would be taken for an option's.
        command.arg("-f").arg(Path::new(".").join(key));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        if std::env::var_os("SSH_ASKPASS_REQUIRE").is_none() && self.is_unset("SSH_ASKPASS_REQUIRE") && has_terminal() {
            // Because its input is a pipe, ssh-keygen would look for a graphical dialogue first.
            command.env("SSH_ASKPASS_REQUIRE", "never");
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(cannot_run)?;
        let exchanged = exchange(&mut child, message);
        let status = child.wait().map_err(cannot_run)?;
        if !status.success() {
            return Err(SignError::NotSigned { key: key.to_owned(), status });
        }
        exchanged.map_err(cannot_run)
    }

    fn is_unset(&self, name: &str) -> bool {
        self.variables.iter().all(|(set, _)| set != name)
    }
}

/// The directory of the signatures, locked so that two signers never take the same number.
struct SignatureDirectory {
    path: PathBuf,
    handle: File,
}

impl SignatureDirectory {
    fn open(path: &Path) -> Result<SignatureDirectory, SignError> {
        let failed = |action| move |source| SignError::Io { action, path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(failed("make"))?;
        let handle = File::open(path).map_err(failed("open"))?;
        handle.lock().map_err(failed("lock"))?;
        Ok(SignatureDirectory { path: path.to_owned(), handle })
    }

    fn file(&self, number: usize) -> PathBuf {
        self.path.join(format!("{number}.sig"))
    }

    fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> SignError {
        let path = path.to_owned();
        move |source| SignError::Io { action, path: path.clone(), source }
    }

    /// Looks for an earlier signature by `key`; files of any other kind are left to the verifier.
    fn find(&self, key: &PublicKey, namespace: &Namespace, message: &[u8]) -> Result<Option<Signed>, SignError> {
        for number in 1..=SIGNATURE_COUNT_MAX {
            let path = self.file(number);
            let Some(bytes) = read_regular(&path, SIGNATURE_LEN_MAX).map_err(Self::failed("read", &path))? else {
                continue;
            };
            let Ok(earlier) = Sshsig::decode(&bytes) else { continue };
            if earlier.key != *key {
                continue;
            }
            let fingerprint = key.fingerprint();
            if earlier.namespace == *namespace && earlier.verifies(message) {
                return Ok(Some(Signed::Already { path, fingerprint }));
            }
            return Err(SignError::EarlierDoesNotHold { path, fingerprint });
        }
        Ok(None)
    }

    fn add(&self, armour: &[u8]) -> Result<PathBuf, SignError> {
        let free = (1..=SIGNATURE_COUNT_MAX).map(|number| self.file(number)).find(|path| !is_taken(path));
        let path = free.ok_or_else(|| SignError::NoNumberLeft { directory: self.path.clone() })?;
        let partial = self.path.join(".sig.partial");
        // We hold the lock, so a partial file is what a killed signer left.
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Self::failed("remove", &partial)(error));
            }
            _ => {}
        }
        let mut file =
            OpenOptions::new().write(true).create_new(true).open(&partial).map_err(Self::failed("write", &partial))?;
        file.write_all(armour).and_then(|()| file.sync_all()).map_err(Self::failed("write", &partial))?;
        fs::rename(&partial, &path).map_err(Self::failed("write", &path))?;
        self.handle.sync_all().map_err(Self::failed("write", &self.path))?;
        Ok(path)
    }
}

/// Gives the message to ssh-keygen and takes its signature.
fn exchange(child: &mut Child, message: &[u8]) -> io::Result<Vec<u8>> {
    if let Some(mut input) = child.stdin.take() {
        match input.write_all(message) {
            // It ended before it read everything; its exit code says why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            result => result?,
        }
    }
    let mut armour = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(SIGNATURE_LEN_MAX + 1).read_to_end(&mut armour)?;
    }
    Ok(armour)
}

/// Reads the public half of `key` where it lies in a file, so that nobody has to touch a security
/// key for a signature that is there already.
fn read_public_key(key: &Path) -> Option<PublicKey> {
    let bytes = read_regular(&public_path(key), PUBLIC_KEY_LEN_MAX).ok()??;
    PublicKey::parse(std::str::from_utf8(&bytes).ok()?.trim_end()).ok()
}

fn public_path(key: &Path) -> PathBuf {
    if is_public(key) {
        return key.to_owned();
    }
    let mut name = key.as_os_str().to_owned();
    name.push(".pub");
    PathBuf::from(name)
}

fn is_public(key: &Path) -> bool {
    key.extension().is_some_and(|extension| extension == "pub")
}

/// Tells whether `key` is a public key file without its private file beside it.
fn only_agent_has(key: &Path) -> bool {
    is_public(key) && !key.with_extension("").exists()
}

fn has_terminal() -> bool {
    OpenOptions::new().read(true).write(true).open("/dev/tty").is_ok()
}

fn is_taken(path: &Path) -> bool {
    // Also a broken link or a directory takes the name.
    fs::symlink_metadata(path).is_ok()
}

/// Reads a regular file of at most `len_max` bytes; nothing for an absent, longer or special one.
fn read_regular(path: &Path, len_max: u64) -> io::Result<Option<Vec<u8>>> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() && metadata.len() <= len_max => fs::read(path).map(Some),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
