//! Readers under mutated input, for the tests of each of them: whatever the bytes, a reader gives what can be read, or an
//! error that names the file. Stable Rust and nothing else; a run repeats itself to the bit.
//!
//! `BIOPRUNE_FUZZ_INPUTS` asks for more inputs (`just fuzz`), and an input that fails says how to begin with it.

use crate::error::{Code, Error};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Inputs to each reader where nothing else is asked for: a few seconds in all.
const INPUTS: u64 = 2000;
/// What the process that runs the tests may hold, in kB: no input has more than some kilobytes, but the tests beside this
/// one hold models.
const MOST_MEMORY_KB: u64 = 2 << 20;

/// xorshift64*: the same numbers for a seed, everywhere.
pub struct Random(u64);

impl Random {
    /// Those of one input.
    fn of(input: u64) -> Random {
        // neighbours differ in all bits
        let mut random = Random(input.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        random.next();
        random
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// 0 where the limit is.
    pub fn below(&mut self, limit: usize) -> usize {
        // the high bits are the good ones
        ((self.next() >> 11) % limit.max(1) as u64) as usize
    }

    pub fn one_of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }

    /// Changes a few places; `words` are what takes this format to new places.
    pub fn mutate(&mut self, bytes: &mut Vec<u8>, words: &[&[u8]]) {
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            match self.below(8) {
                0..=1 => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << self.below(8);
                    }
                }
                2 => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = self.next() as u8;
                    }
                }
                3 => bytes.truncate(at),
                4 => {
                    let word = self.one_of(words);
                    bytes.splice(at..at, word.iter().copied());
                }
                // in the place of other bytes, so that what is behind it stays where it was
                5 => {
                    let word = self.one_of(words);
                    let end = bytes.len().min(at + word.len());
                    bytes.splice(at..end, word.iter().copied());
                }
                6 => {
                    let end = at + self.below((bytes.len() - at).min(64) + 1);
                    bytes.drain(at..end);
                }
                _ => {
                    let from = self.below(bytes.len());
                    let piece = bytes[from..from + self.below((bytes.len() - from).min(256))].to_vec();
                    bytes.splice(at..at, piece);
                }
            }
        }
    }
}

/// Tries inputs, each made from its own numbers. `read` gives whether the input was accepted, and panics where the reader
/// did what it must not; of a run, some inputs are accepted and some are not, or the mutations are of no use.
pub fn run(reader: &str, mut read: impl FnMut(&mut Random) -> bool) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number of inputs"));
    let inputs = number("BIOPRUNE_FUZZ_INPUTS").unwrap_or(INPUTS);
    let first = number("BIOPRUNE_FUZZ_FIRST").unwrap_or(0);
    let mut accepted = 0;
    for input in first..first + inputs {
        match catch_unwind(AssertUnwindSafe(|| read(&mut Random::of(input)))) {
            Ok(was_accepted) => accepted += u64::from(was_accepted),
            Err(panic) => {
                eprintln!("{reader}: input {input}; BIOPRUNE_FUZZ_FIRST={input} begins with it");
                resume_unwind(panic);
            }
        }
    }
    let held = most_memory_kb();
    println!("{reader}: {accepted} of {inputs} inputs accepted, within {} MiB", held >> 10);
    assert!(0 < accepted && accepted < inputs, "{reader}: {accepted} of {inputs} inputs accepted");
    assert!(held < MOST_MEMORY_KB, "{reader}: the process held {held} kB");
}

/// Holds an error to what is promised: it is of the input, not of the program, and names the file.
pub fn assert_names(error: &Error, file: &str) {
    assert_eq!(error.code, Code::BadInput, "{error}");
    assert!(error.message.contains(file), "{error}");
}

/// As the kernel tells it; 0 where it does not.
fn most_memory_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
