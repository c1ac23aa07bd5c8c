use super::*;
use crate::error::Class;
use crate::pipeline::progress::Quiet;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// A root named `m` and a state directory beside it.
struct Tree {
    dir: tempfile::TempDir,
}

impl Tree {
    fn new() -> Tree {
        Tree::within(tempfile::tempdir().expect("directory"))
    }

    /// A tree on the one usual file system that takes files beyond the limit and is quick with many levels.
    fn in_memory() -> Tree {
        Tree::within(tempfile::tempdir_in("/dev/shm").expect("directory"))
    }

    fn within(dir: tempfile::TempDir) -> Tree {
        fs::create_dir(dir.path().join("root")).expect("root");
        fs::create_dir(dir.path().join("state")).expect("state");
        Tree { dir }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn file(&self, path: impl AsRef<Path>, content: &[u8]) -> PathBuf {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(&path, content).expect("file");
        path
    }

    fn link(&self, target: &str, path: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        symlink(target, path).expect("link");
    }

    fn roots(&self, links: Links) -> Roots {
        Roots::open(&[(Name::parse("m").expect("a name"), self.root())], links).expect("a directory")
    }

    fn options(&self, unsupported: Unsupported) -> WalkOptions {
        WalkOptions {
            unsupported,
            exclude: Vec::new(),
            own_dirs: vec![self.state()],
            state_dir: self.state(),
            machine: Machine::default(),
            budget_len: 64 << 10,
        }
    }

    fn walk_with(&self, unsupported: Unsupported, links: Links) -> Result<Walked, WalkError> {
        walk(&self.roots(links), &self.options(unsupported), &Quiet)
    }

    fn walk(&self) -> Result<Walked, WalkError> {
        self.walk_with(Unsupported::Refuse, Links::Refuse)
    }

    fn follow(&self) -> Result<Walked, WalkError> {
        self.walk_with(Unsupported::Refuse, Links::FollowInside)
    }
}

fn listed(walked: &Walked) -> Vec<String> {
    walked.entries.iter().map(|entry| entry.expect("readable").path.as_str().to_owned()).collect()
}

fn entry(walked: &Walked, path: &str) -> SourceEntry {
    walked.entries.iter().map(|entry| entry.expect("readable")).find(|entry| entry.path.as_str() == path).expect(path)
}

fn refused(result: Result<Walked, WalkError>) -> Vec<(String, Reason)> {
    match result.expect_err("refused") {
        WalkError::Refused { refusals } => {
            assert_eq!(refusals.count(), refusals.named().count() as u64);
            named(&refusals)
        }
        other => panic!("{other}"),
    }
}

fn named(refusals: &Refusals) -> Vec<(String, Reason)> {
    let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
    refusals.named().map(|refusal| (text(refusal.path), refusal.reason.clone())).collect()
}

fn pair(path: &str, reason: Reason) -> (String, Reason) {
    (path.to_owned(), reason)
}

#[test]
fn lists_files_and_empty_directories_in_byte_order_of_full_paths() {
    let tree = Tree::new();
    for path in ["a/b", "a.b", "a b", "z", "a/b.c/d"] {
        tree.file(path, path.as_bytes());
    }
    fs::create_dir_all(tree.root().join("e/f")).expect("directories");
    let walked = tree.walk().expect("packable");
    assert_eq!(listed(&walked), ["m/a b", "m/a.b", "m/a/b", "m/a/b.c/d", "m/e/f", "m/z"]);
    let totals = Totals { file_count: 5, directory_count: 1, total_len: 3 + 3 + 3 + 7 + 1 };
    assert_eq!(*walked.entries.totals(), totals);
    assert_eq!(entry(&walked, "m/e/f").kind, SourceKind::Directory);
    assert_eq!(entry(&walked, "m/e/f").len, 0);
    assert_eq!(walked.skipped.count(), 0);
}

#[test]
fn an_empty_root_is_an_empty_directory() {
    assert_eq!(listed(&Tree::new().walk().expect("packable")), ["m"]);
}

#[test]
fn hard_links_are_files_of_their_own() {
    let tree = Tree::new();
    let one = tree.file("one", b"same");
    fs::hard_link(one, tree.root().join("two")).expect("link");
    let walked = tree.walk().expect("packable");
    assert_eq!(walked.entries.totals().total_len, 8);
    assert_eq!(entry(&walked, "m/one").stamp, entry(&walked, "m/two").stamp);
}

#[test]
fn one_report_names_everything_that_cannot_be_carried() {
    let tree = Tree::new();
    tree.file("good", b"");
    rustix::fs::mknodat(rustix::fs::CWD, tree.root().join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0)
        .expect("pipe");
    let _listener = UnixListener::bind(tree.root().join("socket")).expect("socket");
    tree.link("good", "link");
    tree.file("x.versions", b"");
    tree.file("bad:dir/also:bad", b"");
    tree.file(std::ffi::OsStr::from_bytes(b"not\xffutf8"), b"");
    let mut expected = vec![
        pair("m/bad:dir", Reason::Path(PathRule::Colon)),
        pair("m/bad:dir/also:bad", Reason::Path(PathRule::Colon)),
        pair("m/link", Reason::Link),
        pair("m/not\u{fffd}utf8", Reason::Path(PathRule::NotUtf8)),
        pair("m/pipe", Reason::Pipe),
        pair("m/socket", Reason::Socket),
        pair("m/x.versions", Reason::Path(PathRule::HiddenByStore)),
    ];
    assert_eq!(refused(tree.walk()), expected);
    assert_eq!(fs::read_dir(tree.state()).expect("list").count(), 0, "nothing was written");

    let walked = tree.walk_with(Unsupported::Skip, Links::Refuse).expect("packable");
    assert_eq!(listed(&walked), ["m/good"]);
    expected.retain(|(path, _)| path != "m/bad:dir/also:bad");
    assert_eq!(named(&walked.skipped), expected);
}

#[test]
fn a_refusal_reads_as_one_line_and_is_of_the_policy() {
    let tree = Tree::new();
    tree.file("a\nb", b"");
    tree.link("x", "b");
    let error = tree.walk().expect_err("refused");
    let text = "2 entries cannot be carried, first \"m/a\\u{a}b\": \
        it has a control, invisible or text-reordering character";
    assert_eq!(error.to_string(), text);
    assert_eq!(error.class(), Class::Refused);
}

#[test]
fn a_device_is_refused() {
    let root = [(Name::parse("dev").expect("a name"), PathBuf::from("/dev"))];
    let tree = Tree::new();
    let roots = Roots::open(&root, Links::Refuse).expect("a directory");
    let result = walk(&roots, &tree.options(Unsupported::Refuse), &Quiet);
    let Err(WalkError::Refused { refusals }) = result else { panic!("refused") };
    assert!(named(&refusals).contains(&pair("dev/null", Reason::Device)));
}

#[test]
fn a_file_longer_than_the_format_allows_is_refused() {
    let tree = Tree::in_memory();
    let file = fs::File::create(tree.root().join("huge")).expect("file");
    file.set_len(FILE_LEN_MAX + 1).expect("sparse");
    assert_eq!(refused(tree.walk()), [pair("m/huge", Reason::TooLong { len: FILE_LEN_MAX + 1 })]);
    file.set_len(FILE_LEN_MAX).expect("sparse");
    assert_eq!(tree.walk().expect("packable").entries.totals().total_len, FILE_LEN_MAX);
}

#[test]
fn a_directory_whose_content_is_all_left_out_is_an_empty_one() {
    let tree = Tree::new();
    tree.link("nowhere", "d/e/link");
    let walked = tree.walk_with(Unsupported::Skip, Links::Refuse).expect("packable");
    assert_eq!(listed(&walked), ["m/d/e"]);
}

#[test]
fn more_refusals_than_a_report_names_are_counted() {
    let tree = Tree::new();
    (0..NAMED_COUNT_MAX + 5).for_each(|i| tree.link("x", &format!("{i:05}")));
    let Err(WalkError::Refused { refusals }) = tree.walk() else { panic!("refused") };
    assert_eq!(refusals.count(), NAMED_COUNT_MAX as u64 + 5);
    let last = refusals.named().last().expect("some");
    assert_eq!(last.path, format!("m/{:05}", NAMED_COUNT_MAX - 1).as_bytes(), "the first by path");
}

#[test]
fn twins_are_refused_even_where_the_rest_is_skipped() {
    let tree = Tree::new();
    for path in ["Model.bin", "model.bin", "d/K", "d/\u{212a}", "e/x", "E/y", "E/x", "d/other", "k", "ß", "sS"] {
        tree.file(path, b"");
    }
    let twin = |path: &str, of: &str| pair(path, Reason::Twin { of: of.as_bytes().to_vec() });
    let expected =
        [twin("m/d/\u{212a}", "m/d/K"), twin("m/e", "m/E"), twin("m/model.bin", "m/Model.bin"), twin("m/ß", "m/sS")];
    assert_eq!(refused(tree.walk()), expected);
    assert_eq!(refused(tree.walk_with(Unsupported::Skip, Links::Refuse)), expected);
}

#[test]
fn three_twins_are_two_refusals_and_many_are_counted() {
    let tree = Tree::new();
    ["aa", "aA", "AA"].into_iter().for_each(|path| {
        tree.file(path, b"");
    });
    assert_eq!(refused(tree.walk()).len(), 2);
    for i in 0..1200 {
        tree.file(format!("x{i}"), b"");
        tree.file(format!("X{i}"), b"");
    }
    let Err(WalkError::Refused { refusals }) = tree.walk() else { panic!("refused") };
    assert_eq!(refusals.count(), 1202);
    assert!(refusals.named().count() >= NAMED_COUNT_MAX - 1);
}

#[test]
fn a_skipped_entry_is_no_twin() {
    let tree = Tree::new();
    tree.file("name", b"");
    tree.link("x", "NAME");
    let walked = tree.walk_with(Unsupported::Skip, Links::Refuse).expect("packable");
    assert_eq!(listed(&walked), ["m/name"]);
}

#[test]
fn follows_links_inside_a_root_as_a_hub_cache_has_them() {
    let tree = Tree::new();
    tree.file("blobs/0123", b"weights");
    tree.link("../../blobs/0123", "snapshots/rev/model.bin");
    tree.link("rev", "snapshots/main");
    tree.link("main/./model.bin", "snapshots/short");
    let walked = tree.follow().expect("packable");
    let expected = ["m/blobs/0123", "m/snapshots/main/model.bin", "m/snapshots/rev/model.bin", "m/snapshots/short"];
    assert_eq!(listed(&walked), expected);
    let roots = tree.roots(Links::FollowInside);
    for path in expected {
        let source = roots.open_file(&entry(&walked, path)).expect(path);
        let mut content = Vec::new();
        source.file().read_to_end(&mut content).expect("readable");
        assert_eq!(content, b"weights");
        source.confirm_unchanged().expect("same");
    }
    let refusing = tree.roots(Links::Refuse);
    let error = refusing.open_file(&entry(&walked, "m/snapshots/short")).expect_err("a link");
    assert!(matches!(error, WalkError::Changed { .. }), "{error}");
}

#[test]
fn links_out_of_the_root_to_nothing_or_in_loops_are_refused() {
    let tree = Tree::new();
    fs::write(tree.dir.path().join("secret"), b"x").expect("file");
    let inside = tree.file("d/file", b"");
    tree.link("../../secret", "d/out");
    tree.link("../../root/d/file", "d/out-and-in");
    tree.link(inside.to_str().expect("text"), "absolute");
    tree.link("nothing", "dangling");
    tree.link("d/file/below", "through-file");
    tree.link("d/file/..", "up-from-file");
    tree.link("ring2", "ring1");
    tree.link("ring1", "ring2");
    tree.link(".", "self");
    tree.link("../d", "d/above");
    tree.link("../../root", "d/root");
    tree.link("d/..", "root");
    assert_eq!(
        refused(tree.follow()),
        [
            pair("m/absolute", Reason::LinkOutside),
            pair("m/d/above", Reason::LinkLoop),
            pair("m/d/out", Reason::LinkOutside),
            pair("m/d/out-and-in", Reason::LinkOutside),
            pair("m/d/root", Reason::LinkOutside),
            pair("m/dangling", Reason::LinkDangling),
            pair("m/ring1", Reason::LinkLoop),
            pair("m/ring2", Reason::LinkLoop),
            pair("m/root", Reason::LinkLoop),
            pair("m/self", Reason::LinkLoop),
            pair("m/through-file", Reason::LinkDangling),
            pair("m/up-from-file", Reason::LinkDangling),
        ]
    );
}

#[test]
fn links_to_each_other_end_as_loops_and_ladders_of_links_end() {
    let tree = Tree::new();
    tree.link("../b", "a/to-b");
    tree.link("../a", "b/to-a");
    let expected = [pair("m/a/to-b/to-a", Reason::LinkLoop), pair("m/b/to-a/to-b", Reason::LinkLoop)];
    assert_eq!(refused(tree.follow()), expected);

    let tree = Tree::new();
    for i in 0..12 {
        tree.link(&format!("../{}", i + 1), &format!("{i}/next"));
    }
    tree.file("12/file", b"");
    let refused = refused(tree.follow());
    assert!(refused.contains(&pair(&format!("m/0{}", "/next".repeat(9)), Reason::LinkTooDeep)));
    assert_eq!(refused.len(), 4, "{refused:?}");
}

#[test]
fn a_link_to_a_pipe_is_refused_as_a_pipe() {
    let tree = Tree::new();
    let pipe = tree.root().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("pipe");
    tree.link("pipe", "link");
    assert_eq!(refused(tree.follow()), [pair("m/link", Reason::Pipe), pair("m/pipe", Reason::Pipe)]);
}

#[test]
fn ten_thousand_levels_are_refused_where_the_path_becomes_too_long() {
    let tree = Tree::in_memory();
    let mut dir = rustix::fs::open(tree.root(), OFlags::PATH, Mode::empty()).expect("root");
    for _ in 0..10_000 {
        rustix::fs::mkdirat(&dir, c"d", Mode::from_raw_mode(0o700)).expect("directory");
        dir = rustix::fs::openat(&dir, c"d", OFlags::PATH, Mode::empty()).expect("directory");
    }
    let too_long = format!("m{}", "/d".repeat(512));
    assert_eq!(refused(tree.walk()), [pair(&too_long, Reason::Path(PathRule::TooLong))]);
    let walked = tree.walk_with(Unsupported::Skip, Links::Refuse).expect("packable");
    assert_eq!(listed(&walked), [&too_long[..too_long.len() - 2]]);
    assert_eq!(walked.skipped.count(), 1);
    remove_levels(&tree.root());
}

/// Removes what a recursive removal is too deep for.
fn remove_levels(root: &Path) {
    let aside = root.with_file_name("aside");
    while fs::rename(root.join("d/d"), &aside).is_ok() {
        fs::remove_dir(root.join("d")).expect("empty");
        fs::rename(&aside, root.join("d")).expect("same file system");
    }
}

#[test]
fn a_large_directory_in_little_memory_is_sorted_like_in_much() {
    let tree = Tree::new();
    let mut expected: Vec<String> = (0..20_000u32)
        .map(|i| format!("m/{:08x}-{}", i.wrapping_mul(0x9e37_79b1), "y".repeat(i as usize % 50)))
        .collect();
    expected.iter().for_each(|path| {
        fs::File::create(tree.root().join(&path[2..])).expect("file");
    });
    expected.sort();
    let small = tree.walk().expect("packable");
    assert!(listed(&small) == expected);
    let options = WalkOptions { budget_len: 64 << 20, ..tree.options(Unsupported::Refuse) };
    let large = walk(&tree.roots(Links::Refuse), &options, &Quiet).expect("packable");
    assert_eq!(small.entries.digest(), large.entries.digest());
    for start in [0, 1, 4095, 4096, 8191, 8193, 19_999, 20_000, 30_000] {
        let rest: Vec<String> = large
            .entries
            .iter_from(start)
            .expect("readable")
            .map(|entry| entry.expect("readable").path.as_str().to_owned())
            .collect();
        assert!(rest == expected[expected.len().min(start as usize)..], "from {start}");
    }
}

#[test]
fn an_earlier_list_opens_again_and_tells_what_changed() {
    let tree = Tree::new();
    tree.file("same", b"same");
    let path = tree.file("changing", b"before");
    assert!(SortedEntries::open(&tree.state()).expect("readable").is_none());
    let walked = tree.walk().expect("packable");
    let earlier = SortedEntries::open(&tree.state()).expect("readable").expect("a list");
    assert_eq!((earlier.digest(), earlier.totals()), (walked.entries.digest(), walked.entries.totals()));
    assert_eq!(tree.walk().expect("packable").entries.digest(), earlier.digest(), "nothing changed");

    fs::write(&path, b"after").expect("file");
    let later = tree.walk().expect("packable").entries;
    assert_ne!(later.digest(), earlier.digest());
    let pairs = later.iter().zip(earlier.iter());
    let unchanged: Vec<bool> =
        pairs.map(|(now, then)| now.expect("readable").is_unchanged_since(&then.expect("readable"))).collect();
    assert_eq!(unchanged, [false, true]);
}

#[test]
fn every_flipped_byte_and_every_cut_of_a_list_is_found() {
    let tree = Tree::new();
    tree.file("a", b"x");
    tree.walk().expect("packable");
    let path = tree.state().join("entries");
    let whole = fs::read(&path).expect("list");
    for position in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[position] ^= 1;
        for damaged in [&flipped[..], &whole[..position]] {
            fs::write(&path, damaged).expect("list");
            let error = SortedEntries::open(&tree.state()).expect_err("damaged");
            assert!(matches!(error, WalkError::ListDamaged { .. }), "{position}: {error}");
        }
    }
}

