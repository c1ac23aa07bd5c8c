//! Tests that run whole flows.

mod model;
mod pack;
mod tree;
