//! One value against one pattern: literal, glob with `*`, or `^regular expression$`.

use regex::{Regex, RegexBuilder};
use thiserror::Error;

/// The longest regular expression that is compiled.
const MAX_PATTERN: usize = 1024;
/// The most memory that one compiled expression may take, in bytes.
const MAX_COMPILED: usize = 256 * 1024;
/// The deepest nesting in an expression.
const MAX_NEST: u32 = 32;

/// A regular expression that is not compiled.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the regular expression `{pattern}` is not accepted: {why}")]
pub struct BadRegex {
    pattern: String,
    why: &'static str,
}

/// Compiles a regular expression within bounds.
///
/// # Errors
/// When it does not parse or is too large.
pub fn bounded_regex(pattern: &str) -> Result<Regex, BadRegex> {
    let bad = |why| BadRegex { pattern: pattern.chars().take(80).collect(), why };
    if pattern.len() > MAX_PATTERN {
        return Err(bad("it is longer than 1024 bytes"));
    }
    let built = RegexBuilder::new(pattern)
        .size_limit(MAX_COMPILED)
        .dfa_size_limit(MAX_COMPILED)
        .nest_limit(MAX_NEST)
        .build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => bad("it needs too much memory"),
        _ => bad("it does not parse"),
    })
}

/// A pattern for one value.
#[derive(Debug, Clone)]
pub enum Matcher {
    /// Fits everything.
    Any,
    /// Fits this text only.
    Literal(Box<str>),
    /// Fits what holds these pieces in order: the first at the start, the last at the end.
    Glob(Box<[Box<str>]>),
    /// Fits what the expression finds.
    Regex(Box<Regex>),
    /// Fits nothing: what is left of a template without a value.
    Nothing,
    /// Cannot be told: an expression that does not compile.
    Broken(BadRegex),
}

/// Whether something fits. `Unknown` refuses on both sides: it does not allow, and it denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It fits.
    Yes,
    /// It does not.
    No,
    /// A broken pattern stands in the way.
    Unknown,
}

impl Fit {
    /// `Yes` for true.
    #[must_use]
    pub const fn of(fits: bool) -> Self {
        if fits { Self::Yes } else { Self::No }
    }

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            _ => Self::Unknown,
        }
    }

    /// Either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Yes, _) | (_, Self::Yes) => Self::Yes,
            (Self::No, Self::No) => Self::No,
            _ => Self::Unknown,
        }
    }
}

impl Matcher {
    /// Reads a pattern.
    #[must_use]
    pub fn of(pattern: &str) -> Self {
        if pattern == "*" {
            return Self::Any;
        }
        if pattern.starts_with('^') && pattern.ends_with('$') {
            return match bounded_regex(pattern) {
                Ok(regex) => Self::Regex(Box::new(regex)),
                Err(error) => Self::Broken(error),
            };
        }
        if pattern.contains('*') {
            return Self::Glob(pattern.split('*').map(Box::from).collect());
        }
        Self::Literal(Box::from(pattern))
    }

    /// Whether the text fits.
    #[must_use]
    pub fn fits(&self, text: &str) -> Fit {
        match self {
            Self::Any => Fit::Yes,
            Self::Literal(literal) => Fit::of(&**literal == text),
            Self::Glob(pieces) => Fit::of(glob(pieces, text)),
            Self::Regex(regex) => Fit::of(regex.is_match(text)),
            Self::Nothing => Fit::No,
            Self::Broken(_) => Fit::Unknown,
        }
    }
}

/// Each piece at its first place after the one before; the ends are pinned. Linear in practice,
/// and never worse than pieces × length.
fn glob(pieces: &[Box<str>], text: &str) -> bool {
    let [first, middle @ .., last] = pieces else {
        return false;
    };
    let Some(mut rest) = text.strip_prefix(&**first) else {
        return false;
    };
    for piece in middle {
        let Some((_, tail)) = rest.split_once(&**piece) else {
            return false;
        };
        rest = tail;
    }
    rest.ends_with(&**last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Fit, Matcher, bounded_regex};

    #[test]
    fn literals_globs_and_expressions() {
        for (pattern, text, fits) in [
            ("prod", "prod", true),
            ("prod", "production", false),
            ("prod", "Prod", false),
            ("*", "", true),
            ("*", "anything", true),
            ("prod-*", "prod-1", true),
            ("prod-*", "prod-", true),
            ("prod-*", "dev-prod-1", false),
            ("*-prod", "eu-prod", true),
            ("a*b*c", "a--b--c", true),
            ("a*b*c", "a--c--b", false),
            ("a*a", "a", false),
            ("a**b", "ab", true),
            ("a.c", "abc", false),
            ("^prod|dev$", "prod-1", true),
            ("^(prod|dev)$", "dev", true),
            ("^(prod|dev)$", "development", false),
            ("^.*$", "", true),
            ("^env", "^env", true),
            ("env$", "env$", true),
            ("", "", true),
        ] {
            assert_eq!(Matcher::of(pattern).fits(text), Fit::of(fits), "{pattern} on {text}");
        }
    }

    #[test]
    fn an_expression_that_does_not_compile_is_neither_yes_nor_no() {
        for pattern in ["^($", "^(?P<x$", "^\\p{Nope}$", "^((((a{100}){100}){100}){100})$"] {
            assert_eq!(Matcher::of(pattern).fits("a"), Fit::Unknown, "{pattern}");
        }
        assert!(bounded_regex(&"a".repeat(1025)).is_err());
        assert!(bounded_regex(&format!("{}a{}", "(".repeat(100), ")".repeat(100))).is_err());
    }

    #[test]
    fn unknown_stays_unknown_unless_the_rest_decides() {
        assert_eq!(Fit::Unknown.and(Fit::Yes), Fit::Unknown);
        assert_eq!(Fit::Unknown.and(Fit::No), Fit::No);
        assert_eq!(Fit::Unknown.or(Fit::No), Fit::Unknown);
        assert_eq!(Fit::Unknown.or(Fit::Yes), Fit::Yes);
    }

    proptest! {
        #[test]
        fn a_glob_fits_as_its_expression_does(pattern in "[ab*.]{1,8}", text in "[ab.]{0,10}") {
            let expression: String = pattern
                .split('*')
                .map(regex::escape)
                .collect::<Vec<_>>()
                .join("(?s:.*)");
            let expected = regex::Regex::new(&format!("^{expression}$")).unwrap().is_match(&text);
            prop_assert_eq!(Matcher::of(&pattern).fits(&text), Fit::of(expected));
        }

        #[test]
        fn no_pattern_panics(pattern in "\\PC{0,60}", text in "\\PC{0,60}") {
            let _ = Matcher::of(&pattern).fits(&text);
            let _ = Matcher::of(&format!("^{pattern}$")).fits(&text);
        }
    }
}
