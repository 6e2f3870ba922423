//! The generator behind every deal and every stream of random numbers: named, so that it never changes.

/// The splitmix64 generator (Steele, Lea and Flood 2014).
pub struct SplitMix(u64);

impl SplitMix {
    pub fn new(start: u64) -> Self {
        SplitMix(start)
    }

    /// The next 64 random bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`, 0 where that is 0, by the high half of a product: off by less than bound / 2^64 from uniform.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.draw()) * bound as u128) >> 64) as usize
    }
}
