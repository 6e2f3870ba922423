//! Joins the parts of a scoring.

use super::{Scores, ScoresFormat, ScoresWriter};
use crate::error::Result;
use std::io::Write;

/// Writes all rows of a scoring as one file, byte for byte the one of an unsharded run. Returns the sink, to be
/// committed, and the number of rows.
pub fn merge<W: Write + Send>(scores: &Scores, sink: W, format: ScoresFormat) -> Result<(W, u64)> {
    let mut writer = ScoresWriter::create(sink, format, scores.metadata().clone())?;
    let mut count = 0;
    let counts = scores.read(&mut |rows| {
        count += rows.len() as u64;
        writer.write(rows)
    })?;
    Ok((writer.finish(&counts)?, count))
}

#[cfg(test)]
mod tests {
    use super::super::metadata::tests::metadata;
    use super::super::set::tests::file;
    use super::super::writer::tests::{FORMATS, counts, rows, written};
    use super::*;
    use crate::scores::{Counts, ScoresMetadata};

    #[test]
    fn merged_parts_are_the_bytes_of_an_unsharded_run_whatever_their_order_and_format() {
        let rows = rows(30_000);
        for format in FORMATS {
            let whole = written(format, metadata(), &rows);
            for cuts in [vec![0, 30_000], vec![0, 1, 9_999, 30_000], vec![0, 8_192, 8_192, 20_000, 30_000]] {
                let n = cuts.len() - 1;
                let parts = (0..n).rev().map(|i| {
                    let shard = format!("{}/{n}", i + 1);
                    let metadata = ScoresMetadata { shard: Some(shard.parse().unwrap()), ..metadata() };
                    let format = FORMATS[i % FORMATS.len()];
                    file(&shard, format, written(format, metadata, &rows[cuts[i]..cuts[i + 1]]))
                });
                let (merged, count) =
                    merge(&Scores::open(parts.collect()).unwrap(), Vec::new(), format).unwrap();
                assert_eq!(count, 30_000);
                assert!(merged == whole, "{format:?} in {n} parts");
            }
        }
    }

    #[test]
    fn counts_of_the_parts_add_up() {
        let rows = rows(10);
        let part = |i: usize| {
            let metadata = ScoresMetadata { shard: Some(format!("{i}/2").parse().unwrap()), ..metadata() };
            let bytes = written(ScoresFormat::Parquet, metadata, &rows[5 * (i - 1)..5 * i]);
            file("x", ScoresFormat::Parquet, bytes)
        };
        let scores = Scores::open(vec![part(1), part(2)]).unwrap();
        let found = scores.read(&mut |_| Ok(())).unwrap();
        let mut expected = Counts::default();
        expected.add(&counts(&rows[..5]));
        expected.add(&counts(&rows[5..]));
        assert_eq!(found, expected);
        assert_eq!(scores.counts().unwrap(), expected);
    }
}
