//! Hexadecimal digits of hashes and fingerprints.

/// Returns the bytes in lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_have_two_digits_each() {
        assert_eq!(super::hex(&[0, 1, 0x2A, 0xFF]), "00012aff");
    }
}
