//! `--server` and `jobs`: the same requests, computed by a service.

use super::console::Console;
use super::progress::name;
use super::summary::Summary;
use super::{signals, table};
use crate::client::Client;
use crate::error::{Error, Result};
use crate::jobs::{Job, JobId, JobRequest, JobResult, JobState};
use crate::pipeline::CancelToken;
use crate::report::quantity::counted;
use clap::{Args, Subcommand};
use serde::Serialize;

/// Where a job is computed.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Service")]
pub(super) struct ServerOptions {
    /// Have this service do it: http://host:port, https://host or unix:///path (token: environment variable
    /// BIOPRUNE_TOKEN)
    #[arg(long, env = "BIOPRUNE_SERVER", value_name = "URL")]
    server: Option<String>,
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum JobsCommand {
    /// List the latest jobs
    List {
        /// Only jobs in this state: queued, running, complete, failed or canceled
        #[arg(long)]
        state: Option<JobState>,
        /// At most so many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Show everything about one job
    Show {
        /// The job's id, as `jobs list` prints it
        id: JobId,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Cancel a job that waits or runs
    Cancel {
        /// The job's id, as `jobs list` prints it
        id: JobId,
        #[command(flatten)]
        server: ServerOptions,
    },
}

impl ServerOptions {
    /// The service to use; `None` computes here.
    pub(super) fn client(&self) -> Result<Option<Client>> {
        let token = std::env::var("BIOPRUNE_TOKEN").ok().filter(|token| !token.is_empty());
        self.server.as_deref().map(|server| Client::new(server, token.as_deref())).transpose()
    }

    fn needed(&self) -> Result<Client> {
        self.client()?.ok_or_else(|| Error::usage("which service? Give --server URL or set BIOPRUNE_SERVER"))
    }
}

/// Submits, follows with progress, and cancels the job on Ctrl-C.
pub(super) fn submit(client: &Client, request: JobRequest, console: &Console) -> Result<()> {
    let here = std::env::current_dir()
        .map_err(|error| Error::storage("the current directory cannot be told").caused_by(error))?;
    let cancel = CancelToken::default();
    signals::cancel_on_signal(cancel.clone())?;
    let job = client.submit(&request.with_absolute_paths(&here))?;
    log::info!("job {}", job.id);
    let result = {
        // dropped before the summary: the last line of progress comes first
        let progress = console.progress();
        client.follow(&job.id, progress.as_ref(), &cancel)?
    };
    fn tell<S: Summary + Serialize>(console: &Console, summary: &S) -> Result<()> {
        console.summary(summary)
    }
    match &result {
        JobResult::Prune(summary) => tell(console, summary),
        JobResult::Curvature(summary) => tell(console, summary),
        JobResult::Score(summary) => tell(console, summary),
        JobResult::Select(summary) => tell(console, summary),
    }
}

pub(super) fn jobs(command: &JobsCommand, console: &Console) -> Result<()> {
    match command {
        JobsCommand::List { state, limit, server } => {
            let jobs = server.needed()?.list(*state, *limit as usize)?;
            console.listing(&jobs, || list(&jobs))
        }
        JobsCommand::Show { id, server } => {
            let job = server.needed()?.show(id)?;
            console.listing(&job, || show(&job))
        }
        JobsCommand::Cancel { id, server } => {
            let job = server.needed()?.cancel(id)?;
            console.listing(&job, || show(&job))
        }
    }
}

fn list(jobs: &[Job]) -> String {
    let mut rows = vec![["ID", "KIND", "STATE", "CREATED"].map(str::to_string)];
    rows.extend(jobs.iter().map(|job| {
        [job.id.to_string(), job.kind.name().to_string(), job.state.name().to_string(), job.created.clone()]
    }));
    table::columns(&rows)
}

fn show(job: &Job) -> String {
    let mut rows = vec![
        ("id", job.id.to_string()),
        ("kind", job.kind.name().to_string()),
        ("state", job.state.name().to_string()),
        ("created", job.created.clone()),
    ];
    rows.extend(job.started.iter().map(|started| ("started", started.clone())));
    rows.extend(job.finished.iter().map(|finished| ("finished", finished.clone())));
    if let Some(progress) = &job.progress {
        rows.push(("progress", format!("{}, {}", name(progress.stage), counted(progress.records, "record"))));
    }
    rows.extend(job.error.iter().map(|problem| ("error", problem.detail.clone())));
    table::fields(&rows)
}
