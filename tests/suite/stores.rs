//! What every store does, tried on all of them: memory, directory, and S3 on a real server.

use crate::fixture::directory;
use airlift::format::Proven;
use airlift::store::{
    Attributes, Condition, DirectoryStore, Key, MemoryStore, PartNumber, PartTag, Store, StoreError, Tag, UploadId,
    UploadedPart, paging, probe_conditions,
};
use bytes::Bytes;
use std::collections::BTreeSet;

/// A store, and the prefix below which a test has it for itself.
struct Case<'a> {
    store: &'a dyn Store,
    prefix: &'a str,
}

macro_rules! for_each_store {
    ($($test:ident),* $(,)?) => {
        mod memory {
            $(#[test] fn $test() { super::on_memory(super::$test); })*
        }
        mod directory {
            $(#[test] fn $test() { super::on_directory(super::$test); })*
        }
        #[cfg(feature = "s3")]
        mod s3 {
            $(#[test] fn $test() { super::on_s3(stringify!($test), super::$test); })*
        }
    };
}

for_each_store!(
    keeps_odd_names_exactly,
    keeps_an_object_without_bytes,
    keeps_attributes,
    reads_exactly_the_asked_range,
    loads_small_objects_whole_and_no_longer_ones,
    one_tag_for_one_state_in_every_answer,
    one_writer_of_eight_wins_a_condition,
    a_failing_condition_leaves_the_object_as_it_was,
    lists_thousands_of_keys_once_each,
    removes_once_and_again,
    shows_nothing_of_an_upload_until_it_is_finished,
    finishing_again_gives_the_same_answer,
    a_part_sent_again_counts_as_its_tag_says,
    refuses_parts_that_it_does_not_have,
    a_failing_condition_leaves_the_upload_open,
    an_aborted_upload_leaves_nothing,
    knows_no_upload_that_was_never_opened,
    lists_open_uploads,
    passes_the_probe_of_conditions,
);

fn on_memory(test: fn(&Case)) {
    test(&Case { store: &MemoryStore::new(), prefix: "t/" });
}

fn on_directory(test: fn(&Case)) {
    let root = directory();
    test(&Case { store: &DirectoryStore::new(root.path()), prefix: "t/" });
}

#[cfg(feature = "s3")]
fn on_s3(name: &str, test: fn(&Case)) {
    let store = crate::weed::Weed::shared().store("conformance");
    store.ensure_bucket(airlift::store::IfMissing::Create).expect("bucket");
    test(&Case { store: &store, prefix: &format!("{name}/") });
}

impl Case<'_> {
    fn key(&self, name: &str) -> Key {
        Key::parse(&format!("{}{name}", self.prefix)).expect(name)
    }

    fn put(&self, name: &str, body: impl Into<Bytes>) -> Tag {
        let body = Proven::record(body);
        self.store.put(&self.key(name), &body, &Attributes::default(), &Condition::Any).expect(name).tag
    }

    fn put_if(&self, name: &str, body: &'static str, condition: Condition) -> Result<Tag, StoreError> {
        let stored = self.store.put(&self.key(name), &Proven::record(body), &Attributes::default(), &condition);
        stored.map(|stored| stored.tag)
    }

    fn content(&self, name: &str) -> Option<Bytes> {
        self.store.load(&self.key(name), 64 << 20).expect(name).map(|loaded| loaded.bytes)
    }

    fn names(&self) -> Vec<String> {
        let listed = paging::objects(self.store, self.prefix);
        listed.map(|item| item.expect("list").key[self.prefix.len()..].to_owned()).collect()
    }

    fn open(&self, name: &str) -> UploadId {
        self.store.open_upload(&self.key(name), &Attributes::default()).expect(name)
    }

    fn part(&self, name: &str, upload: &UploadId, number: u16, body: Bytes) -> UploadedPart {
        let number = PartNumber::new(number).expect("1 to 10,000");
        let tag = self.store.put_part(&self.key(name), upload, number, &Proven::record(body)).expect(name);
        UploadedPart { number, tag }
    }

    fn finish(&self, name: &str, upload: &UploadId, parts: &[UploadedPart]) -> Result<Tag, StoreError> {
        self.finish_if(name, upload, parts, Condition::Any)
    }

    fn finish_if(
        &self,
        name: &str,
        upload: &UploadId,
        parts: &[UploadedPart],
        condition: Condition,
    ) -> Result<Tag, StoreError> {
        self.store.finish_upload(&self.key(name), upload, parts, &condition).map(|stored| stored.tag)
    }
}

/// Five MiB, the shortest part that is not the last, of bytes that differ by `seed`.
fn part_body(seed: u64) -> Bytes {
    (0..(5u64 << 20) / 8).flat_map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed).to_le_bytes()).collect()
}

