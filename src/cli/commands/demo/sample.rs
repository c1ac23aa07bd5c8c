//! A sample with the shapes of real cargo: weights, a fine-tune of them, and many small files.

use crate::cli::failure::Failure;
use airlift::pipeline::progress::Progress;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

const TENSOR_COUNT: usize = 16;
/// Numbers in a tensor.
const TENSOR_LEN: usize = 3 << 20;
/// Tensors that the fine-tune has changed.
const TUNED: [usize; 2] = [5, 11];
const FP32_TENSOR_COUNT: usize = 4;
const TEXT_COUNT: u64 = 2500;
const PICTURE_COUNT: u64 = 200;

/// What was made.
#[derive(Default)]
pub(super) struct Made {
    pub(super) file_count: u64,
    pub(super) len: u64,
}

/// Writes the roots `models` and `datasets` below `top`; the same bytes in every run.
pub(super) fn write(top: &Path, progress: &dyn Progress) -> Result<Made, Failure> {
    progress.begin("sample", 0, 0);
    let mut sample = Sample { top, progress, made: Made::default() };
    sample.weights("models/org/base/fp32/model.safetensors", Kind::Fp32, FP32_TENSOR_COUNT, &[])?;
    sample.weights("models/org/base/v1/model.safetensors", Kind::Bf16, TENSOR_COUNT, &[])?;
    sample.weights("models/org/tuned/v1/model.safetensors", Kind::Bf16, TENSOR_COUNT, &TUNED)?;
    for model in ["base", "tuned"] {
        let config =
            format!("{{\n  \"architectures\": [\"DemoForCausalLM\"],\n  \"_name_or_path\": \"org/{model}\"\n}}\n");
        sample.file(&format!("models/org/{model}/v1/config.json"), config.as_bytes())?;
    }
    for number in 0..TEXT_COUNT {
        sample.text(number)?;
    }
    for number in 0..PICTURE_COUNT {
        let mut random = Random::new(9000 + number);
        let len = 20_000 + random.next() as usize % 40_000;
        // Pictures are compressed already: nothing can be saved on them.
        let bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| random.next().to_le_bytes()).collect();
        sample.file(&format!("datasets/train/images/{number:06}.jpg"), &bytes)?;
    }
    Ok(sample.made)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bf16,
    Fp32,
}

struct Sample<'a> {
    top: &'a Path,
    progress: &'a dyn Progress,
    made: Made,
}

impl Sample<'_> {
    fn create(&mut self, path: &str) -> io::Result<BufWriter<File>> {
        let path = self.top.join(path);
        if let Some(above) = path.parent() {
            fs::create_dir_all(above)?;
        }
        Ok(BufWriter::with_capacity(1 << 20, File::create_new(path)?))
    }

    fn count(&mut self, len: u64) {
        self.made.file_count += 1;
        self.made.len += len;
        self.progress.advance(len, 1);
    }

    fn file(&mut self, path: &str, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.create(path).and_then(|mut file| file.write_all(bytes).and_then(|()| file.flush()));
        written.map_err(|error| Failure::io("write", &self.top.join(path), &error))?;
        self.count(bytes.len() as u64);
        Ok(())
    }

    fn text(&mut self, number: u64) -> Result<(), Failure> {
        let mut random = Random::new(number);
        let mut text = String::new();
        for object in 0..1 + random.next() % 24 {
            let corners = [random.next() % 1920, random.next() % 1080, random.next() % 640, random.next() % 480];
            let class = ["car", "person", "bicycle", "sign"][(random.next() % 4) as usize];
            text.push_str(&format!("{{\"id\": {object}, \"class\": \"{class}\", \"box\": {corners:?}}}\n"));
        }
        // Labels of two splits are often the same files.
        let split = if number % 5 == 4 { "val" } else { "train" };
        self.file(&format!("datasets/{split}/labels/{:03}/{number:06}.json", number / 100), text.as_bytes())
    }

    /// Writes a safetensors file; the `tuned` tensors are moved a little from those of the base.
    fn weights(&mut self, path: &str, kind: Kind, tensor_count: usize, tuned: &[usize]) -> Result<(), Failure> {
        let written = self.write_weights(path, kind, tensor_count, tuned);
        let len = written.map_err(|error| Failure::io("write", &self.top.join(path), &error))?;
        self.count(len);
        Ok(())
    }

    fn write_weights(&mut self, path: &str, kind: Kind, tensor_count: usize, tuned: &[usize]) -> io::Result<u64> {
        let (dtype, number_len) = match kind {
            Kind::Bf16 => ("BF16", 2),
            Kind::Fp32 => ("F32", 4),
        };
        let tensor_len = TENSOR_LEN * number_len;
        let tensors = (0..tensor_count).map(|tensor| {
            let (start, end) = (tensor * tensor_len, (tensor + 1) * tensor_len);
            let shape = [TENSOR_LEN / 1024, 1024];
            let offsets = [start, end];
            format!("\"layers.{tensor:02}.weight\":{{\"dtype\":\"{dtype}\",\"shape\":{shape:?},\"data_offsets\":{offsets:?}}}")
        });
        let mut header = format!("{{{}}}", tensors.collect::<Vec<_>>().join(","));
        header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
        let mut file = self.create(path)?;
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        for tensor in 0..tensor_count {
            let mut random = Random::new(tensor as u64 + 1);
            let mut step = Random::new(1000 + tensor as u64);
            for _ in 0..TENSOR_LEN {
                let mut number = random.normal() * 0.02;
                if tuned.contains(&tensor) {
                    number += step.normal() * 0.0005;
                }
                match kind {
                    // BF16 is the upper half of the number.
                    Kind::Bf16 => file.write_all(&number.to_le_bytes()[2..])?,
                    Kind::Fp32 => file.write_all(&number.to_le_bytes())?,
                }
            }
        }
        file.flush()?;
        Ok(8 + header.len() as u64 + (tensor_count * tensor_len) as u64)
    }
}

/// Numbers that a seed decides.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Returns a number that is distributed as weights are: the sum of eight is close to normal.
    fn normal(&mut self) -> f32 {
        let sum_of_four = |bits: u64| (0..4).map(|part| f32::from((bits >> (16 * part)) as u16)).sum::<f32>();
        let sum = sum_of_four(self.next()) + sum_of_four(self.next());
        // Mean 4 and variance 8/12, counted in units of 2^16.
        (sum / 65536.0 - 4.0) * 1.224_744_9
    }
}
