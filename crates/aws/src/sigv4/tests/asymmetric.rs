//! SigV4A: AWS's published vectors, the SDK's signer, and tampering.

use std::collections::BTreeMap;
use std::time::SystemTime;

use aws_credential_types::Credentials as OracleCredentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningSettings, UriPathNormalizationMode,
};
use aws_sigv4::sign::v4a;
use http::Request;
use http::request::Parts;
use proptest::prelude::*;
use serde::Deserialize;

use super::tampering::turn_every_bit;
use super::{ACCESS_KEY, SECRET, keys, keys_with, now, raw, without_authority};
use crate::calendar::Stamp;
use crate::endpoint::Endpoint;
use crate::sigv4::canonical::{Canonical, PathStyle};
use crate::sigv4::{
    Algorithm, Authorization, Destination, PayloadHash, Scope, VerifyError, sign, verify,
};

#[derive(Deserialize)]
struct Vector {
    context: Context,
    header_signed_request: String,
    header_canonical_request: String,
    header_string_to_sign: String,
    header_signature: String,
    query_signed_request: String,
    query_canonical_request: String,
    query_string_to_sign: String,
    query_signature: String,
}

#[derive(Deserialize)]
struct Context {
    normalize: bool,
    #[serde(default)]
    omit_session_token: bool,
}

fn vectors() -> BTreeMap<String, Vector> {
    serde_json::from_str(include_str!("../../../tests/vectors/sigv4a.json")).unwrap()
}

fn scope() -> Scope {
    Scope::parse_regionless("20150830/service/aws4_request", "us-east-1").unwrap()
}

/// A folded header cannot be carried, a bare space cannot be in a path: see `vectors.rs`.
const IMPOSSIBLE: [&str; 2] = ["get-header-value-multiline", "get-space-unnormalized"];

#[test]
fn the_canonicaliser_gives_the_published_texts_and_the_published_signatures_verify() {
    let mut checked = 0;
    for (name, vector) in vectors() {
        if IMPOSSIBLE.contains(&name.as_str()) {
            continue;
        }
        for (request, canonical, string_to_sign, signature) in [
            (
                &vector.header_signed_request,
                &vector.header_canonical_request,
                &vector.header_string_to_sign,
                &vector.header_signature,
            ),
            (
                &vector.query_signed_request,
                &vector.query_canonical_request,
                &vector.query_string_to_sign,
                &vector.query_signature,
            ),
        ] {
            let raw = raw(request);
            let mut headers = http::HeaderMap::new();
            for (header, value) in &raw.headers {
                headers.append(header.parse::<http::HeaderName>().unwrap(), value.parse().unwrap());
            }
            let pairs = raw.query.split('&').filter(|pair| {
                !(vector.context.omit_session_token && pair.contains("Security-Token"))
            });
            let style =
                if vector.context.normalize { PathStyle::Normalized } else { PathStyle::AsIs };
            let text = Canonical {
                method: &raw.method.parse().unwrap(),
                path: raw.path,
                query: &pairs.collect::<Vec<_>>().join("&"),
                style,
                headers: &headers,
                host: raw.header("host").as_bytes(),
                signed_headers: canonical.lines().rev().nth(1).unwrap(),
                payload: PayloadHash::of(raw.body.as_bytes()),
            };
            assert_eq!(String::from_utf8(text.request()).unwrap(), *canonical, "{name}");
            let stamp = Stamp::parse("20150830T123600Z").unwrap();
            assert_eq!(text.string_to_sign(&stamp, &scope()), *string_to_sign, "{name}");
            assert!(keys().verifies(&scope(), string_to_sign, signature), "{name}");
            let ours = keys().sign(&scope(), string_to_sign).unwrap();
            assert_ne!(ours, *signature);
            assert!(keys().verifies(&scope(), string_to_sign, &ours), "{name}");
            checked += 1;
        }
    }
    assert_eq!(checked, 72);
}

