//! A lexer of Rust, as much as the rules need: identifiers, punctuation, string literals and
//! comments with their lines.

/// A lexical element of a Rust file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// An identifier or keyword.
    Word(String),
    /// A punctuation character.
    Sign(char),
    /// The content of a string literal, escapes as they are written.
    Text(String),
    /// A number, a character or a lifetime.
    Other,
    /// A comment without its slashes, one line each.
    Comment { text: String, doc: bool },
}

/// A token and its line, counted from 1.
pub(super) type Located = (Token, usize);

/// Returns the tokens of a file.
pub(super) fn tokens(source: &str) -> Vec<Located> {
    let mut lexer = Lexer { letters: source.chars().collect(), at: 0, line: 1, tokens: Vec::new() };
    while lexer.at < lexer.letters.len() {
        lexer.step();
    }
    lexer.tokens
}

/// Returns the tokens without comments and without items that only tests compile.
pub(super) fn production(source: &str) -> Vec<Located> {
    let mut code = tokens(source);
    code.retain(|(token, _)| !matches!(token, Token::Comment { .. }));
    without_tests(&code)
}

/// Returns the tokens, comments included, without items that only tests compile.
pub(super) fn without_tests(tokens: &[Located]) -> Vec<Located> {
    let (mut kept, mut at) = (Vec::with_capacity(tokens.len()), 0);
    while at < tokens.len() {
        match attribute(tokens, at) {
            Some((end, true)) => at = item_end(tokens, end),
            Some((end, false)) => {
                kept.extend_from_slice(&tokens[at..end]);
                at = end;
            }
            None => {
                kept.push(tokens[at].clone());
                at += 1;
            }
        }
    }
    kept
}

/// Returns the end of the attribute that begins at `at`, and whether it restricts its item to
/// tests.
fn attribute(tokens: &[Located], at: usize) -> Option<(usize, bool)> {
    if !(is_sign(tokens, at, '#') && is_sign(tokens, at + 1, '[')) {
        return None;
    }
    let end = closing(tokens, at + 1);
    let words: Vec<&str> = tokens[at..end].iter().filter_map(|(token, _)| word(token)).collect();
    let test = match words[..] {
        ["test"] => true,
        ["cfg", "test"] => true,
        ["cfg", "all", ..] => words.contains(&"test") && !words.contains(&"not"),
        _ => false,
    };
    Some((end, test))
}

