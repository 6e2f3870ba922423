//! Caps, and groups as strata: what they promise, on pools that one group fills by half.

use super::options::Cap;
use super::tests::{Sliced, every_strategy, numbered, positions};
use super::{Budget, Candidate, Rule, Selection, Shares, Stratify, select};
use std::collections::BTreeMap;

/// The groups of a selection's records, each with how many it has.
fn kept_of_groups(selection: &Selection, pool: &Sliced) -> BTreeMap<u64, usize> {
    let mut kept = BTreeMap::new();
    for position in positions(selection, pool) {
        *kept.entry(pool.1[position].unwrap()).or_default() += 1;
    }
    kept
}

/// 1000 records, half of them of group 1, the rest in groups of 10; higher groups have more influence.
fn one_large_group() -> Sliced {
    let pool = numbered(1000, |i| i as f32);
    let groups = (0..1000).map(|i| Some(if i < 500 { 1 } else { i / 10 })).collect();
    Sliced(pool, groups, 100)
}

#[test]
fn no_more_of_a_group_is_taken_while_others_are_within_the_cap() {
    let pool = one_large_group();
    for rule in every_strategy() {
        let rule = rule.capped(Cap(3));
        // 51 groups leave 153 records within the cap.
        let kept = kept_of_groups(&select(&pool, &rule, Budget::Records(100), 0).unwrap(), &pool);
        assert!(kept.values().all(|records| *records <= 3), "{kept:?} by {rule:?}");
        let more = select(&pool, &rule, Budget::Records(160), 0).unwrap();
        assert_eq!((more.kept.records, more.cap), (160, Some(3)));
        if more.excluded.records == 0 {
            assert_eq!((more.beyond_cap.records, more.over_cap.records), (1000 - 153, 7), "{rule:?}");
        }
    }
}

#[test]
fn groups_take_turns_under_balanced_whatever_the_budget() {
    let pool = one_large_group();
    for (budget, of_each) in [(51, 1..=1), (102, 2..=2), (130, 2..=3), (255, 5..=5), (700, 10..=200)] {
        let selection = select(&pool, &Rule::balanced(), Budget::Records(budget), 0).unwrap();
        let kept = kept_of_groups(&selection, &pool);
        assert!(
            kept.len() == 51 && kept.values().all(|records| of_each.contains(records)),
            "{budget}: {kept:?}"
        );
    }
}

#[test]
fn groups_as_strata_have_equal_or_proportional_budgets() {
    let pool = one_large_group();
    let by_group = |shares| Rule::top_k().stratified(Stratify::Group).unwrap().shared(shares);
    let kept = |shares, records| {
        kept_of_groups(&select(&pool, &by_group(shares), Budget::Records(records), 0).unwrap(), &pool)
    };
    for shares in [Shares::Equal, Shares::SmallestFirst] {
        assert!(kept(shares, 102).values().all(|records| *records == 2));
        // All small groups are used up: 50 of 10, and the rest of the large one.
        assert_eq!(kept(shares, 700)[&1], 200);
    }
    let proportional = kept(Shares::Proportional, 200);
    assert!((95..=105).contains(&proportional[&1]), "{proportional:?}");
    assert!(proportional.values().skip(1).all(|records| (1..=3).contains(records)), "{proportional:?}");
}

#[test]
fn the_order_of_the_records_changes_no_capped_selection() {
    // Without ties of influence or hash, on which the order decides.
    let Sliced(records, groups, _) = one_large_group();
    let turned: Vec<Candidate> = records.iter().rev().copied().collect();
    let turned = Sliced(turned, groups.iter().rev().copied().collect(), 64);
    let straight = Sliced(records, groups, 100);
    for rule in every_strategy() {
        for rule in [rule.clone().capped(Cap(4)), rule.stratified(Stratify::Group).unwrap()] {
            for shares in [Shares::SmallestFirst, Shares::Equal, Shares::Proportional] {
                let rule = rule.clone().shared(shares);
                let kept = |pool: &Sliced| {
                    let mut kept = positions(&select(pool, &rule, Budget::Records(170), 3).unwrap(), pool);
                    kept.sort();
                    kept
                };
                assert_eq!(kept(&straight), kept(&turned), "{rule:?}");
            }
        }
    }
}
