//! Why a call gets no answer from AWS or an app: what the client is told, in the service's own protocol, and what is
//! recorded.

use std::sync::Arc;

use access::{AppName, Denial};
use api::error::Chain;
use audit::events::Outcome;
use aws::BadCall;
use aws::reply::{ErrorReply, Fault, Words};
use aws::sigv4::chunked::ChunkError;
use aws::sigv4::{BadDestination, BadPayload, SignError};
use http::StatusCode;
use thiserror::Error;

use crate::assume::AssumeError;
use crate::body::LIMIT;
use crate::console::SignInError;
use crate::derived::{NotKept, NotKnown};
use crate::forward::SendError;
use crate::spool::SpoolError;
use crate::web_app::AppError;

/// Why a call gets no answer from AWS, or from an app.
#[derive(Debug, Error)]
pub(crate) enum Refusal {
    #[error(transparent)]
    BadCall(#[from] BadCall),
    #[error(transparent)]
    Payload(#[from] BadPayload),
    #[error("the request is not signed; use the keys that tsh aws or tsh proxy aws has handed out")]
    Unsigned,
    #[error("the request does not say the SHA-256 of its body")]
    NoPayloadHash,
    #[error("the body comes in chunks that nobody has checked; tsh is older than this agent")]
    UncheckedChunks,
    #[error(transparent)]
    Chunks(#[from] ChunkError),
    #[error("the request's body is larger than {LIMIT} bytes")]
    TooLarge,
    #[error("the request's body could not be read")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the agent has not heard from the Auth Service yet; try again shortly")]
    NotReady,
    #[error("the certificate is for no app; log in to the app with tsh apps login")]
    NoApp,
    #[error(
        "app `{app}` is not served by this agent any more; log in to the app again with tsh apps login"
    )]
    AppNotServed { app: AppName },
    #[error(transparent)]
    Denied(#[from] Denial),
    #[error("the call cannot be recorded, so it was not made")]
    Spool(#[from] SpoolError),
    #[error("the call was made, but its record is not safe yet, so the answer is withheld")]
    Withheld(#[source] SpoolError),
    #[error("the call was recorded already")]
    Recorded,
    #[error(transparent)]
    Assume(#[from] Arc<AssumeError>),
    #[error("the agent's setting for this service's endpoint cannot be used")]
    Destination(#[from] BadDestination),
    #[error("the request could not be signed")]
    Sign(#[from] SignError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error(transparent)]
    SignIn(#[from] SignInError),
    #[error(transparent)]
    Derived(#[from] NotKnown),
    #[error(
        "the app session ends in {left} seconds, and AWS gives temporary keys for 900 at least; log in again with tsh login"
    )]
    TooShortForKeys { left: u64 },
    #[error("the call was made, but AWS's answer is withheld")]
    NotKept(#[source] NotKept),
    #[error("the request cannot be passed on: {why}")]
    BadRequest { why: &'static str },
    #[error(transparent)]
    App(#[from] AppError),
}

impl Refusal {
    /// A short, stable name of the rule or failure.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::BadCall(_) => "bad-call",
            Self::Unsigned => "not-signed-by-client",
            Self::Payload(_) | Self::NoPayloadHash => "bad-payload-hash",
            Self::UncheckedChunks | Self::Chunks(_) => "bad-chunks",
            Self::TooLarge => "body-too-large",
            Self::Body(_) => "body-not-read",
            Self::NotReady => "agent-not-ready",
            Self::NoApp => "no-app-session",
            Self::AppNotServed { .. } => "app-not-served",
            Self::Denied(denial) => denial.code(),
            Self::Spool(_) | Self::Withheld(_) | Self::Recorded => "not-recordable",
            Self::Assume(_) => "role-not-assumed",
            Self::Destination(_) => "bad-endpoint-setting",
            Self::Sign(_) => "not-signed",
            Self::Send(error) => error.code(),
            Self::SignIn(error) => error.code(),
            Self::Derived(_) => "keys-not-known",
            Self::TooShortForKeys { .. } => "session-too-short",
            Self::NotKept(_) => "keys-not-kept",
            Self::BadRequest { .. } => "bad-request",
            Self::App(error) => error.code(),
        }
    }

    /// What is recorded.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::BadCall(_)
            | Self::Unsigned
            | Self::Payload(_)
            | Self::NoPayloadHash
            | Self::UncheckedChunks
            | Self::Chunks(_)
            | Self::TooLarge
            | Self::NoApp
            | Self::AppNotServed { .. }
            | Self::BadRequest { .. }
            | Self::Derived(_)
            | Self::TooShortForKeys { .. }
            | Self::SignIn(SignInError::TooShort { .. })
            | Self::Denied(_) => Outcome::Refused,
            Self::Body(_)
            | Self::NotReady
            | Self::Spool(_)
            | Self::Recorded
            | Self::Assume(_)
            | Self::Destination(_)
            | Self::Sign(_) => Outcome::Failed,
            Self::Send(error) if error.was_not_made() => Outcome::Failed,
            Self::App(error) if error.is_before_sending() => Outcome::Failed,
            Self::SignIn(error) if error.is_before_sending() => Outcome::Failed,
            Self::Withheld(_)
            | Self::NotKept(_)
            | Self::Send(_)
            | Self::SignIn(_)
            | Self::App(_) => Outcome::Unknown,
        }
    }

    /// What the client is told, in the words that fit its request.
    pub(crate) fn reply(&self, words: Words, request_id: &str) -> ErrorReply {
        ErrorReply::in_words(words, self.fault(), &Chain(self).to_string(), request_id)
    }

    /// The status of an answer to somebody who speaks plain HTTP.
    pub(crate) fn status(&self) -> StatusCode {
        if let Self::App(error) = self {
            return error.status();
        }
        match self.fault() {
            Fault::AccessDenied => StatusCode::FORBIDDEN,
            Fault::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Fault::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Fault::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::BadCall(error) => error.fault(),
            Self::Payload(_) | Self::NoPayloadHash | Self::Body(_) | Self::UncheckedChunks => {
                Fault::Invalid
            }
            Self::Chunks(error) => error.fault(),
            Self::Send(SendError::Body { .. }) => Fault::Invalid,
            Self::Unsigned => Fault::MissingToken,
            Self::TooLarge => Fault::TooLarge,
            Self::NoApp | Self::AppNotServed { .. } | Self::Denied(_) => Fault::AccessDenied,
            Self::Assume(error) if error.is_refusal() => Fault::AccessDenied,
            Self::BadRequest { .. } => Fault::Invalid,
            Self::Derived(_) => Fault::ExpiredToken,
            Self::TooShortForKeys { .. } => Fault::AccessDenied,
            Self::SignIn(SignInError::TooShort { .. }) => Fault::AccessDenied,
            Self::NotReady
            | Self::Spool(_)
            | Self::Assume(_)
            | Self::Send(_)
            | Self::SignIn(_)
            | Self::App(_) => Fault::Unavailable,
            Self::Withheld(_)
            | Self::NotKept(_)
            | Self::Recorded
            | Self::Destination(_)
            | Self::Sign(_) => Fault::Internal,
        }
    }
}
