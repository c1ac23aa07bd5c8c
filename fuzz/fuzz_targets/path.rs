//! A path is refused or kept as it is, safe to print and below its root.
#![no_main]

use airlift::format::EntryPath;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(path) = EntryPath::parse(bytes) {
        assert_eq!(path.as_bytes(), bytes);
        assert!(!path.as_str().chars().any(char::is_control));
        assert!(path.as_str().split('/').all(|segment| !segment.is_empty() && segment != ".."));
    }
});
