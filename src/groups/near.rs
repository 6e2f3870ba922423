//! Near-duplicate groups without a clusterer: records whose sets of k-mers are much alike.
//!
//! Of each record a sketch is kept, the [`SKETCH`] lowest hashes of its k-mers. Records that share one of the lowest
//! hashes of longer k-mers, which strangers do not, are candidates: each is compared with the longest of them, and is of
//! its group where the sketches say that a fifth of their k-mers or more are common. (So MMseqs2's linclust finds pairs, in time linear in the records.)
//! Groups are what such pairs connect. Sketches and pairs lie in temporary files where they are large; four bytes for
//! each record are held.

use super::names::{NONE, Names, number};
use crate::cancel::CancelToken;
use crate::error::{Error, Result};
use crate::processors::on_all;
use crate::spill::{Column, ColumnWriter, Row, Sorter};
use rayon::prelude::*;

/// Hashes in a sketch.
const SKETCH: usize = 24;
/// Two records are alike from this share of common k-mers on (Jaccard index): for single substitutions that is an
/// identity of about 0.87 in nucleotides and 0.76 in proteins.
const ALIKE: f64 = 0.2;
/// Lengths of the k-mers that are compared, of nucleotides and of proteins: unrelated records of some hundred residues
/// share next to none.
const COMPARED: (usize, usize) = (8, 4);
/// Lengths of the k-mers that make candidates: more of them than there are records, so that those of one k-mer are
/// related.
const SHARED: (usize, usize) = (14, 6);

/// Bytes that a record takes in temporary files at most: its rows of shared hashes, its sketch, rank, number and
/// group.
pub const NEAR_BYTES: u64 = (size_of::<Row<3>>() * SKETCH + size_of::<u64>() * (SKETCH + 3)) as u64;

/// Rows that are gone through between two looks at whether the job goes on.
const CHECKED: u64 = 1 << 16;
/// Bytes of waiting records, and candidates, that are shared out among the processors at a time.
const WAITING_BYTES: usize = 4 << 20;
const CANDIDATES: usize = 1 << 14;

/// Is given the sequences of a pool in input order.
#[derive(Default)]
pub(super) struct Near {
    /// Records whose sketches are not made yet, the last that were added, and the bytes that they take
    waiting: Vec<Waiting>,
    waiting_bytes: usize,
    /// Rows of a hash, how central the record is, and its ordinal
    shared: Sorter<3>,
    /// [`SKETCH`] hashes for each record, the lowest first, filled up with the highest number
    sketches: ColumnWriter,
    /// How central each record is: lower is more so
    ranks: ColumnWriter,
    /// The number of each record's sequence
    numbers: ColumnWriter,
    names: Names,
    records: u32,
}

/// A record whose sketch is not made yet.
struct Waiting {
    /// [`folded`]
    sequence: Vec<u8>,
    nucleotides: bool,
    rank: u64,
}

impl Waiting {
    /// Its lowest hashes of the k-mers that make candidates, and its sketch.
    fn hashes(&self) -> (Vec<u64>, Vec<u64>) {
        let k = |(of_nucleotides, of_protein)| if self.nucleotides { of_nucleotides } else { of_protein };
        (lowest(&self.sequence, k(SHARED)), lowest(&self.sequence, k(COMPARED)))
    }
}

impl Near {
    pub fn add(&mut self, id: &[u8], sequence: &[u8]) -> Result<()> {
        let (sequence, nucleotides) = folded(sequence);
        let of_sequence = number(&sequence);
        self.names.keep(of_sequence, id);
        // The longest first; ties by the sequence, so that the order of the records changes nothing.
        let rank = u64::from(u32::MAX - sequence.len() as u32) << 32 | of_sequence >> 32;
        self.ranks.push(rank)?;
        self.numbers.push(of_sequence)?;
        self.waiting_bytes += sequence.len() + size_of::<Waiting>();
        self.waiting.push(Waiting { sequence, nucleotides, rank });
        if self.waiting_bytes >= WAITING_BYTES { self.sketch() } else { Ok(()) }
    }

    /// Makes the sketches of the records that wait for them.
    fn sketch(&mut self) -> Result<()> {
        let hashes: Vec<_> = on_all(|| self.waiting.par_iter().map(Waiting::hashes).collect());
        for (Waiting { rank, .. }, (shared, sketch)) in self.waiting.iter().zip(hashes) {
            for hash in shared {
                self.shared.push([hash, *rank, u64::from(self.records)])?;
            }
            for hash in sketch.into_iter().chain(std::iter::repeat(u64::MAX)).take(SKETCH) {
                self.sketches.push(hash)?;
            }
            self.records = self
                .records
                .checked_add(1)
                .ok_or_else(|| Error::bad_input("groups near: allowed are up to 4,294,967,295 records"))?;
        }
        self.waiting.clear();
        self.waiting_bytes = 0;
        Ok(())
    }

