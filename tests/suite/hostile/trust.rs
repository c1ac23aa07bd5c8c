//! Group S: signatures and trust.

use super::bench::Bench;
use super::faults::{Act, Fault, set_clock};
use super::reseal::{reseal, sign_raw};
use super::{Line, checked, elsewhere, ends, named, tests, vectors, waits};
use crate::authenticator::{TestKey, armour};
use crate::damage::{second_key, second_line, sign_again};
use crate::fixture::{STREAM, objects, signer};
use crate::program::{flip, shown, signer_line};
use airlift::store::DirectoryStore;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const READERS: &str = "verify ls info cat export import";
const NOT_TRUSTED: &str = "is not trusted";
const ROOT: &str = "there is no trust root: the receiver's own file of allowed signers is the policy";

pub(super) const LINES: &[Line] = &[
    checked(
        "S01",
        "flip one bit in the signature",
        "one bit of each byte of `1.sig` in turn; then all readers on one",
        &[ends(READERS, 4, "")],
        flipped_signature,
    ),
    checked(
        "S02",
        "flip each bit of head, manifest and pack table",
        "one bit of each byte in turn",
        &[ends("verify", 4, ""), ends("verify", 3, ""), ends("import", 3, "")],
        flipped_structures,
    ),
    checked(
        "S04",
        "valid signature by an unknown key",
        "the allowed signers list another key",
        &[ends(READERS, 4, "SHA256:")],
        |bench| {
            let medium = bench.good();
            bench.set_signers(&second_line("second-team"));
            bench.read_all(&medium);
        },
    ),
    checked(
        "S05",
        "threshold 2: one key twice, two keys of one principal",
        "the same signature in two files; two keys on lines of one principal",
        &[ends(READERS, 4, NOT_TRUSTED), ends("verify", 0, "")],
        threshold,
    ),
    waits("S07", "trust root with threshold 0, negative or missing", ROOT),
    checked(
        "S08",
        "no signature file",
        "`signatures/` is removed",
        &[ends(READERS, 4, "there is no signature")],
        |bench| {
            let medium = bench.good();
            fs::remove_dir_all(medium.join("signatures")).expect("removed");
            bench.read_all(&medium);
        },
    ),
    checked(
        "S10",
        "one good signature and 10,000 junk ones",
        "10,000 files `N.sig` beside the good one; verify within a second",
        &[ends(READERS, 4, "16 signatures")],
        junk,
    ),
    checked(
        "S11",
        "signer revoked",
        "`--revoked` lists the key; it is the receiver's file, there is no trust root",
        &[ends(READERS, 4, NOT_TRUSTED)],
        |bench| {
            let medium = bench.good();
            fs::write(bench.path("revoked"), format!("{}\n", signer().line())).expect("written");
            bench.set_options(&["--revoked", shown(&bench.path("revoked"))]);
            bench.read_all(&medium);
        },
    ),
    waits("S13", "trust root N+1 signed by new keys only", ROOT),
    waits("S14", "trust root N+1 signed by old keys only", ROOT),
    checked(
        "S16",
        "key past its end by the floor",
        "`valid-before` a second before `created_at`; the clock stands in 1970",
        &[ends(READERS, 4, NOT_TRUSTED), ends("verify", 0, "")],
        past_its_end,
    ),
    checked(
        "S17",
        "local clock at 1970, then at 2099",
        "`clock_gettime` lies; `valid-after` above 1970, `not_after` below 2099; then a release made in between",
        &[ends("import verify", 0, "")],
        clocks,
    ),
    checked(
        "S19",
        "two armours in one file",
        "the trust vector `two-armours`",
        &[ends("verify import", 4, "")],
        |bench| refused(bench, &["two-armours"]),
    ),
    checked(
        "S20",
        "one byte after the signature",
        "trust vectors: behind armour, record, key and signature",
        &[ends("verify import", 4, "")],
        |bench| refused(bench, &["byte-after-armour", "byte-after-record", "byte-after-key", "byte-after-signature"]),
    ),
    checked(
        "S22",
        "RSA, DSA or unknown algorithm",
        "trust vectors, and a record of a type that nobody knows",
        &[ends("verify import", 4, "")],
        |bench| {
            let mut key = TestKey::ed25519(1);
            key.type_name = "ssh-unknown";
            let medium = by(bench, &key);
            bench.verify(&medium);
            bench.import(&medium);
            refused(
                bench,
                &[
                    "key-of-type-rsa",
                    "key-of-type-dsa",
                    "key-of-type-webauthn",
                    "key-of-curve-p521",
                    "certificate",
                    "signers-rsa-key",
                ],
            );
        },
    ),
    checked(
        "S23",
        "security key without user presence",
        "trust vectors: flag not set, and set afterwards",
        &[ends("verify import", 4, "")],
        |bench| {
            refused(
                bench,
                &[
                    "not-touched-sk-ed25519",
                    "not-touched-sk-ecdsa-p256",
                    "touch-added-sk-ed25519",
                    "touch-added-sk-ecdsa-p256",
                ],
            );
        },
    ),
    elsewhere(
        "S25",
        "all Wycheproof Ed25519 vectors",
        named![crate::wycheproof_vectors::ed25519_is_judged_as_labelled],
        "what SSHSIG signs begins with fixed bytes, so a bundle cannot carry the messages of these vectors",
    ),
    elsewhere(
        "S26",
        "all Wycheproof ECDSA P-256 and P-384 vectors",
        named![
            crate::wycheproof_vectors::ecdsa_in_fixed_form_is_judged_as_labelled,
            crate::wycheproof_vectors::ecdsa_in_der_is_judged_as_labelled
        ],
        "as S25",
    ),
    waits(
        "S28",
        "ML-DSA signature with another context",
        "ML-DSA is no accepted key type; a record of one is refused like every unknown type (S22)",
    ),
    checked(
        "S29",
        "other manifest bytes on a later read",
        "each read of `manifest` in turn gives another first byte",
        &[ends("cat export import", 3, "manifest"), ends("cat export import", 0, "")],
        second_read,
    ),
    checked(
        "S31",
        "signer scoped to one stream signs another",
        "`namespaces=` of the key names `others-*`",
        &[ends(READERS, 4, NOT_TRUSTED)],
        |bench| {
            let medium = bench.good();
            bench.set_signers(&signer_line(signer().line()).replace("airlift-head@v1/*", "airlift-head@v1/others-*"));
            bench.read_all(&medium);
        },
    ),
    checked(
        "S32",
        "audience is another enclave",
        "the head's `audience` against none and another one of the receiver",
        &[ends(READERS, 4, "enclave"), ends("verify", 0, "")],
        audience,
    ),
    checked(
        "S34",
        "trusted key named, signature by another",
        "the record has the trusted key and another's numbers; a trust vector",
        &[ends("verify import", 4, "")],
        |bench| {
            let medium = bench.good();
            let head = fs::read(medium.join("head.json")).expect("read");
            let namespace = format!("airlift-head@v1/{STREAM}");
            let mut record = signer().record(&namespace, &head);
            record.signature = second_key().record(&namespace, &head).signature;
            fs::write(medium.join("signatures/1.sig"), armour(&record.bytes())).expect("written");
            bench.verify(&medium);
            bench.import(&medium);
            refused(bench, &["key-of-alice-signature-of-mallory"]);
        },
    ),
    waits(
        "S35",
        "upstream sigstore proof of other content",
        "attachments travel as bytes, and no policy on contents reads them",
    ),
    checked(
        "S37",
        "policy file unreadable or absent",
        "the file is not there, is a directory, is empty, has a bad line",
        &[ends(READERS, 4, ""), ends("verify", 2, "--allowed-signers")],
        policy_file,
    ),
];

