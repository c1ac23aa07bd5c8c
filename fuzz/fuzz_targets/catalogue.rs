//! Any bytes are no catalogue, or every row of them is taken or refused with its line, and no two that are
//! taken have one id.
#![no_main]

use airlift::format::path::check_segment;
use airlift::tao::catalogue::Catalogue;
use libfuzzer_sys::fuzz_target;
use std::collections::HashSet;

fuzz_target!(|bytes: &[u8]| {
    let Ok(catalogue) = Catalogue::parse(bytes) else { return };
    let line_count = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).count() as u64;
    let mut ids = HashSet::new();
    for wanted in &catalogue.wanted {
        assert!((2..=line_count).contains(&wanted.line_number));
        assert!(ids.insert(wanted.model.id(&wanted.architecture)));
        assert!(wanted.model.folder().split('/').all(|part| check_segment(part).is_ok()));
    }
    assert!(catalogue.refused.iter().all(|row| (1..=line_count).contains(&row.line_number)));
});
