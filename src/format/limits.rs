//! Every promised bound of the format, in one place (F-10).
//!
//! A length from outside is compared with its limit here, and with the bytes left, before anything
//! is allocated.

/// Longest chunk, in bytes. The shortest is 1.
pub const CHUNK_LEN_MAX: u32 = 4 << 20;
/// Longest frame before encoding, in bytes.
pub const FRAME_RAW_LEN_MAX: u32 = 4 << 20;
/// Raw length at which a pack ends, and the largest file that may share a pack, in bytes.
pub const PACK_RAW_LEN: u64 = 32 << 20;
/// Upper bound on the raw length of a pack, exclusive, in bytes.
pub const PACK_RAW_LEN_END: u64 = 36 << 20;
/// Most rows in a pack.
pub const PACK_ROW_COUNT_MAX: u32 = 65_536;
/// Most entries in a pack.
pub const PACK_ENTRY_COUNT_MAX: u32 = 65_536;
/// Longest pack index, in bytes.
pub const INDEX_LEN_MAX: u32 = 8 << 20;
/// Longest page of the manifest or of the pack table, in bytes.
pub const PAGE_LEN_MAX: u32 = 1 << 20;
/// Most pages in a manifest or a pack table.
pub const PAGE_COUNT_MAX: u32 = 1 << 20;
/// Longest root of the manifest and of the pack table together, in bytes.
pub const ROOTS_LEN_MAX: u64 = 64 << 20;
/// Longest head, in bytes.
pub const HEAD_LEN_MAX: u64 = 1 << 20;
/// Longest file, in bytes.
pub const FILE_LEN_MAX: u64 = 1 << 44;
/// Largest total of all files, and the largest number in the head, so that every JSON reader keeps it
/// exact.
pub const TOTAL_LEN_MAX: u64 = (1 << 53) - 1;
/// Largest counter, for the same reason.
pub const COUNTER_MAX: u64 = (1 << 53) - 1;
/// Largest step from the installed counter to the next one.
pub const COUNTER_JUMP_MAX: u64 = 1 << 20;
/// Shortest part of a file that is more than one part, in bytes.
pub const PART_LEN_MIN: u64 = 32 << 20;
/// Parts of the largest file, so that a store with 10,000 parts an upload takes it.
pub const PART_COUNT_GOAL: u64 = 9_000;
/// Longest path of an entry, in bytes.
pub const PATH_LEN_MAX: usize = 1024;
/// Longest segment of a path, in bytes.
pub const SEGMENT_LEN_MAX: usize = 255;
/// Longest name of a stream, root, audience or attachment type, in bytes.
pub const NAME_LEN_MAX: usize = 64;
/// Most signatures of a bundle.
pub const SIGNATURE_COUNT_MAX: usize = 16;
/// Longest signature file, in bytes.
pub const SIGNATURE_LEN_MAX: u64 = 16 << 10;
/// Most attachments of a bundle.
pub const ATTACHMENT_COUNT_MAX: usize = 64;
/// Longest attachment, in bytes.
pub const ATTACHMENT_LEN_MAX: u64 = 16 << 20;
/// Most bases of a bundle.
pub const BASE_COUNT_MAX: usize = 16;
/// Longest README.txt, in bytes.
pub const README_LEN_MAX: u64 = 64 << 10;
/// Most volumes of a bundle; volume files have six digits.
pub const VOLUME_COUNT_MAX: u32 = 999_999;
/// Smallest volume size that pack accepts, in bytes.
pub const VOLUME_LEN_MIN: u64 = 64 << 20;
/// Volume size of pack when none is given: the largest file of FAT32, rounded down to 64 MiB.
pub const VOLUME_LEN_DEFAULT: u64 = 4032 << 20;
/// Most extra sections of a pack-table root or an index.
pub const SECTION_COUNT_MAX: u16 = 64;
/// Most `critical` names of a head.
pub const CRITICAL_COUNT_MAX: usize = 64;
/// Most `ext` names of a head.
pub const EXT_COUNT_MAX: usize = 64;
/// Longest value of an `ext` name, in bytes.
pub const EXT_VALUE_LEN_MAX: usize = 1024;
