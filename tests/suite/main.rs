//! The tests that run programs and servers, and the vectors of the specification, in one binary.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing there"
)]

mod architecture;
mod authenticator;
mod bad_server;
mod both_readers;
mod by_hand;
mod cli;
mod codec_vectors;
mod config;
mod copies;
mod cut_vectors;
mod damage;
#[cfg(feature = "s3")]
mod doctor;
mod faults;
#[cfg(feature = "s3")]
mod fetch;
mod fixture;
mod forge;
mod format_vectors;
#[cfg(feature = "s3")]
mod hostile;
mod images;
mod images_hostile;
mod import;
#[cfg(feature = "s3")]
mod kill;
#[cfg(feature = "s3")]
mod listing;
mod manual;
mod model;
mod pack;
mod page;
#[cfg(feature = "s3")]
mod platform;
mod profile;
mod program;
mod reader;
#[cfg(feature = "s3")]
mod register;
mod registry;
#[cfg(feature = "s3")]
mod s3_faults;
#[cfg(feature = "s3")]
mod s3_server;
mod source;
#[cfg(feature = "s3")]
mod standin;
#[cfg(feature = "s3")]
mod steps;
mod stores;
mod tao;
mod tree;
mod trust;
mod trust_vectors;
#[cfg(feature = "s3")]
mod venv;
#[cfg(feature = "s3")]
mod weed;
#[cfg(feature = "s3")]
mod whole_way;
#[cfg(feature = "s3")]
mod write;
mod wycheproof_vectors;
