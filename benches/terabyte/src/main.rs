//! Packs and imports trees that need no room: made while they are read, written to what keeps noise
//! by its place alone.
//!
//! `airlift-terabyte AIRLIFT SCRATCH RESULTS TREE ...`, where a tree is `models:COUNT:BYTES` or
//! `records:COUNT`. Lines of JSON are appended to RESULTS. Root is needed, to mount.

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
    let [airlift, scratch, results, trees @ ..] = arguments.as_slice() else {
        return Err("usage: airlift-terabyte AIRLIFT SCRATCH RESULTS TREE ...".into());
    };
    for text in trees {
        run::measure(&Path::new(airlift).canonicalize()?, Path::new(scratch), Path::new(results), text, parse(text)?)?;
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
