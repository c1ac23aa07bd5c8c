//! The trust vectors under `spec/vectors`: made here, judged from their files alone.
//!
//! `AIRLIFT_BLESS=1` writes the ones that are missing or differ. Keys, nonces and times are fixed, so
//! a second run changes nothing.

use crate::authenticator::{Record, TestKey, armour, integer, string};
use airlift::error::Class;
use airlift::format::head::{FormatTag, Head, ManifestFile, PacksFile, PlainFile, Release, SuiteTag, Totals, Volumes};
use airlift::format::{Digest, Name, Sha256, SignatureFile, Time};
use airlift::trust::{
    AllowedSigners, Authority, Enrol, Expected, Installed, Purpose, Revoked, Step, Terms, TrustedHead, authenticate,
    judge_release,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

const NAMESPACE: &str = "airlift-head@v1/models-eu";
const CREATED_AT: &str = "2026-06-01T12:00:00Z";

/// One vector: the files of its directory but `case.json`, and what the receiver brings along.
struct Case {
    name: String,
    rule: &'static str,
    head: Vec<u8>,
    signatures: Vec<Vec<u8>>,
    allowed_signers: Vec<u8>,
    revoked: Option<Vec<u8>>,
    threshold: usize,
    audience: Option<&'static str>,
    now: &'static str,
    installed: Option<(u64, &'static str)>,
    enrol: bool,
}

impl Case {
    /// A good case: one Ed25519 signature of a head that says nothing special.
    fn new(rule: &'static str, name: &str) -> Case {
        let key = TestKey::ed25519(1);
        let head = head().encode();
        Case {
            name: format!("trust-{name}"),
            rule,
            signatures: vec![key.sign(NAMESPACE, &head)],
            head,
            allowed_signers: line("alice", "", &key).into_bytes(),
            revoked: None,
            threshold: 1,
            audience: None,
            now: "1970-01-01T00:00:00Z",
            installed: None,
            enrol: true,
        }
    }

    /// The one signature is by `key`, which is alice's.
    fn by(mut self, key: &TestKey) -> Case {
        self.signatures = vec![key.sign(NAMESPACE, &self.head)];
        self.allowed_signers = line("alice", "", key).into_bytes();
        self
    }

    /// The record of the one signature is changed.
    fn record(mut self, key: &TestKey, change: impl FnOnce(&mut Record)) -> Case {
        let mut record = key.record(NAMESPACE, &self.head);
        change(&mut record);
        self.signatures = vec![armour(&record.bytes())];
        self.allowed_signers = line("alice", "", key).into_bytes();
        self
    }

    /// The text of the one signature is changed.
    fn text(mut self, change: impl FnOnce(String) -> String) -> Case {
        let text = String::from_utf8(self.signatures.remove(0)).expect("ASCII");
        self.signatures = vec![change(text).into_bytes()];
        self
    }

    /// The head is changed and signed again.
    fn head(mut self, change: impl FnOnce(&mut Head)) -> Case {
        let mut head = head();
        change(&mut head);
        self.head = head.encode();
        self.signatures = vec![TestKey::ed25519(1).sign(NAMESPACE, &self.head)];
        self
    }

    fn signers(mut self, file: impl Into<Vec<u8>>) -> Case {
        self.allowed_signers = file.into();
        self
    }

    fn signatures(mut self, signatures: impl Into<Vec<Vec<u8>>>) -> Case {
        self.signatures = signatures.into();
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Case)) -> Case {
        change(&mut self);
        self
    }

    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::from([
            ("head.json".to_owned(), self.head.clone()),
            ("allowed_signers".to_owned(), self.allowed_signers.clone()),
        ]);
        for (bytes, number) in self.signatures.iter().zip(1..) {
            files.insert(format!("{number}.sig"), bytes.clone());
        }
        if let Some(revoked) = &self.revoked {
            files.insert("revoked".to_owned(), revoked.clone());
        }
        files
    }

    fn given(&self) -> Value {
        json!({
            "rule": self.rule,
            "stream": "models-eu",
            "threshold": self.threshold,
            "audience": self.audience,
            "now": self.now,
            "installed": self.installed.map(|(counter, content)| json!({
                "content_id": Digest::of(content.as_bytes()).to_string(),
                "counter": counter,
                "created_at": CREATED_AT,
            })),
            "enrol": self.enrol,
        })
    }
}

