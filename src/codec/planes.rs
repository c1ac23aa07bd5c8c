//! Words to planes of bytes and back (F-83).
//!
//! Rotated left by one, a float has its sign last and its whole exponent in the top byte, which is
//! the plane that compresses.

use super::Word;

/// Words that are turned at a time: few enough for the registers and the nearest cache.
const BLOCK_COUNT: usize = 64;

/// Splits the whole words of `raw` into planes, least significant first, back to back.
///
/// `planes` has the length of the whole words.
pub(super) fn split(word: Word, raw: &[u8], planes: &mut [u8]) {
    match word {
        Word::Two => split_words::<u16, 2>(raw, planes),
        Word::Four => split_words::<u32, 4>(raw, planes),
        Word::Eight => split_words::<u64, 8>(raw, planes),
    }
}

/// Joins planes to the whole words of `raw`: the first of `planes`, as many as a word has bytes.
pub(super) fn join(word: Word, planes: &[&[u8]; Word::Eight as usize], raw: &mut [u8]) {
    match word {
        Word::Two => join_words::<u16, 2>(planes, raw),
        Word::Four => join_words::<u32, 4>(planes, raw),
        Word::Eight => join_words::<u64, 8>(planes, raw),
    }
}

fn split_words<T: Bits<LEN>, const LEN: usize>(raw: &[u8], planes: &mut [u8]) {
    let plane_len = planes.len() / LEN;
    let (blocks, rest) = raw.as_chunks::<LEN>().0.as_chunks::<BLOCK_COUNT>();
    for (index, block) in blocks.iter().enumerate() {
        let turned = block.map(T::turned);
        for plane in 0..LEN {
            let start = plane * plane_len + index * BLOCK_COUNT;
            for (byte, turned) in planes[start..start + BLOCK_COUNT].iter_mut().zip(&turned) {
                *byte = turned.byte(plane);
            }
        }
    }
    let done = blocks.len() * BLOCK_COUNT;
    for (index, bytes) in rest.iter().enumerate() {
        let turned = T::turned(*bytes);
        (0..LEN).for_each(|plane| planes[plane * plane_len + done + index] = turned.byte(plane));
    }
}

fn join_words<T: Bits<LEN>, const LEN: usize>(planes: &[&[u8]; Word::Eight as usize], raw: &mut [u8]) {
    let planes: [&[u8]; LEN] = std::array::from_fn(|plane| planes[plane]);
    let word_at = |planes: &[&[u8]; LEN], index: usize| {
        let mut turned = T::default();
        (0..LEN).for_each(|plane| turned.put(plane, planes[plane][index]));
        turned.turned_back()
    };
    let (blocks, rest) = raw.as_chunks_mut::<LEN>().0.as_chunks_mut::<BLOCK_COUNT>();
    let done = blocks.len() * BLOCK_COUNT;
    for (number, block) in blocks.iter_mut().enumerate() {
        // Lengths that the compiler knows are what lets it turn many words at once.
        let planes = planes.map(|plane| &plane[number * BLOCK_COUNT..][..BLOCK_COUNT]);
        for (index, bytes) in block.iter_mut().enumerate() {
            *bytes = word_at(&planes, index);
        }
    }
    for (index, bytes) in rest.iter_mut().enumerate() {
        *bytes = word_at(&planes, done + index);
    }
}

trait Bits<const LEN: usize>: Copy + Default {
    fn turned(bytes: [u8; LEN]) -> Self;
    fn turned_back(self) -> [u8; LEN];
    fn byte(self, plane: usize) -> u8;
    fn put(&mut self, plane: usize, byte: u8);
}

macro_rules! bits {
    ($word:ty, $len:literal) => {
        impl Bits<$len> for $word {
            #[inline(always)]
            fn turned(bytes: [u8; $len]) -> $word {
                <$word>::from_le_bytes(bytes).rotate_left(1)
            }

            #[inline(always)]
            fn turned_back(self) -> [u8; $len] {
                self.rotate_right(1).to_le_bytes()
            }

            #[inline(always)]
            fn byte(self, plane: usize) -> u8 {
                (self >> (8 * plane)) as u8
            }

            #[inline(always)]
            fn put(&mut self, plane: usize, byte: u8) {
                *self |= <$word>::from(byte) << (8 * plane);
            }
        }
    };
}

bits!(u16, 2);
bits!(u32, 4);
bits!(u64, 8);
