//! The parameters of a presigned query.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>.

use std::time::Duration;

use super::algorithm::Algorithm;
use super::verify::VerifyError;
use crate::query::{self, Pair};

/// A week: AWS's own limit.
const LONGEST: u64 = 604_800;

/// The parameters that authorize; AWS knows them in this spelling only.
const NAMES: [&str; 7] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
    "X-Amz-Security-Token",
];

/// The values, decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Presigned {
    pub(crate) algorithm: Algorithm,
    /// Of SigV4A: what the signature is good for.
    pub(crate) regions: Option<String>,
    pub(crate) credential: String,
    pub(crate) date: String,
    pub(crate) expires: Duration,
    pub(crate) signed_headers: String,
    pub(crate) signature: String,
}

/// Whether a query claims to authorize the request, in whatever spelling.
pub(crate) fn is_presigned(text: &str) -> bool {
    query::pairs(text).any(|pair| {
        ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature"]
            .iter()
            .any(|name| pair.is_named(name))
    })
}

/// Whether a pair is one of the authorization's own, in whatever spelling.
pub(crate) fn is_authorization(pair: &Pair<'_>) -> bool {
    NAMES.iter().any(|name| pair.is_named(name))
}

impl Presigned {
    /// Reads the parameters: each once, in AWS's spelling.
    pub(crate) fn parse(text: &str) -> Result<Self, VerifyError> {
        let value = |name: &str| {
            one(text, name)?.ok_or(VerifyError::Incomplete("a presigned query lacks a parameter"))
        };
        let algorithm =
            Algorithm::of_name(&value("X-Amz-Algorithm")?).ok_or(VerifyError::Incomplete(
                "X-Amz-Algorithm is neither AWS4-HMAC-SHA256 nor AWS4-ECDSA-P256-SHA256",
            ))?;
        one(text, "X-Amz-Security-Token")?;
        let expires = value("X-Amz-Expires")?;
        let plain = expires.bytes().all(|byte| byte.is_ascii_digit());
        let seconds =
            expires.parse().ok().filter(|seconds| plain && (1..=LONGEST).contains(seconds));
        Ok(Self {
            algorithm,
            regions: one(text, "X-Amz-Region-Set")?,
            credential: value("X-Amz-Credential")?,
            date: value("X-Amz-Date")?,
            expires: Duration::from_secs(
                seconds
                    .ok_or(VerifyError::Incomplete("X-Amz-Expires is not 1 to 604800 seconds"))?,
            ),
            signed_headers: value("X-Amz-SignedHeaders")?,
            signature: value("X-Amz-Signature")?,
        })
    }
}

/// The one parameter of this name, in this spelling.
fn one(text: &str, name: &str) -> Result<Option<String>, VerifyError> {
    let mut found = query::pairs(text).filter(|pair| pair.is_named(name));
    let Some(pair) = found.next() else {
        return Ok(None);
    };
    if pair.name.as_ref() != name.as_bytes() || found.next().is_some() {
        return Err(VerifyError::Incomplete(
            "a presigned query names a parameter twice or in another spelling",
        ));
    }
    let value = String::from_utf8(pair.value.into_owned());
    value
        .map(Some)
        .map_err(|_| VerifyError::Incomplete("a parameter of the presigned query is not text"))
}
