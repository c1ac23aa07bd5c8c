//! The head: the small JSON that is signed (F-120 to F-124).

use super::limits::{
    ATTACHMENT_COUNT_MAX, ATTACHMENT_LEN_MAX, BASE_COUNT_MAX, COUNTER_MAX, CRITICAL_COUNT_MAX, EXT_COUNT_MAX,
    EXT_VALUE_LEN_MAX, HEAD_LEN_MAX, README_LEN_MAX, ROOTS_LEN_MAX, TOTAL_LEN_MAX, VOLUME_COUNT_MAX,
};
use super::time::Time;
use super::{Digest, Name, Sha256};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The features of `critical` that this version knows: none.
const KNOWN_CRITICAL: [&str; 0] = [];

/// Everything that is signed: who, what, which counter, and the digests that lead to all other bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The format and its version.
    pub format: FormatTag,
    /// The digests in use.
    pub suite: SuiteTag,
    /// The line of releases this bundle belongs to.
    pub stream: Name,
    /// The number of the release in its stream; `1 <= counter <= 2^53 - 1`.
    pub counter: u64,
    /// The release before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Release>,
    /// When the packer began.
    pub created_at: Time,
    /// The last moment at which this bundle may be imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
    /// The enclave that it is meant for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<Name>,
    /// The digest of the manifest root: the identity of the content.
    pub content_id: Digest,
    /// The SHA-256 of the sorted `sha256sum` listing.
    pub tree_id: Sha256,
    /// The file `manifest`.
    pub manifest: ManifestFile,
    /// The file `packs`.
    pub packs: PacksFile,
    /// The file `README.txt`.
    pub readme: PlainFile,
    /// How many volumes there are, and their total length.
    pub volumes: Volumes,
    /// Releases whose chunks this bundle refers to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bases: Vec<Base>,
    /// Set to the own release in a bundle that carries only packs to mend it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repairs: Option<Release>,
    /// What the manifest adds up to.
    pub totals: Totals,
    /// Files of other kinds that travel with the bundle.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// Features that a reader must know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub critical: Vec<Name>,
    /// The one place where unknown names pass.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ext: BTreeMap<Name, String>,
}

/// The formats that this version knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FormatTag {
    /// `spec/format.md`.
    #[serde(rename = "airlift 1")]
    Airlift1,
}

/// The sets of digests that this version knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SuiteTag {
    /// BLAKE3 for chunks and structures, SHA-256 for files.
    #[serde(rename = "blake3-sha256")]
    Blake3Sha256,
}

/// A release of the same stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Its counter.
    pub counter: u64,
    /// Its content.
    pub content_id: Digest,
}

/// A release, of this stream or another, that the receiver must have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Its stream.
    pub stream: Name,
    /// Its counter.
    pub counter: u64,
    /// Its content.
    pub content_id: Digest,
}

/// Lengths and digests of the file `manifest`; its root's digest is the content id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestFile {
    /// Bytes of the file.
    pub length: u64,
    /// Bytes of its root.
    pub root_length: u64,
    /// BLAKE3 of the file.
    pub blake3: Digest,
    /// SHA-256 of the file.
    pub sha256: Sha256,
}

/// Lengths and digests of the file `packs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PacksFile {
    /// The digest of its root.
    pub root: Digest,
    /// Bytes of the file.
    pub length: u64,
    /// Bytes of its root.
    pub root_length: u64,
    /// BLAKE3 of the file.
    pub blake3: Digest,
    /// SHA-256 of the file.
    pub sha256: Sha256,
}

/// Length and digests of a file that is read whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlainFile {
    /// Bytes of the file.
    pub length: u64,
    /// BLAKE3 of the file.
    pub blake3: Digest,
    /// SHA-256 of the file.
    pub sha256: Sha256,
}

/// How many volumes there are, and their total length in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Volumes {
    /// Number of volumes.
    pub count: u32,
    /// Sum of their lengths in bytes.
    pub length: u64,
}

/// What the manifest adds up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    /// Number of files, at least 1.
    pub files: u64,
    /// Number of empty directories.
    pub directories: u64,
    /// Sum of the file lengths.
    pub bytes: u64,
}

/// A file that travels with the bundle: an SBOM, a scan verdict, a licence, another signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attachment {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: Name,
    /// Bytes of the file.
    pub length: u64,
    /// SHA-256 of the file.
    pub sha256: Sha256,
}

