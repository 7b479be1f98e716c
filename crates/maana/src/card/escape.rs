//! Escapes text for the contexts of a card: YAML scalars, lines and cells of Markdown, Python
//! strings, shell arguments. Texts come from data sets and are untrusted.

use std::fmt::Write;

/// Words that YAML 1.1 does not read as strings.
const NOT_TEXT: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];

/// Formats a text as a YAML scalar in block context: plain if that is safe, otherwise in double
/// quotes.
pub(crate) fn yaml(text: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || " _-./@,'".contains(letter);
    let colon_inside = !text.ends_with(':') && !text.contains(": ");
    let safe = text.starts_with(|first: char| first.is_alphabetic())
        && !text.ends_with(' ')
        && colon_inside
        && text.chars().all(|letter| plain(letter) || letter == ':')
        && !NOT_TEXT.contains(&text.to_lowercase().as_str());
    if safe {
        return text.into();
    }
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => out += "\\\"",
            '\\' => out += "\\\\",
            '\n' => out += "\\n",
            '\r' => out += "\\r",
            '\t' => out += "\\t",
            letter if letter.is_control() || "\u{2028}\u{2029}\u{feff}\u{fffe}\u{ffff}".contains(letter) => {
                let _ = write!(out, "\\u{:04x}", letter as u32);
            }
            letter => out.push(letter),
        }
    }
    out + "\""
}

/// Formats a finite number for YAML 1.1 and 1.2 in full precision: with a point, without an
/// exponent.
pub(crate) fn yaml_number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.1}") } else { value.to_string() }
}

/// Escapes a text for one line or table cell of Markdown: without markup and line breaks.
pub(crate) fn inline(text: &str) -> String {
    let letters: Vec<char> = text.replace("\r\n", "\n").chars().collect();
    let word =
        |index: Option<usize>| index.and_then(|at| letters.get(at)).is_some_and(|letter| letter.is_alphanumeric());
    let mut out = String::with_capacity(text.len());
    for (index, &letter) in letters.iter().enumerate() {
        let entity = match letter {
            '&' | '<' | '>' | '|' | '`' | '\\' | '*' | '~' | '$' => true,
            '_' => !(word(index.checked_sub(1)) && word(Some(index + 1))),
            ']' => letters.get(index + 1) == Some(&'('),
            _ => false,
        };
        match letter {
            '\n' | '\r' => out += "<br>",
            _ if entity => {
                let _ = write!(out, "&#{};", letter as u32);
            }
            letter if letter.is_control() => out.push(' '),
            letter => out.push(letter),
        }
    }
    out
}

/// Reverses [`line()`]: returns the text of an escaped line.
pub(crate) fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line.trim();
    while let Some((before, entity)) = rest.split_once("&#") {
        out += before;
        let letter = entity.split_once(';').and_then(|(code, rest)| Some((char::from_u32(code.parse().ok()?)?, rest)));
        match letter {
            Some((letter, after)) => {
                out.push(letter);
                rest = after;
            }
            None => {
                out += "&#";
                rest = entity;
            }
        }
    }
    out + rest
}

/// Escapes a text for headings and sentences of Markdown: white space becomes single spaces.
pub(crate) fn line(text: &str) -> String {
    inline(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Formats a text as inline code in Markdown, also in tables.
pub(crate) fn code(text: &str) -> String {
    format!("<code>{}</code>", inline(text))
}

/// Formats a text as a Python string literal.
pub(crate) fn python(text: &str) -> String {
    let mut out = String::from("'");
    for letter in text.chars() {
        match letter {
            '\'' => out += "\\'",
            '\\' => out += "\\\\",
            '\n' => out += "\\n",
            '\r' => out += "\\r",
            '\t' => out += "\\t",
            letter if letter.is_control() || "\u{2028}\u{2029}".contains(letter) => {
                let _ = write!(out, "\\u{:04x}", letter as u32);
            }
            letter => out.push(letter),
        }
    }
    out + "'"
}

/// Quotes a text as one argument of a POSIX shell, on one line.
pub(crate) fn shell(text: &str) -> String {
    let text: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    let bare = |letter: char| letter.is_ascii_alphanumeric() || "_-./@:".contains(letter);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(bare) {
        return text;
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Percent-encodes a text for the path of a link.
pub(crate) fn url(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_./".contains(&byte) {
            out.push(byte as char);
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Formats a text as a fenced code block with a fence that the text does not contain, without
/// control characters.
pub(crate) fn fenced(language: &str, text: &str) -> String {
    let shown = |letter: char| if letter.is_control() && letter != '\n' { ' ' } else { letter };
    let text: String = text.chars().map(shown).collect();
    let longest = text.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{language}\n{}\n{fence}", text.trim_end_matches('\n'))
}

/// Truncates a text to `letters` characters, with an ellipsis.
pub(crate) fn cut(text: &str, letters: usize) -> String {
    match text.char_indices().nth(letters) {
        None => text.into(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_is_quoted_where_necessary() {
        for plain in ["Mwanamke anashona.", "dataset_size:282883", "apache-2.0", "cosine_ndcg@10", "Ca'daan alingoja"] {
            assert_eq!(yaml(plain), plain);
        }
        let quoted = [
            "", "no", "Yes", "1e5", "- a", "a: b", "a #b", "\"x\"", "---", "a\nb", " a", "a ", "x:", "{a}", "~",
            "é\u{0}",
        ];
        for text in quoted {
            assert!(yaml(text).starts_with('"'), "{text:?} gives {}", yaml(text));
        }
        assert_eq!(yaml("a\"b\\\n\u{85}"), "\"a\\\"b\\\\\\n\\u0085\"");
    }

    #[test]
    fn numbers_keep_full_precision_and_stay_floats() {
        for (value, text) in
            [(1.0, "1.0"), (0.0, "0.0"), (1e-5, "0.00001"), (0.26803894120641386, "0.26803894120641386")]
        {
            assert_eq!(yaml_number(value), text);
            assert_eq!(yaml_number(value).parse::<f64>().unwrap(), value);
        }
    }

    #[test]
    fn cells_contain_no_markup() {
        assert_eq!(inline("a|b`c`<b>&\n\\*x*"), "a&#124;b&#96;c&#96;&#60;b&#62;&#38;<br>&#92;&#42;x&#42;");
        assert_eq!(inline("no_duplicates _x_"), "no_duplicates &#95;x&#95;");
        assert_eq!(inline("[768, 64] [a](b)"), "[768, 64] [a&#93;(b)");
        assert_eq!(line("a\n\n# b"), "a # b");
    }

    #[test]
    fn literals_are_terminated() {
        assert_eq!(python("Ca'daan\\ \n"), "'Ca\\'daan\\\\ \\n'");
        assert_eq!(
            (shell("a/b-c"), shell("it's $HOME"), shell("-x"), shell("")),
            ("a/b-c".into(), "'it'\\''s $HOME'".into(), "'-x'".into(), "''".into())
        );
        assert_eq!(url("a/b c)"), "a/b%20c%29");
        assert_eq!(fenced("json", "a ``` b"), "````json\na ``` b\n````");
        assert_eq!((cut("àéî", 3), cut("àéîo", 3)), ("àéî".into(), "àéî…".into()));
    }
}
