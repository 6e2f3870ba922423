//! Histograms as inline SVG: the pool as bars, the coreset as an outline over them.

use super::axis;
use super::distribution::{Both, Histogram};
use super::quantity::{counted, grouped, share};
use super::tables::Escaped;
use std::fmt::Write;

/// What a plot says around its bars.
pub(super) struct Plot<'a> {
    /// Unique in the page
    pub id: &'a str,
    pub title: &'a str,
    /// Name of the axis, with its unit
    pub axis: &'a str,
    pub histogram: &'a Histogram,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 50.0;

impl Plot<'_> {
    /// The figure: the plot and a caption with the numbers that a picture cannot give.
    pub(super) fn render(&self) -> String {
        let mut html = String::new();
        // writing to a String cannot fail
        let _ = write!(
            html,
            "<figure>{}<figcaption>{}</figcaption></figure>",
            self.svg().unwrap_or_default(),
            Escaped(&self.caption())
        );
        html
    }

    fn caption(&self) -> String {
        let histogram = self.histogram;
        if histogram.edges.is_empty() {
            return format!("{}: no records.", self.title);
        }
        let (pool, kept) = (&histogram.pool_stats, &histogram.kept_stats);
        let mut text = format!(
            "Pool: median {}, mean {}. Kept: median {}, mean {}.",
            number(pool.median),
            number(pool.mean),
            number(kept.median),
            number(kept.mean)
        );
        let edges = &histogram.edges;
        let outside =
            [("below", histogram.below, edges[0]), ("at or above", histogram.above, edges[edges.len() - 1])];
        for (side, Both { pool, kept }, edge) in outside {
            if pool > 0 {
                let _ = write!(
                    text,
                    " Not drawn: {} {side} {}, {} of them kept.",
                    counted(pool, "record"),
                    number(edge),
                    if kept == 0 { "none".to_string() } else { grouped(kept) }
                );
            }
        }
        text
    }

    fn svg(&self) -> Result<String, std::fmt::Error> {
        let histogram = self.histogram;
        let [low, .., high] = histogram.edges[..] else { return Ok(String::new()) };
        let pool = shares(&histogram.pool, histogram.pool_stats.count);
        let kept = shares(&histogram.kept, histogram.kept_stats.count);
        let highest = pool.iter().chain(&kept).copied().fold(0.0, f64::max).max(f64::MIN_POSITIVE);
        let y_ticks = axis::ticks(0.0, highest * 1.04, 5.0);
        let x = |value: f64| LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT);
        let y = |share: f64| HEIGHT - BOTTOM - share / (highest * 1.04) * (HEIGHT - TOP - BOTTOM);

        let mut svg = String::new();
        let id = self.id;
        write!(
            svg,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"{id}-title {id}-desc\">\
             <title id=\"{id}-title\">{}</title><desc id=\"{id}-desc\">{}</desc>",
            Escaped(self.title),
            Escaped(&self.describe(&pool, &kept))
        )?;
        for (at, text) in &y_ticks {
            let y = y(*at);
            let (end, label) = (WIDTH - RIGHT, LEFT - 8.0);
            write!(svg, "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{end}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>")?;
            write!(svg, "<text class=\"end\" x=\"{label}\" y=\"{:.1}\">{text}%</text>", y + 4.0)?;
        }
        for (i, share) in pool.iter().enumerate().filter(|(_, share)| **share > 0.0) {
            let (left, right) = (x(histogram.edges[i]), x(histogram.edges[i + 1]));
            let (top, base) = (y(*share), y(0.0));
            // a hair of space between bars
            let width = (right - left - 0.6).max(0.4);
            write!(
                svg,
                "<rect class=\"pool\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{:.1}\"/>",
                base - top
            )?;
        }
        let mut outline = format!("M{:.1} {:.1}", x(low), y(0.0));
        for (i, share) in kept.iter().enumerate() {
            write!(outline, "V{:.1}H{:.1}", y(*share), x(histogram.edges[i + 1]))?;
        }
        write!(svg, "<path class=\"kept\" d=\"{outline}V{:.1}Z\"/>", y(0.0))?;
        let base = y(0.0);
        write!(
            svg,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{base}\" y2=\"{base}\"/>",
            WIDTH - RIGHT
        )?;
        for (at, text) in axis::ticks(low, high, 8.0) {
            let x = x(at);
            write!(
                svg,
                "<line class=\"axis\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{base}\" y2=\"{}\"/>",
                base + 5.0
            )?;
            write!(svg, "<text class=\"mid\" x=\"{x:.1}\" y=\"{}\">{text}</text>", base + 19.0)?;
        }
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        write!(
            svg,
            "<text class=\"mid name\" x=\"{middle}\" y=\"{}\">{}</text>",
            HEIGHT - 8.0,
            Escaped(self.axis)
        )?;
        write!(svg, "<text class=\"name\" x=\"4\" y=\"16\">share of records</text>")?;
        self.legend(&mut svg)?;
        svg.push_str("</svg>");
        Ok(svg)
    }

    fn legend(&self, svg: &mut String) -> std::fmt::Result {
        let counts = [
            ("pool", "pool", self.histogram.pool_stats.count),
            ("kept", "kept", self.histogram.kept_stats.count),
        ];
        for (i, (class, name, count)) in counts.into_iter().enumerate() {
            let left = WIDTH - RIGHT - 280.0 + 150.0 * i as f64;
            write!(svg, "<rect class=\"{class}\" x=\"{left}\" y=\"6\" width=\"14\" height=\"11\"/>")?;
            write!(svg, "<text x=\"{}\" y=\"16\">{name} ({})</text>", left + 20.0, grouped(count))?;
        }
        Ok(())
    }

    /// The plot in words, for those who do not see it.
    fn describe(&self, pool: &[f64], kept: &[f64]) -> String {
        let peak = |shares: &[f64]| {
            let highest = shares.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            highest.map_or(String::new(), |(i, share)| {
                let (from, to) = (self.histogram.edges[i], self.histogram.edges[i + 1]);
                format!("{share:.1}% between {} and {}", number(from), number(to))
            })
        };
        format!(
            "Histogram over {}. Highest bar of the pool: {}. Of the kept records: {}.",
            self.axis,
            peak(pool),
            peak(kept)
        )
    }
}