fn name(text: &str) -> Name {
    Name::parse(text).expect("a name")
}

fn release(counter: u64, content: &str) -> Release {
    Release { counter, content_id: Digest::of(content.as_bytes()) }
}

fn head() -> Head {
    let (blake3, sha256) = (Digest::of(b"x"), Sha256::of(b"x"));
    let head = Head {
        format: FormatTag::Airlift1,
        suite: SuiteTag::Blake3Sha256,
        stream: name("models-eu"),
        counter: 7,
        previous: None,
        created_at: Time::parse(CREATED_AT).expect("a time"),
        not_after: None,
        audience: None,
        content_id: release(7, "seven").content_id,
        tree_id: sha256,
        manifest: ManifestFile { length: 200, root_length: 100, blake3, sha256 },
        packs: PacksFile { root: blake3, length: 300, root_length: 100, blake3, sha256 },
        readme: PlainFile { length: 10, blake3, sha256 },
        volumes: Volumes { count: 1, length: 4096 },
        bases: Vec::new(),
        repairs: None,
        totals: Totals { files: 1, directories: 0, bytes: 1000 },
        attachments: Vec::new(),
        critical: Vec::new(),
        ext: BTreeMap::new(),
    };
    head.check().expect("a good head");
    head
}

fn line(principal: &str, options: &str, key: &TestKey) -> String {
    format!("{principal} namespaces=\"airlift-head@v1/models-*\"{options} {}\n", key.line())
}

fn accepted() -> Vec<Case> {
    let [alice, bob, carol] = [1, 3, 4].map(TestKey::ed25519);
    let mut cases: Vec<Case> =
        TestKey::one_of_each().iter().map(|key| Case::new("T-20", &format!("by-{}", short(key))).by(key)).collect();
    let touched_and_verified = |key: &TestKey| {
        let name = format!("touched-and-verified-{}", short(key));
        Case::new("T-24", &name).record(key, |record| {
            record.signature = key.signature(&record.signed_data(&head().encode()), 5);
        })
    };
    cases.extend([
        touched_and_verified(&TestKey::sk_ed25519(2)),
        touched_and_verified(&TestKey::sk_p256()),
        Case::new("T-30", "signers-with-comments").with(|case| {
            let text = format!("# signers\n\n\t{}", line("alice", "", &alice).trim_end().replace(' ', " \t"));
            case.allowed_signers = format!("{text} a comment").into_bytes();
        }),
        Case::new("T-36", "namespace-list")
            .signers(format!("alice namespaces=\"file,airlift-*@v1/models-??,!*-us\" {}\n", alice.line())),
        Case::new("T-37", "valid-to-the-second").signers(line(
            "alice",
            ",valid-after=\"20260601120000Z\",valid-before=\"20260601120001Z\"",
            &alice,
        )),
        Case::new("T-42", "others-revoked")
            .with(|case| case.revoked = Some(format!("# lost\n{} bob\n", bob.line()).into_bytes())),
        Case::new("T-52", "unknown-key-beside-a-good-one")
            .with(|case| case.signatures.insert(0, bob.sign(NAMESPACE, &case.head))),
        Case::new("T-52", "revoked-key-beside-a-good-one").with(|case| {
            case.signatures.push(bob.sign(NAMESPACE, &case.head));
            case.allowed_signers.extend(line("bob", "", &bob).bytes());
            case.revoked = Some(format!("{}\n", bob.line()).into_bytes());
        }),
        Case::new("T-57", "clock-in-1970-and-floor-within").signers(line(
            "alice",
            ",valid-after=\"20260101Z\"",
            &alice,
        )),
        Case::new("T-58", "two-of-three-principals").with(|case| {
            case.signatures = vec![alice.sign(NAMESPACE, &case.head), carol.sign(NAMESPACE, &case.head)];
            let lines = [("alice", &alice), ("bob", &bob), ("carol", &carol)].map(|(who, key)| line(who, "", key));
            case.allowed_signers = lines.concat().into_bytes();
            case.threshold = 2;
        }),
        Case::new("T-60", "clock-in-2099-does-not-end-a-bundle")
            .head(|head| head.not_after = Time::parse("2026-06-02T00:00:00Z"))
            .with(|case| case.now = "2099-01-01T00:00:00Z"),
        Case::new("T-63", "our-audience").head(|head| head.audience = Some(name("enclave-1"))).with(|case| {
            case.audience = Some("enclave-1");
        }),
        Case::new("T-72", "same-release").with(|case| case.installed = Some((7, "seven"))),
        Case::new("T-73", "longest-jump").head(|head| head.counter = 7 + (1 << 20)).with(|case| {
            case.installed = Some((7, "seven"));
        }),
        Case::new("T-74", "follows-ours")
            .head(|head| (head.counter, head.previous) = (8, Some(release(7, "seven"))))
            .with(|case| case.installed = Some((7, "seven"))),
        Case::new("T-74", "skips-a-release")
            .head(|head| (head.counter, head.previous) = (9, Some(release(8, "eight"))))
            .with(|case| case.installed = Some((7, "seven"))),
    ]);
    cases
}

