//! Random moments for tests that kill: other ones in each run, and the seed told where a test fails.

use bioprune::random::SplitMix;
use std::time::Duration;

pub struct Moments(SplitMix);

impl Moments {
    /// From `BIOPRUNE_TEST_SEED`, or from the clock.
    pub fn new() -> Moments {
        let seed = std::env::var("BIOPRUNE_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let now =
            || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
        let seed = seed.unwrap_or_else(now);
        // shown by the test harness where the test fails
        println!("BIOPRUNE_TEST_SEED={seed}");
        Moments::of(seed)
    }

    /// The moments of a client, the same in each run.
    pub fn of(seed: u64) -> Moments {
        Moments(SplitMix::new(seed))
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound as usize) as u64
    }

    /// Some part of `span`.
    pub fn within(&mut self, span: Duration) -> Duration {
        Duration::from_micros(self.below(span.as_micros().max(1) as u64))
    }
}

/// How often a drill repeats: a few times, or as `BIOPRUNE_CHAOS` says.
pub fn rounds(few: usize) -> usize {
    std::env::var("BIOPRUNE_CHAOS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(few)
}
