//! Words, strings and signs of the template and predicate languages.

use std::fmt;

use thiserror::Error;
use winnow::Parser;
use winnow::combinator::{alt, delimited, repeat};
use winnow::error::EmptyError;
use winnow::token::{any, none_of, one_of, take_while};

/// The longest text that is parsed.
pub(crate) const MAX_TEXT: usize = 8 * 1024;
/// The deepest nesting that is parsed.
pub(crate) const MAX_DEPTH: usize = 32;

/// A text that does not follow the grammar.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct SyntaxError {
    message: String,
}

impl SyntaxError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// A word, a string or a sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    Word(String),
    Text(String),
    Sign(&'static str),
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(f, "`{word}`"),
            Self::Text(text) => write!(f, "the text {}", quoted(text)),
            Self::Sign(sign) => write!(f, "`{sign}`"),
        }
    }
}

/// Tokens, read from the front.
pub(crate) struct Tokens {
    list: std::vec::IntoIter<Token>,
}

impl Tokens {
    /// Splits a text.
    pub(crate) fn of(text: &str) -> Result<Self, SyntaxError> {
        if text.len() > MAX_TEXT {
            return Err(SyntaxError::new(format!("it is longer than {MAX_TEXT} bytes")));
        }
        let mut rest = text;
        let mut list = Vec::new();
        loop {
            rest = rest.trim_start();
            if rest.is_empty() {
                return Ok(Self { list: list.into_iter() });
            }
            let at = text.len() - rest.len();
            match token.parse_next(&mut rest) {
                Ok(token) => list.push(token),
                Err(EmptyError) => return Err(unexpected(rest, at)),
            }
        }
    }

    /// The next token, left in place.
    pub(crate) fn peek(&self) -> Option<&Token> {
        self.list.as_slice().first()
    }

    /// The next token.
    pub(crate) fn next(&mut self) -> Option<Token> {
        self.list.next()
    }

    /// Takes the sign, if it is next.
    pub(crate) fn take(&mut self, sign: &str) -> bool {
        let there = matches!(self.peek(), Some(Token::Sign(next)) if *next == sign);
        if there {
            self.list.next();
        }
        there
    }

    /// Takes the sign, which must be next.
    pub(crate) fn expect(&mut self, sign: &str) -> Result<(), SyntaxError> {
        if self.take(sign) {
            return Ok(());
        }
        Err(SyntaxError::new(format!("expected `{sign}`, found {}", self.found())))
    }

    /// Takes a word, which must be next.
    pub(crate) fn word(&mut self) -> Result<String, SyntaxError> {
        match self.peek() {
            Some(Token::Word(_)) => match self.next() {
                Some(Token::Word(word)) => Ok(word),
                _ => Err(SyntaxError::new("expected a name")),
            },
            _ => Err(SyntaxError::new(format!("expected a name, found {}", self.found()))),
        }
    }

    /// Takes a string, which must be next.
    pub(crate) fn text(&mut self, what: &str) -> Result<String, SyntaxError> {
        match self.peek() {
            Some(Token::Text(_)) => match self.next() {
                Some(Token::Text(text)) => Ok(text),
                _ => Err(SyntaxError::new(format!("expected {what}"))),
            },
            _ => Err(SyntaxError::new(format!(
                "expected {what} in double quotes, found {}",
                self.found()
            ))),
        }
    }

    /// Nothing may follow.
    pub(crate) fn end(&self) -> Result<(), SyntaxError> {
        match self.peek() {
            None => Ok(()),
            Some(token) => Err(SyntaxError::new(format!("expected the end, found {token}"))),
        }
    }

    /// What is next, for messages.
    pub(crate) fn found(&self) -> String {
        self.peek().map_or_else(|| "the end".to_owned(), Token::to_string)
    }
}

fn unexpected(rest: &str, at: usize) -> SyntaxError {
    let sign: String = rest.chars().take(1).collect();
    match sign.as_str() {
        "\"" | "`" => {
            SyntaxError::new(format!("the text that starts at byte {at} has no closing quote"))
        }
        _ => SyntaxError::new(format!("unexpected {sign:?} at byte {at}")),
    }
}

