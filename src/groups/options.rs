//! What can be asked for: where groups come from.

use crate::error::{Error, Result};
use crate::string_serde;
use regex::bytes::Regex;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Where the groups of records come from.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct GroupOptions {
    /// Groups of records that are alike: a table (two tab-separated columns, id and group, as MMseqs2 and other
    /// clusterers write them in either order, or CD-HIT's .clstr; in any compression), `header:REGEX` (what the first
    /// capture of the expression finds in a record's header), `source` (the file that a record is in) or `near`
    /// (near-duplicates, by common k-mers of their sequences). Without it, what needs groups has those of `near`
    #[arg(long, env = "BIOPRUNE_GROUPS", value_name = "TABLE|header:REGEX|source|near")]
    #[schema(value_type = Option<String>, example = "s3://b/clusters.tsv")]
    pub groups: Option<GroupSource>,

    /// The table's columns of the id and of the group, by number from 1 or by their names in its first line: `2,1`,
    /// `id,family`. Without it the id is told by the pool's own ids
    #[arg(long, value_name = "ID,GROUP", requires = "groups")]
    #[schema(value_type = Option<String>, example = "id,family")]
    pub groups_columns: Option<Columns>,
}

impl GroupOptions {
    /// Where the table lies, if it is one.
    pub fn table_mut(&mut self) -> Option<&mut String> {
        match &mut self.groups {
            Some(GroupSource::Table(location)) => Some(location),
            _ => None,
        }
    }
}

/// Where groups come from.
#[derive(Clone, Debug)]
pub enum GroupSource {
    /// A table or a file of clusters, local or in object storage
    Table(String),
    /// The first capture in the header; a record in which it does not match is its own group
    Header(Regex),
    /// The file that a record is in
    Source,
    /// Near-duplicates, by common k-mers
    Near,
}

const HEADER: &str = "header:";
const SOURCE: &str = "source";
const NEAR: &str = "near";

impl FromStr for GroupSource {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == SOURCE {
            return Ok(GroupSource::Source);
        }
        if text == NEAR {
            return Ok(GroupSource::Near);
        }
        if text.is_empty() {
            return Err(Error::usage("groups \"\": allowed are a table, header:REGEX, source and near"));
        }
        let Some(pattern) = text.strip_prefix(HEADER) else {
            return Ok(GroupSource::Table(text.to_string()));
        };
        let regex = Regex::new(pattern)
            .map_err(|error| Error::usage(format!("groups {text:?}: not a regular expression: {error}")))?;
        if regex.captures_len() < 2 {
            return Err(Error::usage(format!(
                "groups {text:?}: allowed is an expression with a capture, as in header:^([^|]+)"
            )));
        }
        Ok(GroupSource::Header(regex))
    }
}

impl fmt::Display for GroupSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GroupSource::Table(location) => f.write_str(location),
            GroupSource::Header(regex) => write!(f, "{HEADER}{regex}"),
            GroupSource::Source => f.write_str(SOURCE),
            GroupSource::Near => f.write_str(NEAR),
        }
    }
}

impl PartialEq for GroupSource {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

/// The two columns of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    pub id: ColumnName,
    pub group: ColumnName,
}

/// A column by its place, from 0, or by its name in the first line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnName {
    Place(usize),
    Named(String),
}

impl Columns {
    /// The first column as the id, and the group's by its name.
    pub fn first_and(group: String) -> Columns {
        Columns { id: ColumnName::Place(0), group: ColumnName::Named(group) }
    }
}

impl FromStr for Columns {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let allowed = || {
            Error::usage(format!(
                "groups_columns {text:?}: allowed are two columns, by number from 1 or by name: 2,1 or id,family"
            ))
        };
        let (id, group) = text.split_once(',').ok_or_else(allowed)?;
        let column = |text: &str| match text.parse::<usize>() {
            Ok(0) => Err(allowed()),
            Ok(number) => Ok(ColumnName::Place(number - 1)),
            Err(_) if text.is_empty() || text.contains(',') => Err(allowed()),
            Err(_) => Ok(ColumnName::Named(text.to_string())),
        };
        Ok(Columns { id: column(id)?, group: column(group)? })
    }
}

impl fmt::Display for Columns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.id, self.group)
    }
}

impl fmt::Display for ColumnName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ColumnName::Place(place) => write!(f, "{}", place + 1),
            ColumnName::Named(name) => f.write_str(name),
        }
    }
}

string_serde!(GroupSource, Columns);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_and_columns_read_what_they_print() {
        for text in ["clusters.tsv", "s3://b/c.clstr.gz", "header:^([^|]+)", "source", "near", "./source"] {
            assert_eq!(text.parse::<GroupSource>().unwrap().to_string(), text);
        }
        assert!(matches!("./source".parse().unwrap(), GroupSource::Table(_)));
        for text in ["2,1", "id,family", "1,at30"] {
            assert_eq!(text.parse::<Columns>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn nonsense_is_refused_with_what_is_allowed() {
        for text in ["", "header:(", "header:^[^|]+"] {
            let message = text.parse::<GroupSource>().unwrap_err().message;
            assert!(message.contains("allowed") || message.contains("regular expression"), "{message}");
        }
        for text in ["", "id", "0,1", "a,b,c", ",b"] {
            assert!(text.parse::<Columns>().unwrap_err().message.contains("allowed"), "{text}");
        }
    }
}
