//! What is trained on, and what is kept apart to measure: whole groups, and single records of the other groups.

use super::EncodedRecord;
use super::groups::Groups;
use super::random::{draw_bytes, unit};
use crate::error::{Error, Result};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// How records are grouped, and which are held out.
#[derive(Clone, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
pub struct SplitOptions {
    /// A record's group (its family) is its header up to this character; without it each record is its own group
    #[arg(long, value_name = "CHAR")]
    pub group_separator: Option<char>,

    /// Table that tells each record's group instead: tab-separated, the id first, in any compression
    #[arg(long, value_name = "FILE", conflicts_with = "group_separator")]
    pub groups: Option<String>,

    /// Column of --groups by the name in its first line; without it the second column is taken
    #[arg(long, value_name = "NAME", requires = "groups")]
    pub group_column: Option<String>,

    /// Groups whose headers name the same KEY=VALUE stay together when groups are held out (`-` is no value)
    #[arg(long, value_name = "KEY", requires = "group_separator")]
    pub group_tag: Option<String>,

    /// Share of the groups that is never trained on, only measured, in [0, 1)
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = parse_share)]
    pub holdout: f64,

    /// Share of the records of the other groups that is never trained on, only measured, in [0, 1)
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = parse_share)]
    pub holdout_records: f64,
}

fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("allowed is a share from 0 up to, and not including, 1".to_string()),
    }
}

/// Records by their part in the training, each part in input order.
#[derive(Debug, Default)]
pub struct Corpus {
    pub training: Vec<EncodedRecord>,
    /// All records of held-out groups
    pub new_groups: Vec<EncodedRecord>,
    /// Held-out records of groups that are trained on
    pub seen_groups: Vec<EncodedRecord>,
}

impl Corpus {
    /// Splits records given as header, stable hash and tokens. `table` is what `options.groups` names.
    pub fn read<'r>(
        records: impl Iterator<Item = Result<(Vec<u8>, u64, Vec<u32>)>> + 'r,
        table: Option<&Groups>,
        options: &SplitOptions,
        seed: u64,
    ) -> Result<Corpus> {
        let mut corpus = Corpus::default();
        let mut splitter = Splitter::new(table, options, seed);
        for record in records {
            let (header, hash, tokens) = record?;
            let (group, part) = splitter.assign(&header, hash)?;
            let part = match part {
                Part::Training => &mut corpus.training,
                Part::NewGroup => &mut corpus.new_groups,
                Part::SeenGroup => &mut corpus.seen_groups,
            };
            part.push(EncodedRecord { hash, tokens, group });
        }
        Ok(corpus)
    }
}

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Training,
    /// Held out with its whole group
    NewGroup,
    /// Held out alone: others of its group are trained on
    SeenGroup,
}

/// Numbers the groups, and deals the records. Which part a record falls in depends on the seed, its group and its hash,
/// and not on the other records.
pub struct Splitter<'a> {
    table: Option<&'a Groups>,
    options: &'a SplitOptions,
    seed: u64,
    numbers: HashMap<Vec<u8>, u32>,
}

impl<'a> Splitter<'a> {
    /// `table` is what `options.groups` names.
    pub fn new(table: Option<&'a Groups>, options: &'a SplitOptions, seed: u64) -> Self {
        Splitter { table, options, seed, numbers: HashMap::new() }
    }

    /// The number of the record's group, counted from 0, and the record's part.
    pub fn assign(&mut self, header: &[u8], hash: u64) -> Result<(u32, Part)> {
        let name = match (self.table, self.options.group_separator) {
            (Some(table), _) => table.of(header)?,
            (None, Some(separator)) => before(header, separator),
            (None, None) => header,
        };
        let next = u32::try_from(self.numbers.len()).map_err(|_| {
            Error::bad_input("there are more than 2^32 groups: --group-separator joins records")
        })?;
        let group = *self.numbers.entry(name.to_vec()).or_insert(next);
        let unit_of_holdout =
            self.options.group_tag.as_deref().and_then(|key| tag(header, key)).unwrap_or(name);
        let part = if unit(draw_bytes(self.seed, unit_of_holdout)) < self.options.holdout {
            Part::NewGroup
        } else if unit(draw_bytes(self.seed, &hash.to_le_bytes())) < self.options.holdout_records {
            Part::SeenGroup
        } else {
            Part::Training
        };
        Ok((group, part))
    }
}

