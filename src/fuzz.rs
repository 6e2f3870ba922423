//! Readers under mutated input, for the tests of each of them: whatever the bytes, a reader gives what can be read, or an
//! error that names the file. Stable Rust and nothing else; a run repeats itself to the bit.
//!
//! `BIOPRUNE_FUZZ_INPUTS` asks for more inputs (`just fuzz`), and an input that fails says how to begin with it.

use crate::error::{Code, Error};
use crate::process;
use crate::random::SplitMix;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Inputs to each reader where nothing else is asked for: a few seconds in all.
const INPUTS: u64 = 2000;
/// What the process that runs the tests may hold, in bytes: no input has more than some kilobytes, but the tests beside this
/// one hold models.
const MOST_MEMORY: u64 = 2 << 30;

/// Changes a few places; `words` are what takes this format to new places.
pub fn mutate(random: &mut SplitMix, bytes: &mut Vec<u8>, words: &[&[u8]]) {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        match random.below(8) {
            0..=1 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            2 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.draw() as u8;
                }
            }
            3 => bytes.truncate(at),
            4 => {
                let word = words[random.below(words.len())];
                bytes.splice(at..at, word.iter().copied());
            }
            // in the place of other bytes, so that what is behind it stays where it was
            5 => {
                let word = words[random.below(words.len())];
                let end = bytes.len().min(at + word.len());
                bytes.splice(at..end, word.iter().copied());
            }
            6 => {
                let end = at + random.below((bytes.len() - at).min(64) + 1);
                bytes.drain(at..end);
            }
            _ => {
                let from = random.below(bytes.len());
                let piece = bytes[from..from + random.below((bytes.len() - from).min(256))].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
}

/// Tries inputs, each made from its own numbers. `read` gives whether the input was accepted, and panics where the reader
/// did what it must not; of a run, some inputs are accepted and some are not, or the mutations are of no use.
pub fn run(reader: &str, mut read: impl FnMut(&mut SplitMix) -> bool) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number of inputs"));
    let inputs = number("BIOPRUNE_FUZZ_INPUTS").unwrap_or(INPUTS);
    let first = number("BIOPRUNE_FUZZ_FIRST").unwrap_or(0);
    let mut accepted = 0;
    for input in first..first + inputs {
        match catch_unwind(AssertUnwindSafe(|| read(&mut SplitMix::new(input)))) {
            Ok(was_accepted) => accepted += u64::from(was_accepted),
            Err(panic) => {
                eprintln!("{reader}: input {input}; BIOPRUNE_FUZZ_FIRST={input} begins with it");
                resume_unwind(panic);
            }
        }
    }
    let held = process::peak().unwrap_or(0);
    println!("{reader}: {accepted} of {inputs} inputs accepted, within {} MiB", held >> 20);
    assert!(0 < accepted && accepted < inputs, "{reader}: {accepted} of {inputs} inputs accepted");
    assert!(held < MOST_MEMORY, "{reader}: the process held {held} bytes");
}

/// Holds an error to what is promised: it is of the input, not of the program, and names the file.
pub fn assert_names(error: &Error, file: &str) {
    assert_eq!(error.code, Code::BadInput, "{error}");
    assert!(error.message.contains(file), "{error}");
}