fn keeps_odd_names_exactly(case: &Case) {
    let longest = "x".repeat(255);
    let names = [
        "?",
        "#",
        "+",
        "a b",
        "%",
        "%2e%2e%2f",
        "%41",
        "&amp;",
        "a=b",
        "ünï çødé",
        "e\u{301}",
        "漢字/かな",
        "🙂",
        "~",
        "'q\"",
        "[x]{y}",
        "a;b,c",
        "$HOME",
        "*",
        "<tag>",
        "...a",
        "-",
        ".hidden",
        "a.b.c",
        "@",
        "!",
        "^|`",
        longest.as_str(),
    ];
    for name in names {
        case.put(name, format!("content of {name}"));
    }
    for name in names {
        assert_eq!(case.content(name).expect(name), format!("content of {name}"), "{name}");
    }
    let listed: BTreeSet<String> = case.names().into_iter().collect();
    let expected: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(listed, expected);
}

fn keeps_an_object_without_bytes(case: &Case) {
    case.put("empty", "");
    assert_eq!(case.store.stat(&case.key("empty")).expect("stat").expect("there").len, 0);
    assert_eq!(case.content("empty").expect("there"), "");
    assert_eq!(case.store.read(&case.key("empty"), 0..0).expect("read"), "");
    assert_eq!(case.names(), ["empty"]);
}

fn keeps_attributes(case: &Case) {
    let attributes =
        Attributes::of_type("application/x-airlift").with("sha256", &"0a".repeat(32)).with("bundle", "models-12");
    let key = case.key("put");
    case.store.put(&key, &Proven::record("x"), &attributes, &Condition::Any).expect("put");
    assert_eq!(case.store.stat(&key).expect("stat").expect("there").attributes, attributes);
    let key = case.key("upload");
    let upload = case.store.open_upload(&key, &attributes).expect("open");
    let part = case.part("upload", &upload, 1, Bytes::from_static(b"x"));
    case.finish("upload", &upload, &[part]).expect("finish");
    assert_eq!(case.store.stat(&key).expect("stat").expect("there").attributes, attributes);
}

fn reads_exactly_the_asked_range(case: &Case) {
    let body: Vec<u8> = (0..100_000u32).map(|at| (at / 7) as u8).collect();
    case.put("a", body.clone());
    let key = case.key("a");
    for range in [0..1, 0..100_000, 99_999..100_000, 1000..70_000, 0..0, 500..500, 100_000..100_000] {
        let expected = &body[range.start as usize..range.end as usize];
        assert_eq!(case.store.read(&key, range.clone()).expect("in the object"), expected, "{range:?}");
    }
    for (range, found_len) in
        [(0..100_001, 100_000), (99_990..100_010, 10), (100_000..100_001, 0), (200_000..200_001, 0)]
    {
        match case.store.read(&key, range.clone()) {
            Err(StoreError::ShortAnswer { found_len: found, .. }) => assert_eq!(found, found_len, "{range:?}"),
            other => panic!("{range:?}: {other:?}"),
        }
    }
    assert!(matches!(case.store.read(&case.key("none"), 0..1), Err(StoreError::NotFound { .. })));
    assert!(matches!(case.store.read(&case.key("none"), 0..0), Err(StoreError::NotFound { .. })));
}

