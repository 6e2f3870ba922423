//! Mutations of real files and of their pickles: whatever the bytes, the reader gives tensors that can be read, or an
//! error.

use super::archive::Archive;
use super::assemble::saved_before_1_6;
use super::tests::fixture;
use super::*;
use crate::fuzz::{mutate, run};
use objects::Storage;

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
    let files = ["rna_fm/RNA-FM_tiny.pth", "esm2/esm2_tiny.pt", "esmc/esmc_tiny.pth"]
        .map(|name| std::fs::read(fixture(name)).unwrap());
    let archives = files.each_ref().map(|file| Archive::read(file).unwrap());
    let pickles = [0, 1, 2].map(|index| {
        let (archive, file) = (&archives[index], &files[index]);
        let (_, range) = archive.entries.iter().find(|(name, _)| name.ends_with("data.pkl")).unwrap();
        file[range.clone()].to_vec()
    });
    run(".pth", |random| {
        let index = random.below(files.len());
        let (file, archive) = (&files[index], &archives[index]);
        match random.below(8) {
            // most of the file is numbers: what may be wrong is its pickle …
            0..=4 => {
                let mut pickle = pickles[index].clone();
                mutate(random, &mut pickle, &WORDS);
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
                    changed[at] = random.draw() as u8;
                }
                survives(&changed, read(&changed))
            }
            6 => {
                let mut changed = saved_before_1_6(&pickles[index], &[("0", &[0; 160]), ("1", &[0; 160])]);
                mutate(random, &mut changed, &WORDS);
                survives(&changed, read(&changed))
            }
            // … or anything
            _ => {
                let mut changed = file.clone();
                mutate(random, &mut changed, &WORDS);
                survives(&changed, read(&changed))
            }
        }
    });
}
