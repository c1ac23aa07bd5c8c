//! Signatures, allowed signers and policy: what makes bytes from a medium acceptable.
//!
//! Pure: times, files and lists are arguments. `spec/trust.md` is the authority.

pub mod allowed_signers;
pub mod base64;
pub mod head;
pub mod key;
mod pattern;
pub mod policy;
pub mod revoked;
pub mod sshsig;
pub mod validity;
mod wire;

pub use allowed_signers::{AllowedSigners, Principal};
pub use head::{Enrol, Installed, ReleaseError, Step, Terms, TrustedHead, UntrustedHead, judge_release};
pub use key::{Fingerprint, KeyType, PublicKey};
pub use policy::{Authentic, Authority, Expected, Moment, TrustError, TrustedBytes, authenticate};
pub use revoked::Revoked;
pub use sshsig::{Namespace, Purpose, Sshsig};
pub use validity::Validity;
pub use wire::WireError;

#[cfg(test)]
#[path = "../../tests/suite/authenticator.rs"]
#[allow(dead_code, reason = "the suite uses the rest")]
pub(crate) mod authenticator;
