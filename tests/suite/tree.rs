//! Directory trees made from seeds.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A source of bytes that a seed decides.
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Noise {
        Noise(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Returns bytes without any order.
    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }

    /// Returns words and lines.
    pub(crate) fn text(&mut self, len: usize) -> Vec<u8> {
        const WORDS: [&str; 8] = ["model ", "layer ", "weight ", "of ", "the ", "{\"id\": ", "}, ", "\n"];
        let mut text = Vec::with_capacity(len + 16);
        while text.len() < len {
            let choice = self.next();
            text.extend_from_slice(WORDS[(choice % 8) as usize].as_bytes());
            if choice & 0x700 == 0 {
                text.extend_from_slice(format!("{} ", choice >> 50).as_bytes());
            }
        }
        text.truncate(len);
        text
    }

    /// Returns BF16 numbers as weights have them: exponents close to each other.
    pub(crate) fn weights(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 2);
        while bytes.len() < len {
            let random = self.next();
            let exponent = 120 - (random & 0xff).leading_zeros().min(30) as u16 % 8;
            let number = (random >> 40) as u16 & 0x807f | exponent << 7;
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }

    /// Returns a safetensors file with these many bytes in each of its BF16 tensors.
    pub(crate) fn safetensors(&mut self, tensor_lens: &[usize]) -> Vec<u8> {
        let mut table = String::from("{");
        let mut start = 0;
        for (number, len) in tensor_lens.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            let (shape, end) = (len / 2, start + len);
            table.push_str(&format!(
                "{comma}\"layer.{number}\":{{\"dtype\":\"BF16\",\"shape\":[{shape}],\"data_offsets\":[{start},{end}]}}"
            ));
            start = end;
        }
        table.push('}');
        let mut file = (table.len() as u64).to_le_bytes().to_vec();
        file.extend_from_slice(table.as_bytes());
        file.extend(self.weights(start));
        file
    }
}

/// Files by path below a directory; nothing stands for an empty directory.
pub(crate) type Tree = BTreeMap<String, Option<Vec<u8>>>;

/// Writes a tree into a directory.
pub(crate) fn write(dir: &Path, tree: &Tree) {
    for (path, bytes) in tree {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match bytes {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::create_dir_all(&path).unwrap(),
        }
    }
}
