//! What an import keeps: objects under the state prefix and a local directory.

use super::ImportOptions;
use super::error::ImportError;
use super::mapping::{Mapping, Prefix};
use crate::format::head::Release;
use crate::format::{Digest, Head, Name, Proven, SignatureFile, Time};
use crate::machine::{Lock, Machine};
use crate::media::MetaFile;
use crate::pipeline::bundle::{BundleError, MetaSource, TrustedBundle};
use crate::store::{Attributes, Condition, Key, KeyError, PartNumber, Store, StoreError, Tag, UploadedPart};
use crate::trust::policy::Expected;
use crate::trust::{Authority, Installed, Purpose, authenticate};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest small state object that is read, in bytes.
const STATE_LEN_MAX: u64 = 1 << 20;
/// Length of the parts in which long state objects are put.
const STATE_PART_LEN: usize = 16 << 20;

/// The keys of a release under the state prefix.
#[derive(Clone, Debug)]
pub(super) struct StateKeys {
    stream_prefix: String,
    release_prefix: String,
}

impl StateKeys {
    /// Returns the keys of a release of a stream.
    pub(super) fn new(state_prefix: &Prefix, stream: &Name, counter: u64, content_id: &Digest) -> StateKeys {
        let stream_prefix = format!("{state_prefix}{stream}/");
        let release_prefix = format!("{stream_prefix}releases/{counter}-{content_id}/");
        StateKeys { stream_prefix, release_prefix }
    }

    /// Returns the same stream's keys for another release.
    #[must_use]
    pub(super) fn of_release(&self, release: &Release) -> StateKeys {
        let release_prefix = format!("{}releases/{}-{}/", self.stream_prefix, release.counter, release.content_id);
        StateKeys { stream_prefix: self.stream_prefix.clone(), release_prefix }
    }

    /// Returns the key of the lease.
    ///
    /// # Errors
    /// The state prefix makes no key.
    pub(super) fn lease(&self) -> Result<Key, StoreError> {
        self.stream_key("lease")
    }

    /// Returns the key of the pointer to the installed release.
    ///
    /// # Errors
    /// The state prefix makes no key.
    pub(super) fn installed(&self) -> Result<Key, StoreError> {
        self.stream_key("installed")
    }

    /// Returns the key of a pack that waits.
    ///
    /// # Errors
    /// The state prefix makes no key.
    pub(super) fn spool(&self, pack: u64) -> Result<Key, StoreError> {
        self.release_key(&format!("spool/{pack}"))
    }

    /// Returns what the keys of all packs that wait begin with.
    pub(super) fn spool_prefix(&self) -> String {
        format!("{}spool/", self.release_prefix)
    }

    /// Returns what all keys of the release begin with.
    pub(super) fn release_prefix(&self) -> &str {
        &self.release_prefix
    }

    /// Returns the key of a file of the release's state.
    ///
    /// # Errors
    /// The state prefix makes no key.
    pub(super) fn release_key(&self, name: &str) -> Result<Key, StoreError> {
        parse(&format!("{}{name}", self.release_prefix))
    }

    fn stream_key(&self, name: &str) -> Result<Key, StoreError> {
        parse(&format!("{}{name}", self.stream_prefix))
    }
}

fn parse(text: &str) -> Result<Key, StoreError> {
    Key::parse(text).map_err(|KeyError { text, .. }| StoreError::MisplacedKey { prefix: String::new(), key: text })
}

