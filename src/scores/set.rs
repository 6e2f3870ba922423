//! One scoring, read from one file or from all of its parts.

use super::check::RowCheck;
use super::fetch::RandomRead;
use super::metadata::{Counts, ScoresMetadata};
use super::parquet_reader::ParquetFile;
use super::parquet_schema::{CANDIDATE_COLUMNS, COLUMNS, append_rows};
use super::row_groups::{RowGroup, visit, visitors};
use super::tsv_reader::TsvFile;
use super::{ScoreRow, ScoresFormat};
use crate::error::{Error, Result};
use crate::selection::{Candidate, Candidates, Visitor, scan_in_order};
use crate::sequence::Shard;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, UInt32Type, UInt64Type};
use std::sync::Arc;

/// A scores file to read.
pub struct ScoresFile {
    /// Its URI or path, for messages
    pub name: String,
    pub format: ScoresFormat,
    pub content: Arc<dyn RandomRead>,
}

/// One scoring: a whole scores file, or all of its parts in the order of their shards.
pub struct Scores {
    parts: Vec<Part>,
    metadata: ScoresMetadata,
}

struct Part {
    name: String,
    metadata: ScoresMetadata,
    form: Form,
}

enum Form {
    Parquet(ParquetFile, Counts),
    Tsv(TsvFile),
}

impl Scores {
    /// Opens the files, in any order. Refuses files whose metadata disagree, and parts that are not complete.
    pub fn open(files: Vec<ScoresFile>) -> Result<Scores> {
        let mut parts = files.into_iter().map(Part::open).collect::<Result<Vec<_>>>()?;
        let first =
            parts.first().ok_or_else(|| Error::usage("no scores file is given; at least one is needed"))?;
        for other in &parts[1..] {
            if let Some(found) = first.metadata.disagreement(&other.metadata) {
                return Err(Error::bad_input(format!(
                    "{} and {} are not of one scoring: {} is {} in the first and {} in the second",
                    first.name, other.name, found.field, found.left, found.right
                )));
            }
        }
        parts.sort_by_key(|part| part.metadata.shard.map_or(0, |shard| shard.index));
        check_complete(&parts)?;
        let metadata = ScoresMetadata { shard: None, ..parts[0].metadata.clone() };
        Ok(Scores { parts, metadata })
    }

    /// How the records were scored, all shards together.
    pub fn metadata(&self) -> &ScoresMetadata {
        &self.metadata
    }

    /// Whether this is one file with this metadata, its shard included; copies of local files aside.
    pub fn is_of(&self, metadata: &ScoresMetadata) -> bool {
        matches!(self.parts.as_slice(), [part] if part.metadata.of_any_copy() == metadata.of_any_copy())
    }

    /// What became of the records, summed over the parts: Parquet says it in the footer, TSV after the rows.
    pub fn counts(&self) -> Result<Counts> {
        let mut sum = Counts::default();
        for part in &self.parts {
            match &part.form {
                Form::Tsv(file) => sum.add(&file.read(&mut |_| Ok(()))?),
                Form::Parquet(_, counts) => sum.add(counts),
            }
        }
        Ok(sum)
    }

    /// Hands over all rows in input order; returns the counts, summed over the parts.
    pub fn read(&self, visit: &mut dyn FnMut(&[ScoreRow]) -> Result<()>) -> Result<Counts> {
        let mut check = RowCheck::new(self.metadata.sources.len());
        let mut sum = Counts::default();
        for part in &self.parts {
            let mut checked = |rows: &[ScoreRow]| {
                rows.iter().try_for_each(|row| check.next_row(row)).map_err(|e| part.wrong(&e))?;
                visit(rows)
            };
            match &part.form {
                Form::Tsv(file) => sum.add(&file.read(&mut checked)?),
                Form::Parquet(file, counts) => {
                    let all: Vec<usize> = (0..COLUMNS.len()).collect();
                    file.read(&all, append_rows, &mut checked)?;
                    sum.add(counts);
                }
            }
        }
        Ok(sum)
    }
}

