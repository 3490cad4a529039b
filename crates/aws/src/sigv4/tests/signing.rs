//! What signing drops, adds and addresses.

use std::time::{Duration, SystemTime};

use http::Request;
use http::request::Parts;

use super::{dynamodb_request, keys, keys_with, now, without_authority};
use crate::endpoint::Endpoint;
use crate::sigv4::{
    Authorization, Destination, Keys, PayloadHash, SignError, declared_payload, sign, verify,
};

fn signed(parts: Parts, payload: PayloadHash, host: &str, token: Option<&str>) -> Parts {
    let destination = Destination::aws(Endpoint::from_host(host).unwrap());
    sign(parts, &payload, &destination, &keys_with(token), now()).unwrap().into_parts()
}

#[test]
fn what_is_the_clients_or_the_hops_own_is_dropped() {
    let mut parts = dynamodb_request(b"{}");
    for (name, value) in [
        ("x-amz-security-token", "the-clients-own"),
        ("connection", "close, x-hop, x-amz-target, content-type"),
        ("x-hop", "1"),
        ("keep-alive", "1"),
        ("te", "trailers"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("expect", "100-continue"),
        ("proxy-authorization", "Basic x"),
        ("proxy-connection", "close"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-host", "attacker.example.com://s3.amazonaws.com"),
        ("forwarded", "for=10.0.0.1"),
        ("via", "1.1 x"),
        ("cookie", "a=b"),
        ("date", "Sun, 30 Aug 2015 12:36:00 GMT"),
    ] {
        parts.headers.insert(http::HeaderName::from_static(name), value.parse().unwrap());
    }
    parts.headers.insert("user-agent", "aws-cli".parse().unwrap());
    parts.headers.insert("content-length", "2".parse().unwrap());
    let parts =
        signed(parts, PayloadHash::of(b"{}"), "dynamodb.eu-west-1.amazonaws.com", Some("ours"));
    let mut names: Vec<&str> = parts.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "authorization",
            "content-length",
            "content-type",
            "host",
            "user-agent",
            "x-amz-date",
            "x-amz-security-token",
            "x-amz-target"
        ]
    );
    assert_eq!(parts.headers["host"], "dynamodb.eu-west-1.amazonaws.com");
    assert_eq!(parts.headers["x-amz-security-token"], "ours");
    assert!(parts.headers["x-amz-security-token"].is_sensitive());
    assert!(parts.headers["authorization"].is_sensitive());
    assert_eq!(parts.uri, "https://dynamodb.eu-west-1.amazonaws.com/");
    let authorization = Authorization::of_request(&parts).unwrap();
    let names: Vec<&str> = authorization.signed_headers().collect();
    assert_eq!(
        names,
        ["content-type", "host", "x-amz-date", "x-amz-security-token", "x-amz-target"]
    );
    assert_eq!(authorization.scope().to_string(), "20150830/eu-west-1/dynamodb/aws4_request");
}

#[test]
fn a_destination_may_be_the_operators_own_address() {
    for (host, url, path, uri, host_header) in [
        (
            "dynamodb.us-east-1.amazonaws.com",
            "http://127.0.0.1:8000",
            "/",
            "http://127.0.0.1:8000/",
            "127.0.0.1:8000",
        ),
        (
            "dynamodb.us-east-1.amazonaws.com",
            "http://localhost:80/",
            "/",
            "http://localhost:80/",
            "localhost",
        ),
        (
            "s3.us-east-1.amazonaws.com",
            "https://vpce.example:443/x/",
            "/b/k?a=1",
            "https://vpce.example:443/x/b/k?a=1",
            "vpce.example",
        ),
        (
            "my.b.s3.us-east-1.amazonaws.com",
            "http://[::1]:4566",
            "/k",
            "http://[::1]:4566/my.b/k",
            "[::1]:4566",
        ),
        (
            "my.b.s3.us-east-1.amazonaws.com",
            "http://h:1",
            "/?list-type=2",
            "http://h:1/my.b/?list-type=2",
            "h:1",
        ),
    ] {
        let endpoint = Endpoint::from_host(host).unwrap();
        let destination = Destination::redirected(endpoint, url).unwrap();
        let parts = Request::get(path).body(()).unwrap().into_parts().0;
        let signed = sign(parts, &PayloadHash::of(b""), &destination, &keys(), now()).unwrap();
        assert_eq!(*signed.uri(), uri, "{url}");
        assert_eq!(signed.headers()["host"], host_header, "{url}");
        assert!(
            verify(&without_authority(signed.into_parts()), &PayloadHash::of(b""), &keys(), now())
                .is_ok()
        );
    }
}

#[test]
fn other_urls_are_refused_without_quoting_them() {
    let endpoint = Endpoint::from_host("dynamodb.us-east-1.amazonaws.com").unwrap();
    for url in [
        "",
        "127.0.0.1:8000",
        "/x",
        "ftp://h",
        "http://u:secret@h",
        "http://h?a=secret",
        "http://h/#secret",
        "http://",
    ] {
        let error = Destination::redirected(endpoint.clone(), url).unwrap_err();
        assert!(!error.to_string().contains("secret"), "{url}");
    }
}

#[test]
fn a_presigned_request_is_signed_by_header() {
    let uri = "/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fs3%2Faws4_request\
        &X-Amz-Date=20150830T123600Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Security-Token=clients\
        &X-Amz-Content-Sha256=UNSIGNED-PAYLOAD&versionId=1%2B2&x-amz-acl=private&X-Amz-Signature=";
    let uri = format!("{uri}{}", "0".repeat(64));
    let request = Request::put(uri).header("host", "bkt.s3.us-east-1.amazonaws.com");
    let parts = request.body(()).unwrap().into_parts().0;
    let payload = declared_payload(&parts).unwrap().unwrap();
    let parts = signed(parts, payload, "bkt.s3.us-east-1.amazonaws.com", None);
    assert_eq!(parts.uri, "https://bkt.s3.us-east-1.amazonaws.com/k?versionId=1%2B2");
    assert_eq!(parts.headers["x-amz-acl"], "private");
    assert_eq!(parts.headers["x-amz-content-sha256"], "UNSIGNED-PAYLOAD");
    assert!(!parts.headers.contains_key("x-amz-security-token"));
    assert!(verify(&without_authority(parts), &PayloadHash::Unsigned, &keys(), now()).is_ok());
}

#[test]
fn credentials_that_cannot_be_sent_and_times_out_of_range_are_errors() {
    let endpoint = Endpoint::from_host("dynamodb.us-east-1.amazonaws.com").unwrap();
    let destination = Destination::aws(endpoint);
    let attempt = |keys: &Keys, now| {
        sign(dynamodb_request(b""), &PayloadHash::of(b""), &destination, keys, now).map(|_| ())
    };
    assert_eq!(attempt(&keys_with(Some("a\nb")), now()), Err(SignError::Credentials));
    let early = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    assert_eq!(attempt(&keys(), early), Err(SignError::Time));
}
