//! An S3 server in this process, over a store in memory, that fails where a case says so.

use super::bench::{Bench, Called, Files};
use crate::fixture::objects;
use crate::s3_faults::{ACCESS_KEY, Reply, Request, SECRET, StandIn, answer, error};
use airlift::format::Proven;
use airlift::store::{
    Attributes, Condition, Key, MemoryStore, PageToken, PartNumber, PartTag, Store, StoreError, Tag, UploadId,
    UploadedPart, paging,
};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

pub(super) struct Server {
    pub(super) stand_in: StandIn,
    pub(super) store: Arc<MemoryStore>,
}

/// A request, taken apart.
pub(super) struct Ask<'a> {
    pub(super) method: &'a str,
    /// Empty where the bucket itself is meant.
    pub(super) key: String,
    query: Vec<(String, String)>,
    pub(super) request: &'a Request,
}

impl Ask<'_> {
    pub(super) fn of(request: &Request) -> Ask<'_> {
        let mut words = request.line.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let key = path.trim_start_matches('/').split_once('/').map_or("", |(_, key)| key);
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        };
        Ask { method, key: decoded(key), query: query.split('&').map(pair).collect(), request }
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Tells whether an object of the bundle is put, whole or in part.
    pub(super) fn puts_object(&self) -> bool {
        self.method == "PUT" && self.key.starts_with("landed/")
    }

    fn condition(&self) -> Condition {
        match (self.request.header("if-none-match"), self.request.header("if-match")) {
            (Some(_), _) => Condition::Absent,
            (None, Some(tag)) => Condition::IfTag(Tag::new(tag)),
            (None, None) => Condition::Any,
        }
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = if first == b'%' { tail.get(..2) } else { None };
        match hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()) {
            Some(byte) => (bytes.push(byte), rest = &tail[2..]).1,
            None => (bytes.push(first), rest = tail).1,
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn refusal(cause: &StoreError) -> Reply {
    match cause {
        StoreError::NotFound { .. } => error(404, "NoSuchKey"),
        StoreError::ConditionFailed { .. } => error(412, "PreconditionFailed"),
        StoreError::UploadMissing { .. } => error(404, "NoSuchUpload"),
        StoreError::PartsRefused { .. } => error(400, "InvalidPart"),
        other => panic!("the store in memory fails: {other}"),
    }
}

impl Server {
    /// Starts a server whose script says what is answered instead of the truth to the n-th request,
    /// from 0.
    pub(super) fn start(script: impl Fn(usize, &Ask<'_>) -> Option<Reply> + Send + Sync + 'static) -> Server {
        Server::over(move |_, at, ask| script(at, ask))
    }

    /// The same, with a script that sees the store.
    pub(super) fn over(
        script: impl Fn(&MemoryStore, usize, &Ask<'_>) -> Option<Reply> + Send + Sync + 'static,
    ) -> Server {
        let store = Arc::new(MemoryStore::new());
        let served = Arc::clone(&store);
        let stand_in = StandIn::start(move |at, request| {
            let ask = Ask::of(request);
            script(&served, at, &ask).unwrap_or_else(|| serve(&served, &ask))
        });
        Server { stand_in, store }
    }

    /// A server without a fault.
    pub(super) fn honest() -> Server {
        Server::start(|_, _| None)
    }

    pub(super) fn landed(&self) -> Files {
        objects(self.store.as_ref())
    }

    /// Returns all objects, those of the state too.
    pub(super) fn everything(&self) -> Files {
        let store = self.store.as_ref();
        let keys = paging::objects(store, "").map(|listed| listed.expect("listed").key);
        keys.map(|key| {
            (
                key.clone(),
                store.load(&Key::parse(&key).expect("a key"), 1 << 30).expect("read").expect("there").bytes.to_vec(),
            )
        })
        .collect()
    }
}

/// Answers as a server does.
pub(super) fn serve(store: &MemoryStore, ask: &Ask<'_>) -> Reply {
    if ask.key.is_empty() {
        return match (ask.method, ask.value("uploads")) {
            ("GET", Some(_)) => list_uploads(store, ask.value("prefix").unwrap_or_default()),
            ("GET", None) => list(store, ask),
            _ => answer(200, &[], ""),
        };
    }
    let Ok(key) = Key::parse(&ask.key) else { return error(400, "InvalidArgument") };
    let done = match (ask.method, ask.value("uploadId").map(UploadId::new)) {
        ("PUT", Some(upload)) => put_part(store, ask, &key, &upload),
        ("PUT", None) => {
            let body = Proven::record(ask.request.body.clone());
            let stored = store.put(&key, &body, &Attributes::default(), &ask.condition());
            stored.map(|stored| answer(200, &[("ETag", stored.tag.as_str())], ""))
        }
        ("GET", Some(upload)) => list_parts(store, &key, &upload),
        ("GET" | "HEAD", None) => get(store, ask, &key),
        ("DELETE", Some(upload)) => store.abort_upload(&key, &upload).map(|()| answer(204, &[], "")),
        ("DELETE", None) => store.remove(&key).map(|()| answer(204, &[], "")),
        ("POST", None) => store.open_upload(&key, &Attributes::default()).map(|upload| {
            answer(
                200,
                &[],
                &format!(
                    "<InitiateMultipartUploadResult><UploadId>{}</UploadId></InitiateMultipartUploadResult>",
                    upload.as_str()
                ),
            )
        }),
        ("POST", Some(upload)) => finish(store, ask, &key, &upload),
        (method, _) => panic!("{method} {}", ask.key),
    };
    done.unwrap_or_else(|cause| refusal(&cause))
}

fn get(store: &MemoryStore, ask: &Ask<'_>, key: &Key) -> Result<Reply, StoreError> {
    let Some(stat) = store.stat(key)? else { return Ok(error(404, "NoSuchKey")) };
    let tag = ("ETag", stat.tag.as_str());
    if ask.method == "HEAD" {
        return Ok(answer(200, &[tag, ("Content-Length", &stat.len.to_string())], ""));
    }
    let range = ask.request.header("range").and_then(|text| text.strip_prefix("bytes=")?.split_once('-'));
    let Some((start, end)) = range else {
        let body = store.read(key, 0..stat.len)?.to_vec();
        return Ok(Reply::Answer { status: 200, headers: vec![("ETag", stat.tag.as_str().to_owned())], body });
    };
    let start: u64 = start.parse().expect("a number");
    let end = end.parse::<u64>().expect("a number").min(stat.len.saturating_sub(1));
    if start > end {
        return Ok(error(416, "InvalidRange"));
    }
    let body = store.read(key, start..end + 1)?.to_vec();
    let about = format!("bytes {start}-{end}/{}", stat.len);
    Ok(Reply::Answer {
        status: 206,
        headers: vec![("ETag", stat.tag.as_str().to_owned()), ("Content-Range", about)],
        body,
    })
}

fn list(store: &MemoryStore, ask: &Ask<'_>) -> Reply {
    let after = ask.value("continuation-token").map(PageToken::new);
    let page = store.list(ask.value("prefix").unwrap_or_default(), after.as_ref()).expect("listed");
    let mut text = String::from("<ListBucketResult>");
    for item in &page.items {
        let tag = item.tag.as_ref().map_or("", Tag::as_str);
        let _ = write!(
            text,
            "<Contents><Key>{}</Key><ETag>{}</ETag><Size>{}</Size></Contents>",
            xml(&item.key),
            xml(tag),
            item.len
        );
    }
    if let Some(next) = &page.next {
        let _ = write!(
            text,
            "<IsTruncated>true</IsTruncated><NextContinuationToken>{}</NextContinuationToken>",
            xml(next.as_str())
        );
    }
    answer(200, &[], &(text + "</ListBucketResult>"))
}

fn list_uploads(store: &MemoryStore, prefix: &str) -> Reply {
    let mut text = String::from("<ListMultipartUploadsResult>");
    for upload in paging::uploads(store, prefix) {
        let upload = upload.expect("listed");
        let _ = write!(
            text,
            "<Upload><Key>{}</Key><UploadId>{}</UploadId></Upload>",
            xml(&upload.key),
            upload.upload.as_str()
        );
    }
    answer(200, &[], &(text + "</ListMultipartUploadsResult>"))
}

fn put_part(store: &MemoryStore, ask: &Ask<'_>, key: &Key, upload: &UploadId) -> Result<Reply, StoreError> {
    let number = ask.value("partNumber").and_then(|number| PartNumber::new(number.parse().ok()?)).expect("a part");
    let tag = store.put_part(key, upload, number, &Proven::record(ask.request.body.clone()))?;
    Ok(answer(200, &[("ETag", tag.as_str())], ""))
}

fn list_parts(store: &MemoryStore, key: &Key, upload: &UploadId) -> Result<Reply, StoreError> {
    let mut text = String::from("<ListPartsResult>");
    for listed in paging::parts(store, key, upload) {
        let listed = listed?;
        let (number, tag) = (listed.part.number.number(), xml(listed.part.tag.as_str()));
        let _ =
            write!(text, "<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag><Size>{}</Size></Part>", listed.len);
    }
    Ok(answer(200, &[], &(text + "</ListPartsResult>")))
}

fn finish(store: &MemoryStore, ask: &Ask<'_>, key: &Key, upload: &UploadId) -> Result<Reply, StoreError> {
    let text = String::from_utf8_lossy(&ask.request.body).replace("&quot;", "\"");
    let between = |part: &str, name: &str| {
        let rest = part.split_once(&format!("<{name}>")).map(|(_, rest)| rest.to_owned()).expect("the field");
        rest.split_once('<').map(|(value, _)| value.to_owned()).expect("its end")
    };
    let part = |part: &str| UploadedPart {
        number: PartNumber::new(between(part, "PartNumber").parse().expect("a number")).expect("a part"),
        tag: PartTag::new(between(part, "ETag")),
    };
    let parts: Vec<UploadedPart> = text.split("<Part>").skip(1).map(part).collect();
    let stored = store.finish_upload(key, upload, &parts, &ask.condition())?;
    let tag = xml(stored.tag.as_str());
    Ok(answer(200, &[], &format!("<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>")))
}

impl Bench {
    /// Imports a medium into a server's bucket, with canaries as credentials.
    pub(super) fn import_to(&self, server: &Server, medium: &Path, options: &[&str]) -> Called {
        let before = server.everything();
        let arguments = self.arguments_to(server, medium, options);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let called = self.judge(&arguments, self.command(&arguments));
        self.judge_server(server, &called, &before);
        called
    }

    pub(super) fn arguments_to(&self, server: &Server, medium: &Path, options: &[&str]) -> Vec<String> {
        self.set_variable("AWS_ACCESS_KEY_ID", ACCESS_KEY);
        self.set_variable("AWS_SECRET_ACCESS_KEY", SECRET);
        self.set_variable("AWS_SESSION_TOKEN", TOKEN);
        let endpoint = format!("http://{}", server.stand_in.address);
        let fixed = ["--enrol", "--create-bucket", "--to", "s3://bucket", "--endpoint", &endpoint];
        self.import_arguments(&[medium], &[&fixed[..], options].concat())
    }

    /// The same command, to be killed or sent a signal.
    pub(super) fn bare_to(&self, server: &Server, medium: &Path, options: &[&str]) -> Command {
        let arguments = self.arguments_to(server, medium, options);
        self.bare(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Judges what a server has then, and that nobody was told a secret.
    pub(super) fn judge_server(&self, server: &Server, called: &Called, before: &Files) {
        let after = server.everything();
        if super::bench::REFUSALS.contains(&called.code) {
            assert!(*before == after, "a refused import has changed the bucket");
        } else {
            self.check("import", called, &server.landed(), &self.due());
        }
        let state =
            if self.path("state").exists() { crate::program::files_below(&self.path("state")) } else { Files::new() };
        let kept = after.values().chain(state.values()).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        for said in kept.chain([called.all()]) {
            for canary in [SECRET, ACCESS_KEY, TOKEN, "AWS4-HMAC", "X-Amz-Signature"] {
                assert!(!said.contains(canary), "{canary} in {said}");
            }
        }
    }
}

/// A third canary.
pub(super) const TOKEN: &str = "canary-session-token";
