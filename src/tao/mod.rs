//! The NVIDIA TAO side: where the platform looks for models, what it is told of them, and what of that
//! would break it (spec/tao.md).
//!
//! | module | what it holds |
//! |---|---|
//! | [`model`] | where a model comes from, its folder and its id |
//! | [`architectures`] | what the platform accepts, generated from its package |
//! | [`check`] | what is wrong with metadata and files |
//! | [`metadata`] | `ptm_metadatas.json`, and the entries that break a listing |
//! | [`tree`] | a tree of models on disk, as the platform will see it |
//! | [`weights`] | which files the platform finds for an entry |

pub mod architectures;
pub mod check;
pub mod metadata;
pub mod model;
pub mod tree;
pub mod weights;
