//! Lengths in bins that grow with the length: what reports plot, and the strata of length-matched draws.

/// Bins for each doubling of the length, so that a bin is at most 1/16 wide; shorter lengths have a bin each.
const PER_OCTAVE: u32 = 16;
const OCTAVE_BITS: u32 = PER_OCTAVE.trailing_zeros();

/// Number of bins: one for each length below 16, and 16 for each of the 28 doublings up to 2^32.
pub(super) const LENGTH_BINS: u32 = PER_OCTAVE + (u32::BITS - OCTAVE_BITS) * PER_OCTAVE;

/// The bin of a length.
pub(super) fn length_bin(residues: u32) -> u32 {
    if residues < PER_OCTAVE {
        return residues;
    }
    let octave = residues.ilog2() - OCTAVE_BITS;
    PER_OCTAVE + octave * PER_OCTAVE + ((residues >> octave) - PER_OCTAVE)
}

/// The shortest and the longest length of a bin.
pub(super) fn bin_lengths(bin: u32) -> (u32, u32) {
    if bin < PER_OCTAVE {
        return (bin, bin);
    }
    let (octave, step) = ((bin - PER_OCTAVE) / PER_OCTAVE, (bin - PER_OCTAVE) % PER_OCTAVE);
    let shortest = (PER_OCTAVE + step) << octave;
    (shortest, shortest + ((1 << octave) - 1))
}

/// A length distribution: exact below 16 residues, to one part in 16 above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LengthHistogram {
    counts: Vec<u64>,
}

impl Default for LengthHistogram {
    fn default() -> Self {
        LengthHistogram { counts: vec![0; LENGTH_BINS as usize] }
    }
}

impl LengthHistogram {
    pub fn add(&mut self, residues: u32) {
        self.counts[length_bin(residues) as usize] += 1;
    }

    /// Number of records.
    pub fn records(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Records of each bin, empty ones included.
    pub(super) fn counts(&self) -> &[u64] {
        &self.counts
    }
}

impl Extend<u32> for LengthHistogram {
    fn extend<I: IntoIterator<Item = u32>>(&mut self, lengths: I) {
        lengths.into_iter().for_each(|residues| self.add(residues));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_lies_in_its_bin_and_bins_touch() {
        let mut next = 0;
        for bin in 0..LENGTH_BINS {
            let (shortest, longest) = bin_lengths(bin);
            assert_eq!(u64::from(shortest), next);
            assert_eq!((length_bin(shortest), length_bin(longest)), (bin, bin));
            next = u64::from(longest) + 1;
        }
        assert_eq!(next, 1 << 32);
    }
}
