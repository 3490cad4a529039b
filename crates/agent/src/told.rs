//! What `tsh` tells of a request beside the request itself, and how the body goes on because of it.
//!
//! Nothing is decided by it: a wrong word makes AWS refuse the request, and nothing else.

use std::sync::Arc;

use api::headers::remove_ours;
use api::wire::{BODY_DECODED, HEADER_BODY, HEADER_HTTP, HEADER_PAYLOAD_SHA256, HTTP_2};
use aws::sigv4::chunked::{Announced, Encoder};
use aws::sigv4::events::Signer;
use aws::sigv4::{Keys, PayloadHash, Signed, declared_payload};
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use pki::Clock;

use crate::body::RequestBody;
use crate::outgoing::{Chunks, Coder};
use crate::refusal::Refusal;
use crate::upstream::Http;

/// What `tsh` has told.
pub(crate) struct Told {
    /// What the client's signature says about the body.
    payload: Option<HeaderValue>,
    /// In which form the body comes.
    pub(crate) body: BodyForm,
    /// What the client speaks.
    pub(crate) http: Http,
}

/// In which form a body comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyForm {
    /// As the client sent it.
    AsSent,
    /// Its chunks have been checked and taken away.
    Decoded,
}

/// How the body goes on.
pub(crate) enum Form {
    /// As it comes.
    Plain,
    /// In chunks that we sign.
    Chunks(Announced),
    /// In messages that we sign.
    Events,
}

impl Told {
    /// Takes it out of the headers: none of it travels on.
    pub(crate) fn take(headers: &mut HeaderMap) -> Self {
        let is = |name: &str, value: &str| headers.get(name).is_some_and(|found| found == value);
        let body = if is(HEADER_BODY, BODY_DECODED) { BodyForm::Decoded } else { BodyForm::AsSent };
        let http = if is(HEADER_HTTP, HTTP_2) { Http::Two } else { Http::One };
        let payload = headers.remove(HEADER_PAYLOAD_SHA256);
        remove_ours(headers);
        Self { payload, body, http }
    }

    /// The payload's hash: what the client signed, or what `tsh` has computed already, or our own.
    pub(crate) fn payload(
        &self,
        parts: &Parts,
        body: &RequestBody,
    ) -> Result<PayloadHash, Refusal> {
        if let Some(declared) = declared_payload(parts)? {
            return Ok(declared);
        }
        if let Some(told) = self.payload.as_ref().and_then(|value| value.to_str().ok()) {
            let payload = PayloadHash::parse(told)?;
            if matches!(payload, PayloadHash::Sha256(_) | PayloadHash::Unsigned) {
                return Ok(payload);
            }
        }
        body.bytes().map(PayloadHash::of).ok_or(Refusal::NoPayloadHash)
    }
}

impl Form {
    /// By what the signature says about the body.
    pub(crate) fn of(
        parts: &mut Parts,
        payload: PayloadHash,
        body: BodyForm,
    ) -> Result<Self, Refusal> {
        match payload {
            PayloadHash::SignedChunks(..) if body == BodyForm::AsSent => {
                Err(Refusal::UncheckedChunks)
            }
            PayloadHash::SignedChunks(_, trailer) => {
                // The length in chunks is another one.
                parts.headers.remove(CONTENT_LENGTH);
                Ok(Self::Chunks(Announced::of_request(parts, trailer)?))
            }
            PayloadHash::Events => Ok(Self::Events),
            _ => Ok(Self::Plain),
        }
    }

    /// What puts the body into this form, with the signature of the request's head as its start.
    pub(crate) fn coder(self, signed: &Signed, keys: &Arc<Keys>, clock: &Clock) -> Coder {
        let (keys, seed) = (Arc::clone(keys), signed.seed().clone());
        match self {
            Self::Plain => Coder::Plain,
            Self::Chunks(announced) => {
                Coder::Chunks(Chunks::new(Encoder::new(keys, seed, announced)))
            }
            Self::Events => Coder::Events(Signer::new(keys, seed), clock.clone()),
        }
    }
}
