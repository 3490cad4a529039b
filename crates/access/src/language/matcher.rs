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
