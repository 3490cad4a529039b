//! A changed request is refused, whatever was changed.

use http::request::Parts;
use http::{Method, Request};

use super::{ACCESS_KEY, SECRET, dynamodb_request, keys, now, raw, vectors};
use crate::sigv4::{Credentials, Keys, PayloadHash, VerifyError, verify};

/// A request as flat bytes, so that any bit of it can be turned.
#[derive(Clone)]
struct Flat {
    fields: Vec<Vec<u8>>,
    names: Vec<String>,
}

impl Flat {
    fn of(parts: &Parts, body: &[u8]) -> Self {
        let uri = parts.uri.path_and_query().unwrap().as_str().as_bytes().to_vec();
        let mut fields = vec![parts.method.as_str().as_bytes().to_vec(), uri, body.to_vec()];
        let mut names = Vec::new();
        for (name, value) in &parts.headers {
            names.push(name.to_string());
            fields.push(value.as_bytes().to_vec());
        }
        Self { fields, names }
    }

    /// None if no server would let it in.
    fn parts(&self) -> Option<(Parts, &[u8])> {
        let [method, uri, body, values @ ..] = self.fields.as_slice() else {
            return None;
        };
        let mut request =
            Request::builder().method(Method::from_bytes(method).ok()?).uri(uri.as_slice());
        for (name, value) in self.names.iter().zip(values) {
            request = request.header(name, value.as_slice());
        }
        Some((request.body(()).ok()?.into_parts().0, body))
    }
}

/// `%2f` and `%2F` are one query.
fn is_same_uri(left: &[u8], right: &[u8]) -> bool {
    let decoded = |uri: &[u8]| percent_encoding::percent_decode(uri).collect::<Vec<u8>>();
    let escapes = |uri: &[u8]| uri.iter().filter(|byte| **byte == b'%').count();
    decoded(left) == decoded(right) && escapes(left) == escapes(right)
}

pub(super) fn turn_every_bit(parts: &Parts, body: &[u8]) -> usize {
    let flat = Flat::of(parts, body);
    let mut tried = 0;
    for field in 0..flat.fields.len() {
        for bit in 0..flat.fields[field].len() * 8 {
            let mut turned = flat.clone();
            turned.fields[field][bit / 8] ^= 1 << (bit % 8);
            let Some((parts, body)) = turned.parts() else { continue };
            if is_same_uri(&flat.fields[1], &turned.fields[1]) && field == 1 {
                continue;
            }
            tried += 1;
            let verdict = verify(&parts, &PayloadHash::of(body), &keys(), now());
            assert!(
                verdict.is_err(),
                "bit {bit} of {:?}",
                String::from_utf8_lossy(&turned.fields[field])
            );
        }
    }
    tried
}

#[test]
fn every_single_bit_counts() {
    let body = br#"{"TableName":"T","Key":{"id":{"S":"1"}}}"#;
    let parts = dynamodb_request(body);
    assert!(verify(&parts, &PayloadHash::of(body), &keys(), now()).is_ok());
    assert!(turn_every_bit(&parts, body) > 2000);

    for name in ["get-vanilla-query-order-key-case", "post-x-www-form-urlencoded", "get-utf8"] {
        let vector = &vectors()[name];
        for text in [&vector.header_signed_request, &vector.query_signed_request] {
            let raw = raw(text);
            let parts = raw.parts().unwrap();
            assert!(verify(&parts, &PayloadHash::of(raw.body.as_bytes()), &keys(), now()).is_ok());
            assert!(turn_every_bit(&parts, raw.body.as_bytes()) > 1000, "{name}");
        }
    }
}

#[test]
fn added_removed_and_doubled_headers_are_noticed() {
    let body = b"{}";
    let check = |change: fn(&mut Parts)| {
        let mut parts = dynamodb_request(body);
        change(&mut parts);
        verify(&parts, &PayloadHash::of(body), &keys(), now()).map(|_| ())
    };
    assert_eq!(check(|_| {}), Ok(()));
    let unsigned = |name: &str| Err(VerifyError::UnsignedHeader(name.to_owned()));
    let add = |parts: &mut Parts| {
        parts.headers.insert("x-amz-copy-source", "b/k".parse().unwrap());
    };
    assert_eq!(check(add), unsigned("x-amz-copy-source"));
    let incomplete =
        |change: fn(&mut Parts)| matches!(check(change), Err(VerifyError::Incomplete(_)));
    assert!(incomplete(|parts| drop(parts.headers.remove("x-amz-target"))));
    assert!(incomplete(|parts| drop(parts.headers.remove("content-type"))));
    assert!(incomplete(|parts| drop(parts.headers.remove("host"))));
    assert!(incomplete(|parts| drop(parts.headers.remove("x-amz-date"))));
    for name in ["host", "x-amz-date", "x-amz-target", "authorization"] {
        let mut parts = dynamodb_request(body);
        let value = parts.headers[name].clone();
        parts.headers.append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
        let verdict = verify(&parts, &PayloadHash::of(body), &keys(), now());
        assert!(matches!(verdict, Err(VerifyError::Incomplete(_))), "{name}: {verdict:?}");
    }
    assert_eq!(
        check(|parts| parts
            .headers
            .append("content-type", "x/y".parse().unwrap())
            .then_some(())
            .unwrap()),
        Err(VerifyError::Mismatch)
    );
    assert_eq!(
        check(|parts| drop(parts.headers.remove("authorization"))),
        Err(VerifyError::Missing)
    );
    assert!(incomplete(|parts| parts.uri = "https://evil.com/".parse().unwrap()));
    assert!(incomplete(|parts| parts.uri = "/?X-Amz-Signature=1".parse().unwrap()));
    // HTTP/2 carries the host in the URI.
    let authority = |parts: &mut Parts| {
        parts.uri = "https://dynamodb.us-east-1.amazonaws.com/".parse().unwrap();
        parts.headers.remove("host");
    };
    assert_eq!(check(authority), Ok(()));
}

#[test]
fn wrong_keys_are_told_from_wrong_signatures() {
    let parts = dynamodb_request(b"{}");
    let payload = PayloadHash::of(b"{}");
    let other = |id: &str, secret: &str| {
        Keys::new(Credentials {
            access_key_id: id.to_owned(),
            secret_access_key: secret.into(),
            session_token: None,
        })
    };
    let verdict = verify(&parts, &payload, &other("AKIDOTHER", SECRET), now()).map(|_| ());
    assert_eq!(verdict, Err(VerifyError::UnknownKey(ACCESS_KEY.to_owned())));
    let verdict = verify(&parts, &payload, &other(ACCESS_KEY, "other"), now()).map(|_| ());
    assert_eq!(verdict, Err(VerifyError::Mismatch));
}
