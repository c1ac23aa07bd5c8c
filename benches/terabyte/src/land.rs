//! The import, in a process of its own: the library's, into the counting store.

use crate::counting::{CountingStore, OBJECTS};
use crate::tree::Tree;
use airlift::format::{Name, Time};
use airlift::media::find;
use airlift::pipeline::import::{Destination, Holder, ImportOptions, Mapping, OnExisting, Prefix, Shipment, import};
use airlift::pipeline::inspect::{Demand, Opened};
use airlift::pipeline::progress::Quiet;
use airlift::pipeline::trust_files::read_allowed_signers;
use airlift::pipeline::volumes::Volumes;
use airlift::store::{DirectoryStore, IfMissing, Store};
use airlift::trust::{Authority, Enrol, Revoked, Terms};
use std::error::Error;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What the first argument is where this process is the import.
pub(crate) const LAND: &str = "land";
/// As `airlift import` has it.
const WORKER_COUNT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

/// Imports the bundle into a store that counts. Standard output gets how many bytes have landed, a line a
/// second, and at the end also the CPU time of the store in nanoseconds.
pub(crate) fn land(tree: Tree, bundle: &Path, signers: &Path, place: &Path) -> Result<(), Box<dyn Error>> {
    let due = (tree.file_count(), tree.total_len());
    let counting = Arc::new(CountingStore::new(tree, DirectoryStore::new(place.join("store")), place.to_owned()));
    let store: Arc<dyn Store> = counting.clone();
    let (signers, revoked) = (read_allowed_signers(signers)?, Revoked::default());
    let authority = Authority { signers: &signers, revoked: &revoked };
    let terms = Terms { threshold: NonZeroUsize::MIN, audience: None, now: now(), installed_at: None };
    let demand = Demand { authority, stream: Some(Name::parse("bench")?), terms };
    let found = find(&[bundle.to_owned()])?.pop().ok_or("no bundle")?;
    let opened = Opened::trusted(found, demand)?;
    let volumes = Volumes::new(opened.media().to_vec());
    let bundle = opened.vouched().ok_or("no trust")?;
    let shipment = Shipment { bundle, volumes: &volumes, signatures: opened.signatures(), authority };
    let state_prefix = Prefix::parse(".airlift/")?;
    let options = ImportOptions {
        map: Mapping::new([(Name::parse("tree")?, Destination::Prefix(Prefix::parse(OBJECTS)?))], &state_prefix)?,
        state_prefix,
        state_directory: place.join("state"),
        store_name: "counting".to_owned(),
        on_existing: OnExisting::Error,
        enrol: Enrol::Allowed,
        bucket: IfMissing::Create,
        read_back: false,
        last: Vec::new(),
        workers: WORKER_COUNT,
        holder: Holder::this_process(),
        clock: now,
    };
    let is_done = AtomicBool::new(false);
    let landed_len = || counting.landed_len.load(Ordering::Relaxed);
    let imported = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                // Nobody reads it any more where the parent has ended.
                let _ = writeln!(std::io::stdout(), "{}", landed_len());
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        let imported = import(&shipment, &store, &options, None, &Quiet);
        is_done.store(true, Ordering::Relaxed);
        imported
    })?;
    let landed = (counting.landed_count.load(Ordering::Relaxed), landed_len());
    if imported.receipt.is_none() || landed != due {
        return Err(format!("files and bytes: {landed:?} landed, {due:?} are due; {:?}", imported.class()).into());
    }
    println!("{} {}", landed.1, counting.used_ns.load(Ordering::Relaxed));
    Ok(())
}

fn now() -> Time {
    Time::from_unix(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}
