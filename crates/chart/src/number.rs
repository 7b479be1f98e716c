//! Numbers with grouped thousands.

/// Groups thousands: `12,345.6` for `12345.6`. Text that is not a number is returned unchanged.
pub fn grouped(number: &str) -> String {
    let (whole, rest) = number.find('.').map_or((number, ""), |dot| number.split_at(dot));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return number.into();
    }
    let mut out = String::from(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}

/// Formats a value with up to four decimals and grouped thousands.
pub(crate) fn short(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-3 {
        return format!("{value:.2e}");
    }
    let places = if value.abs() >= 1000.0 { 0 } else { 4 };
    let text = format!("{value:.places$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    grouped(text)
}

#[cfg(test)]
mod tests {
    use super::{grouped, short};

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(["1234567.5", "-1234", "7", "NaN"].map(grouped), ["1,234,567.5", "-1,234", "7", "NaN"]);
    }

    #[test]
    fn values_have_up_to_four_decimals() {
        assert_eq!([9.70889, 2208.0, 2e-5].map(short), ["9.7089", "2,208", "2.00e-5"]);
    }
}
