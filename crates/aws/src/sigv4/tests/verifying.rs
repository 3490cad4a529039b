//! Time and payloads.

use std::time::Duration;

use aws_sigv4::http_request::SignableBody;
use http::request::Parts;

use super::{Oracle, arrived, at, dynamodb_request, keys, now, raw, vectors};
use crate::sigv4::{Algorithm, PayloadHash, Trailer, VerifyError, declared_payload, verify};

#[test]
fn a_clock_may_be_off_by_fifteen_minutes() {
    let parts = dynamodb_request(b"{}");
    let check = |now| verify(&parts, &PayloadHash::of(b"{}"), &keys(), now).map(|_| ());
    assert_eq!(check(at("20150830T125100Z")), Ok(()));
    assert_eq!(check(at("20150830T122100Z")), Ok(()));
    let late = check(at("20150830T125101Z")).unwrap_err();
    assert_eq!(
        late.to_string(),
        "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T125101Z - 15 min.)"
    );
    let early = check(at("20150830T122059Z")).unwrap_err();
    assert_eq!(
        early.to_string(),
        "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z (20150830T122059Z + 15 min.)"
    );
}

#[test]
fn a_presigned_request_lives_as_long_as_it_says() {
    let vector = &vectors()["get-vanilla"];
    let parts = raw(&vector.query_signed_request).parts().unwrap();
    let check = |now| verify(&parts, &PayloadHash::of(b""), &keys(), now).map(|_| ());
    assert_eq!(check(now() + Duration::from_secs(3600)), Ok(()));
    assert!(matches!(check(now() + Duration::from_secs(3601)), Err(VerifyError::Expired { .. })));
    assert!(matches!(check(at("20150830T120000Z")), Err(VerifyError::NotYetCurrent { .. })));
}

#[test]
fn presigned_parameters_are_read_strictly() {
    let vector = &vectors()["get-vanilla"];
    let text = &vector.query_signed_request;
    for (from, to) in [
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=AWS4-HMAC-SHA1"),
        ("X-Amz-Expires=3600", "X-Amz-Expires=0"),
        ("X-Amz-Expires=3600", "X-Amz-Expires=604801"),
        ("X-Amz-Expires=3600", "X-Amz-Expires=%2B60"),
        ("X-Amz-Expires=3600&", ""),
        ("X-Amz-Expires=3600", "X-Amz-Expires=3600&X-Amz-Expires=3600"),
        ("X-Amz-Expires=3600", "X-Amz-Expires=3600&x-amz-expires=60"),
        ("X-Amz-Date=2015", "x-amz-date=2015"),
        ("X-Amz-Signature=", "X-Amz-Sig="),
    ] {
        assert!(text.contains(from), "{from}");
        let changed = text.replacen(from, to, 1);
        let parts = raw(&changed).parts().unwrap();
        let verdict = verify(&parts, &PayloadHash::of(b""), &keys(), now());
        assert!(matches!(verdict, Err(VerifyError::Incomplete(_))), "{to}: {verdict:?}");
    }
}

fn s3_put(body: SignableBody<'_>) -> Parts {
    let request = Oracle {
        method: "PUT",
        uri: "https://s3.us-east-1.amazonaws.com/b/k".to_owned(),
        headers: Vec::new(),
        body,
        service: "s3",
        region: "us-east-1",
    };
    arrived(&request, now())
}

#[test]
fn declared_payloads_must_be_true_and_allowed() {
    let check = |parts: &Parts, payload| verify(parts, &payload, &keys(), now()).map(|_| ());
    let hashed = s3_put(SignableBody::Bytes(b"body"));
    let streamed = declared_payload(&hashed).unwrap().unwrap();
    assert_eq!(check(&hashed, streamed), Ok(()));
    assert_eq!(check(&hashed, PayloadHash::of(b"body")), Ok(()));
    assert_eq!(check(&hashed, PayloadHash::of(b"other")), Err(VerifyError::PayloadMismatch));
    assert_eq!(check(&hashed, PayloadHash::Unsigned), Err(VerifyError::PayloadMismatch));

    let unsigned = s3_put(SignableBody::UnsignedPayload);
    assert_eq!(check(&unsigned, PayloadHash::Unsigned), Ok(()));
    assert_eq!(check(&unsigned, PayloadHash::of(b"read")), Ok(()));
    assert_eq!(
        check(&unsigned, PayloadHash::StreamingUnsignedTrailer),
        Err(VerifyError::PayloadMismatch)
    );

    let trailer = s3_put(SignableBody::StreamingUnsignedPayloadTrailer);
    assert_eq!(check(&trailer, PayloadHash::StreamingUnsignedTrailer), Ok(()));

    let chunks = s3_put(SignableBody::StreamingSignedPayloadTrailer);
    assert_eq!(check(&chunks, PayloadHash::Unsigned), Err(VerifyError::PayloadMismatch));
    let signed = |algorithm| PayloadHash::SignedChunks(algorithm, Trailer::Present);
    assert_eq!(check(&chunks, signed(Algorithm::Hmac)), Ok(()));
    let wrong = PayloadHash::SignedChunks(Algorithm::Ecdsa, Trailer::Present).text();
    let mixed = s3_put(SignableBody::Precomputed(wrong));
    assert_eq!(check(&mixed, signed(Algorithm::Ecdsa)), Err(VerifyError::MixedAlgorithms));
}

#[test]
fn services_that_are_decided_on_by_their_bodies_take_no_unsigned_ones() {
    let request = Oracle {
        method: "POST",
        uri: "https://dynamodb.us-east-1.amazonaws.com/".to_owned(),
        headers: vec![("x-amz-content-sha256".to_owned(), "UNSIGNED-PAYLOAD".to_owned())],
        body: SignableBody::UnsignedPayload,
        service: "dynamodb",
        region: "us-east-1",
    };
    let parts = arrived(&request, now());
    for payload in [PayloadHash::Unsigned, PayloadHash::of(b"{}")] {
        let verdict = verify(&parts, &payload, &keys(), now()).map(|_| ());
        assert_eq!(verdict, Err(VerifyError::UnsignedPayload));
    }
}

#[test]
fn a_session_token_is_carried_once_in_header_or_query_and_whole() {
    use crate::sigv4::carries_token;
    for (query, headers, carries) in [
        ("", vec!["a/token=="], true),
        ("?X-Amz-Security-Token=a%2Ftoken%3D%3D", vec![], true),
        ("", vec![], false),
        ("", vec!["a/token="], false),
        ("", vec!["a/token==="], false),
        ("", vec!["A/token=="], false),
        ("", vec!["a/token==", "a/token=="], false),
        ("?X-Amz-Security-Token=a%2Ftoken%3D%3D", vec!["a/token=="], false),
        ("?X-Amz-Security-Token=x", vec!["a/token=="], false),
        ("?x-amz-security-token=x&X-Amz-Security-Token=a%2Ftoken%3D%3D", vec![], false),
    ] {
        let mut request = http::Request::get(format!("https://localhost/{query}"));
        for header in &headers {
            request = request.header("x-amz-security-token", *header);
        }
        let parts = request.body(()).unwrap().into_parts().0;
        assert_eq!(carries_token(&parts, "a/token=="), carries, "{query} {headers:?}");
    }
}