    /// The group of each record; the name of one is the id of its longest record.
    pub fn finish(mut self, cancel: &CancelToken) -> Result<(Column, Names)> {
        self.sketch()?;
        let (sketches, ranks, numbers) =
            (self.sketches.finish()?, self.ranks.finish()?, self.numbers.finish()?);
        let rank = |record: u32| ranks.get(u64::from(record)).unwrap_or_default();
        let mut forest = Forest((0..self.records).collect());
        let shared = self.shared.sort();
        let (mut center, mut candidates) = (None, Vec::with_capacity(CANDIDATES));
        for (row, place) in shared.rows()?.zip(0_u64..) {
            if place.is_multiple_of(CHECKED) {
                cancel.check()?;
            }
            let [hash, _, record] = row?;
            let record = record as u32;
            match center {
                Some((same, center)) if same == hash => {
                    if forest.root(center) != forest.root(record) {
                        candidates.push([center, record]);
                    }
                }
                _ => center = Some((hash, record)),
            }
            if candidates.len() == CANDIDATES {
                forest.join_alike(&mut candidates, &sketches, rank);
            }
        }
        forest.join_alike(&mut candidates, &sketches, rank);
        let mut column = ColumnWriter::default();
        let mut in_group = vec![false; self.records as usize];
        for record in 0..self.records {
            let root = forest.root(record);
            in_group[root as usize] |= root != record;
        }
        for record in 0..self.records {
            let root = forest.root(record);
            let group = numbers.get(u64::from(root)).filter(|_| in_group[root as usize]);
            column.push(group.unwrap_or(NONE))?;
        }
        Ok((column.finish()?, self.names))
    }
}

/// Upper case, of nucleotides with U for T; and whether it is of nucleotides.
fn folded(sequence: &[u8]) -> (Vec<u8>, bool) {
    let fold = |byte: &u8| match byte.to_ascii_uppercase() {
        b'T' => b'U',
        byte => byte,
    };
    let nucleotides = sequence.iter().all(|byte| matches!(fold(byte), b'A' | b'C' | b'G' | b'U' | b'N'));
    let folded =
        if nucleotides { sequence.iter().map(fold).collect() } else { sequence.to_ascii_uppercase() };
    (folded, nucleotides)
}

/// The lowest hashes of a sequence's k-mers, in order; of a shorter sequence's, that of itself.
fn lowest(sequence: &[u8], k: usize) -> Vec<u64> {
    let mut hashes: Vec<u64> = sequence.windows(k.min(sequence.len()).max(1)).map(number).collect();
    // Some more than are wanted, as k-mers may repeat; where they repeat often, all.
    let some = SKETCH + SKETCH / 2;
    if hashes.len() > some {
        hashes.select_nth_unstable(some);
        let mut lowest = hashes[..some].to_vec();
        sort_distinct(&mut lowest);
        if lowest.len() == SKETCH {
            return lowest;
        }
    }
    sort_distinct(&mut hashes);
    hashes
}

/// Leaves the lowest [`SKETCH`] different ones, in order.
fn sort_distinct(hashes: &mut Vec<u64>) {
    hashes.sort_unstable();
    hashes.dedup();
    hashes.truncate(SKETCH);
}

fn sketch_of(sketches: &Column, record: u32) -> [u64; SKETCH] {
    let first = u64::from(record) * SKETCH as u64;
    std::array::from_fn(|i| sketches.get(first + i as u64).unwrap_or(u64::MAX))
}

/// The share of common k-mers, as two sketches tell it: among the lowest hashes of both, those that both have.
fn alike(a: &[u64; SKETCH], b: &[u64; SKETCH]) -> f64 {
    let (mut i, mut j, mut common, mut seen) = (0, 0, 0, 0);
    while seen < SKETCH && i < SKETCH && j < SKETCH && (a[i] < u64::MAX || b[j] < u64::MAX) {
        common += usize::from(a[i] == b[j]);
        let (left, right) = (a[i] <= b[j], b[j] <= a[i]);
        i += usize::from(left);
        j += usize::from(right);
        seen += 1;
    }
    common as f64 / seen.max(1) as f64
}

/// Records and those that they are joined to; a root is the most central record of its tree.
struct Forest(Vec<u32>);

impl Forest {
    fn root(&mut self, mut record: u32) -> u32 {
        while self.0[record as usize] != record {
            let above = self.0[self.0[record as usize] as usize];
            self.0[record as usize] = above;
            record = above;
        }
        record
    }

