//! The vectors of `spec/format.md` but those of codecs: every case is read by the library, and its
//! class compared. `spec/reference/vector_maker` makes them; `spec/vectors/README.md` says how a case
//! is laid out.

use crate::fixture::directory;
use airlift::chunking::Cutter;
use airlift::error::Class;
use airlift::format::cover::Cover;
use airlift::format::index::Index;
use airlift::format::manifest::{ManifestRoot, PageFacts, PageReader, Profile, Record, Row};
use airlift::format::packs::{Pack, PackPageFacts, PackRoot, decode_page};
use airlift::format::path::check_segment;
use airlift::format::walk::{Entry, Item, ManifestWalk};
use airlift::format::{Digest, EntryPath, FormatError, Head, Name, Sha256, Structure};
use airlift::media::find;
use airlift::pipeline::bundle::Bundle;
use airlift::pipeline::export::write_directory;
use airlift::pipeline::inspect::Opened;
use airlift::pipeline::progress::Quiet;
use airlift::pipeline::unpack::{DamageFact, base_fact};
use airlift::pipeline::verify::{Depth, verify};
use airlift::pipeline::volumes::Volumes;
use serde_json::Value;
use sha2::Digest as _;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// The kinds that other modules run.
const OTHER_KINDS: [&str; 2] = ["codec", "trust"];

/// Rules of `spec/format.md` that no bytes break for a reader, each with its reason.
const UNBREAKABLE: [(&str, &str); 15] = [
    ("F-02", "names and numbers of signature files are not judged (T-56), their bytes by T-01 to T-24"),
    ("F-11", "says which class a breach has; every case states one"),
    ("F-37", "the packer and an export to a directory refuse twins; the format compares bytes"),
    ("F-49", "says what an ordinal is; what is wrong with one breaks F-48, F-52 or F-106"),
    ("F-61", CUTTING),
    ("F-63", CUTTING),
    ("F-70", CUTTING),
    ("F-71", CUTTING),
    ("F-72", CUTTING),
    ("F-73", CUTTING),
    ("F-74", CUTTING),
    ("F-75", CUTTING),
    ("F-76", CUTTING),
    ("F-83", "says what planes mean: bytes that mean something else give other chunks (F-109)"),
    ("F-124", "says what one release is; a fork breaks T-72"),
];
const CUTTING: &str = "says where a packer cuts: a reader checks only lengths, and a broken table is cut otherwise";

/// Why a case is refused.
pub(crate) struct Refusal {
    class: Class,
    why: String,
}

type Verdict = Result<(), Refusal>;

/// A case as it is laid out in its folder.
pub(crate) struct Case {
    /// Folder and name, for messages.
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    pub(crate) value: Value,
    /// Where the file that the case is about is cut off.
    end: Option<usize>,
}

#[test]
fn every_case_has_the_class_that_it_states() {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut differences = Vec::new();
    for mut case in cases().into_iter().filter(|case| !OTHER_KINDS.contains(&case.kind())) {
        *counts.entry(case.kind().to_owned()).or_default() += 1;
        if case.value["prefixes"] != true {
            differences.extend(compare(&case));
            continue;
        }
        assert_eq!(judge(&case).map_err(|refusal| refusal.why), Ok(()), "{} as a whole", case.name);
        let ends = 0..case.main_file().len();
        differences.extend(ends.into_iter().find_map(|end| {
            case.end = Some(end);
            compare(&case)
        }));
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    let kinds: Vec<&str> = counts.keys().map(String::as_str).collect();
    let expected = [
        "bundle",
        "cut",
        "head",
        "index",
        "manifest",
        "manifest-page",
        "manifest-root",
        "pack-page",
        "pack-root",
        "pack-table",
        "path",
        "root-name",
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn every_rule_that_bytes_can_break_has_a_reject_vector() {
    let text = fs::read_to_string(spec().join("format.md")).expect("the specification is there");
    let rules: BTreeSet<&str> = text.split("**").filter(|word| is_rule(word)).collect();
    assert!(rules.len() > 60, "{rules:?}");
    let cases = cases();
    let named = |folder: &str, kind: Option<&str>| -> BTreeSet<&str> {
        let here = cases.iter().filter(|case| case.name.starts_with(folder));
        here.filter(|case| kind.is_none_or(|kind| case.kind() == kind)).map(Case::rule).collect()
    };
    let refused = named("reject/", None);
    let unbreakable: BTreeSet<&str> = UNBREAKABLE.iter().map(|(rule, _)| *rule).collect();
    let missing: Vec<_> = rules.difference(&refused).filter(|rule| !unbreakable.contains(**rule)).collect();
    assert!(missing.is_empty(), "no reject vector breaks {missing:?}");
    let broken: Vec<_> = unbreakable.intersection(&refused).collect();
    assert!(broken.is_empty(), "{broken:?} can be broken: a vector does");
    let unknown: Vec<_> = unbreakable.difference(&rules).collect();
    assert!(unknown.is_empty(), "{unknown:?} are no rules");
    let cut = named("accept/", Some("cut"));
    for (rule, _) in UNBREAKABLE.iter().filter(|(_, why)| *why == CUTTING) {
        assert!(cut.contains(rule), "no cut vector is about {rule}");
    }
}

fn is_rule(word: &str) -> bool {
    word.strip_prefix("F-").is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|one| one.is_ascii_digit()))
}

fn spec() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("spec")
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for folder in ["accept", "reject"] {
        let listing = fs::read_dir(spec().join("vectors").join(folder)).expect("the vectors are there");
        let mut dirs: Vec<PathBuf> = listing.map(|item| item.expect("can be read").path()).collect();
        dirs.sort();
        for dir in dirs {
            let name = format!("{folder}/{}", dir.file_name().and_then(|name| name.to_str()).expect("ASCII"));
            let json = fs::read(dir.join("case.json")).expect(&name);
            let value = serde_json::from_slice(&json).expect(&name);
            cases.push(Case { name, dir, value, end: None });
        }
    }
    cases
}

