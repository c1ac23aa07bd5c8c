//! Signing and verifying with the real ssh-keygen and ssh-agent beside us.

use crate::authenticator::TestKey;
use crate::fixture::directory;
use airlift::error::Class;
use airlift::format::{SignatureFile, Time};
use airlift::pipeline::sign::{Keygen, SignError, Signed};
use airlift::pipeline::trust_files::{TrustFileError, read_allowed_signers, read_revoked};
use airlift::trust::{AllowedSigners, Authority, Expected, Moment, Namespace, Purpose, Revoked, Sshsig, authenticate};
use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const MESSAGE: &[u8] = b"{\n  \"format\": \"airlift 1\"\n}\n";

/// A private directory with keys, and the directory of a bundle's signatures.
struct Desk {
    directory: TempDir,
}

impl Desk {
    fn new() -> Desk {
        Desk { directory: directory() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), content).expect("written");
        self.path(name)
    }

    fn script(&self, name: &str, body: &str) -> PathBuf {
        let path = self.write(name, format!("#!/bin/sh\n{body}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("executable");
        path
    }

    /// Makes a key pair with ssh-keygen.
    fn key(&self, name: &str, arguments: &[&str], passphrase: &str) -> PathBuf {
        let path = self.path(name);
        let status = Command::new("ssh-keygen")
            .args(["-q", "-N", passphrase, "-C", "", "-f"])
            .arg(&path)
            .args(arguments)
            .status();
        assert!(status.expect("ssh-keygen").success());
        path
    }

    fn public(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.pub"))).expect("a public key").trim().to_owned()
    }

    fn signatures(&self) -> PathBuf {
        self.path("signatures")
    }

    fn signature_names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.signatures())
            .expect("signatures")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
            .collect();
        names.sort();
        names
    }

    fn sign(&self, keygen: &Keygen, key: &Path) -> Result<Signed, SignError> {
        keygen.sign(MESSAGE, &namespace("models-eu"), key, &self.signatures())
    }

    /// Asks ssh-keygen whether `signature` is good.
    fn stock_accepts(&self, allowed_signers: &str, namespace: &str, signature: &[u8], options: &[&str]) -> bool {
        let allowed_signers = self.write("stock-allowed-signers", allowed_signers);
        let signature = self.write("stock-signature", signature);
        let message = self.write("stock-message", MESSAGE);
        let status = Command::new("ssh-keygen")
            .args(["-Y", "verify", "-I", "alice", "-n", namespace, "-f"])
            .arg(allowed_signers)
            .arg("-s")
            .arg(signature)
            .args(options)
            .stdin(File::open(message).expect("open"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.expect("ssh-keygen").success()
    }
}

fn namespace(stream: &str) -> Namespace {
    Namespace::parse(&format!("airlift-head@v1/{stream}")).expect("a namespace")
}

fn we_accept(allowed_signers: &str, namespace: &Namespace, signature: &[u8], now: u64) -> bool {
    let Ok(signers) = AllowedSigners::parse(allowed_signers.as_bytes()) else { return false };
    let authority = Authority { signers: &signers, revoked: &Revoked::default() };
    let expected = Expected { purpose: Purpose::Head, stream: Some(namespace.stream.clone()) };
    let files = [SignatureFile { number: 1, bytes: signature.to_vec() }];
    let moment = Moment { now: Time::from_unix(now), floor: Time::from_unix(0) };
    authenticate(MESSAGE.into(), &files, &expected, authority)
        .and_then(|authentic| authentic.accept(moment, NonZeroUsize::MIN))
        .is_ok()
}

#[test]
fn what_ssh_keygen_signs_with_a_file_both_accept() {
    for (name, arguments) in [
        ("ed25519", &["-t", "ed25519"][..]),
        ("p256", &["-t", "ecdsa", "-b", "256"]),
        ("p384", &["-t", "ecdsa", "-b", "384"]),
    ] {
        let desk = Desk::new();
        let key = desk.key(name, arguments, "");
        let signed = desk.sign(&Keygen::default(), &key).expect(name);
        let Signed::Added { path, fingerprint } = signed else { panic!("{signed:?}") };
        assert_eq!(path, desk.signatures().join("1.sig"));
        let bytes = fs::read(&path).expect("kept");
        assert_eq!(Sshsig::decode(&bytes).expect("strict").fingerprint(), fingerprint);
        let line = format!("alice namespaces=\"airlift-head@v1/models-*\" {}\n", desk.public(name));
        assert!(we_accept(&line, &namespace("models-eu"), &bytes, 0), "{name}");
        assert!(desk.stock_accepts(&line, "airlift-head@v1/models-eu", &bytes, &[]), "{name}");
    }
}

#[test]
fn the_armour_is_exact_for_every_length_of_stream_name() {
    let desk = Desk::new();
    let key = desk.key("key", &["-t", "ed25519"], "");
    for len in 1..=64 {
        let stream = "s".repeat(len);
        let directory = desk.path(&stream);
        let signed = Keygen::default().sign(MESSAGE, &namespace(&stream), &key, &directory).expect("accepted");
        let Signed::Added { path, .. } = signed else { panic!("{signed:?}") };
        let bytes = fs::read(path).expect("kept");
        assert_eq!(Sshsig::decode(&bytes).expect("strict").encode().as_bytes(), bytes);
    }
}

#[test]
fn our_authenticator_is_one_to_ssh_keygen_too() {
    let desk = Desk::new();
    for key in TestKey::one_of_each() {
        let line = format!("alice namespaces=\"airlift-head@v1/*\" {}\n", key.line());
        let bytes = key.sign("airlift-head@v1/models-eu", MESSAGE);
        assert!(we_accept(&line, &namespace("models-eu"), &bytes, 0), "{}", key.type_name);
        assert!(desk.stock_accepts(&line, "airlift-head@v1/models-eu", &bytes, &[]), "{}", key.type_name);
    }
}

#[test]
fn two_armours_in_one_file_are_refused_where_ssh_keygen_reads_the_first() {
    let desk = Desk::new();
    let key = TestKey::ed25519(1);
    let line = format!("alice namespaces=\"airlift-head@v1/*\" {}\n", key.line());
    let one = key.sign("airlift-head@v1/models-eu", MESSAGE);
    let two = [one.clone(), TestKey::ed25519(2).sign("airlift-head@v1/models-eu", MESSAGE)].concat();
    assert!(desk.stock_accepts(&line, "airlift-head@v1/models-eu", &two, &[]));
    assert!(!we_accept(&line, &namespace("models-eu"), &two, 0));
    assert!(we_accept(&line, &namespace("models-eu"), &one, 0));
}

#[test]
fn namespace_lists_mean_to_us_what_they_mean_to_ssh_keygen() {
    let desk = Desk::new();
    let key = TestKey::ed25519(1);
    let bytes = key.sign("airlift-head@v1/models-eu", MESSAGE);
    let lists = [
        ("*", true),
        ("airlift-head@v1/models-eu", true),
        ("airlift-head@v1/models-??", true),
        ("airlift-head@v1/models-???", false),
        ("airlift-head@v1/*,!*-us", true),
        ("airlift-head@v1/*,!*-eu", false),
        ("!*-eu,airlift-head@v1/*", false),
        ("!*-us", false),
        ("file,*/models-eu", true),
        ("AIRLIFT-*", false),
        ("airlift-receipt@v1/*", false),
    ];
    for (list, expected) in lists {
        let line = format!("alice namespaces=\"{list}\" {}\n", key.line());
        assert_eq!(we_accept(&line, &namespace("models-eu"), &bytes, 0), expected, "{list}");
        assert_eq!(desk.stock_accepts(&line, "airlift-head@v1/models-eu", &bytes, &[]), expected, "{list}");
    }
}

#[test]
fn times_mean_to_us_what_they_mean_to_ssh_keygen() {
    let desk = Desk::new();
    let key = TestKey::ed25519(1);
    let bytes = key.sign("airlift-head@v1/models-eu", MESSAGE);
    let options = "valid-after=\"20260101Z\",valid-before=\"202601010001Z\"";
    let line = format!("alice namespaces=\"*\",{options} {}\n", key.line());
    for (text, second, expected) in [
        ("20251231235959Z", 1_767_225_599, false),
        ("20260101000000Z", 1_767_225_600, true),
        ("20260101000100Z", 1_767_225_660, true),
        ("20260101000101Z", 1_767_225_661, false),
    ] {
        let at = format!("-Overify-time={text}");
        assert_eq!(we_accept(&line, &namespace("models-eu"), &bytes, second), expected, "{text}");
        assert_eq!(desk.stock_accepts(&line, "airlift-head@v1/models-eu", &bytes, &[&at]), expected, "{text}");
    }
}

#[test]
fn a_list_of_revoked_keys_serves_ssh_keygen_too() {
    let desk = Desk::new();
    let key = TestKey::ed25519(1);
    let bytes = key.sign("airlift-head@v1/models-eu", MESSAGE);
    let line = format!("alice namespaces=\"*\" {}\n", key.line());
    let list = desk.write("revoked", format!("# lost on a train\n{} alice\n", key.line()));
    let revoked = read_revoked(&list).expect("a list");
    assert!(revoked.contains(&Sshsig::decode(&bytes).expect("good").key));
    let option = list.to_str().expect("plain").to_owned();
    assert!(!desk.stock_accepts(&line, "airlift-head@v1/models-eu", &bytes, &["-r", &option]));
    assert!(desk.stock_accepts(&line, "airlift-head@v1/models-eu", &bytes, &[]));
    let krl = desk.path("krl");
    let status = Command::new("ssh-keygen").args(["-q", "-k", "-f"]).arg(&krl).arg(&list).status();
    assert!(status.expect("ssh-keygen").success());
    let error = read_revoked(&krl).expect_err("binary");
    assert!(std::error::Error::source(&error).is_some_and(|source| source.to_string().contains("binary KRL")));
}

/// A running ssh-agent, ended with the test.
struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Agent {
    fn start(desk: &Desk) -> Agent {
        let socket = desk.path("agent");
        let child = Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn();
        let child = child.expect("ssh-agent");
        while !socket.exists() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        Agent { child, socket }
    }

    fn add(&self, key: &Path) {
        let status = Command::new("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", &self.socket).status();
        assert!(status.expect("ssh-add").success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }
}

#[test]
fn signs_with_a_key_that_only_an_agent_holds() {
    let desk = Desk::new();
    let key = desk.key("key", &["-t", "ecdsa", "-b", "256"], "");
    let agent = Agent::start(&desk);
    agent.add(&key);
    fs::remove_file(&key).expect("removed");
    let public = desk.path("key.pub");
    let keygen = Keygen::default().with_variable("SSH_AUTH_SOCK", &agent.socket);
    let signed = desk.sign(&keygen, &public).expect("by the agent");
    assert!(matches!(signed, Signed::Added { .. }));
    drop(agent);
    // The public key says that the signature is there: nothing asks the agent, which is gone.
    assert!(matches!(desk.sign(&keygen, &public).expect("found"), Signed::Already { .. }));
}

#[test]
fn a_public_key_that_no_agent_holds_does_not_sign() {
    let desk = Desk::new();
    let key = desk.key("key", &["-t", "ed25519"], "");
    let agent = Agent::start(&desk);
    fs::remove_file(&key).expect("removed");
    let keygen = Keygen::default().with_variable("SSH_AUTH_SOCK", &agent.socket);
    let error = desk.sign(&keygen, &desk.path("key.pub")).expect_err("nobody has it");
    assert!(matches!(error, SignError::NotSigned { .. }));
    assert_eq!(error.class(), Class::Failed);
    assert_eq!(desk.signature_names(), [""; 0]);
}

#[test]
fn asks_for_a_passphrase_as_ssh_keygen_asks() {
    let desk = Desk::new();
    let key = desk.key("key", &["-t", "ed25519"], "open sesame");
    let right = desk.script("right", "echo open sesame");
    let wrong = desk.script("wrong", "echo close sesame");
    let keygen = |program: &Path| {
        Keygen::default()
            .with_variable("SSH_AUTH_SOCK", "")
            .with_variable("SSH_ASKPASS_REQUIRE", "force")
            .with_variable("SSH_ASKPASS", program)
    };
    assert!(matches!(desk.sign(&keygen(&wrong), &key), Err(SignError::NotSigned { .. })));
    assert!(matches!(desk.sign(&keygen(&right), &key), Ok(Signed::Added { .. })));
}

#[test]
fn signatures_are_added_and_never_replaced() {
    let desk = Desk::new();
    let (one, two) = (desk.key("one", &["-t", "ed25519"], ""), desk.key("two", &["-t", "ed25519"], ""));
    let keygen = Keygen::default();
    assert!(matches!(desk.sign(&keygen, &one), Ok(Signed::Added { .. })));
    let first = fs::read(desk.signatures().join("1.sig")).expect("kept");
    // Left by a signer that was killed before it renamed the file.
    fs::write(desk.signatures().join(".sig.partial"), "half").expect("written");
    assert!(matches!(desk.sign(&keygen, &two), Ok(Signed::Added { path, .. }) if path.ends_with("2.sig")));
    for (key, name) in [(&one, "1.sig"), (&two, "2.sig")] {
        assert!(matches!(desk.sign(&keygen, key), Ok(Signed::Already { path, .. }) if path.ends_with(name)));
    }
    // The private file alone does not say which key it is; the signature made does.
    fs::remove_file(desk.path("one.pub")).expect("removed");
    assert!(matches!(desk.sign(&keygen, &one), Ok(Signed::Already { path, .. }) if path.ends_with("1.sig")));
    assert_eq!(desk.signature_names(), ["1.sig", "2.sig"]);
    assert_eq!(fs::read(desk.signatures().join("1.sig")).expect("kept"), first);
}

#[test]
fn the_lowest_free_number_is_taken_and_the_seventeenth_signature_refused() {
    let desk = Desk::new();
    fs::create_dir(desk.signatures()).expect("made");
    let mut keys = (1..=16).map(|seed| TestKey::ed25519(seed).sign("airlift-head@v1/models-eu", MESSAGE));
    for number in (1..=16).filter(|number| *number != 5) {
        fs::write(desk.signatures().join(format!("{number}.sig")), keys.next().expect("enough")).expect("written");
    }
    let (one, two) = (desk.key("one", &["-t", "ed25519"], ""), desk.key("two", &["-t", "ed25519"], ""));
    let keygen = Keygen::default();
    assert!(matches!(desk.sign(&keygen, &one), Ok(Signed::Added { path, .. }) if path.ends_with("5.sig")));
    let error = desk.sign(&keygen, &two).expect_err("full");
    assert!(matches!(error, SignError::NoNumberLeft { .. }));
    assert_eq!(error.class(), Class::Refused);
    assert_eq!(desk.signature_names().len(), 16);
}

#[test]
fn an_earlier_signature_of_the_key_that_does_not_hold_is_named() {
    let desk = Desk::new();
    let key = desk.key("key", &["-t", "ed25519"], "");
    Keygen::default().sign(b"other", &namespace("models-eu"), &key, &desk.signatures()).expect("signed");
    let error = desk.sign(&Keygen::default(), &key).expect_err("of other bytes");
    assert!(matches!(&error, SignError::EarlierDoesNotHold { path, .. } if path.ends_with("1.sig")));
    assert_eq!(error.class(), Class::Damaged);
    assert_eq!(desk.signature_names(), ["1.sig"]);
}

#[test]
fn keeps_nothing_that_a_receiver_would_refuse() {
    let desk = Desk::new();
    let rsa = desk.key("rsa", &["-t", "rsa", "-b", "2048"], "");
    let error = desk.sign(&Keygen::default(), &rsa).expect_err("RSA");
    assert!(matches!(error, SignError::NotAccepted { .. }));
    assert_eq!(error.class(), Class::Refused);
    let key = desk.key("key", &["-t", "ed25519"], "");
    let other = desk.write("other", TestKey::ed25519(1).sign("airlift-head@v1/models-eu", b"other"));
    let foreign = desk.write("foreign", TestKey::ed25519(1).sign("airlift-head@v1/models-us", MESSAGE));
    for answer in [other, foreign] {
        let program = desk.script("answers", &format!("cat > /dev/null; cat '{}'", answer.display()));
        assert!(matches!(desk.sign(&Keygen::at(program), &key), Err(SignError::DoesNotHold { .. })));
    }
    let endless = desk.script("endless", "yes");
    assert!(matches!(
        desk.sign(&Keygen::at(endless), &key),
        Err(SignError::NotSigned { .. } | SignError::NotAccepted { .. })
    ));
    let early = desk.script("early", "exit 3");
    assert!(matches!(desk.sign(&Keygen::at(early), &key), Err(SignError::NotSigned { .. })));
    assert!(matches!(desk.sign(&Keygen::at("/nowhere/ssh-keygen"), &key), Err(SignError::CannotRun { .. })));
    assert_eq!(desk.signature_names(), [""; 0]);
}

#[test]
fn a_key_that_is_not_there_does_not_sign() {
    let desk = Desk::new();
    assert!(matches!(desk.sign(&Keygen::default(), &desk.path("absent")), Err(SignError::NotSigned { .. })));
    assert_eq!(desk.signature_names(), [""; 0]);
}

#[test]
fn a_trust_file_that_can_not_be_read_trusts_nobody() {
    let desk = Desk::new();
    let (absent, empty) = (desk.path("absent"), desk.write("empty", ""));
    for error in [
        read_allowed_signers(&absent).expect_err("absent"),
        read_allowed_signers(desk.directory.path()).expect_err("a directory"),
        read_revoked(&absent).expect_err("absent"),
    ] {
        assert!(matches!(error, TrustFileError::Unreadable { .. }));
        assert_eq!(error.class(), Class::Untrusted);
    }
    let error = read_allowed_signers(&empty).expect_err("empty");
    assert!(matches!(error, TrustFileError::Signers { .. }));
    assert_eq!(error.class(), Class::Untrusted);
}
