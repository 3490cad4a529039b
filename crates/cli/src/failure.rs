//! How a command ends when it does not succeed: words, causes, a hint and an exit code.

use std::error::Error;
use std::fmt;
use std::io;

/// A boxed cause.
type Cause = Box<dyn Error + Send + Sync>;

/// Why a command did not succeed. The printed form is [`Failure::text`]; the
/// output module prints it.
#[derive(Debug)]
pub struct Failure {
    message: Option<String>,
    hint: Option<String>,
    code: u8,
    source: Option<Cause>,
}

/// Exit code of a command that failed.
const FAILED: u8 = 1;
/// Exit code of a command that was typed wrongly.
const MISUSED: u8 = 2;

impl Failure {
    /// A failure with its words.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), hint: None, code: FAILED, source: None }
    }

    /// A command that was typed wrongly: exit code 2.
    #[must_use]
    pub fn misuse(message: impl Into<String>) -> Self {
        Self { code: MISUSED, ..Self::new(message) }
    }

    /// A failure with its cause, which is printed after the words.
    #[must_use]
    pub fn caused_by(message: impl Into<String>, source: impl Into<Cause>) -> Self {
        Self { source: Some(source.into()), ..Self::new(message) }
    }

    /// A failure in an error's own words, with its causes.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let source = error.source().map(|cause| Cause::from(chain_text(cause)));
        Self { source, ..Self::new(error.to_string()) }
    }

    /// An end without words: a child's exit code, or an output that nobody reads any more.
    #[must_use]
    pub fn silent(code: u8) -> Self {
        Self { message: None, hint: None, code, source: None }
    }

    /// The same failure with what to do about it.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Exit code of the process.
    #[must_use]
    pub fn code(&self) -> u8 {
        self.code
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The words with every cause, and the hint after an empty line; `None` for a silent end.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let message = self.message.as_ref()?;
        let mut text = format!("ERROR: {message}");
        let mut cause = self.source.as_deref().map(|cause| cause as &dyn Error);
        let mut last = message.clone();
        while let Some(error) = cause {
            let words = error.to_string();
            if !last.ends_with(&words) {
                text.push_str(": ");
                text.push_str(&words);
            }
            last = words;
            cause = error.source();
        }
        if let Some(hint) = &self.hint {
            text.push_str("\n\nhint: ");
            text.push_str(hint);
        }
        Some(text)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.message {
            Some(message) => f.write_str(message),
            None => write!(f, "exit status {}", self.code),
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

impl From<io::Error> for Failure {
    /// For what goes to the terminal: a closed pipe means that the reader has enough.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::silent(0);
        }
        Self::caused_by("could not write the output", error)
    }
}

impl From<api::ApiError> for Failure {
    fn from(error: api::ApiError) -> Self {
        Self { hint: error.hint().map(str::to_owned), ..Self::of(&error) }
    }
}

impl From<api::files::FileError> for Failure {
    fn from(error: api::files::FileError) -> Self {
        Self::of(&error)
    }
}

fn chain_text(error: &(dyn Error + 'static)) -> String {
    api::error::Chain(error).to_string()
}

/// Gives any error words of ours in front: `.or_fail("could not read the profile")?`.
pub trait OrFail<T> {
    /// Turns the error into a [`Failure`] whose cause it is.
    ///
    /// # Errors
    /// When there was an error before.
    fn or_fail(self, message: impl Into<String>) -> Result<T, Failure>;
}

impl<T, E: Into<Cause>> OrFail<T> for Result<T, E> {
    fn or_fail(self, message: impl Into<String>) -> Result<T, Failure> {
        self.map_err(|error| Failure::caused_by(message, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_prints_its_causes_once_and_its_hint_last() {
        let cause = io::Error::other("connection refused");
        let failure = Failure::caused_by("cannot connect to a:1", cause).with_hint("start it");
        assert_eq!(
            failure.text().unwrap(),
            "ERROR: cannot connect to a:1: connection refused\n\nhint: start it"
        );
        assert_eq!(failure.code(), 1);
    }

    #[test]
    fn a_reader_that_has_enough_is_no_failure() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((failure.code(), failure.text()), (0, None));
    }

    #[test]
    fn a_refusal_keeps_the_hint_of_the_other_side() {
        let refused = api::ApiError::Refused {
            status: 403,
            message: "role `x` does not allow it".to_owned(),
            hint: Some("ask for `y`".to_owned()),
            code: None,
        };
        let failure = Failure::from(refused);
        assert_eq!(
            failure.text().unwrap(),
            "ERROR: role `x` does not allow it\n\nhint: ask for `y`"
        );
    }
}