impl Case {
    pub(crate) fn text(&self, key: &str) -> &str {
        self.value[key].as_str().unwrap_or_else(|| panic!("{}: {key} is no text", self.name))
    }

    pub(crate) fn number(&self, key: &str) -> u64 {
        self.value[key].as_u64().unwrap_or_else(|| panic!("{}: {key} is no number", self.name))
    }

    fn rule(&self) -> &str {
        self.text("rule")
    }

    pub(crate) fn kind(&self) -> &str {
        let short = self.name.split(['/', '-']).nth(1).expect("a name has a first word");
        self.value["kind"].as_str().unwrap_or(short)
    }

    /// Returns a file of the case, as it lies there or as `made` describes it.
    pub(crate) fn file(&self, name: &str) -> Vec<u8> {
        match self.value["made"].get(name) {
            Some(pieces) => self.join(pieces),
            None => fs::read(self.dir.join(name)).unwrap_or_else(|error| panic!("{}: {name}: {error}", self.name)),
        }
    }

    /// Returns the file that the case is about, as far as `prefixes` lets it be seen.
    pub(crate) fn main_file(&self) -> Vec<u8> {
        let name = match self.kind() {
            "head" => "head.json",
            "manifest-root" | "pack-root" => "root.bin",
            "manifest-page" | "pack-page" => "page.bin",
            "manifest" => "manifest.bin",
            "pack-table" => "packs.bin",
            _ => "index.bin",
        };
        let mut bytes = self.file(name);
        bytes.truncate(self.end.unwrap_or(bytes.len()));
        bytes
    }

    fn join(&self, pieces: &Value) -> Vec<u8> {
        pieces.as_array().expect("an array of pieces").iter().flat_map(|piece| self.piece(piece)).collect()
    }

    fn piece(&self, piece: &Value) -> Vec<u8> {
        let text = |key: &str| piece[key].as_str().expect("a text");
        let number = |key: &str| piece[key].as_u64();
        let times = number("times").unwrap_or(1) as usize;
        if piece["step"].is_array() {
            steps(&from_hex(text("hex")), times, &piece["step"])
        } else if piece["hex"].is_string() {
            from_hex(text("hex")).repeat(times)
        } else if piece["text"].is_string() {
            text("text").as_bytes().repeat(times)
        } else if let Some(value) = number("u64") {
            value.to_le_bytes().to_vec()
        } else if piece["xof"].is_string() {
            let mut output = blake3::Hasher::new().update(text("xof").as_bytes()).finalize_xof();
            output.set_position(number("offset").unwrap_or(0));
            let mut bytes = vec![0; number("length").expect("a length") as usize];
            output.fill(&mut bytes);
            bytes
        } else {
            fs::read(self.dir.join(text("file"))).expect(&self.name)
        }
    }
}

