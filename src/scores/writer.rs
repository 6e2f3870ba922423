//! Writes one scores file, whatever its format.

use super::check::RowCheck;
use super::metadata::{Counts, ScoresMetadata};
use super::parquet_writer::ParquetScores;
use super::tsv_writer::TsvScores;
use super::{ScoreRow, ScoresFormat};
use crate::error::{Error, Result};
use std::io::Write;

/// Writes rows in input order. A file that is not finished is not readable as scores.
pub struct ScoresWriter<W: Write + Send> {
    form: Form<W>,
    check: RowCheck,
}

enum Form<W: Write + Send> {
    Parquet(Box<ParquetScores<W>>),
    Tsv(TsvScores<W>),
}

impl<W: Write + Send> ScoresWriter<W> {
    pub fn create(sink: W, format: ScoresFormat, metadata: ScoresMetadata) -> Result<Self> {
        let check = RowCheck::new(metadata.sources.len());
        let form = match format {
            ScoresFormat::Parquet => Form::Parquet(Box::new(ParquetScores::create(sink, metadata)?)),
            ScoresFormat::Tsv => Form::Tsv(TsvScores::create(sink, false, &metadata)?),
            ScoresFormat::TsvGz => Form::Tsv(TsvScores::create(sink, true, &metadata)?),
        };
        Ok(ScoresWriter { form, check })
    }

    /// Writes the next rows. A row that does not follow the one before it, or whose influence is not finite, is
    /// refused as bad input.
    pub fn write(&mut self, rows: &[ScoreRow]) -> Result<()> {
        for row in rows {
            self.check.next_row(row).map_err(Error::bad_input)?;
            match &mut self.form {
                Form::Parquet(scores) => scores.write(row)?,
                Form::Tsv(scores) => scores.write(row)?,
            }
        }
        Ok(())
    }

