//! A signer in software with fixed keys: what ssh-keygen and security keys would make, and every
//! way to make it wrong.
//!
//! It shares no code with the library, so both must agree on the bytes. Its signatures are the same
//! in every run.

use ring::digest::{SHA256, SHA384, SHA512, digest};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

/// A key pair whose private half everybody knows.
#[derive(Clone, Debug)]
pub(crate) struct TestKey {
    /// The name of its type, first field of the key and of its signatures.
    pub(crate) type_name: &'static str,
    secret: Secret,
    /// Of a security key: the relying party.
    pub(crate) application: Option<&'static str>,
}

#[derive(Clone, Debug)]
enum Secret {
    Ed25519([u8; 32]),
    Ecdsa(&'static Curve),
}

/// A curve with one key and one nonce. A nonce used twice betrays the key, which is no secret here.
#[derive(Debug)]
struct Curve {
    name: &'static str,
    order: &'static str,
    secret: &'static str,
    point: &'static str,
    nonce: &'static str,
    nonce_x: &'static str,
}

static P256: Curve = Curve {
    name: "nistp256",
    order: "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
    secret: "f205cc22050dcabf44753eca8c68556122735e38b537e7447618d6e29fd62f7d",
    point: "0495852a6408124115fb9e1ef4f73f1eb739aac49c7d0df495a4ca03070ddbea62\
            062ce942a1ef4d48b361b1a27f6c2c128112feaef96056223a1df94568a672e8",
    nonce: "8b3ec5dbe43838b10fba341ce75828719aa5bcfbe64603bf70c66ead8a79d9c3",
    nonce_x: "e618d2a778fd2c2e003752ae0fc4153d893c42caf70ae80b0b09eed7bc6b0b41",
};

static P384: Curve = Curve {
    name: "nistp384",
    order: "ffffffffffffffffffffffffffffffffffffffffffffffff\
            c7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    secret: "c178f0fb157e2af86311b9e7737364c6bb2eef458140bb87bfbf7715fba08ddd183afb4d563078d531967b3c8e3d9d6d",
    point: "041efd41a8bbb8afc485c9b186ff519f42bc90f798c0b72f2eb6796b1138065a1fc7b08022bc7014591fea74476302771a\
            f8fa629beb17247ec6706092dbf6a5b37337d56ea37ff370672275eb57a32a5187d5c7831cc7b0009d5a7c4a6905bd47",
    nonce: "f2f6e8c0509b86811beaef097510ca6b5738942acbe03fe91620ed295f4b92ca0e7d162d545eb5aa4227240f4f9a9824",
    nonce_x: "c385329c98213f34e4bf8c3654b3e9cd871ab7e181fb9a0b8d66f947fcd52007efbadcdedd141913b19275eb08054140",
};

impl TestKey {
    pub(crate) fn ed25519(seed: u8) -> TestKey {
        TestKey { type_name: "ssh-ed25519", secret: Secret::Ed25519([seed; 32]), application: None }
    }

    pub(crate) fn p256() -> TestKey {
        TestKey { type_name: "ecdsa-sha2-nistp256", secret: Secret::Ecdsa(&P256), application: None }
    }

    pub(crate) fn p384() -> TestKey {
        TestKey { type_name: "ecdsa-sha2-nistp384", secret: Secret::Ecdsa(&P384), application: None }
    }

    pub(crate) fn sk_ed25519(seed: u8) -> TestKey {
        let secret = Secret::Ed25519([seed; 32]);
        TestKey { type_name: "sk-ssh-ed25519@openssh.com", secret, application: Some("ssh:") }
    }

    pub(crate) fn sk_p256() -> TestKey {
        let secret = Secret::Ecdsa(&P256);
        TestKey { type_name: "sk-ecdsa-sha2-nistp256@openssh.com", secret, application: Some("ssh:") }
    }

    /// One key of each accepted type.
    pub(crate) fn one_of_each() -> [TestKey; 5] {
        [TestKey::ed25519(1), TestKey::p256(), TestKey::p384(), TestKey::sk_ed25519(2), TestKey::sk_p256()]
    }

