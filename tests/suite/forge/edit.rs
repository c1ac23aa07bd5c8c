//! Changes to one structure: a field, a record, or bytes anywhere.

use super::Step;
use super::layout::{DIRECTORY, FILE, Record};
use std::ops::Range;

/// Values at the limits of F-10 and of the widths, and one beside them.
const VALUES: [u64; 32] = [
    0,
    1,
    2,
    3,
    63,
    64,
    255,
    256,
    65_535,
    65_536,
    65_537,
    999_999,
    1_000_000,
    1 << 20,
    (1 << 20) + 1,
    4 << 20,
    (4 << 20) + 1,
    8 << 20,
    (8 << 20) + 1,
    32 << 20,
    36 << 20,
    64 << 20,
    (64 << 20) + 1,
    u32::MAX as u64 - 1,
    u32::MAX as u64,
    1 << 44,
    (1 << 44) + 1,
    (1 << 53) - 1,
    1 << 53,
    1 << 63,
    u64::MAX - 1,
    u64::MAX,
];

/// Paths that a hostile signer may try.
const PATHS: [&[u8]; 16] = [
    b"models/../x",
    b"models/./x",
    b"models//x",
    b"/models/x",
    b"models/x/",
    b"models",
    b"datasets/zz",
    b"other/x",
    b"models/.uploads/x",
    b"models/con.txt",
    b"models/a\\b",
    b"models/a\nb",
    b"models/\xff",
    b"models/x.",
    b".airlift/models-eu/installed",
    b"models/\xe2\x80\xaex",
];

/// The operations, in the order of their numbers.
pub(super) const OPERATION_COUNT: u8 = 12;

/// Does operation `number` to the bytes with this layout.
pub(super) fn edit(number: u8, bytes: &mut Vec<u8>, records: &[Record], step: &Step) {
    let Some(at) = usize::from(step.place).checked_rem(records.len()) else { return };
    let record = &records[at];
    let Some(field) = record.fields.get(usize::from(step.field) % record.fields.len().max(1)).cloned() else { return };
    let [low, high] = step.value.to_le_bytes();
    match number {
        0 => set(bytes, field, |_| step.value.into()),
        1 => set(bytes, field, |old| old.wrapping_add_signed(i64::from(step.value.cast_signed()))),
        2 => set(bytes, field, |_| VALUES[usize::from(step.value) % VALUES.len()]),
        3 => copy_from(bytes, field, &records[usize::from(step.value) % records.len()], step.field),
        4 => {
            let offset = field.start + usize::from(high) % field.len().max(1);
            if let Some(byte) = bytes.get_mut(offset) {
                *byte ^= low.max(1);
            }
        }
        5 => drop(bytes.drain(record.range())),
        6 => {
            let copy = bytes[record.range()].to_vec();
            drop(bytes.splice(record.range().end..record.range().end, copy));
        }
        7 => {
            let next = records.get(at + 1).map_or(record.range(), Record::range);
            bytes[record.range().start..next.end].rotate_left(record.range().len());
        }
        8 => bytes.truncate(field.start),
        9 => bytes.resize(bytes.len() + usize::from(high) % 128 + 1, low),
        10 => rename(bytes, record, PATHS[usize::from(step.value) % PATHS.len()]),
        _ => {
            // The last byte of a path, so that order changes and length does not.
            if let Some(byte) = bytes.get_mut(record.range().end - 1) {
                *byte = byte.wrapping_add(low.max(1));
            }
        }
    }
}

/// Changes a number, little-endian or in decimal digits.
fn set(bytes: &mut Vec<u8>, field: Range<usize>, change: impl FnOnce(u64) -> u64) {
    let old = &bytes[field.clone()];
    let digits = std::str::from_utf8(old).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    if let Some(number) = digits.and_then(|text| text.parse().ok()) {
        drop(bytes.splice(field, change(number).to_string().into_bytes()));
    } else if field.len() <= 8 {
        let number = old.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let changed = change(number).to_le_bytes();
        bytes[field.clone()].copy_from_slice(&changed[..field.len()]);
    } else {
        let changed = change(u64::from(old[0])).to_le_bytes();
        bytes[field.start..field.start + 8].copy_from_slice(&changed);
    }
}

/// Copies the same field of another record, where both are as long or the bytes are text.
fn copy_from(bytes: &mut Vec<u8>, field: Range<usize>, other: &Record, number: u8) {
    let Some(from) = other.fields.get(usize::from(number) % other.fields.len().max(1)).cloned() else { return };
    if from.len() == field.len() || bytes.starts_with(b"{") {
        let copy = bytes[from].to_vec();
        drop(bytes.splice(field, copy));
    }
}

/// Gives an entry another path, its length with it.
fn rename(bytes: &mut Vec<u8>, record: &Record, path: &[u8]) {
    if ![FILE, DIRECTORY].contains(&record.kind) {
        return;
    }
    let (len, old) = (record.fields[0].clone(), record.fields[record.fields.len() - 1].clone());
    bytes[len].copy_from_slice(&(path.len() as u32).to_le_bytes()[..3]);
    drop(bytes.splice(old, path.iter().copied()));
}
