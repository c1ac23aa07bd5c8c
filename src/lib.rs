//! Airlift carries models, datasets and images into networks without a connection.
//!
//! Files become a content-addressed, deduplicated, compressed **bundle** with a signed head. Its
//! volumes travel on any media, one way, and are proven chunk by chunk while they stream into an
//! object store. `spec/` is the authority on bytes and behaviour; this page is the map of the code.
//!
//! # Modules, in reading order
//!
//! | module | what it holds | may use |
//! |---|---|---|
//! | [`error`] | whose problem an error is, and the exit code that says so | nothing |
//! | [`machine`] | files and waiting, each step of which a test can see and fail | nothing |
//! | [`mod@format`] | bytes ↔ values: paths, head, manifest, pack table, index | nothing of ours |
//! | [`chunking`] | where a file is cut | `format` |
//! | [`codec`] | frames: planes, zstd, probes | `format` |
//! | [`plan`] | rows into packs, packs into volumes, what is repeated | `format` |
//! | [`trust`] | signatures, allowed signers, policy | `format` |
//! | [`media`] | bundle directories and volumes on disk | `format`, `machine` |
//! | [`store`] | where objects land: memory, directory, S3 | `format` |
//! | [`pipeline`] | pack, write, verify, import, export: the joined flows | all above |
//! | [`tao`] | the NVIDIA TAO side: which models, where they lie, what is said of them | all above |
//!
//! `format`, `chunking`, `codec`, `plan` and `trust` are pure: no files, sockets, clocks, threads,
//! environment or randomness. The program (`main.rs`, `cli/`) stands on top and alone prints.
//!
//! # Invariants
//!
//! * Proof before parsing: signatures are checked over raw bytes, then digests lead on.
//! * An object becomes visible only when all its bytes are proven.
//! * Media are read-only to the importer, in any order, in separate runs.
//! * Memory is bounded by workers, never by bundle size, file size or file count.
//! * Killed anywhere, repeat the command.

pub mod chunking;
pub mod codec;
pub mod error;
pub mod format;
pub mod machine;
pub mod media;
pub mod pipeline;
pub mod plan;
pub mod store;
pub mod tao;
pub mod trust;
