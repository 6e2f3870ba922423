//! Held-out losses of one training, summed up by group.

use crate::train::{HeldOutLoss, RecordLoss};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Losses in nats by group, in the order of the groups' numbers. Records without a definite residue are left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupLosses(Vec<GroupLoss>);

/// The held-out records of one group.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct GroupLoss {
    group: u32,
    records: u32,
    /// Of all its records
    tokens: u64,
    /// Masked residues of all its records
    residues: u64,
    /// Sum over its records of each one's mean loss
    record_means: f64,
    /// Sum over all its masked residues
    loss: f64,
}

/// What weighs the same in a mean loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Average {
    /// Each group: a family of three counts as much as one of three thousand
    Group,
    /// Each record
    Record,
    /// Each masked residue
    Residue,
}

impl Average {
    pub const ALL: [Average; 3] = [Average::Group, Average::Record, Average::Residue];

    pub fn name(self) -> &'static str {
        match self {
            Average::Group => "group",
            Average::Record => "record",
            Average::Residue => "residue",
        }
    }
}

impl GroupLosses {
    pub fn of(records: &[RecordLoss]) -> Self {
        let mut groups: BTreeMap<u32, GroupLoss> = BTreeMap::new();
        for record in records.iter().filter(|record| record.residues > 0) {
            let (group, tokens) = (record.group, 0);
            let empty = GroupLoss { group, records: 0, tokens, residues: 0, record_means: 0.0, loss: 0.0 };
            let group = groups.entry(record.group).or_insert(empty);
            group.records += 1;
            group.tokens += record.tokens as u64;
            group.residues += record.residues as u64;
            group.record_means += record.loss / record.residues as f64;
            group.loss += record.loss;
        }
        GroupLosses(groups.into_values().collect())
    }

    /// Number of groups.
    pub fn groups(&self) -> usize {
        self.0.len()
    }

    /// Whether both are over the same groups, with as many records and residues in each.
    pub fn fits(&self, other: &GroupLosses) -> bool {
        let size = |group: &GroupLoss| (group.group, group.records, group.tokens, group.residues);
        self.0.iter().map(size).eq(other.0.iter().map(size))
    }

    /// The mean over all groups; NaN without any.
    pub fn mean(&self, average: Average) -> f64 {
        self.weighted(average, 0..self.0.len())
    }

    /// All three means; none without a group.
    pub fn means(&self) -> Option<HeldOutLoss> {
        (!self.0.is_empty()).then(|| HeldOutLoss {
            by_residue: self.mean(Average::Residue),
            by_record: self.mean(Average::Record),
            by_group: self.mean(Average::Group),
        })
    }

    /// Mean tokens of each group's records.
    pub(super) fn lengths(&self) -> Vec<f64> {
        self.0.iter().map(|group| group.tokens as f64 / f64::from(group.records)).collect()
    }

    /// The mean over chosen groups, by their places in the list; one chosen twice counts twice.
    pub(super) fn weighted(&self, average: Average, groups: impl Iterator<Item = usize>) -> f64 {
        let (sum, weight) = groups.fold((0.0, 0.0), |(sum, weight), group| {
            let (loss, of) = self.0[group].share(average);
            (sum + loss, weight + of)
        });
        sum / weight
    }
}

impl GroupLoss {
    /// What the group adds to the sum of a mean, and to its weight.
    fn share(&self, average: Average) -> (f64, f64) {
        let records = f64::from(self.records);
        match average {
            Average::Group => (self.record_means / records, 1.0),
            Average::Record => (self.record_means, records),
            Average::Residue => (self.loss, self.residues as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_means_weigh_groups_records_and_residues() {
        let of = |(group, loss, residues)| RecordLoss { group, tokens: 7, loss, residues };
        let records: Vec<RecordLoss> =
            [(0, 6.0, 3), (0, 4.0, 1), (1, 0.0, 0), (2, 1.0, 1)].into_iter().map(of).collect();
        let losses = GroupLosses::of(&records);
        assert_eq!(losses.groups(), 2);
        assert_eq!(losses.mean(Average::Group), (3.0 + 1.0) / 2.0);
        assert_eq!(losses.mean(Average::Record), (2.0 + 4.0 + 1.0) / 3.0);
        assert_eq!(losses.mean(Average::Residue), 11.0 / 5.0);
        assert!(losses.fits(&losses.clone()) && !losses.fits(&GroupLosses::of(&records[1..])));
    }
}