tests!(s01 s02 s04 s05 s08 s10 s11 s16 s17 s19 s20 s22 s23 s29 s31 s32 s34 s37);

fn flipped_signature(bench: &Bench) {
    let medium = bench.good();
    let file = medium.join("signatures/1.sig");
    let len = fs::metadata(&file).expect("it is there").len();
    for at in 0..len {
        flip(&file, at);
        bench.verify(&medium);
        flip(&file, at);
    }
    flip(&file, len / 2);
    bench.read_all(&medium);
}

/// Flips bit `at % 8` of the byte at each place, calls, and puts it back.
fn flip_each(path: &Path, call: impl Fn()) {
    let good = fs::read(path).expect("read");
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(path, &bad).expect("written");
        call();
    }
    fs::write(path, good).expect("written");
}

fn flipped_structures(bench: &Bench) {
    let medium = bench.good();
    let call = |code: i32| {
        let medium = medium.clone();
        move || assert_eq!(bench.verify(&medium).code, code)
    };
    flip_each(&medium.join("head.json"), call(4));
    for file in ["manifest", "packs"] {
        flip_each(&medium.join(file), call(3));
        let at = fs::metadata(medium.join(file)).expect("it is there").len() - 1;
        flip(&medium.join(file), at);
        bench.import(&medium);
        assert!(!bench.store().exists(), "nothing is written where a structure is damaged");
        flip(&medium.join(file), at);
    }
}

