//! The table of labels: ids, labels, and where they are given splits and masks.

use crate::error::{Error, Result};
use crate::sequence::{Dataset, InputFormat, InputOptions, Source};
use crate::storage::Storage;
use clap::Args;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use xxhash_rust::xxh3::xxh3_64;

/// The column that holds the split where none is named.
const SPLIT: &str = "split";

/// Where the labels are.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
#[command(next_help_heading = "Labels")]
pub struct LabelOptions {
    /// Table of labels: tab-separated columns with their names in the first line, in any compression, local or in object
    /// storage
    #[arg(long, value_name = "TABLE")]
    pub labels: String,

    /// Its column of record ids
    #[arg(long, value_name = "COLUMN", default_value = "id")]
    pub label_id: String,

    /// Its column of labels: a class, or a letter for each residue
    #[arg(long, value_name = "COLUMN", default_value = "label")]
    pub label: String,

    /// Its column that says train, valid or test; without this flag the column `split`, if there is one
    #[arg(long, value_name = "COLUMN")]
    pub split: Option<String>,

    /// Its column of masks, a letter for each residue: residues at 0 are left out
    #[arg(long, value_name = "COLUMN")]
    pub mask: Option<String>,
}

/// What a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// To fit on
    Train,
    /// To choose the regularization on
    Valid,
    /// To measure on
    Test,
}

impl Split {
    fn parse(text: &[u8]) -> Option<Split> {
        match &text.to_ascii_lowercase()[..] {
            b"train" | b"training" => Some(Split::Train),
            b"valid" | b"val" | b"validation" | b"dev" => Some(Split::Valid),
            b"test" => Some(Split::Test),
            _ => None,
        }
    }
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Counted from 1
    pub line: u64,
    pub id: Vec<u8>,
    pub text: Vec<u8>,
    pub mask: Option<Vec<u8>>,
    /// None where the table has no splits
    pub split: Option<Split>,
}

/// A whole table, in memory. Lines with an empty label are passed over.
#[derive(Debug)]
pub struct Labels {
    /// The file, in the version that was read
    pub source: Source,
    pub rows: Vec<Label>,
    places: HashMap<u64, u32>,
}

/// The places of the columns.
struct Heading {
    id: usize,
    label: usize,
    split: Option<usize>,
    mask: Option<usize>,
}

impl Labels {
    /// Reads a table.
    ///
    /// # Errors
    /// `BadInput` where a column is missing, an id repeats, or a split is none.
    pub fn read(storage: &Storage, options: &LabelOptions) -> Result<Labels> {
        let input = InputOptions { input_format: InputFormat::Text, ..InputOptions::default() };
        let dataset = Dataset::open(storage, std::slice::from_ref(&options.labels), &input)?;
        let [source] = dataset.sources() else {
            return Err(Error::bad_input(format!("labels {}: allowed is one file", options.labels)));
        };
        let mut heading = None;
        let (mut rows, mut places) = (Vec::<Label>::new(), HashMap::new());
        for record in dataset.records(None) {
            let record = record?;
            // the reader of text numbers its lines
            let line: u64 = String::from_utf8_lossy(record.header()).parse().unwrap_or_default();
            let at = |what: String| Error::bad_input(format!("{}, line {line}: {what}", source.uri));
            let cells: Vec<&[u8]> =
                record.sequence().split(|byte| *byte == b'\t').map(<[u8]>::trim_ascii).collect();
            let Some(heading) = &heading else {
                heading = Some(Heading::find(&cells, options).map_err(at)?);
                continue;
            };
            let Some(label) = heading.parse(&cells, line).map_err(at)? else { continue };
            match places.entry(xxh3_64(&label.id)) {
                Entry::Occupied(earlier) => {
                    let earlier: u32 = *earlier.get();
                    return Err(at(format!(
                        "the id {:?} repeats, it has a label in line {} already; allowed is one label for each id",
                        String::from_utf8_lossy(&label.id),
                        rows[earlier as usize].line
                    )));
                }
                Entry::Vacant(place) => place.insert(rows.len() as u32),
            };
            rows.push(label);
        }
        if rows.is_empty() {
            return Err(Error::bad_input(format!("labels: {} gives no record a label", source.uri)));
        }
        Ok(Labels { source: source.clone(), rows, places })
    }

    /// The place among the rows of an id's label.
    pub fn find(&self, id: &[u8]) -> Option<usize> {
        let place = *self.places.get(&xxh3_64(id))? as usize;
        (self.rows[place].id == id).then_some(place)
    }

