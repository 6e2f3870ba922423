//! What a reader of the report should look at before using the coreset.

use super::plot::number;
use super::quantity::{grouped as grouped_number, share};
use super::{Manifest, ReportData};

/// Above this share of all records, records left out may bend the result.
const MANY_SKIPPED: f64 = 0.01;
/// Above this share, scores often stand for a part of the record only.
const MANY_TRUNCATED: f64 = 0.05;
/// Above this share, ids do not tell records apart.
const MANY_REPEATED: f64 = 0.01;
/// Mean lengths further apart than this factor: the coreset is of other material than the pool.
const LENGTH_FACTOR: f64 = 1.25;
/// Above this share of the kept records, the cap did not hold for much of the coreset.
const MANY_OVER_CAP: f64 = 0.1;
/// Above this share of records without a group, or of ids that the pool does not have, the table may be another's.
const MANY_UNGROUPED: f64 = 0.5;

/// Warnings, the most important first; empty when nothing stands out.
pub fn findings(data: &ReportData) -> Vec<String> {
    let selection = &data.manifest.selection;
    let counts = &data.manifest.counts;
    let exceeds = |part: u64, limit: f64| part as f64 > limit * counts.records as f64;
    let mut found = Vec::new();

    found.extend(data.manifest.confounds.warnings.iter().cloned());
    found.extend(over_cap(&data.manifest));
    found.extend(poorly_grouped(&data.manifest));
    let mean = |records: u64, residues: u64| residues as f64 / records.max(1) as f64;
    let pool_mean = mean(selection.pool.records, selection.pool.residues);
    let kept_mean = mean(selection.kept.records, selection.kept.residues);
    let ratio = kept_mean / pool_mean.max(1.0);
    if selection.kept.records > 0 && !(1.0 / LENGTH_FACTOR..=LENGTH_FACTOR).contains(&ratio) {
        found.push(format!(
            "Kept records are {} than the pool's: a mean of {} residues against {}.",
            if ratio > 1.0 { "longer" } else { "shorter" },
            number(kept_mean),
            number(pool_mean)
        ));
    }
    let skipped: u64 = counts.skipped.values().sum();
    if exceeds(skipped, MANY_SKIPPED) {
        found.push(format!("{} of the records read were left out.", share(skipped, counts.records)));
    }
    if exceeds(counts.truncated, MANY_TRUNCATED) {
        found.push(format!(
            "{} of the records are longer than the model takes and were scored on their first residues only.",
            share(counts.truncated, counts.records)
        ));
    }
    if let Some(repeated) = data.manifest.repeated_ids.filter(|repeated| exceeds(*repeated, MANY_REPEATED)) {
        found.push(format!(
            "{} records have the id of an earlier one: match on source and position, not on the id.",
            grouped_number(repeated)
        ));
    }
    if selection.pool.records > 0 && selection.kept == selection.pool {
        found.push("The budget is as large as the pool: every record was kept.".to_string());
    }
    found
}

/// A cap of one is no bound that could fail: groups take turns, as many as the budget asks for.
fn over_cap(manifest: &Manifest) -> Option<String> {
    let selection = &manifest.selection;
    let (cap, over) = (selection.cap.filter(|cap| *cap > 1)?, selection.over_cap?.records);
    let kept = selection.kept.records;
    (over as f64 > MANY_OVER_CAP * kept as f64).then(|| {
        format!(
            "{} of the kept records are beyond the cap of {cap} for each group: the budget asks for more than it leaves.",
            share(over, kept)
        )
    })
}

fn poorly_grouped(manifest: &Manifest) -> Option<String> {
    let groups = manifest.groups.as_ref()?;
    let pool = manifest.selection.pool.records;
    let grouped = pool - groups.ungrouped.min(pool);
    // Most records have no near-duplicate, and should not.
    let told = groups.from != "near";
    if told && groups.ungrouped as f64 > MANY_UNGROUPED * pool as f64 {
        return Some(format!(
            "{} of the records have no group, and each counts as its own.",
            share(groups.ungrouped, pool)
        ));
    }
    (groups.unknown as f64 > MANY_UNGROUPED * (grouped + groups.unknown) as f64).then(|| {
        format!(
            "{} ids in the table of groups are not in the pool: it may be of other records.",
            grouped_number(groups.unknown)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{GroupFacts, SetSize, fixture};

    #[test]
    fn an_ordinary_coreset_needs_no_warning() {
        assert_eq!(findings(&fixture::report(|_| 100, |i| i % 10 == 0)), Vec::<String>::new());
    }

    #[test]
    fn a_length_range_that_took_over_is_named() {
        let found =
            findings(&fixture::report(|i| if i % 5 == 0 { 120 } else { 60 + i % 200 }, |i| i % 5 == 0));
        assert!(
            found[0].starts_with(
                "Records of 112-127 residues make up 100% of the kept records, but 26% of the pool"
            ),
            "{found:?}"
        );
    }

    #[test]
    fn a_cap_that_did_not_hold_and_groups_that_do_not_fit_are_named() {
        let mut data = fixture::report(|_| 100, |i| i % 10 == 0);
        data.manifest.selection.cap = Some(7);
        data.manifest.selection.over_cap = Some(SetSize { records: 20, residues: 2000 });
        assert!(findings(&data)[0].starts_with("20.0% of the kept records are beyond the cap of 7"));
        data.manifest.selection.cap = Some(1);
        assert_eq!(findings(&data), Vec::<String>::new());
        data.manifest.selection.cap = Some(7);
        data.manifest.selection.over_cap = Some(SetSize { records: 5, residues: 500 });
        let facts = GroupFacts { from: "g.tsv".to_string(), sources: Vec::new(), ungrouped: 0, unknown: 0 };
        data.manifest.groups = Some(GroupFacts { ungrouped: 600, ..facts.clone() });
        assert!(findings(&data)[0].starts_with("60.0% of the records have no group"));
        data.manifest.groups = Some(GroupFacts { unknown: 1001, ..facts.clone() });
        assert!(findings(&data)[0].starts_with("1,001 ids in the table"));
        data.manifest.groups = Some(GroupFacts { ungrouped: 100, unknown: 100, ..facts });
        assert_eq!(findings(&data), Vec::<String>::new());
    }

    #[test]
    fn a_coreset_of_longer_records_is_named() {
        let found = findings(&fixture::report(|i| 50 + i % 300, |i| i % 300 > 200));
        assert!(
            found[1].starts_with("Kept records are longer than the pool's: a mean of 300 residues"),
            "{found:?}"
        );
    }

    #[test]
    fn what_was_left_out_cut_or_repeated_is_named_from_a_share_on() {
        let mut data = fixture::report(|_| 100, |i| i % 10 == 0);
        let counts = &mut data.manifest.counts;
        counts.skipped.insert("illegal".to_string(), counts.records / 50);
        counts.truncated = counts.records / 10;
        data.manifest.repeated_ids = Some(counts.records / 2);
        let found = findings(&data);
        let parts = [
            "2.0% of the records read were left out",
            "10.0% of the records are longer",
            "500 records have the id",
        ];
        assert_eq!(found.len(), parts.len(), "{found:?}");
        for (text, part) in found.iter().zip(parts) {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn a_budget_as_large_as_the_pool_is_named() {
        let found = findings(&fixture::report(|_| 100, |_| true));
        assert!(found[0].contains("every record was kept"), "{found:?}");
    }
}
