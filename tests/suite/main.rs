//! The tests that run programs and servers, and the vectors of the specification.

mod authenticator;
mod codec_vectors;
mod trust;
mod trust_vectors;
mod wycheproof_vectors;
