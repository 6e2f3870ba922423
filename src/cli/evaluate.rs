//! `evaluate`: a line for each training, and the verdicts at the end.

use super::console::Console;
use super::signals;
use super::summary::{Row, Summary};
use crate::error::Result;
use crate::pipeline::{self, CancelToken, CommitOptions, Context, EvaluateRequest, EvaluateSummary};
use crate::report::quantity::{grouped, span};
use crate::storage::Storage;

pub(super) fn run(request: &EvaluateRequest, console: &Console) -> Result<()> {
    let cancel = CancelToken::default();
    signals::cancel_on_signal(cancel.clone())?;
    let summary = {
        // dropped before the summary: the last line of progress comes first
        let commit_every = CommitOptions::default().interval();
        let context = Context::new(&Storage::from_env()?, console.progress(), cancel, commit_every);
        pipeline::evaluate(request, &context, &mut |progress| console.line(&progress.to_string()))?
    };
    console.summary(&summary)
}

impl Summary for EvaluateSummary {
    fn rows(&self) -> Vec<Row> {
        let earlier = match self.earlier {
            0 => String::new(),
            earlier => format!(", {} of them by an earlier run", grouped(earlier)),
        };
        let mut rows = vec![("trainings", format!("{}{earlier}", grouped(self.trainings)))];
        rows.extend(self.verdicts.iter().map(|verdict| ("verdict", verdict.clone())));
        rows.push(("time", span(self.seconds)));
        rows.push(("results", self.output.clone()));
        rows
    }
}