impl Candidates for Scores {
    fn scan(&self, visit: &mut dyn FnMut(&[Candidate]) -> Result<()>) -> Result<()> {
        let mut check = RowCheck::new(self.metadata.sources.len());
        for part in &self.parts {
            let mut checked = |candidates: &[Candidate]| {
                candidates.iter().try_for_each(|c| check.next_candidate(c)).map_err(|e| part.wrong(&e))?;
                visit(candidates)
            };
            match &part.form {
                Form::Parquet(file, _) => file.read(&CANDIDATE_COLUMNS, append_candidates, &mut checked)?,
                Form::Tsv(file) => {
                    let mut candidates = Vec::new();
                    file.read(&mut |rows| {
                        candidates.clear();
                        candidates.extend(rows.iter().map(Candidate::from));
                        checked(&candidates)
                    })?;
                }
            }
        }
        Ok(())
    }

    fn visitors(&self) -> usize {
        self.row_groups().map_or(1, |groups| visitors(groups.len()))
    }

    fn scan_apart(&self, visitors: &mut [Visitor<'_>]) -> Result<()> {
        match self.row_groups() {
            Some(groups) => visit(&groups, self.metadata.sources.len(), visitors),
            None => scan_in_order(self, visitors),
        }
    }
}

impl Scores {
    /// The row groups, where all parts are Parquet.
    fn row_groups(&self) -> Option<Vec<RowGroup<'_>>> {
        let (mut groups, mut first) = (Vec::new(), 0);
        for part in &self.parts {
            let Form::Parquet(file, _) = &part.form else { return None };
            for (index, rows) in file.rows_of_groups().enumerate() {
                groups.push(RowGroup { file, index, first, rows });
                first = first.saturating_add(rows);
            }
        }
        Some(groups)
    }
}

impl Part {
    fn open(file: ScoresFile) -> Result<Part> {
        let ScoresFile { name, format, content } = file;
        let (form, metadata) = match format {
            ScoresFormat::Parquet => {
                let (file, metadata, counts) = ParquetFile::open(&name, content)?;
                (Form::Parquet(file, counts), metadata)
            }
            ScoresFormat::Tsv | ScoresFormat::TsvGz => {
                let (file, metadata) = TsvFile::open(&name, content, format == ScoresFormat::TsvGz)?;
                (Form::Tsv(file), metadata)
            }
        };
        Ok(Part { name, metadata, form })
    }

    fn wrong(&self, message: &str) -> Error {
        Error::bad_input(format!("{}: {message}", self.name))
    }
}

/// Either one whole file, or each of the shards once.
fn check_complete(parts: &[Part]) -> Result<()> {
    let Some(count) = parts[0].metadata.shard.map(|shard| shard.count) else {
        return match parts {
            [_] => Ok(()),
            [whole, other, ..] => Err(Error::bad_input(format!(
                "{} holds a whole scoring, so {} cannot be read beside it",
                whole.name, other.name
            ))),
            [] => Ok(()),
        };
    };
    for pair in parts.windows(2) {
        let [a, b] = [&pair[0], &pair[1]];
        if let (Some(left), Some(right)) = (a.metadata.shard, b.metadata.shard) {
            if left.count != right.count {
                return Err(b.wrong(&format!("shard {right}, but {} is shard {left}", a.name)));
            }
            if left.index == right.index {
                return Err(b.wrong(&format!("shard {right}, which {} is too", a.name)));
            }
        }
    }
    let present: Vec<_> = parts.iter().filter_map(|part| part.metadata.shard).collect();
    match Shard::missing(&present) {
        None => Ok(()),
        Some(missing) => {
            Err(parts[0].wrong(&format!("of {count} shards {} are given; missing: {missing}", parts.len())))
        }
    }
}

