//! Bytes are trusted only as signed: a head that is accepted has signers of the list, and no other bytes
//! pass with its signature.
//!
//! Input: lengths of the list of signers and of the signature (u16 each), these, the head.
#![no_main]

use airlift::format::{SignatureFile, Time};
use airlift::trust::policy::Expected;
use airlift::trust::{AllowedSigners, Authority, Purpose, Revoked, Terms, TrustedHead, authenticate};
use libfuzzer_sys::fuzz_target;
use std::num::NonZeroUsize;

fuzz_target!(|bytes: &[u8]| {
    let Some((&[a, b, c, d], rest)) = bytes.split_first_chunk() else { return };
    let Some((signers, rest)) = rest.split_at_checked(u16::from_le_bytes([a, b]).into()) else { return };
    let Some((signature, head)) = rest.split_at_checked(u16::from_le_bytes([c, d]).into()) else { return };
    let Ok(signers) = AllowedSigners::parse(signers) else { return };
    let authority = Authority { signers: &signers, revoked: &Revoked::default() };
    let expected = Expected { purpose: Purpose::Head, stream: None };
    let files = [SignatureFile { number: 1, bytes: signature.to_vec() }];
    let Ok(authentic) = authenticate(head.to_vec().into(), &files, &expected, authority) else { return };
    assert!(authenticate([head, b" "].concat().into(), &files, &expected, authority).is_err());
    let (threshold, now) = (NonZeroUsize::MIN, Time::from_unix(1_800_000_000));
    let terms = Terms { threshold, audience: None, now, installed_at: None };
    let two = Terms { threshold: threshold.saturating_add(1), ..terms.clone() };
    assert!(TrustedHead::accept(authentic.clone(), &two).is_err());
    if let Ok(trusted) = TrustedHead::accept(authentic, &terms) {
        assert_eq!(trusted.head().encode(), head);
        let mut listed = trusted
            .principals()
            .iter()
            .map(|principal| signers.iter().any(|(_, signer)| signer.principal == *principal));
        assert_eq!((listed.next(), listed.next()), (Some(true), None));
    }
});