/// Returns the bytes so many times, the u64 at each place of `steps` greater each time.
fn steps(bytes: &[u8], times: usize, steps: &Value) -> Vec<u8> {
    let number = |value: &Value| value.as_u64().expect("a number");
    let mut made = Vec::new();
    for time in 0..times as u64 {
        let mut one = bytes.to_vec();
        for step in steps.as_array().expect("an array of steps") {
            let field = &mut one[number(&step[0]) as usize..][..8];
            let first = u64::from_le_bytes((&*field).try_into().expect("8 bytes"));
            field.copy_from_slice(&(first + time * number(&step[1])).to_le_bytes());
        }
        made.extend(one);
    }
    made
}

pub(crate) fn from_hex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hex digits");
    (0..text.len()).step_by(2).map(digit).collect()
}

/// Returns what a reader of a failure wants to know, where a case has another class than it states.
fn compare(case: &Case) -> Option<String> {
    let found = judge(case);
    let class =
        found.as_ref().map_or_else(|refusal| refusal.class.name().replace('-', " "), |()| "accepted".to_owned());
    let expected = case.text("class");
    let why = found.err().map_or_else(String::new, |refusal| format!(": {}", refusal.why));
    let end = case.end.map_or_else(String::new, |end| format!(", cut after {end} bytes"));
    (class != expected).then(|| format!("{} ({}{end}): {expected} expected, {class}{why}", case.name, case.rule()))
}

fn judge(case: &Case) -> Verdict {
    match case.kind() {
        "bundle" => bundle(case),
        "cut" => cut(case),
        "head" => head(case),
        "index" => index(case),
        "manifest" => manifest(case),
        "manifest-page" => manifest_page(case),
        "manifest-root" => ManifestRoot::decode(&case.main_file()).map(|_| ()).map_err(Refusal::from),
        "pack-page" => pack_page(case),
        "pack-root" => PackRoot::decode(&case.main_file()).map(|_| ()).map_err(Refusal::from),
        "pack-table" => pack_table(case),
        "path" => path(case),
        "root-name" => root_name(case),
        kind => panic!("{}: nothing reads the kind {kind}", case.name),
    }
}

