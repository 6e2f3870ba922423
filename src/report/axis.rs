//! Round numbers for axes.

/// Room for more bars than asked for: rounding a step down may double them.
const MOST_EDGES: f64 = 200.0;

/// The round step (1, 2 or 5 times a power of ten) that cuts `span` into about `parts`, at most twice as wide as asked.
pub(super) fn step(span: f64, parts: f64) -> f64 {
    let rough = span / parts;
    let magnitude = 10f64.powf(rough.log10().floor());
    let lead = rough / magnitude;
    magnitude
        * match lead {
            _ if lead <= 1.0 => 1.0,
            _ if lead <= 2.0 => 2.0,
            _ if lead <= 5.0 => 5.0,
            _ => 10.0,
        }
}

/// Round edges from at or below `low` to above `high`, for at most about `bars` bars of at least `finest`.
pub(super) fn edges(low: f64, high: f64, bars: f64, finest: f64) -> Vec<f64> {
    // numbers that are all but equal would need marks of many digits
    let floor = (low.abs().max(high.abs()) * 1e-3).max(f64::MIN_POSITIVE);
    let span = (high - low).max(floor);
    let step = step(span, bars).max(finest);
    let first = (low / step).floor();
    let last = ((high / step).floor() + 1.0).min(first + MOST_EDGES);
    let count = (last - first) as usize;
    (0..=count).map(|i| (first + i as f64) * step).collect()
}

/// About `parts` round marks within `low..=high`, with their text.
pub(super) fn ticks(low: f64, high: f64, parts: f64) -> Vec<(f64, String)> {
    let step = step(high - low, parts);
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|i| i as f64 * step).map(|at| (at, label(at, step))).collect()
}

/// The number with as many digits as the step needs.
fn label(at: f64, step: f64) -> String {
    if at == 0.0 {
        return "0".to_string();
    }
    let (size, sign) = (at.abs(), if at < 0.0 { "−" } else { "" });
    let place = step.log10().floor();
    let digits = (size.log10().floor() - place).max(0.0) as usize;
    match place {
        0.0.. if size < 1e9 => format!("{sign}{}", super::quantity::grouped(size.round() as u64)),
        -4.0..0.0 => format!("{sign}{size:.*}", -place as usize),
        _ => format!("{sign}{size:.digits$e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        for (span, parts, expected) in
            [(100.0, 10.0, 10.0), (97.0, 5.0, 20.0), (0.9, 6.0, 0.2), (3e-8, 4.0, 1e-8)]
        {
            assert!(
                (step(span, parts) / expected - 1.0).abs() < 1e-9,
                "{span}/{parts}: {}",
                step(span, parts)
            );
        }
    }

    #[test]
    fn edges_hold_the_range_and_are_no_finer_than_asked() {
        assert_eq!(edges(3.0, 7.0, 48.0, 1.0), [3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        let edges = edges(-0.31, 0.97, 10.0, 0.0);
        assert!(edges[0] <= -0.31 && *edges.last().unwrap() > 0.97, "{edges:?}");
    }

    #[test]
    fn ticks_read_well() {
        let texts = |low, high| ticks(low, high, 5.0).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        assert_eq!(texts(0.0, 500.0), ["0", "100", "200", "300", "400", "500"]);
        assert_eq!(texts(0.0, 4_000.0), ["0", "1,000", "2,000", "3,000", "4,000"]);
        assert_eq!(texts(-0.1, 0.3), ["−0.1", "0", "0.1", "0.2", "0.3"]);
        assert_eq!(texts(0.0, 3e-6), ["0", "1e-6", "2e-6", "3e-6"]);
    }
}
