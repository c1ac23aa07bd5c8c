//! Which volumes lie on which medium.

use super::plot::Here;
use airlift::format::packs::VolumeNumber;
use airlift::media::Medium;
use std::collections::BTreeSet;

/// Most cells of the strip of volumes.
const CELL_COUNT_MAX: u32 = 120;

/// The volumes on one medium.
pub(super) struct Shelf {
    /// Where the medium is.
    pub(super) place: String,
    pub(super) volumes: BTreeSet<VolumeNumber>,
    /// What stands under the name of a volume and can't be opened.
    pub(super) refused: BTreeSet<VolumeNumber>,
    /// Bytes of all its volumes.
    pub(super) len: u64,
}

impl Shelf {
    /// Looks for each of `count` volumes.
    pub(super) fn of(medium: &Medium, count: u32) -> Shelf {
        let place = medium.path().display().to_string();
        let mut shelf = Shelf { place, volumes: BTreeSet::new(), refused: BTreeSet::new(), len: 0 };
        for number in (1..=count).filter_map(VolumeNumber::new) {
            match medium.volume(number) {
                Ok(Some(file)) => {
                    shelf.len += file.len();
                    shelf.volumes.insert(number);
                }
                Ok(None) => {}
                Err(_) => {
                    shelf.refused.insert(number);
                }
            }
        }
        shelf
    }
}

/// Returns the volumes that lie on any medium.
pub(super) fn present(shelves: &[Shelf]) -> BTreeSet<VolumeNumber> {
    shelves.iter().flat_map(|shelf| shelf.volumes.iter().copied()).collect()
}

/// Returns the volumes that lie on none.
pub(super) fn absent(here: &BTreeSet<VolumeNumber>, count: u32) -> BTreeSet<VolumeNumber> {
    (1..=count).filter_map(VolumeNumber::new).filter(|number| !here.contains(number)).collect()
}

/// Returns the cells of a strip: a volume each, or a run of them where they are many.
pub(super) fn cells(here: &BTreeSet<VolumeNumber>, count: u32) -> Vec<(String, Here)> {
    let cell_count = count.min(CELL_COUNT_MAX);
    let bound = |cell: u32| (u64::from(cell) * u64::from(count) / u64::from(cell_count.max(1))) as u32;
    let cell = |cell: u32| {
        let (first, last) = (bound(cell) + 1, bound(cell + 1));
        let run = (first..=last).filter_map(VolumeNumber::new);
        let here = match run.filter(|number| here.contains(number)).count() as u32 {
            0 => Here::None,
            found if found == last + 1 - first => Here::All,
            _ => Here::Some,
        };
        let what = if first == last { format!("volume {first}") } else { format!("volumes {first}-{last}") };
        (what, here)
    };
    (0..cell_count).map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_cover_every_volume_once_and_tell_apart_what_is_missing() {
        let here: BTreeSet<_> = (1..=301).filter_map(VolumeNumber::new).collect();
        let many = cells(&here, 600);
        assert_eq!((many.len(), many[0].0.as_str()), (120, "volumes 1-5"));
        assert_eq!((many[59].1, many[60].1, many[61].1), (Here::All, Here::Some, Here::None));
        assert_eq!(many[119].0, "volumes 596-600");
        assert_eq!(cells(&here, 1), [("volume 1".to_owned(), Here::All)]);
        assert_eq!(cells(&here, 0), []);
        assert_eq!(absent(&here, 303).len(), 2);
    }
}
