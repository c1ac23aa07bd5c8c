//! This machine: models on disk, keys that are set, and free space.

use super::finding::{Check, Note, Outcome, Wrong};
use super::{Findings, KeyPlan, TreePlan};
use crate::pipeline::progress::Progress;
use crate::tao::tree::check_models;
use rustix::fs::statvfs;
use std::io;
use std::path::Path;

/// Looks at a tree of models; returns how many bytes its files have.
pub(super) fn look_at_tree(
    plan: &TreePlan,
    progress: &dyn Progress,
    findings: &mut Findings<'_>,
) -> Result<u64, Check> {
    let place = plan.root.1.display().to_string();
    let checked = match check_models(&plan.root, &plan.options, progress) {
        Ok(checked) => checked,
        Err(error) => {
            findings.add(Check::Tree, &place, Outcome::Wrong(Wrong::Tree(error)));
            return Err(Check::Tree);
        }
    };
    if checked.refused.is_empty() {
        findings.add(Check::Tree, &place, Outcome::Good);
    }
    for flaw in checked.refused {
        findings.add(Check::Tree, &place, Outcome::Wrong(Wrong::Flaw(flaw)));
    }
    for remark in checked.named {
        findings.add(Check::Tree, &place, Outcome::Noted(Note::Remark(remark)));
    }
    Ok(checked.files_len)
}

/// Says whether a key is set, and never what it is.
pub(super) fn look_at_key(plan: &KeyPlan, findings: &mut Findings<'_>) {
    match plan.set {
        Some(name) => findings.add(Check::Keys, &format!("{}, {name}", plan.source), Outcome::Good),
        None => findings.add(Check::Keys, plan.source, Outcome::Noted(Note::NoKey { names: plan.names })),
    }
}

/// Looks whether a directory, there or to be made, has room for so many bytes.
pub(super) fn look_at_space(dir: &Path, needed_len: u64, findings: &mut Findings<'_>) {
    let outcome = match free_len(dir) {
        Ok(free_len) if free_len >= needed_len => Outcome::Good,
        Ok(free_len) => Outcome::Wrong(Wrong::LittleSpace { free_len, needed_len }),
        Err(error) => Outcome::Wrong(Wrong::NoSpaceKnown(error)),
    };
    findings.add(Check::Space, &dir.display().to_string(), outcome);
}

/// Returns what is free where a directory lies or would lie.
fn free_len(dir: &Path) -> io::Result<u64> {
    let dir = std::path::absolute(dir)?;
    let there = dir.ancestors().find(|above| above.exists()).unwrap_or(Path::new("/"));
    let about = statvfs(there)?;
    Ok(about.f_bavail.saturating_mul(about.f_frsize.max(1)))
}
