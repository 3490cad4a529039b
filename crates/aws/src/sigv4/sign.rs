//! Signs a request anew, with keys that the client never sees.

use std::time::SystemTime;

use http::request::Parts;
use http::{HeaderMap, Method, Uri};
use thiserror::Error;

use super::keys::Keys;
use super::payload::PayloadHash;
use crate::endpoint::Endpoint;

/// Where a request is sent: its endpoint over https, or the address that a setting names for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    endpoint: Endpoint,
    redirect: Option<Uri>,
}

/// The address of a setting such as `AWS_ENDPOINT_URL` is not usable.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("endpoint URL `{url}` {rule}")]
pub struct BadDestination {
    url: String,
    rule: &'static str,
}

impl Destination {
    /// The endpoint itself: https, port 443.
    pub fn aws(endpoint: Endpoint) -> Self {
        Self { endpoint, redirect: None }
    }

    /// The address that the operator's own setting names (an emulator, a VPC endpoint): http or https, any port, with
    /// a path in front if it has one. Never made from what a client sent.
    ///
    /// # Errors
    /// [`BadDestination`] if it is no http or https URL with a host, or has user info, a query or a fragment.
    pub fn redirected(endpoint: Endpoint, url: &str) -> Result<Self, BadDestination> {
        let _ = (endpoint, url);
        unimplemented!()
    }

    /// The endpoint that the request is signed for.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

/// Why a request cannot be signed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SignError {
    /// The session token or access key holds a character that no header takes.
    #[error("the credentials hold a character that cannot be sent")]
    Credentials,
    /// The parts do not make a URI.
    #[error("the request's path and query do not make a URI")]
    Uri,
    /// The time is before 1970 or after 9999.
    #[error("the time is out of range")]
    Time,
}

/// A signed request, ready to send. Nothing can alter it; it can only be taken apart by the one who sends it.
pub struct Signed {
    parts: Parts,
}

impl Signed {
    /// Where it goes: absolute.
    pub fn uri(&self) -> &Uri {
        &self.parts.uri
    }

    /// Its method.
    pub fn method(&self) -> &Method {
        &self.parts.method
    }

    /// Its headers, with the signature.
    pub fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// Gives it to the sender.
    pub fn into_parts(self) -> Parts {
        self.parts
    }
}

/// Signs a request. What the client signed is signed again, everything that is the client's own authorization,
/// hop-by-hop or a forwarding header is dropped.
///
/// # Errors
/// [`SignError`].
pub fn sign(
    parts: Parts,
    payload: &PayloadHash,
    destination: &Destination,
    keys: &Keys,
    now: SystemTime,
) -> Result<Signed, SignError> {
    let _ = (parts, payload, destination, keys, now);
    unimplemented!()
}
