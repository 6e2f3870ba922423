//! From a parsed command to the job it names.

use super::console::Console;
use super::summary::Summary;
use super::{
    Command, Committing, Job, Resumable, evaluate, generate, health, models, remote, signals, train,
    with_server,
};
use crate::error::Result;
use crate::jobs::JobRequest;
use crate::pipeline::{self, CancelToken, CommitTo, Context};
use crate::service;
use crate::storage::Storage;
use serde::Serialize;

pub(super) fn run(command: Command, console: &Console) -> Result<()> {
    match command {
        Command::Prune(Resumable { job, commit }) => {
            job.run(console, commit, JobRequest::Prune, pipeline::prune)
        }
        Command::Curvature(Resumable { job, commit }) => {
            job.run(console, commit, JobRequest::Curvature, pipeline::curvature)
        }
        Command::Score(Resumable { job, commit }) => {
            job.run(console, commit, JobRequest::Score, pipeline::score)
        }
        Command::Select(job) => job.run(console, Committing::default(), JobRequest::Select, pipeline::select),
        Command::Merge(request) => {
            here(console, Committing::default(), |context| pipeline::merge(&request, context))
        }
        Command::Jobs(command) => remote::jobs(&command, console),
        Command::Train(request) => train::run(&request, console),
        Command::Embed(request) => {
            here(console, Committing::default(), |context| pipeline::embed(&request, context))
        }
        Command::Probe(request) => {
            here(console, Committing::default(), |context| pipeline::probe(&request, context))
        }
        Command::Evaluate(request) => evaluate::run(&request, console),
        Command::Serve(options) => {
            service::serve(&options, |url, _| console.line(&format!("bioprune: listening on {url}")))
        }
        Command::Health(request) => health::run(&request),
        Command::WithServer(request) => with_server::run(&request, console),
        Command::Openapi => console.print(service::openapi_json().as_bytes()),
        Command::Models(command) => models::run(&command, console),
        Command::Completions { shell } => generate::completions(shell, console),
        Command::Man { directory } => generate::manual(directory.as_deref(), console),
    }
}

impl<R: clap::Args> Job<R> {
    /// Has the service do it where one is named, else does it here.
    fn run<S: Summary + Serialize>(
        self,
        console: &Console,
        commit: Committing,
        request: impl FnOnce(R) -> JobRequest,
        job: impl FnOnce(&R, &Context) -> Result<S>,
    ) -> Result<()> {
        match self.server.client()? {
            Some(client) => remote::submit(&client, request(self.request), console),
            None => here(console, commit, |context| job(&self.request, context)),
        }
    }
}

/// Runs a job in this process, with progress on stderr, and tells what came of it.
fn here<S: Summary + Serialize>(
    console: &Console,
    commit: Committing,
    job: impl FnOnce(&Context) -> Result<S>,
) -> Result<()> {
    let cancel = CancelToken::default();
    signals::cancel_on_signal(cancel.clone())?;
    let summary = {
        // dropped before the summary: the last line of progress comes first
        let context =
            Context::new(&Storage::from_env()?, console.progress(), cancel, commit.every.interval());
        let context = Context { commit_to: commit.commit_to.map(CommitTo::new), ..context };
        context.ended(job(&context))?
    };
    console.summary(&summary)
}
