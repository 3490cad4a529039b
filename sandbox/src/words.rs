//! Signature faults in the words that each AWS protocol uses for them.

use crate::answer::{Protocol, Refusal};
use crate::sigv4::Fault;

/// What the caller is told about a fault.
pub fn refusal(fault: &Fault, protocol: Protocol) -> Refusal {
    match protocol {
        Protocol::Json => framework(fault, &JSON),
        Protocol::Query => framework(fault, &QUERY),
        Protocol::Rest => s3(fault),
    }
}

/// The codes that the JSON and the query protocols give to the same faults.
struct Codes {
    /// The status of a signature that is not right.
    denied: u16,
    missing: &'static str,
    incomplete: &'static str,
    mismatch: &'static str,
    unknown: &'static str,
    expired: &'static str,
}

const JSON: Codes = Codes {
    denied: 400,
    missing: "MissingAuthenticationTokenException",
    incomplete: "IncompleteSignatureException",
    mismatch: "InvalidSignatureException",
    unknown: "UnrecognizedClientException",
    expired: "ExpiredTokenException",
};

const QUERY: Codes = Codes {
    denied: 403,
    missing: "MissingAuthenticationToken",
    incomplete: "IncompleteSignature",
    mismatch: "SignatureDoesNotMatch",
    unknown: "InvalidClientTokenId",
    expired: "ExpiredToken",
};

const WRONG_SIGNATURE: &str = "The request signature we calculated does not match the signature you provided. \
    Check your AWS Secret Access Key and signing method. Consult the service documentation for details.";

fn framework(fault: &Fault, codes: &Codes) -> Refusal {
    let mismatch = |text: String| Refusal::new(codes.denied, codes.mismatch, text);
    match fault {
        Fault::Missing => Refusal::new(codes.denied, codes.missing, "Request is missing Authentication Token"),
        Fault::Scheme(scheme) if scheme.starts_with("AWS4-") => {
            Refusal::new(400, codes.incomplete, format!("Unsupported AWS 'algorithm': '{scheme}'."))
        }
        Fault::Scheme(_) => Refusal::new(codes.denied, codes.missing, "Request is missing Authentication Token"),
        Fault::Both => mismatch(
            "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.".to_owned(),
        ),
        Fault::Incomplete(texts) => Refusal::new(400, codes.incomplete, texts.join(" ")),
        Fault::Malformed(text) => Refusal::new(400, codes.incomplete, text),
        Fault::Region { given, .. } => {
            mismatch(format!("Credential should be scoped to a valid region, not '{given}'. "))
        }
        Fault::Service { wanted, .. } => {
            mismatch(format!("Credential should be scoped to correct service: '{wanted}'. "))
        }
        Fault::Day { scope, date } => mismatch(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: \
             '{scope}' != '{}', from '{date}'.",
            date.get(..8).unwrap_or_default()
        )),
        Fault::UnknownKey(_) | Fault::Token(_) => {
            Refusal::new(codes.denied, codes.unknown, "The security token included in the request is invalid.")
        }
        Fault::SessionExpired(_) => {
            Refusal::new(codes.denied, codes.expired, "The security token included in the request is expired")
        }
        Fault::TooOld { date, limit, now } => mismatch(format!(
            "Signature expired: {date} is now earlier than {limit} ({now} - 5 min.)"
        )),
        Fault::TooNew { date, limit, now } => mismatch(format!(
            "Signature not yet current: {date} is still later than {limit} ({now} + 5 min.)"
        )),
        Fault::PresignedExpired(end) => mismatch(format!("Signature expired: the presigned request ended at {end}")),
        Fault::Unsigned(names) => {
            mismatch(format!("{}: {}", UNSIGNED, names.join(", ")))
        }
        Fault::Payload { .. } => mismatch(format!(
            "{WRONG_SIGNATURE} (The provided 'x-amz-content-sha256' header does not match what was computed.)"
        )),
        Fault::NoPayloadHash | Fault::Mismatch(_) => mismatch(WRONG_SIGNATURE.to_owned()),
    }
}

