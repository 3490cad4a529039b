//! AWS's published vectors.

use http::HeaderMap;

use super::{keys, now, raw, vectors};
use crate::calendar::Stamp;
use crate::sigv4::canonical::{Canonical, PathStyle};
use crate::sigv4::{PayloadHash, Scope, verify};

/// A folded header cannot be carried by HTTP/1.1 any more (RFC 9112 section 5.2).
const FOLDED: &str = "get-header-value-multiline";
/// Not encoded on the wire, and neither normalized: no service signs like this.
const SPACE_AS_IS: &str = "get-space-unnormalized";

#[test]
fn the_canonicaliser_gives_the_published_texts_and_signatures() {
    let mut checked = 0;
    for (name, vector) in vectors() {
        if name == FOLDED || name == SPACE_AS_IS {
            continue;
        }
        for (request, canonical, string_to_sign) in [
            (
                &vector.header_signed_request,
                &vector.header_canonical_request,
                &vector.header_string_to_sign,
            ),
            (
                &vector.query_signed_request,
                &vector.query_canonical_request,
                &vector.query_string_to_sign,
            ),
        ] {
            let raw = raw(request);
            // The last but one line of the canonical request names the signed headers.
            let signed_headers = canonical.lines().rev().nth(1).unwrap();
            let mut headers = HeaderMap::new();
            for (header, value) in &raw.headers {
                headers.append(header.parse::<http::HeaderName>().unwrap(), value.parse().unwrap());
            }
            let query = if vector.context.omit_session_token {
                let pairs = raw.query.split('&').filter(|pair| !pair.contains("Security-Token"));
                pairs.collect::<Vec<_>>().join("&")
            } else {
                raw.query.to_owned()
            };
            let request = Canonical {
                method: &raw.method.parse().unwrap(),
                path: raw.path,
                query: &query,
                style: if vector.context.normalize {
                    PathStyle::Normalized
                } else {
                    PathStyle::AsIs
                },
                headers: &headers,
                host: raw.header("host").as_bytes(),
                signed_headers,
                payload: PayloadHash::of(raw.body.as_bytes()),
            };
            assert_eq!(String::from_utf8(request.request()).unwrap(), *canonical, "{name}");
            let scope = Scope::parse("20150830/us-east-1/service/aws4_request").unwrap();
            let stamp = Stamp::parse("20150830T123600Z").unwrap();
            let text = request.string_to_sign(&stamp, &scope);
            assert_eq!(text, *string_to_sign, "{name}");
            let signature = keys().signature(["20150830", "us-east-1", "service"], &text);
            let signature = std::str::from_utf8(&signature).unwrap();
            let published = raw.headers.iter().any(|(_, value)| value.contains(signature));
            assert!(published || raw.query.contains(signature), "{name}");
            checked += 1;
        }
    }
    assert_eq!(checked, 72);
}

#[test]
fn verify_accepts_every_published_request_that_can_arrive() {
    let mut refused = Vec::new();
    let mut accepted = 0;
    for (name, vector) in vectors() {
        // For services other than S3 the path is always normalized.
        if name == FOLDED || !vector.context.normalize {
            continue;
        }
        for text in [&vector.header_signed_request, &vector.query_signed_request] {
            let raw = raw(text);
            let Some(parts) = raw.parts() else {
                refused.push(format!("{name}: no URI"));
                continue;
            };
            let payload = PayloadHash::of(raw.body.as_bytes());
            match verify(&parts, &payload, &keys(), now()) {
                Ok(_) => accepted += 1,
                Err(error) => refused.push(format!("{name}: {error}")),
            }
        }
    }
    assert_eq!(
        refused,
        [
            "get-space-normalized: no URI",
            "get-space-normalized: no URI",
            // Its token was added after signing; we want every x-amz-* header signed.
            "post-sts-header-after: header `x-amz-security-token` is in the request but not among the signed headers",
            "post-sts-header-after: the signature does not match; the secret key is wrong, or the request was changed after signing",
        ]
    );
    assert_eq!(accepted, 56);
}
