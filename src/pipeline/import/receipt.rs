//! What arrived, for people and for the next import.

use super::error::ImportError;
use super::mapping::Mapping;
use super::plan::Plan;
use super::slots::Slots;
use super::state::{StateKeys, load_small, put_long};
use crate::format::{Digest, Head, Name, Proven, Sha256, SignatureFile, Time};
use crate::machine::Machine;
use crate::store::{Attributes, Condition, Store, StoreError};
use crate::trust::policy::Expected;
use crate::trust::{Authority, Purpose, authenticate};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

/// Records that are put or read at once, in bytes.
const RECORDS_LEN: usize = 4 << 20;

/// What arrived: a statement about one finished import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    format: ReceiptTag,
    /// The stream.
    pub stream: Name,
    /// The counter of the release.
    pub counter: u64,
    /// The content of the release.
    pub content_id: Digest,
    /// The SHA-256 of its sorted listing.
    pub tree_id: Sha256,
    /// Where it landed: the store's endpoint and bucket, or a directory.
    pub store: String,
    /// Where its roots landed.
    pub map: Mapping,
    /// When this import began.
    pub started_at: Time,
    /// When it was finished.
    pub finished_at: Time,
    /// What became of the entries.
    pub counts: Counts,
    /// The records of all objects, in manifest order.
    pub objects: Objects,
    /// Who signed the release.
    pub signers: Vec<String>,
    /// What a person should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum ReceiptTag {
    #[serde(rename = "airlift-receipt 1")]
    Receipt1,
}

/// What became of the entries of a release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Files that this run has landed.
    pub landed: u64,
    /// Files that were there before this run.
    pub already: u64,
    /// Files whose places hold foreign objects.
    pub skipped: u64,
    /// Files of roots that are left out.
    pub left_out: u64,
    /// Empty directories, for which a store has no place.
    pub directories: u64,
    /// Bytes of files that were sent.
    pub bytes_sent: u64,
    /// Bytes of all files of the release.
    pub bytes: u64,
}

/// Length and digest of the records of X-41.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objects {
    /// Their length in bytes.
    pub length: u64,
    /// Their BLAKE3.
    pub blake3: Digest,
}

/// What a receipt is made from, beside the head.
pub(super) struct Arrival<'a> {
    pub(super) store_name: &'a str,
    pub(super) map: &'a Mapping,
    pub(super) plan: &'a Plan,
    pub(super) landed_count: u64,
    pub(super) sent_len: u64,
    pub(super) started_at: Time,
    pub(super) finished_at: Time,
    pub(super) signers: Vec<String>,
    pub(super) warnings: Vec<String>,
}

impl Receipt {
    pub(super) fn new(head: &Head, arrival: Arrival<'_>, objects: Objects) -> Receipt {
        Receipt {
            format: ReceiptTag::Receipt1,
            stream: head.stream.clone(),
            counter: head.counter,
            content_id: head.content_id,
            tree_id: head.tree_id,
            store: arrival.store_name.to_owned(),
            map: arrival.map.clone(),
            started_at: arrival.started_at,
            finished_at: arrival.finished_at,
            counts: Counts {
                landed: arrival.landed_count,
                already: arrival.plan.landed_count,
                skipped: arrival.plan.skipped_count,
                left_out: arrival.plan.left_out_count,
                directories: arrival.plan.directory_count,
                bytes_sent: arrival.sent_len,
                bytes: head.totals.bytes,
            },
            objects,
            signers: arrival.signers,
            warnings: arrival.warnings,
        }
    }

    /// Returns the bytes of the receipt, as they are signed.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

/// Returns length and digest of the records.
///
/// # Errors
/// They can't be read.
pub(super) fn objects_of(slots: &Slots) -> io::Result<Objects> {
    let mut hasher = blake3::Hasher::new();
    let mut offset = 0;
    while offset < slots.len() {
        let records = slots.read(offset, RECORDS_LEN)?;
        hasher.update(&records);
        offset += records.len() as u64;
    }
    Ok(Objects { length: slots.len(), blake3: Digest::from_bytes(*hasher.finalize().as_bytes()) })
}

/// Puts receipt, signature and records under the release's state.
pub(super) fn write(
    store: &dyn Store,
    keys: &StateKeys,
    receipt: &Receipt,
    signature: Option<Vec<u8>>,
    (slots, slots_path): (&Slots, &Path),
) -> Result<(), ImportError> {
    let state_error = |source| ImportError::State { path: slots_path.to_owned(), source };
    let offsets = (0..slots.len()).step_by(RECORDS_LEN);
    let pieces = offsets.map(|offset| slots.read(offset, RECORDS_LEN).map_err(state_error));
    put_long(store, &keys.release_key("objects")?, pieces)?;
    let json = Attributes::of_type("application/json");
    if let Some(signature) = signature {
        let key = keys.release_key("receipt.sig")?;
        store.put(&key, &Proven::record(signature), &Attributes::of_type("text/plain"), &Condition::Any)?;
    }
    store.put(&keys.release_key("receipt.json")?, &Proven::record(receipt.encode()), &json, &Condition::Any)?;
    Ok(())
}

/// Fetches the receipt of a release with its records to `path`, where trust accepts it; nothing
/// where there is none that counts.
pub(super) fn fetch(
    store: &dyn Store,
    keys: &StateKeys,
    (stream, content_id): (&Name, &Digest),
    authority: Authority<'_>,
    (machine, path): (&Machine, &Path),
) -> Result<Option<Receipt>, ImportError> {
    let Some(bytes) = load_small(store, &keys.release_key("receipt.json")?)? else { return Ok(None) };
    let Some(signature) = load_small(store, &keys.release_key("receipt.sig")?)? else { return Ok(None) };
    let files = [SignatureFile { number: 1, bytes: signature.to_vec() }];
    let expected = Expected { purpose: Purpose::Receipt, stream: Some(stream.clone()) };
    let Ok(authentic) = authenticate(bytes, &files, &expected, authority) else { return Ok(None) };
    let Ok(receipt) = serde_json::from_slice::<Receipt>(authentic.bytes()) else { return Ok(None) };
    if receipt.content_id != *content_id || receipt.stream != *stream {
        return Ok(None);
    }
    let key = keys.release_key("objects")?;
    let state_error = |source| ImportError::State { path: path.to_owned(), source };
    let new = path.with_extension("new");
    let mut file = machine.create(&new, 0o600).map_err(state_error)?;
    let mut hasher = blake3::Hasher::new();
    let mut offset = 0;
    while offset < receipt.objects.length {
        let end = receipt.objects.length.min(offset + RECORDS_LEN as u64);
        let records = match store.read(&key, offset..end) {
            Ok(records) => records,
            Err(StoreError::NotFound { .. } | StoreError::ShortAnswer { .. }) => break,
            Err(error) => return Err(error.into()),
        };
        hasher.update(&records);
        io::Write::write_all(&mut file, &records).map_err(state_error)?;
        offset = end;
    }
    // Records that are not all there have another digest, too.
    if receipt.objects.blake3 != Digest::from_bytes(*hasher.finalize().as_bytes()) {
        machine.remove_file(&new).map_err(state_error)?;
        return Ok(None);
    }
    file.sync().and_then(|()| machine.rename(&new, path)).map_err(state_error)?;
    path.parent().map_or(Ok(()), |directory| machine.sync_directory(directory)).map_err(state_error)?;
    Ok(Some(receipt))
}
