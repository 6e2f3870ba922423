//! What is trained on, and what is kept apart to measure: whole groups, and single records of the other groups.

use super::EncodedRecord;
use super::random::{draw_bytes, unit};
use crate::cancel::CancelToken;
use crate::error::{Error, Result};
use crate::groups::{GroupOptions, GroupSource, Grouper};
use crate::sequence::Source;
use crate::storage::Storage;
use clap::Args;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// How records are grouped.
#[derive(Clone, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
pub struct SplitOptions {
    #[command(flatten)]
    #[serde(flatten)]
    pub groups: GroupOptions,

    /// Larger groups, of which all stays together when groups are held out: as --groups, for example the clans of
    /// families. A record that is in none stays with its group alone
    #[arg(long, value_name = "TABLE|header:REGEX|source", requires = "groups")]
    pub holdout_groups: Option<GroupSource>,
}

/// What is never trained on, each in [0, 1).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shares {
    /// Of the groups, held out whole
    pub groups: f64,
    /// Of the records of the other groups
    pub records: f64,
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
    /// Deals records, whose groups are filled in, by what a splitter was told of them in the same order.
    pub fn split(records: Vec<EncodedRecord>, splitter: Splitter) -> Result<Corpus> {
        let mut corpus = Corpus::default();
        for (record, dealt) in records.into_iter().zip(splitter.finish()?) {
            let part = match dealt.part {
                Part::Training => &mut corpus.training,
                Part::NewGroup => &mut corpus.new_groups,
                Part::SeenGroup => &mut corpus.seen_groups,
            };
            part.push(EncodedRecord { group: dealt.group, ..record });
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

/// Where a record belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dealt {
    /// Number of its group, counted from 0 in input order
    pub group: u32,
    /// What the group is for a selection; none where the record is its own group
    pub key: Option<u64>,
    pub part: Part,
}

/// Is told of records in input order, and deals them. Which part a record falls in depends on the seed, its group and
/// its hash, and not on the other records.
pub struct Splitter {
    groups: Option<Grouper>,
    larger: Option<Grouper>,
    shares: Shares,
    seed: u64,
    hashes: Vec<u64>,
}

impl Splitter {
    /// Makes ready for the records of `sources`; reads the tables that the options name.
    pub fn open(
        options: &SplitOptions,
        shares: Shares,
        seed: u64,
        storage: &Storage,
        sources: &[Source],
    ) -> Result<Self> {
        let larger = GroupOptions { groups: options.holdout_groups.clone(), groups_columns: None };
        Ok(Splitter {
            groups: Grouper::open(&options.groups, storage, sources)?,
            larger: Grouper::open(&larger, storage, sources)?,
            shares,
            seed,
            hashes: Vec::new(),
        })
    }

    /// The next record: the index of its source, its header and its residues; and its stable hash.
    pub fn add(&mut self, (source, header, sequence): (u32, &[u8], &[u8]), hash: u64) -> Result<()> {
        for grouper in self.groups.iter_mut().chain(&mut self.larger) {
            grouper.add(source, header, sequence)?;
        }
        self.hashes.push(hash);
        Ok(())
    }

    /// Where the records belong, in their order.
    pub fn finish(self) -> Result<Vec<Dealt>> {
        let finish = |grouper: Grouper| grouper.finish(&CancelToken::default());
        let groups = self.groups.map(finish).transpose()?;
        let larger = self.larger.map(finish).transpose()?;
        let mut numbers: HashMap<(Option<u64>, u64), u32> = HashMap::new();
        let mut all = Vec::with_capacity(self.hashes.len());
        for (&hash, ordinal) in self.hashes.iter().zip(0..) {
            let key = groups.as_ref().and_then(|groups| groups.of(ordinal));
            let next = u32::try_from(numbers.len())
                .map_err(|_| Error::bad_input("there are more than 2^32 groups: --groups joins records"))?;
            let own = if key.is_none() { hash } else { 0 };
            let group = *numbers.entry((key, own)).or_insert(next);
            let name = |of: &Option<crate::groups::Groups>| {
                let groups = of.as_ref()?;
                Some(groups.name(groups.of(ordinal)?).into_bytes())
            };
            let unit_of_holdout =
                name(&larger).or_else(|| name(&groups)).unwrap_or_else(|| hash.to_le_bytes().to_vec());
            let part = if unit(draw_bytes(self.seed, &unit_of_holdout)) < self.shares.groups {
                Part::NewGroup
            } else if unit(draw_bytes(self.seed, &hash.to_le_bytes())) < self.shares.records {
                Part::SeenGroup
            } else {
                Part::Training
            };
            all.push(Dealt { group, key, part });
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus(options: &SplitOptions, shares: Shares, seed: u64) -> Corpus {
        let mut splitter = Splitter::open(options, shares, seed, &Storage::from_env().unwrap(), &[]).unwrap();
        let records = (0..3000u64).map(|i| {
            let family = i % 300;
            // Families 0 and 150, 1 and 151 ... share a clan; those from 140 to 149 are in none.
            let clan = if family % 150 < 140 { format!("CL{}", family % 150) } else { "-".to_string() };
            let header = format!("F{family}|{i} name=x clan={clan}");
            splitter.add((0, header.as_bytes(), b"ACGU"), i * 77).unwrap();
            EncodedRecord { hash: i * 77, tokens: vec![0, 4, 2], group: 0 }
        });
        let records = records.collect();
        Corpus::split(records, splitter).unwrap()
    }

    fn groups(records: &[EncodedRecord]) -> std::collections::BTreeSet<u32> {
        records.iter().map(|record| record.group).collect()
    }

    fn families() -> SplitOptions {
        let groups = GroupOptions { groups: Some(r"header:^([^|]+)".parse().unwrap()), groups_columns: None };
        SplitOptions { groups, holdout_groups: Some(r"header:clan=(CL\d+)".parse().unwrap()) }
    }

    #[test]
    fn groups_are_held_out_whole_and_with_their_clan() {
        let shares = Shares { groups: 0.2, records: 0.1 };
        let parts = corpus(&families(), shares, 1);
        let (training, new) = (groups(&parts.training), groups(&parts.new_groups));
        assert_eq!(training.len() + new.len(), 300);
        assert!(training.is_disjoint(&new) && (30..90).contains(&new.len()), "{}", new.len());
        assert!((0..140).all(|family| new.contains(&family) == new.contains(&(family + 150))));
        assert!(groups(&parts.seen_groups).is_subset(&training));
        assert!((150..400).contains(&parts.seen_groups.len()), "{}", parts.seen_groups.len());
        assert_ne!(groups(&corpus(&families(), shares, 2).new_groups), new);
    }

    #[test]
    fn without_groups_each_record_is_its_own() {
        let parts = corpus(&SplitOptions::default(), Shares::default(), 1);
        assert_eq!(groups(&parts.training).len(), 3000);
    }
}
