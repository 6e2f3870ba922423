//! `train`: a line for each report, a summary with the losses beside those of the baselines.

use super::console::Console;
use super::signals;
use super::summary::{Row, Summary};
use crate::error::Result;
use crate::pipeline::{self, CancelToken, CommitOptions, Context, TrainSummary};
use crate::report::quantity::grouped;
use crate::storage::Storage;
use crate::train::{HeldOut, TrainRequest};
use std::sync::Arc;

pub(super) fn run(request: &TrainRequest, console: &Console) -> Result<()> {
    let cancel = CancelToken::default();
    signals::cancel_on_signal(cancel.clone())?;
    let commit_every = CommitOptions::default().interval();
    let context = Context::new(&Storage::from_env()?, Arc::new(()), cancel, commit_every);
    let summary = pipeline::train(request, &context, &mut |progress| console.line(&progress.to_string()))?;
    console.summary(&summary)
}

impl Summary for TrainSummary {
    fn rows(&self) -> Vec<Row> {
        let report = &self.report;
        let mut rows = vec![(
            "trained",
            format!(
                "{} steps, {} tokens, on {} records",
                grouped(report.steps),
                grouped(report.tokens),
                grouped(report.records)
            ),
        )];
        rows.extend(report.new_groups.iter().map(|held_out| ("new groups", losses(held_out))));
        rows.extend(report.seen_groups.iter().map(|held_out| ("seen groups", losses(held_out))));
        rows.extend(report.hairpins.iter().map(|held_out| ("hairpins", losses(held_out))));
        rows.push(("model", self.model.clone()));
        rows
    }
}

fn losses(held_out: &HeldOut) -> String {
    format!(
        "masked loss {:.4} nats a residue on {} held-out records (unigram {:.4}, trigram {:.4})",
        held_out.model.by_residue,
        grouped(held_out.records),
        held_out.baselines.unigram.by_residue,
        held_out.baselines.trigram.by_residue
    )
}
