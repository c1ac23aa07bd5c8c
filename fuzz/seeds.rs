//! Writes the inputs that fuzzing begins with: valid encodings from the library, and the vectors.
//!
//! `cargo run --example seeds -- DIR` writes them to DIR/TARGET/.
//! `fuzz/corpus` keeps beside them what runs have found: of the inputs that `cargo fuzz cmin` leaves,
//! those that add most coverage, at most 48 a target.

use airlift::codec::{Codec, Encoder, Kind, Word};
use airlift::format::manifest::{ManifestRoot, PageFacts, Row};
use airlift::format::packs::{PAGE_ROW_COUNT, Pack, PackRoot, decode_page};
use airlift::format::walk::{Item, ManifestWalk};
use airlift::format::{Digest, EntryPath, Head, Name, Sha256, Time};
use airlift::pipeline::pack::{PackOptions, pack};
use airlift::pipeline::progress::Quiet;
use airlift::pipeline::walk::{Links, Unsupported};
use airlift::tao::architectures::architecture;
use airlift::tao::entry::{Purpose, of_hub, of_ngc};
use airlift::tao::images::image_name::ImageName;
use airlift::tao::images::layout::{Image, encode_index};
use airlift::tao::images::manifest::{CONFIG_TYPE, Descriptor, LAYER_TYPE, MANIFEST_TYPE, Manifest, Platform};
use airlift::tao::model::{HubModel, NgcModel};
use airlift::trust::Sshsig;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// Longest file of a vector that becomes a seed, in bytes.
const VECTOR_LEN_MAX: u64 = 8 << 10;

type Done = Result<(), Box<dyn Error>>;

fn main() -> Done {
    let out = std::env::args().nth(1).ok_or("say where the seeds go")?;
    let seeds = Seeds(PathBuf::from(out));
    let work = std::env::temp_dir().join(format!("airlift-seeds-{}", std::process::id()));
    fs::create_dir_all(&work)?;
    let written = bundles(&seeds, &work);
    fs::remove_dir_all(&work)?;
    written?;
    tables(&seeds)?;
    frames(&seeds)?;
    vectors(&seeds)?;
    texts(&seeds)?;
    states(&seeds)?;
    models(&seeds)?;
    images(&seeds)?;
    programs(&seeds)
}

