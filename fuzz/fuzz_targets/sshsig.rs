//! The SSHSIG decoder on arbitrary bytes: as the record, as the text, and as a whole signature file.
//!
//! What is accepted has exactly one encoding, and its key verifies without a panic.
#![no_main]

use airlift::trust::sshsig::{Sshsig, encode_armour};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(sshsig) = Sshsig::decode(bytes) {
        assert_eq!(sshsig.encode().as_bytes(), bytes);
    }
    let armour = encode_armour(bytes);
    match Sshsig::decode_blob(bytes) {
        Ok(sshsig) => {
            assert_eq!(sshsig.encode_blob(), bytes);
            if armour.len() <= 16 << 10 {
                assert_eq!(Sshsig::decode(armour.as_bytes()).as_ref(), Ok(&sshsig));
            }
            sshsig.verifies(b"message");
        }
        Err(_) => assert!(Sshsig::decode(armour.as_bytes()).is_err()),
    }
});
