//! The number format of content.

/// The number format of most of a chunk's bytes, as the table of its file says. Advice to the
/// encoder of frames, never carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// No table speaks of these bytes.
    Unknown,
    /// Numbers of one byte or less, and quantised blocks.
    Byte,
    /// Numbers of 2 bytes.
    Word2,
    /// Numbers of 4 bytes.
    Word4,
    /// Numbers of 8 bytes.
    Word8,
}
