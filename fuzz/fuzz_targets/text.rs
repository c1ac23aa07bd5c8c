//! Names, times, digests, keys, prefixes and what else a text spells: refused, or spelt in one way.
#![no_main]

use airlift::format::{Digest, Name, Time};
use airlift::pipeline::import::{Mapping, Prefix};
use airlift::store::Key;
use airlift::trust::{Fingerprint, Namespace, Principal};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let same = |spelt: Option<String>| assert!(spelt.is_none_or(|spelt| spelt == text));
    same(Name::parse(text).ok().map(|name| name.to_string()));
    same(Time::parse(text).map(|time| time.to_string()));
    same(Digest::from_hex(text).map(|digest| digest.to_string()));
    same(Fingerprint::parse(text).map(|fingerprint| fingerprint.to_string()));
    same(Namespace::parse(text).map(|namespace| namespace.to_string()));
    same(Principal::parse(text).map(|principal| principal.to_string()));
    if let Ok(key) = Key::parse(text) {
        assert!(key.segments().all(|segment| !matches!(segment, "" | "." | "..")));
        same(Some(key.to_string()));
    }
    if let Ok(prefix) = Prefix::parse(text) {
        same(Some(prefix.to_string()));
        if let Ok(key) = prefix.key("a/b") {
            assert_eq!(key.as_str().strip_prefix(text), Some("a/b"));
        }
    }
    if let Ok(mapping) = serde_json::from_str::<Mapping>(text) {
        let again = serde_json::to_string(&mapping).expect("serialises");
        assert_eq!(serde_json::from_str::<Mapping>(&again).expect("own text"), mapping);
    }
});