/// Writes one of each kind that the target of images knows, behind the byte that says which.
fn images(seeds: &Seeds) -> Done {
    let blob = |media_type: &str, len: u64| Descriptor {
        media_type: media_type.to_owned(),
        digest: Sha256::of(&len.to_le_bytes()),
        len,
    };
    let manifest = Manifest { config: blob(CONFIG_TYPE, 1), layers: vec![blob(LAYER_TYPE, 2), blob(LAYER_TYPE, 3)] };
    let image_name = ImageName::parse("nvcr.io/nvidia/tao/tao-toolkit:6.26.3-pyt")?;
    let image = Image { image_name, manifest: blob(MANIFEST_TYPE, 4), platform: Platform::parse("linux/amd64") };
    seeds.put("images", &[&[0], image.image_name.to_string().as_bytes()])?;
    seeds.put("images", &[&[1], &manifest.encode()])?;
    seeds.put("images", &[&[2], &encode_index([&image])])?;
    let mut header = tar_header("manifest.json", 2);
    header.extend_from_slice(b"[]");
    header.resize(512 + 512 + 1024, 0);
    seeds.put("images", &[&[3], &header])?;
    let compose = "\0services:\n  a: {image: \"${IMAGE_A:-b:1}\", pull_policy: always}\n";
    seeds.put("images", &[&[4], b"IMAGE_A=nginx:alpine\n", compose.as_bytes()])?;
    let archive = r#"[{"Config": "c.json", "RepoTags": ["a:1"], "Layers": ["a/layer.tar"]}]"#;
    seeds.put("images", &[&[5], archive.as_bytes()])?;
    seeds.put("images", &[&[5], br#"[{"file": "a.tar", "ref": "a:1"}]"#])?;
    seeds.put("images", &[&[5], br#"{"auths": {"docker.io": {"auth": "YTpi"}}}"#])
}

/// Returns the header of a file in a tar, whose sum is right.
fn tar_header(name: &str, len: usize) -> Vec<u8> {
    let mut header = vec![0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[124..135].copy_from_slice(format!("{len:011o}").as_bytes());
    header[148..156].fill(b' ');
    header[156] = b'0';
    header[257..263].copy_from_slice(b"ustar\0");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    header
}

struct Seeds(PathBuf);

impl Seeds {
    fn put(&self, target: &str, pieces: &[&[u8]]) -> Done {
        let (dir, bytes) = (self.0.join(target), pieces.concat());
        fs::create_dir_all(&dir)?;
        fs::write(dir.join(&Digest::of(&bytes).to_string()[..16]), bytes)?;
        Ok(())
    }
}

/// Packs a tree of small files and one with a file of several parts.
fn bundles(seeds: &Seeds, work: &Path) -> Done {
    let small = work.join("small");
    for (path, bytes) in [("a", "one"), ("b/c", "two"), ("b/d", "one"), ("é x", ""), ("z", "three three three")] {
        let path = small.join(path);
        fs::create_dir_all(path.parent().ok_or("a parent")?)?;
        fs::write(path, bytes)?;
    }
    fs::create_dir_all(small.join("empty/dir"))?;
    let large = work.join("large");
    fs::create_dir_all(&large)?;
    let head = safetensors(&[("BF16", 70 << 20)]);
    fs::write(large.join("m"), &head)?;
    fs::OpenOptions::new().write(true).open(large.join("m"))?.set_len(head.len() as u64 + (70 << 20))?;
    fs::copy(large.join("m"), large.join("n"))?;
    for (name, path) in [("small", &small), ("large", &large)] {
        let options = options(Name::parse(name)?, path.clone(), work.join(format!("{name}-bundle")));
        let head = pack(&options, &Quiet)?.head;
        bundle(seeds, &options.out, &head)?;
    }
    Ok(())
}

fn options(name: Name, root: PathBuf, out: PathBuf) -> PackOptions {
    PackOptions {
        roots: vec![(name.clone(), root)],
        links: Links::Refuse,
        unsupported: Unsupported::Refuse,
        exclude: Vec::new(),
        out,
        stream: name,
        counter: 1,
        volume_len: 64 << 20,
        threads: std::num::NonZeroUsize::MIN,
        index_budget_len: 1 << 20,
        sort_budget_len: 1 << 20,
        created_at: Time::from_unix(1_790_000_000),
        previous: None,
        not_after: Some(Time::from_unix(1_900_000_000)),
        audience: None,
        attachments: Vec::new(),
        ext: BTreeMap::new(),
    }
}

fn bundle(seeds: &Seeds, dir: &Path, head: &Head) -> Done {
    seeds.put("head", &[&head.encode()])?;
    let (manifest, packs) = (fs::read(dir.join("manifest"))?, fs::read(dir.join("packs"))?);
    let (manifest_root, manifest_page) = manifest.split_at(head.manifest.root_length as usize);
    let (packs_root, packs_page) = packs.split_at(head.packs.root_length as usize);
    seeds.put("manifest", &[&[1], manifest_root])?;
    seeds.put("manifest", &[&[0], manifest_page])?;
    seeds.put("packs", &[&[1], packs_root])?;
    seeds.put("packs", &[&[0], packs_page])?;
    seeds.put("pack_state", &[&[1], packs_page])?;
    whole(seeds, &manifest, head.manifest.root_length as usize, &packs, head.packs.root_length as usize)?;
    let (manifest, packs) = (ManifestRoot::decode(manifest_root)?, PackRoot::decode(packs_root)?);
    two_pages(seeds, &manifest, manifest_page, &packs, packs_page)?;
    indexes(seeds, dir, &manifest, manifest_page, &decode_page(&packs.pages[0], packs_page)?)
}

fn whole(seeds: &Seeds, manifest: &[u8], manifest_root_len: usize, packs: &[u8], packs_root_len: usize) -> Done {
    let lens = [manifest_root_len, manifest.len() - manifest_root_len, packs_root_len].map(|len| len as u32);
    let pages = [&packs[..packs_root_len], &packs[packs_root_len..]];
    seeds.put("bundle", &[&lens.map(u32::to_le_bytes).concat(), manifest, pages[0], pages[1]])
}

/// Splits a manifest page behind its first entry. The filling is wrong, and so a lookup sees what a
/// walk refuses.
fn two_pages(seeds: &Seeds, root: &ManifestRoot, page: &[u8], packs: &PackRoot, packs_page: &[u8]) -> Done {
    let record_len = |offset: usize| {
        let len = page[offset] as usize | (page[offset + 1] as usize) << 8;
        match page[offset + 3] {
            1 => 45 + len,
            2 => 4 + len,
            3 => 36,
            _ => 36 + len,
        }
    };
    let behind_file = 8 + record_len(8);
    let end = behind_file + record_len(behind_file);
    let mut root = root.clone();
    root.pages[0].len = end as u32;
    let first = &root.pages[0];
    let second = PageFacts { len: (page.len() - end + 8) as u32, first_ordinal: 1, ..first.clone() };
    root.pages.push(second);
    let manifest_root = root.encode();
    let (packs_root, offset) = (packs.encode(), 3u64.to_le_bytes());
    let manifest = [&manifest_root, &page[..end], &offset, &page[end..]].concat();
    assert!(packs.pack_count < PAGE_ROW_COUNT as u64);
    whole(seeds, &manifest, manifest_root.len(), &[&packs_root, packs_page].concat(), packs_root.len())
}

fn indexes(seeds: &Seeds, dir: &Path, root: &ManifestRoot, page: &[u8], packs: &[Pack]) -> Done {
    let items = ManifestWalk::new(root.clone()).feed(page)?;
    let row = |item: &Item| if let Item::Row(_, row) = item { Some(*row) } else { None };
    let rows: Vec<Row> = items.iter().filter_map(row).collect();
    for pack in packs {
        let Some(place) = pack.place else { continue };
        let volume = fs::read(dir.join("volumes").join(place.volume.file_name()))?;
        let index = &volume[place.offset as usize..][..place.index_len as usize];
        let rows = &rows[pack.first_ordinal as usize..pack.end_ordinal() as usize];
        // A target makes its chunks from seeds: equal ones stay equal, digests and lengths differ.
        let seed = |row: &Row| rows.iter().position(|first| first.digest == row.digest).unwrap_or_default() as u8;
        let short: Vec<u8> = rows
            .iter()
            .flat_map(|row| {
                let [low, high] = ((row.len - 1) as u16).to_le_bytes();
                [seed(row), low, high]
            })
            .collect();
        let count = u8::try_from(rows.len())?;
        seeds.put("index", &[&place.payload_len.to_le_bytes(), &[count], &short, index])?;
    }
    Ok(())
}

fn safetensors(tensors: &[(&str, usize)]) -> Vec<u8> {
    let mut json = String::from("{\"__metadata__\":{\"format\":\"pt\"}");
    let mut start = 0;
    for (number, (dtype, len)) in tensors.iter().enumerate() {
        let end = start + len;
        json.push_str(&format!(
            ",\"t{number}\":{{\"dtype\":\"{dtype}\",\"shape\":[{len}],\"data_offsets\":[{start},{end}]}}"
        ));
        start = end;
    }
    json.push('}');
    [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat()
}

fn gguf(alignment: u32, kinds: &[u32]) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let (u32s, u64s) = (u32::to_le_bytes, u64::to_le_bytes);
    let mut table = [&b"GGUF\x03\0\0\0"[..], &u64s(kinds.len() as u64), &u64s(3)].concat();
    table.extend([&text("general.alignment")[..], &u32s(4), &u32s(alignment)].concat());
    table.extend([&text("tokens")[..], &u32s(9), &u32s(8), &u64s(2), &text("a"), &text("bc")].concat());
    table.extend([&text("n")[..], &u32s(9), &u32s(9), &u64s(1), &u32s(5), &u64s(2), &[0; 8]].concat());
    for (number, kind) in kinds.iter().enumerate() {
        let offset = (number * 600_000) as u64 / u64::from(alignment) * u64::from(alignment);
        table.extend([&text(&format!("t{number}"))[..], &u32s(1), &u64s(9), &u32s(*kind), &u64s(offset)].concat());
    }
    table
}

/// Starts of files with tables, which the target fills up to one of its lengths.
fn tables(seeds: &Seeds) -> Done {
    for (fill, len) in [(1u8, 66_000), (2, 140_000), (3, 1_200_000)] {
        let prefix = [fill, 5, 0];
        let tensors =
            [("F32", len / 2), ("BF16", len / 4), ("F64", len / 8), ("U8", len - len / 2 - len / 4 - len / 8)];
        seeds.put("cut", &[&prefix, &safetensors(&tensors)])?;
        seeds.put("cut", &[&prefix, &safetensors(&[("I16", len)])])?;
        seeds.put("cut", &[&prefix, &gguf(32, &[1])])?;
        seeds.put("cut", &[&prefix, &gguf(64, &[0, 30, 2])])?;
        for value in ["1e-9", "[true,false,null,-0.5E+3,[[{}]]]", "{\"\\ud83d\\ude00\":\"\\\"\\\\\\/\\b\\u00e9é\"}"] {
            let json = format!(
                "{{\"__metadata__\": {value}, \"t\":\t{{\"x\":{value},\"dtype\":\"\\u0046\\u00332\",\"data_offsets\":[0,{len}]}}}} "
            );
            seeds.put("cut", &[&prefix, &(json.len() as u64).to_le_bytes(), json.as_bytes()])?;
        }
        seeds.put("cut", &[&prefix, b"text "])?;
        for descr in ["<f2", "<f4", "<f8", "|u1", "<U9"] {
            let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (9,), }}\n");
            let text_len = (text.len() as u16).to_le_bytes();
            seeds.put("cut", &[&prefix, b"\x93NUMPY\x01\0", &text_len, text.as_bytes()])?;
            seeds.put("cut", &[&prefix, b"\x93NUMPY\x02\0", &text_len, &[0; 2], text.as_bytes()])?;
        }
    }
    Ok(())
}

fn frames(seeds: &Seeds) -> Done {
    let words: Vec<u8> = (0..600u16).flat_map(|number| [number as u8, 0x3f - (number % 3) as u8]).collect();
    let noise: Vec<u8> = (0..400u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let raws = [&words[..], &words[..601], &noise, &[7; 900], b"a text, a text, a text, a text and a text"];
    let kinds =
        [Kind::Stored, Kind::Zstd, Kind::Planes(Word::Two), Kind::Planes(Word::Four), Kind::Planes(Word::Eight)];
    for raw in raws {
        for kind in kinds {
            let mut stored = Vec::new();
            let codec = Encoder::new()?.encode(raw, kind, &mut stored)?;
            let (id, raw_len) = (codec.id(), (raw.len() as u16).to_le_bytes());
            seeds.put("frame", &[&[id.codec, id.parameter, 3], &raw_len, &stored])?;
            if codec == Codec::Zstd {
                seeds.put("zstd_header", &[&raw_len, &[0], &stored])?;
                seeds.put("zstd_header", &[&raw_len, &[1], &stored[4..]])?;
            }
        }
    }
    Ok(())
}

/// What the vectors hold, for the targets that read it.
fn vectors(seeds: &Seeds) -> Done {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("spec/vectors");
    for verdict in ["accept", "reject"] {
        for case in fs::read_dir(top.join(verdict))? {
            let case = case?.path();
            let facts: Value = serde_json::from_slice(&fs::read(case.join("case.json"))?)?;
            if let Some(path) = facts["path"].as_str() {
                seeds.put("path", &[&unhex(path)?])?;
            }
            trust(seeds, &case)?;
            for file in fs::read_dir(&case)? {
                let file = file?.path();
                if file.is_file() && fs::metadata(&file)?.len() <= VECTOR_LEN_MAX {
                    vector(seeds, &file, &facts)?;
                }
            }
        }
    }
    Ok(())
}

fn vector(seeds: &Seeds, file: &Path, facts: &Value) -> Done {
    let bytes = fs::read(file)?;
    let number = |key: &str| facts[key].as_u64().unwrap_or_default();
    let is_of = |kind: &str| file.parent().is_some_and(|case| case.to_string_lossy().contains(kind));
    match file.file_name().and_then(|name| name.to_str()).unwrap_or_default() {
        "frame.bin" => {
            let raw_len = (number("raw_len") as u16).to_le_bytes();
            seeds.put("frame", &[&[number("codec") as u8, number("param") as u8, 0], &raw_len, &bytes])?;
            seeds.put("zstd_header", &[&raw_len, &[0], &bytes])
        }
        "head.json" => seeds.put("head", &[&bytes]),
        "allowed_signers" | "revoked" => seeds.put("allowed_signers", &[&bytes]),
        "root.bin" | "page.bin" if is_of("pack-") => seeds.put("packs", &[&[is_of("root").into()], &bytes]),
        "root.bin" | "page.bin" => seeds.put("manifest", &[&[is_of("root").into()], &bytes]),
        name if name.ends_with(".sig") => {
            let blob = Sshsig::decode(&bytes).map(|sshsig| sshsig.encode_blob());
            blob.map_or(Ok(()), |blob| seeds.put("sshsig", &[&blob]))?;
            seeds.put("sshsig", &[&bytes])
        }
        _ => Ok(()),
    }
}

/// A head with its first signature and the list of signers, where the case has them.
fn trust(seeds: &Seeds, case: &Path) -> Done {
    let read = |name: &str| fs::read(case.join(name)).ok().filter(|bytes| bytes.len() as u64 <= VECTOR_LEN_MAX);
    let (Some(signers), Some(signature), Some(head)) = (read("allowed_signers"), read("1.sig"), read("head.json"))
    else {
        return Ok(());
    };
    let lens = [&signers, &signature].map(|bytes| bytes.len() as u16);
    seeds.put("trust", &[&lens.map(u16::to_le_bytes).concat(), &signers, &signature, &head])
}

fn unhex(text: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?)).collect()
}

fn texts(seeds: &Seeds) -> Done {
    let digest = Digest::of(b"").to_string();
    for text in [
        "models-eu",
        "2026-02-28T23:59:59Z",
        "2000-02-29T00:00:00Z",
        &digest,
        "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
        "airlift-head@v1/models-eu",
        "airlift-receipt@v1/m",
        "release-team@example.org",
        "registry/models/",
        "registry/é.x/a b",
        "{\"a\":{\"Prefix\":\"x/y/\"},\"b\":\"LeftOut\"}",
    ] {
        seeds.put("text", &[text.as_bytes()])?;
    }
    for path in ["models/a/b.safetensors", "models/é/a b?#+%&=", "m/a\u{308}", "m/.hidden", "m", "m/con", "m/a//b"] {
        seeds.put("path", &[path.as_bytes()])?;
    }
    Ok(())
}

/// What imports and packs keep of themselves. Lines that begin with `+` get their check from the target.
fn states(seeds: &Seeds) -> Done {
    let uploads = "+{\"intent\":{\"entry\":3}}\n+{\"open\":{\"entry\":3,\"upload\":\"u\"}}\n\
                   +{\"part\":{\"entry\":3,\"number\":2,\"tag\":\"\\\"t\\\"\"}}\n+{\"closed\":{\"entry\":3}}\n";
    seeds.put("import_state", &[&[0], uploads.as_bytes()])?;
    seeds.put("import_state", &[&[0], &uploads.as_bytes()[..90]])?;
    seeds.put("import_state", &[&[1], &[0; 192]])?;
    let lease = "{\"host\":\"h\",\"boot_id\":\"b\",\"process\":5,\"started\":6,\"counter\":1,\"beat\":0}";
    seeds.put("import_state", &[&[2], lease.as_bytes()])?;
    seeds.put("import_state", &[&[3], receipt().as_bytes()])?;
    let log = format!("{{\"len\":0,\"digest\":\"{}\"}}", Digest::of(b""));
    let codec = "{\"raw_len\":0,\"stored_len\":0}";
    let line = |volume: u32, file: &str| {
        format!(
            "+{{\"volume\":{volume},\"volume_len\":9,\"logs\":[{log},{log},{log},{log}],\
             \"position\":{{\"entry\":5,\"ordinal\":6,\"file\":{file}}},\"figures\":{{\"new_len\":1,\"repeat_len\":0,\
             \"reference_len\":0,\"stored\":{codec},\"zstd\":{codec},\"planes\":{codec}}},\"is_last\":false}}\n"
        )
    };
    let file = "{\"part_offset\":3,\"file_ordinal\":4,\"path\":\"m/x\",\"len\":99,\"stamp\":[1,2,3,4],\
                \"words\":[1,2,3,4,5,6,7,8],\"tail\":[1,2,3],\"offset\":67}";
    seeds.put("pack_state", &[&[0], line(1, "null").as_bytes(), line(2, file).as_bytes()])?;
    let (path, sha256) = (EntryPath::parse(b"m/x")?, Digest::of(b""));
    let entry = [&3u16.to_le_bytes()[..], &[1], &9u64.to_le_bytes(), sha256.as_bytes(), &[0; 32], path.as_bytes()];
    seeds.put("pack_state", &[&[1], &entry.concat(), &entry.concat()])?;
    let listed = [path.as_bytes(), &[0, 0], &9u64.to_le_bytes(), &[0; 32]].concat();
    let entries = [&b"airlift entries 1\n"[..], &(listed.len() as u16).to_le_bytes(), &listed, &[0, 0]].concat();
    seeds.put("pack_state", &[&[2], &entries])
}

fn receipt() -> String {
    let (digest, time) = (Digest::of(b""), "2026-02-28T23:59:59Z");
    format!(
        "{{\"format\":\"airlift-receipt 1\",\"stream\":\"m\",\"counter\":1,\"content_id\":\"{digest}\",\
         \"tree_id\":\"{digest}\",\"store\":\"s\",\"map\":{{\"a\":{{\"Prefix\":\"x/\"}}}},\"started_at\":\"{time}\",\
         \"finished_at\":\"{time}\",\"counts\":{{\"landed\":1,\"already\":0,\"skipped\":0,\"left_out\":0,\
         \"directories\":0,\"bytes_sent\":3,\"bytes\":3}},\"objects\":{{\"length\":96,\"blake3\":\"{digest}\"}},\
         \"signers\":[\"release-team\"],\"warnings\":[]}}"
    )
}

/// Programs of a forger (`tests/suite/forge`): one step of each kind on each file and structure, and calls
/// that bring the volumes one by one or are stopped.
/// What the platform is told of models, and what is said of them before.
fn models(seeds: &Seeds) -> Done {
    let attributes = [
        ("endpoints", "['dino', \"segformer\"]"),
        ("trainable", "True"),
        ("tao_version", "['>=5.0.0', '<8']"),
        ("task", "object_detection"),
        ("num_parameters", "48.0M"),
        ("sha256_digest", "{'model.pth': 'ab'}"),
    ];
    let attributes: Vec<Value> = attributes.map(|(key, value)| json!({"key": key, "value": value})).into();
    let version = json!({
        "versionId": "v1", "status": "UPLOAD_COMPLETE", "description": "d", "createdDate": "2025-01-02T03:04:05.678Z",
        "customMetrics": [{"attributes": attributes}],
    });
    let model = json!({"shortDescription": "s", "isReadOnly": true, "updatedDate": "2025-01-02T03:04:05"});
    let answer = json!({"model": model, "modelVersion": version}).to_string();
    seeds.put("ngc", &[answer.as_bytes()])?;

    let purpose = Purpose {
        name: "DINO",
        architecture: "dino",
        known: architecture("dino").ok_or("known")?,
        is_backbone: Some(true),
        spec: None,
        fetched_at: Time::from_unix(1_700_000_000),
    };
    for entry in [
        of_ngc(&NgcModel::parse("nvidia/tao/dino:v1")?, &serde_json::from_str(&answer)?, &purpose),
        of_hub(&HubModel::parse("owner/name")?, &purpose),
    ] {
        let id = entry["id"].as_str().ok_or("an id")?.to_owned();
        seeds.put("ptm_metadatas", &[json!({ id: entry }).to_string().as_bytes()])?;
    }
    let rows = "displayName,ngc_path,network_arch,is_backbone\n# rows\n\nDINO,nvidia/tao/dino:v1,dino,True\n\
                \"Pose, classified\",ngc://nvidia/pose:v1,pose_classification\nDETR,hf_model://facebook/detr,dino,no\n";
    seeds.put("catalogue", &[rows.as_bytes()])
}

fn programs(seeds: &Seeds) -> Done {
    let step = |kind: u8, which: u8, place: u16, field: u8, value: u16| {
        let ([place_low, place_high], [low, high]) = (place.to_le_bytes(), value.to_le_bytes());
        [kind, which, place_low, place_high, field, 0, low, high]
    };
    let by_one = [0b1100, 0b1010, 0b0110].map(|absent| step(31, 0, 0, 0, absent)).concat();
    seeds.put("import_parts", &[&by_one])?;
    for stop in 1..4 {
        seeds.put("import_parts", &[&[20, 60, 511].map(|after| step(31, stop, after, 1, 0)).concat()])?;
    }
    for which in 0..8 {
        seeds.put("import_parts", &[&step(14, which, 3, 2, 1)])?;
    }
    for base in 0..3u8 {
        for kind in 0..22 {
            for which in 0..8 {
                seeds.put("import", &[&[base], &step(kind, which, 1 + u16::from(kind), which / 2, 1)])?;
            }
        }
        seeds.put("import", &[&[base], &by_one])?;
        for stop in 1..4 {
            let stopped = [20, 90, 511].map(|after| step(31, stop, after, 1, 0)).concat();
            seeds.put("import", &[&[base], &stopped])?;
        }
        // A volume is damaged, then the good one comes on a second medium.
        seeds.put("import", &[&[base], &step(0, 5, 200, 0, 1), &step(31, 0, 0, 0, 0), &step(31, 0, 0, 16, 0)])?;
    }
    Ok(())
}
