//! What a probe said of test records, counted group by group; what that measures, and how far it may be off.

use crate::evaluation::bootstrap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// With fewer test groups there is no finding: an interval over so few says little.
const FEWEST_GROUPS: usize = 10;

/// How good predictions are; more is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Share of the examples that are right
    Accuracy,
    /// Mean over the classes of the test examples of each one's F1
    MacroF1,
    /// F1 of pairs: 2 × right / (made + true)
    F1,
}

impl Metric {
    pub fn name(self) -> &'static str {
        match self {
            Metric::Accuracy => "accuracy",
            Metric::MacroF1 => "macro F1",
            Metric::F1 => "F1",
        }
    }
}

/// Numbers of (true class, predicted class) by group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcomes {
    groups: BTreeMap<u32, BTreeMap<(u32, u32), u64>>,
}

/// A class of the test examples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PerClass {
    pub precision: f64,
    pub recall: f64,
    pub f1: f64,
}

/// A value with its 95 % interval: a bootstrap over groups.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

/// What may be said of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// The interval lies above zero
    Better,
    /// The interval lies below zero
    Worse,
    NoDifferenceSeen,
    TooFewGroups,
}

impl Finding {
    pub fn name(self) -> &'static str {
        match self {
            Finding::Better => "better",
            Finding::Worse => "worse",
            Finding::NoDifferenceSeen => "no-difference-seen",
            Finding::TooFewGroups => "too-few-groups",
        }
    }
}

/// How much better one probe is than another on the same test records.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    pub metric: Metric,
    #[serde(flatten)]
    pub interval: Interval,
    pub finding: Finding,
}

impl Outcomes {
    /// So many examples of a group, with what they are and what was said of them.
    pub fn add(&mut self, group: u32, truth: u32, predicted: u32, examples: u64) {
        *self.groups.entry(group).or_default().entry((truth, predicted)).or_default() += examples;
    }

    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    pub fn measure(&self, metric: Metric) -> Interval {
        let groups: Vec<_> = self.groups.values().collect();
        let (low, high) =
            bootstrap(groups.len(), |chosen, _| value(metric, chosen.iter().map(|group| groups[*group])));
        Interval { value: value(metric, groups.iter().copied()), low, high }
    }

    /// Precision, recall and F1 of a class; none where no example is of it.
    pub fn class(&self, class: u32) -> Option<PerClass> {
        let sums = sums(self.groups.values());
        let counts = ClassCounts::of(&sums);
        let counts = counts.get(&class).filter(|counts| counts.truly > 0)?;
        Some(PerClass {
            precision: ratio(counts.right, counts.said),
            recall: ratio(counts.right, counts.truly),
            f1: counts.f1(),
        })
    }

    /// Test examples of a class.
    pub fn of_class(&self, class: u32) -> u64 {
        let counts = self.groups.values().flatten();
        counts.filter(|((truth, _), _)| *truth == class).map(|(_, examples)| examples).sum()
    }
}

/// How much better `probe` is than `control`, on draws of the same groups.
pub fn difference(probe: &Outcomes, control: &Outcomes, metric: Metric) -> Difference {
    let empty = BTreeMap::new();
    let paired: Vec<_> = probe
        .groups
        .iter()
        .map(|(group, counts)| (counts, control.groups.get(group).unwrap_or(&empty)))
        .collect();
    let of = |chosen: &[usize]| {
        let ours = value(metric, chosen.iter().map(|at| paired[*at].0));
        ours - value(metric, chosen.iter().map(|at| paired[*at].1))
    };
    let (low, high) = bootstrap(paired.len(), |chosen, _| of(chosen));
    let everything: Vec<usize> = (0..paired.len()).collect();
    let finding = match () {
        () if paired.len() < FEWEST_GROUPS => Finding::TooFewGroups,
        () if low > 0.0 => Finding::Better,
        () if high < 0.0 => Finding::Worse,
        () => Finding::NoDifferenceSeen,
    };
    Difference { metric, interval: Interval { value: of(&everything), low, high }, finding }
}

type Counts = BTreeMap<(u32, u32), u64>;

fn sums<'a>(groups: impl Iterator<Item = &'a Counts>) -> Counts {
    let mut sums = Counts::new();
    for (pair, examples) in groups.flatten() {
        *sums.entry(*pair).or_default() += examples;
    }
    sums
}

