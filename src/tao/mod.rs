//! The NVIDIA TAO side: where the platform looks for models, what it is told of them, and what of that
//! would break it (spec/tao.md).
//!
//! | module | what it holds |
//! |---|---|
//! | [`model`] | where a model comes from, its folder and its id |
//! | [`address`] | where a server is |
//! | [`api`] | the platform's API |
//! | [`architectures`] | what the platform accepts, generated from its package |
//! | [`catalogue`] | the CSV file of models that are wanted |
//! | [`check`] | what is wrong with metadata and files |
//! | [`doctor`] | what is wrong, on both sides |
//! | [`entry`] | the entry that a model gets |
//! | [`fetch`] | from NGC and hubs to the layout that the platform reads |
//! | [`http`] | questions to a server |
//! | [`images`] | container images: from registries to bundles, and on into the enclave |
//! | [`metadata`] | `ptm_metadatas.json`, and the entries that break a listing |
//! | [`ngc`] | what NGC says of a version of a model |
//! | [`register`] | lets the platform load models, and proves that it did |
//! | [`model_registry`] | where the models lie in the bucket, and who says so |
//! | [`tree`] | a tree of models on disk, as the platform will see it |
//! | [`values`] | what a deployment has to be told |
//! | [`weights`] | which files the platform finds for an entry |

mod config_env;

pub mod address;
pub mod api;
pub mod architectures;
pub mod catalogue;
pub mod check;
pub mod doctor;
pub mod entry;
pub mod fetch;
pub mod http;
pub mod images;
pub mod metadata;
pub mod model;
pub mod model_registry;
pub mod ngc;
pub mod register;
pub mod tree;
pub mod values;
pub mod weights;
