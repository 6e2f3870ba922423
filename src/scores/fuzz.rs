//! Mutations of scores files: whatever the bytes, the reader hands over rows that may be, or an error names the file.

use super::metadata::tests::metadata;
use super::set::tests::file;
use super::writer::tests::{FORMATS, rows, written};
use super::*;
use crate::fuzz::{assert_names, mutate, run};
use crate::selection::{Candidate, Candidates};

/// Numbers of Thrift, of pages and of text that mean much.
const WORDS: [&[u8]; 18] = [
    b"\0",
    b"\x15\x02",
    b"\x15\xfe\xff\xff\xff\x0f",
    b"\x16\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x19\xfc\xff\xff\xff\x0f",
    b"\x18\xff\xff\xff\xff\x07",
    b"\x28\xb5\x2f\xfd",
    b"PAR1",
    b"\xff\xff\xff\xff",
    b"\x80",
    b"\t",
    b"\n",
    b"nan",
    b"-1",
    b"\\",
    b"#counts\t{}\n",
    b"\"shard\":\"1/4000000000\",",
    b"4294967296",
];
const NAME: &str = "s3://bucket/mutated.scores";

#[test]
fn a_mutated_scores_file_ends_in_rows_or_an_error() {
    let seeds = FORMATS.map(|format| (format, written(format, metadata(), &rows(40))));
    run("scores", |random| {
        let (format, seed) = &seeds[random.below(seeds.len())];
        let mut bytes = seed.clone();
        mutate(random, &mut bytes, &WORDS);
        let read = Scores::open(vec![file(NAME, *format, bytes)]).and_then(|scores| {
            let (mut found, mut candidates, mut apart) = (0, 0, 0);
            scores.read(&mut |rows| {
                assert!(rows.iter().all(|row| row.influence.is_finite()));
                found += rows.len();
                Ok(())
            })?;
            scores.scan(&mut |some| {
                candidates += some.len();
                Ok(())
            })?;
            let visitor = |first, some: &[Candidate]| {
                assert_eq!(first, apart);
                apart += some.len() as u64;
                Ok(())
            };
            scores.scan_apart(&mut [Box::new(visitor)])?;
            Ok([found, candidates, apart as usize])
        });
        match read {
            Ok(counts) => assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}"),
            Err(ref error) => assert_names(error, NAME),
        }
        read.is_ok()
    });
}
