//! Paired differences between two conditions, with intervals and a verdict.

use super::bootstrap::bootstrap;
use super::{Average, GroupLosses};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

/// With fewer seeds there is no verdict: chance alone makes such differences.
pub const FEWEST_SEEDS: usize = 3;
const LENGTH_CLASSES: usize = 4;
/// With fewer groups a class says nothing.
const FEWEST_IN_CLASS: usize = 5;
/// The 97.5 % points of Student's t for 1 to 30 degrees of freedom; above that the normal distribution's is close.
const STUDENT: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];
const NORMAL: f64 = 1.960;

/// How the losses of one condition differ from those of another, in nats: below zero the first is better.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    pub average: Average,
    /// Mean over the seeds of the paired differences
    pub difference: f64,
    /// 95 % interval of a bootstrap over groups and seeds
    pub low: f64,
    pub high: f64,
    /// Half the 95 % interval of Student's t over the seeds; absent with one seed
    pub half_width: Option<f64>,
    /// Seeds under which the first is better
    pub better: usize,
    pub seeds: usize,
    pub verdict: Verdict,
}

/// How two conditions differ on held-out groups of about one length, by the mean over these groups.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LengthClass {
    /// Mean tokens of a record, of the group of the shortest
    pub shortest: u32,
    /// And of that of the longest
    pub longest: u32,
    pub groups: u64,
    pub comparison: Comparison,
}

/// What may be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Both intervals lie below zero
    Better,
    /// Both intervals lie above zero
    Worse,
    NoDifferenceSeen,
    TooFewSeeds,
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Better => "better",
            Verdict::Worse => "worse",
            Verdict::NoDifferenceSeen => "no-difference-seen",
            Verdict::TooFewSeeds => "too-few-seeds",
        }
    }
}

/// Compares conditions that were trained under the same seeds, in their order, and measured on the same records.
pub fn compare(condition: &[&GroupLosses], control: &[&GroupLosses], average: Average) -> Result<Comparison> {
    let groups = condition.first().map_or(0, |losses| losses.groups());
    compare_on(&(0..groups).collect::<Vec<_>>(), condition, control, average)
}

/// The same by the mean over groups for each quarter of the groups by length, the shortest first; none where groups are few
/// or of one length.
pub fn compare_by_length(condition: &[&GroupLosses], control: &[&GroupLosses]) -> Result<Vec<LengthClass>> {
    let lengths = condition.first().map(|losses| losses.lengths()).unwrap_or_default();
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by(|&a, &b| lengths[a].total_cmp(&lengths[b]));
    let of_one_length = order.first().zip(order.last()).is_none_or(|(&a, &b)| lengths[a] == lengths[b]);
    if of_one_length || order.len() < LENGTH_CLASSES * FEWEST_IN_CLASS {
        return Ok(Vec::new());
    }
    let bound = |class: usize| class * order.len() / LENGTH_CLASSES;
    let class = |class: usize| {
        let groups = &order[bound(class)..bound(class + 1)];
        let length = |place: usize| lengths[groups[place]].round() as u32;
        let comparison = compare_on(groups, condition, control, Average::Group)?;
        let (shortest, longest) = (length(0), length(groups.len() - 1));
        Ok(LengthClass { shortest, longest, groups: groups.len() as u64, comparison })
    };
    (0..LENGTH_CLASSES).map(class).collect()
}

