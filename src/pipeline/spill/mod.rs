//! What the packer keeps outside its memory: an external sort and the chunk index.
//!
//! Both take a budget in bytes, go to private files when it is spent, and answer the same whatever
//! it is.

mod file;
mod filter;
mod index;
mod sort;

pub use file::SpillError;
pub use index::ChunkIndex;
pub use sort::{RECORD_LEN_MAX, Sorted, Sorter};
