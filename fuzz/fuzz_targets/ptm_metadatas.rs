//! Metadata of models are refused or looked at; a model that is accepted lies where the platform looks.
#![no_main]

use airlift::tao::metadata::Metadata;
use libfuzzer_sys::fuzz_target;
use std::collections::HashSet;

fuzz_target!(|bytes: &[u8]| {
    let Ok(metadata) = Metadata::parse(bytes) else { return };
    let bad: HashSet<String> = metadata.bad_fields().into_iter().map(|one| one.entry).collect();
    for (_, entry) in metadata.entries().filter(|(key, _)| !bad.contains(*key)) {
        let sought = entry.sought().expect("a good entry has a folder");
        let model = entry.model().expect("a good entry has a model");
        assert_eq!(sought.folder == model.folder(), !sought.names_no_team);
    }
});
