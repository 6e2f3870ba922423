//! Random numbers that are a pure function of what they are for: seed, epoch, record.

use crate::random::SplitMix;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A 64-bit draw for these bytes.
pub(super) fn draw_bytes(seed: u64, of: &[u8]) -> u64 {
    xxh3_64_with_seed(of, seed)
}

/// A 64-bit draw for these numbers.
pub(super) fn draw(seed: u64, of: &[u64]) -> u64 {
    let bytes: Vec<u8> = of.iter().flat_map(|number| number.to_le_bytes()).collect();
    draw_bytes(seed, &bytes)
}

/// A number in [0, 1) from the upper bits of a draw.
pub(super) fn unit(draw: u64) -> f64 {
    (draw >> 11) as f64 / (1u64 << 53) as f64
}

/// A stream of draws.
pub(super) struct Stream(SplitMix);

impl Stream {
    pub fn new(start: u64) -> Self {
        Stream(SplitMix::new(start))
    }

    pub fn unit(&mut self) -> f64 {
        unit(self.0.draw())
    }

    /// A number in [0, n), for n > 0.
    pub fn below(&mut self, n: usize) -> usize {
        self.0.below(n)
    }

    /// A standard normal number (Box-Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}
