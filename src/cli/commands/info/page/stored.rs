//! Where the bytes went: what is carried, what was the same, and what the codecs made of the rest.

use super::markup::{Cell, Table};
use super::plot::{Bar, Bars, Columns, Named, Segment};
use crate::cli::size::{Percent, Size};
use airlift::pipeline::dedup::Tally;
use airlift::pipeline::inspect::Summary;
use std::fmt::{self, Display};

/// The sections about how a bundle is stored.
pub(super) struct Stored<'a> {
    pub(super) summary: &'a Summary,
    /// Bytes of all files.
    pub(super) total_len: u64,
}

impl Stored<'_> {
    /// Returns the parts of the content: the colour, the name, and the bytes of each.
    fn parts(&self) -> [(&'static str, &'static str, u64); 4] {
        let Summary { seen_len, repeat_len, reference_len, .. } = *self.summary;
        let carried_len = seen_len.saturating_sub(repeat_len + reference_len);
        [
            ("c0", "carried", carried_len),
            ("c2", "repeated in its pack", repeat_len),
            ("c1", "the same as an earlier file", reference_len),
            ("c5", "not here", self.total_len.saturating_sub(seen_len)),
        ]
    }

    fn whole(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let segment = |(class, name, len): (&'static str, &str, u64)| Segment { class, name: name.to_owned(), len };
        let segments = self.parts().into_iter().map(segment).collect();
        let description = "All content: what is carried, what is the same as something carried, and what is not here.";
        let named = Named { id: "whole", title: "Where the bytes went", description };
        let bars = Bars { named, bars: vec![Bar { label: String::new(), segments }] };
        let row = |(class, name, len): (&'static str, &str, u64)| {
            let share = Percent { part: len, whole: self.total_len };
            vec![Cell::Keyed(class, name.to_owned()), Cell::number(Size(len)), Cell::number(share)]
        };
        let rows = self.parts().into_iter().filter(|(_, _, len)| *len > 0).map(row).collect();
        let table = Table { caption: "Parts of the content", headings: &["part", "size", "share"], rows };
        writeln!(f, "<h2>Where the bytes went</h2>\n<div class=\"pair\">{bars}{table}</div>")
    }

    fn codecs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut bars, mut rows) = (Vec::new(), Vec::new());
        for ((profile, codec), stored) in &self.summary.kinds {
            let segment = |class, name: &str, len| vec![Segment { class, name: name.to_owned(), len }];
            bars.push(Bar { label: format!("{profile}, {codec}"), segments: segment("c5", "before", stored.raw_len) });
            bars.push(Bar { label: String::new(), segments: segment("c0", "stored", stored.stored_len) });
            rows.push(vec![
                Cell::text(profile),
                Cell::text(codec),
                Cell::number(Size(stored.raw_len)),
                Cell::number(Size(stored.stored_len)),
                Cell::number(Percent { part: stored.stored_len, whole: stored.raw_len }),
            ]);
        }
        let description = "What is carried, by how files were cut and by codec: before (grey) and as stored (blue).";
        let bars = Bars { named: Named { id: "codecs", title: "Codecs, before and after", description }, bars };
        let headings = &["cut as", "codec", "before", "stored", "ratio"];
        let table = Table { caption: "By how it was cut, and codec", headings, rows };
        writeln!(f, "<div class=\"pair\">{bars}{table}</div>")
    }

    fn same(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dedup = &self.summary.dedup;
        let line = |name: &str, tally: Tally| {
            let share = Percent { part: tally.len, whole: self.summary.seen_len };
            vec![Cell::text(name), Cell::number(tally.count), Cell::number(Size(tally.len)), Cell::number(share)]
        };
        let mut rows = vec![line("whole files", dedup.whole_files)];
        rows.extend(dedup.profiles.iter().map(|(profile, counts)| {
            let (repeats, references) = (counts.repeats, counts.references);
            let twice = Tally { count: repeats.count + references.count, len: repeats.len + references.len };
            line(&format!("chunks, {profile}"), twice)
        }));
        let headings = &["what", "count", "size", "share"];
        let same = Table { caption: "The same as something else", headings, rows };
        let rows = dedup.runs.iter().map(|(len_min, runs)| line(&Size(*len_min).to_string(), *runs)).collect();
        let headings = &["runs from", "count", "size", "share"];
        let runs = Table { caption: "Runs that refer to an earlier file, by length", headings, rows };
        writeln!(f, "<h2>What was the same</h2>\n{same}")?;
        if dedup.runs.is_empty() {
            return Ok(());
        }
        let description = "Runs of chunks that refer to an earlier file: the bytes in runs of each length.";
        let columns = dedup.runs.iter().map(|(len_min, runs)| (Size(*len_min).to_string(), runs.len)).collect();
        let named = Named { id: "runs", title: "Runs of references by length", description };
        writeln!(f, "<div class=\"pair\">{}{runs}</div>", Columns { named, columns })
    }
}

impl Display for Stored<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.whole(f)?;
        if self.summary.seen_len == 0 {
            return writeln!(f, "<p class=\"quiet\">No pack is here, so nothing is known of codecs and dedup.</p>");
        }
        self.codecs(f)?;
        self.same(f)
    }
}