/// Appends the rows of a batch of [`CANDIDATE_COLUMNS`].
pub(super) fn append_candidates(batch: &RecordBatch, candidates: &mut Vec<Candidate>) {
    let source = batch.column(0).as_primitive::<UInt32Type>().values();
    let position = batch.column(1).as_primitive::<UInt64Type>().values();
    let record_hash = batch.column(2).as_primitive::<UInt64Type>().values();
    let residues = batch.column(3).as_primitive::<UInt32Type>().values();
    let influence = batch.column(4).as_primitive::<Float32Type>().values();
    let rows = source.iter().zip(position).zip(record_hash).zip(residues).zip(influence);
    candidates.extend(rows.map(|((((source, position), record_hash), residues), influence)| Candidate {
        source: *source,
        position: *position,
        record_hash: *record_hash,
        residues: *residues,
        influence: *influence,
    }));
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::metadata::tests::metadata;
    use super::super::writer::tests::{FORMATS, rows, written};
    use super::*;
    use bytes::Bytes;

    pub(in crate::scores) fn file(name: &str, format: ScoresFormat, bytes: Vec<u8>) -> ScoresFile {
        ScoresFile { name: name.to_string(), format, content: Arc::new(Bytes::from(bytes)) }
    }

    fn part(shard: &str, rows: &[ScoreRow]) -> ScoresFile {
        let metadata = ScoresMetadata { shard: Some(shard.parse().unwrap()), ..metadata() };
        let name = format!("part-{}.tsv", shard.replace('/', "-of-"));
        file(&name, ScoresFormat::Tsv, written(ScoresFormat::Tsv, metadata, rows))
    }

    fn refusal(files: Vec<ScoresFile>) -> String {
        let error = Scores::open(files).and_then(|scores| scores.read(&mut |_| Ok(()))).unwrap_err();
        assert_eq!(error.code, crate::error::Code::BadInput);
        error.to_string()
    }

    #[test]
    fn candidates_are_the_rows_projected() {
        for format in FORMATS {
            let rows = rows(20_000);
            let scores = Scores::open(vec![file("x", format, written(format, metadata(), &rows))]).unwrap();
            let mut found = Vec::new();
            scores
                .scan(&mut |candidates| {
                    found.extend_from_slice(candidates);
                    Ok(())
                })
                .unwrap();
            assert_eq!(found.len(), rows.len());
            for (candidate, row) in found.iter().zip(&rows) {
                assert_eq!((candidate.source, candidate.position), (row.source, row.position));
                assert_eq!((candidate.record_hash, candidate.residues), (row.record_hash, row.residues));
                assert_eq!(candidate.influence, row.influence);
            }
        }
    }

    #[test]
    fn parts_that_are_not_complete_are_refused_by_name() {
        let rows = rows(6);
        let cases = [
            (vec![part("1/4", &rows[..1]), part("3/4", &rows[1..2])], "missing: 2/4, 4/4"),
            (
                vec![part("1/2", &rows[..1]), part("1/2", &rows[1..2])],
                "shard 1/2, which part-1-of-2.tsv is too",
            ),
            (vec![part("1/2", &rows[..1]), part("2/3", &rows[1..2])], "shard 2/3"),
            (
                vec![
                    file("w.tsv", ScoresFormat::Tsv, written(ScoresFormat::Tsv, metadata(), &rows)),
                    part("2/2", &rows),
                ],
                "w.tsv holds a whole scoring",
            ),
            (vec![part("1/2", &rows[..3]), part("2/2", &rows[2..])], "must grow"),
        ];
        for (files, expected) in cases {
            let message = refusal(files);
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn files_of_different_scorings_are_refused_with_the_field_and_both_values() {
        let other = ScoresMetadata { seed: 9, ..metadata() };
        let tsv =
            |name, metadata| file(name, ScoresFormat::Tsv, written(ScoresFormat::Tsv, metadata, &rows(3)));
        let message = refusal(vec![tsv("a.tsv", metadata()), tsv("b.tsv", other)]);
        for part in ["a.tsv", "b.tsv", "seed is 18446744073709551615 in the first and 9"] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn no_file_is_a_usage_error() {
        assert_eq!(Scores::open(Vec::new()).err().unwrap().code, crate::error::Code::Usage);
    }
}
