//! `airlift tao check`.

use crate::cli::args::CheckArgs;
use crate::cli::commands::pack::SORT_BUDGET_LEN;
use crate::cli::failure::Failure;
use crate::cli::progress::Shown;
use crate::cli::remedy;
use crate::cli::report::Report;
use crate::cli::scratch::Scratch;
use crate::cli::size::Count;
use airlift::error::Class;
use airlift::format::{Name, OneLine};
use airlift::pipeline::globs::Glob;
use airlift::pipeline::walk::Links;
use airlift::tao::check::Checked;
use airlift::tao::metadata::METADATA_NAME;
use airlift::tao::tree::{LookOptions, Split, TreeError, check_models, splits};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

pub(crate) fn run(args: &CheckArgs, report: &Report) -> Result<(), Failure> {
    if !args.dir.is_dir() {
        let message = format!("{} is no directory", OneLine(args.dir.to_string_lossy()));
        return Err(Failure::new(Class::Usage, message, "name the directory of the models, or the one above it"));
    }
    let tree = Tree::of(&args.dir)?;
    let links = if args.follow_inside { Links::FollowInside } else { Links::Refuse };
    let checked = look(&tree.models, links, &[], report)?;
    report.result(&tree.document(&checked), &tree.text(&checked))?;
    refuse_flaws(&checked)
}

/// Looks at the models of a root as the platform will see them, without what is excluded.
pub(super) fn look(
    models: &(Name, PathBuf),
    links: Links,
    exclude: &[Glob],
    report: &Report,
) -> Result<Checked, Failure> {
    let scratch = Scratch::new()?;
    let (state_dir, exclude) = (scratch.path().to_owned(), exclude.to_vec());
    let options = LookOptions { links, exclude, state_dir, budget_len: SORT_BUDGET_LEN };
    let progress = Shown::new(report);
    let checked = check_models(models, &options, &progress);
    progress.finish();
    Ok(checked?)
}

/// Ends the command where something would break the platform.
pub(super) fn refuse_flaws(checked: &Checked) -> Result<(), Failure> {
    match checked.refused.len() {
        0 => Ok(()),
        count => {
            let message = format!("{} would break the platform", Count(count as u64, "flaw"));
            Err(Failure::new(Class::Refused, message, "correct what is named above and repeat the command"))
        }
    }
}

/// Says which parts of the guide's layout a directory of datasets has.
pub(super) fn datasets_text(datasets: &Path) -> String {
    let named = |split: &Split| if split.is_empty { format!("{} (empty)", split.name) } else { split.name.to_owned() };
    match splits(datasets) {
        none if none.is_empty() => "without train, val or test".to_owned(),
        found => format!("with {}", found.iter().map(named).collect::<Vec<_>>().join(", ")),
    }
}

/// Returns the names of the parts that a directory of datasets has: all, and those with nothing in them.
pub(super) fn split_names(datasets: &Path) -> (Vec<&'static str>, Vec<&'static str>) {
    let found = splits(datasets);
    let empty = found.iter().filter(|split| split.is_empty).map(|split| split.name).collect();
    (found.iter().map(|split| split.name).collect(), empty)
}

/// The directories that are looked at.
pub(super) struct Tree {
    pub(super) models: (Name, PathBuf),
    /// Nothing where there are no datasets.
    datasets: Option<PathBuf>,
}

impl Tree {
    /// Finds the models in a directory, or below it beside datasets, as the guide lays them out.
    pub(super) fn of(dir: &Path) -> Result<Tree, Failure> {
        let name = Name::parse("models").map_err(|error| Failure::of(Class::Bug, &error))?;
        let is_above = !dir.join(METADATA_NAME).exists() && dir.join("models").is_dir();
        let (models, beside) = if is_above { (dir.join("models"), dir) } else { (dir.to_owned(), dir) };
        let datasets = Some(beside.join("datasets")).filter(|path| is_above && path.is_dir());
        Ok(Tree { models: (name, models), datasets })
    }

    fn text(&self, checked: &Checked) -> String {
        let mut text = String::new();
        for flaw in &checked.refused {
            let _ = writeln!(text, "refused: {}", OneLine(flaw.to_string()));
        }
        for remark in &checked.named {
            let _ = writeln!(text, "note: {}", OneLine(remark.to_string()));
        }
        if let Some(datasets) = &self.datasets {
            let _ = writeln!(text, "datasets: {}, {}", OneLine(datasets.to_string_lossy()), datasets_text(datasets));
        }
        let verb = if checked.refused.is_empty() { "good" } else { "not good" };
        let entries = Count(checked.entry_count, "entry");
        let _ = writeln!(text, "{verb}: {entries} in {}", OneLine(self.models.1.to_string_lossy()));
        text
    }

    fn document(&self, checked: &Checked) -> Value {
        let refused: Vec<String> = checked.refused.iter().map(ToString::to_string).collect();
        let named: Vec<String> = checked.named.iter().map(ToString::to_string).collect();
        let (splits, empty_splits) = self.datasets.as_deref().map(split_names).unzip();
        json!({
            "result": if refused.is_empty() { "good" } else { "refused" },
            "models": self.models.1,
            "entries": checked.entry_count,
            "refused": refused,
            "notes": named,
            "datasets": self.datasets,
            "splits": splits,
            "empty_splits": empty_splits,
        })
    }
}

impl From<TreeError> for Failure {
    fn from(error: TreeError) -> Failure {
        Failure { remedy: remedy::of_tree(&error).into(), ..Failure::of(error.class(), &error) }
    }
}
