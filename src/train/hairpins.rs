//! Random RNAs that fold: stems of complementary strands, loops, branches, bulges and flanks.
//!
//! Nothing in them can be told from frequencies or from near neighbours; all that can be learned is to find a masked
//! residue's partner by the reverse complement of its surroundings. Families of real RNA are too few for a small model
//! to find this by itself before it has learned them by heart.

use super::EncodedRecord;
use super::random::{Stream, draw};
use crate::tokenizer::Tokenizer;

/// Purpose of the draws.
const HAIRPINS: u64 = 3;
const LETTERS: [u8; 4] = *b"ACGU";
const PARTNERS: [u8; 4] = *b"UGCA";
/// Longest record in residues.
const LONGEST: usize = 240;
/// How deep stems lie within stems.
const DEEPEST: usize = 3;

/// The record of that number: a function of the seed and the number. A share `easy` of the numbers are single long
/// stems without a flaw, in which there is far more to be seen of how bases pair.
pub(super) fn hairpin(
    (tokenizer, max_tokens): (&Tokenizer, usize),
    seed: u64,
    number: u64,
    easy: f64,
) -> EncodedRecord {
    let hash = draw(seed, &[HAIRPINS, number]);
    let mut rna = Rna::new(hash);
    if rna.chance(easy) {
        rna.long_stem();
    } else {
        for _ in 0..1 + rna.stream.below(3) {
            rna.unpaired(0, 12);
            rna.stem(1);
        }
        rna.unpaired(0, 12);
    }
    rna.residues.truncate(LONGEST);
    // Four letters that an RNA's alphabet has: nothing here can be illegal.
    let tokens = tokenizer.encode(&rna.residues, max_tokens).map(|tokens| tokens.ids).unwrap_or_default();
    EncodedRecord { hash, tokens, group: (number % u64::from(u32::MAX)) as u32 }
}

/// An RNA as it is written from its 5' end.
struct Rna {
    stream: Stream,
    /// Where the share of each letter ends in [0, 1): each RNA has its own composition.
    shares: [f64; 4],
    residues: Vec<u8>,
}

impl Rna {
    fn new(start: u64) -> Self {
        let mut stream = Stream::new(start);
        let weights = [(); 4].map(|()| 0.4 + stream.unit());
        let total: f64 = weights.iter().sum();
        let mut end = 0.0;
        let shares = weights.map(|weight| {
            end += weight / total;
            end
        });
        Rna { stream, shares, residues: Vec::new() }
    }

    fn letter(&mut self) -> u8 {
        let at = self.stream.unit();
        LETTERS[self.shares.iter().position(|&end| at < end).unwrap_or(3)]
    }

    fn chance(&mut self, share: f64) -> bool {
        self.stream.unit() < share
    }

    fn unpaired(&mut self, least: usize, most: usize) {
        for _ in 0..least + self.stream.below(most - least + 1) {
            let letter = self.letter();
            self.residues.push(letter);
        }
    }

    fn long_stem(&mut self) {
        self.unpaired(0, 8);
        let strand: Vec<u8> = (0..10 + self.stream.below(8)).map(|_| self.letter()).collect();
        self.residues.extend(&strand);
        self.unpaired(3, 8);
        self.residues.extend(strand.iter().rev().map(complement));
        self.unpaired(0, 8);
    }

    /// Two complementary strands around a loop or around more stems.
    fn stem(&mut self, depth: usize) {
        let strand: Vec<u8> = (0..4 + self.stream.below(8)).map(|_| self.letter()).collect();
        for &letter in &strand {
            self.residues.push(letter);
            self.bulge();
        }
        let branches = match depth < DEEPEST {
            true if self.chance(0.3) => 1,
            true if self.chance(0.15) => 2,
            _ => 0,
        };
        for _ in 0..branches {
            self.unpaired(0, 4);
            self.stem(depth + 1);
        }
        self.unpaired(if branches == 0 { 3 } else { 0 }, if branches == 0 { 8 } else { 4 });
        for &letter in strand.iter().rev() {
            let partner = self.partner(letter);
            self.residues.push(partner);
            self.bulge();
        }
    }

    fn bulge(&mut self) {
        if self.chance(0.03) {
            self.unpaired(1, 2);
        }
    }

    /// What pairs with a letter: mostly the complement, at times a wobble or no partner at all.
    fn partner(&mut self, letter: u8) -> u8 {
        match (letter, self.stream.unit()) {
            (_, chance) if chance < 0.04 => self.letter(),
            (b'G', chance) if chance < 0.14 => b'U',
            (b'U', chance) if chance < 0.14 => b'G',
            _ => complement(&letter),
        }
    }
}

fn complement(letter: &u8) -> u8 {
    PARTNERS[LETTERS.iter().position(|other| other == letter).unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::rna_fm;

    fn text(number: u64, easy: f64) -> Vec<u8> {
        let tokenizer = rna_fm();
        let tokens = hairpin((&tokenizer, 1024), 1, number, easy).tokens;
        tokens[1..tokens.len() - 1].iter().map(|&t| tokenizer.vocabulary[t as usize].as_bytes()[0]).collect()
    }

    /// Whether a stretch of six comes back as its reverse complement at least three residues later.
    fn pairs(rna: &[u8]) -> bool {
        (0..rna.len().saturating_sub(6)).any(|i| {
            let wanted: Vec<u8> = rna[i..i + 6].iter().rev().map(complement).collect();
            rna[i + 6..].windows(6).skip(3).any(|window| window == wanted)
        })
    }

    #[test]
    fn strands_come_back_as_their_reverse_complement_far_more_often_than_by_chance() {
        assert!((0..100).all(|number| pairs(&text(number, 1.0))));
        let rnas: Vec<Vec<u8>> = (0..200).map(|number| text(number, 0.0)).collect();
        let paired = rnas.iter().filter(|rna| pairs(rna)).count();
        let mut shuffled = rnas.clone();
        for (number, rna) in shuffled.iter_mut().enumerate() {
            let mut stream = Stream::new(number as u64);
            (1..rna.len()).for_each(|i| rna.swap(i, stream.below(i + 1)));
        }
        let by_chance = shuffled.iter().filter(|rna| pairs(rna)).count();
        assert!(paired > 150 && by_chance < 120, "{paired} {by_chance}");
    }

    #[test]
    fn a_record_follows_from_its_seed_and_number() {
        let tokenizer = rna_fm();
        let record = |seed, number| hairpin((&tokenizer, 1024), seed, number, 0.5);
        assert_eq!(record(1, 2), record(1, 2));
        assert_ne!(record(1, 2).tokens, record(1, 3).tokens);
        assert_ne!(record(1, 2).tokens, record(2, 2).tokens);
        for number in 0..300 {
            let length = hairpin((&tokenizer, 100), 1, number, 0.5).tokens.len();
            assert!((13..=100).contains(&length), "{length}");
        }
    }
}
