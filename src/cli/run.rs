//! From a parsed command to the job it names.

use super::console::Console;
use super::summary::Summary;
use super::{Command, generate, models, signals};
use crate::error::Result;
use crate::pipeline::{self, CancelToken, Context};
use crate::storage::Storage;
use serde::Serialize;

pub(super) fn run(command: Command, console: &Console) -> Result<()> {
    match command {
        Command::Prune(request) => here(console, |context| pipeline::prune(&request, context)),
        Command::Curvature(request) => here(console, |context| pipeline::curvature(&request, context)),
        Command::Score(request) => here(console, |context| pipeline::score(&request, context)),
        Command::Select(request) => here(console, |context| pipeline::select(&request, context)),
        Command::Merge(request) => here(console, |context| pipeline::merge(&request, context)),
        Command::Models(command) => models::run(&command, console),
        Command::Completions { shell } => generate::completions(shell, console),
        Command::Man { directory } => generate::manual(directory.as_deref(), console),
    }
}

/// Runs a job in this process, with progress on stderr, and tells what came of it.
fn here<S: Summary + Serialize>(console: &Console, job: impl FnOnce(&Context) -> Result<S>) -> Result<()> {
    let cancel = CancelToken::default();
    signals::cancel_on_signal(cancel.clone())?;
    let summary = {
        // dropped before the summary: the last line of progress comes first
        let context = Context { storage: Storage::from_env()?, progress: console.progress(), cancel };
        job(&context)?
    };
    console.summary(&summary)
}
