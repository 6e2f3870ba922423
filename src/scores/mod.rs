//! Scores files: one row for each scored record, in input order, with the metadata that says how it was scored.
//!
//! [`ScoresWriter`] writes one file, [`Scores`] reads one scoring back out of one file or all of its parts, and
//! [`merge`] joins parts. Bytes depend on the rows and the metadata alone, never on how rows were batched, so the
//! merge of any sharding is the file of an unsharded run.

mod check;
mod fetch;
#[cfg(test)]
mod fuzz;
mod merge;
mod metadata;
mod parquet_reader;
mod parquet_schema;
mod parquet_writer;
mod row_groups;
mod set;
mod tsv_reader;
mod tsv_writer;
mod writer;

pub use fetch::RandomRead;
pub use merge::merge;
pub use metadata::{Counts, CurvatureRef, ModelRef, SCHEMA_VERSION, ScoresMetadata};
pub use parquet_writer::parquet_failed;
pub use set::{Scores, ScoresFile};
pub use writer::ScoresWriter;

use crate::error::{Error, Result};
use crate::selection::Candidate;
use compact_str::CompactString;

/// One scored record.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreRow {
    /// Index into the metadata's `sources`
    pub source: u32,
    /// Grows in file order within a source
    pub position: u64,
    /// The record's id as its source has it; ids may repeat
    pub id: CompactString,
    /// The stable hash of (header, sequence) that every random choice uses
    pub record_hash: u64,
    /// Residues of the record
    pub residues: u32,
    /// Tokens that were scored, the family's special tokens included
    pub tokens: u32,
    /// Whether only the record's first residues were scored
    pub truncated: bool,
    /// Mean cross entropy over the scored positions, in nats
    pub loss: f32,
    /// Euclidean norm of the record's gradient
    pub grad_norm: f32,
    /// Self-influence; larger is more influential; always finite
    pub influence: f32,
}

impl From<&ScoreRow> for Candidate {
    fn from(row: &ScoreRow) -> Candidate {
        let &ScoreRow { source, position, record_hash, residues, influence, .. } = row;
        Candidate { source, position, record_hash, residues, influence }
    }
}

/// The form of a scores file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScoresFormat {
    Parquet,
    Tsv,
    TsvGz,
}

impl ScoresFormat {
    /// The format that a file name asks for by its extension.
    pub fn of_name(name: &str) -> Result<ScoresFormat> {
        let formats = [
            (".parquet", ScoresFormat::Parquet),
            (".tsv", ScoresFormat::Tsv),
            (".tsv.gz", ScoresFormat::TsvGz),
        ];
        formats
            .into_iter()
            .find(|(extension, _)| name.ends_with(extension))
            .map(|(_, format)| format)
            .ok_or_else(|| {
                Error::usage(format!(
                    "scores file {name:?}: allowed extensions are .parquet, .tsv and .tsv.gz"
                ))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_gives_the_format() {
        assert_eq!(ScoresFormat::of_name("s3://b/x.parquet").unwrap(), ScoresFormat::Parquet);
        assert_eq!(ScoresFormat::of_name("x.tsv").unwrap(), ScoresFormat::Tsv);
        assert_eq!(ScoresFormat::of_name("x.tsv.gz").unwrap(), ScoresFormat::TsvGz);
        assert!(ScoresFormat::of_name("x.csv").unwrap_err().message.contains("allowed"));
    }
}
