//! Every way in which a signature can be wrong is refused, in each protocol's words.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{Caller, Sandbox, dynamodb_request};
use http::{HeaderValue, Request, StatusCode};

const LIST: &str = "ListTables";

#[tokio::test]
async fn right_signature_is_accepted_by_all_three_services() {
    let sandbox = Sandbox::start().await;
    let caller = sandbox.caller();
    let tables = sandbox.dynamodb(&caller, LIST, "{}").await;
    assert_eq!((tables.status, tables.text().as_str()), (StatusCode::OK, r#"{"TableNames":[]}"#));
    let identity = sandbox.sts(&caller, "Action=GetCallerIdentity").await;
    assert_eq!(identity.element("Arn"), "arn:aws:iam::111122223333:user/agent");
    let buckets = sandbox.s3(&caller, "GET", "/", b"").await;
    assert_eq!(buckets.status, StatusCode::OK, "{}", buckets.text());
    sandbox.stop().await;
}

#[tokio::test]
async fn wrong_callers_are_refused_in_the_words_of_each_protocol() {
    let sandbox = Sandbox::start().await;
    let good = sandbox.caller();
    let minutes = |count: u64| Duration::from_secs(count * 60);
    let cases: Vec<(&str, Caller, [&str; 3])> = vec![
        (
            "wrong secret",
            Caller { secret: "x".to_owned(), ..good.clone() },
            ["InvalidSignatureException", "SignatureDoesNotMatch", "SignatureDoesNotMatch"],
        ),
        (
            "unknown key",
            Caller { id: "AKIAUNKNOWN".to_owned(), ..good.clone() },
            ["UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId"],
        ),
        (
            "a token where none belongs",
            Caller { token: Some("token".to_owned()), ..good.clone() },
            ["UnrecognizedClientException", "InvalidClientTokenId", "InvalidToken"],
        ),
        (
            "six minutes ago",
            Caller { time: good.time - minutes(6), ..good.clone() },
            ["InvalidSignatureException", "SignatureDoesNotMatch", "RequestTimeTooSkewed"],
        ),
        (
            "in six minutes",
            Caller { time: good.time + minutes(6), ..good.clone() },
            ["InvalidSignatureException", "SignatureDoesNotMatch", "RequestTimeTooSkewed"],
        ),
    ];
    for (name, caller, wanted) in cases {
        let replies = [
            sandbox.dynamodb(&caller, LIST, "{}").await,
            sandbox.sts(&caller, "Action=GetCallerIdentity").await,
            sandbox.s3(&caller, "GET", "/", b"").await,
        ];
        let codes: Vec<String> = replies.iter().map(common::Reply::code).collect();
        assert_eq!(codes, wanted, "{name}");
    }
    let near = Caller { time: good.time - minutes(4), ..good };
    assert_eq!(sandbox.dynamodb(&near, LIST, "{}").await.status, StatusCode::OK);
    sandbox.stop().await;
}

#[tokio::test]
async fn whatever_is_changed_after_signing_is_noticed() {
    let sandbox = Sandbox::start().await;
    let caller = sandbox.caller();
    let signed = || caller.sign(dynamodb_request(sandbox.address, LIST, "{}"), "dynamodb");
    type Change = fn(&mut Request<Bytes>);
    let changes: [(&str, Change, &str); 8] = [
        (
            "body",
            |request| *request.body_mut() = Bytes::from_static(b"{ }"),
            "InvalidSignatureException",
        ),
        (
            "query",
            |request| *request.uri_mut() = "/?a=b".parse().unwrap(),
            "InvalidSignatureException",
        ),
        ("path", |request| *request.uri_mut() = "/x".parse().unwrap(), "InvalidSignatureException"),
        (
            "method",
            |request| *request.method_mut() = http::Method::PUT,
            "InvalidSignatureException",
        ),
        ("host", |request| set(request, "host", "localhost:1"), "InvalidSignatureException"),
        (
            "target",
            |request| set(request, "x-amz-target", "DynamoDB_20120810.Scan"),
            "InvalidSignatureException",
        ),
        (
            "new x-amz header",
            |request| set(request, "x-amz-extra", "1"),
            "InvalidSignatureException",
        ),
        (
            "no signature",
            |request| drop(request.headers_mut().remove("authorization")),
            "MissingAuthenticationTokenException",
        ),
    ];
    for (name, change, wanted) in changes {
        let mut request = signed();
        change(&mut request);
        let reply = sandbox.send(request).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (StatusCode::BAD_REQUEST, wanted),
            "{name}: {}",
            reply.text()
        );
    }
    let mut harmless = signed();
    set(&mut harmless, "x-forwarded-for", "192.0.2.1");
    assert_eq!(sandbox.send(harmless).await.status, StatusCode::OK);
    sandbox.stop().await;
}

fn set(request: &mut Request<Bytes>, name: &'static str, value: &'static str) {
    request.headers_mut().insert(name, HeaderValue::from_static(value));
}

#[tokio::test]
async fn payload_hash_in_the_header_must_be_the_bodys() {
    let sandbox = Sandbox::start().await;
    let caller = sandbox.caller();
    let mut request = dynamodb_request(sandbox.address, LIST, "{}");
    set(
        &mut request,
        "x-amz-content-sha256",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    );
    let reply = sandbox.send(caller.sign(request, "dynamodb")).await;
    assert_eq!(reply.code(), "InvalidSignatureException");
    assert!(reply.text().contains("x-amz-content-sha256"), "{}", reply.text());
    // A good signature over the hash of another body.
    assert_eq!(sandbox.s3(&caller, "PUT", "/photos", b"").await.status, StatusCode::OK);
    let request = Request::put("/photos/a")
        .header("host", sandbox.address.to_string())
        .header("content-length", 1);
    let mut request = caller.sign(request.body(Bytes::from_static(b"a")).unwrap(), "s3");
    *request.body_mut() = Bytes::from_static(b"b");
    let reply = sandbox.send(request).await;
    assert_eq!(reply.code(), "XAmzContentSHA256Mismatch");
    assert_eq!(sandbox.s3(&caller, "GET", "/photos/a", b"").await.code(), "NoSuchKey");
    sandbox.stop().await;
}

#[tokio::test]
async fn hosts_of_aws_bind_the_scope() {
    let sandbox = Sandbox::start().await;
    let good = sandbox.caller();
    let elsewhere = Caller { region: "eu-west-1".to_owned(), ..good.clone() };
    for (host, caller, service, wanted) in [
        ("dynamodb.us-east-1.amazonaws.com", &good, "dynamodb", ""),
        ("dynamodb.us-east-1.amazonaws.com", &elsewhere, "dynamodb", "InvalidSignatureException"),
        ("dynamodb.eu-west-1.amazonaws.com", &elsewhere, "dynamodb", ""),
        ("dynamodb.us-east-1.amazonaws.com", &good, "s3", "InvalidSignatureException"),
        ("111122223333.ddb.us-east-1.amazonaws.com", &good, "dynamodb", ""),
        ("444455556666.ddb.us-east-1.amazonaws.com", &good, "dynamodb", "AccessDeniedException"),
        ("example.org", &good, "dynamodb", "UnknownEndpoint"),
    ] {
        let reply = sandbox.send(caller.sign(dynamodb_request(host, LIST, "{}"), service)).await;
        assert_eq!(reply.code(), wanted, "{host} {} {service}: {}", caller.region, reply.text());
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn broken_authorizations_are_incomplete() {
    let sandbox = Sandbox::start().await;
    let caller = sandbox.caller();
    for (authorization, wanted) in [
        ("AWS4-HMAC-SHA256 Credential=a/b", "IncompleteSignatureException"),
        (
            "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=c",
            "IncompleteSignatureException",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/20260101/r/s/aws4_request, SignedHeaders=x;host, Signature=c",
            "IncompleteSignatureException",
        ),
        ("AWS4-ECDSA-P256-SHA256 Credential=a", "IncompleteSignatureException"),
        ("AWS AKIA:sig", "MissingAuthenticationTokenException"),
        ("Bearer x", "MissingAuthenticationTokenException"),
    ] {
        let mut request = caller.sign(dynamodb_request(sandbox.address, LIST, "{}"), "dynamodb");
        set(&mut request, "authorization", authorization);
        let reply = sandbox.send(request).await;
        assert_eq!(reply.code(), wanted, "{authorization}: {}", reply.text());
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn unsigned_host_and_foreign_days_are_refused() {
    let sandbox = Sandbox::start().await;
    let caller = sandbox.caller();
    let request = caller.sign(dynamodb_request(sandbox.address, LIST, "{}"), "dynamodb");
    let authorization = request.headers()["authorization"].to_str().unwrap().to_owned();
    for (changed, wanted) in [
        (authorization.replace("content-type;host;", "content-type;"), "not signed: host"),
        (
            authorization.replace("content-type;host;", "content-type;host;nothere;"),
            "not in the request",
        ),
    ] {
        assert_ne!(changed, authorization);
        let mut request = caller.sign(dynamodb_request(sandbox.address, LIST, "{}"), "dynamodb");
        request.headers_mut().insert("authorization", changed.parse().unwrap());
        let reply = sandbox.send(request).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
        let last = sandbox.world.journal.requests_since(0).pop().unwrap();
        assert!(last.fault.contains(wanted), "{}", last.fault);
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn presigned_addresses_work_until_they_end() {
    let sandbox = Sandbox::start().await;
    let caller = sandbox.caller();
    assert_eq!(sandbox.s3(&caller, "PUT", "/photos", b"").await.status, StatusCode::OK);
    assert_eq!(sandbox.s3(&caller, "PUT", "/photos/a%20b", b"hello").await.status, StatusCode::OK);
    let minute = Duration::from_secs(60);
    let get = |caller: &Caller| {
        let request = Request::get("/photos/a%20b").header("host", sandbox.address.to_string());
        caller.sign(request.body(Bytes::new()).unwrap(), "s3")
    };
    let fresh = Caller { presign: Some(minute), ..caller.clone() };
    assert_eq!(sandbox.send(get(&fresh)).await.text(), "hello");
    let old = Caller { time: caller.time - 2 * minute, ..fresh.clone() };
    let reply = sandbox.send(get(&old)).await;
    assert_eq!(
        (reply.code().as_str(), reply.element("Message").as_str()),
        ("AccessDenied", "Request has expired")
    );
    let older =
        Caller { time: caller.time - 20 * minute, presign: Some(60 * minute), ..caller.clone() };
    assert_eq!(sandbox.send(get(&older)).await.text(), "hello");
    let mut altered = get(&fresh);
    *altered.uri_mut() = altered.uri().to_string().replace("a%20b", "b").parse().unwrap();
    assert_eq!(sandbox.send(altered).await.code(), "SignatureDoesNotMatch");
    let mut both = get(&fresh);
    set(&mut both, "authorization", "AWS4-HMAC-SHA256 Credential=a");
    assert_eq!(sandbox.send(both).await.code(), "InvalidArgument");
    sandbox.stop().await;
}

#[tokio::test]
async fn unsigned_payloads_are_for_s3_alone() {
    let sandbox = Sandbox::start().await;
    let caller = Caller { unsigned_payload: true, ..sandbox.caller() };
    assert_eq!(sandbox.s3(&caller, "PUT", "/photos", b"").await.status, StatusCode::OK);
    assert_eq!(sandbox.s3(&caller, "PUT", "/photos/a", b"x").await.status, StatusCode::OK);
    assert_eq!(sandbox.dynamodb(&caller, LIST, "{}").await.code(), "InvalidSignatureException");
    sandbox.stop().await;
}
