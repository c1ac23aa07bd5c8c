//! All tests that run programs or servers, in one binary.

#[cfg(feature = "s3")]
mod s3_faults;
#[cfg(feature = "s3")]
mod s3_server;
mod stores;
#[cfg(feature = "s3")]
mod weed;