/// Why bytes are not a head.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The head is longer than 1 MiB.
    #[error("the head has {len} bytes; the limit is {HEAD_LEN_MAX}")]
    TooLong {
        /// Its length.
        len: u64,
    },
    /// The bytes are not the JSON of a head.
    #[error("the head does not parse")]
    Json(#[source] serde_json::Error),
    /// Encoding the decoded head gives other bytes: spacing, order, escapes or an empty field.
    #[error("the head is not written as F-120 says; byte {offset} differs")]
    NotCanonical {
        /// The first byte that differs.
        offset: usize,
    },
    /// A field breaks a rule.
    #[error("field {field} of the head is out of range ({rule})")]
    Field {
        /// The field.
        field: &'static str,
        /// The rule.
        rule: &'static str,
    },
}

impl Head {
    /// Returns the head that `bytes` spell. Call it on proven bytes, or through the trust layer.
    ///
    /// # Errors
    /// Refuses every text that this version would not write itself. An unknown `critical` name is
    /// not an error here: see [`Head::unknown_critical`].
    pub fn decode(bytes: &[u8]) -> Result<Head, HeadError> {
        if bytes.len() as u64 > HEAD_LEN_MAX {
            return Err(HeadError::TooLong { len: bytes.len() as u64 });
        }
        let head: Head = serde_json::from_slice(bytes).map_err(HeadError::Json)?;
        let again = head.encode();
        if again != bytes {
            let same = again.iter().zip(bytes).take_while(|(one, other)| one == other).count();
            return Err(HeadError::NotCanonical { offset: same });
        }
        head.check()?;
        Ok(head)
    }

    /// Returns the bytes of the head.
    pub fn encode(&self) -> Vec<u8> {
        // A value of these types always serialises; an empty text would fail every reader.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Returns this release: counter and content.
    pub fn release(&self) -> Release {
        Release { counter: self.counter, content_id: self.content_id }
    }

    /// Returns the first `critical` name that this version does not know.
    pub fn unknown_critical(&self) -> Option<&Name> {
        self.critical.iter().find(|name| !KNOWN_CRITICAL.contains(&name.as_str()))
    }

    /// Checks every field; call it on a head that was made here, before it is signed.
    ///
    /// # Errors
    /// Names the field that is out of range.
    pub fn check(&self) -> Result<(), HeadError> {
        let rule = |good: bool, field, rule| if good { Ok(()) } else { Err(HeadError::Field { field, rule }) };
        let in_range = |counter: u64| (1..=COUNTER_MAX).contains(&counter);
        rule(in_range(self.counter), "counter", "F-125")?;
        if let Some(previous) = &self.previous {
            rule(in_range(previous.counter) && previous.counter < self.counter, "previous", "F-120")?;
        }
        rule(self.not_after.is_none_or(|end| end >= self.created_at), "not_after", "F-120")?;
        self.check_lengths()?;
        rule(self.bases.len() <= BASE_COUNT_MAX, "bases", "F-10")?;
        rule(self.bases.iter().all(|base| in_range(base.counter)), "bases", "F-125")?;
        rule(self.has_good_bases(), "bases", "F-126")?;
        rule(self.repairs.is_none_or(|release| release == self.release()), "repairs", "F-120")?;
        rule(self.attachments.len() <= ATTACHMENT_COUNT_MAX, "attachments", "F-10")?;
        rule(self.attachments.iter().all(|one| one.length <= ATTACHMENT_LEN_MAX), "attachments", "F-10")?;
        rule(self.critical.len() <= CRITICAL_COUNT_MAX, "critical", "F-10")?;
        rule(self.critical.is_sorted_by(|one, next| one < next), "critical", "F-120")?;
        rule(self.ext.len() <= EXT_COUNT_MAX, "ext", "F-10")?;
        rule(self.ext.values().all(|value| Head::may_say(value)), "ext", "F-120")
    }

    /// Tells whether a value of `ext` keeps F-10 and F-120.
    pub fn may_say(value: &str) -> bool {
        value.len() <= EXT_VALUE_LEN_MAX && value.bytes().all(is_printable)
    }

    /// Checks F-126. There are at most 16 bases.
    fn has_good_bases(&self) -> bool {
        self.bases.iter().enumerate().all(|(index, base)| {
            let is_earlier = base.stream != self.stream || base.counter < self.counter;
            let is_other = |other: &Base| {
                other.content_id != base.content_id && (&other.stream, other.counter) != (&base.stream, base.counter)
            };
            is_earlier && base.content_id != self.content_id && self.bases[..index].iter().all(is_other)
        })
    }

    fn check_lengths(&self) -> Result<(), HeadError> {
        let rule = |good: bool, field, rule| if good { Ok(()) } else { Err(HeadError::Field { field, rule }) };
        let (manifest, packs) = (&self.manifest, &self.packs);
        rule((1..=manifest.length).contains(&manifest.root_length), "manifest", "F-122")?;
        rule((1..=packs.length).contains(&packs.root_length), "packs", "F-122")?;
        let roots_len = manifest.root_length.checked_add(packs.root_length);
        rule(roots_len.is_some_and(|len| len <= ROOTS_LEN_MAX), "manifest", "F-122")?;
        rule(manifest.length <= TOTAL_LEN_MAX && packs.length <= TOTAL_LEN_MAX, "manifest", "F-125")?;
        rule((1..=README_LEN_MAX).contains(&self.readme.length), "readme", "F-10")?;
        let volumes = &self.volumes;
        rule(volumes.count <= VOLUME_COUNT_MAX && volumes.length <= TOTAL_LEN_MAX, "volumes", "F-125")?;
        rule(volumes.count > 0 && volumes.length > 0, "volumes", "F-125")?;
        let totals = &self.totals;
        rule(totals.files > 0, "totals", "F-125")?;
        rule(totals.bytes <= TOTAL_LEN_MAX && totals.files <= TOTAL_LEN_MAX, "totals", "F-125")?;
        rule(totals.directories <= TOTAL_LEN_MAX, "totals", "F-125")
    }
}

const fn is_printable(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e)
}