#[test]
fn the_list_is_private() {
    let tree = Tree::new();
    tree.walk().expect("packable");
    let mode = fs::metadata(tree.state().join("entries")).expect("list").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(fs::read_dir(tree.state()).expect("list").count(), 1);
}

#[test]
fn a_file_that_changes_while_it_is_read_is_named() {
    let tree = Tree::new();
    let path = tree.file("d/file", b"content");
    let walked = tree.walk().expect("packable");
    let listed = entry(&walked, "m/d/file");
    let source = tree.roots(Links::Refuse).open_file(&listed).expect("same");
    assert_eq!(source.len(), 7);
    source.confirm_unchanged().expect("same");
    fs::OpenOptions::new().append(true).open(&path).expect("file").write_all(b"!").expect("written");
    let error = source.confirm_unchanged().expect_err("grown");
    assert_eq!(error.to_string(), "\"m/d/file\" changed while it was packed");
    assert_eq!(error.class(), Class::Failed);
    assert!(matches!(tree.roots(Links::Refuse).open_file(&listed), Err(WalkError::Changed { .. })));
}

#[test]
fn what_took_the_place_of_a_listed_file_is_not_opened() {
    let tree = Tree::new();
    let path = tree.file("d/file", b"content");
    let walked = tree.walk().expect("packable");
    let listed = entry(&walked, "m/d/file");
    let changed = |roots: &Roots| matches!(roots.open_file(&listed), Err(WalkError::Changed { .. }));
    fs::remove_file(&path).expect("file");
    assert!(changed(&tree.roots(Links::Refuse)), "gone");
    rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("pipe");
    assert!(changed(&tree.roots(Links::Refuse)), "a pipe, which must not be waited for");
    fs::remove_file(&path).expect("pipe");
    symlink("/etc/passwd", &path).expect("link");
    assert!(changed(&tree.roots(Links::Refuse)) && changed(&tree.roots(Links::FollowInside)), "a link");
    fs::remove_dir_all(tree.root().join("d")).expect("directory");
    symlink("/etc", tree.root().join("d")).expect("link");
    assert!(changed(&tree.roots(Links::Refuse)) && changed(&tree.roots(Links::FollowInside)), "a link above");
}