/// On the groups at these places.
fn compare_on(
    groups: &[usize],
    condition: &[&GroupLosses],
    control: &[&GroupLosses],
    average: Average,
) -> Result<Comparison> {
    let paired = condition.len() == control.len() && condition.iter().zip(control).all(|(a, b)| a.fits(b));
    if !paired || groups.is_empty() {
        return Err(Error::internal("losses that are compared are over different seeds or records"));
    }
    let seeds = condition.len();
    let loss = |losses: &GroupLosses| losses.weighted(average, groups.iter().copied());
    let differences: Vec<f64> = condition.iter().zip(control).map(|(a, b)| loss(a) - loss(b)).collect();
    let difference = mean(&differences);
    let half_width = half_width(&differences);

    let (low, high) = bootstrap(groups.len(), |chosen, random| {
        let of_seed = |seed: usize| {
            let loss =
                |losses: &GroupLosses| losses.weighted(average, chosen.iter().map(|&place| groups[place]));
            loss(condition[seed]) - loss(control[seed])
        };
        mean(&(0..seeds).map(|_| of_seed(random.below(seeds))).collect::<Vec<_>>())
    });

    let verdict = match half_width {
        Some(half) if seeds >= FEWEST_SEEDS => match () {
            () if high < 0.0 && difference + half < 0.0 => Verdict::Better,
            () if low > 0.0 && difference - half > 0.0 => Verdict::Worse,
            () => Verdict::NoDifferenceSeen,
        },
        _ => Verdict::TooFewSeeds,
    };
    let better = differences.iter().filter(|difference| **difference < 0.0).count();
    Ok(Comparison { average, difference, low, high, half_width, better, seeds, verdict })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn half_width(values: &[f64]) -> Option<f64> {
    let freedom = values.len().checked_sub(1).filter(|freedom| *freedom > 0)?;
    let mean = mean(values);
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / freedom as f64;
    let quantile = STUDENT.get(freedom - 1).copied().unwrap_or(NORMAL);
    Some(quantile * (variance / values.len() as f64).sqrt())
}

impl fmt::Display for Comparison {
    /// For example `better by 0.0036 nats (95 % interval 0.0025 to 0.0047; under 5 of 5 seeds)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Comparison { difference, low, high, better, seeds, .. } = self;
        match self.verdict {
            Verdict::Better => {
                write!(f, "better by {:.4} nats (95 % interval {:.4} to {:.4}", -difference, -high, -low)?;
                write!(f, "; under {better} of {seeds} seeds)")
            }
            Verdict::Worse => {
                write!(f, "worse by {difference:.4} nats (95 % interval {low:.4} to {high:.4}")?;
                write!(f, "; better under {better} of {seeds} seeds)")
            }
            Verdict::NoDifferenceSeen => {
                write!(
                    f,
                    "no difference seen ({difference:+.4} nats, 95 % interval {low:+.4} to {high:+.4}"
                )?;
                write!(f, "; better under {better} of {seeds} seeds)")
            }
            Verdict::TooFewSeeds => {
                write!(f, "too few seeds to tell ({difference:+.4} nats, {seeds} of at least {FEWEST_SEEDS})")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SplitMix;
    use crate::train::RecordLoss;

    /// Losses of 40 groups of different sizes, each with noise of its own, shifted by `shift`.
    fn losses(seed: u64, shift: f64, noise: f64) -> GroupLosses {
        let mut random = SplitMix::new(seed);
        let mut unit = || random.draw() as f64 / u64::MAX as f64 - 0.5;
        let records: Vec<RecordLoss> = (0..40u32)
            .flat_map(|group| (0..=group % 5).map(move |_| group))
            .map(|group| {
                let mean = 1.3 + f64::from(group) / 100.0 + shift + noise * unit();
                RecordLoss { group, tokens: 20 + group as usize, loss: mean * 10.0, residues: 10 }
            })
            .collect();
        GroupLosses::of(&records)
    }

    fn verdict(seeds: u64, shift: f64, noise: f64) -> Comparison {
        let condition: Vec<_> = (0..seeds).map(|seed| losses(seed, shift, noise)).collect();
        let control: Vec<_> = (0..seeds).map(|seed| losses(100 + seed, 0.0, noise)).collect();
        let of = |losses: &'_ [GroupLosses]| -> Vec<GroupLosses> { losses.to_vec() };
        let (condition, control) = (of(&condition), of(&control));
        compare(&condition.iter().collect::<Vec<_>>(), &control.iter().collect::<Vec<_>>(), Average::Group)
            .unwrap()
    }

    #[test]
    fn a_true_difference_is_seen_in_either_direction_and_noise_is_not() {
        let better = verdict(5, -0.01, 0.01);
        assert_eq!((better.verdict, better.better, better.seeds), (Verdict::Better, 5, 5));
        assert!(
            (better.difference + 0.01).abs() < 0.002 && better.low < -0.01 && better.high > -0.01,
            "{better:?}"
        );
        assert_eq!(verdict(5, 0.01, 0.01).verdict, Verdict::Worse);
        assert_eq!(verdict(5, 0.0, 0.01).verdict, Verdict::NoDifferenceSeen);
        assert_eq!(verdict(2, -0.5, 0.01).verdict, Verdict::TooFewSeeds);
        assert!(better.to_string().starts_with("better by 0.0"), "{better}");
    }

    #[test]
    fn intervals_of_true_nothings_hold_zero_about_as_often_as_they_say() {
        let mut seen = 0;
        for trial in 0..60 {
            let of = |from: u64| {
                (0..5).map(|seed| losses(trial * 1000 + from + seed, 0.0, 0.02)).collect::<Vec<_>>()
            };
            let (condition, control) = (of(0), of(500));
            let comparison = compare(
                &condition.iter().collect::<Vec<_>>(),
                &control.iter().collect::<Vec<_>>(),
                Average::Record,
            );
            seen += usize::from(comparison.unwrap().verdict != Verdict::NoDifferenceSeen);
        }
        assert!(seen <= 6, "{seen} of 60");
    }

    /// A condition that is better on the shorter half alone, and worse on the other.
    #[test]
    fn a_difference_that_hangs_on_the_length_is_seen_in_the_quarters() {
        let of = |seed: u64, slope: f64| {
            let record = |group: u32| RecordLoss {
                group,
                tokens: 1000 - 10 * group as usize,
                loss: 13.0 + slope * (f64::from(group) - 19.5) + 0.001 * (seed as f64),
                residues: 10,
            };
            GroupLosses::of(&(0..40).map(record).collect::<Vec<_>>())
        };
        let (condition, control): (Vec<_>, Vec<_>) =
            (0..3).map(|seed| (of(seed * seed, -0.1), of(seed, 0.0))).unzip();
        let [condition, control] = [&condition, &control].map(|losses| losses.iter().collect::<Vec<_>>());
        let classes = compare_by_length(&condition, &control).unwrap();
        let bounds: Vec<_> =
            classes.iter().map(|class| (class.shortest, class.longest, class.groups)).collect();
        assert_eq!(bounds, [(610, 700, 10), (710, 800, 10), (810, 900, 10), (910, 1000, 10)]);
        let verdicts: Vec<_> = classes.iter().map(|class| class.comparison.verdict).collect();
        assert_eq!(verdicts, [Verdict::Better, Verdict::Better, Verdict::Worse, Verdict::Worse]);
        let all = compare(&condition, &control, Average::Group).unwrap();
        let mean = classes.iter().map(|class| class.comparison.difference).sum::<f64>() / 4.0;
        assert!((mean - all.difference).abs() < 1e-12);
    }

    #[test]
    fn few_groups_and_groups_of_one_length_have_no_quarters() {
        let of = |groups: u32, length: fn(u32) -> usize| {
            let record = |group| RecordLoss { group, tokens: length(group), loss: 1.0, residues: 1 };
            GroupLosses::of(&(0..groups).map(record).collect::<Vec<_>>())
        };
        let classes = |losses: GroupLosses| compare_by_length(&[&losses], &[&losses]).unwrap().len();
        assert_eq!(classes(of(20, |group| group as usize + 5)), 4);
        assert_eq!(classes(of(19, |group| group as usize + 5)), 0);
        assert_eq!(classes(of(40, |_| 5)), 0);
        assert!(compare_by_length(&[], &[]).unwrap().is_empty());
    }

    #[test]
    fn a_half_width_is_students() {
        let half = half_width(&[1.0, 2.0, 3.0]).unwrap();
        assert!((half - 4.303 / 3f64.sqrt()).abs() < 1e-9);
        assert_eq!(half_width(&[1.0]), None);
        assert!(half_width(&vec![1.0; 100]).unwrap() == 0.0);
    }

    #[test]
    fn what_does_not_pair_is_refused() {
        let (a, b) = (losses(1, 0.0, 0.1), GroupLosses::default());
        assert!(compare(&[&a], &[&b], Average::Group).is_err());
        assert!(compare(&[&a, &a], &[&a], Average::Group).is_err());
        assert!(compare(&[&b], &[&b], Average::Group).is_err());
    }
}
