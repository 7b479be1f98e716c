//! Scripts of texts, by the blocks of Unicode in which their letters are.

use serde::Serialize;

/// Names of scripts with their ranges of code points, ascending.
const RANGES: [(u32, u32, &str); 49] = [
    (0x0041, 0x024F, "Latin"),
    (0x0250, 0x02AF, "Latin"),
    (0x0370, 0x03FF, "Greek"),
    (0x0400, 0x052F, "Cyrillic"),
    (0x0530, 0x058F, "Armenian"),
    (0x0590, 0x05FF, "Hebrew"),
    (0x0600, 0x06FF, "Arabic"),
    (0x0700, 0x074F, "Syriac"),
    (0x0750, 0x077F, "Arabic"),
    (0x0780, 0x07BF, "Thaana"),
    (0x07C0, 0x07FF, "N'Ko"),
    (0x0870, 0x08FF, "Arabic"),
    (0x0900, 0x097F, "Devanagari"),
    (0x0980, 0x09FF, "Bengali"),
    (0x0A00, 0x0A7F, "Gurmukhi"),
    (0x0A80, 0x0AFF, "Gujarati"),
    (0x0B00, 0x0B7F, "Odia"),
    (0x0B80, 0x0BFF, "Tamil"),
    (0x0C00, 0x0C7F, "Telugu"),
    (0x0C80, 0x0CFF, "Kannada"),
    (0x0D00, 0x0D7F, "Malayalam"),
    (0x0D80, 0x0DFF, "Sinhala"),
    (0x0E00, 0x0E7F, "Thai"),
    (0x0E80, 0x0EFF, "Lao"),
    (0x0F00, 0x0FFF, "Tibetan"),
    (0x1000, 0x109F, "Myanmar"),
    (0x10A0, 0x10FF, "Georgian"),
    (0x1100, 0x11FF, "Hangul"),
    (0x1200, 0x139F, "Ethiopic"),
    (0x13A0, 0x13FF, "Cherokee"),
    (0x1780, 0x17FF, "Khmer"),
    (0x1800, 0x18AF, "Mongolian"),
    (0x1E00, 0x1EFF, "Latin"),
    (0x1F00, 0x1FFF, "Greek"),
    (0x2C60, 0x2C7F, "Latin"),
    (0x2D30, 0x2D7F, "Tifinagh"),
    (0x2D80, 0x2DDF, "Ethiopic"),
    (0x3040, 0x309F, "Hiragana"),
    (0x30A0, 0x30FF, "Katakana"),
    (0x3130, 0x318F, "Hangul"),
    (0x3400, 0x9FFF, "Han"),
    (0xA500, 0xA63F, "Vai"),
    (0xA6A0, 0xA6FF, "Bamum"),
    (0xA720, 0xA7FF, "Latin"),
    (0xAB00, 0xAB2F, "Ethiopic"),
    (0xAC00, 0xD7FF, "Hangul"),
    (0xFB50, 0xFEFF, "Arabic"),
    (0x1E900, 0x1E95F, "Adlam"),
    (0x20000, 0x3FFFF, "Han"),
];

/// Name for letters of scripts that are not in the table.
const OTHER: &str = "another script";

/// Name for texts without letters.
pub(super) const NO_LETTERS: &str = "no letters";

/// A script and the share of the texts that are mainly written in it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScriptShare {
    /// Name of the script.
    pub script: &'static str,
    /// Number of texts.
    pub texts: usize,
    /// Share of the texts of the column.
    pub share: f64,
}

/// Returns the script of most letters of a text; of equally many that of the first.
pub(super) fn main_script(text: &str) -> &'static str {
    let mut counts: Vec<(&'static str, usize)> = Vec::new();
    for letter in text.chars().filter(|letter| letter.is_alphabetic()) {
        let script = script(letter);
        match counts.iter_mut().find(|(name, _)| *name == script) {
            Some((_, count)) => *count += 1,
            None => counts.push((script, 1)),
        }
    }
    let most = counts.iter().map(|(_, count)| *count).max();
    counts.iter().find(|(_, count)| Some(*count) == most).map_or(NO_LETTERS, |(name, _)| name)
}

fn script(letter: char) -> &'static str {
    let code = letter as u32;
    let at = RANGES.partition_point(|(first, ..)| *first <= code);
    match at.checked_sub(1).map(|at| RANGES[at]) {
        Some((_, last, name)) if code <= last => name,
        _ => OTHER,
    }
}

/// Counts the texts of a column by their main scripts, the most frequent first.
pub(super) fn shares(scripts: impl Iterator<Item = &'static str>) -> Vec<ScriptShare> {
    let mut counts: Vec<ScriptShare> = Vec::new();
    let mut all = 0;
    for script in scripts {
        all += 1;
        match counts.iter_mut().find(|share| share.script == script) {
            Some(share) => share.texts += 1,
            None => counts.push(ScriptShare { script, texts: 1, share: 0.0 }),
        }
    }
    counts.iter_mut().for_each(|share| share.share = share.texts as f64 / all as f64);
    counts.sort_by(|a, b| b.texts.cmp(&a.texts).then(a.script.cmp(b.script)));
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_ascend() {
        assert!(RANGES.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }

    #[test]
    fn the_main_script_has_most_letters() {
        for (text, expected) in [
            ("Habari ya asubuhi", "Latin"),
            ("ሰላም ነው Ethiopia", "Latin"),
            ("ሰላም ለዓለም ok", "Ethiopic"),
            ("مرحبا", "Arabic"),
            ("Привет, мир", "Cyrillic"),
            ("日本", "Han"),
            ("12 + 3", NO_LETTERS),
            ("ⲁⲃⲅ", OTHER),
        ] {
            assert_eq!(main_script(text), expected, "{text}");
        }
    }

    #[test]
    fn scripts_are_counted_by_texts() {
        let found = shares(["Latin", "Arabic", "Latin"].into_iter());
        assert_eq!((found[0].script, found[0].texts, found[1].script), ("Latin", 2, "Arabic"));
    }
}