#[test]
fn the_packers_own_directories_are_kept_out() {
    let tree = Tree::new();
    let out = tree.root().join("a/out");
    fs::create_dir_all(&out).expect("directories");
    for (root, own) in [(tree.root(), out.clone()), (out.clone(), tree.root()), (out.clone(), out)] {
        let roots = Roots::open(&[(Name::parse("m").expect("a name"), root)], Links::Refuse).expect("a directory");
        let options = WalkOptions { own_dirs: vec![tree.state(), own], ..tree.options(Unsupported::Refuse) };
        let error = walk(&roots, &options, &Quiet).expect_err("inside");
        assert_eq!(error.class(), Class::Usage, "{error}");
    }
}

#[test]
fn what_a_glob_matches_is_left_out_with_all_below_it_and_counted() {
    let tree = Tree::new();
    for path in ["keep", "a.lock", "d/b.lock", "d/keep", "x/.cache/huggingface/deep/file", "x/.cache/other", "gone/y"] {
        tree.file(path, b"content");
    }
    // What could not be carried is left out as well, and is no reason to refuse.
    rustix::fs::mknodat(rustix::fs::CWD, tree.root().join("d/p.lock"), FileType::Fifo, Mode::from_raw_mode(0o600), 0)
        .expect("pipe");
    fs::write(tree.root().join(OsStr::from_bytes(b"\xff.lock")), b"content").expect("file");
    symlink("/etc", tree.root().join("x/.cache/huggingface/link")).expect("link");
    let globs = ["**/*.lock", "**/.cache/huggingface", "gone/*", "never"];
    let exclude = globs.map(|glob| Glob::parse(glob).expect(glob)).to_vec();
    let options = WalkOptions { exclude, ..tree.options(Unsupported::Refuse) };
    let walked = walk(&tree.roots(Links::Refuse), &options, &Quiet).expect("packable");
    assert_eq!(listed(&walked), ["m/d/keep", "m/gone", "m/keep", "m/x/.cache/other"]);
    assert_eq!((walked.excluded, walked.skipped.count()), (vec![4, 1, 1, 0], 0));
}

