//! Mutations of sequence files in all their forms: their records come whole, also in shards, or an error names the file.

use super::tests::{bgzip, gzip, zstd};
use super::*;
use crate::error::Error;
use crate::fuzz::{assert_names, mutate, run};
use crate::random::SplitMix;
use crate::storage::Storage;
use ::parquet::arrow::ArrowWriter;
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use std::path::Path;
use std::sync::Arc;

const TEXTS: [&[u8]; 8] = [
    b">a\nACGU\n>b x\nGG\nGG\n",
    b">a\r\nAC\r\nGU\r\n\r\n>b\r\n",
    b"\n\n>a>b\nAC\n>c >d\n\n",
    b">sp|P1|X\nMKTAYIAKQR*\n>\xff\nACGTN-.\n>e",
    b"@a\nACGU\n+\n!!!!\n@b\nGG\n+\nII\n",
    b"ACGU\nGG\n\nacgu",
    b">a;b=c\n;comment\nACGU\n",
    b"PAR1PAR1",
];

/// What begins records, lines and members.
const WORDS: [&[u8]; 16] = [
    b">",
    b"\n>",
    b"\n",
    b"\r\n",
    b"\n\n",
    b"@",
    b"+\n",
    b"\0",
    b" ",
    b">\n",
    b"PAR1",
    b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0",
    b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
    b"\x28\xb5\x2f\xfd",
    b"\xff\xff\xff\xff",
    b"\x1b\0\x03\0\0\0\0\0\0\0\0\0",
];

/// Opens and reads a file as whoever gets it would.
fn read(
    storage: &Storage,
    path: &Path,
    shard: Option<Shard>,
    options: &InputOptions,
) -> Result<Vec<Record>, Error> {
    Dataset::open(storage, &[path.display().to_string()], options)?.records(shard).collect()
}

fn options(format: InputFormat) -> InputOptions {
    InputOptions { input_format: format, ..InputOptions::default() }
}

/// Whether the file was accepted.
fn survives(storage: &Storage, path: &Path, options: &InputOptions, random: &mut SplitMix) -> bool {
    let records = match read(storage, path, None, options) {
        Ok(records) => records,
        Err(error) => {
            assert_names(&error, path.to_str().unwrap());
            return false;
        }
    };
    assert!(records.windows(2).all(|pair| pair[0].position < pair[1].position));
    let count = 1 + random.below(4) as u32;
    let shards = (1..=count).map(|index| read(storage, path, Some(Shard { index, count }), options));
    assert_eq!(shards.collect::<Result<Vec<_>, _>>().unwrap().concat(), records, "in {count} shards");
    true
}

/// A folder in memory where there is one.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

#[test]
fn mutated_text_in_any_compression_ends_in_records_or_an_error() {
    let (folder, storage) = (folder(), Storage::from_env().unwrap());
    let path = folder.path().join("mutated.fa");
    run("FASTA, FASTQ and text", |random| {
        let mut text = TEXTS[random.below(TEXTS.len())].to_vec();
        let compressed = random.below(4);
        if compressed == 0 || random.below(2) == 0 {
            mutate(random, &mut text, &WORDS);
        }
        let mut bytes = match compressed {
            0 => text,
            1 => gzip(&text),
            2 => bgzip(&text, 1 + random.below(12)),
            _ => zstd(&text),
        };
        if compressed > 0 && random.below(2) == 0 {
            mutate(random, &mut bytes, &WORDS);
        }
        std::fs::write(&path, bytes).unwrap();
        let format = [InputFormat::Auto, InputFormat::Auto, InputFormat::Fasta, InputFormat::Text];
        survives(&storage, &path, &options(format[random.below(format.len())]), random)
    });
}

#[test]
fn a_mutated_parquet_file_ends_in_records_or_an_error() {
    let ids: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c", "d x"]));
    let sequences: ArrayRef = Arc::new(StringArray::from(vec!["ACGU", "", "GG", "ACGUACGU"]));
    let batch = RecordBatch::try_from_iter([("id", ids), ("sequence", sequences)]).unwrap();
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.flush().unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let (folder, storage) = (folder(), Storage::from_env().unwrap());
    let path = folder.path().join("mutated.parquet");
    run("Parquet sequences", |random| {
        let mut bytes = file.clone();
        mutate(random, &mut bytes, &WORDS);
        std::fs::write(&path, bytes).unwrap();
        survives(&storage, &path, &InputOptions::default(), random)
    });
}
