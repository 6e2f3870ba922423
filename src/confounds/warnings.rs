//! What stands out, in words. Each threshold is a constant with its reason.

use super::{By, Confounds, Part};

/// A group or a length range whose share of the coreset is so much larger than its share of the pool has taken it
/// over. (In a pilot plain `top-k` took one family from 18 % to over 70 %; a random pick stays within 0.02.)
const TAKEN_OVER: f64 = 0.15;
/// A group with this share of the records decides much of what a model learns from them.
const LARGE_GROUP: f64 = 0.1;
/// Rank correlation from which the score is, for the most part, the length: half of the ranks' variance is from 0.7 on.
const BY_LENGTH: f64 = 0.7;
/// Rank correlation from which a pick by influence is about one by loss, which was far worse than random in a pilot.
const BY_LOSS: f64 = 0.8;
/// Share of the variance of ranks, less chance, from which a division of the records explains much of the score.
const EXPLAINED: f64 = 0.25;

/// Warnings, the most important first; empty when nothing stands out.
pub(super) fn warnings(confounds: &Confounds) -> Vec<String> {
    let mut found = Vec::new();
    let pool = confounds.pool.records;
    if let Some(kept) = confounds.kept {
        let records = (pool, kept.records);
        found.extend(taken_over(&confounds.largest_groups, records).map(|(part, shares)| {
            format!(
                "Group {} makes up {shares}: it has taken over. Cap the groups (--cap-per-group auto), and compare \
                 with --strategy random under the same cap.",
                part.name
            )
        }));
        found.extend(taken_over(&confounds.length_ranges, records).map(|(part, shares)| {
            format!(
                "Records of {} residues make up {shares}: a group of alike records may have taken over. Cap the \
                 groups (--groups, --cap-per-group), or stratify by length (--stratify length).",
                part.name
            )
        }));
    }
    // What was kept is what matters, where something was.
    let (set, records) = confounds.kept.map_or(("pool's", pool), |kept| ("kept", kept.records));
    let of = |part: &Part| share(if confounds.kept.is_some() { part.kept } else { part.pool }, records);
    let largest = confounds.largest_groups.iter().max_by(|a, b| of(a).total_cmp(&of(b)));
    if confounds.pool.groups == Some(1) {
        found.push("All records are of one group: a cap or strata by group can do nothing.".to_string());
    } else if let Some(part) = largest.filter(|part| found.is_empty() && of(part) >= LARGE_GROUP) {
        found.push(format!(
            "Group {} has {} of the {set} records; a cap (--cap-per-group auto) bounds it.",
            part.name,
            percent(of(part))
        ));
    }
    if let Some(rho) = confounds.rank_correlation.length.filter(|rho| rho.abs() >= BY_LENGTH) {
        found.push(format!(
            "Influence {} with length (rank correlation {rho:.2}): compare records of one length (--stratify length).",
            if rho > 0.0 { "grows" } else { "falls" }
        ));
    }
    if let Some(rho) = confounds.rank_correlation.loss.filter(|rho| rho.abs() >= BY_LOSS) {
        found.push(format!(
            "Influence is about as the loss ranks the records (rank correlation {rho:.2}): loss is no substitute for it."
        ));
    }
    for explained in &confounds.variance {
        let division = match explained.by {
            By::Source => "the files that records are in",
            By::Position => "the records' place in the input",
            // The length has its own line, and groups are what a cap is for.
            By::Group | By::Length => continue,
        };
        if let Some(adjusted) = explained.adjusted.filter(|share| *share >= EXPLAINED) {
            found.push(format!(
                "{} of the variance of the scores' ranks goes by {division}.",
                percent(adjusted)
            ));
        }
    }
    found
}

/// The part that gained most, if it gained too much, and its shares in words.
fn taken_over(parts: &[Part], (pool, kept): (u64, u64)) -> Option<(&Part, String)> {
    let gain = |part: &Part| share(part.kept, kept) - share(part.pool, pool);
    let part = parts.iter().max_by(|a, b| gain(a).total_cmp(&gain(b)))?;
    let shares = format!(
        "{} of the kept records, but {} of the pool",
        percent(share(part.kept, kept)),
        percent(share(part.pool, pool))
    );
    (gain(part) > TAKEN_OVER).then_some((part, shares))
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn percent(share: f64) -> String {
    format!("{:.0}%", 100.0 * share)
}
