//! What a client's request says about its own signature.

use std::fmt;

use http::header::AUTHORIZATION;
use http::request::Parts;

use super::algorithm::Algorithm;
use super::presigned::{self, Presigned};
use super::scope::Scope;
use super::verify::VerifyError;

/// No SDK comes near; a bound against abuse.
const LONGEST: usize = 8192;

/// A parsed SigV4 `Authorization` header, or the same from a presigned query. Not yet verified.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorization {
    access_key_id: String,
    scope: Scope,
    signed_headers: String,
    signature: String,
    presigned: bool,
}

impl Authorization {
    /// Parses the value of an `Authorization` header, strictly: `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…,
    /// Signature=…`, each once, the signed headers in lower case and sorted, `host` among them. SigV4A's header, which
    /// starts with `AWS4-ECDSA-P256-SHA256`, needs `X-Amz-Region-Set` beside it: see [`Authorization::of_request`].
    ///
    /// # Errors
    /// [`VerifyError::Incomplete`] says which part is missing or malformed.
    pub fn parse(header: &str) -> Result<Self, VerifyError> {
        Self::parse_with(header, None)
    }

    fn parse_with(header: &str, regions: Option<&str>) -> Result<Self, VerifyError> {
        if header.len() > LONGEST {
            return Err(VerifyError::Incomplete("the Authorization header is longer than 8 KiB"));
        }
        let known = |(name, fields)| Some((Algorithm::of_name(name)?, fields));
        let (algorithm, fields) =
            header.split_once(' ').and_then(known).ok_or(VerifyError::Incomplete(
                "it starts neither with `AWS4-HMAC-SHA256 ` nor with `AWS4-ECDSA-P256-SHA256 `",
            ))?;
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for field in fields.split(',') {
            let (name, value) = field
                .trim()
                .split_once('=')
                .ok_or(VerifyError::Incomplete("a field has no value"))?;
            let place = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => {
                    return Err(VerifyError::Incomplete(
                        "a field is not Credential, SignedHeaders or Signature",
                    ));
                }
            };
            if place.replace(value).is_some() {
                return Err(VerifyError::Incomplete("a field is there twice"));
            }
        }
        match (credential, signed_headers, signature) {
            (Some(credential), Some(headers), Some(signature)) => {
                Self::check(algorithm, (credential, regions), headers, signature)
            }
            _ => Err(VerifyError::Incomplete("Credential, SignedHeaders or Signature is missing")),
        }
    }

    /// Finds the one authorization of a request: header or presigned query, not both, not twice.
    ///
    /// # Errors
    /// [`VerifyError::Missing`] if there is none, [`VerifyError::Incomplete`] if it is malformed or ambiguous.
    pub fn of_request(parts: &Parts) -> Result<Self, VerifyError> {
        let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
        let (header, second) = (headers.next(), headers.next());
        let query = parts.uri.query().filter(|query| presigned::is_presigned(query));
        match (header, second, query) {
            (None, _, None) => Err(VerifyError::Missing),
            (Some(header), None, None) => {
                let text =
                    header.to_str().map_err(|_| VerifyError::Incomplete("it is not plain text"))?;
                Self::parse_with(text, regions(parts)?)
            }
            (None, _, Some(query)) => {
                let found = Presigned::parse(query)?;
                let credential = (found.credential.as_str(), found.regions.as_deref());
                let checked = Self::check(
                    found.algorithm,
                    credential,
                    &found.signed_headers,
                    &found.signature,
                )?;
                Ok(Self { presigned: true, ..checked })
            }
            _ => Err(VerifyError::Incomplete("there is more than one")),
        }
    }

    fn check(
        algorithm: Algorithm,
        (credential, regions): (&str, Option<&str>),
        signed_headers: &str,
        signature: &str,
    ) -> Result<Self, VerifyError> {
        let malformed = VerifyError::Incomplete(match algorithm {
            Algorithm::Hmac => {
                "Credential is not `<access key id>/<date>/<region>/<service>/aws4_request`"
            }
            Algorithm::Ecdsa => {
                "Credential is not `<access key id>/<date>/<service>/aws4_request`, or X-Amz-Region-Set is no list of regions"
            }
        });
        let Some((access_key_id, scope)) = credential.split_once('/') else {
            return Err(malformed);
        };
        let scope = match algorithm {
            Algorithm::Hmac => Scope::parse(scope),
            Algorithm::Ecdsa => Scope::parse_regionless(scope, regions.unwrap_or_default()),
        };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let named = (1..=128).contains(&access_key_id.len()) && access_key_id.bytes().all(allowed);
        let (true, Ok(scope)) = (named, scope) else {
            return Err(malformed);
        };
        check_names(signed_headers)?;
        if !algorithm.is_signature(signature) {
            return Err(VerifyError::Incomplete(
                "Signature is not lower-case hex of the right length",
            ));
        }
        Ok(Self {
            access_key_id: access_key_id.to_owned(),
            scope,
            signed_headers: signed_headers.to_owned(),
            signature: signature.to_owned(),
            presigned: false,
        })
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.scope.algorithm()
    }

    /// The access key id.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The credential scope.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The names of the signed headers: lower case, sorted, each once, `host` among them.
    pub fn signed_headers(&self) -> impl Iterator<Item = &str> {
        self.signed_headers.split(';')
    }

    /// Whether the signature stands in the query.
    pub fn is_presigned(&self) -> bool {
        self.presigned
    }

    pub(crate) fn signed_headers_text(&self) -> &str {
        &self.signed_headers
    }

    pub(crate) fn signature(&self) -> &str {
        &self.signature
    }
}

