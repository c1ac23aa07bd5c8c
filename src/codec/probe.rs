//! What is worth trying on a frame, judged by samples of it.

use super::Word;
use super::encode::{Kind, LEVEL};
use crate::format::Element;
use zstd::zstd_safe::{CCtx, compress_bound};

/// Bits a byte above which the entropy coder gains too little to be worth its time.
const STORED_BITS: f32 = 7.85;
/// Share of the plain entropy that planes have to leave, since an estimate varies.
const PLANES_GAIN: f32 = 0.96;
/// A longer word has to be better by this factor than a shorter one.
const LONGER_WORD_GAIN: f32 = 0.99;
/// Share of places whose next 4 bytes were seen shortly before, from which on zstd may
/// find repeats.
const REPEAT_SHARE: f32 = 0.1;

const SAMPLE_LEN_MIN: usize = 4 << 10;
const SAMPLE_LEN_MAX: usize = 32 << 10;
const PIECE_LEN: usize = 256;
const REPEAT_SAMPLE_LEN: usize = 4 << 10;
const TRIAL_LEN: usize = 16 << 10;
/// Frames below this have no statistics.
const PROBED_LEN_MIN: usize = 64;

/// Counts up to this have their [`code_weight`] in a table: a cache holds it, and a sample counts few
/// bytes more often.
const TABLED_COUNT_MAX: usize = 4 << 10;
/// Parts of a bit in which weights are counted.
const WEIGHT_UNIT: f32 = 256.0;

/// Judges frames, one after the other; a worker keeps one.
pub struct Prober {
    /// The weight of each count.
    weights: Box<[u32]>,
    zstd: CCtx<'static>,
    /// Room for one trial.
    room: Vec<u8>,
}

impl Default for Prober {
    fn default() -> Prober {
        let weights = (0..=TABLED_COUNT_MAX as u32).map(code_weight).collect();
        Prober { weights, zstd: CCtx::create(), room: vec![0; compress_bound(TRIAL_LEN)] }
    }
}

impl Prober {
    /// Says what to try on the frame `bytes`, whose table says `element`.
    ///
    /// It counts bytes in a sixteenth of a frame of up to 512 KiB, and in 32 KiB of a longer one; only
    /// where words and repeats both promise something it tries zstd on 16 KiB.
    pub fn probe(&mut self, bytes: &[u8], element: Element) -> Kind {
        if bytes.len() < PROBED_LEN_MIN {
            return Kind::Zstd;
        }
        let counts = Counts::of_sample(bytes);
        let plain_bits = self.bits(&counts, 1);
        if let Some((word, bits)) = self.best_word(&counts, element)
            && bits < plain_bits * PLANES_GAIN
            && bits < STORED_BITS
        {
            let is_zstd = has_repeats(bytes) && self.trial_bits(bytes) < bits;
            return if is_zstd { Kind::Zstd } else { Kind::Planes(word) };
        }
        if plain_bits > STORED_BITS && !has_repeats(bytes) { Kind::Stored } else { Kind::Zstd }
    }

    /// Returns the word whose planes take the fewest bits a byte, and these bits.
    fn best_word(&self, counts: &Counts, element: Element) -> Option<(Word, f32)> {
        let words: &[Word] = match element {
            Element::Unknown => &[Word::Two, Word::Four, Word::Eight],
            Element::Byte => &[],
            Element::Word2 => &[Word::Two],
            Element::Word4 => &[Word::Four],
            Element::Word8 => &[Word::Eight],
        };
        let all = words.iter().map(|word| (*word, self.bits(counts, *word as usize)));
        all.reduce(|best, next| if next.1 < best.1 * LONGER_WORD_GAIN { next } else { best })
    }