    /// Ends the file; hands the sink back, with all bytes passed on to it, to be committed.
    pub fn finish(self, counts: &Counts) -> Result<W> {
        let mut sink = match self.form {
            Form::Parquet(scores) => scores.finish(counts)?,
            Form::Tsv(scores) => scores.finish(counts)?,
        };
        sink.flush().map_err(|e| super::fetch::carried(e, || Error::storage("write of the scores")))?;
        Ok(sink)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::metadata::tests::metadata;
    use super::super::set::tests::file;
    use super::*;
    use crate::error::Code;
    use crate::scores::Scores;
    use std::collections::BTreeMap;

    pub(in crate::scores) const FORMATS: [ScoresFormat; 3] =
        [ScoresFormat::Parquet, ScoresFormat::Tsv, ScoresFormat::TsvGz];

    /// Rows of two sources, with awkward ids and floats.
    pub(in crate::scores) fn rows(n: u64) -> Vec<ScoreRow> {
        let ids = ["", "RF00001;5S_rRNA", "a\tb\\n", "\u{e9}", "sp|P1"];
        let influences = [-0.0, 0.1, -1.5e-30, f32::MAX, f32::MIN_POSITIVE / 2.0, 16_777_216.0, -3.25];
        (0..n)
            .map(|i| ScoreRow {
                source: u32::from(i >= n / 2),
                position: if i >= n / 2 { 3 * (i - n / 2) } else { 7 * i },
                id: ids[i as usize % ids.len()].into(),
                record_hash: i.wrapping_mul(0x9e37_79b9_7f4a_7c15),
                residues: 10 + (i % 300) as u32,
                tokens: 12 + (i % 300) as u32,
                truncated: i % 5 == 0,
                loss: 1.0 + (i as f32) / 7.0,
                grad_norm: (i as f32).sqrt(),
                influence: influences[i as usize % influences.len()],
            })
            .collect()
    }

    pub(in crate::scores) fn counts(rows: &[ScoreRow]) -> Counts {
        let skipped = BTreeMap::from([("illegal".to_string(), 1)]);
        // One file's worth of skipped records for each source's worth of rows, so that parts add up to the whole.
        let skipped = if rows.iter().any(|row| row.position == 0 && row.source == 0) {
            skipped
        } else {
            BTreeMap::new()
        };
        Counts {
            records: rows.len() as u64,
            residues: rows.iter().map(|row| u64::from(row.residues)).sum(),
            scored: rows.len() as u64,
            truncated: rows.iter().filter(|row| row.truncated).count() as u64,
            skipped,
        }
    }

    pub(in crate::scores) fn written(
        format: ScoresFormat,
        metadata: ScoresMetadata,
        rows: &[ScoreRow],
    ) -> Vec<u8> {
        let mut writer = ScoresWriter::create(Vec::new(), format, metadata).unwrap();
        writer.write(rows).unwrap();
        writer.finish(&counts(rows)).unwrap()
    }

    #[test]
    fn what_is_written_is_read_back() {
        for format in FORMATS {
            for n in [0, 1, 30_000] {
                let rows = rows(n);
                let scores =
                    Scores::open(vec![file("x", format, written(format, metadata(), &rows))]).unwrap();
                assert_eq!(*scores.metadata(), metadata());
                let mut found = Vec::new();
                let read = scores.read(&mut |rows| {
                    found.extend_from_slice(rows);
                    Ok(())
                });
                assert_eq!(read.unwrap(), counts(&rows));
                // Compared as text too, since -0.0 == 0.0.
                assert!(found == rows && format!("{found:?}") == format!("{rows:?}"), "{format:?}, {n} rows");
            }
        }
    }

    #[test]
    fn bytes_do_not_depend_on_how_rows_are_batched() {
        let rows = rows(20_000);
        for format in FORMATS {
            let mut writer = ScoresWriter::create(Vec::new(), format, metadata()).unwrap();
            for chunk in rows.chunks(777) {
                writer.write(chunk).unwrap();
            }
            assert!(writer.finish(&counts(&rows)).unwrap() == written(format, metadata(), &rows));
        }
    }

    #[test]
    fn rows_that_must_not_be_are_refused_by_name() {
        type Change = fn(&mut ScoreRow);
        let changes: [(Change, &str); 4] = [
            (|row| row.influence = f32::NAN, "influence is NaN"),
            (|row| row.influence = f32::INFINITY, "influence is inf"),
            (|row| row.position = 0, "must grow"),
            (|row| row.source = 2, "2 source(s)"),
        ];
        for format in FORMATS {
            for (change, expected) in changes {
                let mut rows = rows(10);
                change(&mut rows[4]);
                let mut writer = ScoresWriter::create(Vec::new(), format, metadata()).unwrap();
                let error = writer.write(&rows).unwrap_err();
                assert_eq!(error.code, Code::BadInput);
                assert!(error.message.contains(expected) && error.message.contains("sp|P1"), "{error}");
            }
        }
    }

    #[test]
    fn a_cut_or_foreign_file_is_refused() {
        for format in FORMATS {
            let whole = written(format, metadata(), &rows(1000));
            let read = |bytes: &[u8]| {
                Scores::open(vec![file("cut.x", format, bytes.to_vec())])
                    .and_then(|scores| scores.read(&mut |_| Ok(())))
            };
            read(&whole).unwrap();
            for length in [0, 3, 20, whole.len() / 2, whole.len() - 9, whole.len() - 2] {
                let error = read(&whole[..length]).unwrap_err();
                assert_eq!(error.code, Code::BadInput, "{error}");
                assert!(error.message.contains("cut.x"), "{error}");
            }
            assert_eq!(read(b">r1\nACGU\n").unwrap_err().code, Code::BadInput);
        }
    }

    #[test]
    fn a_text_row_that_is_not_one_is_refused_with_its_line_and_column() {
        let text = String::from_utf8(written(ScoresFormat::Tsv, metadata(), &rows(3))).unwrap();
        let cases = [
            ("\ttrue\t", "\tyes\t", "line 3: column truncated is \"yes\""),
            ("\t-1.5e-30\n", "\tNaN\n", "influence is NaN"),
            ("\t-1.5e-30\n", "\n", "line 5: 9 columns; scores have 10"),
            ("source\tposition", "position\tsource", "line 2: the heading"),
            (
                "\"schema_version\":1",
                "\"schema_version\":2",
                "schema version 2; this program reads version 1",
            ),
            ("#counts\t{", "#counts\t", "line 6: the counts"),
        ];
        for (from, to, expected) in cases {
            let bytes = text.replacen(from, to, 1).into_bytes();
            let read = Scores::open(vec![file("x.tsv", ScoresFormat::Tsv, bytes)]);
            let error = read.and_then(|scores| scores.read(&mut |_| Ok(()))).unwrap_err();
            assert_eq!(error.code, Code::BadInput);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
