//! The tests that run programs, servers and whole flows, and the vectors of the specification.

mod authenticator;
mod codec_vectors;
mod model;
mod pack;
mod tree;
mod trust;
mod trust_vectors;
mod wycheproof_vectors;