fn loads_small_objects_whole_and_no_longer_ones(case: &Case) {
    case.put("a", "1234567890");
    assert_eq!(case.store.load(&case.key("a"), 10).expect("load").expect("there").bytes, "1234567890");
    assert!(matches!(case.store.load(&case.key("a"), 9), Err(StoreError::TooLong { len_max: 9, .. })));
    assert_eq!(case.store.load(&case.key("none"), 9).expect("load"), None);
}

fn one_tag_for_one_state_in_every_answer(case: &Case) {
    let first = case.put("a", "one");
    let key = case.key("a");
    assert_eq!(case.store.stat(&key).expect("stat").expect("there").tag, first);
    assert_eq!(case.store.load(&key, 3).expect("load").expect("there").tag, first);
    let listed = paging::objects(case.store, case.prefix).next().expect("one").expect("list");
    assert_eq!((listed.tag, listed.len), (Some(first.clone()), 3));
    assert_ne!(case.put("a", "two"), first);
    let upload = case.open("b");
    let parts = [case.part("b", &upload, 1, part_body(1)), case.part("b", &upload, 2, part_body(2))];
    let finished = case.finish("b", &upload, &parts).expect("finish");
    assert_eq!(case.store.stat(&case.key("b")).expect("stat").expect("there").tag, finished);
}

