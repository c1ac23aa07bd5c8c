//! Container images: from registries or saved archives into an OCI layout, and out of a bundle into a
//! registry or a container engine.
//!
//! | module | what it holds |
//! |---|---|
//! | [`image_name`] | what an image is called |
//! | [`manifest`] | manifests and lists of them |
//! | [`layout`] | the directory of blobs and its index |
//! | [`auth`] | the credentials of `docker login`, and what registries want to see |
//! | [`registry`] | questions to a registry |
//! | [`fetch`] | from registries into a layout |
//! | [`carried`] | the images that a bundle carries |
//! | [`push`] | out of a bundle into a registry |
//! | [`load`] | out of a bundle into a container engine |
//! | [`tarball`] | where the members of a tar lie |
//! | [`saved`] | what `docker save` wrote, into a layout |
//! | [`deployment`] | which images a deployment needs |

pub mod auth;
pub mod carried;
pub mod deployment;
pub mod fetch;
pub mod image_name;
pub mod layout;
pub mod load;
pub mod manifest;
pub mod push;
pub mod registry;
pub mod saved;
pub mod tarball;