fn rejected() -> Vec<Case> {
    [rejected_armours(), rejected_records(), rejected_keys(), rejected_lists(), rejected_policy(), rejected_heads()]
        .into_iter()
        .flatten()
        .collect()
}

fn rejected_armours() -> Vec<Case> {
    let end = "-----END SSH SIGNATURE-----\n";
    let wrap = |text: String, width: usize| {
        let lines: Vec<&str> = text.lines().collect();
        let body = lines[1..lines.len() - 1].concat();
        let chunks: Vec<&str> =
            (0..body.len()).step_by(width).map(|at| &body[at..body.len().min(at + width)]).collect();
        format!("{}\n{}\n{end}", lines[0], chunks.join("\n"))
    };
    vec![
        Case::new("T-01", "armour-too-long").text(|text| format!("{text}{}", "\n".repeat(16 << 10))),
        Case::new("T-02", "armour-after-a-blank-line").text(|text| format!("\n{text}")),
        Case::new("T-02", "armour-with-carriage-returns").text(|text| text.replace('\n', "\r\n")),
        Case::new("T-03", "byte-after-armour").text(|text| format!("{text}x")),
        Case::new("T-03", "newline-after-armour").text(|text| format!("{text}\n")),
        Case::new("T-03", "armour-without-last-newline").text(|text| text.trim_end().to_owned()),
        Case::new("T-04", "two-armours").text(|text| format!("{text}{text}")),
        Case::new("T-04", "armour-in-lines-of-64").text(|text| wrap(text, 64)),
        Case::new("T-04", "armour-in-lines-of-76").text(|text| wrap(text, 76)),
        Case::new("T-04", "armour-with-blank-line").text(|text| text.replace(end, &format!("\n{end}"))),
        Case::new("T-04", "armour-with-space").text(|text| text.replacen('\n', " \n", 2).replacen(" \n", "\n", 1)),
        // The last digit before two padding signs has four bits that must be zero.
        Case::new("T-04", "armour-with-loose-bits")
            .record(&TestKey::p384(), |record| {
                record.tail = Vec::new();
                while record.bytes().len() % 3 != 1 {
                    record.namespace.push(b'x');
                }
            })
            .text(|text| {
                let at = text.find("==").expect("padding") - 1;
                let digit = text.as_bytes()[at];
                format!("{}{}{}", &text[..at], char::from(digit + 1), &text[at + 1..])
            }),
    ]
}

