//! `airlift pack`.

use super::sign::sign;
use super::tao::profile::{self, Checked};
use super::{name_of, workers};
use crate::cli::args::PackArgs;
use crate::cli::failure::Failure;
use crate::cli::opening::now;
use crate::cli::pace::PacedProgress;
use crate::cli::progress::Shown;
use crate::cli::remedy;
use crate::cli::report::Report;
use crate::cli::scratch::Scratch;
use crate::cli::size::{Count, Percent, Size};
use airlift::error::Class;
use airlift::format::head::Release;
use airlift::format::limits::HEAD_LEN_MAX;
use airlift::format::{Name, OneLine};
use airlift::machine::{Machine, read_limited};
use airlift::pipeline::globs::Glob;
use airlift::pipeline::pack::{CodecFigures, Figures, PackError, PackOptions, PackReport, pack};
use airlift::pipeline::walk::{Links, Refusals, Roots, Unsupported, WalkError, WalkOptions, walk};
use airlift::trust::UntrustedHead;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// Memory for the chunk index, in bytes.
const INDEX_BUDGET_LEN: usize = 64 << 20;
/// Memory for sorting entries, in bytes.
pub(crate) const SORT_BUDGET_LEN: usize = 64 << 20;

pub(crate) fn run(args: &PackArgs, report: &Report) -> Result<(), Failure> {
    let previous = args.previous.as_deref().map(|path| read_previous(path, &args.stream)).transpose()?;
    let mut options = options_of(args, previous);
    let checked = profile::check_roots(args, &mut options, report)?;
    if args.dry_run {
        return dry_run(args, &options, checked.as_ref(), report);
    }
    let progress = Shown::new(report);
    let packed = pack(&options, &PacedProgress::new(&progress, args.bwlimit));
    progress.finish();
    let packed = packed.map_err(|error| name_refused(error, report))?;
    note_skipped(&packed.skipped, report);
    let excluded = Excluded::new(&options.exclude, &packed.excluded);
    excluded.note_unused(args.exclude.len(), report);
    for key in &args.sign {
        sign(&packed.head.encode(), &args.out, key)?;
    }
    let said = (&excluded, checked.as_ref());
    let text = text(&packed, said, &args.out, !args.sign.is_empty());
    report.result(&document(&packed, said, &args.out), &text)
}

fn options_of(args: &PackArgs, previous: Option<Release>) -> PackOptions {
    PackOptions {
        roots: args.roots.clone(),
        links: if args.follow_inside { Links::FollowInside } else { Links::Refuse },
        unsupported: if args.skip_unsupported { Unsupported::Skip } else { Unsupported::Refuse },
        exclude: args.exclude.clone(),
        out: args.out.clone(),
        stream: args.stream.clone(),
        counter: args.counter,
        volume_len: args.volume_size.0,
        threads: workers(args.threads),
        index_budget_len: INDEX_BUDGET_LEN,
        sort_budget_len: SORT_BUDGET_LEN,
        created_at: now(),
        previous,
        not_after: args.not_after,
        audience: args.audience.clone(),
        attachments: args.attach.clone(),
        ext: BTreeMap::new(),
    }
}

fn read_previous(path: &Path, stream: &Name) -> Result<Release, Failure> {
    let bytes = read_limited(path, HEAD_LEN_MAX).map_err(|error| Failure::io("read", path, &error))?;
    let shown = path.display();
    let head = UntrustedHead::decode(&bytes).map_err(|error| {
        let message = format!("{shown} is no head: {error}");
        Failure::new(Class::Usage, message, "name the head.json of the release before")
    })?;
    let head = head.head();
    if head.stream != *stream {
        let message = format!("{shown} is of stream {}, not {stream}", head.stream);
        return Err(Failure::new(Class::Usage, message, "name the head.json of the release before"));
    }
    Ok(head.release())
}

/// Lists what would be packed and writes nothing but private files for the sort.
fn dry_run(args: &PackArgs, options: &PackOptions, checked: Option<&Checked>, report: &Report) -> Result<(), Failure> {
    let scratch = Scratch::new()?;
    let roots = Roots::open(&options.roots, options.links).map_err(PackError::from)?;
    let walk_options = WalkOptions {
        unsupported: options.unsupported,
        exclude: options.exclude.clone(),
        own_dirs: Vec::new(),
        state_dir: scratch.path().to_owned(),
        machine: Machine::default(),
        budget_len: options.sort_budget_len,
    };
    let progress = Shown::new(report);
    let walked = walk(&roots, &walk_options, &progress);
    progress.finish();
    let walked = walked.map_err(|error| name_refused(error.into(), report))?;
    note_skipped(&walked.skipped, report);
    let excluded = Excluded::new(&options.exclude, &walked.excluded);
    excluded.note_unused(args.exclude.len(), report);
    let totals = walked.entries.totals();
    let document = json!({
        "result": "would pack",
        "files": totals.file_count,
        "directories": totals.directory_count,
        "bytes": totals.total_len,
        "skipped": walked.skipped.count(),
        "excluded": excluded.document(),
        "tao": checked.map(Checked::document),
    });
    let (files, bytes) = (Count(totals.file_count, "file"), Size(totals.total_len));
    let directories = Count(totals.directory_count, "empty directory");
    let platform = checked.map(Checked::text).unwrap_or_default();
    report.result(&document, &format!("would pack: {files}, {bytes}, {directories}\n{}{platform}", excluded.text()))
}

