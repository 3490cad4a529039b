//! Why the Auth Service says no, and what of it a stranger may see.

use api::error::{Cause, ErrorBody};
use http::StatusCode;
use thiserror::Error;

/// A refusal: what was refused, by which rule, and what to do about it.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct Refusal {
    kind: Kind,
    message: String,
    hint: Option<String>,
    code: Option<&'static str>,
    source: Option<Cause>,
}

/// Whose fault it is and of which sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The request makes no sense.
    Invalid,
    /// Who the caller is could not be told, or is no longer true.
    Unknown,
    /// The caller may not.
    Denied,
    /// The caller may, with a second factor.
    NeedsFactor,
    /// It is not there.
    Missing,
    /// It is there already, or in use.
    Conflict,
    /// It changed since the caller read it.
    Stale,
    /// Too large.
    TooLarge,
    /// Too many of them.
    TooMany,
    /// Not now.
    Busy,
    /// We are broken; the cause is for our log only.
    Broken,
}

impl Refusal {
    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, code: None, source: None }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    pub(crate) fn unknown(message: impl Into<String>) -> Self {
        Self::new(Kind::Unknown, message)
    }

    pub(crate) fn denied(message: impl Into<String>) -> Self {
        Self::new(Kind::Denied, message)
    }

    pub(crate) fn missing(message: impl Into<String>) -> Self {
        Self::new(Kind::Missing, message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, message)
    }

    pub(crate) fn stale(message: impl Into<String>) -> Self {
        Self::new(Kind::Stale, message)
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(Kind::TooLarge, message)
    }

    pub(crate) fn too_many(message: impl Into<String>) -> Self {
        Self::new(Kind::TooMany, message)
    }

    pub(crate) fn busy(message: impl Into<String>) -> Self {
        Self::new(Kind::Busy, message)
    }

    /// A second factor is missing: the same again with one may be granted.
    pub(crate) fn needs_factor(message: impl Into<String>) -> Self {
        let code = Some(api::error::MFA_REQUIRED);
        Self { code, ..Self::new(Kind::NeedsFactor, message) }
    }

    /// Something of ours failed at `what`; `source` goes to the log, not to the caller.
    pub(crate) fn broken(what: impl Into<String>, source: impl Into<Cause>) -> Self {
        Self { source: Some(source.into()), ..Self::new(Kind::Broken, what) }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whose fault it is.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The HTTP status that says so.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.kind {
            Kind::Invalid => StatusCode::BAD_REQUEST,
            Kind::Unknown => StatusCode::UNAUTHORIZED,
            Kind::Denied | Kind::NeedsFactor => StatusCode::FORBIDDEN,
            Kind::Missing => StatusCode::NOT_FOUND,
            Kind::Conflict => StatusCode::CONFLICT,
            Kind::Stale => StatusCode::PRECONDITION_FAILED,
            Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Kind::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Broken => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What the caller is shown.
    #[must_use]
    pub fn body(&self) -> ErrorBody {
        if self.kind == Kind::Broken {
            let hint = "the Auth Service's log has the cause".to_owned();
            return ErrorBody::new("the Auth Service failed", Some(hint));
        }
        ErrorBody::new(self.message.clone(), self.hint.clone()).with_code(self.code)
    }
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::broken("the store failed", error)
    }
}

impl From<serde_json::Error> for Refusal {
    fn from(error: serde_json::Error) -> Self {
        Self::broken("a stored value could not be read or written", error)
    }
}
