//! The shipped example, as tests use it: its first records, in a file of their own.

use flate2::read::MultiGzDecoder;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/rna/rfam_cm_samples.fa.gz")
}

/// The records of a compressed FASTA file, each as it stands there, byte for byte.
pub fn records(file: &Path) -> Vec<Vec<u8>> {
    let mut text = Vec::new();
    MultiGzDecoder::new(File::open(file).unwrap()).read_to_end(&mut text).unwrap();
    let starts: Vec<usize> = (0..text.len()).filter(|i| text[*i] == b'>').chain([text.len()]).collect();
    starts.windows(2).map(|range| text[range[0]..range[1]].to_vec()).collect()
}

/// The first `count` records of the example that are short: little work, in many families.
pub fn short(count: usize) -> Vec<Vec<u8>> {
    let records = records(&path()).into_iter();
    records.filter(|record| record.len() < 90).step_by(3).take(count).collect()
}

/// Writes these records into a file below `folder`.
pub fn write_short(count: usize, folder: &Path) -> PathBuf {
    let path = folder.join(format!("short-{count}.fa"));
    fs::write(&path, short(count).concat()).unwrap();
    path
}
