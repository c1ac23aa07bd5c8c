//! A pack read whole from one copy, or from the best of several: the one way from media to rows.
//!
//! What differs between those who read packs is theirs: where the bytes of a reference come from, what
//! is said of damage, and what becomes of rows that can't be had.

use super::bundle::BundleError;
use super::resolve::ResolveError;
use super::unpack::{
    Arrived, Carried, Copies, Damage, DamageFact, ProvenIndex, ReferenceRun, Unpacker, base_fact, copy_repeats,
    read_index, reference_runs, spread,
};
use super::volumes::PackSource;
use crate::format::cover::PackContent;
use crate::format::index::Index;
use crate::format::packs::VolumeNumber;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// What came of one copy of a pack.
#[derive(Debug)]
pub struct CopyRead {
    /// The index; nothing where neither copy of it is good.
    pub index: Option<Index>,
    /// What is wrong with one copy of the index, where the other is good.
    pub bad_index: Option<Damage>,
    /// What else is wrong.
    pub damages: Vec<Damage>,
    /// The volumes that references lead to and that are not at hand.
    pub absent: BTreeSet<VolumeNumber>,
    /// Which rows of the pack can't be had; all others are in the buffer, proven.
    pub bad_rows: Vec<bool>,
}

impl CopyRead {
    /// Tells whether every row is in the buffer.
    pub fn is_whole(&self) -> bool {
        !self.bad_rows.contains(&true)
    }

    fn bad_count(&self) -> usize {
        self.bad_rows.iter().filter(|&&bad| bad).count()
    }

    fn lost(pack: &Carried<'_>, index: Option<Index>, damage: Damage) -> CopyRead {
        let bad_rows = vec![true; pack.content.rows.len()];
        CopyRead { index, bad_index: None, damages: vec![damage], absent: BTreeSet::new(), bad_rows }
    }
}

/// Where a copy lies, and what came of it.
pub type SourceRead = (Arc<dyn PackSource>, CopyRead);

/// Reads packs, one after the other; a worker keeps one.
pub struct PackReader {
    unpacker: Unpacker,
    /// How many bases the head lists.
    base_count: usize,
}

impl PackReader {
    /// Returns a reader for a bundle whose head lists `base_count` bases.
    pub fn new(base_count: usize) -> PackReader {
        PackReader { unpacker: Unpacker::default(), base_count }
    }

    /// Reads a copy of a pack into `raw`, which has the pack's raw length. `fill` puts the bytes of
    /// references in their place, proven, or says why it can't. `arrived` hears of rows when their
    /// proven bytes are in their place; of repeats it hears nothing.
    ///
    /// # Errors
    /// Those of `fill` that end the reading. Damage is no error.
    pub fn read_copy<E>(
        &mut self,
        pack: &Carried<'_>,
        (source, copies): (&dyn PackSource, Copies),
        raw: &mut [u8],
        fill: &mut impl FnMut(&ReferenceRun, &mut [u8]) -> Result<Result<(), ResolveError>, E>,
        arrived: &mut Arrived<'_>,
    ) -> Result<CopyRead, E> {
        let ProvenIndex { index, bad_copy } = match read_index(source, pack, copies) {
            Ok(proven) => proven,
            Err(damage) => return Ok(CopyRead::lost(pack, None, damage)),
        };
        if let Some(fact) = base_fact(&index, self.base_count) {
            let damage = pack.index_damage(fact, 0..pack.content.rows.len());
            return Ok(CopyRead { bad_index: bad_copy, ..CopyRead::lost(pack, Some(index), damage) });
        }
        let mut unfilled = Vec::new();
        let (mut absent, mut absent_rows) = (BTreeSet::new(), Vec::new());
        for run in reference_runs(&index) {
            match fill(&run, &mut raw[pack.range(&run.rows)])? {
                Ok(()) => arrived(&mut run.rows.clone(), raw),
                Err(ResolveError::Absent { volume }) => {
                    absent.insert(volume);
                    absent_rows.push(run.rows);
                }
                Err(ResolveError::NotCarried) => absent_rows.push(run.rows),
                Err(error) => unfilled.push(reference_damage(pack, error, run.rows)),
            }
        }
        // References first: where new rows follow on them, these are hashed while they are at hand.
        let mut damages = self.unpacker.decode_new(pack, &index, source, raw, arrived);
        damages.append(&mut unfilled);
        copy_repeats(pack, &index, raw);
        let bad_rows = spread(&index, &damages, absent_rows);
        Ok(CopyRead { index: Some(index), bad_index: bad_copy, damages, absent, bad_rows })
    }

    /// Reads copies of a pack into `raw` until one is whole. Returns all that were read; the buffer has
    /// what the last of them gave, and that is the best.
    ///
    /// # Errors
    /// Those of `fill` that end the reading. Damage is no error.
    pub fn read_best<E>(
        &mut self,
        pack: &Carried<'_>,
        sources: Vec<Arc<dyn PackSource>>,
        raw: &mut [u8],
        fill: &mut impl FnMut(&ReferenceRun, &mut [u8]) -> Result<Result<(), ResolveError>, E>,
    ) -> Result<Vec<SourceRead>, E> {
        let mut reads: Vec<SourceRead> = Vec::with_capacity(sources.len());
        for source in sources {
            let read = self.read_copy(pack, (source.as_ref(), Copies::FirstGood), raw, fill, &mut |_, _| {})?;
            let is_whole = read.is_whole();
            reads.push((source, read));
            if is_whole {
                return Ok(reads);
            }
        }
        let best = (0..reads.len()).min_by_key(|&at| reads[at].1.bad_count());
        if let Some(best) = best.filter(|best| best + 1 < reads.len()) {
            // A later copy has overwritten what the best one gave.
            let (source, _) = reads.remove(best);
            let read = self.read_copy(pack, (source.as_ref(), Copies::FirstGood), raw, fill, &mut |_, _| {})?;
            reads.push((source, read));
        }
        Ok(reads)
    }

    /// Reads the index and the stored bytes of a copy, and compares digests only.
    pub fn check_stored(&mut self, pack: &Carried<'_>, source: &dyn PackSource) -> Vec<Damage> {
        match read_index(source, pack, Copies::Both) {
            Ok(ProvenIndex { index, bad_copy }) => {
                let damages = match base_fact(&index, self.base_count) {
                    Some(fact) => vec![pack.index_damage(fact, 0..pack.content.rows.len())],
                    None => self.unpacker.check_stored(pack, &index, source),
                };
                bad_copy.into_iter().chain(damages).collect()
            }
            Err(damage) => vec![damage],
        }
    }
}

/// Returns how many files end with a pack, for those who count how far they are.
pub(super) fn ended_file_count(content: &PackContent) -> u64 {
    content.pieces.iter().filter(|piece| piece.file.is_some() && piece.part.is_last).count() as u64
}

fn reference_damage(pack: &Carried<'_>, error: ResolveError, rows: Range<usize>) -> Damage {
    let fact = match error {
        ResolveError::Damaged(damage) => return Damage { rows: rows.map(|row| row as u32).collect(), ..*damage },
        ResolveError::Breach { rule, why } => DamageFact::Reference { rule, why },
        ResolveError::Bundle(error) => DamageFact::Lookup(Box::new(error)),
        ResolveError::Absent { .. } | ResolveError::NotCarried => {
            DamageFact::Lookup(Box::new(BundleError::Missing { name: "the pack that a reference leads to".to_owned() }))
        }
    };
    pack.index_damage(fact, rows)
}