fn value<'a>(metric: Metric, groups: impl Iterator<Item = &'a Counts>) -> f64 {
    let sums = sums(groups);
    match metric {
        Metric::Accuracy => {
            let right = sums.iter().filter(|((truth, said), _)| truth == said).map(|(_, n)| n).sum();
            ratio(right, sums.values().sum())
        }
        Metric::MacroF1 => {
            let classes = ClassCounts::of(&sums);
            let f1s: Vec<f64> =
                classes.values().filter(|counts| counts.truly > 0).map(ClassCounts::f1).collect();
            f1s.iter().sum::<f64>() / f1s.len().max(1) as f64
        }
        Metric::F1 => ClassCounts::of(&sums).get(&1).map_or(0.0, ClassCounts::f1),
    }
}

#[derive(Default)]
struct ClassCounts {
    right: u64,
    said: u64,
    truly: u64,
}

impl ClassCounts {
    fn of(sums: &Counts) -> BTreeMap<u32, ClassCounts> {
        let mut classes: BTreeMap<u32, ClassCounts> = BTreeMap::new();
        for (&(truth, said), examples) in sums {
            classes.entry(truth).or_default().truly += examples;
            classes.entry(said).or_default().said += examples;
            if truth == said {
                classes.entry(truth).or_default().right += examples;
            }
        }
        classes
    }

    fn f1(&self) -> f64 {
        ratio(2 * self.right, self.said + self.truly)
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

impl fmt::Display for Difference {
    /// For example `better by 0.1234 accuracy (95 % interval 0.1000 to 0.1500)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (metric, Interval { value, low, high }) = (self.metric.name(), self.interval);
        match self.finding {
            Finding::Better => {
                write!(f, "better by {value:.4} {metric} (95 % interval {low:.4} to {high:.4})")
            }
            Finding::Worse => {
                write!(f, "worse by {:.4} {metric} (95 % interval {:.4} to {:.4})", -value, -high, -low)
            }
            Finding::NoDifferenceSeen => {
                write!(f, "no difference seen ({value:+.4} {metric}, 95 % interval {low:+.4} to {high:+.4})")
            }
            Finding::TooFewGroups => {
                write!(
                    f,
                    "too few groups to tell ({value:+.4} {metric}, allowed are {FEWEST_GROUPS} or more)"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each of so many groups has ten examples, of which `right` of each class are right.
    fn outcomes(groups: u32, right: u64) -> Outcomes {
        let mut outcomes = Outcomes::default();
        for group in 0..groups {
            for class in 0..2 {
                let varied = right - u64::from(group % 3 == 0);
                outcomes.add(group, class, class, varied);
                outcomes.add(group, class, 1 - class, 5 - varied);
            }
        }
        outcomes
    }

    #[test]
    fn metrics_are_those_of_the_textbook() {
        let mut outcomes = Outcomes::default();
        for (truth, said, examples) in [(0, 0, 6), (0, 1, 2), (1, 1, 1), (1, 0, 3), (7, 0, 1)] {
            outcomes.add(0, truth, said, examples);
        }
        let of = |metric| outcomes.measure(metric).value;
        assert_eq!(of(Metric::Accuracy), 7.0 / 13.0);
        let (first, second) = (12.0 / 18.0, 2.0 / 7.0);
        assert!((of(Metric::MacroF1) - (first + second) / 3.0).abs() < 1e-12);
        assert!((of(Metric::F1) - second).abs() < 1e-12);
        let class = outcomes.class(0).unwrap();
        assert_eq!((class.precision, class.recall, class.f1), (0.6, 0.75, first));
        assert_eq!((outcomes.of_class(7), outcomes.class(7).unwrap().f1), (1, 0.0));
        assert!(outcomes.class(3).is_none());
    }

    #[test]
    fn a_difference_is_told_and_its_absence_too() {
        let found = difference(&outcomes(40, 4), &outcomes(40, 2), Metric::Accuracy);
        assert_eq!(found.finding, Finding::Better);
        assert!((found.interval.value - 0.4).abs() < 1e-9, "{found}");
        assert_eq!(difference(&outcomes(40, 2), &outcomes(40, 4), Metric::MacroF1).finding, Finding::Worse);
        assert_eq!(
            difference(&outcomes(40, 3), &outcomes(40, 3), Metric::F1).finding,
            Finding::NoDifferenceSeen
        );
        assert_eq!(difference(&outcomes(9, 4), &outcomes(9, 2), Metric::F1).finding, Finding::TooFewGroups);
        assert!(found.to_string().starts_with("better by 0.4000 accuracy"), "{found}");
        let interval = outcomes(40, 4).measure(Metric::Accuracy);
        assert!(interval.low < interval.value && interval.value < interval.high && interval.high <= 0.8);
    }
}