    /// The public key's wire form.
    pub(crate) fn blob(&self) -> Vec<u8> {
        let mut blob = string(self.type_name.as_bytes());
        if let Secret::Ecdsa(curve) = self.secret {
            blob.extend(string(curve.name.as_bytes()));
        }
        blob.extend(string(&self.point()));
        if let Some(application) = self.application {
            blob.extend(string(application.as_bytes()));
        }
        blob
    }

    /// The public point.
    pub(crate) fn point(&self) -> Vec<u8> {
        match &self.secret {
            Secret::Ed25519(seed) => ed25519(seed).public_key().as_ref().to_vec(),
            Secret::Ecdsa(curve) => unhex(curve.point),
        }
    }

    /// `TYPE BASE64`, as in a `.pub` file.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.type_name, base64(&self.blob()))
    }

    /// The numbers of a signature over `data`, as the middle field of the signature has them.
    pub(crate) fn numbers(&self, data: &[u8]) -> Vec<u8> {
        match &self.secret {
            Secret::Ed25519(seed) => ed25519(seed).sign(data).as_ref().to_vec(),
            Secret::Ecdsa(curve) => {
                let (r, s) = curve.sign(data);
                [integer(&r), integer(&s)].concat()
            }
        }
    }

    /// A signature's wire form over `data`; a security key puts `flags` into it.
    pub(crate) fn signature(&self, data: &[u8], flags: u8) -> Vec<u8> {
        let Some(application) = self.application else {
            return [string(self.type_name.as_bytes()), string(&self.numbers(data))].concat();
        };
        let counter = 7u32.to_be_bytes();
        let application = digest(&SHA256, application.as_bytes());
        let message = digest(&SHA256, data);
        let said = [application.as_ref(), &[flags], &counter, message.as_ref()].concat();
        [&string(self.type_name.as_bytes()), &string(&self.numbers(&said)), &[flags][..], &counter].concat()
    }

    /// The record that ssh-keygen would make over `message`.
    pub(crate) fn record(&self, namespace: &str, message: &[u8]) -> Record {
        let mut record = Record {
            magic: b"SSHSIG".to_vec(),
            version: 1,
            key: self.blob(),
            namespace: namespace.as_bytes().to_vec(),
            reserved: Vec::new(),
            hash: b"sha512".to_vec(),
            signature: Vec::new(),
            tail: Vec::new(),
        };
        record.signature = self.signature(&record.signed_data(message), 1);
        record
    }

    /// The signature file that ssh-keygen would make over `message`.
    pub(crate) fn sign(&self, namespace: &str, message: &[u8]) -> Vec<u8> {
        armour(&self.record(namespace, message).bytes())
    }
}

/// The fields of an SSHSIG record, each open to tampering.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) magic: Vec<u8>,
    pub(crate) version: u32,
    pub(crate) key: Vec<u8>,
    pub(crate) namespace: Vec<u8>,
    pub(crate) reserved: Vec<u8>,
    pub(crate) hash: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    /// Bytes after the last field.
    pub(crate) tail: Vec<u8>,
}

impl Record {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.magic.clone();
        bytes.extend(self.version.to_be_bytes());
        for field in [&self.key, &self.namespace, &self.reserved, &self.hash, &self.signature] {
            bytes.extend(string(field));
        }
        bytes.extend(&self.tail);
        bytes
    }

    /// What a key signs for `message` with these fields.
    pub(crate) fn signed_data(&self, message: &[u8]) -> Vec<u8> {
        let algorithm = if self.hash == b"sha256" { &SHA256 } else { &SHA512 };
        let hashed = digest(algorithm, message);
        let mut data = self.magic.clone();
        for field in [&self.namespace, &self.reserved, &self.hash, &hashed.as_ref().to_vec()] {
            data.extend(string(field));
        }
        data
    }
}

