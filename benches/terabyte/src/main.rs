//! Packs and imports trees that need no room: made while they are read, written to what keeps noise
//! by its place alone.
//!
//! `airlift-terabyte AIRLIFT SCRATCH RESULTS STEPS TREE ...`, where STEPS are some of
//! `pack,verify,import` and a tree is `models:COUNT:BYTES` or `records:COUNT`. Lines of JSON are appended
//! to RESULTS. Root is needed, to mount.

mod counting;
mod land;
mod mount;
mod noise;
mod run;
mod space;
mod tree;
mod written;

use std::error::Error;
use std::path::Path;
use tree::Tree;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [land::LAND, tree, bundle, signers, place] =
        arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice()
    {
        return land::land(parse(tree)?, Path::new(bundle), Path::new(signers), Path::new(place));
    }
    let [airlift, scratch, results, steps, trees @ ..] = arguments.as_slice() else {
        return Err("usage: airlift-terabyte AIRLIFT SCRATCH RESULTS STEPS TREE ...".into());
    };
    let airlift = Path::new(airlift).canonicalize()?;
    for text in trees {
        let places = run::Places { airlift: &airlift, scratch: Path::new(scratch), results: Path::new(results) };
        run::measure(places, steps, text, parse(text)?)?;
    }
    Ok(())
}

fn parse(text: &str) -> Result<Tree, Box<dyn Error>> {
    match text.split(':').collect::<Vec<_>>().as_slice() {
        ["models", count, len] => Ok(Tree::models(count.parse()?, len.parse()?)),
        ["records", count] => Ok(Tree::records(count.parse()?)),
        _ => Err(format!("{text} is no tree").into()),
    }
}
