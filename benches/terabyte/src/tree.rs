//! The trees that are packed: names, lengths and bytes, made when they are asked for.

use crate::noise::Place;
use std::fmt::Write as _;

/// Files that one directory of records has.
const RECORD_COUNT: u64 = 1000;
const RECORD_LEN_MAX: u64 = 900;
/// Models of a family: a first one and those tuned from it.
const FAMILY_LEN: usize = 4;
/// Tensors behind the layers.
const EXPERT_COUNT: u64 = 5;
/// Layers of the smallest model; the number is a multiple of five, so that the same share of every
/// model is tuned.
const LAYER_COUNT: u64 = 10;
/// Length of the smallest model, in bytes.
const MODEL_LEN: u64 = 500_000_000;
/// Name and KiB of the tensors of a layer. The last one has the exponents of weights, so that it
/// compresses, and is kept as it was encoded; all else is noise.
const LAYER: [(&str, u64); 10] = [
    ("input_norm", 4),
    ("q", 2048),
    ("k", 512),
    ("v", 512),
    ("o", 2048),
    ("post_norm", 4),
    ("gate", 5632),
    ("up", 5632),
    ("down", 5632),
    ("adapter", 64),
];

/// A file or directory of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Root,
    /// A model, by index.
    Model(usize),
    /// A directory of records, by index.
    Records(u64),
    /// A record, by its index in the whole tree.
    Record(u64),
}

/// A tree.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    /// Models, as safetensors.
    Models(Models),
    /// So many small files.
    Records(Records),
}

/// Models of one shape: each has the table, then its tensors.
#[derive(Clone, Debug)]
pub(crate) struct Models {
    count: usize,
    table: Vec<u8>,
    tensors: Vec<Tensor>,
}

/// A tensor, the same in all models but for its noise.
#[derive(Clone, Copy, Debug)]
struct Tensor {
    start: u64,
    end: u64,
    layer: u64,
    kind: u64,
}

/// Small files in directories; their bytes in order are the noise of one seed.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    count: u64,
    /// Sums of the lengths in the first directory; the next ones have them rotated.
    sums: Vec<u64>,
}

impl Tree {
    pub(crate) fn models(count: usize, len: u64) -> Tree {
        Tree::Models(Models::new(count, len))
    }

    pub(crate) fn records(count: u64) -> Tree {
        let len_of = |index: u64| index.wrapping_mul(0x9e37_79b9) % (RECORD_LEN_MAX + 1);
        let mut sums = vec![0];
        sums.extend((0..RECORD_COUNT).scan(0, |sum, index| {
            *sum += len_of(index);
            Some(*sum)
        }));
        Tree::Records(Records { count: count.next_multiple_of(RECORD_COUNT), sums })
    }

    /// Returns the number of files.
    pub(crate) fn file_count(&self) -> u64 {
        match self {
            Tree::Models(models) => models.count as u64,
            Tree::Records(records) => records.count,
        }
    }

    /// Returns the length of all files in bytes.
    pub(crate) fn total_len(&self) -> u64 {
        match self {
            Tree::Models(models) => models.count as u64 * models.len(),
            Tree::Records(records) => records.start_of(records.count),
        }
    }

    /// Returns the index of a file among all files.
    pub(crate) fn file_index(&self, entry: Entry) -> Option<u64> {
        match entry {
            Entry::Model(index) => Some(index as u64),
            Entry::Record(index) => Some(index),
            Entry::Root | Entry::Records(_) => None,
        }
    }

    /// Returns the length of a file; nothing for a directory.
    pub(crate) fn len(&self, entry: Entry) -> Option<u64> {
        match (self, entry) {
            (Tree::Models(models), Entry::Model(index)) => (index < models.count).then(|| models.len()),
            (Tree::Records(records), Entry::Record(index)) => {
                Some(records.start_of(index + 1) - records.start_of(index))
            }
            _ => None,
        }
    }