/// The armour around a record.
pub(crate) fn armour(record: &[u8]) -> Vec<u8> {
    let text = base64(record);
    let lines: Vec<&str> = (0..text.len()).step_by(70).map(|start| &text[start..text.len().min(start + 70)]).collect();
    format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", lines.join("\n")).into_bytes()
}

/// A counted string.
pub(crate) fn string(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let mut text: String = bits
        .chunks(6)
        .map(|group| group.iter().fold(0, |sum, bit| sum << 1 | bit) << (6 - group.len()))
        .map(|value| char::from(DIGITS[usize::from(value)]))
        .collect();
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

impl Curve {
    /// s = (z + r d) / k, with r from the fixed nonce k.
    fn sign(&self, data: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let order = Number::from_hex(self.order);
        let hashed = if self.name == "nistp256" { digest(&SHA256, data) } else { digest(&SHA384, data) };
        let z = Number::from_bytes(hashed.as_ref()).modulo(&order);
        let r = Number::from_hex(self.nonce_x).modulo(&order);
        let sum = r.times(&Number::from_hex(self.secret), &order).plus(&z, &order);
        // By Fermat, k^(order - 2) is 1 / k.
        let inverse = Number::from_hex(self.nonce).power(&order.minus(&Number::from_hex("02")), &order);
        let s = sum.times(&inverse, &order);
        (r.bytes(), s.bytes())
    }
}

/// A number of up to 448 bits, least significant word first; slow and plain.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Number([u32; 14]);

impl Number {
    fn from_bytes(bytes: &[u8]) -> Number {
        let mut number = Number([0; 14]);
        for (index, &byte) in bytes.iter().rev().enumerate() {
            number.0[index / 4] |= u32::from(byte) << (8 * (index % 4));
        }
        number
    }

    fn from_hex(hex: &str) -> Number {
        Number::from_bytes(&unhex(hex))
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.iter().rev().flat_map(|word| word.to_be_bytes()).collect()
    }

    fn is_at_least(&self, other: &Number) -> bool {
        self.0.iter().rev().ge(other.0.iter().rev())
    }

    fn minus(&self, other: &Number) -> Number {
        let mut borrow = 0;
        Number(std::array::from_fn(|index| {
            let value = i64::from(self.0[index]) - i64::from(other.0[index]) + borrow;
            borrow = value >> 32;
            value as u32
        }))
    }

    fn modulo(&self, order: &Number) -> Number {
        if self.is_at_least(order) { self.minus(order).modulo(order) } else { self.clone() }
    }

    fn plus(&self, other: &Number, order: &Number) -> Number {
        let mut carry = 0;
        let sum = Number(std::array::from_fn(|index| {
            let value = u64::from(self.0[index]) + u64::from(other.0[index]) + carry;
            carry = value >> 32;
            value as u32
        }));
        sum.modulo(order)
    }

    fn bits(&self) -> impl Iterator<Item = bool> {
        self.0.iter().rev().flat_map(|word| (0..32).rev().map(move |bit| word >> bit & 1 == 1))
    }

    fn times(&self, other: &Number, order: &Number) -> Number {
        other.bits().fold(Number([0; 14]), |sum, bit| {
            let doubled = sum.plus(&sum, order);
            if bit { doubled.plus(self, order) } else { doubled }
        })
    }

    fn power(&self, exponent: &Number, order: &Number) -> Number {
        exponent.bits().fold(Number::from_hex("01"), |product, bit| {
            let squared = product.times(&product, order);
            if bit { squared.times(self, order) } else { squared }
        })
    }
}

/// A positive integer in the wire form of SSH.
pub(crate) fn integer(bytes: &[u8]) -> Vec<u8> {
    let mut digits: Vec<u8> = bytes.iter().copied().skip_while(|&byte| byte == 0).collect();
    if digits.first().is_some_and(|&byte| byte >= 0x80) {
        digits.insert(0, 0);
    }
    string(&digits)
}

fn ed25519(seed: &[u8; 32]) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(seed).expect("32 bytes")
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}
