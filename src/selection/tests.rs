//! Properties of selections: equal to the plain version, exact, nested, and blind to all but scores, hashes and order.

use super::allot::Allot;
use super::lengths::LENGTH_BINS;
use super::options::Cap;
use super::reference::plain;
use super::rule::{By, Rule, Stratify};
use super::search::Limits;
use super::selected::select_within;
use super::{Axis, Budget, Candidate, Candidates, LengthHistogram, Pick, Reason, Selection, Visitor, select};
use crate::error::{Code, Result};
use proptest::prelude::*;

/// A pool with groups, handed over in slices of a fixed length.
pub(super) struct Sliced(pub Vec<Candidate>, pub Vec<Option<u64>>, pub usize);

impl Candidates for Sliced {
    fn scan(&self, visit: &mut dyn FnMut(&[Candidate]) -> Result<()>) -> Result<()> {
        self.0.chunks(self.2).try_for_each(visit)
    }

    fn visitors(&self) -> usize {
        3
    }

    /// The last slice first, to the visitors in turn.
    fn scan_apart(&self, visitors: &mut [Visitor<'_>]) -> Result<()> {
        let slices: Vec<_> = (0..).step_by(self.2).zip(self.0.chunks(self.2)).collect();
        (0..).zip(slices.into_iter().rev()).try_for_each(|(i, (first, candidates)): (usize, _)| {
            visitors[i % visitors.len()](first, candidates)
        })
    }

    fn group(&self, ordinal: u64) -> Option<u64> {
        self.1.get(ordinal as usize).copied().flatten()
    }
}

fn picks(selection: &Selection, pool: &dyn Candidates) -> Vec<Pick> {
    let (mut found, mut seen) = (Vec::new(), 0);
    selection
        .stream(pool, &mut |_, pick| {
            seen += 1;
            found.extend(pick);
            Ok(())
        })
        .unwrap();
    assert_eq!(seen, selection.pool.records);
    assert_eq!(found.len() as u64, selection.kept.records);
    found
}

/// The kept records' positions; in the pools here these are their places in the input.
pub(super) fn positions(selection: &Selection, pool: &dyn Candidates) -> Vec<usize> {
    picks(selection, pool).iter().map(|pick| pick.position as usize).collect()
}

/// Pools with many ties of influence and hash, both zeros, negatives, extremes and very uneven lengths.
fn pools() -> impl Strategy<Value = Vec<Candidate>> {
    let influence = prop_oneof![
        4 => prop::sample::select(vec![-2.0, -1.0, -0.0, 0.0, 0.25, 0.5, 1.0, 7.5, 100.0]),
        2 => -1.0..1.0_f32,
        1 => any::<f32>().prop_filter("finite", |x| x.is_finite()),
    ];
    let hash = prop_oneof![2 => 0..4_u64, 3 => any::<u64>()];
    let residues = prop_oneof![8 => 1..60_u32, 1 => 1_000..1_000_000_u32, 1 => Just(0)];
    prop::collection::vec((influence, hash, residues), 1..120).prop_map(|records| {
        let candidate = |(i, (influence, record_hash, residues)): (usize, (f32, u64, u32))| Candidate {
            source: u32::from(i >= 50),
            position: i as u64,
            record_hash,
            residues,
            influence,
        };
        records.into_iter().enumerate().map(candidate).collect()
    })
}

/// Groups of up to 120 records: none, one, a few large ones, and many small ones.
fn groups() -> impl Strategy<Value = Vec<Option<u64>>> {
    let groups = |group| prop::collection::vec(group, 120);
    prop_oneof![
        Just(Vec::new()),
        groups(Just(Some(7)).boxed()),
        groups(prop::option::weighted(0.8, 1..4_u64).boxed()),
        groups(prop::option::weighted(0.8, 1..60_u64).boxed()),
    ]
}

/// Every combination of the small choices, whether a strategy of today uses it or not.
fn rules() -> impl Strategy<Value = Rule> {
    let stratify = prop_oneof![
        Just(Stratify::Nothing),
        (1..12_u32, any::<bool>())
            .prop_map(|(strata, equal_count)| Stratify::Influence { strata, equal_count }),
        Just(Stratify::Length),
        Just(Stratify::Group),
    ];
    let cap = prop::option::of(prop_oneof![(1..9_u32).prop_map(Cap), Just(Cap(500))]);
    let exclude = prop_oneof![Just(0.0), Just(0.1), 0.0..0.99_f64];
    let pick = prop::sample::select(vec![By::Influence, By::Draw]);
    (exclude, cap, stratify, pick).prop_flat_map(|(exclude, cap, stratify, pick)| {
        let strata = match stratify {
            Stratify::Nothing | Stratify::Group => 1,
            Stratify::Influence { strata, .. } => strata,
            Stratify::Length => LENGTH_BINS,
        };
        let allot = prop_oneof![
            Just(Allot::SmallestFirst),
            Just(Allot::Equal),
            Just(Allot::Proportional),
            prop::collection::vec(0..5_u64, strata as usize).prop_map(Allot::Like),
        ];
        allot.prop_map(move |allot| Rule { exclude, cap, stratify, allot, pick })
    })
}

fn budgets() -> impl Strategy<Value = Budget> {
    prop_oneof![
        (1..130_u64).prop_map(Budget::Records),
        (0.001..=1.0_f64).prop_map(Budget::Share),
        (1..4_000_u64).prop_map(Budget::Residues),
        (1..2_000_000_u64).prop_map(Budget::Residues),
    ]
}

/// From so little memory that every key is narrowed down bit by bit, to so much that all keys are collected at once.
fn limits() -> impl Strategy<Value = Limits> {
    prop::sample::select(vec![
        Limits { counters: 2, counters_each: 2, collected: 0 },
        Limits { counters: 64, counters_each: 4, collected: 5 },
        Limits { counters: 4096, counters_each: 32, collected: 40 },
        Limits::DEFAULT,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]

    #[test]
    fn streamed_selections_are_the_plain_ones(
        pool in pools(), groups in groups(), rule in rules(), budget in budgets(), seed in 0..3_u64, limits in limits(),
        slice in 1..50_usize,
    ) {
        let expected = plain(&pool, &groups, &rule, budget, seed);
        let pool = Sliced(pool, groups, slice);
        match (select_within(&pool, &rule, budget, seed, limits), expected) {
            (Ok(selection), Some(expected)) => {
                prop_assert_eq!(positions(&selection, &pool), expected);
            }
            (Err(error), None) => prop_assert_eq!(error.code, Code::BadInput),
            (found, expected) => prop_assert!(false, "{:?} for {:?}", found, expected),
        }
    }

    #[test]
    fn a_smaller_budget_selects_a_subset(
        pool in pools(), groups in groups(), rule in rules(), a in budgets(), b in budgets(), seed in 0..3_u64,
    ) {
        let pool = Sliced(pool, groups, 50);
        let (Ok(a), Ok(b)) = (select(&pool, &rule, a, seed), select(&pool, &rule, b, seed)) else { return Ok(()) };
        let (smaller, larger) = if a.kept.records <= b.kept.records { (a, b) } else { (b, a) };
        let larger = positions(&larger, &pool);
        prop_assert!(positions(&smaller, &pool).iter().all(|position| larger.contains(position)));
    }

    #[test]
    fn what_is_told_of_strata_is_so(
        pool in pools(), groups in groups(), rule in rules(), budget in budgets(),
    ) {
        let pool = Sliced(pool, groups, 50);
        let Ok(selection) = select(&pool, &rule, budget, 0) else { return Ok(()) };
        let picks = picks(&selection, &pool);
        prop_assert_eq!(picks.len() as u64, selection.kept.records);
        prop_assert_eq!(picks.iter().map(|p| u64::from(p.residues)).sum::<u64>(), selection.kept.residues);
        let refilled = picks.iter().filter(|pick| pick.reason == Reason::Refilled).count();
        prop_assert_eq!(refilled as u64, selection.refilled.records);
        let over_cap = picks.iter().filter(|pick| pick.reason == Reason::OverCap).count();
        prop_assert_eq!(over_cap as u64, selection.over_cap.records);
        if selection.axis == Axis::None {
            prop_assert!(selection.strata.is_empty() && picks.iter().all(|pick| pick.stratum.is_none()));
            return Ok(());
        }
        let in_strata: u64 = selection.strata.iter().map(|stratum| stratum.pool.records).sum();
        prop_assert_eq!(in_strata + selection.excluded.records, selection.pool.records);
        for (i, stratum) in (0..).zip(&selection.strata) {
            let kept: Vec<&Pick> = picks.iter().filter(|pick| pick.stratum == Some(i)).collect();
            prop_assert_eq!(kept.len() as u64, stratum.kept.records);
            // Beyond the cap a record may be beyond the ranges of influence as well: it counts to the nearest.
            for pick in kept.into_iter().filter(|pick| pick.reason != Reason::OverCap) {
                let place = match selection.axis {
                    Axis::Length => f64::from(pick.residues),
                    _ => f64::from(pick.influence),
                };
                let rounding = (stratum.to - stratum.from).abs() * 1e-9;
                prop_assert!(stratum.from - rounding <= place && place <= stratum.to + rounding, "{place} {stratum:?}");
            }
        }
    }
}

/// Records of one length whose influence and hash are made of their number.
pub(super) fn numbered(n: u64, influence: impl Fn(u64) -> f32) -> Vec<Candidate> {
    let candidate =
        |i| Candidate { source: 0, position: i, record_hash: i, residues: 10, influence: influence(i) };
    (0..n).map(candidate).collect()
}

pub(super) fn every_strategy() -> Vec<Rule> {
    let mut lengths = LengthHistogram::default();
    lengths.extend([10, 10, 400]);
    vec![
        Rule::top_k(),
        Rule::coverage(0.1, 50, false).unwrap(),
        Rule::coverage(0.1, 50, true).unwrap(),
        Rule::random(),
        Rule::random_matched(&lengths).unwrap(),
        Rule::balanced(),
    ]
}

#[test]
fn every_strategy_keeps_exactly_k_of_odd_pools() {
    let pools = [
        numbered(1, |_| -3.0),
        numbered(7, |i| i as f32),
        numbered(500, |_| 1.5),
        numbered(1000, |i| (i % 3) as f32 - 1.0),
    ];
    for pool in pools {
        let n = pool.len() as u64;
        for rule in every_strategy() {
            for k in [1, 2, n / 2, n - 1, n, n + 1, u64::MAX] {
                let k = k.max(1);
                let kept = positions(&select(&pool, &rule, Budget::Records(k), 0).unwrap(), &pool);
                assert_eq!(kept.len() as u64, k.min(n), "{k} of {n} by {rule:?}");
                assert!(kept.is_sorted_by(|a, b| a < b));
            }
        }
    }
}

#[test]
fn far_more_records_than_are_collected_are_selected_as_plainly() {
    // Heavy ties of influence, so that ranks are found among the ordinals too.
    let n = 60_000;
    let limits = Limits { counters: 1 << 12, counters_each: 32, collected: 1 << 8 };
    let mut pool = numbered(n, |i| (i % 3) as f32 + if i % 5 == 0 { i as f32 / n as f32 } else { 0.0 });
    pool.iter_mut().for_each(|c| c.residues = 20 + (c.position % 977) as u32);
    for rule in
        [Rule::top_k(), Rule::coverage(0.1, 50, false).unwrap(), Rule::coverage(0.1, 7, true).unwrap()]
    {
        for budget in [Budget::Share(0.01), Budget::Records(n - 9_000)] {
            let kept = positions(&select_within(&pool, &rule, budget, 0, limits).unwrap(), &pool);
            assert!(kept == plain(&pool, &[], &rule, budget, 0).unwrap(), "{budget} by {rule:?}");
        }
        // The plain version would try every number; so: it fits, and one record more does not.
        let residues = 2_500_000;
        let fits = select_within(&pool, &rule, Budget::Residues(residues), 0, limits).unwrap().kept;
        let next = select_within(&pool, &rule, Budget::Records(fits.records + 1), 0, limits).unwrap().kept;
        assert!(fits.residues <= residues && residues < next.residues, "{fits:?} {next:?} by {rule:?}");
    }
}

#[test]
fn an_empty_pool_is_bad_input() {
    for rule in every_strategy() {
        let error = select(&Vec::new(), &rule, Budget::Share(0.1), 0).unwrap_err();
        assert_eq!(error.code, Code::BadInput);
    }
}

#[test]
fn influence_that_is_not_finite_is_refused_by_record() {
    for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let pool = numbered(9, |i| if i == 6 { wrong } else { 1.0 });
        for rule in every_strategy() {
            let error = select(&pool, &rule, Budget::Records(2), 0).unwrap_err();
            assert_eq!(error.code, Code::BadInput);
            assert!(error.message.contains("position 6"), "{error}");
        }
    }
}

#[test]
fn coverage_leaves_out_the_highest_and_fills_up_from_them_at_last() {
    let pool = numbered(10, |i| i as f32);
    let rule = Rule::coverage(0.2, 4, false).unwrap();
    let eight = select(&pool, &rule, Budget::Records(8), 0).unwrap();
    assert_eq!(positions(&eight, &pool), [0, 1, 2, 3, 4, 5, 6, 7]);
    let nine = picks(&select(&pool, &rule, Budget::Records(9), 0).unwrap(), &pool);
    assert_eq!((nine[8].position, nine[8].reason, nine[8].stratum), (8, Reason::Refilled, None));
}

#[test]
fn where_a_file_lies_changes_nothing() {
    let pool = numbered(300, |i| (i * 7 % 11) as f32);
    let moved: Vec<Candidate> =
        pool.iter().map(|c| Candidate { source: c.source + 3, position: c.position + 1000, ..*c }).collect();
    for rule in every_strategy() {
        let selection = |pool| positions(&select(pool, &rule, Budget::Share(0.1), 5).unwrap(), pool);
        let shifted: Vec<usize> = selection(&pool).iter().map(|position| position + 1000).collect();
        assert_eq!(selection(&moved), shifted);
    }
}

#[test]
fn another_seed_draws_other_records() {
    let pool = numbered(1000, |i| i as f32);
    let selection =
        |seed| positions(&select(&pool, &Rule::random(), Budget::Records(100), seed).unwrap(), &pool);
    assert_eq!(selection(1), selection(1));
    let common = selection(1).iter().filter(|i| selection(2).contains(i)).count();
    assert!(common < 40, "{common} of 100 in common");
}

#[test]
fn a_matched_draw_has_the_lengths_of_the_other_selection() {
    let mut pool = numbered(3000, |_| 0.0);
    pool.iter_mut().for_each(|c| c.residues = 100 * (1 + (c.position % 3) as u32));
    let mut lengths = LengthHistogram::default();
    lengths.extend(std::iter::repeat_n(100, 60).chain(std::iter::repeat_n(300, 140)));
    let rule = Rule::random_matched(&lengths).unwrap();
    let kept = picks(&select(&pool, &rule, Budget::Records(200), 0).unwrap(), &pool);
    let of = |residues| kept.iter().filter(|pick| pick.residues == residues).count();
    assert_eq!((of(100), of(200), of(300)), (60, 0, 140));
}

#[test]
fn a_budget_in_residues_is_the_most_records_that_fit() {
    let pool = numbered(100, |i| i as f32);
    for rule in every_strategy() {
        let kept = |residues| select(&pool, &rule, Budget::Residues(residues), 0).map(|s| s.kept.records);
        assert_eq!(
            (kept(10).unwrap(), kept(259).unwrap(), kept(1000).unwrap(), kept(9999).unwrap()),
            (1, 25, 100, 100)
        );
        assert_eq!(kept(9).unwrap_err().code, Code::BadInput);
    }
}

#[test]
fn a_pool_that_changes_between_passes_is_noticed() {
    let pool = numbered(100, |i| i as f32);
    let selection = select(&pool, &Rule::top_k(), Budget::Records(10), 0).unwrap();
    let error = selection.stream(&pool[..95].to_vec(), &mut |_, _| Ok(())).unwrap_err();
    assert_eq!(error.code, Code::SourceChanged);
}
