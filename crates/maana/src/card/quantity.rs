//! Formats quantities for readers: durations, sizes, thousands.

use maana_chart::grouped;

/// Formats a whole number with grouped thousands.
pub(crate) fn count(number: impl std::fmt::Display) -> String {
    grouped(&number.to_string())
}

/// Formats seconds as `8.2 s`, `3 min 20 s` or `2 h 5 min`.
pub(crate) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "unknown".into();
    }
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// Formats bytes as `812 MB` or `1.53 GB`.
pub(crate) fn bytes(number: u64) -> String {
    match number {
        0..1_000_000 => format!("{:.0} kB", number as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.0} MB", number as f64 / 1e6),
        _ => format!("{:.2} GB", number as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_formatted() {
        assert_eq!(count(282_883), "282,883");
        assert_eq!((count(0), count(-1234), grouped("1234567.5")), ("0".into(), "-1,234".into(), "1,234,567.5".into()));
        assert_eq!(grouped("NaN"), "NaN");
        assert_eq!(
            (duration(8.24), duration(200.0), duration(7_512.0)),
            ("8.2 s".into(), "3 min 20 s".into(), "2 h 5 min".into())
        );
        assert_eq!(duration(f64::NAN), "unknown");
        assert_eq!((bytes(812_000_000), bytes(1_530_000_000)), ("812 MB".into(), "1.53 GB".into()));
    }
}
