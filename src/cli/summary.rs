//! What a person wants to know when a job is done.

use super::table::fields;
use crate::pipeline::{
    Counts, CurvatureSummary, EmbedSummary, MergeSummary, PruneSummary, ScoreSummary, SelectSummary,
};
use crate::report::quantity::{counted, grouped, share, short, span};

pub(super) type Row = (&'static str, String);

/// A job's result as named lines.
pub(super) trait Summary {
    fn rows(&self) -> Vec<Row>;
}

/// `bioprune: done`, then the rows, indented.
pub(super) fn render(summary: &impl Summary) -> String {
    let mut text = "bioprune: done\n".to_string();
    for line in fields(&summary.rows()).lines() {
        text.push_str("  ");
        text.push_str(line);
        text.push('\n');
    }
    text
}

fn count_rows(counts: &Counts) -> Vec<Row> {
    let mut rows = vec![(
        "read",
        format!("{}, {}", counted(counts.records, "record"), counted(counts.residues, "residue")),
    )];
    let skipped: u64 = counts.skipped.values().sum();
    if skipped > 0 {
        let reasons: Vec<String> =
            counts.skipped.iter().map(|(reason, n)| format!("{} {reason}", grouped(*n))).collect();
        rows.push(("skipped", format!("{} ({})", counted(skipped, "record"), reasons.join(", "))));
    }
    if counts.truncated > 0 {
        rows.push(("truncated", counted(counts.truncated, "record")));
    }
    rows
}

fn rate_row(summary: &ScoreSummary) -> Row {
    let how = match summary.tokens {
        0 => "by an earlier run, whose scores were used again".to_string(),
        tokens => format!("{} tokens at {} tokens/s", grouped(tokens), short(summary.tokens_per_second)),
    };
    let how = if summary.tokens == 0 { how } else { with_reused(how, summary.reused) };
    ("scored", format!("{}, {how}", counted(summary.counts.scored, "record")))
}

fn with_reused(how: String, records: u64) -> String {
    if records == 0 { how } else { format!("{how} ({} by an earlier run)", grouped(records)) }
}

fn kept_row(summary: &SelectSummary) -> Row {
    let records = format!("{} ({})", counted(summary.kept, "record"), share(summary.kept, summary.pool));
    let residues = format!(
        "{} residues ({})",
        grouped(summary.kept_residues),
        share(summary.kept_residues, summary.pool_residues)
    );
    ("kept", format!("{records}, {residues}"))
}

fn sampled_row(summary: &CurvatureSummary) -> Row {
    let from = format!("from {}", counted(summary.sampled, "record"));
    ("curvature", with_reused(from, summary.reused))
}

impl Summary for CurvatureSummary {
    fn rows(&self) -> Vec<Row> {
        let mut rows = vec![("model", self.model.clone())];
        rows.extend(count_rows(&self.counts));
        rows.push(sampled_row(self));
        rows.push(("time", span(self.seconds)));
        rows.push(("result", self.curvature.clone()));
        rows
    }
}

impl Summary for EmbedSummary {
    fn rows(&self) -> Vec<Row> {
        let mut rows = vec![("model", self.model.clone())];
        rows.extend(count_rows(&self.counts));
        rows.push((
            "embedded",
            format!(
                "{}, vectors of {}, {} tokens at {} tokens/s",
                counted(self.counts.scored, "record"),
                grouped(self.dimension),
                grouped(self.tokens),
                short(self.tokens_per_second)
            ),
        ));
        rows.push(("time", span(self.seconds)));
        rows.push(("result", self.embeddings.clone()));
        rows
    }
}

impl Summary for ScoreSummary {
    fn rows(&self) -> Vec<Row> {
        let mut rows = vec![("model", self.model.clone())];
        rows.extend(count_rows(&self.counts));
        rows.push(rate_row(self));
        rows.push(("time", span(self.seconds)));
        rows.push(("result", self.scores.clone()));
        rows
    }
}

impl Summary for SelectSummary {
    fn rows(&self) -> Vec<Row> {
        let pool = format!("{}, {}", counted(self.pool, "record"), counted(self.pool_residues, "residue"));
        vec![("pool", pool), kept_row(self), ("time", span(self.seconds)), ("results", self.output.clone())]
    }
}

impl Summary for PruneSummary {
    fn rows(&self) -> Vec<Row> {
        let mut rows = vec![("model", self.score.model.clone())];
        rows.extend(count_rows(&self.score.counts));
        rows.extend(self.curvature.as_ref().map(sampled_row));
        rows.push(rate_row(&self.score));
        rows.push(kept_row(&self.select));
        rows.push(("time", span(self.seconds)));
        rows.push(("results", self.select.output.clone()));
        rows
    }
}

impl Summary for MergeSummary {
    fn rows(&self) -> Vec<Row> {
        let merged = format!("{}, {}", counted(self.parts, "part"), counted(self.records, "record"));
        vec![("merged", merged), ("result", self.output.clone())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prune_summary_tells_what_was_read_kept_and_where_it_is() {
        let counts = Counts {
            records: 65_645,
            residues: 9_254_332,
            scored: 65_633,
            truncated: 618,
            skipped: [("illegal".to_string(), 10), ("empty".to_string(), 2)].into(),
        };
        let summary = PruneSummary {
            curvature: None,
            score: ScoreSummary {
                scores: "out/scores.parquet".to_string(),
                model: "rna-nano".to_string(),
                counts,
                reused: 0,
                tokens: 64_000_000,
                tokens_per_second: 1.214e6,
                confounds: None,
                seconds: 52.0,
            },
            select: SelectSummary {
                output: "out/".to_string(),
                pool: 65_633,
                pool_residues: 9_250_000,
                kept: 6_563,
                kept_residues: 1_043_332,
                warnings: Vec::new(),
                seconds: 2.0,
            },
            seconds: 72.0,
        };
        let expected = "\
bioprune: done
  model      rna-nano
  read       65,645 records, 9,254,332 residues
  skipped    12 records (2 empty, 10 illegal)
  truncated  618 records
  scored     65,633 records, 64,000,000 tokens at 1.21 M tokens/s
  kept       6,563 records (10.0%), 1,043,332 residues (11.3%)
  time       1 min 12 s
  results    out/
";
        assert_eq!(render(&summary), expected);
    }
}
