//! A control that matches what a sequence is made of: records of the same length and composition as those of a coreset.
//!
//! Records are dealt into cells, narrow enough that a cell's records are alike and wide enough that there are several: of
//! lengths 8 for each doubling; of nucleotides the share of G and C in steps of 5 %; of proteins the shares of hydrophobic and
//! of charged residues in steps of 10 %. The control draws from each cell as many records as the coreset has there. A cell that
//! the coreset takes whole is in both.

use crate::tokenizer::{Alphabet, Tokenizer};
use xxhash_rust::xxh3::xxh3_64_with_seed;

const LENGTHS_PER_OCTAVE: f64 = 8.0;
const GC_STEPS: f64 = 20.0;
const PROTEIN_STEPS: f64 = 10.0;
/// Residues of a hydropathy above zero (Kyte and Doolittle 1982).
const HYDROPHOBIC: &str = "ACFILMV";
const CHARGED: &str = "DEKR";

/// The cell of a record, by its tokens.
pub(super) fn cell(tokenizer: &Tokenizer, tokens: &[u32], residues: u32) -> u64 {
    let length = (f64::from(residues.max(1)).log2() * LENGTHS_PER_OCTAVE) as u64;
    let definite: Vec<&str> = tokens
        .iter()
        .filter(|token| tokenizer.is_definite(**token))
        .map(|token| tokenizer.vocabulary[*token as usize].as_str())
        .collect();
    let step = |letters: &str, steps: f64| {
        let of = definite.iter().filter(|letter| letters.contains(**letter)).count();
        (of as f64 / definite.len().max(1) as f64 * steps).round() as u64
    };
    let composition = match tokenizer.alphabet {
        Alphabet::Nucleotides => step("GC", GC_STEPS),
        Alphabet::AminoAcids => step(HYDROPHOBIC, PROTEIN_STEPS) << 8 | step(CHARGED, PROTEIN_STEPS),
    };
    length << 16 | composition
}

/// Draws as many records of each cell as `like` has, all given by their places; in the order of the places.
pub(super) fn matched(cells: &[u64], hashes: impl Fn(u32) -> u64, like: &[u32], seed: u64) -> Vec<u32> {
    let mut left = std::collections::HashMap::<u64, usize>::new();
    like.iter().for_each(|place| *left.entry(cells[*place as usize]).or_default() += 1);
    let mut order: Vec<u32> = (0..cells.len() as u32).collect();
    order.sort_by_key(|place| (xxh3_64_with_seed(&hashes(*place).to_le_bytes(), seed), *place));
    let mut drawn: Vec<u32> = order
        .into_iter()
        .filter(|place| match left.get_mut(&cells[*place as usize]) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        })
        .collect();
    drawn.sort_unstable();
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::{esm2, rna_fm};

    fn of(tokenizer: &Tokenizer, sequence: &str) -> u64 {
        let tokens = tokenizer.encode(sequence.as_bytes(), 100).unwrap();
        cell(tokenizer, &tokens.ids, tokens.residues)
    }

    #[test]
    fn a_cell_tells_length_and_composition_and_nothing_else() {
        let rna = rna_fm();
        assert_eq!(of(&rna, "GGCCAAUU"), of(&rna, "AUAUGCGC"));
        assert_ne!(of(&rna, "GGCCAAUU"), of(&rna, "GGCCGAUU"));
        assert_ne!(of(&rna, "GGCCAAUU"), of(&rna, "GGCCAAUUGGCCAAUU"));
        // what is not known is of no composition
        assert_eq!(of(&rna, "GCAUNN"), of(&rna, "NGCNAU"));
        let protein = esm2();
        assert_eq!(of(&protein, "AVILDEGG"), of(&protein, "KRGGMFCA"));
        assert_ne!(of(&protein, "AVILDEGG"), of(&protein, "AVIGDEGG"));
        assert_ne!(of(&protein, "AVILDEGG"), of(&protein, "AVILDGGG"));
    }

    #[test]
    fn a_draw_has_the_cells_of_what_it_matches_and_hangs_on_the_seed() {
        let cells: Vec<u64> = (0..300).map(|place| place % 3).collect();
        let like: Vec<u32> = (0..60).filter(|place| place % 3 != 2).chain([299]).collect();
        let count =
            |places: &[u32], cell: u64| places.iter().filter(|place| cells[**place as usize] == cell).count();
        let drawn = |seed| matched(&cells, |place| u64::from(place) * 77, &like, seed);
        for cell in 0..3 {
            assert_eq!(count(&drawn(1), cell), count(&like, cell));
        }
        assert_eq!(drawn(1), drawn(1));
        assert!(drawn(1) != drawn(2) && drawn(1) != like);
        assert!(drawn(1).windows(2).all(|two| two[0] < two[1]));
    }
}
