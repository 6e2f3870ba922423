//! What is trained on, and what is kept apart to measure: whole groups, and single records of the other groups.

use super::EncodedRecord;
use super::random::{draw_bytes, unit};
use crate::error::{Error, Result};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// How records are grouped, and which are held out.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
pub struct SplitOptions {
    /// A record's group (its family) is its header up to this character; without it each record is its own group
    #[arg(long, value_name = "CHAR")]
    pub group_separator: Option<char>,

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
    /// Splits records given as header, stable hash and tokens. Which part a record falls in depends on the seed, its
    /// group and its hash, and not on the other records.
    pub fn read<'r>(
        records: impl Iterator<Item = Result<(Vec<u8>, u64, Vec<u32>)>> + 'r,
        options: &SplitOptions,
        seed: u64,
    ) -> Result<Corpus> {
        let mut corpus = Corpus::default();
        let mut groups: HashMap<Vec<u8>, u32> = HashMap::new();
        for record in records {
            let (header, hash, tokens) = record?;
            let name = options.group_separator.map_or(&header[..], |separator| before(&header, separator));
            let next = u32::try_from(groups.len()).map_err(|_| {
                Error::bad_input("there are more than 2^32 groups: --group-separator joins records")
            })?;
            let group = *groups.entry(name.to_vec()).or_insert(next);
            let unit_of_holdout =
                options.group_tag.as_deref().and_then(|key| tag(&header, key)).unwrap_or(name);
            let record = EncodedRecord { hash, tokens, group };
            let part = if unit(draw_bytes(seed, unit_of_holdout)) < options.holdout {
                &mut corpus.new_groups
            } else if unit(draw_bytes(seed, &hash.to_le_bytes())) < options.holdout_records {
                &mut corpus.seen_groups
            } else {
                &mut corpus.training
            };
            part.push(record);
        }
        Ok(corpus)
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
        Corpus::read(headers, options, seed).unwrap()
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
    fn without_a_separator_each_record_is_its_own_group() {
        let options =
            SplitOptions { group_separator: None, group_tag: None, holdout: 0.0, holdout_records: 0.0 };
        let parts = corpus(&options, 1);
        assert_eq!(groups(&parts.training).len(), 3000);
    }
}
