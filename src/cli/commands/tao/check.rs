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
use airlift::pipeline::walk::Links;
use airlift::tao::check::Checked;
use airlift::tao::metadata::METADATA_NAME;
use airlift::tao::tree::{LookOptions, TreeError, check_models, splits};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

pub(crate) fn run(args: &CheckArgs, report: &Report) -> Result<(), Failure> {
    let tree = Tree::of(&args.dir)?;
    let scratch = Scratch::new()?;
    let options = LookOptions {
        links: if args.follow_inside { Links::FollowInside } else { Links::Refuse },
        state_dir: scratch.path().to_owned(),
        budget_len: SORT_BUDGET_LEN,
    };
    let progress = Shown::new(report);
    let checked = check_models(&tree.models, &options, &progress);
    progress.finish();
    let checked = checked?;
    report.result(&tree.document(&checked), &tree.text(&checked))?;
    match checked.refused.len() {
        0 => Ok(()),
        count => {
            let message = format!("{} would break the platform", Count(count as u64, "value or folder"));
            Err(Failure::new(Class::Refused, message, "correct what is named above and repeat the command"))
        }
    }
}

/// The directories that are looked at.
struct Tree {
    models: (Name, PathBuf),
    /// Nothing where there are no datasets.
    datasets: Option<PathBuf>,
}

impl Tree {
    /// Finds the models in a directory, or below it beside datasets, as the guide lays them out.
    fn of(dir: &Path) -> Result<Tree, Failure> {
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
            let found = splits(datasets).join(", ");
            let found =
                if found.is_empty() { "without train, val or test".to_owned() } else { format!("with {found}") };
            let _ = writeln!(text, "datasets: {}, {found}", OneLine(datasets.to_string_lossy()));
        }
        let verb = if checked.refused.is_empty() { "good" } else { "not good" };
        let entries = Count(checked.entry_count, "entry");
        let _ = writeln!(text, "{verb}: {entries} in {}", OneLine(self.models.1.to_string_lossy()));
        text
    }

    fn document(&self, checked: &Checked) -> Value {
        let refused: Vec<String> = checked.refused.iter().map(ToString::to_string).collect();
        let named: Vec<String> = checked.named.iter().map(ToString::to_string).collect();
        json!({
            "result": if refused.is_empty() { "good" } else { "refused" },
            "models": self.models.1,
            "entries": checked.entry_count,
            "refused": refused,
            "notes": named,
            "datasets": self.datasets,
            "splits": self.datasets.as_deref().map(splits),
        })
    }
}

impl From<TreeError> for Failure {
    fn from(error: TreeError) -> Failure {
        Failure { remedy: remedy::of_tree(&error).into(), ..Failure::of(error.class(), &error) }
    }
}