/// `X-Amz-Region-Set`, which may be there once.
fn regions(parts: &Parts) -> Result<Option<&str>, VerifyError> {
    let mut values = parts.headers.get_all("x-amz-region-set").iter();
    match (values.next().map(|value| value.to_str()), values.next()) {
        (None, _) => Ok(None),
        (Some(Ok(text)), None) => Ok(Some(text)),
        _ => Err(VerifyError::Incomplete("X-Amz-Region-Set is there twice, or is not plain text")),
    }
}

fn check_names(signed_headers: &str) -> Result<(), VerifyError> {
    let incomplete = |rule| Err(VerifyError::Incomplete(rule));
    // Before the first of all names.
    let mut previous = "";
    let mut has_host = false;
    for name in signed_headers.split(';') {
        if name.is_empty() || !name.bytes().all(is_lower_case_token) {
            return incomplete("SignedHeaders is not a list of lower-case header names");
        }
        if name <= previous {
            return incomplete("SignedHeaders is not sorted, or names a header twice");
        }
        has_host |= name == "host";
        previous = name;
    }
    if has_host { Ok(()) } else { incomplete("SignedHeaders does not include host") }
}

/// The bytes of a header's name (RFC 9110 section 5.6.2) but upper-case letters.
fn is_lower_case_token(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*'
        | b'+' | b'^' | b'`' | b'|' | b'~')
}

impl fmt::Debug for Authorization {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Authorization")
            .field("access_key_id", &self.access_key_id)
            .field("scope", &self.scope)
            .field("signed_headers", &self.signed_headers)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Authorization;

    const GOOD: &str = "AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/dynamodb/aws4_request, \
        SignedHeaders=content-type;host;x-amz-date, \
        Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";

    #[test]
    fn header_gives_its_parts() {
        let parsed = Authorization::parse(GOOD).unwrap();
        assert_eq!(parsed.access_key_id(), "AKID");
        assert_eq!(parsed.scope().to_string(), "20150830/us-east-1/dynamodb/aws4_request");
        assert_eq!(
            parsed.signed_headers().collect::<Vec<_>>(),
            ["content-type", "host", "x-amz-date"]
        );
        assert!(Authorization::parse(&GOOD.replace(", ", ",")).is_ok());
    }

    #[test]
    fn malformed_headers_are_refused() {
        for (from, to) in [
            ("AWS4-HMAC-SHA256 ", "AWS4-ECDSA-P256-SHA256 "),
            ("AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA512 "),
            ("AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256"),
            ("AWS4-HMAC-SHA256 ", "Basic "),
            ("Credential=", "Credentials="),
            ("Credential=AKID/", "Credential="),
            ("Credential=AKID/", "Credential=/"),
            ("Credential=AKID/", "Credential=A KID/"),
            ("20150830", "2015083"),
            ("us-east-1", ""),
            ("us-east-1", "us/east-1"),
            ("us-east-1", "US-EAST-1"),
            ("us-east-1", "us-east-1.evil"),
            ("aws4_request", "aws5_request"),
            ("aws4_request", "aws4_request/x"),
            ("host;", ""),
            ("content-type;host", "host;content-type"),
            ("content-type;host", "host;host"),
            ("content-type", "Content-Type"),
            ("content-type;", "content-type;;"),
            ("x-amz-date,", "x-amz-date, SignedHeaders=host,"),
            ("Signature=5", "Signature="),
            ("Signature=5d", "Signature=5D"),
            ("Signature=5", "Signature=g"),
            (", Signature", "; Signature"),
            (", Signature", ", Extra=1, Signature"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            assert!(Authorization::parse(&GOOD.replacen(from, to, 1)).is_err(), "{from} -> {to}");
        }
        assert!(Authorization::parse(&format!("{GOOD}{}", " ".repeat(9000))).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(AWS4-HMAC-SHA256 )?\\PC{0,200}") {
            let _ = Authorization::parse(&text);
        }
    }
}
