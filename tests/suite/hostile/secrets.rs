//! Group L: secrets and logs. Every import into a server has canaries as credentials, and all that is
//! said and kept is searched for them.

use super::bench::Bench;
use super::server::{Server, TOKEN};
use super::{Line, checked, ends, tests, waits};
use crate::fixture::STREAM;
use crate::program::shown;
use crate::s3_faults::{ACCESS_KEY, Reply, SECRET, answer};
use std::fs;

const NO_AUDIT: &str = "there is no audit log: the receipt is what stays";

pub(super) const LINES: &[Line] = &[
    checked(
        "L01",
        "canary key, secret and token in use; provoke errors",
        "a server that answers each status with what it was sent; all output, state and store are searched",
        &[ends("import", 0, ""), ends("import", 6, ""), ends("import", 7, "")],
        |bench| provoke(bench, &[]),
    ),
    checked(
        "L02",
        "credentials on the command line",
        "options whose names carry one, with and without `=`",
        &[ends("import verify", 2, "--credentials-file")],
        |bench| {
            let medium = bench.good();
            for option in [
                "--secret-access-key",
                "--secret-key",
                "--access-key",
                "--password",
                "--session-token",
                "--aws-secret-access-key",
            ] {
                for command in ["import", "verify"] {
                    let joined = format!("{option}={SECRET}");
                    for arguments in
                        [&[command, shown(&medium), &joined][..], &[command, shown(&medium), option, SECRET]]
                    {
                        let called = bench.call(arguments);
                        assert!(!called.all().contains(SECRET), "{}", called.all());
                    }
                }
            }
        },
    ),
    checked(
        "L04",
        "signed URL in an error",
        "a redirect to one, and an error document that repeats one",
        &[ends("import", 6, ""), ends("import", 7, "never followed")],
        |bench| {
            let medium = bench.good();
            let url =
                "https://other.example/bucket/key?X-Amz-Credential=canary-credential&X-Amz-Signature=canary-signature";
            for status in [301, 307, 400, 403] {
                let document = format!(
                    "<Error><Code>AccessDenied</Code><Message>{0}</Message><Endpoint>{0}</Endpoint></Error>",
                    url.replace('&', "&amp;")
                );
                let server = Server::start(move |_, _| Some(answer(status, &[("Location", url)], &document)));
                let called = bench.import_to(&server, &medium, &[]);
                assert!(!called.all().contains("canary"), "{}", called.all());
            }
        },
    ),
    checked(
        "L05",
        "backtrace and debug level on",
        "as L01 with `RUST_BACKTRACE=full`, `RUST_LOG=trace`, `AWS_LOG_LEVEL=trace` and `--verbose`",
        &[ends("import", 0, ""), ends("import", 6, ""), ends("import", 7, "")],
        |bench| {
            for (variable, value) in [("RUST_BACKTRACE", "full"), ("RUST_LOG", "trace"), ("AWS_LOG_LEVEL", "trace")] {
                bench.set_variable(variable, value);
            }
            provoke(bench, &["--verbose"]);
        },
    ),
    checked(
        "L07",
        "file name with a newline",
        "packed, and as the place of a bundle, also with `--json`: each record is one line",
        &[ends("pack", 7, "refused"), ends("verify", 2, "")],
        newline,
    ),
    waits("L08", "audit record edited, removed, reordered, log cut", NO_AUDIT),
    waits("L10", "import without permission to write audit", NO_AUDIT),
];

tests!(l01 l02 l04 l05 l07);

/// Imports against servers that repeat what they are sent, and against an honest one.
fn provoke(bench: &Bench, options: &[&str]) {
    let medium = bench.good();
    let mut said = String::new();
    for status in [200, 301, 400, 403, 404, 409, 412] {
        let server = Server::start(move |_, ask| {
            let sent: Vec<String> =
                ask.request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            let body = format!("<Error><Code>{ACCESS_KEY}</Code><Message>{} {TOKEN}</Message></Error>", sent.join(" "));
            Some(Reply::Answer {
                status,
                headers: vec![("Location", format!("http://127.0.0.1/{ACCESS_KEY}"))],
                body: body.into_bytes(),
            })
        });
        said += &bench.import_to(&server, &medium, options).err;
    }
    assert!(said.contains("403"), "the errors say something: {said}");
    assert_eq!(bench.import_to(&Server::honest(), &medium, options).code, 0);
}

fn newline(bench: &Bench) {
    let tree = bench.directory("tree");
    for name in ["a\nerror: all is well; b", "b\r\n\u{1b}[2K", "c\u{2028}d"] {
        fs::write(tree.join(name), b"x").expect("written");
    }
    let root = format!("models={}", shown(&tree));
    let out = bench.path("packed");
    let arguments = ["pack", &root, "--out", shown(&out), "--stream", STREAM, "--counter", "1"];
    let said = bench.call(&arguments).err;
    let refused = said.split('\n').filter(|line| line.starts_with("refused: ")).count();
    assert_eq!((refused, said.lines().count()), (3, 4), "{said:?}");
    let place = bench.path("no\nwhere");
    bench.call(&["verify", shown(&place)]);
    let said = bench.call(&["verify", shown(&place), "--json"]).err;
    assert_eq!(said.lines().count(), 1, "{said:?}");
}
