//! Parsers of numeric arguments.

use std::fmt::Display;
use std::str::FromStr;

/// Parses a finite number. NaN and infinity have no effect as a bound, so they are refused.
pub(crate) fn finite<T: FromStr<Err: Display> + Copy + Into<f64>>(text: &str) -> Result<T, String> {
    let number: T = text.parse().map_err(|error: T::Err| error.to_string())?;
    if Into::<f64>::into(number).is_finite() { Ok(number) } else { Err("expected a finite number".to_owned()) }
}

/// Parses a positive count.
pub(crate) fn one_or_more(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(0) => Err("expected 1 or more".to_owned()),
        number => number.map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::{finite, one_or_more};

    #[test]
    fn counts_are_one_or_more() {
        assert_eq!(one_or_more("1"), Ok(1));
        assert!(["0", "-1", "x", ""].into_iter().all(|text| one_or_more(text).is_err()));
    }

    #[test]
    fn numbers_are_finite() {
        assert_eq!(finite::<f32>("-1.5"), Ok(-1.5));
        assert_eq!(finite::<f64>("1e-3"), Ok(1e-3));
        for text in ["nan", "inf", "-infinity", "1e999", "a", ""] {
            assert!(finite::<f32>(text).is_err() && finite::<f64>(text).is_err(), "{text}");
        }
    }
}
