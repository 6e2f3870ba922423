//! The section on confounds: what explains the scores, and what became of groups and lengths.

use super::quantity::{grouped, share};
use super::tables::{Escaped, pairs, table};
use crate::confounds::{By, Composition, Confounds, Part};

/// The section's content.
pub(super) fn confounds(confounds: &Confounds) -> String {
    let number = |value: Option<f64>| value.map_or_else(|| "–".to_string(), |value| format!("{value:.2}"));
    let correlation = confounds.rank_correlation;
    let mut page = pairs([
        ("rank correlation with length", number(correlation.length)),
        ("rank correlation with loss", number(correlation.loss)),
    ]);
    let rows = confounds.variance.iter().map(|explained| {
        let by = match explained.by {
            By::Group => "group",
            By::Source => "file",
            By::Position => "place in the input",
            By::Length => "length",
        };
        vec![
            by.to_string(),
            grouped(explained.classes),
            number(explained.eta_squared),
            number(explained.adjusted),
        ]
    });
    page.push_str(&table(
        &["variance of the ranks by", "classes", "share", "share less chance"],
        "numbers",
        rows,
    ));
    if let Some(kept) = confounds.kept {
        page.push_str(&before_and_after(&confounds.pool, &kept));
        page.push_str(&parts("group", &confounds.largest_groups, (&confounds.pool, &kept)));
        page.push_str(&parts("length (residues)", &confounds.length_ranges, (&confounds.pool, &kept)));
    }
    page
}

fn before_and_after(pool: &Composition, kept: &Composition) -> String {
    let redundant = |set: &Composition| set.redundant.map(|redundant| share(redundant, set.records));
    let mut rows = vec![
        vec!["records".to_string(), grouped(pool.records), grouped(kept.records)],
        vec!["residues".to_string(), grouped(pool.residues), grouped(kept.residues)],
        vec![
            "mean length".to_string(),
            format!("{:.1}", pool.mean_length),
            format!("{:.1}", kept.mean_length),
        ],
    ];
    if let (Some(in_pool), Some(in_kept)) = (pool.groups, kept.groups) {
        rows.push(vec!["groups".to_string(), grouped(in_pool), grouped(in_kept)]);
    }
    if let (Some(in_pool), Some(in_kept)) = (redundant(pool), redundant(kept)) {
        rows.push(vec!["records that share their group".to_string(), in_pool, in_kept]);
    }
    table(&["", "pool", "kept"], "numbers", rows.into_iter())
}

fn parts(of: &str, parts: &[Part], (pool, kept): (&Composition, &Composition)) -> String {
    let rows = parts.iter().map(|part| {
        vec![
            Escaped(&part.name).to_string(),
            grouped(part.pool),
            share(part.pool, pool.records),
            grouped(part.kept),
            share(part.kept, kept.records),
        ]
    });
    let head = [of, "pool", "share of the pool", "kept", "share of the kept"];
    if parts.is_empty() { String::new() } else { table(&head, "numbers", rows) }
}

#[cfg(test)]
mod tests {
    use crate::report::fixture;

    #[test]
    fn the_section_shows_pool_and_coreset_side_by_side_and_escapes_names() {
        let mut data = fixture::report(|i| 50 + i % 100, |i| i % 10 == 0).manifest.confounds;
        data.largest_groups = vec![super::Part { name: "<b>".to_string(), pool: 10, kept: 5 }];
        let page = super::confounds(&data);
        for expected in [
            "<td>1,000</td><td>100</td>",
            "place in the input</td><td>20</td>",
            "<td>&lt;b&gt;</td><td>10</td><td>1.0%</td><td>5</td><td>5.0%</td>",
        ] {
            assert!(page.contains(expected), "{expected} in {page}");
        }
        assert!(!page.contains("<b>"));
    }
}