fn rejected_records() -> Vec<Case> {
    let key = TestKey::ed25519(1);
    let (p256, p384) = (TestKey::p256(), TestKey::p384());
    let resign = |record: &mut Record, key: &TestKey| {
        record.signature = key.signature(&record.signed_data(&head().encode()), 1);
    };
    let numbers = |r: &[u8], s: &[u8]| {
        let both = [string(r), string(s)].concat();
        [string(b"ecdsa-sha2-nistp256"), string(&both)].concat()
    };
    let one = [1u8];
    vec![
        Case::new("T-05", "other-magic").record(&key, |record| {
            record.magic = b"SSHSIF".to_vec();
            resign(record, &key);
        }),
        Case::new("T-06", "version-2").record(&key, |record| record.version = 2),
        Case::new("T-08", "foreign-namespace").record(&key, |record| {
            record.namespace = b"file".to_vec();
            resign(record, &key);
        }),
        Case::new("T-08", "namespace-without-stream").record(&key, |record| {
            record.namespace = b"airlift-head@v1/".to_vec();
            resign(record, &key);
        }),
        Case::new("T-08", "namespace-with-zero-byte").record(&key, |record| {
            record.namespace.push(0);
            resign(record, &key);
        }),
        Case::new("T-09", "reserved-field-used").record(&key, |record| {
            record.reserved = vec![0];
            resign(record, &key);
        }),
        Case::new("T-09", "hash-sha256").record(&key, |record| {
            record.hash = b"sha256".to_vec();
            resign(record, &key);
        }),
        Case::new("T-10", "byte-after-record").record(&key, |record| record.tail = vec![0]),
        Case::new("T-10", "byte-after-key").record(&key, |record| record.key.push(0)),
        Case::new("T-10", "byte-after-signature").record(&key, |record| record.signature.push(0)),
        Case::new("T-10", "record-cut-short").record(&key, |record| record.signature.truncate(40)),
        Case::new("T-11", "algorithm-of-another-key-type")
            .record(&key, |record| record.signature = p256.signature(b"x", 1)),
        Case::new("T-23", "ed25519-of-63-bytes").record(&key, |record| {
            record.signature = [string(b"ssh-ed25519"), string(&[1; 63])].concat();
        }),
        Case::new("T-23", "ecdsa-with-zero").record(&p256, |record| record.signature = numbers(&[], &one)),
        Case::new("T-23", "ecdsa-with-padded-number").record(&p256, |record| record.signature = numbers(&[0, 1], &one)),
        Case::new("T-23", "ecdsa-with-negative-number")
            .record(&p256, |record| record.signature = numbers(&one, &[0x80])),
        Case::new("T-23", "ecdsa-number-of-33-bytes")
            .record(&p256, |record| record.signature = numbers(&[1; 33], &one)),
        Case::new("T-23", "ecdsa-of-longer-curve").record(&p256, |record| {
            let long = p384.numbers(&record.signed_data(&head().encode()));
            record.signature = [string(b"ecdsa-sha2-nistp256"), string(&long)].concat();
        }),
        Case::new("T-23", "ecdsa-with-third-number").record(&p256, |record| {
            let three = [integer(&one), integer(&one), integer(&one)].concat();
            record.signature = [string(b"ecdsa-sha2-nistp256"), string(&three)].concat();
        }),
    ]
}

fn rejected_keys() -> Vec<Case> {
    let foreign = |name: &str, type_name: &str, rest: Vec<u8>| {
        Case::new("T-20", name).record(&TestKey::ed25519(1), |record| {
            record.key = [string(type_name.as_bytes()), rest].concat();
            record.signature = [string(type_name.as_bytes()), string(&[1; 64])].concat();
        })
    };
    let p256 = TestKey::p256();
    let point = p256.point();
    let with_point = |name: &str, curve: &[u8], point: &[u8]| {
        Case::new("T-21", name).record(&p256, |record| {
            record.key = [string(b"ecdsa-sha2-nistp256"), string(curve), string(point)].concat();
        })
    };
    let mut web = TestKey::sk_ed25519(2);
    web.application = Some("https://example.org");
    let mut cases = vec![
        foreign("key-of-type-rsa", "ssh-rsa", [string(&[1, 0, 1]), string(&[0x7f; 256])].concat()),
        foreign("key-of-type-dsa", "ssh-dss", string(&[1; 128])),
        foreign("key-of-curve-p521", "ecdsa-sha2-nistp521", [string(b"nistp521"), string(&[4; 133])].concat()),
        foreign("certificate", "ssh-ed25519-cert-v01@openssh.com", string(&[1; 32])),
        foreign("key-of-type-webauthn", "webauthn-sk-ecdsa-sha2-nistp256@openssh.com", string(&[1; 32])),
        with_point("point-compressed", b"nistp256", &[&[2], &point[1..33]].concat()),
        with_point("point-hybrid", b"nistp256", &[&[6], &point[1..]].concat()),
        with_point("point-of-other-curve", b"nistp384", &point),
        Case::new("T-22", "application-of-the-web").record(&web, |_| {}).signers(line(
            "alice",
            "",
            &TestKey::ed25519(1),
        )),
    ];
    for key in [TestKey::sk_ed25519(2), TestKey::sk_p256()] {
        cases.push(Case::new("T-24", &format!("not-touched-{}", short(&key))).record(&key, |record| {
            record.signature = key.signature(&record.signed_data(&head().encode()), 0);
        }));
        cases.push(Case::new("T-25", &format!("touch-added-{}", short(&key))).record(&key, |record| {
            record.signature = key.signature(&record.signed_data(&head().encode()), 0);
            let flags_at = record.signature.len() - 5;
            record.signature[flags_at] = 1;
        }));
        cases.push(Case::new("T-25", &format!("counter-changed-{}", short(&key))).record(&key, |record| {
            *record.signature.last_mut().expect("a counter") ^= 1;
        }));
    }
    for key in TestKey::one_of_each() {
        let flip = |record: &mut Record| record.signature[key.type_name.len() + 30] ^= 1;
        cases.push(Case::new("T-53", &format!("flipped-bit-{}", short(&key))).record(&key, flip));
    }
    cases
}

