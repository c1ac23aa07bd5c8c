//! The S3 store and a real server that is killed, restarted, or not who it should be.

use crate::fixture::directory;
use crate::weed::Weed;
use airlift::error::Class;
use airlift::format::Proven;
use airlift::store::{
    Attributes, Condition, IfMissing, Key, PartNumber, S3Store, Store, StoreError, UploadedPart, paging,
};
use std::process::Command;

fn key() -> Key {
    Key::parse("models/a").expect("good")
}

#[test]
fn open_uploads_and_finished_objects_survive_a_killed_server() {
    let mut weed = Weed::start();
    let mut options = weed.options("survivors");
    options.patience.attempt_count_max = 2;
    let impatient = S3Store::open(&options).expect("good options");
    let store = weed.store("survivors");
    store.ensure_bucket(IfMissing::Create).expect("bucket");
    let landed = Key::parse("landed").expect("good");
    store.put(&landed, &Proven::record("x"), &Attributes::default(), &Condition::Any).expect("put");
    let upload = store.open_upload(&key(), &Attributes::default()).expect("open");
    let body = Proven::record(vec![1; 5 << 20]);
    let number = PartNumber::new(1).expect("good");
    let first = UploadedPart { number, tag: store.put_part(&key(), &upload, number, &body).expect("part") };

    weed.kill();
    let error = impatient.stat(&landed).expect_err("nobody is there");
    assert!(matches!(error, StoreError::Unavailable { attempts: 2, .. }), "{error}");
    assert_eq!(error.class(), Class::Unavailable);

    weed.resume();
    let listed: Vec<_> = paging::parts(&store, &key(), &upload).map(|part| part.expect("list").part).collect();
    assert_eq!(listed, std::slice::from_ref(&first));
    let number = PartNumber::new(2).expect("good");
    let tag = store.put_part(&key(), &upload, number, &Proven::record("end")).expect("part");
    store.finish_upload(&key(), &upload, &[first, UploadedPart { number, tag }], &Condition::Any).expect("finish");
    assert_eq!(store.read(&key(), (5 << 20) - 1..(5 << 20) + 3).expect("read"), "\x01end");
    assert_eq!(store.read(&landed, 0..1).expect("read"), "x");
}

#[test]
fn a_missing_bucket_is_named_and_not_created_unasked() {
    let store = Weed::shared().store("never-created");
    assert!(matches!(store.ensure_bucket(IfMissing::Refuse), Err(StoreError::BucketMissing { .. })));
    let outcome = store.list("", None);
    assert!(matches!(outcome, Err(StoreError::BucketMissing { .. })), "{outcome:?}");
}

#[test]
fn credentials_that_the_server_does_not_know_are_unavailable_and_stay_untold() {
    let directory = directory();
    let file = directory.path().join("credentials");
    let text = "[other]\naws_access_key_id = canary-unknown\naws_secret_access_key = canary-wrong\n";
    std::fs::write(&file, text).expect("write");
    let mut options = Weed::shared().options("conformance");
    options.credentials_file = Some(file);
    options.profile = Some("other".to_owned());
    let store = S3Store::open(&options).expect("good options");
    let error = store.put(&key(), &Proven::record("x"), &Attributes::default(), &Condition::Any).expect_err("refused");
    assert_eq!(error.class(), Class::Unavailable);
    assert!(!format!("{error} {error:?}").contains("canary"), "{error}");

    options.profile = Some("absent".to_owned());
    let error = S3Store::open(&options).expect_err("no such profile");
    assert_eq!(error.class(), Class::Usage);
}

#[test]
fn t14_refuses_a_server_whose_certificate_does_not_prove_its_name() {
    let directory = directory();
    let dir = directory.path();
    for name in ["ours", "theirs"] {
        authority(dir, name);
    }
    // Older OpenSSL has no option for the dates themselves.
    let yesterday = ["-days", "-1"];
    for (server, signer, subject, validity, is_accepted) in [
        ("good", "ours", "IP:127.0.0.1", &[][..], true),
        ("wrong-authority", "theirs", "IP:127.0.0.1", &[], false),
        ("wrong-name", "ours", "DNS:store.example", &[], false),
        ("expired", "ours", "IP:127.0.0.1", &yesterday, false),
    ] {
        certificate(dir, server, signer, subject, validity);
        let served = openssl_server(dir, server);
        let mut options = Weed::shared().options("conformance");
        options.endpoint = Some(format!("https://127.0.0.1:{}", served.port));
        options.ca_file = Some(dir.join("ours.pem"));
        // The server never answers: the certificate alone is in question.
        options.patience.attempt_count_max = 1;
        options.patience.stall_ms = 500;
        options.patience.answer_ms = 500;
        let outcome = S3Store::open(&options).expect("good options").stat(&key());
        match outcome {
            Err(StoreError::CertificateRefused { reason }) => assert!(!is_accepted, "{server}: {reason}"),
            other => assert!(is_accepted, "{server}: {other:?}"),
        }
    }
}

#[test]
fn a_file_that_holds_no_authority_is_refused_before_any_call() {
    let directory = directory();
    let file = directory.path().join("ca.pem");
    for text in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(&file, text).expect("write");
        let mut options = Weed::shared().options("conformance");
        options.ca_file = Some(file.clone());
        let error = S3Store::open(&options).expect_err("no authority");
        assert_eq!(error.class(), Class::Usage, "{error}");
    }
}

/// A TLS server that answers nothing useful; only its certificate matters.
pub(crate) struct TlsServer {
    pub(crate) port: u16,
    child: std::process::Child,
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }
}

pub(crate) fn openssl_server(dir: &std::path::Path, name: &str) -> TlsServer {
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound").port();
    let child = Command::new("openssl")
        .args(["s_server", "-quiet", "-www", "-accept", &format!("127.0.0.1:{port}")])
        .arg("-cert")
        .arg(dir.join(format!("{name}.pem")))
        .arg("-key")
        .arg(dir.join(format!("{name}.key")))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("openssl");
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    TlsServer { port, child }
}

pub(crate) fn authority(dir: &std::path::Path, name: &str) {
    openssl(
        dir,
        &format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={name} -keyout {name}.key -out {name}.pem"
        ),
        &[],
    );
}

pub(crate) fn certificate(dir: &std::path::Path, name: &str, signer: &str, subject: &str, validity: &[&str]) {
    std::fs::write(dir.join("extensions"), format!("subjectAltName={subject}\nbasicConstraints=CA:FALSE\n"))
        .expect("write");
    openssl(
        dir,
        &format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"
        ),
        &[],
    );
    openssl(
        dir,
        &format!("x509 -req -in {name}.csr -CA {signer}.pem -CAkey {signer}.key -extfile extensions -out {name}.pem"),
        validity,
    );
}

fn openssl(dir: &std::path::Path, arguments: &str, more: &[&str]) {
    let output =
        Command::new("openssl").args(arguments.split(' ')).args(more).current_dir(dir).output().expect("openssl");
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
}
