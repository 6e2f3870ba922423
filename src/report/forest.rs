//! Forest plots: estimates as points on lines that are their intervals, one below the other.

use super::axis;
use super::tables::Escaped;
use std::fmt::Write;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 290.0;
const RIGHT: f64 = 20.0;
const ROW: f64 = 24.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 46.0;

pub(super) struct Forest<'a> {
    pub title: &'a str,
    /// What is measured, in which unit
    pub axis: &'a str,
    /// Text below the figure; none where it is empty
    pub caption: &'a str,
    /// What the axis shows at least
    pub span: (f64, f64),
    pub rows: Vec<Row>,
}

pub(super) struct Row {
    pub name: String,
    /// Class of the style: `better`, `worse` or `level`
    pub class: &'static str,
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

impl Forest<'_> {
    /// Nothing where there are no rows.
    pub fn render(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let low = self.rows.iter().map(|row| row.low.min(row.value)).fold(self.span.0, f64::min);
        let high = self.rows.iter().map(|row| row.high.max(row.value)).fold(self.span.1, f64::max);
        let x = |value: f64| LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT);
        let base = TOP + ROW * self.rows.len() as f64;
        let mut svg = format!(
            "<figure><svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\"><title>{}</title>",
            base + BOTTOM,
            Escaped(self.title)
        );
        let mut upright = |class: &str, x: f64| {
            let _ = write!(
                svg,
                "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{base}\"/>"
            );
        };
        let ticks = axis::ticks(low, high, 6.0);
        ticks.iter().for_each(|(at, _)| upright("grid", x(*at)));
        upright("axis", x(0.0));
        for (at, text) in ticks {
            let _ = write!(svg, "<text class=\"mid\" x=\"{:.1}\" y=\"{}\">{text}</text>", x(at), base + 18.0);
        }
        for (place, row) in self.rows.iter().enumerate() {
            let y = TOP + ROW * (place as f64 + 0.5);
            let _ = write!(
                svg,
                "<text class=\"end\" x=\"{}\" y=\"{:.1}\">{}</text><g class=\"{}\">\
                 <line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4\"/></g>",
                LEFT - 10.0,
                y + 4.0,
                Escaped(&row.name),
                row.class,
                x(row.low),
                x(row.high),
                x(row.value)
            );
        }
        let _ = write!(
            svg,
            "<text class=\"mid name\" x=\"{:.1}\" y=\"{}\">{}</text></svg>",
            (LEFT + WIDTH - RIGHT) / 2.0,
            base + 38.0,
            Escaped(self.axis)
        );
        if !self.caption.is_empty() {
            let _ = write!(svg, "<figcaption>{}</figcaption>", Escaped(self.caption));
        }
        svg + "</figure>"
    }
}
