//! Labels and records brought together: which are trained on, which are measured on, and that neither leaks into the other.

use super::request::{OnLeak, ProbeRequest};
use crate::error::{Error, Result};
use crate::groups::{GroupOptions, GroupSource, Grouper};
use crate::pipeline::Context;
use crate::probe::{Labels, Split, Targets};
use crate::sequence::{Dataset, Record};
use crate::tokenizer::Alphabet;
use std::collections::{BTreeMap, HashMap};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// A record that has a label.
#[derive(Clone, Debug)]
pub(super) struct Dealt {
    /// Its label's place in the table
    pub label: usize,
    place: (u32, u64),
    pub hash: u64,
    /// Of the sequence, whatever its case and spelling
    sequence: u64,
    /// What the group is called, as a number; of a record without one that of itself
    key: u64,
    /// Number of the group, counted from 0
    pub group: u32,
    pub split: Split,
}

/// All labelled records, by the places of their labels.
pub(super) struct Deal {
    records: Vec<Option<Dealt>>,
    /// Whether the table had no splits
    pub made: bool,
    /// How groups were told
    pub groups: Option<GroupSource>,
    /// Labels of ids that no record has
    pub unknown: u64,
    /// Records without a label
    pub unlabelled: u64,
    /// Records that were dropped, because a later split shares their sequence or their group
    pub leaks: u64,
}

impl Deal {
    /// Reads the inputs through once.
    pub fn new(
        request: &ProbeRequest,
        labels: &Labels,
        (dataset, alphabet): (&Dataset, Alphabet),
        context: &Context,
    ) -> Result<Deal> {
        let made = !labels.has_splits();
        let mut options = request.groups.clone();
        if made && options.groups.is_none() {
            log::info!("the table has no splits: near-duplicates stay together (--groups near)");
            options = GroupOptions { groups: Some(GroupSource::Near), groups_columns: None };
        }
        let mut grouper = Grouper::open(&options, &context.storage, dataset.sources())?;
        let mut records: Vec<Option<Dealt>> = vec![None; labels.rows.len()];
        let (mut order, mut unlabelled) = (Vec::new(), 0);
        for record in dataset.records(None) {
            let record = record?;
            context.cancel.check()?;
            let Some(label) = labels.find(record.id()) else {
                unlabelled += 1;
                continue;
            };
            if records[label].is_some() {
                return Err(Error::bad_input(format!(
                    "{}: its id repeats, and {} would label both; allowed are ids that differ",
                    record.describe(dataset),
                    labels.describe(&labels.rows[label])
                )));
            }
            let folded = folded(&record, alphabet);
            Targets::read(request.task, labels, &labels.rows[label], folded.len())?;
            if let Some(grouper) = &mut grouper {
                grouper.add(record.source, record.header(), record.sequence())?;
            }
            records[label] = Some(Dealt {
                label,
                place: (record.source, record.position),
                hash: record.hash(),
                sequence: xxh3_64(&folded),
                key: record.hash(),
                group: 0,
                split: labels.rows[label].split.unwrap_or(Split::Train),
            });
            order.push(label);
        }
        if order.is_empty() {
            return Err(Error::bad_input(format!(
                "labels: none of the ids in the {} lines of {} is that of one of the {unlabelled} records; an id is a header \
                 up to its first whitespace",
                labels.rows.len(),
                labels.source.uri
            )));
        }
        let groups = grouper.map(|grouper| grouper.finish(&context.cancel)).transpose()?;
        let mut numbers = HashMap::new();
        for (&label, ordinal) in order.iter().zip(0..) {
            let Some(record) = &mut records[label] else { continue };
            let of_table = groups.as_ref().and_then(|groups| groups.of(ordinal));
            record.key = of_table.unwrap_or(record.key);
            let next = numbers.len() as u32;
            record.group = *numbers.entry((of_table.is_some(), record.key)).or_insert(next);
        }
        let missing = labels.rows.iter().zip(&records).filter(|(_, record)| record.is_none());
        let unknown = missing.clone().count() as u64;
        if let Some((label, _)) = missing.clone().next() {
            log::warn!(
                "{unknown} labels are of ids that no record has, the first of them {}",
                labels.describe(label)
            );
        }
        let mut deal = Deal { records, made, groups: options.groups, unknown, unlabelled, leaks: 0 };
        if made {
            deal.hold_out(request.holdout, request.seed)?;
        }
        deal.part(labels, if made { OnLeak::Drop } else { request.on_leak })?;
        deal.check(labels)?;
        Ok(deal)
    }