#[test]
fn a_directory_that_is_left_out_is_not_entered() {
    let tree = Tree::new();
    tree.file("d/deep/file", b"content");
    tree.file("keep", b"content");
    let exclude = vec![Glob::parse("d").expect("a glob")];
    let options = WalkOptions { exclude, ..tree.options(Unsupported::Refuse) };
    // Whoever enters it meets a pipe and refuses all.
    rustix::fs::mknodat(rustix::fs::CWD, tree.root().join("d/pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0)
        .expect("pipe");
    let walked = walk(&tree.roots(Links::Refuse), &options, &Quiet).expect("packable");
    assert_eq!((listed(&walked), walked.excluded), (vec!["m/keep".to_owned()], vec![1]));
}

#[test]
fn files_that_say_what_git_ignores_are_files_like_any_other() {
    let tree = Tree::new();
    tree.file(".gitignore", b"*\n");
    tree.file("d/.gitignore", b"*\n");
    tree.file("d/weights.pth", b"content");
    tree.file(".git/info/exclude", b"*\n");
    tree.file(".ignore", b"*\n");
    let expected = ["m/.git/info/exclude", "m/.gitignore", "m/.ignore", "m/d/.gitignore", "m/d/weights.pth"];
    assert_eq!(listed(&tree.walk().expect("packable")), expected);
}

#[test]
fn a_link_that_leads_to_an_own_directory_is_kept_out() {
    let tree = Tree::new();
    fs::create_dir(tree.root().join("d")).expect("directory");
    tree.link("d", "link");
    let roots = Roots::open(&[(Name::parse("m").expect("a name"), tree.root())], Links::FollowInside).expect("root");
    let options = WalkOptions { own_dirs: vec![tree.root().join("link")], ..tree.options(Unsupported::Refuse) };
    let error = walk(&roots, &options, &Quiet).expect_err("inside");
    assert_eq!(error.class(), Class::Usage, "{error}");
}

#[test]
fn a_root_must_be_a_directory_and_its_name_unique() {
    let tree = Tree::new();
    let file = tree.file("file", b"");
    let name = Name::parse("m").expect("a name");
    for path in [file, tree.root().join("nothing")] {
        let error = Roots::open(&[(name.clone(), path)], Links::Refuse).expect_err("no directory");
        assert_eq!(error.class(), Class::Usage, "{error}");
    }
    let twice = [(name.clone(), tree.root()), (name, tree.state())];
    let error = Roots::open(&twice, Links::Refuse).expect_err("twice");
    assert_eq!(error.to_string(), "root name m is given twice");
}

#[test]
fn several_roots_are_one_sorted_list() {
    let tree = Tree::new();
    tree.file("x", b"");
    tree.file("sub/y", b"");
    let named = [("b", ""), ("a.b", "sub"), ("a", "sub")];
    let named = named.map(|(name, below)| (Name::parse(name).expect("a name"), tree.root().join(below)));
    let roots = Roots::open(&named, Links::Refuse).expect("directories");
    let walked = walk(&roots, &tree.options(Unsupported::Refuse), &Quiet).expect("good");
    assert_eq!(listed(&walked), ["a.b/y", "a/y", "b/sub/y", "b/x"]);
    roots.open_file(&entry(&walked, "a/y")).expect("same");
}

/// Counts entries and asks to stop after the first report where it should.
struct Watch {
    count: AtomicU64,
    stop: bool,
}

impl Progress for Watch {
    fn begin(&self, _: &'static str, _: u64, _: u64) {}

    fn advance(&self, _: u64, count: u64) {
        self.count.fetch_add(count, Ordering::Relaxed);
    }

    fn now_at(&self, _: &str) {}

    fn note(&self, _: &str) {}

    fn is_cancelled(&self) -> bool {
        self.stop
    }
}

#[test]
fn progress_is_told_and_can_stop_the_walk() {
    let tree = Tree::new();
    (0..1500).for_each(|i| {
        tree.file(format!("{i}"), b"");
    });
    let (roots, options) = (tree.roots(Links::Refuse), tree.options(Unsupported::Refuse));
    let watch = Watch { count: AtomicU64::new(0), stop: false };
    walk(&roots, &options, &watch).expect("packable");
    assert_eq!(watch.count.into_inner(), 1500);
    let watch = Watch { count: AtomicU64::new(0), stop: true };
    assert_eq!(walk(&roots, &options, &watch).expect_err("stopped").class(), Class::Interrupted);
    assert_eq!(watch.count.into_inner(), 1024);
}