#[test]
fn verify_accepts_every_published_request_that_can_arrive() {
    let (mut accepted, mut refused) = (0, Vec::new());
    for (name, vector) in vectors() {
        if IMPOSSIBLE.contains(&name.as_str()) || !vector.context.normalize {
            continue;
        }
        for text in [&vector.header_signed_request, &vector.query_signed_request] {
            let raw = raw(text);
            let Some(parts) = raw.parts() else {
                refused.push(format!("{name}: no URI"));
                continue;
            };
            match verify(&parts, &PayloadHash::of(raw.body.as_bytes()), &keys(), now()) {
                Ok(verified) => {
                    assert_eq!(verified.authorization.algorithm(), Algorithm::Ecdsa);
                    accepted += 1;
                }
                Err(error) => refused.push(format!("{name}: {error}")),
            }
        }
    }
    assert_eq!(
        refused,
        [
            "get-space-normalized: no URI",
            "get-space-normalized: no URI",
            "post-sts-header-after: header `x-amz-security-token` is in the request but not among the signed headers",
            "post-sts-header-after: the signature does not match; the secret key is wrong, or the request was changed after signing",
        ]
    );
    assert_eq!(accepted, 56);
}

/// A request for a multi-region access point, as an SDK makes it.
fn by_oracle(path: &str, location: SignatureLocation, now: SystemTime) -> Parts {
    let identity = OracleCredentials::new(ACCESS_KEY, SECRET, None, None, "test").into();
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.signature_location = location;
    if location == SignatureLocation::Headers {
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    } else {
        settings.expires_in = Some(std::time::Duration::from_secs(60));
    }
    let params = v4a::SigningParams::builder()
        .identity(&identity)
        .region_set("*")
        .name("s3")
        .time(now)
        .settings(settings)
        .build()
        .unwrap();
    let uri = format!("https://s3.us-east-1.amazonaws.com{path}");
    let signable =
        SignableRequest::new("PUT", uri.clone(), std::iter::empty(), SignableBody::UnsignedPayload);
    let (instructions, _) =
        aws_sigv4::http_request::sign(signable.unwrap(), &params.into()).unwrap().into_parts();
    let mut request = Request::put(uri).body(()).unwrap();
    instructions.apply_to_request_http1x(&mut request);
    let mut parts = without_authority(request.into_parts().0);
    parts.headers.insert("host", "s3.us-east-1.amazonaws.com".parse().unwrap());
    parts
}

#[test]
fn every_single_bit_counts() {
    let vector = &vectors()["get-vanilla-query-order-key-case"];
    for text in [&vector.header_signed_request, &vector.query_signed_request] {
        let raw = raw(text);
        let parts = raw.parts().unwrap();
        assert!(turn_every_bit(&parts, raw.body.as_bytes()) > 1000);
    }
}

#[test]
fn regions_must_be_named_and_signed() {
    let good = by_oracle("/b/k", SignatureLocation::Headers, now());
    let check = |change: fn(&mut Parts)| {
        let mut parts = good.clone();
        change(&mut parts);
        verify(&parts, &PayloadHash::Unsigned, &keys(), now()).map(|_| ())
    };
    assert_eq!(check(|_| {}), Ok(()));
    let changed = |parts: &mut Parts| {
        parts.headers.insert("x-amz-region-set", "us-east-1".parse().unwrap());
    };
    assert_eq!(check(changed), Err(VerifyError::Mismatch));
    let missing = check(|parts| drop(parts.headers.remove("x-amz-region-set")));
    assert!(matches!(missing, Err(VerifyError::Incomplete(_))), "{missing:?}");
    let wrong = keys_with(None);
    assert!(verify(&good, &PayloadHash::Unsigned, &wrong, now()).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_the_oracle_signs_is_verified_and_signed_again(
        path in "(/([a-zA-Z0-9._~-]|%2[0-9A-F]|%C3%A9){1,8}){2,4}",
        seconds in 0..4_000_000_000_u64,
        presigned in any::<bool>(),
    ) {
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        let location =
            if presigned { SignatureLocation::QueryParams } else { SignatureLocation::Headers };
        let parts = by_oracle(&path, location, now);
        let verdict = verify(&parts, &PayloadHash::Unsigned, &keys(), now);
        prop_assert!(verdict.is_ok(), "{verdict:?}");

        let endpoint = Endpoint::from_host("s3.us-east-1.amazonaws.com").unwrap();
        let ours = keys_with(Some("the-token"));
        let signed = sign(parts, &PayloadHash::Unsigned, &Destination::aws(endpoint), &ours, now);
        let parts = without_authority(signed.unwrap().into_parts());
        prop_assert_eq!(&parts.headers["x-amz-region-set"], "*");
        let authorization = Authorization::of_request(&parts).unwrap();
        prop_assert_eq!(authorization.algorithm(), Algorithm::Ecdsa);
        prop_assert!(verify(&parts, &PayloadHash::Unsigned, &ours, now).is_ok());
    }
}
