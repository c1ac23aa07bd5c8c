//! What an import has left behind: told by [`status`], removed by [`abort`].

use super::error::ImportError;
use super::journal::Journal;
use super::lease::{Held, Holder, holder_in, holder_of};
use super::mapping::Prefix;
use super::state::{self, LocalState, StateKeys, Use};
use super::{ImportOptions, Shipment, keys_of};
use crate::format::head::Release;
use crate::machine::Machine;
use crate::pipeline::lookup::Lookup;
use crate::store::{Key, Store, StoreError, paging};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a release stands in a store.
#[derive(Debug)]
pub struct Status {
    /// The release that is installed.
    pub installed: Option<Release>,
    /// Who imports now, or died while importing.
    pub holder: Option<Holder>,
    /// Open uploads at keys of the release, and when the oldest was opened, in milliseconds since 1970.
    pub open_uploads: (u64, Option<u64>),
    /// Parts that the journal here has for them.
    pub journalled_part_count: u64,
    /// Packs that wait in the store for what they refer to.
    pub waiting_count: u64,
}

/// A stream whose import has not come to its end, by what lies in the store. Nothing of it is proven.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unfinished {
    /// The stream.
    pub stream: String,
    /// Who imports now, or died while importing.
    pub holder: Option<Holder>,
    /// Packs that wait for what they refer to.
    pub waiting_count: u64,
}

/// What was removed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Aborted {
    /// Uploads that were open at keys of the release.
    pub upload_count: u64,
    /// Objects of the unfinished release's state.
    pub state_count: u64,
}

/// Tells how a release stands in a store; changes nothing.
///
/// # Errors
/// Store, state or bundle can't be read.
pub fn status(shipment: &Shipment<'_>, store: &Arc<dyn Store>, options: &ImportOptions) -> Result<Status, ImportError> {
    let head = shipment.bundle.head();
    let keys = keys_of(shipment, options);
    let store = store.as_ref();
    let local = LocalState::open(&Machine::default(), options, &head.stream, Use::Look)?;
    let path = local.release_file(&head.content_id, "uploads");
    let journalled = Journal::peek(&path).map_err(|source| ImportError::State { path, source })?;
    let installed = state::read_installed(store, &keys, shipment.bundle, shipment.authority)?;
    let mut open_uploads = (0, None::<u64>);
    each_upload(shipment, store, options, |_, opened_at_ms| {
        open_uploads.0 += 1;
        open_uploads.1 = [open_uploads.1, opened_at_ms].into_iter().flatten().min();
        Ok(())
    })?;
    let prefix = keys.spool_prefix();
    let mut waiting_count = 0;
    for listed in paging::objects(store, &prefix) {
        listed?;
        waiting_count += 1;
    }
    Ok(Status {
        installed: installed.map(|one| one.installed.release),
        holder: holder_of(store, &keys)?,
        open_uploads,
        journalled_part_count: journalled.values().map(|upload| upload.parts.len() as u64).sum(),
        waiting_count,
    })
}

/// Tells of every stream under a state prefix whose import has not come to its end; changes nothing, and
/// needs no bundle.
///
/// # Errors
/// The store fails.
pub fn unfinished(store: &dyn Store, state_prefix: &Prefix) -> Result<Vec<Unfinished>, StoreError> {
    let mut streams: BTreeMap<String, Unfinished> = BTreeMap::new();
    for listed in paging::objects(store, state_prefix.as_str()) {
        let key = listed?.key;
        let below = key.strip_prefix(state_prefix.as_str()).and_then(|below| below.split_once('/'));
        let Some((stream, rest)) = below else { continue };
        let is_lease = rest == "lease";
        let waits = rest.starts_with("releases/") && rest.contains("/spool/");
        if !is_lease && !waits {
            continue;
        }
        let found = streams.entry(stream.to_owned()).or_default();
        found.stream = stream.to_owned();
        match Key::parse(&key) {
            Ok(key) if is_lease => found.holder = holder_in(store, &key)?,
            _ => found.waiting_count += 1,
        }
    }
    Ok(streams.into_values().collect())
}

/// Removes what an unfinished import has left, but for objects that landed.
///
/// # Errors
/// Another importer is at work, or the store fails.
pub fn abort(
    shipment: &Shipment<'_>,
    store: &Arc<dyn Store>,
    options: &ImportOptions,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<Aborted, ImportError> {
    let head = shipment.bundle.head();
    let keys = keys_of(shipment, options);
    let store = store.as_ref();
    let local = LocalState::open(&Machine::default(), options, &head.stream, Use::Import)?;
    let lease = Held::take((store, local.machine()), &keys, &options.holder, head.counter, is_cancelled)?;
    let aborted = abort_under_lease(shipment, store, options, (&keys, &local));
    lease.release()?;
    aborted
}

fn abort_under_lease(
    shipment: &Shipment<'_>,
    store: &dyn Store,
    options: &ImportOptions,
    (keys, local): (&StateKeys, &LocalState),
) -> Result<Aborted, ImportError> {
    let head = shipment.bundle.head();
    let mut aborted = Aborted::default();
    let mut uploads = Vec::new();
    each_upload(shipment, store, options, |upload, _| {
        uploads.push(upload);
        Ok(())
    })?;
    for (key, upload) in &uploads {
        store.abort_upload(key, upload)?;
        aborted.upload_count += 1;
    }
    let installed = state::read_installed(store, keys, shipment.bundle, shipment.authority)?;
    let is_installed = installed.is_some_and(|one| one.installed.release == head.release());
    let prefix = if is_installed { keys.spool_prefix() } else { keys.release_prefix().to_owned() };
    let mut left = Vec::new();
    for listed in paging::objects(store, &prefix) {
        left.extend(Key::parse(&listed?.key));
    }
    for key in &left {
        store.remove(key)?;
        aborted.state_count += 1;
    }
    if !is_installed {
        local.forget_release(&head.content_id)?;
    }
    Ok(aborted)
}

/// Calls `each` with every open upload at a key of the release.
fn each_upload(
    shipment: &Shipment<'_>,
    store: &dyn Store,
    options: &ImportOptions,
    mut each: impl FnMut((Key, crate::store::UploadId), Option<u64>) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    let lookup = Lookup::new();
    for (_, prefix) in options.map.prefixes() {
        for upload in paging::uploads(store, prefix.as_str()) {
            let upload = upload?;
            let Some(path) = options.map.path_of(&upload.key) else { continue };
            let is_ours = lookup.entry(shipment.bundle, &path)?.is_some_and(|found| found.file.is_some());
            if let (true, Ok(key)) = (is_ours, Key::parse(&upload.key)) {
                each((key, upload.upload), upload.opened_at_ms)?;
            }
        }
    }
    Ok(())
}