fn threshold(bench: &Bench) {
    let medium = bench.good();
    bench.set_options(&["--threshold", "2"]);
    fs::copy(medium.join("signatures/1.sig"), medium.join("signatures/2.sig")).expect("copied");
    bench.read_all(&medium);
    sign_again(&medium);
    let ours = signer_line(signer().line());
    bench.set_signers(&(ours.clone() + &second_line("release-team")));
    bench.read_all(&medium);
    bench.set_signers(&(ours + &second_line("second-team")));
    assert_eq!(bench.verify(&medium).code, 0, "two principals are two");
}

fn junk(bench: &Bench) {
    let medium = bench.good();
    for number in 2..10_002 {
        fs::write(medium.join(format!("signatures/{number}.sig")), b"junk").expect("written");
    }
    // The shortest of three: others may use the machine.
    let taken = (0..3).map(|_| {
        let mut command = bench.command(&["verify", shown(&medium)]);
        let start = Instant::now();
        let output = command.output().expect("run");
        let taken = start.elapsed();
        bench.ended(&["verify"], output);
        taken
    });
    assert!(taken.min().expect("three") < Duration::from_secs(1));
    bench.read_all(&medium);
}

fn past_its_end(bench: &Bench) {
    let medium = bench.good();
    let line =
        |until: &str| signer_line(signer().line()).replacen("v1/*\" ", &format!("v1/*\",valid-before=\"{until}\" "), 1);
    let verify_in_1970 = || {
        let arguments = ["verify", shown(&medium)];
        let mut command = bench.command(&arguments);
        set_clock(&mut command, 0);
        bench.judge(&arguments, command).code
    };
    // The fixture's head was made at 2026-09-21T14:13:20Z.
    bench.set_signers(&line("20260921141319Z"));
    bench.read_all(&medium);
    assert_eq!(verify_in_1970(), 4);
    bench.set_signers(&line("20260921141320Z"));
    assert_eq!(verify_in_1970(), 0);
}

fn clocks(bench: &Bench) {
    let at = |second: u64, arguments: Vec<String>| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = bench.command(&arguments);
        set_clock(&mut command, second);
        let called = bench.judge(&arguments, command);
        assert_eq!(called.code, 0, "{}", called.err);
    };
    let to = format!("dir:{}", shown(&bench.store()));
    let medium = bench.good();
    reseal(&medium, |parts| parts.head.not_after = Some(airlift::format::Time::from_unix(1_790_000_100)));
    bench.set_signers(&signer_line(signer().line()).replacen("v1/*\" ", "v1/*\",valid-after=\"20260101Z\" ", 1));
    let import = |medium: &Path| bench.import_arguments(&[medium], &["--enrol", "--create-bucket", "--to", &to]);
    at(0, vec!["verify".to_owned(), shown(&medium).to_owned()]);
    at(4_070_908_800, vec!["verify".to_owned(), shown(&medium).to_owned()]);
    at(4_070_908_800, import(&medium));
    // Had 2099 become the floor, this end would lie below it.
    let (next, _) = bench.bundle("next", 2, 20);
    reseal(&next, |parts| parts.head.not_after = Some(airlift::format::Time::from_unix(1_790_000_200)));
    at(0, import(&next));
    assert_eq!(bench.landed().len(), bench.files().len());
}