impl Refusal {
    fn new(class: Class, error: &(dyn Error + 'static)) -> Refusal {
        let (mut why, mut cause) = (error.to_string(), error.source());
        while let Some(error) = cause {
            why = format!("{why}: {error}");
            cause = error.source();
        }
        Refusal { class, why }
    }
}

impl From<FormatError> for Refusal {
    fn from(error: FormatError) -> Refusal {
        Refusal::new(error.class(), &error)
    }
}

/// Refuses what a structure states otherwise than the bytes around it.
fn rule(good: bool, rule: &'static str, why: &'static str) -> Verdict {
    let breach = FormatError::Breach { structure: "file", offset: 0, rule, why };
    if good { Ok(()) } else { Err(breach.into()) }
}

fn head(case: &Case) -> Verdict {
    let head = Head::decode(&case.main_file()).map_err(|error| Refusal::new(Class::Untrusted, &error))?;
    match head.unknown_critical() {
        Some(name) => Err(Refusal { class: Class::Refused, why: format!("critical feature {name}") }),
        None => Ok(()),
    }
}

fn path(case: &Case) -> Verdict {
    let bytes = from_hex(case.text("path"));
    // Through the record that carries it, since what a file needs is checked there.
    let (kind, facts) =
        if case.text("entry") == "file" { (1u32, [&[1][..], &[0; 40]].concat()) } else { (2, Vec::new()) };
    let start = (kind << 24 | bytes.len() as u32).to_le_bytes();
    let page = [&[0; 8][..], &start, &facts, &bytes].concat();
    PageReader::new(&page)?.next().expect("a record").map(|_| ()).map_err(Refusal::from)
}

fn root_name(case: &Case) -> Verdict {
    let text = case.text("name");
    // The class is that of a path that begins with it.
    let class = |error: &(dyn Error + 'static)| {
        let source = EntryPath::parse(b"").expect_err("an empty path");
        Refusal::new(FormatError::Path { offset: 0, source }.class(), error)
    };
    Name::parse(text).map_err(|error| class(&error))?;
    check_segment(text).map_err(|error| class(&error))
}

fn manifest_page(case: &Case) -> Verdict {
    let bytes = case.main_file();
    let mut root = ManifestRoot { entry_count: 0, file_count: 0, row_count: 0, total_len: 0, pages: Vec::new() };
    let mut first_path = EntryPath::parse(b"none").expect("a path");
    for record in PageReader::new(&bytes)? {
        let path = match record? {
            Record::File(path, facts) => {
                root.file_count += 1;
                root.total_len += facts.len;
                path
            }
            Record::Directory(path) => path,
            Record::Row(_) => {
                root.row_count += 1;
                continue;
            }
            Record::Mark(..) => continue,
        };
        if root.entry_count == 0 {
            first_path = path;
        }
        root.entry_count += 1;
    }
    let digest = Digest::of_structure(Structure::ManifestPage, &bytes);
    root.pages.push(PageFacts { digest, len: bytes.len() as u32, first_entry: 0, first_ordinal: 0, first_path });
    ManifestWalk::new(root).feed(&bytes).map(|_| ()).map_err(Refusal::from)
}

/// Returns what the walk over a whole manifest meets, page by page.
pub(crate) fn walk(bytes: &[u8], root_len: u64) -> Result<Vec<Vec<Item>>, Refusal> {
    let root = ManifestRoot::decode(&bytes[..bytes.len().min(root_len as usize)])?;
    let starts = root.page_starts(root_len);
    rule(starts.last() == Some(&(bytes.len() as u64)), "F-40", "root and pages are not the whole file")?;
    let mut walk = ManifestWalk::new(root);
    let mut pages = Vec::new();
    for page in starts.windows(2) {
        pages.push(walk.feed(&bytes[page[0] as usize..page[1] as usize])?);
    }
    Ok(pages)
}

fn manifest(case: &Case) -> Verdict {
    let pages = walk(&case.main_file(), case.number("root_length"))?;
    let Some(expected) = case.value["tree_id"].as_str() else { return Ok(()) };
    let mut listing = sha2::Sha256::new();
    for item in pages.iter().flatten() {
        if let Item::Entry(Entry { path, file: Some(file), .. }) = item {
            listing.update(format!("{}  {path}\n", file.sha256));
        }
    }
    assert_eq!(Sha256::from_bytes(listing.finalize().into()).to_string(), expected, "{}", case.name);
    Ok(())
}

fn pack_page(case: &Case) -> Verdict {
    let bytes = case.main_file();
    let first = |at: usize| bytes.get(at..at + 8).map_or(0, |field| u64::from_le_bytes(field.try_into().expect("8")));
    let digest = Digest::of_structure(Structure::PackPage, &bytes);
    let facts = PackPageFacts { digest, len: bytes.len() as u32, first_entry: first(0), first_ordinal: first(12) };
    decode_page(&facts, &bytes).map(|_| ()).map_err(Refusal::from)
}

fn pack_table(case: &Case) -> Verdict {
    let manifest = case.file("manifest.bin");
    let mut pages = walk(&manifest, case.number("manifest_root_length"))?.into_iter();
    let (bytes, root_len) = (case.main_file(), case.number("root_length"));
    let root = PackRoot::decode(&bytes[..bytes.len().min(root_len as usize)])?;
    rule(root.file_len(root_len) == bytes.len() as u64, "F-50", "root, pages and sections are not the whole file")?;
    let mut offset = root_len as usize;
    let mut packs: Vec<Pack> = Vec::new();
    for facts in &root.pages {
        packs.extend(decode_page(facts, &bytes[offset..offset + facts.len as usize])?);
        offset += facts.len as usize;
    }
    for section in &root.sections {
        let content = &bytes[offset..offset + section.len as usize];
        if Digest::of(content) != section.digest {
            return Err(FormatError::SectionDigest { structure: "pack table", offset: offset as u64 }.into());
        }
        offset += content.len();
    }
    let mut cover = Cover::new(root.volume_count, case.value["repairs"] == true);
    let volumes_len = packs.iter().filter_map(|pack| pack.place).map(|place| place.stored_len()).sum();
    for pack in packs {
        while cover.needs_items(&pack) {
            let Some(items) = pages.next() else { break };
            cover.feed(items);
        }
        cover.take(pack)?;
    }
    pages.for_each(|items| cover.feed(items));
    cover.finish(volumes_len).map_err(Refusal::from)
}

fn index(case: &Case) -> Verdict {
    let rows = case.value["rows"].as_array().expect("an array of rows").iter().flat_map(|row| {
        let digest = row[0].as_str().and_then(Digest::from_hex).expect("a digest");
        let row_len = row[1].as_u64().expect("a length") as u32;
        std::iter::repeat_n(Row { digest, len: row_len }, row[2].as_u64().unwrap_or(1) as usize)
    });
    let rows: Vec<Row> = rows.collect();
    let index = Index::decode(&case.main_file(), &rows, case.number("payload_length") as u32)?;
    let base_count = case.value["base_count"].as_u64().unwrap_or(0) as usize;
    match base_fact(&index, base_count) {
        // Whether the base is at hand is no matter of the index.
        None | Some(DamageFact::BaseMissing { .. }) => Ok(()),
        Some(fact) => Err(Refusal::new(fact.class(), &fact)),
    }
}

fn cut(case: &Case) -> Verdict {
    let bytes = case.join(&case.value["input"]);
    let (profile, lens) = cut_bytes(&bytes);
    let expected: Vec<u64> =
        case.value["lengths"].as_array().expect("lengths").iter().map(|len| len.as_u64().expect("a length")).collect();
    assert_eq!(lens, expected, "{} ({})", case.name, case.rule());
    assert_eq!(case.value["profile"].as_u64().unwrap_or(profile), profile, "{} ({})", case.name, case.rule());
    Ok(())
}

/// Returns the id of the profile and the chunk lengths of a file, shown no more than is wanted.
fn cut_bytes(bytes: &[u8]) -> (u64, Vec<u64>) {
    let mut cutter = Cutter::new(bytes.len() as u64);
    let (mut lens, mut position) = (Vec::new(), 0);
    while !cutter.is_done() {
        let wanted = cutter.wants();
        match cutter.next(&bytes[position..position + wanted]) {
            Some(chunk) => {
                position += chunk.len as usize;
                lens.push(u64::from(chunk.len));
            }
            None => assert!(cutter.wants() > wanted, "nothing is cut, and no more is wanted"),
        }
    }
    (cutter.profile().expect("decided") as u64, lens)
}

fn bundle(case: &Case) -> Verdict {
    let mut places = vec![case.dir.join("bundle")];
    if let Ok(listing) = fs::read_dir(case.dir.join("media")) {
        let mut media: Vec<PathBuf> = listing.map(|item| item.expect("can be read").path()).collect();
        media.sort();
        places.append(&mut media);
    }
    let mut found = find(&places).map_err(|error| Refusal::new(error.class(), &error))?;
    assert_eq!(found.len(), 1, "{}: all media are of one release", case.name);
    let opened = Opened::untrusted(found.remove(0)).map_err(|error| Refusal::new(error.class(), &error))?;
    let threads = NonZeroUsize::new(2).expect("not zero");
    let findings = verify(&opened, opened.media(), Depth::Contents, threads, &Quiet);
    if let Some(class) = findings.class() {
        let what = findings.findings.iter().map(|finding| format!("{} ({:?})", finding.what, finding.rule));
        return Err(Refusal { class, why: what.collect::<Vec<_>>().join("; ") });
    }
    let directory = directory();
    let volumes = Volumes::new(opened.media().to_vec());
    let exported = write_directory(&opened, &volumes, directory.path(), &Quiet);
    let exported = exported.map_err(|error| Refusal::new(error.class(), &error))?;
    expect_figures(case, &opened, exported.file_count);
    if case.value["recut"] == true { cut_again(&opened, directory.path()) } else { Ok(()) }
}

fn expect_figures(case: &Case, bundle: &Bundle, files_proven: u64) {
    let (head, manifest) = (bundle.head(), bundle.manifest());
    let found = serde_json::json!({
        "content_id": head.content_id.to_string(),
        "tree_id": head.tree_id.to_string(),
        "files": head.totals.files,
        "directories": head.totals.directories,
        "bytes": head.totals.bytes,
        "rows": manifest.row_count,
        "packs": bundle.packs().pack_count,
        "volumes": bundle.packs().volume_count,
        "files_proven": files_proven,
    });
    for (key, expected) in case.value["expect"].as_object().into_iter().flatten() {
        assert_eq!(&found[key], expected, "{}: {key}", case.name);
    }
}

/// Cuts every file that was exported and compares the chunks with the rows of the manifest.
fn cut_again(bundle: &Bundle, directory: &Path) -> Verdict {
    let mut stated: BTreeMap<EntryPath, (Profile, Vec<u64>)> = BTreeMap::new();
    let mut last = None;
    for item in bundle.items().map(|item| item.expect("it was read before")) {
        match item {
            Item::Entry(Entry { path, file: Some(file), .. }) => {
                stated.insert(path.clone(), (file.profile, Vec::new()));
                last = Some(path);
            }
            Item::Row(_, row) => {
                let file = last.as_ref().and_then(|path| stated.get_mut(path)).expect("a row has a file");
                file.1.push(u64::from(row.len));
            }
            _ => {}
        }
    }
    for (path, (profile, lens)) in stated {
        let bytes = fs::read(directory.join(path.as_str())).expect("it was exported");
        rule(cut_bytes(&bytes) == (profile as u64, lens), "F-60", "cut elsewhere than the rules say")?;
    }
    Ok(())
}