/// The pointer to the installed release, and what was proven of it.
#[derive(Clone, Debug)]
pub(super) struct InstalledRelease {
    /// The release and when it was made.
    pub installed: Installed,
    /// Its head, proven.
    pub head: Option<Head>,
    /// The tag of the pointer in the store; nothing where only the local state knows of it.
    pub tag: Option<Tag>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pointer {
    counter: u64,
    content_id: Digest,
    created_at: Time,
}

/// Returns what the store says is installed, believed as far as signatures prove it.
///
/// # Errors
/// The head that the pointer leads to is not trusted, or is not there.
pub(super) fn read_installed(
    store: &dyn Store,
    keys: &StateKeys,
    bundle: &TrustedBundle,
    authority: Authority<'_>,
) -> Result<Option<InstalledRelease>, ImportError> {
    let (key, own) = (keys.installed()?, bundle.head());
    let Some(loaded) = store.load(&key, STATE_LEN_MAX)? else { return Ok(None) };
    let pointer: Pointer =
        serde_json::from_slice(&loaded.bytes).map_err(|_| ImportError::BadState { key: key.clone() })?;
    let release = Release { counter: pointer.counter, content_id: pointer.content_id };
    let head = if own.release() == release && own.created_at == pointer.created_at {
        // The head at hand is proven, and makes up for one that was removed from the store (T19).
        own.clone()
    } else {
        read_head(store, &keys.of_release(&release), &own.stream, authority, pointer.counter)?
    };
    if head.release() != release || head.created_at != pointer.created_at {
        return Err(ImportError::BadState { key });
    }
    let installed = Installed { release, created_at: head.created_at };
    Ok(Some(InstalledRelease { installed, head: Some(head), tag: Some(loaded.tag) }))
}

fn read_head(
    store: &dyn Store,
    keys: &StateKeys,
    stream: &Name,
    authority: Authority<'_>,
    counter: u64,
) -> Result<Head, ImportError> {
    let head_key = keys.release_key("head.json")?;
    let Some(bytes) = store.load(&head_key, STATE_LEN_MAX)? else {
        return Err(ImportError::BadState { key: head_key });
    };
    let mut signatures = Vec::new();
    let limit = crate::format::limits::SIGNATURE_COUNT_MAX as u32;
    for number in 1..=limit {
        let key = keys.release_key(&format!("signatures/{number}.sig"))?;
        let loaded = store.load(&key, crate::format::limits::SIGNATURE_LEN_MAX)?;
        signatures.extend(loaded.map(|loaded| SignatureFile { number, bytes: loaded.bytes.to_vec() }));
    }
    let expected = Expected { purpose: Purpose::Head, stream: Some(stream.clone()) };
    let untrusted = |source| ImportError::InstalledUntrusted { counter, source };
    let authentic = authenticate(bytes.bytes, &signatures, &expected, authority).map_err(untrusted)?;
    Head::decode(authentic.bytes()).map_err(|_| ImportError::BadState { key: head_key })
}

/// Points at a release as installed, on the condition that nobody pointed elsewhere meanwhile.
///
/// # Errors
/// The pointer has changed, or the store fails.
pub(super) fn write_installed(
    store: &dyn Store,
    keys: &StateKeys,
    head: &Head,
    before: Option<&Tag>,
) -> Result<(), ImportError> {
    let pointer = Pointer { counter: head.counter, content_id: head.content_id, created_at: head.created_at };
    let key = keys.installed()?;
    let body = Proven::record(serde_json::to_vec(&pointer).unwrap_or_default());
    let condition = before.map_or(Condition::Absent, |tag| Condition::IfTag(tag.clone()));
    match store.put(&key, &body, &Attributes::of_type("application/json"), &condition) {
        Ok(_) => Ok(()),
        Err(StoreError::ConditionFailed { key }) => {
            // An answer that was lost on the way leaves our own pointer: that is done, too.
            let now = store.load(&key, STATE_LEN_MAX)?;
            if now.is_some_and(|now| now.bytes == *body.bytes()) {
                return Ok(());
            }
            Err(ImportError::ChangedMeanwhile { key })
        }
        Err(error) => Err(error.into()),
    }
}

/// Puts head, signatures, manifest and pack table under the release's state.
///
/// # Errors
/// The bundle can't be read, or the store fails.
pub(super) fn publish_release(
    store: &dyn Store,
    keys: &StateKeys,
    bundle: &TrustedBundle,
    signatures: &[SignatureFile],
) -> Result<(), ImportError> {
    let json = Attributes::of_type("application/json");
    for signature in signatures {
        let key = keys.release_key(&format!("signatures/{}.sig", signature.number))?;
        let body = Proven::record(signature.bytes.clone());
        store.put(&key, &body, &Attributes::of_type("text/plain"), &Condition::Any)?;
    }
    for (file, len) in
        [(MetaFile::Manifest, bundle.head().manifest.length), (MetaFile::Packs, bundle.head().packs.length)]
    {
        let key = keys.release_key(file.name())?;
        if store.stat(&key)?.is_none_or(|stat| stat.len != len) {
            put_long(store, &key, bundle.meta_pieces(file))?;
        }
    }
    // The head last: where it is, everything that it leads to is.
    let body = Proven::record(bundle.trusted_head().bytes().clone());
    store.put(&keys.release_key("head.json")?, &body, &json, &Condition::Any)?;
    Ok(())
}

/// Puts an object of any length in bounded memory.
///
/// # Errors
/// The pieces can't be had, or the store fails.
pub(super) fn put_long<E: Into<ImportError>>(
    store: &dyn Store,
    key: &Key,
    pieces: impl Iterator<Item = Result<Vec<u8>, E>>,
) -> Result<Tag, ImportError> {
    let attributes = Attributes::of_type("application/octet-stream");
    let mut upload = None;
    let mut parts: Vec<UploadedPart> = Vec::new();
    let mut part = Vec::new();
    let mut put_part = |upload: &mut Option<_>, part: Vec<u8>| -> Result<(), ImportError> {
        let id = match upload.take() {
            Some(id) => id,
            None => store.open_upload(key, &attributes)?,
        };
        let too_long = || ImportError::Store(StoreError::TooLong { key: key.clone(), len_max: STATE_LEN_MAX });
        let number = u16::try_from(parts.len() + 1).ok().and_then(PartNumber::new).ok_or_else(too_long)?;
        let tag = store.put_part(key, &id, number, &Proven::record(part))?;
        parts.push(UploadedPart { number, tag });
        *upload = Some(id);
        Ok(())
    };
    for piece in pieces {
        part.extend_from_slice(&piece.map_err(Into::into)?);
        if part.len() >= STATE_PART_LEN {
            put_part(&mut upload, std::mem::take(&mut part))?;
        }
    }
    if upload.is_none() {
        return Ok(store.put(key, &Proven::record(part), &attributes, &Condition::Any)?.tag);
    }
    if !part.is_empty() {
        put_part(&mut upload, part)?;
    }
    let Some(id) = upload else { return Err(ImportError::BadState { key: key.clone() }) };
    Ok(store.finish_upload(key, &id, &parts, &Condition::Any)?.tag)
}

/// The copy of manifest and pack table under the state prefix.
pub(super) struct StoreCopy {
    store: Arc<dyn Store>,
    keys: StateKeys,
}

impl StoreCopy {
    /// Returns the copy of the release that `keys` are for.
    pub(super) fn new(store: Arc<dyn Store>, keys: StateKeys) -> StoreCopy {
        StoreCopy { store, keys }
    }
}

impl MetaSource for StoreCopy {
    fn read_meta(&self, file: MetaFile, offset: u64, len: usize) -> Result<Vec<u8>, BundleError> {
        let key = self.keys.release_key(file.name())?;
        match self.store.read(&key, offset..offset + len as u64) {
            Ok(bytes) => Ok(bytes.to_vec()),
            Err(StoreError::NotFound { .. }) => Err(BundleError::Missing { name: self.describe(file) }),
            Err(error) => Err(error.into()),
        }
    }

