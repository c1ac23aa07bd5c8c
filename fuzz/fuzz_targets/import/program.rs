//! A program as bytes, eight a step.

use crate::forge::Step;

/// The length of a step in bytes.
const STEP_LEN: usize = 8;
/// Kinds of steps; those behind [`CALLER_KINDS`] are calls.
const KIND_COUNT: u8 = 32;

/// Returns the steps of a program; a rest of less than a step is passed over.
pub(crate) fn steps(program: &[u8]) -> impl Iterator<Item = Step> {
    program.as_chunks().0.iter().map(step)
}

/// Returns the step that eight bytes mean; any do.
fn step(bytes: &[u8; STEP_LEN]) -> Step {
    let [kind, which, place_low, place_high, field, left, value_low, value_high] = *bytes;
    Step {
        kind: kind % KIND_COUNT,
        which,
        place: u16::from_le_bytes([place_low, place_high]),
        field,
        left,
        value: u16::from_le_bytes([value_low, value_high]),
    }
}