/// Returns the position behind the item, field or statement that begins at `at`, its attributes
/// included.
fn item_end(tokens: &[Located], mut at: usize) -> usize {
    while let Some((end, _)) = attribute(tokens, at) {
        at = end;
    }
    let is_item = tokens.get(at).and_then(|(token, _)| word(token)).is_some_and(|word| {
        ["pub", "fn", "impl", "struct", "enum", "trait", "mod", "use", "const", "static", "type", "unsafe", "let"]
            .contains(&word)
    });
    let mut ends_with_semicolon = false;
    while at < tokens.len() {
        match &tokens[at].0 {
            Token::Word(word) => ends_with_semicolon |= ["use", "const", "static", "type", "let"].contains(&&**word),
            Token::Sign(';') => return at + 1,
            Token::Sign(',') if !is_item => return at + 1,
            Token::Sign('}' | ')' | ']') => return at,
            Token::Sign('(' | '[') => {
                at = closing(tokens, at);
                continue;
            }
            Token::Sign('{') => {
                at = closing(tokens, at);
                if !ends_with_semicolon {
                    return at;
                }
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    at
}

/// Returns the position behind the bracket that closes the one at `open`.
pub(super) fn closing(tokens: &[Located], open: usize) -> usize {
    let mut depth = 0usize;
    for (at, (token, _)) in tokens.iter().enumerate().skip(open) {
        match token {
            Token::Sign('(' | '[' | '{') => depth += 1,
            Token::Sign(')' | ']' | '}') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}

/// Returns whether the token at `at` is this sign.
pub(super) fn is_sign(tokens: &[Located], at: usize, sign: char) -> bool {
    matches!(tokens.get(at), Some((Token::Sign(other), _)) if *other == sign)
}

/// Returns the identifier or keyword that a token is.
pub(super) fn word(token: &Token) -> Option<&str> {
    match token {
        Token::Word(word) => Some(word),
        _ => None,
    }
}

struct Lexer {
    letters: Vec<char>,
    at: usize,
    line: usize,
    tokens: Vec<Located>,
}

impl Lexer {
    fn step(&mut self) {
        let (letter, next) = (self.letters[self.at], self.letters.get(self.at + 1).copied());
        match (letter, next) {
            ('\n', _) => {
                self.line += 1;
                self.at += 1;
            }
            ('/', Some('/')) => self.line_comment(),
            ('/', Some('*')) => self.block_comment(),
            ('"', _) => self.text(0),
            ('\'', _) => self.character_or_lifetime(),
            (letter, _) if letter.is_alphabetic() || letter == '_' => self.word(),
            (letter, _) if letter.is_ascii_digit() => {
                let is_part = |letter: &char| letter.is_alphanumeric() || *letter == '_';
                self.at += self.letters[self.at..].iter().take_while(|letter| is_part(letter)).count();
                self.push(Token::Other);
            }
            (letter, _) => {
                self.at += 1;
                if !letter.is_whitespace() {
                    self.push(Token::Sign(letter));
                }
            }
        }
    }

    fn push(&mut self, token: Token) {
        self.tokens.push((token, self.line));
    }

    fn line_comment(&mut self) {
        let text: String = self.letters[self.at..].iter().take_while(|letter| **letter != '\n').collect();
        self.at += text.chars().count();
        let doc = (text.starts_with("///") && !text.starts_with("////")) || text.starts_with("//!");
        let text = text[if doc { 3 } else { 2 }..].trim().to_owned();
        self.push(Token::Comment { text, doc });
    }

    fn block_comment(&mut self) {
        let (mut depth, mut text) = (0usize, String::new());
        loop {
            match (self.letters.get(self.at), self.letters.get(self.at + 1)) {
                (Some('/'), Some('*')) => (depth, self.at) = (depth + 1, self.at + 2),
                (Some('*'), Some('/')) => (depth, self.at) = (depth - 1, self.at + 2),
                (Some('\n'), _) => {
                    self.push(Token::Comment { text: text.trim().to_owned(), doc: false });
                    text.clear();
                    self.line += 1;
                    self.at += 1;
                }
                (Some(letter), _) => {
                    text.push(*letter);
                    self.at += 1;
                }
                (None, _) => break,
            }
            if depth == 0 {
                break;
            }
        }
        self.push(Token::Comment { text: text.trim().to_owned(), doc: false });
    }

    /// Reads a string literal whose first quote is at the position. A raw one ends after `raw`
    /// characters: its quote and hashes; 0 for others.
    fn text(&mut self, raw: usize) {
        let line = self.line;
        self.at += 1;
        let mut text = String::new();
        while let Some(&letter) = self.letters.get(self.at) {
            let end = self.letters[self.at + 1..].iter().take_while(|letter| **letter == '#').count();
            if letter == '"' && end + 1 >= raw {
                self.at += raw.max(1);
                break;
            }
            if letter == '\n' {
                self.line += 1;
            }
            text.push(letter);
            self.at += 1;
            if letter == '\\' && raw == 0 {
                text.extend(self.letters.get(self.at));
                self.line += usize::from(self.letters.get(self.at) == Some(&'\n'));
                self.at += 1;
            }
        }
        self.tokens.push((Token::Text(text), line));
    }

    fn character_or_lifetime(&mut self) {
        let rest = &self.letters[self.at + 1..];
        let length = match rest {
            ['\\', ..] => rest.iter().skip(2).take_while(|letter| **letter != '\'').count() + 4,
            [_, '\'', ..] => 3,
            _ => 1 + rest.iter().take_while(|letter| letter.is_alphanumeric() || **letter == '_').count(),
        };
        self.at += length;
        self.push(Token::Other);
    }

    fn word(&mut self) {
        let is_part = |letter: &char| letter.is_alphanumeric() || *letter == '_';
        let word: String = self.letters[self.at..].iter().take_while(|letter| is_part(letter)).collect();
        self.at += word.chars().count();
        if !["r", "b", "br", "c", "cr"].contains(&&*word) {
            return self.push(Token::Word(word));
        }
        let hashes = self.letters[self.at..].iter().take_while(|letter| **letter == '#').count();
        match self.letters.get(self.at + hashes) {
            Some('"') => {
                self.at += hashes;
                self.text(if word.contains('r') { hashes + 1 } else { 0 });
            }
            Some('\'') if hashes == 0 && word == "b" => self.character_or_lifetime(),
            // A raw identifier.
            _ if word == "r" && hashes == 1 => {
                self.at += 1;
                self.word();
            }
            _ => self.push(Token::Word(word)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(tokens: &[Located]) -> Vec<&str> {
        tokens.iter().filter_map(|(token, _)| word(token)).collect()
    }

    #[test]
    fn strings_characters_and_comments_hold_no_code() {
        let source = "let a = \"x \\\" y\"; // b\nlet c = 'd'; let e: &'f str = r#\"g \" h\"#; /* i\n /* j */ k */ l('\\'', b'\"')";
        let tokens = tokens(source);
        assert_eq!(words(&tokens), ["let", "a", "let", "c", "let", "e", "str", "l"]);
        assert_eq!(tokens.last().unwrap().1, 3);
        assert!(tokens.contains(&(Token::Text("g \" h".into()), 2)));
        assert!(tokens.contains(&(Token::Comment { text: "b".into(), doc: false }, 1)));
    }

    #[test]
    fn code_of_tests_is_left_out() {
        let source = "use a::{b};\n#[cfg(test)]\nuse c::{d};\n#[cfg(test)]\nmod e { fn f() {} }\nstruct G { h: u8, \
                      #[cfg(test)] i: u8, j: u8 }\n#[cfg(any(test, loom))]\nfn k() {}\n#[cfg(all(test, unix))]\nfn l() {}";
        let code = production(source);
        let words = words(&code);
        assert!(!["c", "d", "e", "f", "i", "l"].iter().any(|word| words.contains(word)), "{words:?}");
        assert!(["b", "h", "j", "k"].iter().all(|word| words.contains(word)), "{words:?}");
    }
}
