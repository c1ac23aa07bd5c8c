//! A signing key that lives in memory for one demo. Real keys are ssh-keygen's business.

use crate::cli::failure::Failure;
use airlift::error::Class;
use airlift::format::Name;
use airlift::trust::key::Signature;
use airlift::trust::sshsig::signed_data;
use airlift::trust::{AllowedSigners, KeyType, Namespace, PublicKey, Purpose, Sshsig};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use std::fs;
use std::path::Path;

const TYPE: &str = "ssh-ed25519";

/// A key pair of this run.
pub(super) struct DemoKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl DemoKey {
    pub(super) fn new() -> Result<DemoKey, Failure> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| no_key())?;
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).map_err(|_| no_key())?;
        let blob = [string(TYPE.as_bytes()), string(pair.public_key().as_ref())].concat();
        let public = PublicKey::decode(&blob).map_err(|error| Failure::of(Class::Bug, &error))?;
        Ok(DemoKey { pair, public })
    }

    /// Returns the list that trusts this key for everything, as the receiver of the demo has it.
    pub(super) fn allowed_signers(&self) -> Result<AllowedSigners, Failure> {
        let line = format!("demo namespaces=\"airlift-head@v1/*\" {}\n", self.public);
        AllowedSigners::parse(line.as_bytes()).map_err(|error| Failure::of(Class::Bug, &error))
    }

    /// Signs a head and puts the signature into its bundle.
    pub(super) fn sign(&self, head: &[u8], stream: &Name, bundle: &Path) -> Result<(), Failure> {
        let namespace = Namespace { purpose: Purpose::Head, stream: stream.clone() };
        let numbers = self.pair.sign(&signed_data(&namespace, head));
        let blob = [string(TYPE.as_bytes()), string(numbers.as_ref())].concat();
        let signature = Signature::decode(&blob, KeyType::Ed25519).map_err(|error| Failure::of(Class::Bug, &error))?;
        let sshsig = Sshsig { key: self.public.clone(), namespace, signature };
        let directory = bundle.join("signatures");
        let path = directory.join("1.sig");
        fs::create_dir_all(&directory)
            .and_then(|()| fs::write(&path, sshsig.encode()))
            .map_err(|error| Failure::io("write", &path, &error))
    }
}

fn no_key() -> Failure {
    Failure::new(Class::Failed, "the system gives no random numbers for a key", "repeat the command")
}

/// Returns bytes as SSH carries them: behind their length.
fn string(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
}