const UNSIGNED: &str = "There were headers present in the request which were not signed";

/// S3's words: first for signatures that cannot even be judged.
fn s3(fault: &Fault) -> Refusal {
    match fault {
        Fault::Missing => Refusal::new(403, "AccessDenied", "Access Denied"),
        Fault::Scheme(_) => Refusal::new(
            400,
            "InvalidRequest",
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
        ),
        Fault::Both => Refusal::new(
            400,
            "InvalidArgument",
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string \
             parameter or the Authorization header should be specified",
        ),
        Fault::Incomplete(texts) => s3_malformed(&texts.join(" ")),
        Fault::Malformed(text) => s3_malformed(text),
        Fault::Region { given, wanted } => {
            s3_malformed(&format!("the region '{given}' is wrong; expecting '{wanted}'"))
                .with("Region", wanted.clone())
        }
        Fault::Service { given, .. } => s3_malformed(&format!(
            "incorrect service \"{given}\". This endpoint belongs to \"s3\"."
        )),
        Fault::Day { scope, date } => s3_malformed(&format!(
            "Invalid credential date \"{scope}\". This date is not the same as X-Amz-Date: \"{date}\"."
        )),
        Fault::NoPayloadHash => Refusal::new(
            400,
            "InvalidRequest",
            "Missing required header for this request: x-amz-content-sha256",
        ),
        judged => s3_judged(judged),
    }
}

fn s3_malformed(text: &str) -> Refusal {
    let text = format!("The authorization header is malformed; {text}");
    Refusal::new(400, "AuthorizationHeaderMalformed", text)
}

/// S3's words for signatures that were judged and found wanting. As AWS does it, the last of them
/// shows the canonical request, and with it a session token if there was one.
fn s3_judged(fault: &Fault) -> Refusal {
    match fault {
        Fault::UnknownKey(id) => {
            let text = "The AWS Access Key Id you provided does not exist in our records.";
            Refusal::new(403, "InvalidAccessKeyId", text).with("AWSAccessKeyId", id.clone())
        }
        Fault::Token(_) => Refusal::new(
            400,
            "InvalidToken",
            "The provided token is malformed or otherwise invalid.",
        ),
        Fault::SessionExpired(_) => {
            Refusal::new(400, "ExpiredToken", "The provided token has expired.")
        }
        Fault::TooOld { date, now, .. } | Fault::TooNew { date, now, .. } => {
            let text = "The difference between the request time and the current time is too large.";
            Refusal::new(403, "RequestTimeTooSkewed", text)
                .with("RequestTime", date.clone())
                .with("ServerTime", now.clone())
                .with("MaxAllowedSkewMilliseconds", "300000")
        }
        Fault::PresignedExpired(end) => {
            Refusal::new(403, "AccessDenied", "Request has expired").with("Expires", end.clone())
        }
        Fault::Unsigned(names) => {
            Refusal::new(403, "AccessDenied", UNSIGNED).with("HeadersNotSigned", names.join(", "))
        }
        Fault::Payload { claimed, computed } => {
            let text =
                "The provided 'x-amz-content-sha256' header does not match what was computed.";
            Refusal::new(400, "XAmzContentSHA256Mismatch", text)
                .with("ClientComputedContentSHA256", claimed.clone())
                .with("S3ComputedContentSHA256", computed.clone())
        }
        Fault::Mismatch(found) => Refusal::new(403, "SignatureDoesNotMatch", S3_MISMATCH)
            .with("AWSAccessKeyId", found.access_key_id.clone())
            .with("StringToSign", found.string_to_sign.clone())
            .with("SignatureProvided", found.provided.clone())
            .with("CanonicalRequest", found.canonical_request.clone()),
        other => Refusal::new(403, "AccessDenied", other.to_string()),
    }
}

const S3_MISMATCH: &str = "The request signature we calculated does not match the signature you provided. \
    Check your key and signing method.";
