//! Where the fields of the structures lie, as far as the bytes go: a forger reads what no reader takes.

use std::ops::Range;

/// A record of a structure, or what stands before its first.
#[derive(Clone, Debug)]
pub(super) struct Record {
    /// The kind of a record of a manifest page; 0 elsewhere.
    pub(super) kind: u8,
    /// Its fields, one behind the other.
    pub(super) fields: Vec<Range<usize>>,
}

impl Record {
    pub(super) fn range(&self) -> Range<usize> {
        let start = self.fields.first().map_or(0, |field| field.start);
        start..self.fields.last().map_or(start, |field| field.end)
    }
}

pub(super) const FILE: u8 = 1;
pub(super) const DIRECTORY: u8 = 2;
pub(super) const ROW: u8 = 3;
const MARK: u8 = 4;

pub(super) const PACK_LEN: usize = 76;

/// Lays records out one behind the other.
struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
    records: Vec<Record>,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, offset: 0, records: Vec::new() }
    }

    /// Takes a record of fields with these lengths; false where the bytes end before.
    fn take(&mut self, kind: u8, lens: &[usize]) -> bool {
        let end = self.offset + lens.iter().sum::<usize>();
        if end > self.bytes.len() {
            return false;
        }
        let fields = lens.iter().filter(|len| **len > 0).scan(self.offset, |start, len| {
            let field = *start..*start + len;
            *start = field.end;
            Some(field)
        });
        self.records.push(Record { kind, fields: fields.collect() });
        self.offset = end;
        true
    }

    fn number(&self, offset: usize, len: usize) -> usize {
        let bytes = self.bytes.get(self.offset + offset..self.offset + offset + len).unwrap_or_default();
        bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte))
    }
}

/// Lays out the root of a manifest (F-40).
pub(super) fn manifest_root(bytes: &[u8]) -> Vec<Record> {
    let mut reader = Reader::new(bytes);
    reader.take(0, &[8, 2, 2, 4, 8, 8, 8, 8]);
    while reader.take(0, &[32, 4, 8, 8, 2, reader.number(52, 2)]) {}
    reader.records
}

/// Lays out the only page of a manifest (F-41).
pub(super) fn manifest_page(bytes: &[u8]) -> Vec<Record> {
    let mut reader = Reader::new(bytes);
    reader.take(0, &[8]);
    loop {
        let (len, kind) = (reader.number(0, 3), reader.number(3, 1) as u8);
        let taken = match kind {
            FILE => reader.take(kind, &[3, 1, 1, 8, 32, len]),
            DIRECTORY => reader.take(kind, &[3, 1, len]),
            ROW => reader.take(kind, &[3, 1, 32]),
            MARK => reader.take(kind, &[3, 1, 4, 4, 4, 4, 4, 4, 4, 4, len]),
            _ => false,
        };
        if !taken {
            return reader.records;
        }
    }
}

/// Lays out the root of a pack table (F-50); its sections are records like others.
pub(super) fn pack_root(bytes: &[u8]) -> Vec<Record> {
    let mut reader = Reader::new(bytes);
    let (page_count, section_count) = (reader.number(12, 4), reader.number(28, 2));
    reader.take(0, &[8, 2, 2, 4, 8, 4, 2, 2]);
    (0..page_count).all(|_| reader.take(0, &[32, 4, 8, 8]));
    (0..section_count).all(|_| reader.take(0, &[2, 2, 4, 32]));
    reader.records
}

/// Lays out the pages of a pack table (F-51).
pub(super) fn pack_pages(bytes: &[u8]) -> Vec<Record> {
    let mut reader = Reader::new(bytes);
    while reader.take(0, &[8, 4, 8, 4, 4, 8, 4, 4, 32]) {}
    reader.records
}

/// Lays out the index of a pack (F-101).
pub(super) fn index(bytes: &[u8]) -> Vec<Record> {
    let mut reader = Reader::new(bytes);
    let (frame_count, run_count) = (reader.number(4, 4), reader.number(8, 4));
    reader.take(0, &[2, 2, 4, 4, 2, 2]);
    (0..frame_count).all(|_| reader.take(0, &[4, 4, 1, 1, 2, 32]));
    (0..run_count).all(|_| reader.take(0, &[1, 1, 2, 4, 8]));
    while reader.take(0, &[2, 2, 4, 32]) {}
    reader.records
}

/// Lays out bytes that have no fields: each step of 64 is one.
pub(super) fn plain(bytes: &[u8]) -> Vec<Record> {
    let mut reader = Reader::new(bytes);
    while reader.take(0, &[64]) {}
    let rest = bytes.len() - reader.offset;
    reader.take(0, &[rest]);
    reader.records
}

/// Lays out the lines of a head; the field of a line is its value.
pub(super) fn lines(bytes: &[u8]) -> Vec<Record> {
    let mut start = 0;
    let record = |line: &[u8]| {
        let end = start + line.len();
        let value = line.windows(3).position(|three| three == b"\": ").map_or(start, |place| start + place + 3);
        let value_end = if line.ends_with(b",\n") { end - 2 } else { end - usize::from(line.ends_with(b"\n")) };
        let fields = vec![start..value, value..value_end.max(value), value_end.max(value)..end];
        start = end;
        Record { kind: 0, fields }
    };
    bytes.split_inclusive(|byte| *byte == b'\n').map(record).collect()
}
