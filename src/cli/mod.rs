//! The command line: what can be typed, and the way from there to a job and an exit status.
//!
//! Each command is a request struct of `pipeline` with flags around it; `--server` sends the same request to a service
//! instead of running it here. Results go to stdout, everything else to stderr.

mod console;
mod evaluate;
mod examples;
mod generate;
mod health;
mod logging;
mod models;
mod probe;
mod progress;
mod remote;
mod run;
mod signals;
mod summary;
mod table;
mod train;
mod with_server;

use crate::pipeline::{
    CommitOptions, CurvatureRequest, EmbedRequest, EvaluateRequest, MergeRequest, ProbeRequest, PruneRequest,
    ScoreRequest, SelectRequest,
};
use crate::service::ServeOptions;
use crate::storage::Location;
use crate::train::TrainRequest;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use console::Console;
use health::HealthRequest;
use remote::{JobsCommand, ServerOptions};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use with_server::WithServer;

pub use logging::LogFormat;
pub use progress::ProgressStyle;

/// Prunes RNA and protein pretraining sets by self-influence: scores every sequence under a reference model and selects
/// a coreset of a given budget, with the evidence for it.
#[derive(Debug, Parser)]
#[command(name = "bioprune", version, propagate_version = true, after_help = examples::PROGRAM, after_long_help = examples::PROGRAM_LONG)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    output: OutputOptions,
}

/// What is told, how much of it, and in which form.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Messages")]
struct OutputOptions {
    /// Print the summary or the listing as JSON on stdout
    #[arg(long, global = true)]
    json: bool,

    /// Say more on stderr; twice for what only developers need (BIOPRUNE_LOG takes an env_logger filter instead)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,

    /// Say nothing on stderr but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,

    /// How log lines are written on stderr
    #[arg(long, global = true, value_enum, env = "BIOPRUNE_LOG_FORMAT", default_value = "text")]
    log_format: LogFormat,

    /// How progress is shown on stderr
    #[arg(long, global = true, value_enum, env = "BIOPRUNE_PROGRESS", default_value = "auto")]
    progress: ProgressStyle,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(after_help = examples::PRUNE)]
    Prune(Resumable<PruneRequest>),
    #[command(after_help = examples::CURVATURE)]
    Curvature(Resumable<CurvatureRequest>),
    #[command(after_help = examples::SCORE)]
    Score(Resumable<ScoreRequest>),
    #[command(after_help = examples::SELECT)]
    Select(Job<SelectRequest>),
    #[command(after_help = examples::MERGE)]
    Merge(MergeRequest),
    /// Serve the same jobs over HTTP, until interrupted
    #[command(after_help = examples::SERVE)]
    Serve(ServeOptions),
    #[command(after_help = examples::HEALTH)]
    Health(HealthRequest),
    #[command(after_help = examples::WITH_SERVER)]
    WithServer(WithServer),
    /// List, show or cancel the jobs of a service
    #[command(after_help = examples::JOBS, subcommand)]
    Jobs(JobsCommand),
    #[command(after_help = examples::TRAIN)]
    Train(Box<TrainRequest>),
    #[command(after_help = examples::EMBED)]
    Embed(EmbedRequest),
    #[command(after_help = examples::EVALUATE)]
    Evaluate(Box<EvaluateRequest>),
    #[command(after_help = examples::PROBE)]
    Probe(Box<ProbeRequest>),
    /// List the reference models that have a name, or show one
    #[command(after_help = examples::MODELS, subcommand)]
    Models(ModelsCommand),
    /// Print the OpenAPI document of the service
    #[command(after_help = examples::OPENAPI)]
    Openapi,
    /// Print a completion script for a shell
    #[command(after_help = examples::COMPLETIONS)]
    Completions {
        /// Shell to complete in
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write those of all commands into a directory
    #[command(after_help = examples::MAN)]
    Man {
        /// Directory for bioprune.1, bioprune-prune.1 and so on; without it bioprune.1 goes to stdout
        directory: Option<PathBuf>,
    },
}

// A request, and where it is computed. (A doc comment here would stand over the commands' own help.)
#[derive(Debug, Args)]
struct Job<R: Args> {
    #[command(flatten)]
    request: R,
    #[command(flatten)]
    server: ServerOptions,
}

// A job that goes through the model, and how often it commits what is done.
#[derive(Debug, Args)]
struct Resumable<R: Args> {
    #[command(flatten)]
    job: Job<R>,
    #[command(flatten)]
    commit: Committing,
}

// When and where that is.
#[derive(Debug, Default, Args)]
struct Committing {
    #[command(flatten)]
    every: CommitOptions,

    /// Commit below this folder, local or in object storage, and not beside the output: for attempts at a job that each have
    /// another place to work in, as the tasks of Nextflow have; it is empty again once the job is done
    #[arg(long, env = "BIOPRUNE_COMMIT_TO", value_name = "URI", help_heading = "Run")]
    commit_to: Option<Location>,
}

#[derive(Debug, Subcommand)]
enum ModelsCommand {
    /// List the models
    List,
    /// Show everything about one model
    Show {
        /// Name of a model, as `models list` prints it; owner/name or owner/name@revision on the Hugging Face Hub, which is
        /// fetched into the cache; or its directory or file, local or in object storage
        model: String,

        /// Score made-up sequences for two seconds, and tell the speed
        #[arg(long)]
        measure: bool,
    },
}

/// Reads the command line of this process, runs it, and turns the outcome into an exit status.
pub fn main() -> ExitCode {
    let cli = match parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(message) => {
            // help and version are results, on stdout and with status 0; a usage error is neither
            let status = u8::try_from(message.exit_code()).unwrap_or(2);
            return if message.print().is_ok() { ExitCode::from(status) } else { ExitCode::FAILURE };
        }
    };
    let console = Console::new(&cli.output);
    logging::start(&cli.output, &cli.command, console.bars());
    match run::run(cli.command, &console) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console.error(&error);
            ExitCode::from(signals::exit_status(&error))
        }
    }
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    Cli::from_arg_matches(&definition().try_get_matches_from(arguments)?)
}

/// The definition that parsing, help, completions and manual pages share.
fn definition() -> clap::Command {
    Cli::command().max_term_width(110)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        definition().debug_assert();
    }

    #[test]
    fn every_example_in_the_help_texts_parses() {
        let mut parsed = 0;
        for command in definition().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let lines = help.lines().filter_map(|line| line.trim().strip_prefix("bioprune "));
            for line in lines {
                // what follows a pipe or a redirection is the shell's
                let command = line.split(" | ").next().and_then(|line| line.split(" > ").next());
                let words = command.unwrap_or_default().replace('\'', "");
                let arguments = std::iter::once("bioprune").chain(words.split_whitespace());
                parse(arguments.map(OsString::from)).unwrap_or_else(|error| panic!("{line}: {error}"));
                parsed += 1;
            }
            assert!(help.contains("bioprune "), "{} teaches no example", command.get_name());
        }
        assert!(parsed >= 15, "{parsed}");
    }
}
