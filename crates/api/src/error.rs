//! What goes wrong in a call between our processes, and how it is written.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Body of every refusal of the Auth Service and of the web API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The one field, as the original has it.
    pub error: ErrorText,
}

/// The words of a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorText {
    /// What was refused and by which rule.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// For programs: which refusal it is, where there is something to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// [`ErrorText::code`] of what needs a second factor, and came without.
pub const MFA_REQUIRED: &str = "mfa_required";

impl ErrorBody {
    /// A refusal with its words.
    #[must_use]
    pub fn new(message: impl Into<String>, hint: Option<String>) -> Self {
        Self { error: ErrorText { message: message.into(), hint, code: None } }
    }

    /// The same with a code for programs.
    #[must_use]
    pub fn with_code(mut self, code: Option<&str>) -> Self {
        self.error.code = code.map(str::to_owned);
        self
    }
}

/// A boxed cause.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a call between our processes failed.
#[derive(Debug, Error)]
pub enum ApiError {
    /// No connection could be made: the other side may be down. Worth a retry.
    #[error("cannot connect to {address}")]
    Unreachable {
        /// Where to.
        address: String,
        /// Why.
        source: Cause,
    },
    /// The connection broke or the deadline passed before the whole reply came.
    #[error("the connection to {address} failed during {what}")]
    Interrupted {
        /// Where to.
        address: String,
        /// Method and path.
        what: String,
        /// Why.
        source: Cause,
    },
    /// The other side refused.
    #[error("{message}")]
    Refused {
        /// HTTP status, e.g. 403.
        status: u16,
        /// What was refused and by which rule.
        message: String,
        /// What to do about it.
        hint: Option<String>,
        /// For programs: e.g. [`MFA_REQUIRED`].
        code: Option<String>,
    },
    /// The reply is not what the protocol says.
    #[error("{address} answered {what} with something else than expected")]
    BadReply {
        /// Where from.
        address: String,
        /// Method and path.
        what: String,
        /// Why.
        source: Cause,
    },
    /// Our own settings for the call are unusable.
    #[error("{what}")]
    Setup {
        /// What is wrong.
        what: String,
        /// Why.
        source: Option<Cause>,
    },
}

impl ApiError {
    /// HTTP status of a refusal.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// What to do about a refusal, if the other side said so.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Refused { hint, .. } => hint.as_deref(),
            _ => None,
        }
    }

    /// The code of a refusal, for programs.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => code.as_deref(),
            _ => None,
        }
    }

    /// Whether the call needs a second factor and came without one.
    #[must_use]
    pub fn needs_mfa(&self) -> bool {
        self.code() == Some(MFA_REQUIRED)
    }

    /// Whether the same call may succeed later without anything being changed.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Interrupted { .. } => true,
            Self::Refused { status, .. } => matches!(status, 429 | 500..=599),
            Self::BadReply { .. } | Self::Setup { .. } => false,
        }
    }
}

/// Prints an error with all its causes, for logs: `could not …: timed out`.
pub struct Chain<'a>(pub &'a (dyn std::error::Error + 'a));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}
