//! An error in the service's own protocol, so that every SDK shows it as that service's error.

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};

use crate::service::{Protocol, Service};

/// What went wrong, from which each protocol's status and code follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Refused by a rule: 403 (400 in JSON), `AccessDeniedException` or `AccessDenied`.
    AccessDenied,
    /// No credentials in the request.
    MissingToken,
    /// Credentials that are malformed.
    IncompleteSignature,
    /// An access key that is not ours.
    UnknownKey,
    /// The signature does not match.
    SignatureMismatch,
    /// The client's clock is off, or the request is too old.
    Skewed,
    /// The body's hash is not the one that was signed.
    PayloadMismatch,
    /// A credential that has expired.
    ExpiredToken,
    /// A request that cannot be understood.
    Invalid,
    /// A body above the bound.
    TooLarge,
    /// Too many requests.
    Throttled,
    /// We, or AWS, cannot be reached for now.
    Unavailable,
    /// We are broken.
    Internal,
}

/// The service that a request is for, as far as can be told: for the shape of an error, never for a decision.
pub fn service_of(parts: &Parts) -> Option<Service> {
    let _ = parts;
    unimplemented!()
}

/// An error reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorReply {
    status: StatusCode,
    code: String,
    message: String,
    request_id: String,
    service: Option<Service>,
}

impl ErrorReply {
    /// The reply to a fault, in the protocol of `service` (none if unknown: JSON that every SDK reads as an error).
    pub fn new(service: Option<Service>, fault: Fault, message: &str, request_id: &str) -> Self {
        let _ = (service, fault, message, request_id);
        unimplemented!()
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The error's code, as an SDK shows it.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The protocol that it is written in.
    pub fn protocol(&self) -> Protocol {
        self.service.map_or(Protocol::AwsJson1_0, Service::protocol)
    }

    /// Status, headers and body.
    pub fn into_response(self) -> Response<Bytes> {
        unimplemented!()
    }
}