fn before(header: &[u8], separator: char) -> &[u8] {
    let mut buffer = [0; 4];
    let separator = separator.encode_utf8(&mut buffer).as_bytes();
    let end = header.windows(separator.len()).position(|window| window == separator);
    &header[..end.unwrap_or(header.len())]
}

/// The value of `key=value` among the header's words.
fn tag<'h>(header: &'h [u8], key: &str) -> Option<&'h [u8]> {
    let mut words = header.split(|byte| byte.is_ascii_whitespace());
    let value = words.find_map(|word| word.strip_prefix(key.as_bytes())?.strip_prefix(b"="))?;
    (value != b"-").then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus(options: &SplitOptions, seed: u64) -> Corpus {
        let headers = (0..3000u64).map(|i| {
            let family = i % 300;
            // Families 0 and 150, 1 and 151 ... share a clan; those from 140 to 149 are in none.
            let clan = if family % 150 < 140 { (family % 150).to_string() } else { "-".to_string() };
            Ok((format!("F{family}|{i} name=x clan={clan}").into_bytes(), i * 77, vec![0, 4, 2]))
        });
        Corpus::read(headers, None, options, seed).unwrap()
    }

    fn groups(records: &[EncodedRecord]) -> std::collections::BTreeSet<u32> {
        records.iter().map(|record| record.group).collect()
    }

    #[test]
    fn groups_are_held_out_whole_and_with_their_tag_mates() {
        let options = SplitOptions {
            group_separator: Some('|'),
            group_tag: Some("clan".into()),
            holdout: 0.2,
            holdout_records: 0.1,
            ..SplitOptions::default()
        };
        let parts = corpus(&options, 1);
        let (training, new) = (groups(&parts.training), groups(&parts.new_groups));
        assert_eq!(training.len() + new.len(), 300);
        assert!(training.is_disjoint(&new) && (30..90).contains(&new.len()), "{}", new.len());
        assert!((0..140).all(|family| new.contains(&family) == new.contains(&(family + 150))));
        assert!(groups(&parts.seen_groups).is_subset(&training));
        assert!((150..400).contains(&parts.seen_groups.len()), "{}", parts.seen_groups.len());
        assert_ne!(groups(&corpus(&options, 2).new_groups), new);
    }

    #[test]
    fn a_table_tells_the_groups() {
        let lines =
            (0..3000).map(|i| Ok((format!("r{i}").into_bytes(), format!("group{}", i % 7).into_bytes())));
        let table = Groups::read("g.tsv", lines).unwrap();
        let records = || (0..3000u64).map(|i| Ok((format!("r{i} text").into_bytes(), i, vec![0, 2])));
        let options = SplitOptions { holdout: 0.5, ..SplitOptions::default() };
        let parts = Corpus::read(records(), Some(&table), &options, 1).unwrap();
        let (training, new) = (groups(&parts.training), groups(&parts.new_groups));
        assert!(training.is_disjoint(&new) && training.len() + new.len() == 7);
        let strangers = (0..1u64).map(|i| Ok((b"stranger".to_vec(), i, vec![0, 2])));
        assert!(Corpus::read(strangers, Some(&table), &options, 1).is_err());
    }

    #[test]
    fn without_a_separator_each_record_is_its_own_group() {
        let parts = corpus(&SplitOptions::default(), 1);
        assert_eq!(groups(&parts.training).len(), 3000);
    }
}
