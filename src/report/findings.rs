//! What a reader of the report should look at before using the coreset.

use super::ReportData;
use super::distribution::Histogram;
use super::plot::number;
use super::quantity::{grouped, share};

/// Above this share of all records, records left out may bend the result.
const MANY_SKIPPED: f64 = 0.01;
/// Above this share, scores often stand for a part of the record only.
const MANY_TRUNCATED: f64 = 0.05;
/// Above this share, ids do not tell records apart.
const MANY_REPEATED: f64 = 0.01;
/// Mean lengths further apart than this factor: the coreset is of other material than the pool.
const LENGTH_FACTOR: f64 = 1.25;
/// A length range that gained this share of the coreset over its share of the pool has taken it over. Records of one
/// family are of about one length, so this is how a redundant family shows.
const TAKEN_OVER: f64 = 0.15;

/// Warnings, the most important first; empty when nothing stands out.
pub(super) fn findings(data: &ReportData) -> Vec<String> {
    let selection = &data.manifest.selection;
    let counts = &data.manifest.counts;
    let exceeds = |part: u64, limit: f64| part as f64 > limit * counts.records as f64;
    let mut found = Vec::new();

    found.extend(taken_over(&data.length));
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
            grouped(repeated)
        ));
    }
    if selection.pool.records > 0 && selection.kept == selection.pool {
        found.push("The budget is as large as the pool: every record was kept.".to_string());
    }
    found
}

fn taken_over(length: &Histogram) -> Option<String> {
    let part = |count: u64, all: u64| count as f64 / all.max(1) as f64;
    let gains = length
        .pool
        .iter()
        .zip(&length.kept)
        .map(|(pool, kept)| (part(*pool, length.pool_stats.count), part(*kept, length.kept_stats.count)));
    let (bar, (pool, kept)) =
        gains.enumerate().max_by(|(_, a), (_, b)| (a.1 - a.0).total_cmp(&(b.1 - b.0)))?;
    (kept - pool > TAKEN_OVER).then(|| {
        format!(
            "{:.0}% of the kept records, but only {:.0}% of the pool, are {} to {} residues long: a group of alike \
             records may have taken over. Compare with `--strategy random`.",
            100.0 * kept,
            100.0 * pool,
            number(length.edges[bar]),
            number(length.edges[bar + 1])
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn an_ordinary_coreset_needs_no_warning() {
        assert_eq!(findings(&fixture::report(|_| 100, |i| i % 10 == 0)), Vec::<String>::new());
    }

    #[test]
    fn a_length_range_that_took_over_is_named() {
        let found =
            findings(&fixture::report(|i| if i % 5 == 0 { 120 } else { 60 + i % 200 }, |i| i % 5 == 0));
        assert!(
            found[0].starts_with("100% of the kept records, but only 22% of the pool, are 120 to"),
            "{found:?}"
        );
    }

    #[test]
    fn a_coreset_of_longer_records_is_named() {
        let found = findings(&fixture::report(|i| 50 + i % 300, |i| i % 300 > 200));
        assert!(
            found[0].starts_with("Kept records are longer than the pool's: a mean of 300 residues"),
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
