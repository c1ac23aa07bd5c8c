//! The tests that run programs, servers and whole flows, and the vectors of the specification.

#![expect(clippy::expect_used, reason = "a test says what it expects by failing there")]

mod authenticator;
mod codec_vectors;
mod fixture;
mod import;
mod model;
mod pack;
mod tree;
mod trust;
mod trust_vectors;
mod wycheproof_vectors;
