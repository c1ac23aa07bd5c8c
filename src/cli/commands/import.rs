//! `airlift import`.

use super::tao::note_spelling;
use super::tao::profile::{Landing, landing};
use super::verify::{finding_document, finding_text};
use super::{missing, name_of, ranges};
use crate::cli::args::{ImportArgs, TargetArgs};
use crate::cli::failure::Failure;
use crate::cli::opening::{TrustFiles, note_strays, now, open_trusted};
use crate::cli::pace::Pace;
use crate::cli::progress::Shown;
use crate::cli::remedy;
use crate::cli::report::Report;
use crate::cli::size::{Count, Size};
use crate::cli::stores::{self, Target};
use airlift::error::Class;
use airlift::format::{Head, OneLine};
use airlift::pipeline::bundle::TrustedBundle;
use airlift::pipeline::import::{
    Holder, ImportError, ImportOptions, ImportReport, Look, Mapping, OnExisting, Plan, ReceiptSigner, Shipment, import,
    look,
};
use airlift::pipeline::inspect::Opened;
use airlift::pipeline::lookup::Lookup;
use airlift::pipeline::sign::Keygen;
use airlift::pipeline::volumes::Volumes;
use airlift::store::{IfMissing, Paced, Store};
use airlift::tao::model_registry::ModelRegistry;
use airlift::trust::{Enrol, Namespace, Purpose, Step};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

pub(crate) fn run(args: &ImportArgs, report: &Report) -> Result<(), Failure> {
    let ready = Ready::new(&args.target, report)?;
    note_strays(&ready.opened, &args.media, report)?;
    let (mut options, landing) = ready.options(&args.target)?;
    options.on_existing = args.on_existing.choice();
    options.enrol = if args.enrol { Enrol::Allowed } else { Enrol::NotAsked };
    options.bucket = if args.create_bucket { IfMissing::Create } else { IfMissing::Refuse };
    options.read_back = args.read_back;
    if let Some(said) = &landing.said {
        note_spelling(said, report);
    }
    if landing.has_images {
        report.note("root images lands nowhere: airlift images push or load brings it out of the bundle");
    }
    let registry = landing.said.as_ref().map(|said| &said.registry);
    options.last = args.last.iter().cloned().chain(landing.last.iter().cloned()).collect();
    options.workers = args.workers;
    let shipment = ready.shipment()?;
    let progress = Shown::new(report);
    let pace = Pace::new(args.bwlimit, progress.stop());
    let store: Arc<dyn Store> = Arc::new(Paced::new(Arc::clone(&ready.target.store), move |len| pace.wait(len)));
    if args.dry_run {
        let looked = look(&shipment, &ready.target.store, &options, &progress);
        progress.finish();
        return print_look(shipment.bundle.head(), &looked?, registry, report);
    }
    let sign = args.receipt_key.as_deref().map(|key| receipt_signer(key, shipment.bundle.head()));
    let sign: Option<&ReceiptSigner<'_>> = sign.as_ref().map(|sign| sign as &ReceiptSigner<'_>);
    let imported = import(&shipment, &store, &options, sign, &progress);
    progress.finish();
    let imported = imported?;
    print(shipment.bundle, &imported, (&ready.target.name, registry), report)
}

/// Everything that `import`, `status` and `abort` need, opened.
pub(crate) struct Ready {
    files: TrustFiles,
    opened: Opened,
    volumes: Volumes,
    pub(crate) target: Target,
}

impl Ready {
    pub(crate) fn new(args: &TargetArgs, report: &Report) -> Result<Ready, Failure> {
        let files = TrustFiles::read(&args.trust)?;
        let opened = open_trusted(&args.places.places, &args.trust, &files, report)?;
        let volumes = Volumes::new(opened.media().to_vec());
        Ok(Ready { files, opened, volumes, target: stores::open(&args.store)? })
    }