fn rejected_lists() -> Vec<Case> {
    let key = TestKey::ed25519(1);
    let scope = "namespaces=\"airlift-head@v1/models-*\"";
    let signers = |rule, name: &str, file: String| Case::new(rule, name).signers(file);
    let good = line("alice", "", &key);
    let rsa = crate::authenticator::base64(&[string(b"ssh-rsa"), string(&[1, 0, 1]), string(&[0x7f; 256])].concat());
    let digits = key.line().split_once(' ').expect("two fields").1.to_owned();
    let revoked = |rule, name: &str, list: &[u8]| {
        let list = list.to_vec();
        Case::new(rule, name).with(|case| case.revoked = Some(list))
    };
    vec![
        signers("T-30", "signers-with-carriage-return", good.replace('\n', "\r\n")),
        signers("T-30", "signers-with-control-character", format!("# \u{1b}[2J\n{good}")),
        Case::new("T-30", "signers-not-utf8").signers([&b"# \xff\n"[..], good.as_bytes()].concat()),
        signers("T-31", "signers-empty", String::new()),
        signers("T-31", "signers-only-comments", "# nobody yet\n".to_owned()),
        signers("T-32", "signers-wildcard", line("*", "", &key)),
        signers("T-32", "signers-list-of-principals", line("alice,bob", "", &key)),
        signers("T-32", "signers-negated-principal", line("!bob", "", &key)),
        signers("T-32", "signers-quoted-principal", line("\"alice\"", "", &key)),
        signers("T-33", "signers-without-namespaces", format!("alice {}\n", key.line())),
        signers(
            "T-33",
            "signers-with-a-bad-line-after-the-good",
            format!("{good}bob {}\n", TestKey::ed25519(3).line()),
        ),
        signers("T-34", "signers-unknown-option", line("alice", ",no-touch-required", &key)),
        signers("T-34", "signers-repeated-option", line("alice", ",namespaces=\"file\"", &key)),
        signers(
            "T-34",
            "signers-unquoted-option",
            format!("alice namespaces=airlift-head@v1/models-* {}\n", key.line()),
        ),
        signers("T-34", "signers-comma-at-end-of-options", line("alice", ",", &key)),
        signers("T-35", "signers-cert-authority", format!("alice cert-authority,{scope} {}\n", key.line())),
        signers("T-36", "signers-empty-pattern", format!("alice namespaces=\"{NAMESPACE},\" {}\n", key.line())),
        signers("T-37", "signers-local-time", line("alice", ",valid-before=\"20991231\"", &key)),
        signers("T-37", "signers-day-that-is-not", line("alice", ",valid-before=\"20990229Z\"", &key)),
        signers(
            "T-37",
            "signers-end-before-beginning",
            line("alice", ",valid-after=\"20260102Z\",valid-before=\"20260101Z\"", &key),
        ),
        signers("T-38", "signers-key-twice", format!("{good}{}", line("bob", "", &key))),
        signers("T-39", "signers-key-not-base64", format!("alice {scope} ssh-ed25519 {}\n", &digits[1..])),
        signers("T-39", "signers-type-of-another-key", format!("alice {scope} ecdsa-sha2-nistp256 {digits}\n")),
        signers("T-39", "signers-rsa-key", format!("{good}bob {scope} ssh-rsa {rsa}\n")),
        revoked("T-41", "revoked-binary-krl", b"SSHKRL\n\0\0\0\0\x01"),
        revoked("T-42", "revoked-bad-line", b"serial: 1\n"),
        revoked("T-42", "revoked-fingerprint-cut-short", b"SHA256:AAAA\n"),
    ]
}