    /// Returns the bits a byte that an entropy coder needs for each place of a word by itself.
    fn bits(&self, counts: &Counts, word_len: usize) -> f32 {
        let mut bits = 0.0;
        for place in 0..word_len {
            let mut sums = [0; 256];
            for part in counts.places.iter().skip(place).step_by(word_len) {
                sums.iter_mut().zip(part).for_each(|(sum, count)| *sum += count);
            }
            bits += self.code_bits(&sums);
        }
        bits / counts.sample_len as f32
    }

    /// Returns the bits for all counted bytes: their entropy, and what a sample hides of it (Miller and
    /// Madow's correction), at most 8 bits each.
    fn code_bits(&self, counts: &[u32; 256]) -> f32 {
        let (mut total, mut kinds, mut sum) = (0, 0u32, 0);
        for count in counts {
            total += count;
            kinds += u32::from(*count > 0);
            sum += self.weight(*count);
        }
        if total == 0 {
            return 0.0;
        }
        let hidden = (kinds - 1) as f32 * std::f32::consts::LOG2_E / 2.0;
        ((self.weight(total) - sum) as f32 / WEIGHT_UNIT + hidden).min(8.0 * total as f32)
    }

    fn weight(&self, count: u32) -> u32 {
        self.weights.get(count as usize).copied().unwrap_or_else(|| code_weight(count))
    }

    /// Returns the bits a byte that zstd needs for a sample from the middle.
    fn trial_bits(&mut self, bytes: &[u8]) -> f32 {
        let sample = middle(bytes, TRIAL_LEN);
        // A failure only means that zstd is not chosen.
        let len = self.zstd.compress(self.room.as_mut_slice(), sample, LEVEL).unwrap_or(sample.len());
        8.0 * len as f32 / sample.len() as f32
    }
}

/// Returns `count * log2(count)` in [`WEIGHT_UNIT`]s; for all of a sample it stays below 2^27.
fn code_weight(count: u32) -> u32 {
    let count = count.max(1) as f32;
    (count * count.log2() * WEIGHT_UNIT).round() as u32
}

/// How often each byte occurs at each place of a word of 8 bytes, in a sample that is shifted left
/// by one bit as a whole: rotated words differ from it in one bit a word.
struct Counts {
    places: [[u32; 256]; 8],
    sample_len: u32,
}

impl Counts {
    fn of_sample(bytes: &[u8]) -> Counts {
        let sample_len = (bytes.len() / 16).clamp(SAMPLE_LEN_MIN, SAMPLE_LEN_MAX).min(bytes.len());
        let piece_count = sample_len.div_ceil(PIECE_LEN);
        let distance = (bytes.len() / piece_count / 8 * 8).max(8);
        let mut counts = Counts { places: [[0; 256]; 8], sample_len: 0 };
        for piece in bytes.chunks(distance).take(piece_count) {
            let mut before = 0;
            for (index, byte) in piece.iter().take(PIECE_LEN).enumerate() {
                counts.places[index % 8][usize::from(byte << 1 | before >> 7)] += 1;
                before = *byte;
            }
            counts.sample_len += piece.len().min(PIECE_LEN) as u32;
        }
        counts
    }
}

/// Tells whether a sample from the middle repeats itself.
fn has_repeats(bytes: &[u8]) -> bool {
    let sample = middle(bytes, REPEAT_SAMPLE_LEN);
    let mut last_places = [0u16; 1 << 11];
    let mut repeat_count = 0u32;
    for (place, window) in sample.array_windows::<4>().enumerate() {
        let hash = u32::from_le_bytes(*window).wrapping_mul(0x9e37_79b1) >> 21;
        let last = usize::from(std::mem::replace(&mut last_places[hash as usize], place as u16));
        if last < place && sample[last..last + 4] == *window {
            repeat_count += 1;
        }
    }
    repeat_count as f32 > REPEAT_SHARE * sample.len() as f32
}

fn middle(bytes: &[u8], len: usize) -> &[u8] {
    let len = len.min(bytes.len());
    let start = (bytes.len() - len) / 2;
    &bytes[start..start + len]
}
