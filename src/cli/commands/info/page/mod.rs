//! One page that shows a bundle to people: it needs no script and asks nobody for anything (C-32).

mod contents;
mod markup;
mod plot;
mod shelf;
mod stored;

use super::signers;
use crate::cli::commands::{name_of, ranges};
use crate::cli::size::{Count, Percent, Size};
use airlift::pipeline::census::Census;
use airlift::pipeline::inspect::{Opened, Summary};
use contents::Contents;
use markup::{Cell, Facts, Table, Text};
use plot::{Named, Strip};
use shelf::{Shelf, cells, present};
use std::fmt::{self, Display};
use stored::Stored;

const STYLE: &str = include_str!("style.css");

/// What a browser may load for the page: nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// A bundle as a page.
pub(super) struct Page<'a> {
    opened: &'a Opened,
    summary: &'a Summary,
    census: &'a Census,
    shelves: Vec<Shelf>,
}

impl<'a> Page<'a> {
    /// Looks which volumes lie on which medium.
    pub(super) fn new(opened: &'a Opened, summary: &'a Summary, census: &'a Census) -> Page<'a> {
        let count = opened.head().volumes.count;
        let shelves = opened.media().iter().map(|medium| Shelf::of(medium, count)).collect();
        Page { opened, summary, census, shelves }
    }

    fn vouch(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (class, line) = match self.opened.vouched() {
            Some(_) => ("trusted", "Trusted: its signatures were checked when this page was made."),
            None => ("unchecked", "UNTRUSTED: no signature was checked. What follows may have been made by anybody."),
        };
        writeln!(f, "<div class=\"vouch {class}\"><strong>{line}</strong>\n<ul>")?;
        for signer in signers(self.opened) {
            let before = if self.opened.vouched().is_some() { "signed by " } else { "" };
            writeln!(f, "<li>{before}{}</li>", Text(signer))?;
        }
        f.write_str("</ul></div>\n")
    }

    fn cards(&self) -> Facts<'_> {
        let (head, summary) = (self.opened.head(), self.summary);
        let ratio = Percent { part: head.volumes.length, whole: head.totals.bytes };
        let twice_len = summary.repeat_len + summary.reference_len;
        let twice = match summary.seen_len {
            0 => "not known".to_owned(),
            whole => format!("{} ({})", Size(twice_len), Percent { part: twice_len, whole }),
        };
        let here = present(&self.shelves).len();
        let facts = vec![
            ("content", Size(head.totals.bytes).to_string()),
            ("files", head.totals.files.to_string()),
            ("stored", format!("{} ({ratio})", Size(head.volumes.length))),
            ("deduplicated", twice),
            ("volumes here", format!("{here} of {}", head.volumes.count)),
        ];
        Facts { class: "cards", facts }
    }

    fn volumes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.opened.head().volumes.count;
        let here = present(&self.shelves);
        let absent = shelf::absent(&here, count);
        let description = match absent.len() {
            0 => "Every volume is here.".to_owned(),
            missing => format!("{} of {count} are here (full height), {missing} missing (low).", here.len()),
        };
        let named = Named { id: "volumes", title: "Volumes at hand", description: &description };
        let strip = Strip { named, cells: cells(&here, count) };
        let row = |shelf: &Shelf| {
            vec![
                Cell::text(&shelf.place),
                Cell::text(if shelf.volumes.is_empty() { "none".to_owned() } else { ranges(&shelf.volumes) }),
                Cell::number(Size(shelf.len)),
            ]
        };
        let mut rows: Vec<_> = self.shelves.iter().map(row).collect();
        if !absent.is_empty() {
            rows.push(vec![Cell::text("missing"), Cell::text(ranges(&absent)), Cell::number("")]);
        }
        let table = Table { caption: "What lies where", headings: &["medium", "volumes", "size"], rows };
        writeln!(f, "<h2>Volumes and media</h2>\n<div class=\"pair\">{strip}{table}</div>")?;
        for shelf in self.shelves.iter().filter(|shelf| !shelf.refused.is_empty()) {
            let (volumes, place) = (Text(ranges(&shelf.refused)), Text(&shelf.place));
            writeln!(f, "<p class=\"vouch alert\">Of {place}, these volumes can't be opened: {volumes}.</p>")?;
        }
        Ok(())
    }

    fn release(&self) -> Facts<'_> {
        let head = self.opened.head();
        let mut facts = vec![("stream", head.stream.to_string()), ("counter", head.counter.to_string())];
        facts.push(("made", head.created_at.to_string()));
        facts.extend(head.not_after.iter().map(|time| ("import until", time.to_string())));
        facts.extend(head.audience.iter().map(|name| ("for", name.to_string())));
        facts.push(("content id", head.content_id.to_string()));
        facts.push(("tree id", head.tree_id.to_string()));
        let follows = |one: &airlift::format::head::Release| format!("release {} {}", one.counter, one.content_id);
        facts.extend(head.previous.iter().map(|one| ("follows", follows(one))));
        let base = |base: &airlift::format::head::Base| {
            ("builds on", format!("{} release {} {}", base.stream, base.counter, base.content_id))
        };
        facts.extend(head.bases.iter().map(base));
        let directories = Count(head.totals.directories, "empty directory");
        facts.push(("content", format!("{}, {directories}", Count(head.totals.files, "file"))));
        let attachment = |one: &airlift::format::head::Attachment| {
            ("attachment", format!("{}, {}, {}", one.kind, Size(one.length), one.sha256))
        };
        facts.extend(head.attachments.iter().map(attachment));
        Facts { class: "facts", facts }
    }
}

impl Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = name_of(self.opened.head());
        let name = Text(&name);
        writeln!(f, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")?;
        writeln!(f, "<meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">")?;
        writeln!(f, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")?;
        writeln!(f, "<meta name=\"color-scheme\" content=\"light dark\">\n<title>{name}</title>")?;
        writeln!(f, "<style>\n{STYLE}</style>\n</head>\n<body><main>\n<h1>{name}</h1>")?;
        writeln!(f, "<p class=\"quiet\">An Airlift bundle, made {}</p>", Text(self.opened.head().created_at))?;
        self.vouch(f)?;
        if self.summary.damaged_pack_count > 0 {
            let packs = Count(self.summary.damaged_pack_count, "pack");
            writeln!(f, "<p class=\"vouch alert\">{packs} here can't be read; airlift verify names them.</p>")?;
        }
        write!(f, "{}", self.cards())?;
        write!(f, "{}", Contents { census: self.census, total_len: self.opened.head().totals.bytes })?;
        write!(f, "{}", Stored { summary: self.summary, total_len: self.opened.head().totals.bytes })?;
        self.volumes(f)?;
        writeln!(f, "<h2>Release</h2>\n{}", self.release())?;
        let version = env!("CARGO_PKG_VERSION");
        writeln!(f, "<footer>Written by airlift {version}. This page loads nothing and has no script.</footer>")?;
        f.write_str("</main></body>\n</html>\n")
    }
}
