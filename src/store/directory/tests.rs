use super::*;
use std::os::unix::fs::symlink;

fn store() -> (tempfile::TempDir, DirectoryStore) {
    let root = tempfile::tempdir().expect("temporary directory");
    let store = DirectoryStore::new(root.path());
    (root, store)
}

fn key(text: &str) -> Key {
    Key::parse(text).expect(text)
}

fn put(store: &DirectoryStore, text: &str, body: &'static str) -> Result<Stored, StoreError> {
    store.put(&key(text), &Proven::record(body), &Attributes::of_type("text/plain"), &Condition::Any)
}

#[test]
fn never_writes_through_a_link() {
    let (root, store) = store();
    let outside = tempfile::tempdir().expect("temporary directory");
    let target = outside.path().join("target");
    std::fs::write(&target, "untouched").expect("write");
    symlink(outside.path(), root.path().join("dir")).expect("link");
    symlink(&target, root.path().join("file")).expect("link");
    for text in ["dir/new", "file", "file/x"] {
        let error = put(&store, text, "x").expect_err(text);
        assert!(matches!(error, StoreError::InTheWay { .. }), "{text}: {error}");
        assert_eq!(store.stat(&key(text)).expect(text), None);
    }
    assert_eq!(std::fs::read_to_string(&target).expect("read"), "untouched");
    assert_eq!(std::fs::read_dir(outside.path()).expect("list").count(), 1);
}

#[test]
fn an_object_and_one_below_it_are_in_each_others_way() {
    let (_root, store) = store();
    put(&store, "a", "x").expect("put");
    put(&store, "b/c", "x").expect("put");
    assert!(matches!(put(&store, "a/b", "x"), Err(StoreError::InTheWay { .. })));
    assert!(matches!(put(&store, "b", "x"), Err(StoreError::InTheWay { .. })));
    assert_eq!(store.read(&key("a"), 0..1).expect("still there"), "x");
    store.remove(&key("b/c")).expect("remove");
    put(&store, "b", "x").expect("the empty directory has gone with its last object");
}

#[test]
fn keeps_its_own_area_out_of_reach_and_out_of_lists() {
    let (_root, store) = store();
    put(&store, "a", "x").expect("put");
    assert!(matches!(put(&store, ".airlift-tmp/lock", "x"), Err(StoreError::Reserved { .. })));
    let page = store.list("", None).expect("list");
    assert_eq!(page.items.len(), 1);
}

#[test]
fn a_file_that_another_program_changed_has_the_tag_of_its_bytes() {
    let (root, store) = store();
    let first = put(&store, "a", "one").expect("put").tag;
    std::fs::write(root.path().join("a"), "two").expect("write");
    let stat = store.stat(&key("a")).expect("stat").expect("there");
    assert_eq!(stat.tag.as_str(), Digest::of(b"two").to_string());
    assert_eq!(stat.attributes, Attributes::default());
    let outcome = store.put(&key("a"), &Proven::record("three"), &Attributes::default(), &Condition::IfTag(first));
    assert!(matches!(outcome, Err(StoreError::ConditionFailed { .. })));
}

#[test]
fn preparing_sweeps_the_files_of_killed_runs_and_not_those_in_use() {
    let (root, store) = store();
    let in_use = store.tree.create_fresh().expect("create");
    let leftover = root.path().join(AREA).join("new/1-1");
    std::fs::write(&leftover, "left").expect("write");
    let open = store.open_upload(&key("b"), &Attributes::default()).expect("open");
    let orphan = root.path().join(AREA).join("uploads").join("0".repeat(32));
    std::fs::create_dir_all(&orphan).expect("create");
    std::fs::write(orphan.join("00001.x"), "left").expect("write");
    store.ensure_bucket(IfMissing::Refuse).expect("there");
    assert!(!leftover.exists() && !orphan.exists());
    assert!(store.list_parts(&key("b"), &open, None).is_ok(), "an open upload stays");
    assert_eq!(fs::fstat(in_use.file()).expect("stat").st_nlink, 1);
}

#[test]
fn a_missing_root_is_a_missing_bucket_until_it_is_created() {
    let root = tempfile::tempdir().expect("temporary directory");
    let store = DirectoryStore::new(root.path().join("not/yet"));
    for outcome in [store.ensure_bucket(IfMissing::Refuse), put(&store, "a", "x").map(|_| ())] {
        assert!(matches!(outcome, Err(StoreError::BucketMissing { .. })));
    }
    store.ensure_bucket(IfMissing::Create).expect("created");
    put(&store, "a", "x").expect("put");
}

#[test]
fn a_part_tag_or_upload_id_from_outside_names_no_file() {
    let (_root, store) = store();
    put(&store, "a", "x").expect("put");
    let upload = store.open_upload(&key("b"), &Attributes::default()).expect("open");
    let number = PartNumber::new(1).expect("good");
    let part = UploadedPart { number, tag: PartTag::new("/../../../a") };
    let outcome = store.finish_upload(&key("b"), &upload, &[part], &Condition::Any);
    assert!(matches!(outcome, Err(StoreError::PartsRefused { .. })));
    let elsewhere = UploadId::new("../about");
    let outcome = store.put_part(&key("b"), &elsewhere, number, &Proven::record("x"));
    assert!(matches!(outcome, Err(StoreError::UploadMissing { .. })));
}
