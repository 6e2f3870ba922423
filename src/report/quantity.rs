//! Numbers as people read them: thousands, multiples, shares, times and sizes.

/// `1234567` as `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 record`, `1,234 records`.
pub fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// Three significant digits and a multiple: `950`, `12.3 k`, `1.21 M`, `7.00 G`.
pub fn short(number: f64) -> String {
    scaled(number, &["", " k", " M", " G", " T"])
}

/// Decimal multiples, as disks and object stores count: `812 B`, `12.3 kB`, `1.21 MB`.
pub fn bytes(number: u64) -> String {
    scaled(number as f64, &[" B", " kB", " MB", " GB", " TB"])
}

fn scaled(number: f64, units: &[&str]) -> String {
    let mut value = number;
    let mut unit = 0;
    // 999.5 would round up to "1000"
    while value.abs() >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    let decimals = match value.abs() {
        _ if unit == 0 => 0,
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}{}", units[unit])
}

/// `part` of `whole` in percent: `10.0%`; a dash where there is no whole.
pub fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_string();
    }
    let percent = 100.0 * part as f64 / whole as f64;
    // a share that is not zero must not read as zero
    let decimals = if percent > 0.0 && percent < 0.1 { 3 } else { 1 };
    format!("{percent:.decimals$}%")
}

/// A length of time: `0.42 s`, `12 s`, `1 min 20 s`, `2 h 05 min`, `3 d 04 h`.
pub fn span(seconds: f64) -> String {
    if seconds < 9.95 {
        return if seconds < 0.995 { format!("{seconds:.2} s") } else { format!("{seconds:.1} s") };
    }
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3_600 => format!("{} min {:02} s", whole / 60, whole % 60),
        3_600..86_400 => format!("{} h {:02} min", whole / 3_600, whole % 3_600 / 60),
        _ => format!("{} d {:02} h", whole / 86_400, whole % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn one_is_not_plural() {
        assert_eq!(counted(1, "record"), "1 record");
        assert_eq!(counted(0, "record"), "0 records");
        assert_eq!(counted(1_234, "record"), "1,234 records");
    }

    #[test]
    fn multiples_keep_three_digits() {
        let table = [
            (0.0, "0"),
            (950.0, "950"),
            (999.6, "1.00 k"),
            (12_345.0, "12.3 k"),
            (1.214e6, "1.21 M"),
            (7e9, "7.00 G"),
        ];
        for (number, text) in table {
            assert_eq!(short(number), text);
        }
        assert_eq!(bytes(812), "812 B");
        assert_eq!(bytes(999_999), "1.00 MB");
    }

    #[test]
    fn shares_are_percentages_and_small_ones_do_not_read_as_zero() {
        assert_eq!(share(1, 10), "10.0%");
        assert_eq!(share(1, 100_000), "0.001%");
        assert_eq!(share(0, 10), "0.0%");
        assert_eq!(share(0, 0), "–");
    }

    #[test]
    fn times_use_the_two_largest_units() {
        let table = [
            (0.416, "0.42 s"),
            (3.12, "3.1 s"),
            (59.4, "59 s"),
            (59.6, "1 min 00 s"),
            (80.0, "1 min 20 s"),
            (7_500.0, "2 h 05 min"),
            (273_600.0, "3 d 04 h"),
        ];
        for (seconds, text) in table {
            assert_eq!(span(seconds), text);
        }
    }
}
