//! Deciding what a pack carries, beside filling a plain hash table with its digests.

use airlift::format::Digest;
use airlift::format::manifest::Row;
use airlift::plan::frames::group;
use airlift::plan::sequence::{Decision, decide, repeats};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use std::collections::HashMap;

/// The most rows that a pack of small files has.
const ROW_COUNT: u32 = 65_536;

fn main() {
    divan::main();
}

/// Returns rows of which every eighth repeats an earlier one.
fn rows() -> Vec<Row> {
    let digest = |number: u32| Digest::of(&(if number % 8 == 7 { number / 2 } else { number }).to_le_bytes());
    (0..ROW_COUNT).map(|number| Row { digest: digest(number), len: 500 }).collect()
}

#[divan::bench]
fn sequence(bencher: Bencher<'_, '_>) {
    let rows = rows();
    // Every fourth was carried before, in runs.
    let carriers: Vec<Option<u64>> = (0..u64::from(ROW_COUNT)).map(|row| (row / 64 % 4 == 0).then_some(row)).collect();
    bencher.counter(ItemsCount::new(rows.len())).bench_local(|| {
        let repeats = repeats(&rows);
        let decisions = decide(&rows, &repeats, &carriers);
        let carried = decisions.iter().zip(0..).filter(|(decision, _)| **decision == Decision::New);
        group(carried.map(|(_, row)| (row, (), 500)), |()| 1).len()
    });
}

#[divan::bench]
fn hash_table(bencher: Bencher<'_, '_>) {
    let rows = rows();
    bencher.counter(ItemsCount::new(rows.len())).bench_local(|| {
        let table: HashMap<&Digest, u32> = rows.iter().zip(0..).map(|(row, number)| (&row.digest, number)).collect();
        black_box(table.len())
    });
}