    fn describe(&self, file: MetaFile) -> String {
        format!("{}{} in the store", self.keys.release_prefix, file.name())
    }
}

/// The local directory of one store, bucket and stream, locked while this value lives.
pub(super) struct LocalState {
    machine: Machine,
    directory: PathBuf,
    _lock: Option<Lock>,
}

/// What the local state knows of the installed release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LocalInstalled {
    /// Its counter.
    pub counter: u64,
    /// Its content.
    pub content_id: Digest,
    /// When it was made.
    pub created_at: Time,
    /// Where its roots landed.
    pub map: Mapping,
}

/// What a local state is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Looking; nothing is created.
    Look,
    /// Importing; nobody else may.
    Import,
}

impl LocalState {
    /// Opens the directory of this store and stream.
    ///
    /// # Errors
    /// [`ImportError::StateInUse`] where another import has it.
    pub(super) fn open(
        machine: &Machine,
        options: &ImportOptions,
        stream: &Name,
        purpose: Use,
    ) -> Result<LocalState, ImportError> {
        let id = Digest::of(options.store_name.as_bytes()).to_string();
        let directory = options.state_directory.join(format!("{stream}@{}", &id[..16]));
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| ImportError::State { path, source }
        };
        if purpose == Use::Look {
            return Ok(LocalState { machine: machine.clone(), directory, _lock: None });
        }
        machine.make_directories(&directory, 0o777).map_err(failed(&directory))?;
        let path = directory.join("lock");
        match machine.lock(&path).map_err(failed(&path))? {
            Some(lock) => Ok(LocalState { machine: machine.clone(), directory, _lock: Some(lock) }),
            None => Err(ImportError::StateInUse { path }),
        }
    }

    /// Returns what the directory is on.
    pub(super) fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Returns the file `name` of a release.
    pub(super) fn release_file(&self, content_id: &Digest, name: &str) -> PathBuf {
        self.directory.join(content_id.to_string()).join(name)
    }

    /// Makes the directory of a release.
    ///
    /// # Errors
    /// It can't be made.
    pub(super) fn make_release(&self, content_id: &Digest) -> Result<(), ImportError> {
        let path = self.directory.join(content_id.to_string());
        let made = self.machine.make_directories(&path, 0o777);
        made.map_err(|source| ImportError::State { path, source })
    }

    /// Makes the names of a release's files durable.
    ///
    /// # Errors
    /// The disk fails.
    pub(super) fn finish_release(&self, content_id: &Digest) -> Result<(), ImportError> {
        let path = self.directory.join(content_id.to_string());
        self.machine.sync_directory(&path).map_err(|source| ImportError::State { path, source })
    }

    /// Returns the installed release as the local state has it.
    ///
    /// # Errors
    /// The file is there and can't be read as such: it is never taken for absent.
    pub(super) fn installed(&self) -> Result<Option<LocalInstalled>, ImportError> {
        let path = self.directory.join("installed.json");
        let read = self.machine.read(&path);
        let installed = read.and_then(|bytes| match bytes {
            Some(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            None => Ok(None),
        });
        installed.map_err(|source| ImportError::State { path, source })
    }

    /// Writes the installed release, whole or not at all.
    ///
    /// # Errors
    /// It can't be written.
    pub(super) fn set_installed(&self, installed: &LocalInstalled) -> Result<(), ImportError> {
        self.write("installed.json", &serde_json::to_vec_pretty(installed).unwrap_or_default())
    }

    /// Writes a file of the directory, whole or not at all, and durably.
    ///
    /// # Errors
    /// It can't be written.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ImportError> {
        let path = self.directory.join(name);
        let new = self.directory.join(format!("{name}.new"));
        let written = self.machine.write_durably(&new, &path, bytes);
        written.map_err(|source| ImportError::State { path, source })
    }

    /// Removes what is kept of a release.
    ///
    /// # Errors
    /// It can't be removed.
    pub(super) fn forget_release(&self, content_id: &Digest) -> Result<(), ImportError> {
        let path = self.directory.join(content_id.to_string());
        self.machine.remove_tree(&path).map_err(|source| ImportError::State { path, source })
    }

    /// Removes what is kept of every release but these.
    ///
    /// # Errors
    /// The directory can't be read.
    pub(super) fn keep_only(&self, kept: &[Digest]) -> Result<(), ImportError> {
        let failed = |source| ImportError::State { path: self.directory.clone(), source };
        for item in fs::read_dir(&self.directory).map_err(failed)? {
            let name = item.map_err(failed)?.file_name();
            if let Some(content_id) = name.to_str().and_then(Digest::from_hex)
                && !kept.contains(&content_id)
            {
                self.forget_release(&content_id)?;
            }
        }
        Ok(())
    }
}

/// Returns the bytes of a small state object; nothing where there is none.
///
/// # Errors
/// The store fails, or the object is too long.
pub(super) fn load_small(store: &dyn Store, key: &Key) -> Result<Option<Bytes>, StoreError> {
    Ok(store.load(key, STATE_LEN_MAX)?.map(|loaded| loaded.bytes))
}
