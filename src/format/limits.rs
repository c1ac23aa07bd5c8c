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

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a number of bytes as the specification does.
    fn size(len: u64) -> String {
        match len.trailing_zeros() {
            20.. => format!("{} MiB", len >> 20),
            10.. => format!("{} KiB", len >> 10),
            _ => len.to_string(),
        }
    }

    fn count(number: u64) -> String {
        let digits = number.to_string();
        let groups: Vec<&str> =
            digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).expect("digits")).collect();
        groups.join(",")
    }

    #[test]
    fn the_limits_are_those_of_the_specification() {
        let spec = include_str!("../../spec/format.md");
        for line in [
            format!("chunk | 1 to {} ({} bytes)", size(CHUNK_LEN_MAX.into()), count(CHUNK_LEN_MAX.into())),
            format!("frame, raw | 1 to {}; stored at most raw", size(FRAME_RAW_LEN_MAX.into())),
            format!(
                "pack, raw | below {}; 1 to {} entries; at most {} rows",
                size(PACK_RAW_LEN_END),
                count(PACK_ENTRY_COUNT_MAX.into()),
                count(PACK_ROW_COUNT_MAX.into())
            ),
            format!("index | {}", size(INDEX_LEN_MAX.into())),
            format!(
                "page of manifest or pack table | {} ({} bytes); at least one record",
                size(PAGE_LEN_MAX.into()),
                count(PAGE_LEN_MAX.into())
            ),
            format!("pages of manifest, of pack table | 1 to 2^{} each", PAGE_COUNT_MAX.ilog2()),
            format!("roots of manifest and pack table together | {}", size(ROOTS_LEN_MAX)),
            format!("head | {}", size(HEAD_LEN_MAX)),
            format!("file | 2^{} bytes", FILE_LEN_MAX.ilog2()),
            format!("all files | 2^{} − 1 bytes", (TOTAL_LEN_MAX + 1).ilog2()),
            format!("counter | 1 to 2^{} − 1", (COUNTER_MAX + 1).ilog2()),
            format!("path | 1 to {} bytes; segment 1 to {SEGMENT_LEN_MAX} bytes", count(PATH_LEN_MAX as u64)),
            format!("name | 1 to {NAME_LEN_MAX} bytes"),
            format!("volumes | 1 to {}", count(VOLUME_COUNT_MAX.into())),
            format!("signatures | {SIGNATURE_COUNT_MAX}, each at most {}", size(SIGNATURE_LEN_MAX)),
            format!("attachments | {ATTACHMENT_COUNT_MAX}, each at most {}", size(ATTACHMENT_LEN_MAX)),
            format!("bases | {BASE_COUNT_MAX}"),
            format!("README.txt | {}", size(README_LEN_MAX)),
            format!("extra sections of a pack-table root or index | {SECTION_COUNT_MAX}"),
            format!(
                "`critical` names, `ext` names | {CRITICAL_COUNT_MAX} each; `ext` value {}",
                size(EXT_VALUE_LEN_MAX as u64)
            ),
        ] {
            assert!(spec.contains(&format!("\n| {line} |\n")), "the table of F-10 has no line {line:?}");
        }
        // A volume has room for the longest pack, its index and the copy of that.
        assert!(VOLUME_LEN_MIN >= PACK_RAW_LEN_END + 2 * u64::from(INDEX_LEN_MAX));
        const { assert!(VOLUME_LEN_DEFAULT < 1 << 32 && VOLUME_LEN_DEFAULT + VOLUME_LEN_MIN >= 1 << 32) };
        assert_eq!(CRITICAL_COUNT_MAX, EXT_COUNT_MAX);
        assert!(PAGE_COUNT_MAX.is_power_of_two() && FILE_LEN_MAX.is_power_of_two());
        assert!((TOTAL_LEN_MAX + 1).is_power_of_two() && (COUNTER_MAX + 1).is_power_of_two());
    }
}
