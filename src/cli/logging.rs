//! Log lines on stderr, kept apart from the progress bars.

use super::{Command, OutputOptions};
use crate::jobs::{CurrentJob, current};
use chrono::{DateTime, SecondsFormat, Utc};
use clap::ValueEnum;
use env_logger::{Builder, Target};
use indicatif::MultiProgress;
use log::{LevelFilter, Record};
use serde_json::{Value, json};
use std::io::Write;
use std::time::SystemTime;

/// Starts the log of this process: warnings by default (a service tells what it does, too), more with `-v`, errors
/// alone with `-q`. Without these flags `BIOPRUNE_LOG` decides.
pub(super) fn start(options: &OutputOptions, command: &Command, bars: MultiProgress) {
    let mut builder = Builder::new();
    let level = match (options.quiet, options.verbose) {
        (true, _) => LevelFilter::Error,
        (false, 0) if !matches!(command, Command::Serve(_)) => LevelFilter::Warn,
        (false, 0 | 1) => LevelFilter::Info,
        (false, _) => LevelFilter::Debug,
    };
    match std::env::var("BIOPRUNE_LOG") {
        Ok(filter) if !options.quiet && options.verbose == 0 => builder.parse_filters(&filter),
        // libraries below may log what their users need not read
        _ => builder.filter_level(level.min(LevelFilter::Warn)).filter_module("bioprune", level),
    };
    builder.target(Target::Pipe(Box::new(AroundBars(bars))));
    let format = options.log_format;
    builder.format(move |line, record| {
        let job = current().filter(|_| is_of_a_job(record.target()));
        match format {
            LogFormat::Text => writeln!(line, "{}", text(record, job)),
            LogFormat::Json => writeln!(line, "{}", json(record, job)),
        }
    });
    builder.init();
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// An object on each line: time, level, target, message, and the job and trace that it belongs to
    Json,
}

/// Whether what says this is only called while a job is computed.
fn is_of_a_job(target: &str) -> bool {
    const LAYERS: [&str; 7] = ["pipeline", "sequence", "scores", "selection", "influence", "model", "train"];
    let layer = target.strip_prefix("bioprune::").and_then(|path| path.split("::").next());
    layer.is_some_and(|layer| LAYERS.contains(&layer))
}

fn text(record: &Record<'_>, job: Option<CurrentJob>) -> String {
    let level = record.level().as_str().to_ascii_lowercase();
    match job {
        Some(job) => format!("bioprune: {level}: job {}: {}", job.id, record.args()),
        None => format!("bioprune: {level}: {}", record.args()),
    }
}

fn json(record: &Record<'_>, job: Option<CurrentJob>) -> Value {
    let mut line = json!({
        "time": DateTime::<Utc>::from(SystemTime::now()).to_rfc3339_opts(SecondsFormat::Millis, true),
        "level": record.level().as_str().to_ascii_lowercase(),
        "target": record.target(),
        "message": record.args().to_string(),
    });
    if let Some(job) = job {
        line["job"] = job.id.into();
        line["traceparent"] = job.trace.into();
    }
    line
}

/// Standard error, with the bars taken away while a line is written.
struct AroundBars(MultiProgress);

impl Write for AroundBars {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.suspend(|| std::io::stderr().lock().write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().lock().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::Level;

    #[test]
    fn lines_name_the_job_that_they_are_of_in_both_formats() {
        let trace = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_string());
        let job = CurrentJob { id: "prune-1".to_string(), trace: trace.clone() };
        let arguments = format_args!("a \"word\"\n");
        let record =
            Record::builder().args(arguments).level(Level::Info).target("bioprune::pipeline").build();
        let told = json(&record, Some(job.clone()));
        assert_eq!((&told["job"], &told["level"]), (&json!("prune-1"), &json!("info")));
        assert_eq!((&told["traceparent"], &told["message"]), (&json!(trace), &json!("a \"word\"\n")));
        assert!(json(&record, None).get("job").is_none() && !told.to_string().contains('\n'));
        assert!(text(&record, Some(job)).starts_with("bioprune: info: job prune-1: a "));
        assert!(is_of_a_job("bioprune::pipeline::parts") && !is_of_a_job("bioprune::service::problem"));
    }
}