    pub(crate) fn shipment(&self) -> Result<Shipment<'_>, Failure> {
        let Some(bundle) = self.opened.vouched() else {
            return Err(Failure::new(Class::Bug, "a bundle without trust", remedy::of_class(Class::Bug)));
        };
        let signatures = self.opened.signatures();
        Ok(Shipment { bundle, volumes: &self.volumes, signatures, authority: self.files.authority() })
    }

    /// Returns what the arguments ask for, and where a profile has the roots land.
    pub(crate) fn options(&self, args: &TargetArgs) -> Result<(ImportOptions, Landing), Failure> {
        let bundle = self.shipment()?.bundle;
        let roots = if args.platform.profile.is_some() { Lookup::new().roots(bundle)? } else { Vec::new() };
        let landing = landing(&args.platform, &args.map, (bundle.head(), &roots))?;
        let map = args.map.iter().chain(&landing.map).cloned();
        let map = Mapping::new(map, &args.state_prefix).map_err(ImportError::from)?;
        let options = ImportOptions {
            map,
            state_prefix: args.state_prefix.clone(),
            state_directory: stores::state_directory(args.state.as_deref())?,
            store_name: self.target.name.clone(),
            on_existing: OnExisting::Error,
            enrol: Enrol::NotAsked,
            bucket: IfMissing::Refuse,
            read_back: false,
            last: Vec::new(),
            workers: NonZeroUsize::MIN,
            holder: Holder::this_process(),
            clock: now,
        };
        Ok((options, landing))
    }
}

/// Returns what signs a receipt with `key`, through ssh-keygen.
fn receipt_signer<'a>(
    key: &'a Path,
    head: &'a Head,
) -> impl Fn(&[u8]) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> + Sync + 'a {
    move |receipt| {
        let namespace = Namespace { purpose: Purpose::Receipt, stream: head.stream.clone() };
        Ok(Keygen::default().signature(receipt, &namespace, key)?)
    }
}

fn print_look(head: &Head, looked: &Look, registry: Option<&ModelRegistry>, report: &Report) -> Result<(), Failure> {
    let document = json!({
        "result": "would import",
        "stream": head.stream.as_str(),
        "counter": head.counter,
        "step": step_name(looked.step),
        "plan": plan_document(&looked.plan),
        "registry": registry.map(ModelRegistry::as_str),
        "absent_volumes": looked.absent_volumes.iter().map(|one| one.number()).collect::<Vec<_>>(),
    });
    let mut text = format!("would import: {}, {}\n", name_of(head), step_name(looked.step));
    plan_text(&looked.plan, &mut text);
    registry_text(registry, &mut text);
    if !looked.absent_volumes.is_empty() {
        let _ = writeln!(text, "not here      volumes {} of {}", ranges(&looked.absent_volumes), head.volumes.count);
    }
    report.result(&document, &text)
}

fn print(
    bundle: &TrustedBundle,
    imported: &ImportReport,
    (store, registry): (&str, Option<&ModelRegistry>),
    report: &Report,
) -> Result<(), Failure> {
    let head = bundle.head();
    for finding in &imported.findings {
        finding_text(finding).lines().for_each(|line| report.note(line));
    }
    imported.healed.iter().for_each(|line| report.note(&format!("healed: {line}")));
    let class = imported.class();
    let result = class.map_or("imported", Class::name);
    let document = json!({
        "result": result,
        "stream": head.stream.as_str(),
        "counter": head.counter,
        "content_id": head.content_id.to_string(),
        "store": store,
        "step": step_name(imported.step),
        "plan": plan_document(&imported.plan),
        "registry": registry.map(ModelRegistry::as_str),
        "landed": imported.landed_count,
        "sent_bytes": imported.sent_len,
        "missing_volumes": imported.missing_volumes.iter().map(|one| one.number()).collect::<Vec<_>>(),
        "findings": imported.findings.iter().map(finding_document).collect::<Vec<_>>(),
        "more_findings": imported.more_findings,
        "healed": imported.healed,
        "orphans": imported.orphan_count,
        "waiting": imported.waiting_count,
        "open_uploads": imported.open_upload_count,
        "held_back": imported.held_count,
        "receipt": imported.receipt,
    });
    let mut text = format!("{result}: {}, to {store}\n", name_of(head));
    let (landed, sent) = (Count(imported.landed_count, "file"), Size(imported.sent_len));
    let _ = writeln!(text, "landed        {landed}, {sent} sent");
    let there = (imported.plan.landed_count, imported.plan.landed_len);
    let _ = writeln!(text, "there before  {}, {}", Count(there.0, "file"), Size(there.1));
    registry_text(registry, &mut text);
    if imported.open_upload_count + imported.waiting_count > 0 {
        let (uploads, packs) =
            (Count(imported.open_upload_count, "upload"), Count(imported.waiting_count, "waiting pack"));
        let _ = writeln!(text, "unfinished    {uploads}, {packs}");
    }
    if imported.held_count > 0 {
        let _ = writeln!(text, "held back     {}, until all others are there", Count(imported.held_count, "file"));
    }
    report.result(&document, &text)?;
    class.map_or(Ok(()), |class| Err(failure_of(head, imported, class)))
}