/// Serialises types as the text that they display, and reads only that text.
macro_rules! as_text {
    ($($type:ty: $parse:expr, $what:literal;)*) => {$(
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                $parse(&text).ok_or_else(|| serde::de::Error::custom($what))
            }
        }
    )*};
}

as_text! {
    Digest: Digest::from_hex, "a digest is 64 lower-case hex digits";
    Sha256: Sha256::from_hex, "a digest is 64 lower-case hex digits";
    Time: Time::parse, "a time is YYYY-MM-DDTHH:MM:SSZ";
    Name: |text: &str| Name::parse(text).ok(), "a name is 1 to 64 of a-z, 0-9, '.', '_' and '-'";
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A head with every optional field set.
    pub(crate) fn full_head() -> Head {
        let digest = Digest::of(b"content");
        let sha256 = Sha256::of(b"content");
        let name = |text: &str| Name::parse(text).expect("a name");
        let head = Head {
            format: FormatTag::Airlift1,
            suite: SuiteTag::Blake3Sha256,
            stream: name("models-eu"),
            counter: 7,
            previous: Some(Release { counter: 6, content_id: Digest::of(b"before") }),
            created_at: Time::from_unix(1_790_000_000),
            not_after: Some(Time::from_unix(1_800_000_000)),
            audience: Some(name("enclave-1")),
            content_id: digest,
            tree_id: sha256,
            manifest: ManifestFile { length: 200, root_length: 100, blake3: digest, sha256 },
            packs: PacksFile { root: digest, length: 300, root_length: 100, blake3: digest, sha256 },
            readme: PlainFile { length: 10, blake3: digest, sha256 },
            volumes: Volumes { count: 3, length: 4096 },
            bases: vec![Base { stream: name("models-eu"), counter: 5, content_id: Digest::of(b"base") }],
            repairs: Some(Release { counter: 7, content_id: digest }),
            totals: Totals { files: 5, directories: 1, bytes: 1000 },
            attachments: vec![Attachment { kind: name("sbom"), length: 3, sha256 }],
            critical: vec![name("delta"), name("parity")],
            ext: BTreeMap::from([(name("note"), "say \"hi\" \\ there".to_owned())]),
        };
        head.check().expect("a good head");
        head
    }

    #[test]
    fn decodes_what_it_encodes() {
        let head = full_head();
        assert_eq!(Head::decode(&head.encode()).expect("canonical"), head);
        assert_eq!(head.unknown_critical().map(Name::as_str), Some("delta"));
    }

    #[test]
    fn a_head_is_parsed_up_to_its_limit_and_no_further() {
        for (len, is_parsed) in [(HEAD_LEN_MAX, true), (HEAD_LEN_MAX + 1, false), (2 * HEAD_LEN_MAX, false)] {
            let found = Head::decode(&vec![b' '; len as usize]);
            match found {
                Err(HeadError::Json(_)) => assert!(is_parsed, "{len}"),
                Err(HeadError::TooLong { len: found }) => assert!(!is_parsed && found == len),
                found => panic!("{len}: {found:?}"),
            }
        }
    }

    #[test]
    fn every_flipped_bit_is_another_head_or_refused() {
        let bytes = full_head().encode();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(head) = Head::decode(&flipped) {
                assert_ne!(head, full_head(), "bit {bit}");
            }
        }
    }

    #[test]
    fn refuses_other_spellings_of_the_same_value() {
        let text = String::from_utf8(full_head().encode()).expect("ASCII");
        for (from, to) in [
            ("\"counter\": 7", "\"counter\":7"),
            ("\"counter\": 7", "\"counter\": 7.0"),
            ("\"counter\": 7", "\"counter\": 07"),
            ("\"counter\": 7", "\"counter\": 7,\n  \"counter\": 7"),
            ("models-eu", "models-e\\u0075"),
            ("}\n", "}"),
            ("\"critical\": [", "\"critical\": [ "),
            ("\"delta\",\n    \"parity\"", "\"parity\",\n    \"delta\""),
            ("\"files\": 5", "\"files\": 5,\n    \"x\": 1"),
            ("\"counter\": 7", "\"counter\": 9007199254740992"),
            ("\"counter\": 7", "\"counter\": 0"),
        ] {
            assert!(text.contains(from), "{from}");
            assert!(Head::decode(text.replacen(from, to, 1).as_bytes()).is_err(), "{to}");
        }
    }

    /// Tells whether the head is read after `change`, encoded as it should be.
    fn reads(change: impl FnOnce(&mut Head)) -> bool {
        let mut head = full_head();
        change(&mut head);
        Head::decode(&head.encode()).is_ok()
    }

    #[test]
    fn every_number_has_its_bounds() {
        let most = (1 << 53) - 1;
        type Set = fn(&mut Head, u64);
        let fields: [(Set, u64, u64); 9] = [
            (|head, value| head.manifest.length = value, 100, most),
            (|head, value| head.packs.length = value, 100, most),
            (|head, value| head.readme.length = value, 1, 64 << 10),
            (|head, value| head.volumes.length = value, 1, most),
            (|head, value| head.volumes.count = value as u32, 1, 999_999),
            (|head, value| head.totals.files = value, 1, most),
            (|head, value| head.totals.directories = value, 0, most),
            (|head, value| head.totals.bytes = value, 0, most),
            (|head, value| head.attachments[0].length = value, 0, 16 << 20),
        ];
        for (index, (set, least, most)) in fields.into_iter().enumerate() {
            assert!(reads(|head| set(head, least)) && reads(|head| set(head, most)), "{index}");
            assert!(!reads(|head| set(head, most + 1)), "{index}");
            assert!(least == 0 || !reads(|head| set(head, least - 1)), "{index}");
        }
        let counters = |counter: u64| {
            reads(|head| {
                head.counter = counter;
                head.previous = None;
                head.bases.clear();
                head.repairs = None;
            })
        };
        assert!(counters(1) && counters(most) && !counters(0) && !counters(most + 1));
        assert!(!reads(|head| head.bases[0].counter = 0));
        let other = |head: &mut Head| head.bases[0].stream = Name::parse("other").expect("a name");
        assert!(reads(|head| (head.bases[0].counter, _) = (most, other(head))));
        assert!(!reads(|head| (head.bases[0].counter, _) = (most + 1, other(head))));
    }

    #[test]
    fn each_base_is_another_release_and_an_earlier_one_of_the_own_stream() {
        let add = |stream: &str, counter, content: &[u8]| {
            let stream = Name::parse(stream).expect("a name");
            let base = Base { stream, counter, content_id: Digest::of(content) };
            reads(|head| head.bases.push(base))
        };
        assert!(add("models-eu", 6, b"another") && add("other", 5, b"another") && add("other", 7, b"another"));
        assert!(!add("models-eu", 7, b"another"), "not earlier");
        assert!(!add("models-eu", 5, b"another"), "the release twice, forked");
        assert!(!add("other", 5, b"base"), "the content twice");
        assert!(!add("other", 5, b"content"), "the own content");
    }

    #[test]
    fn survives_deep_nesting() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(matches!(Head::decode(deep.as_bytes()), Err(HeadError::Json(_))));
    }
}
