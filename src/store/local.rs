//! What the memory and directory stores have in common: pages, and tags made of digests.

use super::{Key, Page, PageToken, PartNumber, PartTag, StoreError, Tag, UploadedPart};
use crate::format::Digest;

/// Most items of a page, as S3 has it.
pub(super) const PAGE_COUNT_MAX: usize = 1000;

/// Returns a page of the items, of which one more than a page holds may have been collected.
pub(super) fn page_of<T>(mut items: Vec<T>, token: impl FnOnce(&T) -> PageToken) -> Page<T> {
    let more = items.len() > PAGE_COUNT_MAX;
    items.truncate(PAGE_COUNT_MAX);
    let next = if more { items.last().map(token) } else { None };
    Page { items, next }
}

/// Returns the last number of parts that are in ascending order.
pub(super) fn check_order(key: &Key, parts: &[UploadedPart]) -> Result<PartNumber, StoreError> {
    let ascending = parts.windows(2).all(|pair| pair[0].number < pair[1].number);
    match parts.last() {
        Some(last) if ascending => Ok(last.number),
        _ => Err(StoreError::PartsUnordered { key: key.clone() }),
    }
}

/// Returns the tag of a part: the digest of its bytes.
pub(super) fn part_tag(bytes: &[u8]) -> PartTag {
    PartTag::new(Digest::of(bytes).to_string())
}

/// Returns the tag of an object made of parts: the digest over their tags, and how many there are.
pub(super) fn finished_tag(parts: &[UploadedPart]) -> Tag {
    let tags: String = parts.iter().map(|part| part.tag.as_str()).collect();
    Tag::new(format!("{}-{}", Digest::of(tags.as_bytes()), parts.len()))
}
