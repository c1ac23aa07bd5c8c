//! Directory trees made from seeds.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A source of numbers and bytes that a seed decides: not random enough for anything but tests.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
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

    /// Returns BF16 numbers as weights have them: the upper halves of small floats.
    pub(crate) fn weights(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 2);
        while bytes.len() < len {
            let sum: f32 = (0..4).map(|_| (self.next() >> 40) as f32 / (1u64 << 24) as f32 - 0.5).sum();
            bytes.extend_from_slice(&(sum * 0.05).to_le_bytes()[2..]);
        }
        bytes.truncate(len);
        bytes
    }

    /// Returns a safetensors file with these many bytes in each of its tensors.
    pub(crate) fn safetensors(&mut self, tensor_lens: &[usize]) -> Vec<u8> {
        let weights = self.weights(tensor_lens.iter().sum());
        safetensors(tensor_lens, &weights)
    }
}

/// Returns a safetensors file of these bytes, split into BF16 tensors of these lengths.
pub(crate) fn safetensors(tensor_lens: &[usize], data: &[u8]) -> Vec<u8> {
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
    [&(table.len() as u64).to_le_bytes()[..], table.as_bytes(), data].concat()
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

/// What a tree of two roots is made of.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    /// Bytes of the base model and of its fine-tune.
    pub(crate) model_len: usize,
    /// Bytes of each file of noise; they are not compressed.
    pub(crate) noise_len: usize,
    pub(crate) noise_count: u64,
    /// Small text files, some of them twice, with a picture for every fourth.
    pub(crate) small_count: usize,
}

/// Returns a tree of the roots `models` and `datasets`: a base model, a fine-tune of it that shares most
/// chunks and differs from release to release, noise, and small files.
pub(crate) fn of_release(size: Size, release: u64) -> Tree {
    let Size { model_len, noise_len, noise_count, small_count } = size;
    let (mut random, mut tree) = (Random::new(7), Tree::new());
    let mut put = |path: String, bytes: Vec<u8>| drop(tree.insert(path, Some(bytes)));
    let step_len = model_len / 8 / 2 * 2;
    let mut tensor_lens = [step_len; 8];
    tensor_lens[7] = model_len - 7 * step_len;
    let mut weights = random.weights(model_len);
    put("models/org/base/v1/model.safetensors".to_owned(), safetensors(&tensor_lens, &weights));
    let step = 1 + release as usize % 3;
    weights[step * step_len..][..step_len].copy_from_slice(&Random::new(100 + release).weights(step_len));
    put("models/org/tuned/v1/model.safetensors".to_owned(), safetensors(&tensor_lens, &weights));
    put("models/org/tuned/v1/config.json".to_owned(), format!("{{\"release\": {release}}}\n").into_bytes());
    put("models/org/tuned/v1/lock".to_owned(), Vec::new());
    for number in 0..noise_count {
        put(format!("models/org/noise/{number}.bin"), Random::new(1000 + number).bytes(noise_len));
    }
    for number in 0..small_count {
        let text = format!("label {} of picture {number}\n", number % 10).repeat(1 + number % 40).into_bytes();
        if number % 4 == 0 {
            let len = 2000 + random.below(9000) as usize;
            put(format!("datasets/train/pictures/{number:06}.jpg"), random.bytes(len));
        }
        if number % 10 == 0 {
            put(format!("datasets/val/labels/{number:06}.txt"), text.clone());
        }
        put(format!("datasets/train/labels/{:03}/{number:06}.txt", number / 100), text);
    }
    put("datasets/odd/a b?#+%&=é.txt".to_owned(), b"odd name".to_vec());
    tree.insert("models/org/empty/v1".to_owned(), None);
    tree
}
