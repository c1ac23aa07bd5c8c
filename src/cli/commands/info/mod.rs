//! `airlift info`.

mod page;

use super::{name_of, ranges};
use crate::cli::args::InfoArgs;
use crate::cli::failure::Failure;
use crate::cli::opening::open_to_look;
use crate::cli::progress::Shown;
use crate::cli::report::Report;
use crate::cli::size::{Count, Percent, Size};
use crate::cli::whole_file::{Existing, in_the_way, write_whole};
use airlift::pipeline::census::census;
use airlift::pipeline::dedup::{Dedup, ProfileDedup, Tally};
use airlift::pipeline::inspect::{Opened, Summary, summarise};
use airlift::pipeline::volumes::Volumes;
use page::Page;
use serde_json::{Value, json};
use std::fmt::{Display, Write as _};
use std::path::Path;

pub(crate) fn run(args: &InfoArgs, report: &Report) -> Result<(), Failure> {
    if let Some(path) = &args.html {
        refuse_existing(path)?;
    }
    let opened = open_to_look(&args.places.places, &args.vouch, report)?;
    let volumes = Volumes::new(opened.media().to_vec());
    let progress = Shown::new(report);
    let summary = summarise(&opened, &volumes, &progress);
    progress.finish();
    let summary = summary?;
    if summary.is_cancelled {
        return Err(Failure::interrupted());
    }
    if let Some(path) = &args.html {
        write_page(path, &opened, &summary, report)?;
    }
    let mut text = text(&opened, &summary);
    if args.dedup {
        text.push_str(&dedup_text(&summary));
    }
    report.result(&document(&opened, &summary), &text)
}

/// Refuses early what would be refused when all work is done.
fn refuse_existing(path: &Path) -> Result<(), Failure> {
    if path.symlink_metadata().is_ok() { Err(in_the_way(path)) } else { Ok(()) }
}

fn write_page(path: &Path, opened: &Opened, summary: &Summary, report: &Report) -> Result<(), Failure> {
    let progress = Shown::new(report);
    let census = census(opened, &progress);
    progress.finish();
    let census = census?;
    if census.is_cancelled {
        return Err(Failure::interrupted());
    }
    let page = Page::new(opened, summary, &census).to_string();
    write_whole(path, page.as_bytes(), Existing::Refuse)?;
    report.note(&format!("page: {}", path.display()));
    Ok(())
}

fn text(opened: &Opened, summary: &Summary) -> String {
    let head = opened.head();
    let mut lines = Lines(String::new());
    lines.add("release", name_of(head));
    lines.add("made", head.created_at);
    head.not_after.iter().for_each(|time| lines.add("import until", time));
    head.audience.iter().for_each(|name| lines.add("for", name));
    for signer in signers(opened) {
        lines.add("signed by", signer);
    }
    lines.add("content id", head.content_id);
    lines.add("tree id", head.tree_id);
    head.previous.iter().for_each(|one| lines.add("follows", format!("release {} {}", one.counter, one.content_id)));
    for base in &head.bases {
        lines.add("builds on", format!("{} release {} {}", base.stream, base.counter, base.content_id));
    }
    let directories = match head.totals.directories {
        0 => String::new(),
        count => format!(", {}", Count(count, "empty directory")),
    };
    lines.add("content", format!("{}, {}{directories}", Size(head.totals.bytes), Count(head.totals.files, "file")));
    let ratio = Percent { part: head.volumes.length, whole: head.totals.bytes };
    lines.add("stored", format!("{}, {ratio} of the content", Size(head.volumes.length)));
    for attachment in &head.attachments {
        lines.add("attachment", format!("{}, {} bytes, {}", attachment.kind, attachment.length, attachment.sha256));
    }
    let count = head.volumes.count;
    let here = summary.present_volumes.len();
    let which = if here == 0 { String::new() } else { format!(": {}", ranges(&summary.present_volumes)) };
    lines.add("volumes", format!("{count}, {here} of them here{which}"));
    if here > 0 {
        packs_text(summary, &mut lines);
    }
    lines.0
}

fn packs_text(summary: &Summary, lines: &mut Lines) {
    let twice = summary.repeat_len + summary.reference_len;
    lines.add("packs here", format!("{} of content in {}", Size(summary.seen_len), Size(summary.packs_len)));
    let share = Percent { part: twice, whole: summary.seen_len };
    lines.add("deduplicated", format!("{}, {share} of that content", Size(twice)));
    if summary.damaged_pack_count > 0 {
        let count = Count(summary.damaged_pack_count, "pack");
        lines.add("damaged", format!("{count}; airlift verify names them"));
    }
    let _ = writeln!(lines.0, "\n{:<13} {:<8} {:>12} {:>12} {:>8}", "cut as", "codec", "raw", "stored", "ratio");
    for ((profile, codec), stored) in &summary.kinds {
        let (raw, kept) = (Size(stored.raw_len).to_string(), Size(stored.stored_len).to_string());
        let ratio = Percent { part: stored.stored_len, whole: stored.raw_len };
        let _ = writeln!(lines.0, "{profile:<13} {codec:<8} {raw:>12} {kept:>12} {ratio:>8}");
    }
}