fn rejected_policy() -> Vec<Case> {
    let [alice, bob] = [1, 3].map(TestKey::ed25519);
    let good = alice.sign(NAMESPACE, &head().encode());
    let any = |key: &TestKey| format!("alice namespaces=\"airlift-*\" {}\n", key.line());
    let foreign = |namespace: &str| vec![alice.sign(namespace, &head().encode())];
    let threshold = |name: &str, signatures: Vec<Vec<u8>>, signers: String| {
        Case::new("T-58", name).signatures(signatures).signers(signers).with(|case| case.threshold = 2)
    };
    let second_key = line("alice", "", &alice) + &line("alice", "", &bob);
    let revoked =
        |name: &str, list: String| Case::new("T-52", name).with(|case| case.revoked = Some(list.into_bytes()));
    let fingerprint = airlift::trust::PublicKey::decode(&alice.blob()).expect("good").fingerprint();
    vec![
        Case::new("T-50", "no-signature").signatures([]),
        Case::new("T-50", "seventeen-signatures").signatures(vec![good.clone(); 17]),
        Case::new("T-51", "junk-beside-a-good-signature").signatures([good.clone(), b"junk\n".to_vec()]),
        Case::new("T-52", "unknown-key").signatures([bob.sign(NAMESPACE, &head().encode())]),
        revoked("revoked-key", format!("{} lost\n", alice.line())),
        revoked("revoked-fingerprint", format!("{fingerprint} lost\n")),
        Case::new("T-53", "invalid-beside-a-good-signature").with(|case| {
            case.signatures.push(bob.sign(NAMESPACE, b"other"));
            case.allowed_signers.extend(line("bob", "", &bob).bytes());
        }),
        Case::new("T-53", "changed-head").with(|case| case.head = b"{}\n".to_vec()),
        Case::new("T-53", "key-of-alice-signature-of-mallory").with(|case| {
            let mut record = bob.record(NAMESPACE, &case.head);
            record.key = alice.blob();
            case.signatures = vec![armour(&record.bytes())];
        }),
        Case::new("T-54", "signed-for-another-stream")
            .signatures(foreign("airlift-head@v1/models-us"))
            .signers(any(&alice)),
        Case::new("T-54", "signed-as-a-receipt")
            .signatures(foreign("airlift-receipt@v1/models-eu"))
            .signers(any(&alice)),
        Case::new("T-55", "key-of-another-scope")
            .signers(format!("alice namespaces=\"airlift-head@v1/datasets-*\" {}\n", alice.line())),
        Case::new("T-55", "key-with-negated-scope")
            .signers(format!("alice namespaces=\"airlift-head@v1/*,!*-eu\" {}\n", alice.line())),
        Case::new("T-57", "key-past-its-end-by-the-floor").signers(line(
            "alice",
            ",valid-before=\"20260601115959Z\"",
            &alice,
        )),
        Case::new("T-57", "key-past-its-end-by-the-clock")
            .signers(line("alice", ",valid-before=\"20260701Z\"", &alice))
            .with(|case| case.now = "2026-07-01T00:00:01Z"),
        Case::new("T-57", "key-before-its-beginning").signers(line(
            "alice",
            ",valid-after=\"20260601120001Z\"",
            &alice,
        )),
        threshold(
            "one-key-twice",
            vec![good.clone(), good.clone()],
            line("alice", "", &alice) + &line("bob", "", &bob),
        ),
        threshold("two-keys-of-one-principal", vec![good, bob.sign(NAMESPACE, &head().encode())], second_key),
    ]
}

