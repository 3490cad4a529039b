//! What can be wrong with a signature, in the words of no protocol.
//!
//! `words` turns a fault into what DynamoDB, STS or S3 would say about it.

use thiserror::Error;

/// Why a request was not let in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// Neither an `Authorization` header nor signature parameters.
    #[error("the request is not signed")]
    Missing,
    /// Both forms at once.
    #[error("the request is signed in the header and in the query")]
    Both,
    /// A scheme other than `AWS4-HMAC-SHA256`.
    #[error("`{0}` is not a scheme that is known here")]
    Scheme(String),
    /// Parts of the signature are missing; each text names one.
    #[error("the signature lacks {}", .0.join(", "))]
    Incomplete(Vec<String>),
    /// A part of the signature is there and makes no sense.
    #[error("{0}")]
    Malformed(String),
    /// The region in the scope is not the endpoint's.
    #[error("the scope names region `{given}`, the endpoint is in `{wanted}`")]
    Region {
        /// What the request said.
        given: String,
        /// What the endpoint is.
        wanted: String,
    },
    /// The service in the scope is not the endpoint's.
    #[error("the scope names service `{given}`, the endpoint is `{wanted}`")]
    Service {
        /// What the request said.
        given: String,
        /// What the endpoint is.
        wanted: String,
    },
    /// The day in the scope is not the day of the request's date.
    #[error("the scope's day {scope} is not the day of {date}")]
    Day {
        /// The day of the scope.
        scope: String,
        /// The request's date.
        date: String,
    },
    /// No such access key.
    #[error("access key {0} is not known")]
    UnknownKey(String),
    /// The session token is missing, superfluous or another session's.
    #[error("the session token does not belong to access key {0}")]
    Token(String),
    /// The session is over.
    #[error("the session of access key {0} has expired")]
    SessionExpired(String),
    /// The request's date is too far in the past.
    #[error("{date} is before {limit}")]
    TooOld {
        /// The request's date.
        date: String,
        /// The oldest date that is still good.
        limit: String,
        /// The time here.
        now: String,
    },
    /// The request's date is too far in the future.
    #[error("{date} is after {limit}")]
    TooNew {
        /// The request's date.
        date: String,
        /// The newest date that is already good.
        limit: String,
        /// The time here.
        now: String,
    },
    /// A presigned address was used after its time.
    #[error("the presigned address expired at {0}")]
    PresignedExpired(String),
    /// Headers that must be signed and are not.
    #[error("not signed: {}", .0.join(", "))]
    Unsigned(Vec<String>),
    /// S3 wants the payload's hash in a header.
    #[error("x-amz-content-sha256 is missing")]
    NoPayloadHash,
    /// The hash in the header is not the payload's.
    #[error("x-amz-content-sha256 says {claimed}, the payload's is {computed}")]
    Payload {
        /// What the header said.
        claimed: String,
        /// What arrived.
        computed: String,
    },
    /// The signature is not the one that belongs to the request.
    #[error("the signature does not belong to this request")]
    Mismatch(Box<Mismatch>),
}

/// What S3 tells about a signature that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mismatch {
    /// Who claims to have signed.
    pub access_key_id: String,
    /// The canonical request as it was worked out here.
    pub canonical_request: String,
    /// The string to sign as it was worked out here.
    pub string_to_sign: String,
    /// The signature that came.
    pub provided: String,
}
