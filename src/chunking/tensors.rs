//! Cuts at tensors (F-70 to F-72).

use crate::format::Element;

/// Distance of the cuts within a region, in bytes.
pub(super) const STEP_LEN: u64 = 1 << 20;
/// Cuts nearer to each other than this are merged, in bytes.
pub(super) const APART_LEN: u64 = 64 << 10;

/// A run of bytes of one element type: a tensor, or what stands before the first one. It ends where
/// the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) start: u64,
    pub(super) element: Element,
}

/// What the start of a file says of its tensors.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// All of the file, in ascending order of start; the first begins at 0.
    Regions(Vec<Region>),
    /// The table has this many bytes.
    Wants(usize),
    /// The table is longer than what was shown.
    Longer,
    /// It is no table, or one beyond the limits.
    Broken,
}

/// The cuts of a file with a table, found one after the other.
pub(super) struct Tensors {
    regions: Vec<Region>,
    file_len: u64,
    /// Region of the current position.
    index: usize,
    /// Where the current chunk ends, and in which region.
    next: (u64, usize),
}

impl Tensors {
    pub(super) fn new(regions: Vec<Region>, file_len: u64) -> Tensors {
        let mut tensors = Tensors { regions, file_len, index: 0, next: (0, 0) };
        tensors.next = tensors.cut_after(0);
        tensors
    }

    /// Returns the offset at which the current chunk ends.
    pub(super) const fn next_cut(&self) -> u64 {
        self.next.0
    }

    /// Returns length and element of the chunk at `position`, and moves behind it.
    pub(super) fn cut(&mut self, position: u64) -> (usize, Element) {
        let (end, last) = self.next;
        let element = self.element_of(position, end);
        if end < self.file_len {
            self.index = if end == self.end_of(last) { last + 1 } else { last };
            self.next = self.cut_after(end);
        }
        ((end - position) as usize, element)
    }

    /// Returns the first kept cut behind `position`, which is a kept cut of the current region, and
    /// the region that ends or is cut there.
    fn cut_after(&self, position: u64) -> (u64, usize) {
        let mut index = self.index;
        loop {
            let (start, end) = (self.regions[index].start, self.end_of(index));
            let steps = position.saturating_sub(start) / STEP_LEN + 1;
            let step = start + steps * STEP_LEN;
            if step + APART_LEN <= end {
                return (step, index);
            }
            if end - position >= APART_LEN || end == self.file_len {
                return (end, index);
            }
            index += 1;
        }
    }

    fn end_of(&self, index: usize) -> u64 {
        self.regions.get(index + 1).map_or(self.file_len, |next| next.start)
    }

    /// Returns the element of the region that has most bytes of the chunk, of equals the first.
    fn element_of(&self, start: u64, end: u64) -> Element {
        let mut most = (0, Element::Unknown);
        for (index, region) in self.regions.iter().enumerate().skip(self.index) {
            if region.start >= end {
                break;
            }
            let len = self.end_of(index).min(end) - region.start.max(start);
            if len > most.0 {
                most = (len, region.element);
            }
        }
        most.1
    }
}