    /// Joins those of the pairs that are alike, and forgets the pairs.
    fn join_alike(&mut self, pairs: &mut Vec<[u32; 2]>, sketches: &Column, rank: impl Fn(u32) -> u64) {
        let are_alike = |pair: &[u32; 2]| {
            let [a, b] = pair.map(|record| sketch_of(sketches, record));
            alike(&a, &b) >= ALIKE
        };
        let told: Vec<bool> = on_all(|| pairs.par_iter().map(are_alike).collect());
        for ([a, b], alike) in pairs.drain(..).zip(told) {
            if alike {
                self.join(a, b, &rank);
            }
        }
    }

    fn join(&mut self, a: u32, b: u32, rank: impl Fn(u32) -> u64) {
        let (a, b) = (self.root(a), self.root(b));
        let (upper, lower) = if (rank(a), a) <= (rank(b), b) { (a, b) } else { (b, a) };
        self.0[lower as usize] = upper;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random sequences over an alphabet; a multiplier and a shift do for a test.
    fn random(seed: u64, length: usize, alphabet: &[u8]) -> Vec<u8> {
        let letter = |i: usize| number(&(seed << 32 | i as u64).to_le_bytes()) as usize % alphabet.len();
        (0..length).map(|i| alphabet[letter(i)]).collect()
    }

    /// The same with every n-th letter another one.
    fn changed(sequence: &[u8], every: usize, alphabet: &[u8]) -> Vec<u8> {
        let other =
            |letter: u8| alphabet[(alphabet.iter().position(|a| *a == letter).unwrap() + 1) % alphabet.len()];
        let change =
            |(i, letter): (usize, &u8)| if i % every == every / 2 { other(*letter) } else { *letter };
        sequence.iter().enumerate().map(change).collect()
    }

    fn groups(sequences: &[Vec<u8>]) -> Vec<u64> {
        let mut near = Near::default();
        sequences.iter().enumerate().for_each(|(i, sequence)| {
            near.add(i.to_string().as_bytes(), sequence).unwrap();
        });
        let (column, _) = near.finish(&CancelToken::default()).unwrap();
        (0..column.len()).map(|i| column.get(i).unwrap()).collect()
    }

    #[test]
    fn sketches_are_the_lowest_of_all_hashes_however_often_k_mers_repeat() {
        let (rna, repeat) = (random(5, 300, b"ACGU"), b"ACGUU".repeat(60));
        for sequence in [&rna[..], &rna[..30], &rna[..5], &repeat, &[&repeat[..], &rna[..40]].concat(), b""] {
            let mut all: Vec<u64> = sequence.windows(8.min(sequence.len()).max(1)).map(number).collect();
            all.sort_unstable();
            all.dedup();
            assert_eq!(lowest(sequence, COMPARED.0), all[..all.len().min(SKETCH)]);
        }
    }

    #[test]
    fn near_duplicates_are_found_and_strangers_are_alone() {
        for alphabet in [&b"ACGU"[..], b"ACDEFGHIKLMNPQRSTVWY"] {
            let sequences: Vec<Vec<u8>> = (0..40)
                .flat_map(|family| {
                    let first = random(family, 150, alphabet);
                    let copies = [changed(&first, 40, alphabet), changed(&first, 50, alphabet)];
                    if family % 2 == 0 {
                        vec![first, copies[0].clone(), copies[1].clone()]
                    } else {
                        vec![first]
                    }
                })
                .collect();
            let found = groups(&sequences);
            for family in 0..20 {
                let of = &found[4 * family..4 * family + 4];
                assert!(
                    of[0] != NONE && of[1] == of[0] && of[2] == of[0] && of[3] == NONE,
                    "{family}: {of:?}"
                );
            }
        }
    }

    #[test]
    fn case_and_thymine_make_no_difference_and_order_changes_no_group() {
        let rna = random(1, 90, b"ACGU");
        let dna: Vec<u8> = rna
            .iter()
            .map(|letter| if *letter == b'U' { b't' } else { letter.to_ascii_lowercase() })
            .collect();
        let mut sequences = vec![rna.clone(), dna, random(2, 90, b"ACGU"), changed(&rna, 25, b"ACGU")];
        let found = groups(&sequences);
        assert!(found[0] != NONE && found[0] == found[1] && found[0] == found[3] && found[2] == NONE);
        sequences.reverse();
        let mut turned = groups(&sequences);
        turned.reverse();
        assert_eq!(turned, found);
    }

    #[test]
    fn sequences_shorter_than_a_k_mer_are_alike_if_they_are_equal() {
        let found = groups(&[b"ACG".to_vec(), b"ACG".to_vec(), b"ACU".to_vec(), Vec::new(), b"A".to_vec()]);
        assert!(found[0] == found[1] && found[0] != NONE && found[2..] == [NONE; 3], "{found:?}");
    }
}
