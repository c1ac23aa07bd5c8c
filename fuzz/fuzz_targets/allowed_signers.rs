//! The parsers of allowed signers and of revoked keys on arbitrary bytes.
//!
//! A file that is accepted stays accepted with comments added, loses its keys with nothing but them
//! removed, and is refused as soon as one of its keys stands on a second line.
#![no_main]

use airlift::trust::{AllowedSigners, PublicKey, Revoked};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(revoked) = Revoked::parse(bytes) {
        let again = Revoked::parse(&[b"# comment\n", bytes].concat()).expect("a comment changes nothing");
        for line in std::str::from_utf8(bytes).unwrap_or_default().lines() {
            if let Ok(key) = PublicKey::parse(line.trim_matches([' ', '\t'])) {
                assert!(revoked.contains(&key) && again.contains(&key));
            }
        }
    }
    let Ok(signers) = AllowedSigners::parse(bytes) else { return };
    let (key, signer) = signers.iter().next().expect("a file without signers is refused");
    assert_eq!(PublicKey::parse(&key.to_string()).as_ref(), Ok(key));
    let commented = [b"# comment\n", bytes, b"\n# comment"].concat();
    let again = AllowedSigners::parse(&commented).expect("a comment changes nothing");
    assert!(again.iter().eq(signers.iter()));
    let second = format!("\n{} namespaces=\"*\" {key}\n", signer.principal);
    assert!(AllowedSigners::parse(&[bytes, second.as_bytes()].concat()).is_err());
});