/// Prints what the roots hold that can't be carried, one line each.
fn name_refused(error: PackError, report: &Report) -> Failure {
    if let PackError::Walk(WalkError::Refused { refusals }) = &error {
        name_all("refused", refusals, report);
    }
    error.into()
}

fn note_skipped(skipped: &Refusals, report: &Report) {
    name_all("skipped", skipped, report);
}

fn name_all(verb: &str, refusals: &Refusals, report: &Report) {
    let mut named = 0;
    for refusal in refusals.named() {
        report.warn(&format!("{verb}: {refusal}"));
        named += 1;
    }
    if refusals.count() > named {
        report.warn(&format!("{verb}: {}", Count(refusals.count() - named, "further entry")));
    }
}

/// What the globs have left out.
struct Excluded<'a> {
    globs: &'a [Glob],
    counts: &'a [u64],
}

impl<'a> Excluded<'a> {
    const fn new(globs: &'a [Glob], counts: &'a [u64]) -> Excluded<'a> {
        Excluded { globs, counts }
    }

    /// Names those of the first globs, which were asked for, that left out nothing.
    fn note_unused(&self, asked_count: usize, report: &Report) {
        for (glob, _) in self.globs.iter().zip(self.counts).take(asked_count).filter(|(_, count)| **count == 0) {
            report.note(&format!("nothing is left out by {glob}"));
        }
    }

    fn text(&self) -> String {
        match self.counts.iter().sum() {
            0 => String::new(),
            count => format!("left out      {}\n", Count(count, "entry")),
        }
    }

    fn document(&self) -> Value {
        let counted = self.globs.iter().zip(self.counts);
        counted.map(|(glob, count)| json!({ "glob": glob.to_string(), "entries": count })).collect()
    }
}

fn text(
    packed: &PackReport,
    (excluded, checked): (&Excluded<'_>, Option<&Checked>),
    out: &Path,
    is_signed: bool,
) -> String {
    let head = &packed.head;
    let shown = OneLine(out.to_string_lossy()).to_string();
    let mut text = String::new();
    let verb = if packed.figures.is_some() { "packed" } else { "packed before" };
    let _ = writeln!(text, "{verb}: {} in {shown}", name_of(head));
    if let Some(volume) = packed.resumed_behind {
        let _ = writeln!(text, "resumed       behind volume {}", volume.number());
    }
    let _ = writeln!(text, "content       {}, {}", Size(head.totals.bytes), Count(head.totals.files, "file"));
    text.push_str(&excluded.text());
    text.push_str(&checked.map(Checked::text).unwrap_or_default());
    let ratio = Percent { part: head.volumes.length, whole: head.totals.bytes };
    let volumes = Count(u64::from(head.volumes.count), "volume");
    let _ = writeln!(text, "stored        {}, {ratio} of the content, in {volumes}", Size(head.volumes.length));
    if let Some(figures) = &packed.figures {
        figures_text(figures, &mut text);
    }
    let _ = writeln!(text, "content id    {}", head.content_id);
    let _ = writeln!(text, "tree id       {}", head.tree_id);
    if !is_signed {
        let _ = writeln!(text, "next          airlift sign {shown} KEY");
    }
    text
}

fn figures_text(figures: &Figures, text: &mut String) {
    let twice = figures.repeat_len + figures.reference_len;
    let share = Percent { part: twice, whole: twice + figures.new_len };
    let _ = writeln!(text, "deduplicated  {}, {share}", Size(twice));
    for (name, codec) in codecs(figures) {
        if codec.raw_len > 0 {
            let ratio = Percent { part: codec.stored_len, whole: codec.raw_len };
            let _ = writeln!(text, "{name:<13} {} to {}, {ratio}", Size(codec.raw_len), Size(codec.stored_len));
        }
    }
}

const fn codecs(figures: &Figures) -> [(&'static str, CodecFigures); 3] {
    [("planes", figures.planes), ("zstd", figures.zstd), ("as it is", figures.stored)]
}

fn document(packed: &PackReport, (excluded, checked): (&Excluded<'_>, Option<&Checked>), out: &Path) -> Value {
    json!({
        "result": if packed.figures.is_some() { "packed" } else { "packed before" },
        "bundle": out,
        "head": packed.head,
        "figures": packed.figures,
        "resumed_behind": packed.resumed_behind.map(|volume| volume.number()),
        "skipped": packed.skipped.count(),
        "excluded": excluded.document(),
        "tao": checked.map(Checked::document),
    })
}

impl From<PackError> for Failure {
    fn from(error: PackError) -> Failure {
        Failure { remedy: remedy::of_pack(&error).into(), ..Failure::of(error.class(), &error) }
    }
}
