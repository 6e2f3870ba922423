//! Mutations of curvature files: whatever the bytes, a curvature that scores can be made with, or an error names the file.

use super::curvature::tests::{gradient, metadata};
use super::*;
use crate::fuzz::{assert_names, mutate, run};
use crate::sequence::Shard;

/// Parts of the header.
const WORDS: [&[u8]; 14] = [
    b"\0",
    b"\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\"",
    b"{",
    b"}",
    b",",
    b"0",
    b"9999999999999999999",
    b"-1",
    b"null",
    b"[0,0]",
    b"1/4000000000",
    b"I64",
    b"\\",
];
const NAME: &str = "s3://bucket/mutated.safetensors";

#[test]
fn a_mutated_curvature_file_ends_in_a_curvature_or_an_error() {
    let mut sum = CurvatureSum::new(3);
    (0..5).for_each(|seed| sum.add(&gradient(seed)).unwrap());
    let part = CurvatureMetadata { shard: Some(Shard { index: 1, count: 2 }), ..metadata() };
    let seeds = [sum.to_bytes(&metadata()).unwrap(), sum.to_bytes(&part).unwrap()];
    run("curvature", |random| {
        let mut bytes = seeds[random.below(seeds.len())].clone();
        mutate(random, &mut bytes, &WORDS);
        let (read, _) = match CurvatureSum::from_bytes::<CurvatureMetadata>(&bytes, NAME) {
            Ok(read) => read,
            Err(error) => {
                assert_names(&error, NAME);
                return false;
            }
        };
        let mut total = read.clone();
        total.merge(&read).unwrap();
        match Curvature::new(&total, CurvatureForm::Diagonal, Damping::Relative(0.1)) {
            Ok(curvature) => assert!(curvature.inverse.iter().all(|entry| entry.is_finite() && *entry > 0.0)),
            Err(error) => assert_eq!(error.code, crate::error::Code::BadInput),
        }
        true
    });
}