    pub fn all(&self) -> impl Iterator<Item = &Dealt> {
        self.records.iter().flatten()
    }

    pub fn of(&self, split: Split) -> impl Iterator<Item = &Dealt> {
        self.all().filter(move |record| record.split == split)
    }

    /// What a record of the inputs was dealt, if it has a label.
    pub fn find(&self, labels: &Labels, id: &[u8], place: (u32, u64)) -> Option<&Dealt> {
        self.records[labels.find(id)?].as_ref().filter(|record| record.place == place)
    }

    /// Makes whole groups the test split, in a random order, while they fit into the share.
    fn hold_out(&mut self, share: f64, seed: u64) -> Result<()> {
        if share == 0.0 {
            return Err(Error::usage("--holdout 0: allowed is a share of the records above 0 and below 1"));
        }
        let mut sizes: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
        for record in self.all() {
            let order = xxh3_64_with_seed(&record.key.to_le_bytes(), seed);
            sizes.entry(record.group).or_insert((order, 0)).1 += 1;
        }
        if sizes.len() < 2 {
            return Err(Error::bad_input(
                "all labelled records are of one group; allowed are several, of which some are held out",
            ));
        }
        let most = ((self.all().count() as f64 * share).round() as u64).max(1);
        let mut order: Vec<(u64, u64, u32)> =
            sizes.into_iter().map(|(group, (order, size))| (order, size, group)).collect();
        order.sort_unstable();
        let mut held_out = 0;
        let mut test = std::collections::HashSet::new();
        for (_, size, group) in order {
            if held_out + size <= most {
                held_out += size;
                test.insert(group);
            }
        }
        for record in self.records.iter_mut().flatten().filter(|record| test.contains(&record.group)) {
            record.split = Split::Test;
        }
        Ok(())
    }

    /// Has no sequence and no group on two sides.
    fn part(&mut self, labels: &Labels, on_leak: OnLeak) -> Result<()> {
        // the last split of each sequence and of each group, and a record that is there
        let mut last: HashMap<(bool, u64), (Split, usize)> = HashMap::new();
        let keys = |record: &Dealt| [(false, record.sequence), (true, u64::from(record.group))];
        for record in self.all() {
            for key in keys(record) {
                let there = last.entry(key).or_insert((record.split, record.label));
                if record.split > there.0 {
                    *there = (record.split, record.label);
                }
            }
        }
        let leak = |record: &Dealt| {
            keys(record).into_iter().find_map(|key| {
                last.get(&key).filter(|(split, _)| *split > record.split).map(|(_, label)| (key.0, *label))
            })
        };
        let leaking: Vec<(usize, (bool, usize))> =
            self.all().filter_map(|record| Some((record.label, leak(record)?))).collect();
        self.leaks = leaking.len() as u64;
        if let (OnLeak::Refuse, Some((label, (by_group, other)))) = (on_leak, leaking.first()) {
            let [one, other] = [*label, *other].map(|label| labels.describe(&labels.rows[label]));
            return Err(Error::bad_input(format!(
                "labels: the splits leak, in {} records: {one} has the same {} as {other}, which is of a later split; \
                 --on-leak drop leaves such records out of what is trained on",
                leaking.len(),
                if *by_group { "group" } else { "sequence" }
            )));
        }
        for (label, _) in leaking {
            self.records[label] = None;
        }
        Ok(())
    }

    fn check(&self, labels: &Labels) -> Result<()> {
        let count = |split| self.of(split).count();
        let (train, valid, test) = (count(Split::Train), count(Split::Valid), count(Split::Test));
        if train == 0 || test == 0 {
            return Err(Error::bad_input(format!(
                "labels: {} leaves {train} records to train on and {test} to test on ({} were dropped as leaks); allowed \
                 are splits with records in both",
                labels.source.uri, self.leaks
            )));
        }
        let first = self.of(Split::Train).next().map(|record| record.group);
        if valid == 0 && self.of(Split::Train).all(|record| Some(record.group) == first) {
            return Err(Error::bad_input(
                "labels: all records to train on are of one group; allowed are several, on which the regularization is \
                 cross-validated, or a split valid",
            ));
        }
        Ok(())
    }
}

/// The residues in upper case, with U for T where they are nucleotides.
fn folded(record: &Record, alphabet: Alphabet) -> Vec<u8> {
    let letters = record.sequence().iter().filter(|byte| !byte.is_ascii_whitespace());
    letters
        .map(|byte| match byte.to_ascii_uppercase() {
            b'T' if alphabet == Alphabet::Nucleotides => b'U',
            letter => letter,
        })
        .collect()
}
