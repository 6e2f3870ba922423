//! Where things are said: results on stdout, progress, summaries, warnings and errors on stderr.

use super::OutputOptions;
use super::progress::{self, ProgressStyle};
use super::summary::Summary;
use crate::error::{Code, Error, Result};
use crate::pipeline::ProgressSink;
use indicatif::MultiProgress;
use serde::Serialize;
use std::io::{ErrorKind, Write};
use std::sync::Arc;

/// The two output streams of this process, and what the user wants to see on them.
pub(super) struct Console {
    json: bool,
    quiet: bool,
    style: ProgressStyle,
    /// Draws the bars; whatever else writes to stderr suspends it, so that lines and bars never mix.
    bars: MultiProgress,
}

impl Console {
    pub(super) fn new(options: &OutputOptions) -> Self {
        let style = if options.quiet { ProgressStyle::None } else { options.progress };
        Console { json: options.json, quiet: options.quiet, style, bars: MultiProgress::new() }
    }

    pub(super) fn bars(&self) -> MultiProgress {
        self.bars.clone()
    }

    /// A listener for the progress of one job.
    pub(super) fn progress(&self) -> Arc<dyn ProgressSink> {
        progress::sink(self.style, &self.bars)
    }

    /// Tells what a job did: for a person on stderr, and as JSON on stdout where that was asked for.
    pub(super) fn summary<S: Summary + Serialize>(&self, summary: &S) -> Result<()> {
        if !self.quiet {
            self.say(&super::summary::render(summary));
        }
        if self.json { self.print_json(summary) } else { Ok(()) }
    }

    /// Prints a listing: JSON where that was asked for, else the text of `human`.
    pub(super) fn listing<T: Serialize + ?Sized>(
        &self,
        value: &T,
        human: impl FnOnce() -> String,
    ) -> Result<()> {
        if self.json { self.print_json(value) } else { self.print(human().as_bytes()) }
    }

    fn print_json<T: Serialize + ?Sized>(&self, value: &T) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(value)
            .map_err(|error| Error::internal("cannot write the summary as JSON").caused_by(error))?;
        text.push(b'\n');
        self.print(&text)
    }

    /// Writes to stdout. A reader that has gone away (`| head`) ends nothing: it had all that it wanted.
    pub(super) fn print(&self, text: &[u8]) -> Result<()> {
        let mut stdout = std::io::stdout().lock();
        match stdout.write_all(text).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(Error::storage("cannot write to standard output").caused_by(error))
            }
            _ => Ok(()),
        }
    }

    /// One line that says what is wrong, and one with what may help, where something does.
    pub(super) fn error(&self, error: &Error) {
        let mut text = format!("bioprune: error: {error}\n");
        if let Some(hint) = hint(error.code) {
            text.push_str(&format!("bioprune: hint: {hint}\n"));
        }
        self.say(&text);
    }

    /// A line for a person, unless quiet.
    pub(super) fn line(&self, text: &str) {
        if !self.quiet {
            self.say(&format!("{text}\n"));
        }
    }

    fn say(&self, text: &str) {
        // there is nowhere left to report that stderr is gone
        self.bars.suspend(|| std::io::stderr().lock().write_all(text.as_bytes())).ok();
    }
}

/// What helps with errors of that code, where the message alone cannot know it.
fn hint(code: Code) -> Option<&'static str> {
    match code {
        Code::ModelUnavailable => {
            Some("`bioprune models list` names the models; --model also takes a file or a directory")
        }
        Code::StorageFailed => Some(
            "access to object storage comes from the environment (AWS_*, GOOGLE_* or AZURE_*), the folder of temporary files from TMPDIR",
        ),
        Code::SourceChanged => Some("run the command again once nothing writes to the source"),
        Code::ServerBusy | Code::QueueFull | Code::NotReady => {
            Some("the same command may succeed later; exit status 104 says so to a workflow engine")
        }
        Code::Unauthorized => Some("the token is read from the environment variable BIOPRUNE_TOKEN"),
        Code::Forbidden => {
            Some("the service touches only the locations that its operator allowed (`serve --allow`)")
        }
        Code::Internal => {
            Some("this is a fault of bioprune: please report it with the command and this message")
        }
        _ => None,
    }
}