/// Calls verify and import on each of these trust vectors.
fn refused(bench: &Bench, names: &[&str]) {
    for name in names {
        let medium = vectors::trust(bench, name);
        bench.verify(&medium);
        bench.import(&medium);
    }
}

/// Makes the usual bundle signed by this key alone, which is listed.
fn by(bench: &Bench, key: &TestKey) -> std::path::PathBuf {
    let medium = bench.good();
    let head = fs::read(medium.join("head.json")).expect("read");
    sign_raw(&medium, &head);
    fs::write(medium.join("signatures/1.sig"), key.sign(&format!("airlift-head@v1/{STREAM}"), &head)).expect("written");
    medium
}

fn second_read(bench: &Bench) {
    let medium = bench.good();
    let files = bench.files();
    let (path, bytes) = files.last_key_value().expect("a file");
    let mut healthy_count = 0;
    for from in 1..30 {
        let fault = Fault { call: "read", path: "/medium/manifest", from, every: 0, act: Act::OtherBytes };
        let arguments = ["cat", shown(&medium), path];
        let called = bench.judge(&arguments, bench.faulty(&arguments, &fault));
        assert!(bytes.starts_with(&called.out));
        assert!(called.code != 0 || called.out == *bytes);
        let out = bench.path(&format!("read-{from}"));
        let arguments = ["export", shown(&medium), "--to", shown(&out)];
        let called = bench.judge(&arguments, bench.faulty(&arguments, &fault));
        let found = if out.exists() { crate::program::files_below(&out) } else { Default::default() };
        bench.check("export", &called, &found, &files);
        let arguments = bench.import_arguments(
            &[&medium],
            &["--enrol", "--create-bucket", "--to", shown(&bench.path(&format!("store-{from}")))],
        );
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let state = bench.path("state");
        if state.exists() {
            fs::remove_dir_all(state).expect("removed");
        }
        let called = bench.judge(&arguments, bench.faulty(&arguments, &fault));
        let found = DirectoryStore::new(bench.path(&format!("store-{from}")));
        let found = if bench.path(&format!("store-{from}")).exists() { objects(&found) } else { Default::default() };
        bench.check("import", &called, &found, &bench.due());
        healthy_count += usize::from(called.code == 0);
    }
    assert!(healthy_count > 0, "the last reads are none");
}

fn audience(bench: &Bench) {
    let medium = bench.good();
    reseal(&medium, |parts| parts.head.audience = Some(crate::fixture::name("enclave-2")));
    bench.read_all(&medium);
    bench.set_options(&["--audience", "enclave-1"]);
    bench.read_all(&medium);
    bench.set_options(&["--audience", "enclave-2"]);
    assert_eq!(bench.verify(&medium).code, 0);
}

fn policy_file(bench: &Bench) {
    let medium = bench.good();
    bench.set_variable("AIRLIFT_ALLOWED_SIGNERS", shown(&bench.path("none")));
    bench.read_all(&medium);
    bench.set_variable("AIRLIFT_ALLOWED_SIGNERS", shown(&bench.directory("directory")));
    bench.read_all(&medium);
    for text in ["", "# nobody\n", "release-team ssh-ed25519 AAAA\n"] {
        bench.set_signers(text);
        bench.read_all(&medium);
    }
    let mut command = bench.command(&["verify", shown(&medium)]);
    command.env_remove("AIRLIFT_ALLOWED_SIGNERS");
    assert_eq!(bench.judge(&["verify"], command).code, 2);
}
