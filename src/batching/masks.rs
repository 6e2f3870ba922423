//! Systematic masks: seven folds that together mask every definite residue once.

use crate::random::SplitMix;
use crate::tokenizer::Tokenizer;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A record's residues are dealt into this many folds; a pass masks one of them (about 14 %).
pub const FOLDS: u8 = 7;

/// Deals the positions of `ids` that hold a definite residue into folds, each in ascending order.
///
/// The deal is drawn from (seed, tokens) alone: the same record gets the same masks in any shard, batch or run.
pub(super) fn deal(ids: &[u32], tokenizer: &Tokenizer, seed: u64) -> [Vec<u32>; FOLDS as usize] {
    let mut positions: Vec<u32> =
        (0..ids.len() as u32).filter(|at| tokenizer.is_definite(ids[*at as usize])).collect();
    let bytes: Vec<u8> = ids.iter().map(|id| *id as u8).collect();
    let mut random = SplitMix::new(xxh3_64_with_seed(&bytes, seed));
    for last in (1..positions.len()).rev() {
        positions.swap(last, random.below(last + 1));
    }
    let mut folds: [Vec<u32>; FOLDS as usize] = Default::default();
    for (rank, position) in positions.into_iter().enumerate() {
        folds[rank % FOLDS as usize].push(position);
    }
    folds.iter_mut().for_each(|fold| fold.sort_unstable());
    folds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::rna_fm;

    #[test]
    fn seven_passes_mask_every_definite_residue_once() {
        let tokenizer = rna_fm();
        for sequence in ["", "A", "ACGU", "ACGUNNRACGUACGU-ACGUACGGGCGUA"] {
            let ids = tokenizer.encode(sequence.as_bytes(), 1024).unwrap().ids;
            let folds = deal(&ids, &tokenizer, 3);
            let mut all: Vec<u32> = folds.concat();
            all.sort_unstable();
            let definite: Vec<u32> =
                (0..ids.len() as u32).filter(|at| tokenizer.is_definite(ids[*at as usize])).collect();
            assert_eq!(all, definite);
            let sizes: Vec<usize> = folds.iter().map(Vec::len).collect();
            assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{sizes:?}");
        }
    }

    #[test]
    fn the_deal_follows_from_seed_and_sequence_alone() {
        let tokenizer = rna_fm();
        let draw = |sequence: &str, seed| {
            let ids = tokenizer.encode(sequence.as_bytes(), 1024).unwrap().ids;
            deal(&ids, &tokenizer, seed)
        };
        assert_eq!(draw("ACGUACGUACGUACGU", 1), draw("acgtacgtacgtacgt", 1));
        assert_ne!(draw("ACGUACGUACGUACGU", 1), draw("ACGUACGUACGUACGU", 2));
        assert_ne!(draw("ACGUACGUACGUACGU", 1), draw("ACGUACGUACGUACGA", 1));
    }
}