    /// Returns what has this name in a directory.
    pub(crate) fn child(&self, directory: Entry, name: &str) -> Option<Entry> {
        let number = name
            .bytes()
            .filter(u8::is_ascii_digit)
            .fold(0, |sum: u64, digit| sum.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')));
        let (found, entry) = self.nth(directory, number)?;
        (found == name).then_some(entry)
    }

    /// Returns name and entry at an index of a directory, in order of name.
    pub(crate) fn nth(&self, directory: Entry, index: u64) -> Option<(String, Entry)> {
        match (self, directory) {
            (Tree::Models(models), Entry::Root) if index < models.count as u64 => {
                Some((format!("model-{index:03}"), Entry::Model(index as usize)))
            }
            (Tree::Records(records), Entry::Root) if index < records.count / RECORD_COUNT => {
                Some((format!("part-{index:05}"), Entry::Records(index)))
            }
            (Tree::Records(_), Entry::Records(above)) if index < RECORD_COUNT => {
                Some((format!("record-{index:03}"), Entry::Record(above * RECORD_COUNT + index)))
            }
            _ => None,
        }
    }

    /// Returns path and entry of the file with this index among all files.
    pub(crate) fn file(&self, index: u64) -> Option<(String, Entry)> {
        match self {
            Tree::Models(_) => self.nth(Entry::Root, index),
            Tree::Records(_) => {
                let (above, directory) = self.nth(Entry::Root, index / RECORD_COUNT)?;
                let (name, entry) = self.nth(directory, index % RECORD_COUNT)?;
                Some((format!("{above}/{name}"), entry))
            }
        }
    }

    /// Returns the noise at an offset of a file, and how many bytes of it follow.
    pub(crate) fn noise_at(&self, entry: Entry, offset: u64) -> Option<(Place, u64)> {
        match (self, entry) {
            (Tree::Models(models), Entry::Model(index)) => {
                let tensor = models.tensor_at(offset)?;
                let place = Place { seed: tensor.seed(index), offset: offset - tensor.start };
                (!tensor.is_weights()).then_some((place, tensor.end - offset))
            }
            (Tree::Records(records), Entry::Record(index)) => {
                let rest_len = self.len(entry)?.checked_sub(offset)?;
                Some((Place { seed: 0, offset: records.start_of(index) + offset }, rest_len))
            }
            _ => None,
        }
    }

    /// Fills `bytes` from an offset of a file; they end where the file does or before.
    pub(crate) fn read(&self, entry: Entry, offset: u64, bytes: &mut [u8]) {
        match (self, entry) {
            (Tree::Models(models), Entry::Model(index)) => models.read(index, offset, bytes),
            (Tree::Records(_), Entry::Record(_)) => {
                if let Some((place, _)) = self.noise_at(entry, offset) {
                    place.fill(bytes);
                }
            }
            _ => {}
        }
    }
}

impl Records {
    /// Returns where the bytes of a record begin among those of all.
    fn start_of(&self, index: u64) -> u64 {
        let (directory, number) = (index / RECORD_COUNT, index % RECORD_COUNT);
        let total_len = self.sums[RECORD_COUNT as usize];
        let first = 37 * directory % RECORD_COUNT;
        let last = first + number;
        let turned_len = if last >= RECORD_COUNT { total_len } else { 0 };
        let sum = turned_len + self.sums[(last % RECORD_COUNT) as usize] - self.sums[first as usize];
        directory * total_len + sum
    }
}

impl Models {
    fn new(count: usize, len: u64) -> Models {
        let layer_count = (LAYER_COUNT * len / MODEL_LEN).next_multiple_of(EXPERT_COUNT);
        let mut models = Models { count, table: Vec::new(), tensors: Vec::new() };
        let mut members = String::new();
        for layer in 0..layer_count {
            for (kind, (name, kib)) in (0..).zip(LAYER) {
                models.add((layer, kind), kib << 10, &mut members, &format!("model.layers.{layer}.{name}.weight"));
            }
        }
        // The table has a length that depends on the last offsets, so it is given room.
        let table_len = (members.len() + 1024).next_multiple_of(64) as u64;
        let expert_len = (len - table_len - models.len()) / EXPERT_COUNT / 64 * 64;
        for expert in 0..EXPERT_COUNT {
            models.add((layer_count, expert), expert_len, &mut members, &format!("model.experts.{expert}.weight"));
        }
        let mut json = format!("{{{}}}", members.trim_end_matches(','));
        json.extend(std::iter::repeat_n(' ', table_len as usize - 8 - json.len()));
        models.table = (table_len - 8).to_le_bytes().into_iter().chain(json.bytes()).collect();
        for tensor in &mut models.tensors {
            (tensor.start, tensor.end) = (tensor.start + table_len, tensor.end + table_len);
        }
        models
    }