fn failure_of(head: &Head, imported: &ImportReport, class: Class) -> Failure {
    let release = name_of(head);
    if class == Class::Incomplete && !imported.missing_volumes.is_empty() {
        let message = format!("{release} is incomplete: {}", missing(&imported.missing_volumes, head.volumes.count));
        return Failure::new(class, message, "insert the medium and repeat the command; what landed stays");
    }
    let count = Count(imported.findings.len() as u64 + imported.more_findings, "finding");
    let left = imported.plan.send_count.saturating_sub(imported.landed_count);
    let message = format!("{release} is {}: {count}, {} not landed", class.name(), Count(left, "file"));
    Failure::new(class, message, remedy::of_class(class))
}

const fn step_name(step: Step) -> &'static str {
    match step {
        Step::First => "the first release here",
        Step::Same => "the installed release again",
        Step::Next => "a later release",
    }
}

fn registry_text(registry: Option<&ModelRegistry>, text: &mut String) {
    if let Some(registry) = registry {
        let _ = writeln!(text, "models        below {}", OneLine(registry.as_str()));
    }
}

fn plan_document(plan: &Plan) -> Value {
    json!({
        "send": plan.send_count,
        "send_bytes": plan.send_len,
        "last": plan.last_count,
        "landed": plan.landed_count,
        "landed_bytes": plan.landed_len,
        "skipped": plan.skipped_count,
        "replaced": plan.replaced_count,
        "left_out": plan.left_out_count,
        "directories": plan.directory_count,
        "foreign": plan.foreign.1,
        "foreign_keys": plan.foreign.0.iter().map(airlift::store::Key::as_str).collect::<Vec<_>>(),
    })
}

fn plan_text(plan: &Plan, text: &mut String) {
    let _ = writeln!(text, "to send       {}, {}", Count(plan.send_count, "file"), Size(plan.send_len));
    let _ = writeln!(text, "there before  {}, {}", Count(plan.landed_count, "file"), Size(plan.landed_len));
    for (name, count) in [
        ("of them last", plan.last_count),
        ("replaced", plan.replaced_count),
        ("skipped", plan.skipped_count),
        ("left out", plan.left_out_count),
    ] {
        if count > 0 {
            let _ = writeln!(text, "{name:<13} {}", Count(count, "file"));
        }
    }
    if plan.foreign.1 > 0 {
        let _ = writeln!(text, "in the way    {}", Count(plan.foreign.1, "foreign object"));
        plan.foreign.0.iter().for_each(|key| {
            let _ = writeln!(text, "  {key}");
        });
    }
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Failure {
        match error {
            ImportError::Bundle(error) => error.into(),
            ImportError::Store(error) => error.into(),
            ImportError::Interrupted => Failure::interrupted(),
            error => Failure { remedy: remedy::of_import(&error).into(), ..Failure::of(error.class(), &error) },
        }
    }
}
