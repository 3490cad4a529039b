//! Checks a client's signature.

use std::time::{Duration, SystemTime};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::HeaderMap;
use http::header::HOST;
use http::request::Parts;
use thiserror::Error;

use super::algorithm::Algorithm;
use super::authorization::Authorization;
use super::canonical::Canonical;
use super::chain::Seed;
use super::keys::Keys;
use super::payload::{BadPayload, PayloadHash, declared_payload};
use super::presigned::Presigned;
use super::scope::Scope;
use crate::calendar::Stamp;
use crate::query;
use crate::reply::Fault;

/// How far the client's clock may be off: S3's own limit, and that of the SDKs' own correction.
const SKEW: Duration = Duration::from_secs(15 * 60);

/// Signing names of services that never take an unsigned body: what they do stands in it. Of all others AWS judges.
const NEVER_UNSIGNED: [&str; 3] = ["dynamodb", "sts", "iam"];

/// Why a signature is refused. Never holds the expected signature.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// No authorization in the request.
    #[error(
        "the request is not signed: it has no SigV4 Authorization header and no presigned query"
    )]
    Missing,
    /// A part is missing, malformed or ambiguous.
    #[error("the request's authorization is malformed: {0}")]
    Incomplete(&'static str),
    /// Not the access key that was given out.
    #[error(
        "access key `{0}` is not the one that this proxy gave out; use the AWS_ACCESS_KEY_ID that it printed"
    )]
    UnknownKey(String),
    /// The signature was made for another request, or with another secret.
    #[error(
        "the signature does not match; the secret key is wrong, or the request was changed after signing"
    )]
    Mismatch,
    /// Signed too long ago.
    #[error("Signature expired: {signed} is now earlier than {earliest} ({now} - {minutes} min.)")]
    Expired {
        /// The request's time, `yyyymmddThhmmssZ`.
        signed: String,
        /// The earliest that is accepted.
        earliest: String,
        /// Our time.
        now: String,
        /// How old it may be, in minutes.
        minutes: u64,
    },
    /// Signed in the future.
    #[error(
        "Signature not yet current: {signed} is still later than {latest} ({now} + {minutes} min.)"
    )]
    NotYetCurrent {
        /// The request's time, `yyyymmddThhmmssZ`.
        signed: String,
        /// The latest that is accepted.
        latest: String,
        /// Our time.
        now: String,
        /// How far ahead it may be, in minutes.
        minutes: u64,
    },
    /// A header that has to be signed is not.
    #[error("header `{0}` is in the request but not among the signed headers")]
    UnsignedHeader(String),
    /// The body is not the one that was signed.
    #[error("x-amz-content-sha256 is not the SHA-256 of the body")]
    PayloadMismatch,
    /// Services whose requests are decided on by their bodies take no unsigned ones.
    #[error("the body is not covered by the signature, which this service does not accept")]
    UnsignedPayload,
    /// The body is announced to be signed by one algorithm, the request is signed by the other.
    #[error("x-amz-content-sha256 names another algorithm than the request's signature")]
    MixedAlgorithms,
    /// `x-amz-content-sha256` is refused.
    #[error(transparent)]
    Payload(#[from] BadPayload),
}

impl VerifyError {
    /// What it is in an error reply.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Missing => Fault::MissingToken,
            Self::Incomplete(_) => Fault::IncompleteSignature,
            Self::UnknownKey(_) => Fault::UnknownKey,
            Self::Mismatch | Self::UnsignedHeader(_) => Fault::SignatureMismatch,
            Self::Expired { .. } | Self::NotYetCurrent { .. } => Fault::Skewed,
            Self::PayloadMismatch => Fault::PayloadMismatch,
            Self::UnsignedPayload | Self::MixedAlgorithms | Self::Payload(_) => Fault::Invalid,
        }
    }
}

/// A request whose signature is right.
#[derive(Clone, Debug)]
pub struct Verified {
    /// What it says about its signature.
    pub authorization: Authorization,
    /// What the signatures in a streamed body go on from.
    pub seed: Seed,
}

/// Reads a request's authorization and checks its signature: [`Authorization::verify`] in one step.
///
/// # Errors
/// [`VerifyError`] says which check failed.
pub fn verify(
    parts: &Parts,
    payload: &PayloadHash,
    keys: &Keys,
    now: SystemTime,
) -> Result<Verified, VerifyError> {
    let authorization = Authorization::of_request(parts)?;
    let seed = authorization.verify(parts, payload, keys, now)?;
    Ok(Verified { authorization, seed })
}

impl Authorization {
    /// Checks the signature of the request that this was read from against one pair of keys, in constant time. Gives
    /// what the signatures in a streamed body go on from.
    ///
    /// `payload` is the hash of the body where it was read, or [`super::declared_payload`] where it streams.
    /// Both forms are checked: the `Authorization` header and the presigned query; and both algorithms.
    ///
    /// # Errors
    /// [`VerifyError`] says which check failed.
    pub fn verify(
        &self,
        parts: &Parts,
        payload: &PayloadHash,
        keys: &Keys,
        now: SystemTime,
    ) -> Result<Seed, VerifyError> {
        if !equal(self.access_key_id(), keys.access_key_id()) {
            return Err(VerifyError::UnknownKey(self.access_key_id().to_owned()));
        }
        let stamp = check_time(parts, self, now)?;
        check_headers(&parts.headers, self)?;
        let scope = self.scope();
        let signed = (host(parts)?, self.signed_headers_text());
        let payload = check_payload(parts, *payload, scope)?;
        let canonical = Canonical::of(parts, scope, signed, payload);
        let string_to_sign = canonical.string_to_sign(&stamp, scope);
        if !keys.verifies(scope, &string_to_sign, self.signature()) {
            return Err(VerifyError::Mismatch);
        }
        Ok(Seed::new(stamp, scope.clone(), self.signature().to_owned()))
    }
}