    /// Whether the table says what each record is for.
    pub fn has_splits(&self) -> bool {
        self.rows.iter().any(|label| label.split.is_some())
    }

    /// Where a label stands, for messages.
    pub fn describe(&self, label: &Label) -> String {
        format!("{}, line {} ({})", self.source.uri, label.line, String::from_utf8_lossy(&label.id))
    }
}

impl Heading {
    fn find(cells: &[&[u8]], options: &LabelOptions) -> Result<Heading, String> {
        let place = |name: &str| cells.iter().position(|cell| *cell == name.as_bytes());
        let named = |name: &str| {
            place(name).ok_or_else(|| {
                let there: Vec<_> = cells.iter().map(|cell| String::from_utf8_lossy(cell)).collect();
                format!("no column {name:?}; there are {}", there.join(", "))
            })
        };
        Ok(Heading {
            id: named(&options.label_id)?,
            label: named(&options.label)?,
            split: options.split.as_deref().map(named).transpose()?.or_else(|| place(SPLIT)),
            mask: options.mask.as_deref().map(named).transpose()?,
        })
    }

    /// None where the label is empty.
    fn parse(&self, cells: &[&[u8]], line: u64) -> Result<Option<Label>, String> {
        let cell = |place: usize| {
            // empty cells at the end of a line go with its white space
            let missing = || {
                let needed = [Some(self.id), self.split, self.mask].into_iter().flatten().max().unwrap_or(0);
                format!("it has {} columns; allowed are {} or more", cells.len(), needed + 1)
            };
            cells.get(place).copied().ok_or_else(missing)
        };
        let text = cells.get(self.label).copied().unwrap_or_default();
        if text.is_empty() {
            return Ok(None);
        }
        let split = |place: usize| {
            let text = cell(place)?;
            Split::parse(text).ok_or_else(|| {
                format!("the split is {:?}; allowed are train, valid and test", String::from_utf8_lossy(text))
            })
        };
        let id = cell(self.id)?;
        if id.is_empty() {
            return Err("the id is empty".to_string());
        }
        Ok(Some(Label {
            line,
            id: id.to_vec(),
            text: text.to_vec(),
            mask: self.mask.map(cell).transpose()?.map(<[u8]>::to_vec),
            split: self.split.map(split).transpose()?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, change: impl FnOnce(&mut LabelOptions)) -> Result<Labels> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.tsv");
        std::fs::write(&path, text).unwrap();
        let mut options = LabelOptions {
            labels: path.to_str().unwrap().to_string(),
            label_id: "id".to_string(),
            label: "label".to_string(),
            split: None,
            mask: None,
        };
        change(&mut options);
        Labels::read(&Storage::from_env().unwrap(), &options)
    }

    #[test]
    fn columns_are_found_by_name_and_empty_labels_are_passed_over() {
        let text =
            "set\tid\tss\tlabel\tseen\r\ntrain\ta\tHH\tx\t11\r\n\r\ntest\tb\tHC\t\t01\r\nval\tc\tC\ty\t1\r\n";
        let labels = read(text, |options| {
            options.split = Some("set".to_string());
            options.mask = Some("seen".to_string());
        })
        .unwrap();
        assert_eq!(labels.rows.len(), 2);
        let label = &labels.rows[labels.find(b"c").unwrap()];
        assert_eq!((label.line, &label.text[..], label.split), (5, &b"y"[..], Some(Split::Valid)));
        assert_eq!(label.mask.as_deref(), Some(&b"1"[..]));
        assert!(labels.find(b"b").is_none() && labels.has_splits());
        let plain = read("id\tlabel\na\tx\n", |_| ()).unwrap();
        assert!(!plain.has_splits() && plain.rows[0].mask.is_none());
        assert_eq!(read("split\tid\tlabel\ntest\ta\tx\n", |_| ()).unwrap().rows[0].split, Some(Split::Test));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, expected) in [
            ("id\tfamily\na\tx\n", "line 1: no column \"label\"; there are id, family"),
            ("id\tlabel\na\tx\nb\ty\na\tx\n", "line 4: the id \"a\" repeats, it has a label in line 2"),
            ("id\tlabel\tsplit\na\tx\tlater\n", "line 2: the split is \"later\"; allowed are train"),
            ("label\tid\nx\n", "line 2: it has 1 columns; allowed are 2"),
            ("id\tlabel\n", "gives no record a label"),
        ] {
            let message = read(text, |_| ()).unwrap_err().message;
            assert!(message.contains(expected) && message.contains("labels.tsv"), "{message}");
        }
    }
}
