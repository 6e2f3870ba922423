//! Log lines on stderr, kept apart from the progress bars.

use super::{Command, OutputOptions};
use env_logger::{Builder, Target};
use indicatif::MultiProgress;
use log::LevelFilter;
use std::io::Write;

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
    builder.format(|line, record| {
        let level = record.level().as_str().to_ascii_lowercase();
        writeln!(line, "bioprune: {level}: {}", record.args())
    });
    builder.init();
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