fn one_writer_of_eight_wins_a_condition(case: &Case) {
    // No body is written twice: the tag of a state is that of its bytes.
    const BODIES: [[&str; 8]; 2] =
        [["0", "1", "2", "3", "4", "5", "6", "7"], ["10", "11", "12", "13", "14", "15", "16", "17"]];
    for round in 0..5 {
        let name = format!("lease-{round}");
        let mut condition = Condition::Absent;
        for bodies in BODIES {
            let outcomes = std::thread::scope(|scope| {
                let writers = bodies.map(|body| {
                    let (name, condition) = (&name, condition.clone());
                    scope.spawn(move || (body, case.put_if(name, body, condition)))
                });
                writers.map(|writer| writer.join().expect("no panic"))
            });
            let mut winners = Vec::new();
            for (body, outcome) in outcomes {
                match outcome {
                    Ok(tag) => winners.push((body, tag)),
                    Err(StoreError::ConditionFailed { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            let [(body, tag)] = winners.as_slice() else { panic!("{} winners in round {round}", winners.len()) };
            assert_eq!(case.content(&name).expect("there"), *body);
            condition = Condition::IfTag(tag.clone());
        }
    }
}

fn a_failing_condition_leaves_the_object_as_it_was(case: &Case) {
    let tag = case.put("a", "one");
    let other = case.put("b", "another");
    for condition in [Condition::Absent, Condition::IfTag(other)] {
        let outcome = case.put_if("a", "two", condition);
        assert!(matches!(outcome, Err(StoreError::ConditionFailed { .. })), "{outcome:?}");
    }
    let outcome = case.put_if("none", "two", Condition::IfTag(tag.clone()));
    assert!(matches!(outcome, Err(StoreError::ConditionFailed { .. })), "{outcome:?}");
    assert_eq!(case.content("none"), None);
    assert_eq!(case.content("a").expect("there"), "one");
    assert_eq!(case.store.stat(&case.key("a")).expect("stat").expect("there").tag, tag);
    case.put_if("a", "two", Condition::IfTag(tag)).expect("the tag is right");
    assert_eq!(case.content("a").expect("there"), "two");
}

fn lists_thousands_of_keys_once_each(case: &Case) {
    let names: Vec<String> = (0..2100).map(|at| format!("{}/{at}", ["m", "m/a", "m/a b", "n"][at % 4])).collect();
    std::thread::scope(|scope| {
        for share in names.chunks(names.len().div_ceil(16)) {
            scope.spawn(move || share.iter().for_each(|name| drop(case.put(name, "x"))));
        }
    });
    let listed = case.names();
    let distinct: BTreeSet<&String> = listed.iter().collect();
    assert_eq!(listed.len(), names.len());
    assert_eq!(distinct, names.iter().collect());
    let below = paging::objects(case.store, &format!("{}m/a ", case.prefix)).count();
    assert_eq!(below, 525, "a prefix need not end at a slash");
    let page = case.store.list(case.prefix, None).expect("list");
    assert!(page.items.len() <= 1000 && page.next.is_some());
}

fn removes_once_and_again(case: &Case) {
    case.put("a/b", "x");
    case.put("a/c", "x");
    case.store.remove(&case.key("a/b")).expect("there");
    case.store.remove(&case.key("a/b")).expect("not there");
    case.store.remove(&case.key("z")).expect("never there");
    assert_eq!(case.store.stat(&case.key("a/b")).expect("stat"), None);
    assert_eq!(case.names(), ["a/c"]);
}

fn shows_nothing_of_an_upload_until_it_is_finished(case: &Case) {
    let upload = case.open("a");
    let third = case.part("a", &upload, 3, Bytes::from_static(b"end"));
    let first = case.part("a", &upload, 1, part_body(1));
    let second = case.part("a", &upload, 2, part_body(2));
    assert_eq!(case.store.stat(&case.key("a")).expect("stat"), None);
    assert_eq!(case.names(), [""; 0]);
    let unordered = [second.clone(), first.clone()];
    assert!(matches!(case.finish("a", &upload, &unordered), Err(StoreError::PartsUnordered { .. })));
    assert!(matches!(case.finish("a", &upload, &[]), Err(StoreError::PartsUnordered { .. })));
    case.finish("a", &upload, &[first, second, third]).expect("finish");
    let expected = [part_body(1), part_body(2), Bytes::from_static(b"end")].concat();
    assert!(case.content("a").expect("there") == expected);
    assert_eq!(paging::uploads(case.store, case.prefix).count(), 0);
}

fn finishing_again_gives_the_same_answer(case: &Case) {
    for (name, condition) in [("a", Condition::Any), ("b", Condition::Absent)] {
        let upload = case.open(name);
        let parts = [case.part(name, &upload, 1, part_body(1)), case.part(name, &upload, 2, part_body(2))];
        let first = case.finish_if(name, &upload, &parts, condition.clone()).expect("finish");
        let again = case.finish_if(name, &upload, &parts, condition).expect("again");
        assert_eq!(first, again);
    }
}

fn a_part_sent_again_counts_as_its_tag_says(case: &Case) {
    let upload = case.open("a");
    case.part("a", &upload, 1, part_body(1));
    let second = case.part("a", &upload, 2, Bytes::from_static(b"end"));
    let first = case.part("a", &upload, 1, part_body(9));
    let listed: Vec<_> =
        paging::parts(case.store, &case.key("a"), &upload).map(|part| part.expect("list parts")).collect();
    // A server may list both that were sent under one number, in any order.
    assert!(listed.iter().any(|listed| listed.part == first && listed.len == part_body(9).len() as u64));
    assert!(listed.iter().any(|listed| listed.part == second && listed.len == 3));
    case.finish("a", &upload, &[first, second]).expect("finish");
    assert!(case.content("a").expect("there") == [part_body(9), Bytes::from_static(b"end")].concat());
}

fn refuses_parts_that_it_does_not_have(case: &Case) {
    let upload = case.open("a");
    let good = case.part("a", &upload, 1, part_body(1));
    let elsewhere = case.open("b");
    let other = case.part("b", &elsewhere, 1, part_body(7));
    let missing = UploadedPart { number: PartNumber::new(2).expect("good"), tag: other.tag.clone() };
    for parts in [
        vec![other],
        vec![good.clone(), missing],
        vec![UploadedPart { number: good.number, tag: PartTag::new("\"0123456789abcdef0123456789abcdef\"") }],
    ] {
        let outcome = case.finish("a", &upload, &parts);
        assert!(matches!(outcome, Err(StoreError::PartsRefused { .. })), "{outcome:?}");
        assert_eq!(case.store.stat(&case.key("a")).expect("stat"), None);
    }
    case.finish("a", &upload, &[good]).expect("the upload is still open");
    case.store.abort_upload(&case.key("b"), &elsewhere).expect("abort");
}

fn a_failing_condition_leaves_the_upload_open(case: &Case) {
    let tag = case.put("a", "one");
    let other = case.put("b", "another");
    let upload = case.open("a");
    let part = [case.part("a", &upload, 1, Bytes::from_static(b"two"))];
    for condition in [Condition::Absent, Condition::IfTag(other)] {
        let outcome = case.finish_if("a", &upload, &part, condition);
        assert!(matches!(outcome, Err(StoreError::ConditionFailed { .. })), "{outcome:?}");
    }
    assert_eq!(case.content("a").expect("there"), "one");
    case.finish_if("a", &upload, &part, Condition::IfTag(tag)).expect("the tag is right");
    assert_eq!(case.content("a").expect("there"), "two");
}

fn an_aborted_upload_leaves_nothing(case: &Case) {
    let upload = case.open("a");
    let part = case.part("a", &upload, 1, part_body(1));
    case.store.abort_upload(&case.key("a"), &upload).expect("abort");
    case.store.abort_upload(&case.key("a"), &upload).expect("again");
    assert_eq!(paging::uploads(case.store, case.prefix).count(), 0);
    assert_eq!(case.names(), [""; 0]);
    assert!(matches!(case.finish("a", &upload, &[part]), Err(StoreError::UploadMissing { .. })));
    assert_eq!(case.store.stat(&case.key("a")).expect("stat"), None);
}

fn knows_no_upload_that_was_never_opened(case: &Case) {
    let key = case.key("a");
    let upload = UploadId::new("0123456789abcdef0123456789abcdef");
    let number = PartNumber::new(1).expect("good");
    let outcome = case.store.put_part(&key, &upload, number, &Proven::record("x"));
    assert!(matches!(outcome, Err(StoreError::UploadMissing { .. })), "{outcome:?}");
    let outcome = case.store.list_parts(&key, &upload, None);
    assert!(matches!(outcome, Err(StoreError::UploadMissing { .. })), "{outcome:?}");
    let parts = [UploadedPart { number, tag: PartTag::new("\"0123456789abcdef0123456789abcdef\"") }];
    let outcome = case.finish("a", &upload, &parts);
    assert!(matches!(outcome, Err(StoreError::UploadMissing { .. })), "{outcome:?}");
    case.store.abort_upload(&key, &upload).expect("nothing to do");
}

fn lists_open_uploads(case: &Case) {
    let mut expected: BTreeSet<(String, UploadId)> = BTreeSet::new();
    for name in ["a", "a", "b c/d", "e"] {
        expected.insert((case.key(name).as_str().to_owned(), case.open(name)));
    }
    let listed: Vec<_> = paging::uploads(case.store, case.prefix).map(|upload| upload.expect("list")).collect();
    let found: BTreeSet<_> = listed.iter().map(|upload| (upload.key.clone(), upload.upload.clone())).collect();
    assert_eq!((listed.len(), &found), (4, &expected));
    if let Some(opened_at_ms) = listed[0].opened_at_ms {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        assert!(now.as_millis().abs_diff(opened_at_ms.into()) < 600_000, "{opened_at_ms}");
    }
    let below = format!("{}b", case.prefix);
    assert_eq!(paging::uploads(case.store, &below).count(), 1);
}

fn passes_the_probe_of_conditions(case: &Case) {
    probe_conditions(case.store, &case.key("probe")).expect("conditions are honoured");
    assert_eq!(case.names(), [""; 0]);
}
