//! Plots as inline SVG: each has a title and a description, and its figures stand in a table beside it.

use super::markup::Text;
use crate::cli::size::{Percent, Size};
use std::fmt::{self, Display};

/// The width of every plot in its own units.
const WIDTH: f64 = 720.0;
const LABEL_WIDTH: f64 = 190.0;
const VALUE_WIDTH: f64 = 84.0;
const ROW_HEIGHT: f64 = 28.0;
const BAR_HEIGHT: f64 = 18.0;
const COLUMNS_HEIGHT: f64 = 180.0;
/// The most characters of a label that fit before a bar.
const LABEL_LEN_MAX: usize = 26;

/// What a plot is called, and what it shows in a sentence.
pub(super) struct Named<'a> {
    pub(super) id: &'a str,
    pub(super) title: &'a str,
    pub(super) description: &'a str,
}

/// A part of a bar.
pub(super) struct Segment {
    pub(super) class: &'static str,
    pub(super) name: String,
    pub(super) len: u64,
}

/// A bar of one or more parts behind its label.
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) segments: Vec<Segment>,
}

/// Bars below each other, all to one scale.
pub(super) struct Bars<'a> {
    pub(super) named: Named<'a>,
    pub(super) bars: Vec<Bar>,
}

/// Columns beside each other: a histogram by powers of two.
pub(super) struct Columns<'a> {
    pub(super) named: Named<'a>,
    /// The label and the bytes of each.
    pub(super) columns: Vec<(String, u64)>,
}

/// How much of a run of volumes is at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Here {
    All,
    Some,
    None,
}

/// Volumes in a row, each run of them a cell.
pub(super) struct Strip<'a> {
    pub(super) named: Named<'a>,
    /// What a cell stands for, and how much of it is at hand.
    pub(super) cells: Vec<(String, Here)>,
}

impl Named<'_> {
    fn open(&self, f: &mut fmt::Formatter<'_>, height: f64) -> fmt::Result {
        let Named { id, title, description } = self;
        write!(f, "<figure><svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" ")?;
        writeln!(f, "aria-labelledby=\"{id}-title {id}-desc\"><title id=\"{id}-title\">{}</title>", Text(title))?;
        writeln!(f, "<desc id=\"{id}-desc\">{}</desc>", Text(description))
    }

    fn close(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "</svg><figcaption>{}</figcaption></figure>", Text(self.description))
    }
}

/// A rectangle that tells what it is when pointed at.
struct Rect<'a> {
    class: &'a str,
    left: f64,
    top: f64,
    width: f64,
    height: f64,
    says: String,
}

impl Display for Rect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rect { class, left, top, width, height, says } = self;
        write!(f, "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" ")?;
        writeln!(f, "height=\"{height:.1}\"><title>{}</title></rect>", Text(says))
    }
}

impl Bar {
    fn len(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len).sum()
    }
}

impl Display for Bars<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.named.open(f, self.bars.len() as f64 * ROW_HEIGHT)?;
        let longest = self.bars.iter().map(Bar::len).max().unwrap_or(0).max(1) as f64;
        let has_labels = self.bars.iter().any(|bar| !bar.label.is_empty());
        let start = if has_labels { LABEL_WIDTH } else { 0.0 };
        let room = WIDTH - start - VALUE_WIDTH;
        for (number, bar) in self.bars.iter().enumerate() {
            let top = number as f64 * ROW_HEIGHT + (ROW_HEIGHT - BAR_HEIGHT) / 2.0;
            let base = top + BAR_HEIGHT - 4.5;
            let label = Text(shortened(&bar.label));
            writeln!(f, "<text x=\"{:.1}\" y=\"{base:.1}\" text-anchor=\"end\">{label}</text>", start - 8.0)?;
            let mut left = start;
            for segment in bar.segments.iter().filter(|segment| segment.len > 0) {
                let width = segment.len as f64 / longest * room;
                let share = Percent { part: segment.len, whole: bar.len() };
                let says = format!("{}: {}, {share}", segment.name, Size(segment.len));
                // A part that is there is seen, however small.
                let drawn = width.max(1.0);
                write!(f, "{}", Rect { class: segment.class, left, top, width: drawn, height: BAR_HEIGHT, says })?;
                left += width;
            }
            let value = Size(bar.len());
            writeln!(f, "<text class=\"quiet\" x=\"{:.1}\" y=\"{base:.1}\">{value}</text>", left + 8.0)?;
        }
        self.named.close(f)
    }
}

impl Display for Columns<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const FOOT: f64 = 24.0;
        const HEAD: f64 = 20.0;
        self.named.open(f, COLUMNS_HEIGHT)?;
        let largest = self.columns.iter().map(|(_, len)| *len).max().unwrap_or(0).max(1) as f64;
        // A few columns stay as narrow as many.
        let step = WIDTH / (self.columns.len() as f64).max(8.0);
        let ground = COLUMNS_HEIGHT - FOOT;
        writeln!(f, "<line class=\"axis\" x1=\"0\" x2=\"{WIDTH}\" y1=\"{ground}\" y2=\"{ground}\"></line>")?;
        for (number, (label, len)) in self.columns.iter().enumerate() {
            let height = (*len as f64 / largest * (ground - HEAD)).max(if *len > 0 { 1.0 } else { 0.0 });
            let (left, top) = (number as f64 * step + step * 0.1, ground - height);
            let says = format!("runs from {label}: {}", Size(*len));
            write!(f, "{}", Rect { class: "c1", left, top, width: step * 0.8, height, says })?;
            let middle = left + step * 0.4;
            if step > 56.0 {
                let above = top - 5.0;
                writeln!(f, "<text class=\"quiet\" x=\"{middle:.1}\" y=\"{above:.1}\" text-anchor=\"middle\">")?;
                writeln!(f, "{}</text>", Size(*len))?;
            }
            // Where columns are narrow, only some of them have room for a label.
            let every = (64.0 / step).ceil().max(1.0) as usize;
            if number % every == 0 {
                let below = COLUMNS_HEIGHT - 6.0;
                let label = Text(label);
                writeln!(f, "<text x=\"{middle:.1}\" y=\"{below:.1}\" text-anchor=\"middle\">{label}</text>")?;
            }
        }
        self.named.close(f)
    }
}

impl Display for Strip<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HEIGHT: f64 = 40.0;
        self.named.open(f, HEIGHT)?;
        // Few volumes stay cells, not walls.
        let step = (WIDTH / (self.cells.len() as f64).max(1.0)).min(48.0);
        let gap = if step > 6.0 { 2.0 } else { 0.0 };
        for (number, (what, here)) in self.cells.iter().enumerate() {
            let (class, word, share) = match here {
                Here::All => ("c0", "here", 1.0),
                Here::Some => ("c1", "partly here", 0.6),
                Here::None => ("none", "missing", 0.3),
            };
            // Height says the same as colour.
            let height = (HEIGHT - 4.0) * share;
            let (left, top) = (number as f64 * step + gap / 2.0 + 0.5, HEIGHT - 2.0 - height);
            let says = format!("{what}: {word}");
            write!(f, "{}", Rect { class, left, top, width: step - gap - 1.0_f64.min(step / 4.0), height, says })?;
        }
        self.named.close(f)
    }
}

fn shortened(label: &str) -> String {
    match label.char_indices().nth(LABEL_LEN_MAX) {
        Some((end, _)) => format!("{}…", &label[..end]),
        None => label.to_owned(),
    }
}
