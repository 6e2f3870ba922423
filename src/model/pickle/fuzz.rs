//! Mutations of real files and of their pickles: whatever the bytes, the reader gives tensors that can be read, or an
//! error. `BIOPRUNE_FUZZ_ITERATIONS` asks for more of them.

use super::archive::Archive;
use super::assemble::saved_before_1_6;
use super::tests::fixture;
use super::*;
use objects::Storage;

const ITERATIONS: u64 = 4000;

/// Operations and operands that take a pickle to new places.
const WORDS: [&[u8]; 24] = [
    b"(",
    b"t",
    b"R",
    b"Q",
    b"b",
    b"\x81",
    b"o",
    b"s",
    b"u",
    b"e",
    b"a",
    b"d",
    b"2",
    b"0",
    b"1",
    b")",
    b"}",
    b"]",
    b"h\0",
    b"q\0",
    b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"cos\nsystem\n",
    b"\x94",
];

/// xorshift64*: the same bytes for a seed, everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// Changes a few places. All but the first kind change the length, so that everything behind them moves.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        match random.below(7) {
            0..=1 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            2 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.next() as u8;
                }
            }
            3 => bytes.truncate(at),
            4 => {
                let word = WORDS[random.below(WORDS.len())];
                bytes.splice(at..at, word.iter().copied());
            }
            5 => {
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

/// Reads all that was found; gives whether the file was accepted.
fn survives(file: &[u8], checkpoint: Result<Checkpoint, PickleError>) -> bool {
    let Ok(checkpoint) = checkpoint else { return false };
    let size: usize = checkpoint.tensors.iter().map(|(_, tensor)| tensor.size()).sum();
    assert!(size / MAX_SHARING <= file.len(), "{size} bytes of tensors in a file of {}", file.len());
    for (name, tensor) in &checkpoint.tensors {
        let expected: usize = tensor.shape().iter().product();
        assert_eq!(tensor.values(file).len(), expected, "{name}");
    }
    true
}

#[test]
fn mutated_files_end_in_tensors_or_an_error() {
    let iterations = std::env::var("BIOPRUNE_FUZZ_ITERATIONS")
        .map_or(ITERATIONS, |count| count.parse().expect("a number of iterations"));
    let files = ["rna_fm/RNA-FM_tiny.pth", "esm2/esm2_tiny.pt", "esmc/esmc_tiny.pth"]
        .map(|name| std::fs::read(fixture(name)).unwrap());
    let archives = files.each_ref().map(|file| Archive::read(file).unwrap());
    let pickles = [0, 1, 2].map(|index| {
        let (archive, file) = (&archives[index], &files[index]);
        let (_, range) = archive.entries.iter().find(|(name, _)| name.ends_with("data.pkl")).unwrap();
        file[range.clone()].to_vec()
    });
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut accepted = 0;
    for iteration in 0..iterations {
        let index = random.below(files.len());
        let (file, archive) = (&files[index], &archives[index]);
        accepted += u64::from(match iteration % 8 {
            // most of the file is numbers: what may be wrong is its pickle …
            0..=4 => {
                let mut pickle = pickles[index].clone();
                mutate(&mut pickle, &mut random);
                let place = |storage: &Storage| {
                    let suffix = format!("/data/{}", storage.key);
                    let found = archive.entries.iter().find(|(name, _)| name.ends_with(&suffix));
                    storage.start_in(found.map_or(&(0..0), |(_, range)| range))
                };
                let checkpoint = Machine::run(&pickle)
                    .and_then(|(machine, root, _)| checkpoint::read(&machine.heap, root, file.len(), place));
                survives(file, checkpoint)
            }
            // … or its directory …
            5 => {
                let mut changed = file.clone();
                for _ in 0..=random.below(3) {
                    let at = changed.len() - 1 - random.below(8000);
                    changed[at] = random.next() as u8;
                }
                survives(&changed, read(&changed))
            }
            6 => {
                let mut changed = saved_before_1_6(&pickles[index], &[("0", &[0; 160]), ("1", &[0; 160])]);
                mutate(&mut changed, &mut random);
                survives(&changed, read(&changed))
            }
            // … or anything
            _ => {
                let mut changed = file.clone();
                mutate(&mut changed, &mut random);
                survives(&changed, read(&changed))
            }
        });
    }
    println!("{accepted} of {iterations} mutations were accepted");
    assert!(
        accepted > 0 && accepted < iterations,
        "mutations neither all break a file nor all leave it whole"
    );
}
