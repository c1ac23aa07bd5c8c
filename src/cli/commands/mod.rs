//! One module a command: from arguments to a call of the library, and from its answer to a report.

pub(crate) mod cat;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod export;
pub(crate) mod fetch;
pub(crate) mod images;
pub(crate) mod import;
pub(crate) mod info;
pub(crate) mod ls;
pub(crate) mod man;
pub(crate) mod pack;
pub(crate) mod sign;
pub(crate) mod state;
pub(crate) mod tao;
pub(crate) mod verify;
pub(crate) mod write;

use airlift::format::Head;
use airlift::format::packs::VolumeNumber;
use std::collections::BTreeSet;
use std::num::NonZeroUsize;

/// Displays a release as people call it.
pub(crate) fn name_of(head: &Head) -> String {
    format!("{} release {}", head.stream, head.counter)
}

/// Displays volumes as a person writes them down: `1-3, 7`.
pub(crate) fn ranges(volumes: &BTreeSet<VolumeNumber>) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for number in volumes.iter().map(|volume| volume.number()) {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let shown = runs.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// Displays which volumes are missing: `volumes 2-3 of 5 are missing`.
pub(crate) fn missing(volumes: &BTreeSet<VolumeNumber>, total: u32) -> String {
    match volumes.len() {
        1 => format!("volume {} of {total} is missing", ranges(volumes)),
        _ => format!("volumes {} of {total} are missing", ranges(volumes)),
    }
}

/// Returns how many workers there are: as asked, or one a processor.
pub(crate) fn workers(asked: Option<NonZeroUsize>) -> NonZeroUsize {
    asked.or_else(|| std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_neighbouring_volumes() {
        let volumes = |numbers: &[u32]| numbers.iter().filter_map(|&number| VolumeNumber::new(number)).collect();
        assert_eq!(ranges(&volumes(&[1, 2, 3, 7, 9, 10])), "1-3, 7, 9-10");
        assert_eq!(ranges(&volumes(&[])), "");
    }
}