/// Returns where content was the same, each line a part of the content that was read.
fn dedup_text(summary: &Summary) -> String {
    let dedup = &summary.dedup;
    let mut text = String::new();
    let share = |len| Percent { part: len, whole: summary.seen_len };
    let _ = writeln!(text, "\n{:<13} {:>10} {:>12} {:>8}", "the same", "count", "size", "share");
    let mut line = |name: &str, tally: Tally| {
        let (size, share) = (Size(tally.len).to_string(), share(tally.len));
        let _ = writeln!(text, "{name:<13} {:>10} {size:>12} {share:>8}", tally.count);
    };
    line("whole files", dedup.whole_files);
    for (profile, counts) in &dedup.profiles {
        let (repeats, references) = (counts.repeats, counts.references);
        line(profile, Tally { count: repeats.count + references.count, len: repeats.len + references.len });
    }
    let _ = writeln!(text, "\n{:<13} {:>10} {:>12} {:>12}", "cut as", "chunks", "size", "average");
    for (profile, ProfileDedup { all, .. }) in &dedup.profiles {
        let (size, average) = (Size(all.len).to_string(), Size(all.len / all.count.max(1)).to_string());
        let _ = writeln!(text, "{profile:<13} {:>10} {size:>12} {average:>12}", all.count);
    }
    let _ = writeln!(text, "\n{:<13} {:>10} {:>12} {:>8}", "runs from", "count", "size", "share");
    for (len_min, tally) in &dedup.runs {
        let (from, size) = (Size(*len_min).to_string(), Size(tally.len).to_string());
        let _ = writeln!(text, "{from:<13} {:>10} {size:>12} {:>8}", tally.count, share(tally.len));
    }
    text
}

fn dedup_document(dedup: &Dedup) -> Value {
    let tally = |tally: Tally| json!({ "count": tally.count, "bytes": tally.len });
    let profiles = dedup.profiles.iter().map(|(profile, counts)| {
        json!({
            "profile": profile,
            "chunks": tally(counts.all),
            "repeats": tally(counts.repeats),
            "references": tally(counts.references),
        })
    });
    let runs = dedup.runs.iter().map(|(len_min, runs)| json!({ "from_bytes": len_min, "runs": tally(*runs) }));
    json!({
        "whole_files": tally(dedup.whole_files),
        "profiles": profiles.collect::<Vec<_>>(),
        "reference_runs": runs.collect::<Vec<_>>(),
    })
}

fn document(opened: &Opened, summary: &Summary) -> Value {
    let head = opened.head();
    let kinds = summary.kinds.iter().map(|((profile, codec), stored)| {
        json!({ "profile": profile, "codec": codec, "raw_bytes": stored.raw_len, "stored_bytes": stored.stored_len })
    });
    json!({
        "trusted": opened.vouched().is_some(),
        "signers": signers(opened),
        "head": head,
        "volumes_here": summary.present_volumes.iter().map(|one| one.number()).collect::<Vec<_>>(),
        "packs_here": {
            "content_bytes": summary.seen_len,
            "stored_bytes": summary.packs_len,
            "repeated_bytes": summary.repeat_len,
            "referenced_bytes": summary.reference_len,
            "damaged": summary.damaged_pack_count,
            "kinds": kinds.collect::<Vec<_>>(),
            "dedup": dedup_document(&summary.dedup),
        },
    })
}

/// Returns who signed; where nobody vouches, what the signatures say of themselves.
fn signers(opened: &Opened) -> Vec<String> {
    let Some(bundle) = opened.vouched() else {
        let claim = |(number, claim): (u32, Option<airlift::trust::Sshsig>)| match claim {
            Some(sshsig) => format!("unchecked: signature {number} names key {}", sshsig.fingerprint()),
            None => format!("unchecked: signature {number} is not understood"),
        };
        return opened.claims().map(claim).collect();
    };
    let head = bundle.trusted_head();
    let counted = head.principals().iter().map(ToString::to_string);
    counted.chain(head.uncounted().iter().map(|one| format!("nobody: {one}"))).collect()
}

/// Lines of a name and a value.
struct Lines(String);

impl Lines {
    fn add(&mut self, name: &str, value: impl Display) {
        let _ = writeln!(self.0, "{name:<13} {value}");
    }
}
