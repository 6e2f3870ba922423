//! How inputs are read, and which part of them.

use crate::error::{Error, Result};
use crate::string_serde;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The form of an input's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InputFormat {
    /// Told from the content: Parquet by its magic bytes, FASTA by `>`, else an error
    Auto,
    /// FASTA, plain or compressed
    Fasta,
    /// One sequence on each line; a record's id is its line number
    Text,
    /// Parquet with an id and a sequence column
    Parquet,
}

/// What to do with a record that cannot be scored as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnBadRecord {
    /// End the job and name the record
    Error,
    /// Leave the record out and count it
    Skip,
}

/// What to do with a record that is longer than the model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnLong {
    /// Score its first residues, mark it and count it
    Truncate,
    /// Leave the record out and count it
    Skip,
    /// End the job and name the record
    Error,
}

/// How sequence inputs are read.
#[derive(Clone, Debug, PartialEq, clap::Args, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct InputOptions {
    /// Form of the inputs' content
    #[arg(long = "input-format", value_enum, default_value = "auto")]
    pub input_format: InputFormat,

    /// Parquet column that holds the ids
    #[arg(long, default_value = "id")]
    pub id_column: String,

    /// Parquet column that holds the sequences
    #[arg(long, default_value = "sequence")]
    pub sequence_column: String,

    /// What to do with a record that holds a character the model's alphabet does not allow
    #[arg(long, value_enum, default_value = "error")]
    pub on_illegal: OnBadRecord,

    /// What to do with a record without residues
    #[arg(long, value_enum, default_value = "error")]
    pub on_empty: OnBadRecord,

    /// What to do with a record longer than the model takes
    #[arg(long, value_enum, default_value = "truncate")]
    pub on_long: OnLong,
}
crate::default_from_flags!(InputOptions);

/// One of `count` parts of a dataset; `index` counts from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    pub index: u32,
    pub count: u32,
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let (index, count) = text.split_once('/')?;
            let shard = Shard { index: index.parse().ok()?, count: count.parse().ok()? };
            (1 <= shard.index && shard.index <= shard.count).then_some(shard)
        };
        parse().ok_or_else(|| {
            Error::usage(format!("shard {text:?}: allowed is I/N with 1 <= I <= N, as in 3/8"))
        })
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

string_serde!(Shard);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_count_from_one() {
        assert_eq!("3/8".parse::<Shard>().unwrap(), Shard { index: 3, count: 8 });
        for text in ["0/8", "9/8", "8", "a/b", "1/0", ""] {
            assert!(text.parse::<Shard>().unwrap_err().message.contains("allowed"), "{text}");
        }
    }
}
