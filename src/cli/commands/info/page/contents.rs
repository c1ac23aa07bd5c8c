//! What is in the bundle: by root and kind, and its largest files.

use super::markup::{Cell, Table};
use super::plot::{Bar, Bars, Named, Segment};
use crate::cli::size::{Percent, Size};
use airlift::pipeline::census::{Census, Kind};
use airlift::pipeline::dedup::Tally;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::{self, Display};

/// Colours of the kinds with most bytes; what is behind them shares the last one.
const CLASSES: [&str; 5] = ["c0", "c1", "c2", "c3", "c4"];
const CLASS_OF_OTHERS: &str = "c5";
/// Most roots and most kinds that have a line of their own.
const LINE_COUNT_MAX: usize = 12;

/// The section about what a bundle holds.
pub(super) struct Contents<'a> {
    pub(super) census: &'a Census,
    /// Bytes of all files.
    pub(super) total_len: u64,
}

/// Names with their tallies, the most bytes first.
type Ranked<'a> = Vec<(&'a str, Tally)>;

impl<'a> Contents<'a> {
    fn ranked(&self, name_of: impl Fn(&'a Kind) -> &'a str) -> Ranked<'a> {
        let mut sums: BTreeMap<&str, Tally> = BTreeMap::new();
        for (kind, tally) in &self.census.kinds {
            let sum = sums.entry(name_of(kind)).or_default();
            *sum = Tally { count: sum.count + tally.count, len: sum.len + tally.len };
        }
        let mut ranked: Ranked<'_> = sums.into_iter().collect();
        ranked.sort_by_key(|(_, tally)| Reverse(tally.len));
        ranked
    }

    fn bars(&self, roots: &Ranked<'_>, endings: &Ranked<'_>) -> Vec<Bar> {
        let colour = |ending: &str| endings.iter().position(|(name, _)| *name == ending).unwrap_or(usize::MAX);
        let mut bars = Vec::new();
        for (root, _) in roots.iter().take(LINE_COUNT_MAX) {
            let kinds = self.census.kinds.iter().filter(|(kind, _)| kind.root == *root);
            let mut lens = [0; CLASSES.len() + 1];
            kinds.for_each(|(kind, tally)| lens[colour(&kind.ending).min(CLASSES.len())] += tally.len);
            let segment = |(place, len): (usize, u64)| Segment {
                class: class_of(place),
                name: match endings.get(place) {
                    Some((ending, _)) if place < CLASSES.len() => shown(ending),
                    _ => "others".to_owned(),
                },
                len,
            };
            let segments = lens.into_iter().enumerate().map(segment).collect();
            bars.push(Bar { label: (*root).to_owned(), segments });
        }
        let rest = rest_of(roots, self.census.further);
        if rest.count > 0 {
            let segment = Segment { class: CLASS_OF_OTHERS, name: "further roots".to_owned(), len: rest.len };
            bars.push(Bar { label: "further".to_owned(), segments: vec![segment] });
        }
        bars
    }

    /// Returns a table of the first lines, and what is behind them in one.
    fn table<'b>(&self, caption: &'b str, headings: &'b [&'b str], ranked: &Ranked<'_>, key: Key) -> Table<'b> {
        let line = |name: Cell, tally: Tally| {
            let share = Percent { part: tally.len, whole: self.total_len };
            vec![name, Cell::number(tally.count), Cell::number(Size(tally.len)), Cell::number(share)]
        };
        let name = |(place, (name, tally)): (usize, &(&str, Tally))| match key {
            Key::Ending => line(Cell::Keyed(class_of(place), shown(name)), *tally),
            Key::Root => line(Cell::text(name), *tally),
        };
        let mut rows: Vec<_> = ranked.iter().take(LINE_COUNT_MAX).enumerate().map(name).collect();
        let rest = rest_of(ranked, self.census.further);
        if rest.count > 0 {
            rows.push(line(Cell::text("further"), rest));
        }
        Table { caption, headings, rows }
    }
}

/// What the lines of a table are about.
#[derive(Clone, Copy, Debug)]
enum Key {
    Root,
    Ending,
}

impl Display for Contents<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (roots, endings) = (self.ranked(|kind| &kind.root), self.ranked(|kind| &kind.ending));
        let description = "The bytes of each root, and of which kinds of files they are.";
        let named = Named { id: "roots", title: "Content by root and kind", description };
        let bars = Bars { named, bars: self.bars(&roots, &endings) };
        let by_root = self.table("By root", &["root", "files", "size", "share"], &roots, Key::Root);
        let by_kind = self.table("By kind of file", &["kind", "files", "size", "share"], &endings, Key::Ending);
        let largest = self.census.largest.iter().map(|(len, path)| vec![Cell::text(path), Cell::number(Size(*len))]);
        let largest = Table { caption: "Largest files", headings: &["file", "size"], rows: largest.collect() };
        writeln!(f, "<h2>What is in it</h2>\n<div class=\"pair\">{bars}{by_root}</div>")?;
        writeln!(f, "<div class=\"pair\">{largest}{by_kind}</div>")
    }
}

/// Sums up what has no line of its own.
fn rest_of(ranked: &Ranked<'_>, further: Tally) -> Tally {
    let behind = ranked.iter().skip(LINE_COUNT_MAX).map(|(_, tally)| *tally);
    behind.fold(further, |sum, tally| Tally { count: sum.count + tally.count, len: sum.len + tally.len })
}

fn class_of(place: usize) -> &'static str {
    CLASSES.get(place).copied().unwrap_or(CLASS_OF_OTHERS)
}

fn shown(ending: &str) -> String {
    if ending.is_empty() { "no ending".to_owned() } else { format!(".{ending}") }
}