fn rejected_heads() -> Vec<Case> {
    let installed = |case: Case| case.with(|case| case.installed = Some((7, "seven")));
    let no_head = |name: &str, bytes: Vec<u8>| {
        Case::new("T-61", name).with(|case| {
            case.signatures = vec![TestKey::ed25519(1).sign(NAMESPACE, &bytes)];
            case.head = bytes;
        })
    };
    vec![
        no_head("signed-bytes-that-are-no-head", b"{}\n".to_vec()),
        no_head("signed-head-with-another-newline", [head().encode(), b"\n".to_vec()].concat()),
        no_head(
            "signed-counter-of-2-to-53",
            String::from_utf8(head().encode())
                .expect("ASCII")
                .replace("\"counter\": 7", "\"counter\": 9007199254740992")
                .into_bytes(),
        ),
        Case::new("T-62", "head-of-another-stream").head(|head| head.stream = name("models-us")),
        Case::new("T-63", "another-audience")
            .head(|head| head.audience = Some(name("enclave-2")))
            .with(|case| case.audience = Some("enclave-1")),
        Case::new("T-63", "audience-that-nobody-claims").head(|head| head.audience = Some(name("enclave-2"))),
        installed(Case::new("T-64", "past-its-end").head(|head| {
            head.created_at = Time::parse("2026-05-01T00:00:00Z").expect("a time");
            head.not_after = Time::parse("2026-06-01T11:59:59Z");
            head.counter = 8;
        })),
        Case::new("T-65", "unknown-critical-feature").head(|head| head.critical = vec![name("parity")]),
        Case::new("T-70", "stream-not-enrolled").with(|case| case.enrol = false),
        installed(Case::new("T-71", "older-counter").head(|head| head.counter = 6)),
        installed(Case::new("T-72", "fork").head(|head| head.content_id = Digest::of(b"other"))),
        installed(Case::new("T-73", "jump").head(|head| head.counter = 8 + (1 << 20))),
        installed(Case::new("T-73", "jump-to-the-last-counter").head(|head| head.counter = (1 << 53) - 1)),
        installed(Case::new("T-74", "follows-another-release-of-our-counter").head(|head| {
            (head.counter, head.previous) = (8, Some(release(7, "other")));
        })),
        installed(Case::new("T-74", "follows-a-release-before-ours").head(|head| {
            (head.counter, head.previous) = (8, Some(release(6, "six")));
        })),
    ]
}

fn short(key: &TestKey) -> &str {
    match key.type_name {
        "ssh-ed25519" => "ed25519",
        "ecdsa-sha2-nistp256" => "ecdsa-p256",
        "ecdsa-sha2-nistp384" => "ecdsa-p384",
        "sk-ssh-ed25519@openssh.com" => "sk-ed25519",
        _ => "sk-ecdsa-p256",
    }
}

/// Judges a vector by its files and the receiver's side in `case.json`.
fn judge(files: &BTreeMap<String, Vec<u8>>, given: &Value) -> (String, String) {
    match try_judge(files, given) {
        Ok(expect) => ("accept".to_owned(), expect),
        Err((class, error)) => (class.name().to_owned(), chain(&*error)),
    }
}

type Refusal = (Class, Box<dyn std::error::Error>);