fn token(input: &mut &str) -> Result<Token, EmptyError> {
    alt((
        word.map(Token::Word),
        string.map(Token::Text),
        raw_string.map(Token::Text),
        sign.map(Token::Sign),
    ))
    .parse_next(input)
}

/// Letters, digits and underscores, not starting with a digit.
fn word(input: &mut &str) -> Result<String, EmptyError> {
    let start = |c: char| c.is_ascii_alphabetic() || c == '_';
    let more = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (one_of(start), take_while(0.., more)).take().map(str::to_owned).parse_next(input)
}

/// `"…"` with backslash escapes. A backslash before any other character stands for itself, so
/// that `\d` in a regular expression reads as it looks.
fn string(input: &mut &str) -> Result<String, EmptyError> {
    let plain = none_of(['"', '\\', '\n']).map(Piece::One);
    let escape = ('\\', any).map(|(_, c)| match c {
        'n' => Piece::One('\n'),
        't' => Piece::One('\t'),
        'r' => Piece::One('\r'),
        '"' | '\\' => Piece::One(c),
        other => Piece::Kept(other),
    });
    let pieces = repeat(0.., alt((plain, escape))).fold(String::new, |mut text, piece| {
        match piece {
            Piece::One(c) => text.push(c),
            Piece::Kept(c) => text.extend(['\\', c]),
        }
        text
    });
    delimited('"', pieces, '"').parse_next(input)
}

enum Piece {
    One(char),
    Kept(char),
}

/// `` `…` `` without escapes.
fn raw_string(input: &mut &str) -> Result<String, EmptyError> {
    delimited('`', take_while(0.., |c: char| c != '`' && c != '\n'), '`')
        .map(str::to_owned)
        .parse_next(input)
}

fn sign(input: &mut &str) -> Result<&'static str, EmptyError> {
    let pairs = alt(("==".value("=="), "!=".value("!="), "&&".value("&&"), "||".value("||")));
    let brackets = alt(("(".value("("), ")".value(")"), "[".value("["), "]".value("]")));
    let singles = alt(("!".value("!"), ",".value(","), ".".value(".")));
    alt((pairs, brackets, singles)).parse_next(input)
}

/// Writes a string so that [`string`] reads it back.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// Whether a name can be written without brackets and quotes.
pub(crate) fn is_word(text: &str) -> bool {
    let mut chars = text.chars();
    let starts = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    starts && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Token, Tokens, quoted};

    fn tokens(text: &str) -> Vec<Token> {
        let mut tokens = Tokens::of(text).unwrap();
        std::iter::from_fn(|| tokens.next()).collect()
    }

    #[test]
    fn words_texts_and_signs_are_told_apart() {
        assert_eq!(
            tokens(r#" a.b_1 ["x y"] != `raw\` "#),
            [
                Token::Word("a".into()),
                Token::Sign("."),
                Token::Word("b_1".into()),
                Token::Sign("["),
                Token::Text("x y".into()),
                Token::Sign("]"),
                Token::Sign("!="),
                Token::Text("raw\\".into()),
            ]
        );
    }

    #[test]
    fn backslashes_escape_what_needs_it_and_stay_elsewhere() {
        assert_eq!(tokens(r#""a\"b\\c\n\d+""#), [Token::Text("a\"b\\c\n\\d+".into())]);
    }

    #[test]
    fn what_is_no_token_is_named_with_its_place() {
        for (text, message) in [
            ("a & b", "unexpected \"&\" at byte 2"),
            ("\"open", "the text that starts at byte 0 has no closing quote"),
            ("a = b", "unexpected \"=\" at byte 2"),
            ("1a", "unexpected \"1\" at byte 0"),
        ] {
            assert_eq!(Tokens::of(text).err().unwrap().to_string(), message);
        }
        assert!(Tokens::of(&"a ".repeat(10_000)).is_err());
    }

    proptest! {
        #[test]
        fn quoting_reads_back(text in "\\PC{0,40}|[\"\\\\\n\t\r\\x00-\\x1f]{0,10}") {
            prop_assert_eq!(tokens(&quoted(&text)), vec![Token::Text(text)]);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,80}|[\"`\\\\a.()!=&|,\\[\\] \n]{0,60}") {
            let _ = Tokens::of(&text);
        }
    }
}
