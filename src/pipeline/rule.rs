//! A strategy as it was asked for, made into the rule that selects.

use super::StrategyOptions;
use super::validate::InvalidField;
use crate::error::Result;
use crate::groups::{GroupOptions, GroupSource};
use crate::selection::{LengthHistogram, Rule, Strategy, Stratify, StratifyBy};

/// The share of the highest influence that `coverage` leaves out, as published.
const COVERAGE_EXCLUDES: f64 = 0.1;

impl StrategyOptions {
    /// The rule; `matched` holds the lengths of the selection that `random-matched` follows.
    pub(in crate::pipeline) fn rule(&self, matched: Option<&LengthHistogram>) -> Result<Rule> {
        let cap = self.cap_per_group;
        let mut rule = match self.strategy {
            Strategy::TopK => Rule::top_k(),
            Strategy::Random => Rule::random(),
            Strategy::RandomMatched => Rule::random_matched(matched.unwrap_or(&LengthHistogram::default()))?,
            Strategy::Coverage => Rule::coverage(COVERAGE_EXCLUDES, self.strata, self.equal_count)?,
            Strategy::Balanced => Rule::balanced(),
        };
        if let Some(share) = self.exclude_top {
            rule = rule.excluding(share)?;
        }
        if let Some(cap) = cap {
            rule = rule.capped(cap);
        }
        if let Some(by) = self.stratify {
            rule = rule.stratified(match by {
                StratifyBy::None => Stratify::Nothing,
                StratifyBy::Influence => {
                    Stratify::Influence { strata: self.strata, equal_count: self.equal_count }
                }
                StratifyBy::Length => Stratify::Length,
                StratifyBy::Group => Stratify::Group,
            })?;
        }
        if let Some(shares) = self.budget {
            rule = rule.shared(shares);
        }
        Ok(match self.pick {
            Some(pick) => rule.picking(pick),
            None => rule,
        })
    }

    /// The groups that were asked for; where a strategy needs groups and none were named, those of near-duplicates.
    pub(super) fn groups(&self, asked: &GroupOptions) -> GroupOptions {
        let needs_groups = self.cap_per_group.is_some()
            || self.stratify == Some(StratifyBy::Group)
            || self.strategy == Strategy::Balanced;
        if asked.groups.is_some() || !needs_groups {
            return asked.clone();
        }
        log::info!("no groups were named: near-duplicates are the groups (--groups near)");
        GroupOptions { groups: Some(GroupSource::Near), ..asked.clone() }
    }

    /// Whether strata and budget are left to the selection that is matched.
    pub(super) fn check_matched(&self) -> Result<(), InvalidField> {
        let field = match (self.strategy, self.stratify, self.budget) {
            (Strategy::RandomMatched, Some(_), _) => "stratify",
            (Strategy::RandomMatched, _, Some(_)) => "budget",
            _ => return Ok(()),
        };
        let message =
            "not allowed with the strategy random-matched, whose strata are those of --match".to_string();
        Err(InvalidField { field, message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selection::{Budget, By, Candidate, Cap, Shares, select};

    /// The kept records of 60, by a strategy with its choices.
    fn kept(options: &StrategyOptions) -> Vec<u64> {
        let candidate = |i: u64| Candidate {
            source: 0,
            position: i,
            record_hash: i.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            residues: 20 + (i * 7 % 40) as u32,
            influence: (i * 31 % 60) as f32,
        };
        let pool: Vec<Candidate> = (0..60).map(candidate).collect();
        let selection = select(&pool, &options.rule(None).unwrap(), Budget::Records(20), 1).unwrap();
        let mut kept = Vec::new();
        let mut keep = |_: &Candidate, pick: Option<crate::selection::Pick>| {
            kept.extend(pick.map(|pick| pick.position));
            Ok(())
        };
        selection.stream(&pool, &mut keep).unwrap();
        kept
    }

    #[test]
    fn named_strategies_are_points_among_the_choices() {
        let of = |strategy| StrategyOptions { strategy, ..StrategyOptions::default() };
        let chosen = |stratify, budget, pick, exclude_top| StrategyOptions {
            stratify: Some(stratify),
            budget: Some(budget),
            pick: Some(pick),
            exclude_top: Some(exclude_top),
            ..of(Strategy::Random)
        };
        for (strategy, choices) in [
            (Strategy::TopK, chosen(StratifyBy::None, Shares::SmallestFirst, By::Influence, 0.0)),
            (Strategy::Random, chosen(StratifyBy::None, Shares::Equal, By::Draw, 0.0)),
            (Strategy::Coverage, chosen(StratifyBy::Influence, Shares::SmallestFirst, By::Draw, 0.1)),
            (Strategy::Balanced, chosen(StratifyBy::Length, Shares::Proportional, By::Influence, 0.0)),
        ] {
            assert_eq!(kept(&of(strategy)), kept(&choices), "{strategy:?}");
        }
    }

    #[test]
    fn what_needs_groups_has_those_of_near_duplicates_where_none_are_named() {
        let none = StrategyOptions { strategy: Strategy::Random, ..StrategyOptions::default() };
        let named = GroupOptions { groups: Some(GroupSource::Source), groups_columns: None };
        for (needs, options) in [
            (false, none.clone()),
            (true, StrategyOptions { strategy: Strategy::Balanced, ..none.clone() }),
            (true, StrategyOptions { cap_per_group: Some(Cap(1)), ..none.clone() }),
            (true, StrategyOptions { stratify: Some(StratifyBy::Group), ..none.clone() }),
            (false, StrategyOptions { stratify: Some(StratifyBy::Length), ..none }),
        ] {
            let found = options.groups(&GroupOptions::default()).groups;
            assert_eq!(matches!(found, Some(GroupSource::Near)), needs, "{options:?}");
            assert!(found.is_some() == needs && options.groups(&named) == named);
        }
    }
}