    fn add(&mut self, (layer, kind): (u64, u64), len: u64, members: &mut String, name: &str) {
        let (start, end) = (self.len(), self.len() + len);
        // Members of `String` never fail.
        let _ = write!(members, r#""{name}":{{"dtype":"BF16","shape":[{}],"data_offsets":[{start},{end}]}},"#, len / 2);
        self.tensors.push(Tensor { start, end, layer, kind });
    }

    /// Returns the length of each model.
    fn len(&self) -> u64 {
        self.tensors.last().map_or(0, |tensor| tensor.end)
    }

    fn tensor_at(&self, offset: u64) -> Option<&Tensor> {
        let index = self.tensors.partition_point(|tensor| tensor.end <= offset);
        self.tensors.get(index).filter(|tensor| tensor.start <= offset)
    }

    fn read(&self, model: usize, mut offset: u64, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            let table = self.table.get(offset as usize..).unwrap_or_default();
            let tensor = self.tensor_at(offset);
            let rest_len = tensor.map_or(table.len() as u64, |tensor| tensor.end - offset);
            let len = (bytes.len() as u64).min(rest_len) as usize;
            if len == 0 {
                break;
            }
            let (now, later) = bytes.split_at_mut(len);
            match tensor {
                Some(tensor) => tensor.read(model, offset - tensor.start, now),
                None => now.copy_from_slice(&table[..len]),
            }
            (offset, bytes) = (offset + len as u64, later);
        }
    }
}

impl Tensor {
    /// Returns the seed of its noise. Two fifths of the tensors at each place of a layer differ between a
    /// tuned model and the first of its family.
    fn seed(&self, model: usize) -> u32 {
        let variant = (model % FAMILY_LEN) as u64;
        let is_tuned = variant > 0 && (self.layer + self.kind + variant) % EXPERT_COUNT < 2;
        let family = (model / FAMILY_LEN * FAMILY_LEN) as u64 + if is_tuned { variant } else { 0 };
        1 + (family << 18 | self.layer << 4 | self.kind) as u32
    }

    fn is_weights(&self) -> bool {
        self.kind == LAYER.len() as u64 - 1
    }

    fn read(&self, model: usize, offset: u64, bytes: &mut [u8]) {
        Place { seed: self.seed(model), offset }.fill(bytes);
        if self.is_weights() {
            // The upper byte of a BF16 has the sign and most of the exponent, of which few occur.
            let is_upper = |index: &usize| (offset + *index as u64) % 2 == 1;
            (0..bytes.len()).filter(is_upper).for_each(|index| bytes[index] = bytes[index] & 0x81 | 0x3c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_what_their_tables_say() {
        let Tree::Models(models) = Tree::models(4, MODEL_LEN) else { panic!("models") };
        assert!(MODEL_LEN - models.len() < 1 << 10);
        let json: serde_json::Value = serde_json::from_slice(&models.table[8..]).expect("JSON");
        let ends = json.as_object().expect("an object").values().map(|tensor| tensor["data_offsets"][1].as_u64());
        assert_eq!(ends.max().flatten(), Some(models.len() - models.table.len() as u64));
        for variant in 1..4 {
            let tuned = models.tensors.iter().filter(|tensor| tensor.seed(0) != tensor.seed(variant));
            assert_eq!(tuned.count() * 5, models.tensors.len() * 2);
        }
    }

    #[test]
    fn a_model_reads_the_same_in_any_steps() {
        let tree = Tree::models(1, MODEL_LEN);
        let mut whole = vec![0; 3 << 20];
        tree.read(Entry::Model(0), 0, &mut whole);
        for step_len in [1000, 65_537] {
            let mut again = vec![0; whole.len()];
            let steps = again.chunks_mut(step_len).enumerate();
            steps.for_each(|(step, bytes)| tree.read(Entry::Model(0), (step * step_len) as u64, bytes));
            assert_eq!(again, whole);
        }
    }

    #[test]
    fn records_follow_each_other_without_gap() {
        let tree = Tree::records(3000);
        let mut end = 0;
        for index in 0..3000 {
            let (place, len) = tree.noise_at(Entry::Record(index), 0).expect("a record");
            assert_eq!(place.offset, end);
            assert_eq!(Some(len), tree.len(Entry::Record(index)));
            end += len;
        }
        assert_eq!(end, tree.total_len());
        assert_eq!(tree.child(Entry::Records(2), "record-456"), Some(Entry::Record(2456)));
        assert_eq!(tree.child(Entry::Records(2), "record-0456"), None);
        assert_eq!(tree.child(Entry::Root, "part-00003"), None);
    }
}
