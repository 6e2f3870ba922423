//! How far a job is, on stderr: a bar on a terminal, a line every few seconds elsewhere.

use crate::pipeline::{Progress, ProgressSink, Stage};
use crate::report::quantity::{grouped, share, short, span};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle as BarStyle};
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ProgressStyle {
    /// A bar on a terminal, lines elsewhere
    Auto,
    /// A bar
    Bar,
    /// A line every few seconds
    Plain,
    /// Nothing
    None,
}

/// Often enough to see that a job lives; and so long after the last one, as a share of what the stage has taken, that a day's
/// log stays short.
const LINE_EVERY: Duration = Duration::from_secs(5);
const LINE_SHARE: f64 = 1.0 / 60.0;

pub(super) fn sink(style: ProgressStyle, bars: &MultiProgress) -> Arc<dyn ProgressSink> {
    match style {
        ProgressStyle::None => Arc::new(()),
        ProgressStyle::Plain => Arc::new(Lines::default()),
        ProgressStyle::Bar => Arc::new(Bar::new(bars)),
        ProgressStyle::Auto if std::io::stderr().is_terminal() => Arc::new(Bar::new(bars)),
        ProgressStyle::Auto => Arc::new(Lines::default()),
    }
}

pub(super) fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Scan => "scan",
        Stage::Adapt => "adapt",
        Stage::Curvature => "curvature",
        Stage::Score => "score",
        Stage::Select => "select",
        Stage::Embed => "embed",
    }
}

/// The rate and the time left, from what is done so far: `1.21 M tokens/s, 1 min 20 s left`; before these how much is done
/// where the records are not counted: `18.3% of the input`.
fn outlook(progress: &Progress) -> String {
    if progress.seconds <= 0.0 || progress.records == 0 {
        return String::new();
    }
    let mut parts = Vec::new();
    if let (None, Some(done)) = (progress.total_records, progress.input_share) {
        parts.push(format!("{:.1}% of the input", 100.0 * done));
    }
    if progress.tokens > 0 {
        parts.push(format!("{} tokens/s", short(progress.tokens as f64 / progress.seconds)));
    } else {
        parts.push(format!("{} records/s", short(progress.records as f64 / progress.seconds)));
    }
    if let Some(seconds) = progress.seconds_left() {
        parts.push(format!("{} left", span(seconds.round())));
    }
    parts.join(", ")
}

/// A line for a stage that goes on: `score: 12,000 of 65,645 records (18.3%), 1.21 M tokens/s, 1 min 20 s left`.
fn line(progress: &Progress) -> String {
    let mut text = format!("bioprune: {}: {}", name(progress.stage), grouped(progress.records));
    if let Some(total) = progress.total_records {
        text.push_str(&format!(" of {} records ({})", grouped(total), share(progress.records, total)));
    } else {
        text.push_str(" records");
    }
    let outlook = outlook(progress);
    if !outlook.is_empty() {
        text.push_str(&format!(", {outlook}"));
    }
    text
}

/// A line for a stage that is over.
fn closing_line(progress: &Progress) -> String {
    format!(
        "bioprune: {}: done, {} records in {}",
        name(progress.stage),
        grouped(progress.records),
        span(progress.seconds)
    )
}

/// Plain lines, for logs.
#[derive(Default)]
struct Lines(Mutex<Option<Shown>>);

struct Shown {
    latest: Progress,
    said: Instant,
}

impl ProgressSink for Lines {
    fn update(&self, progress: &Progress) {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        let due = match &*shown {
            Some(before) if before.latest.stage == progress.stage => {
                before.said.elapsed()
                    >= LINE_EVERY.max(Duration::from_secs_f64(progress.seconds * LINE_SHARE))
            }
            Some(before) => {
                text = closing_line(&before.latest) + "\n";
                true
            }
            None => true,
        };
        if due {
            text.push_str(&line(progress));
            text.push('\n');
            std::io::stderr().lock().write_all(text.as_bytes()).ok();
        }
        let said = match &*shown {
            Some(before) if !due => before.said,
            _ => Instant::now(),
        };
        *shown = Some(Shown { latest: progress.clone(), said });
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let shown = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(shown) = shown {
            std::io::stderr().lock().write_all((closing_line(&shown.latest) + "\n").as_bytes()).ok();
        }
    }
}

/// One bar, for the stage that runs.
struct Bar {
    bar: ProgressBar,
    stage: Mutex<Option<Stage>>,
    known: BarStyle,
    unknown: BarStyle,
}

impl Bar {
    fn new(bars: &MultiProgress) -> Self {
        let style = |template| BarStyle::with_template(template).unwrap_or_else(|_| BarStyle::default_bar());
        Bar {
            bar: bars.add(ProgressBar::no_length()),
            stage: Mutex::new(None),
            known: style("{prefix:>9} {bar:28} {percent:>3}%  {human_pos} of {human_len} records  {msg}"),
            unknown: style("{prefix:>9} {spinner} {human_pos} records  {msg}"),
        }
    }
}

impl ProgressSink for Bar {
    fn update(&self, progress: &Progress) {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        if *stage != Some(progress.stage) {
            *stage = Some(progress.stage);
            self.bar.set_prefix(name(progress.stage));
            self.bar.set_style(
                if progress.total_records.is_some() { &self.known } else { &self.unknown }.clone(),
            );
        }
        if let Some(total) = progress.total_records {
            self.bar.set_length(total);
        }
        self.bar.set_message(outlook(progress));
        self.bar.set_position(progress.records);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(records: u64, total_records: Option<u64>, tokens: u64, seconds: f64) -> Progress {
        let (stage, input_share, batch_fill) = (Stage::Score, None, None);
        Progress { stage, records, total_records, input_share, tokens, seconds, batch_fill }
    }

    #[test]
    fn a_line_tells_rate_and_time_left() {
        let text = line(&score(16_000, Some(64_000), 12_100_000, 10.0));
        assert_eq!(text, "bioprune: score: 16,000 of 64,000 records (25.0%), 1.21 M tokens/s, 30 s left");
    }

    #[test]
    fn a_stage_without_tokens_or_total_tells_records() {
        assert_eq!(line(&score(500, None, 0, 2.0)), "bioprune: score: 500 records, 250 records/s");
        assert_eq!(line(&score(0, Some(10), 0, 0.0)), "bioprune: score: 0 of 10 records (0.0%)");
        let shard = Progress { input_share: Some(0.4), ..score(500, None, 24_000, 2.0) };
        assert_eq!(
            line(&shard),
            "bioprune: score: 500 records, 40.0% of the input, 12.0 k tokens/s, 3.0 s left"
        );
    }
}