fn try_judge(files: &BTreeMap<String, Vec<u8>>, given: &Value) -> Result<String, Refusal> {
    let time = |value: &Value| Time::parse(value.as_str().expect("a time")).expect("a time");
    let signers = AllowedSigners::parse(&files["allowed_signers"]).map_err(|error| (error.class(), error.into()))?;
    let revoked = files.get("revoked").map_or(&b""[..], Vec::as_slice);
    let revoked = Revoked::parse(revoked).map_err(|error| (error.class(), error.into()))?;
    let signatures: Vec<SignatureFile> = (1..=99)
        .filter_map(|number| Some(SignatureFile { number, bytes: files.get(&format!("{number}.sig"))?.clone() }))
        .collect();
    let installed = given["installed"].as_object().map(|installed| Installed {
        release: Release {
            counter: installed["counter"].as_u64().expect("a counter"),
            content_id: Digest::from_hex(installed["content_id"].as_str().expect("text")).expect("a digest"),
        },
        created_at: time(&installed["created_at"]),
    });
    let terms = Terms {
        threshold: given["threshold"].as_u64().and_then(|n| NonZeroUsize::new(n as usize)).expect("a threshold"),
        audience: given["audience"].as_str().map(name),
        now: time(&given["now"]),
        installed_at: installed.map(|installed| installed.created_at),
    };
    let expected = Expected { purpose: Purpose::Head, stream: given["stream"].as_str().map(name) };
    let authority = Authority { signers: &signers, revoked: &revoked };
    let head = authenticate(files["head.json"].clone().into(), &signatures, &expected, authority)
        .and_then(|authentic| TrustedHead::accept(authentic, &terms))
        .map_err(|error| (error.class(), error.into()))?;
    let enrol = if given["enrol"] == true { Enrol::Allowed } else { Enrol::NotAsked };
    let step = judge_release(head.head(), installed.as_ref(), enrol).map_err(|error| (error.class(), error.into()))?;
    let step = match step {
        Step::First => "first",
        Step::Same => "same",
        Step::Next => "next",
    };
    let principals: Vec<&str> = head.principals().iter().map(|principal| principal.as_str()).collect();
    Ok(format!("{step} release, signed by {}", principals.join(" and ")))
}

fn chain(error: &dyn std::error::Error) -> String {
    error.source().map_or(error.to_string(), |source| format!("{error}: {}", chain(source)))
}

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("spec/vectors")
}

fn read_directory(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(path).into_iter().flatten().map(|entry| entry.expect("an entry"));
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().expect("a plain name");
            (name, fs::read(entry.path()).expect("a file"))
        })
        .collect()
}

fn trust_directories(kind: &str) -> Vec<String> {
    let entries = fs::read_dir(vectors().join(kind)).into_iter().flatten();
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"));
    let mut names: Vec<String> = names.filter(|name| name.starts_with("trust-")).collect();
    names.sort();
    names
}

#[test]
fn vectors_are_judged_as_they_say() {
    for kind in ["accept", "reject"] {
        let names = trust_directories(kind);
        assert!(names.len() > 15, "{kind}");
        for name in names {
            let files = read_directory(&vectors().join(kind).join(&name));
            let case: Value = serde_json::from_slice(&files["case.json"]).expect("JSON");
            let (class, expect) = judge(&files, &case);
            assert_eq!(case["class"], class, "{kind}/{name}: {expect}");
            assert_eq!(case["expect"], expect, "{kind}/{name}");
            assert_eq!(class == "accept", kind == "accept", "{kind}/{name}");
        }
    }
}

#[test]
fn vectors_are_what_the_generator_makes() {
    let bless = std::env::var_os("AIRLIFT_BLESS").is_some();
    for (kind, cases) in [("accept", accepted()), ("reject", rejected())] {
        let mut names: Vec<String> = cases.iter().map(|case| case.name.clone()).collect();
        names.sort();
        for case in cases {
            let mut files = case.files();
            let given = case.given();
            let (class, expect) = judge(&files, &given);
            let said = [("class", Value::from(class)), ("expect", Value::from(expect))];
            // A sorted map, because the order of a `Value` hangs on a feature of its crate.
            let given = given.as_object().expect("an object").iter().map(|(key, value)| (key.as_str(), value));
            let said = said.iter().map(|(key, value)| (*key, value));
            let whole: BTreeMap<_, _> = given.chain(said).collect();
            let text = serde_json::to_string_pretty(&whole).expect("plain values");
            files.insert("case.json".to_owned(), format!("{text}\n").into_bytes());
            let path = vectors().join(kind).join(&case.name);
            if bless && read_directory(&path) != files {
                fs::create_dir_all(&path).expect("made");
                files.iter().for_each(|(name, bytes)| fs::write(path.join(name), bytes).expect("written"));
            }
            assert!(read_directory(&path) == files, "{kind}/{} differs from what is made", case.name);
        }
        assert_eq!(trust_directories(kind), names);
    }
}
