//! How inputs are read, and which part of them.

use crate::error::{Error, Result};
use crate::string_serde;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
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

/// Most shards that a message names.
const SHOWN: usize = 10;

impl Shard {
    /// Which of the shards that are counted by the first one are not there, in words; none where all are.
    pub fn missing(present: &[Shard]) -> Option<String> {
        let count = present.first()?.count;
        let present: HashSet<u32> = present.iter().map(|shard| shard.index).collect();
        // a file may say any count: what is missing is neither counted out nor kept
        let missing = u64::from(count).saturating_sub(present.len() as u64);
        let shown = (1..=count).filter(|index| !present.contains(index)).take(SHOWN);
        let shown: Vec<_> = shown.map(|index| format!("{index}/{count}")).collect();
        match missing.saturating_sub(shown.len() as u64) {
            _ if shown.is_empty() => None,
            0 => Some(shown.join(", ")),
            more => Some(format!("{} and {more} more", shown.join(", "))),
        }
    }
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
    fn what_is_missing_of_many_shards_is_told_by_a_few() {
        let missing = |present: &[&str]| {
            let present: Vec<Shard> = present.iter().map(|shard| shard.parse().unwrap()).collect();
            Shard::missing(&present).unwrap_or_default()
        };
        assert_eq!(missing(&["1/2", "2/2"]), "");
        assert_eq!(missing(&["3/4", "1/4"]), "2/4, 4/4");
        let told = missing(&["2/4294967295"]);
        assert!(
            told.starts_with("1/4294967295, 3/4294967295") && told.ends_with(" and 4294967284 more"),
            "{told}"
        );
    }

    #[test]
    fn shards_count_from_one() {
        assert_eq!("3/8".parse::<Shard>().unwrap(), Shard { index: 3, count: 8 });
        for text in ["0/8", "9/8", "8", "a/b", "1/0", ""] {
            assert!(text.parse::<Shard>().unwrap_err().message.contains("allowed"), "{text}");
        }
    }
}