/// Whether a request carries this session token, in its header or in its presigned query; compared in constant time.
///
/// That the token belongs to the keys is not part of [`verify`]: a signature can be right without it.
pub fn carries_token(parts: &Parts, token: &str) -> bool {
    let mut headers = parts.headers.get_all("x-amz-security-token").iter();
    let in_query: Vec<_> = query::pairs(parts.uri.query().unwrap_or_default())
        .filter(|pair| pair.is_named("X-Amz-Security-Token"))
        .collect();
    let same = |found: &[u8]| verify_slices_are_equal(found, token.as_bytes()).is_ok();
    match (headers.next(), headers.next(), in_query.as_slice()) {
        (Some(header), None, []) => same(header.as_bytes()),
        (None, None, [pair]) => same(&pair.value),
        _ => false,
    }
}

fn equal(left: &str, right: &str) -> bool {
    verify_slices_are_equal(left.as_bytes(), right.as_bytes()).is_ok()
}

/// The time that was signed, if it is near enough and of the scope's date.
fn check_time(
    parts: &Parts,
    authorization: &Authorization,
    now: SystemTime,
) -> Result<Stamp, VerifyError> {
    let (text, lifetime) = if authorization.is_presigned() {
        let found = Presigned::parse(parts.uri.query().unwrap_or_default())?;
        (found.date, found.expires)
    } else {
        (one_header(&parts.headers, "x-amz-date")?.to_owned(), SKEW)
    };
    let stamp = Stamp::parse(&text)
        .ok_or(VerifyError::Incomplete("X-Amz-Date is not `yyyymmddThhmmssZ`"))?;
    if stamp.date() != authorization.scope().date() {
        return Err(VerifyError::Incomplete(
            "the date of the credential scope is not that of X-Amz-Date",
        ));
    }
    let signed = stamp.time();
    if signed > now + SKEW {
        return Err(VerifyError::NotYetCurrent {
            signed: text,
            latest: spell(now + SKEW),
            now: spell(now),
            minutes: SKEW.as_secs() / 60,
        });
    }
    if signed + lifetime < now {
        return Err(VerifyError::Expired {
            signed: text,
            earliest: now.checked_sub(lifetime).map_or_else(String::new, spell),
            now: spell(now),
            minutes: lifetime.as_secs() / 60,
        });
    }
    Ok(stamp)
}

fn spell(time: SystemTime) -> String {
    Stamp::of(time).map_or_else(String::new, |stamp| stamp.as_str().to_owned())
}

/// Every `x-amz-*` header must be signed; those that steer the request may be there once only.
fn check_headers(headers: &HeaderMap, authorization: &Authorization) -> Result<(), VerifyError> {
    for name in headers.keys() {
        let name = name.as_str();
        if name.starts_with("x-amz-")
            && !authorization.signed_headers().any(|signed| signed == name)
        {
            return Err(VerifyError::UnsignedHeader(name.to_owned()));
        }
    }
    for name in ["x-amz-target", "x-amz-security-token"] {
        if headers.contains_key(name) {
            one_header(headers, name)?;
        }
    }
    for name in authorization.signed_headers() {
        if name != "host" && !headers.contains_key(name) {
            return Err(VerifyError::Incomplete(
                "SignedHeaders names a header that is not in the request",
            ));
        }
    }
    Ok(())
}

fn one_header<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, VerifyError> {
    let mut values = headers.get_all(name).iter();
    let (value, second) = (values.next(), values.next());
    match (value.map(|value| value.to_str()), second) {
        (Some(Ok(text)), None) => Ok(text),
        (None, _) => Err(VerifyError::Incomplete("the request has no X-Amz-Date")),
        _ => Err(VerifyError::Incomplete(
            "a header that steers the request is there twice, or is not plain text",
        )),
    }
}

/// The `Host` header, or in HTTP/2 `:authority`; if both are there they must be equal.
fn host(parts: &Parts) -> Result<&[u8], VerifyError> {
    let mut values = parts.headers.get_all(HOST).iter();
    let (value, second) = (values.next(), values.next());
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    match (value.map(|value| value.as_bytes()), second, authority) {
        (Some(host), None, None) | (None, _, Some(host)) => Ok(host),
        (Some(host), None, Some(authority)) if host.eq_ignore_ascii_case(authority) => Ok(host),
        _ => Err(VerifyError::Incomplete("the request names no host, or two")),
    }
}

/// What the client signed about the body, if it is true and allowed.
fn check_payload(
    parts: &Parts,
    payload: PayloadHash,
    scope: &Scope,
) -> Result<PayloadHash, VerifyError> {
    let signed = match (declared_payload(parts)?, payload) {
        (None, payload) => payload,
        (Some(declared), payload) if declared == payload => declared,
        (Some(PayloadHash::Sha256(_)), _) => return Err(VerifyError::PayloadMismatch),
        // The body was read, but the client did not sign it.
        (Some(declared), PayloadHash::Sha256(_)) => declared,
        (Some(_), _) => return Err(VerifyError::PayloadMismatch),
    };
    match signed {
        PayloadHash::Unsigned | PayloadHash::StreamingUnsignedTrailer
            if NEVER_UNSIGNED.contains(&scope.service()) =>
        {
            Err(VerifyError::UnsignedPayload)
        }
        PayloadHash::SignedChunks(algorithm, _) if algorithm != scope.algorithm() => {
            Err(VerifyError::MixedAlgorithms)
        }
        PayloadHash::Events if scope.algorithm() != Algorithm::Hmac => {
            Err(VerifyError::MixedAlgorithms)
        }
        signed => Ok(signed),
    }
}