/// Counts in percent of all records of the set, those outside the plot too.
fn shares(counts: &[u64], all: u64) -> Vec<f64> {
    counts.iter().map(|count| 100.0 * *count as f64 / all.max(1) as f64).collect()
}

/// Three significant digits, without an exponent where that stays short.
pub(super) fn number(value: f64) -> String {
    let (size, sign) = (value.abs(), if value < 0.0 { "−" } else { "" });
    match size {
        0.0 => "0".to_string(),
        0.001..1e9 => {
            let decimals = (2.0 - size.log10().floor()).max(0.0) as usize;
            let text = format!("{size:.decimals$}");
            match text.split_once('.') {
                None => format!("{sign}{}", grouped(size.round() as u64)),
                Some((whole, part)) => {
                    let part = part.trim_end_matches('0');
                    format!("{sign}{whole}{}{part}", if part.is_empty() { "" } else { "." })
                }
            }
        }
        _ => format!("{sign}{size:.2e}"),
    }
}

/// A bar as long as the share, for a table cell; the number itself stands before it.
pub(super) fn bar(part: u64, whole: u64) -> String {
    let width = 100.0 * part as f64 / whole.max(1) as f64;
    format!(
        "{} <svg class=\"cell\" viewBox=\"0 0 100 10\" aria-hidden=\"true\"><rect class=\"pool\" width=\"100\" \
         height=\"10\"/><rect class=\"full\" width=\"{width:.1}\" height=\"10\"/></svg>",
        share(part, whole)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Distribution;

    #[test]
    fn numbers_have_three_digits() {
        let table = [
            (0.0, "0"),
            (96.0, "96"),
            (141.26, "141"),
            (0.034567, "0.0346"),
            (-2.5, "−2.5"),
            (1_234_567.0, "1,234,567"),
            (1.5e-9, "1.50e-9"),
        ];
        for (value, text) in table {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_plot_draws_its_bars_within_the_frame_and_tells_what_is_outside() {
        let mut lengths = Distribution::default();
        (0..5_000).for_each(|i| lengths.add((20 + i % 100) as f32, i % 10 == 0));
        (0..5).for_each(|_| lengths.add(9_000.0, true));
        let histogram = lengths.histogram(1.0);
        let plot = Plot { id: "length", title: "Lengths", axis: "length <nt>", histogram: &histogram };
        let html = plot.render();
        assert_eq!(
            html.matches("class=\"pool\"").count(),
            histogram.pool.iter().filter(|n| **n > 0).count() + 1
        );
        assert!(html.contains("length &lt;nt&gt;"), "{html}");
        assert!(html.contains("Not drawn: 5 records at or above"), "{html}");
        assert!(html.contains("aria-labelledby=\"length-title length-desc\""));
    }

    #[test]
    fn an_empty_pool_has_a_caption_and_no_plot() {
        let histogram = Histogram::default();
        let plot = Plot { id: "length", title: "Lengths", axis: "nt", histogram: &histogram };
        assert_eq!(plot.render(), "<figure><figcaption>Lengths: no records.</figcaption></figure>");
    }
}
