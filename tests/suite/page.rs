//! The page that shows a bundle: whole, closed to the outside, and safe from what bundles name.

use crate::fixture::{self, Packed, Size, directory};
use crate::program::{Transcript, airlift, flip, shown, signer_line};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Elements that the page may have.
const ELEMENTS: [&str; 33] = [
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "main",
    "h1",
    "h2",
    "p",
    "div",
    "strong",
    "ul",
    "li",
    "dl",
    "dt",
    "dd",
    "figure",
    "figcaption",
    "svg",
    "desc",
    "rect",
    "line",
    "text",
    "table",
    "caption",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "span",
    "footer",
];

/// Makes the page of a bundle and returns it.
fn page_of(bundle: &Path, page: &Path, options: &[&str]) -> String {
    let made = Transcript::of(airlift(&[&["info", shown(bundle), "--html", shown(page)], options].concat()));
    assert_eq!(made.code, 0, "{}", made.err);
    assert!(made.err.contains(&format!("page: {}", shown(page))), "{}", made.err);
    fs::read_to_string(page).expect("a page")
}

/// Checks that every element is one of ours and ends where it should, and that every `&` is escaped.
fn assert_well_formed(page: &str) {
    let mut rest = page.strip_prefix("<!DOCTYPE html>\n").expect("a document type");
    let mut open: Vec<&str> = Vec::new();
    while let Some(start) = rest.find('<') {
        assert_escaped(&rest[..start], open.last() == Some(&"style"));
        let end = start + rest[start..].find('>').expect("an end of the tag");
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
            continue;
        }
        let name = tag.split(' ').next().expect("a name");
        assert!(ELEMENTS.contains(&name), "<{tag}>");
        assert_eq!(tag.matches('"').count() % 2, 0, "<{tag}>");
        assert!(!tag.contains(" on") && !tag.contains(" href"), "<{tag}>");
        // Only `meta` has no end.
        if name != "meta" {
            open.push(name);
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?}");
}

fn assert_escaped(text: &str, is_style: bool) {
    assert!(is_style || !text.contains('>'), "{text}");
    for after in text.split('&').skip(1) {
        assert!(["amp;", "lt;", "gt;", "quot;", "#39;"].iter().any(|entity| after.starts_with(entity)), "&{after}");
    }
}

/// Checks that nothing in the page makes a browser ask for anything.
fn assert_closed(page: &str) {
    assert!(page.contains("content=\"default-src 'none'; style-src 'unsafe-inline';"));
    let markup = page.to_lowercase();
    for part in ["http:", "https:", "url(", "src=", "@import", "<script", "<link", "<iframe", "<img", "javascript:"] {
        assert!(!markup.contains(part), "{part} is in the page");
    }
}

#[test]
fn a_page_shows_who_signed_what_is_in_it_and_where_the_bytes_went() {
    let packed = Packed::new(Size { model_len: 100 << 20, noise_len: 0, noise_count: 0, small_count: 40 }, 2);
    let top = packed.directory.path();
    let signers = top.join("signers");
    fs::write(&signers, signer_line(fixture::signer().line())).expect("written");
    let page = page_of(&packed.bundle(), &top.join("page.html"), &["--allowed-signers", shown(&signers)]);
    assert_well_formed(&page);
    assert_closed(&page);
    for part in [
        "<h1>models-eu release 2</h1>",
        "vouch trusted",
        "<li>signed by release-team</li>",
        "<td>models</td>",
        ".safetensors</td>",
        "models/org/base/v1/model.safetensors",
        "safetensors, planes",
        "the same as an earlier file",
        "Runs of references by length",
        "prefers-color-scheme: dark",
    ] {
        assert!(page.contains(part), "{part} is not in the page");
    }
    assert!(!page.contains("UNTRUSTED"));
    // Every plot says what it is.
    let plots = page.matches("<svg ").count();
    assert!(plots >= 5 && page.matches("role=\"img\"").count() == plots && page.matches("<desc ").count() == plots);
    assert!(page.contains("Every volume is here."));
    let (first, options) = (packed.medium("first", &[1]), ["--allowed-signers", shown(&signers)]);
    let page = page_of(&first, &top.join("first.html"), &options);
    assert_well_formed(&page);
    let count = packed.volume_numbers().len();
    assert!(count > 1 && page.contains(&format!("1 of {count} are here")), "{count}");
    assert!(page.contains("<td>missing</td>"));
    let untrusted = page_of(&packed.medium("none", &[]), &top.join("bare.html"), &["--untrusted"]);
    assert_well_formed(&untrusted);
    assert!(untrusted.contains("UNTRUSTED") && untrusted.contains("vouch unchecked"));
    assert!(untrusted.contains("No pack is here"));
    let volume = first.join("volumes/000001.vol");
    let len = fs::metadata(&volume).expect("there").len();
    fs::write(&volume, vec![0; len as usize]).expect("written");
    let damaged = page_of(&first, &top.join("damaged.html"), &["--untrusted"]);
    assert!(damaged.contains("can't be read; airlift verify names them"));
}

