//! The tests that run programs and servers, and the vectors of the specification.

#![expect(clippy::expect_used, reason = "a test says what it expects by failing there")]

mod authenticator;
mod codec_vectors;
mod fixture;
mod import;
mod trust;
mod trust_vectors;
mod wycheproof_vectors;