#[test]
fn names_in_a_bundle_stay_names_in_the_page() {
    let directory = directory();
    let (tree, out) = (directory.path().join("tree"), directory.path().join("<out> \u{202e}\"&"));
    let hostile = ["<script>alert(1)<", "a' onload='x", "b\" onclick=\"x", "c &lt;d>.<i>&", "--><style>.>{", "e.\"'<>"];
    for name in hostile {
        fs::create_dir_all(tree.join(name)).expect("made");
        fs::write(tree.join(name).join(format!("{name}f.{}", &name[..4])), name).expect("written");
    }
    let arguments = ["pack", &format!("m={}", shown(&tree)), "--stream", "s", "--counter", "1", "--out", shown(&out)];
    let packed = Transcript::of(airlift(&arguments));
    assert_eq!(packed.code, 0, "{}", packed.err);
    let path = directory.path().join("page.html");
    let page = {
        let made = Transcript::of(airlift(&["info", shown(&out), "--untrusted", "--html", shown(&path)]));
        assert_eq!(made.code, 0, "{}", made.err);
        fs::read_to_string(&path).expect("a page")
    };
    assert_well_formed(&page);
    assert_closed(&page);
    for name in hostile {
        assert!(!page.contains(name), "{name} stands raw in the page");
    }
    assert!(!page.contains('\u{202e}') && page.contains("&lt;script&gt;alert(1)&lt;"));
    assert!(page.contains("&lt;out&gt; \\u{202e}&quot;&amp;"));
}

#[test]
fn a_page_is_written_whole_and_over_nothing() {
    let packed = Packed::new(Size { model_len: 1 << 20, noise_len: 0, noise_count: 0, small_count: 4 }, 1);
    let page = packed.directory.path().join("page.html");
    let run = |bundle: &Path| -> Command { airlift(&["info", shown(bundle), "--untrusted", "--html", shown(&page)]) };
    fs::write(&page, b"mine").expect("written");
    let refused = Transcript::of(run(&packed.bundle()));
    assert_eq!((refused.code, refused.out.as_str()), (7, ""), "{}", refused.err);
    assert!(refused.error().contains("is there already"), "{}", refused.err);
    assert_eq!(fs::read(&page).expect("read"), b"mine");
    fs::remove_file(&page).expect("removed");
    // A bundle that can't be read leaves no page, and no other file.
    let broken = packed.medium("broken", &[]);
    flip(&broken.join("manifest"), 0);
    let before = fs::read_dir(packed.directory.path()).expect("a directory").count();
    assert_ne!(Transcript::of(run(&broken)).code, 0);
    assert_eq!(Transcript::of(run(&packed.bundle())).code, 0);
    assert_eq!(fs::read_dir(packed.directory.path()).expect("a directory").count(), before + 1);
}
