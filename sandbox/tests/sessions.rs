//! STS: what is checked, what is recorded, and that sessions really end.

mod common;

use std::time::Duration;

use common::{ACCOUNT, Caller, Sandbox};
use http::{Method, StatusCode};
use sandbox::world::Beginning;
use serde_json::json;

fn assume(role: &str, rest: &str) -> String {
    format!("Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A{ACCOUNT}%3Arole%2F{role}{rest}")
}

#[tokio::test]
async fn everything_of_an_assumed_role_is_recorded() {
    let sandbox = Sandbox::start().await;
    let caller = sandbox.caller();
    let rest = "&RoleSessionName=bob%40example.com&SourceIdentity=bob&ExternalId=X-1&DurationSeconds=900\
        &Tags.member.1.Key=team&Tags.member.1.Value=a+b&TransitiveTagKeys.member.1=team\
        &Policy=%7B%22Version%22%3A%222012-10-17%22%7D&PolicyArns.member.1.arn=arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2FReadOnlyAccess";
    let reply = sandbox.sts(&caller, &assume("team%2Freader", rest)).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    assert_eq!(reply.element("SourceIdentity"), "bob");
    assert!(
        reply.element("Arn").ends_with(":assumed-role/reader/bob@example.com"),
        "{}",
        reply.text()
    );
    let assumed = sandbox.control(Method::GET, "assumed", "").await;
    let one = &assumed[0];
    assert_eq!(one["RoleSessionName"], "bob@example.com");
    assert_eq!(one["Tags"], json!({"team": "a b"}));
    assert_eq!(one["TransitiveTagKeys"], json!(["team"]));
    assert_eq!(one["Policy"], r#"{"Version":"2012-10-17"}"#);
    assert_eq!(one["PolicyArns"], json!(["arn:aws:iam::aws:policy/ReadOnlyAccess"]));
    assert_eq!(one["ExternalId"], "X-1");
    assert_eq!(one["DurationSeconds"], 900);
    assert_eq!(one["SourceIdentity"], "bob");
    assert_eq!(one["AccessKeyId"], reply.element("AccessKeyId"));
    sandbox.stop().await;
}

#[tokio::test]
async fn parameters_are_checked_as_aws_checks_them() {
    let sandbox = Sandbox::start().await;
    let caller = sandbox.caller();
    let long = "x".repeat(65);
    for (rest, wanted) in [
        ("&RoleSessionName=b%20b".to_owned(), "ValidationError"),
        ("&RoleSessionName=b".to_owned(), "ValidationError"),
        (format!("&RoleSessionName={long}"), "ValidationError"),
        (String::new(), "ValidationError"),
        ("&RoleSessionName=bob&DurationSeconds=899".to_owned(), "ValidationError"),
        ("&RoleSessionName=bob&DurationSeconds=43201".to_owned(), "ValidationError"),
        ("&RoleSessionName=bob&DurationSeconds=ten".to_owned(), "ValidationError"),
        ("&RoleSessionName=bob&SourceIdentity=a%2Fb".to_owned(), "ValidationError"),
        ("&RoleSessionName=bob&Policy=nonsense".to_owned(), "MalformedPolicyDocument"),
        ("&RoleSessionName=bob&TransitiveTagKeys.member.1=stray".to_owned(), "ValidationError"),
        ("&RoleSessionName=bob&DurationSeconds=43200".to_owned(), ""),
        (format!("&RoleSessionName={}", "x".repeat(64)), ""),
    ] {
        let reply = sandbox.sts(&caller, &assume("reader", &rest)).await;
        assert_eq!(reply.code(), wanted, "{rest}: {}", reply.text());
    }
    let reply = sandbox.sts(&caller, "Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A111122223333%3Arole%2Fx&RoleSessionName=bob").await;
    assert_eq!(reply.code(), "ValidationError", "{}", reply.text());
    assert_eq!(sandbox.sts(&caller, "Action=Nonsense").await.code(), "InvalidAction");
    sandbox.stop().await;
}

#[tokio::test]
async fn configured_roles_are_the_only_ones_and_hold_their_conditions() {
    let sandbox = Sandbox::start().await;
    let caller = sandbox.caller();
    let role =
        format!(r#"{{"arn":"arn:aws:iam::{ACCOUNT}:role/reader","external_id":"X-1","max":7200}}"#);
    sandbox.control(Method::POST, "roles", &role).await;
    for (name, rest, wanted) in [
        ("reader", "", "AccessDenied"),
        ("reader", "&ExternalId=X-2", "AccessDenied"),
        ("other", "&ExternalId=X-1", "AccessDenied"),
        ("reader", "&ExternalId=X-1", ""),
        ("reader", "&ExternalId=X-1&DurationSeconds=7201", "ValidationError"),
    ] {
        let form = assume(name, &format!("&RoleSessionName=bob{rest}"));
        let reply = sandbox.sts(&caller, &form).await;
        assert_eq!(reply.code(), wanted, "{name} {rest}");
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn sessions_work_with_their_token_and_end_on_time() {
    let sandbox = Sandbox::start().await;
    let session = sandbox.assume(&sandbox.caller(), "&DurationSeconds=900").await;
    let identity = sandbox.sts(&session, "Action=GetCallerIdentity").await;
    assert_eq!(identity.element("Arn"), format!("arn:aws:sts::{ACCOUNT}:assumed-role/reader/bob"));
    assert_eq!(sandbox.dynamodb(&session, "ListTables", "{}").await.status, StatusCode::OK);
    let without = Caller { token: None, ..session.clone() };
    assert_eq!(
        sandbox.dynamodb(&without, "ListTables", "{}").await.code(),
        "UnrecognizedClientException"
    );
    let other = Caller { token: Some("another".to_owned()), ..session.clone() };
    assert_eq!(
        sandbox.dynamodb(&other, "ListTables", "{}").await.code(),
        "UnrecognizedClientException"
    );

    sandbox.control(Method::POST, "fault", r#"{"skew_seconds": 901}"#).await;
    let later = Caller { time: session.time + Duration::from_secs(901), ..session };
    assert_eq!(sandbox.dynamodb(&later, "ListTables", "{}").await.code(), "ExpiredTokenException");
    assert_eq!(sandbox.sts(&later, "Action=GetCallerIdentity").await.code(), "ExpiredToken");
    assert_eq!(sandbox.s3(&later, "GET", "/", b"").await.code(), "ExpiredToken");
    sandbox.stop().await;
}

#[tokio::test]
async fn chained_sessions_last_an_hour_at_most() {
    let sandbox = Sandbox::start().await;
    let session = sandbox.assume(&sandbox.caller(), "").await;
    let form = assume("reader", "&RoleSessionName=bob&DurationSeconds=3601");
    let reply = sandbox.sts(&session, &form).await;
    assert_eq!(reply.code(), "ValidationError");
    assert!(reply.element("Message").contains("role chaining"));
    assert_eq!(
        sandbox.sts(&session, &assume("reader", "&RoleSessionName=bob")).await.status,
        StatusCode::OK
    );
    for form in ["Action=GetSessionToken", "Action=GetFederationToken&Name=bob"] {
        assert_eq!(sandbox.sts(&session, form).await.code(), "AccessDenied");
        assert_eq!(sandbox.sts(&sandbox.caller(), form).await.status, StatusCode::OK);
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn roles_live_in_their_own_account() {
    let sandbox = Sandbox::start().await;
    let create = r#"{"TableName":"mine","AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"}],"KeySchema":[{"AttributeName":"pk","KeyType":"HASH"}],"BillingMode":"PAY_PER_REQUEST"}"#;
    let caller = sandbox.caller();
    let table = sandbox.dynamodb(&caller, "CreateTable", create).await.json();
    assert_eq!(
        table["TableDescription"]["TableArn"],
        format!("arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/mine")
    );
    let form = "Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A444455556666%3Arole%2Fx&RoleSessionName=bob";
    let reply = sandbox.sts(&caller, form).await;
    let other = Caller {
        id: reply.element("AccessKeyId"),
        secret: reply.element("SecretAccessKey"),
        token: Some(reply.element("SessionToken")),
        ..caller.clone()
    };
    assert_eq!(sandbox.dynamodb(&other, "ListTables", "{}").await.text(), r#"{"TableNames":[]}"#);
    let elsewhere = Caller { region: "eu-west-1".to_owned(), ..caller.clone() };
    assert_eq!(
        sandbox.dynamodb(&elsewhere, "ListTables", "{}").await.text(),
        r#"{"TableNames":[]}"#
    );
    assert_eq!(
        sandbox.dynamodb(&caller, "ListTables", "{}").await.text(),
        r#"{"TableNames":["mine"]}"#
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn roles_may_do_what_they_are_allowed() {
    let sandbox = Sandbox::start().await;
    let role =
        format!(r#"{{"arn":"arn:aws:iam::{ACCOUNT}:role/reader","allow":["dynamodb:List*"]}}"#);
    sandbox.control(Method::POST, "roles", &role).await;
    let session = sandbox.assume(&sandbox.caller(), "").await;
    assert_eq!(sandbox.dynamodb(&session, "ListTables", "{}").await.status, StatusCode::OK);
    let reply = sandbox.dynamodb(&session, "PutItem", "{}").await;
    assert_eq!(reply.code(), "AccessDeniedException");
    assert_eq!(sandbox.s3(&session, "GET", "/", b"").await.code(), "AccessDenied");
    sandbox.stop().await;
}

#[tokio::test]
async fn console_takes_live_sessions_only() {
    let sandbox = Sandbox::start().await;
    let session = sandbox.assume(&sandbox.caller(), "").await;
    let ask = |id: &str, key: &str, token: &str, rest: &str| {
        let text = json!({"sessionId": id, "sessionKey": key, "sessionToken": token}).to_string();
        let text = sandbox::sigv4::canonical::encode(
            text.as_bytes(),
            sandbox::sigv4::canonical::Slash::Encode,
        );
        let uri = format!("/federation?Action=getSigninToken&Session={text}{rest}");
        http::Request::get(uri)
            .header("host", "signin.aws.amazon.com")
            .body(bytes::Bytes::new())
            .unwrap()
    };
    let token = session.token.clone().unwrap();
    for (key, token, rest) in [
        ("x", token.as_str(), ""),
        (session.secret.as_str(), "x", ""),
        (&session.secret, &token, "&SessionDuration=1"),
    ] {
        assert_eq!(
            sandbox.send(ask(&session.id, key, token, rest)).await.status,
            StatusCode::BAD_REQUEST
        );
    }
    let lasting = sandbox.caller();
    assert_eq!(
        sandbox.send(ask(&lasting.id, &lasting.secret, "", "")).await.status,
        StatusCode::BAD_REQUEST
    );
    let reply =
        sandbox.send(ask(&session.id, &session.secret, &token, "&SessionDuration=3600")).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let signin = reply.json()["SigninToken"].as_str().unwrap().to_owned();
    let signin = sandbox::sigv4::canonical::encode(
        signin.as_bytes(),
        sandbox::sigv4::canonical::Slash::Encode,
    );
    let login = |destination: &str| {
        let uri = format!(
            "/federation?Action=login&Issuer=x&Destination={destination}&SigninToken={signin}"
        );
        http::Request::get(uri)
            .header("host", "signin.aws.amazon.com")
            .body(bytes::Bytes::new())
            .unwrap()
    };
    let page = sandbox.send(login("https%3A%2F%2Fconsole.aws.amazon.com%2Fdynamodb")).await.text();
    assert!(page.contains("assumed-role/reader/bob"), "{page}");
    assert_eq!(
        sandbox.send(login("https%3A%2F%2Fexample.org%2F")).await.status,
        StatusCode::BAD_REQUEST
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn state_directory_keeps_keys_tables_and_objects() {
    let dir = tempfile::tempdir().unwrap();
    let beginning = || Beginning { state: Some(dir.path().to_owned()), ..Beginning::default() };
    let sandbox = Sandbox::start_with(beginning()).await;
    let caller = sandbox.caller();
    let create = r#"{"TableName":"kept","AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"}],"KeySchema":[{"AttributeName":"pk","KeyType":"HASH"}],"BillingMode":"PAY_PER_REQUEST"}"#;
    assert_eq!(sandbox.dynamodb(&caller, "CreateTable", create).await.status, StatusCode::OK);
    assert_eq!(sandbox.s3(&caller, "PUT", "/photos", b"").await.status, StatusCode::OK);
    assert_eq!(sandbox.s3(&caller, "PUT", "/photos/a", b"hello").await.status, StatusCode::OK);
    let session = sandbox.assume(&caller, "").await;
    sandbox.stop().await;

    let sandbox = Sandbox::start_with(beginning()).await;
    assert_eq!(
        sandbox.dynamodb(&session, "ListTables", "{}").await.text(),
        r#"{"TableNames":["kept"]}"#
    );
    assert_eq!(sandbox.s3(&caller, "GET", "/photos/a", b"").await.text(), "hello");
    sandbox.stop().await;
}

#[tokio::test]
async fn a_role_is_had_by_a_known_token_without_a_signature() {
    let beginning = Beginning { identity_tokens: vec!["good".to_owned()], ..Beginning::default() };
    let sandbox = Sandbox::start_with(beginning).await;
    let send = async |form: &str, header: Option<(&'static str, &str)>| {
        let mut request = http::Request::post("/")
            .header("host", sandbox.address.to_string())
            .header("content-type", "application/x-www-form-urlencoded");
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let body = format!("{form}&Version=2011-06-15");
        sandbox.send(request.body(body.into()).unwrap()).await
    };
    let arn = format!("RoleArn=arn%3Aaws%3Aiam%3A%3A{ACCOUNT}%3Arole%2Freader");
    let web = |token: &str| {
        format!(
            "Action=AssumeRoleWithWebIdentity&RoleSessionName=bob&WebIdentityToken={token}&{arn}"
        )
    };
    let saml = |rest: &str| format!("Action=AssumeRoleWithSAML&SAMLAssertion=good&{arn}{rest}");
    for (form, header, wanted) in [
        (web("bad"), None, "InvalidIdentityToken"),
        (web("good"), Some(("authorization", "AWS4-HMAC-SHA256 x")), "ValidationError"),
        (web("good"), Some(("x-amz-security-token", "x")), "ValidationError"),
        (web("good").replace("WebIdentityToken", "Token"), None, "ValidationError"),
        (web("good").replace("RoleSessionName=bob&", ""), None, "ValidationError"),
        (web("good") + "&DurationSeconds=1", None, "ValidationError"),
        (saml(""), None, "ValidationError"),
        ("Action=AssumeRole".to_owned(), None, "MissingAuthenticationToken"),
    ] {
        let reply = send(&form, header).await;
        assert_eq!(reply.code(), wanted, "{form}: {}", reply.text());
    }
    let principal = "&PrincipalArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Asaml-provider%2Fidp";
    for (form, name) in [(web("good"), "bob"), (saml(principal), "saml-user")] {
        let reply = send(&form, None).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        let caller = Caller {
            id: reply.element("AccessKeyId"),
            secret: reply.element("SecretAccessKey"),
            token: Some(reply.element("SessionToken")),
            ..sandbox.caller()
        };
        let identity = sandbox.sts(&caller, "Action=GetCallerIdentity").await;
        let arn = format!("arn:aws:sts::{ACCOUNT}:assumed-role/reader/{name}");
        assert_eq!(identity.element("Arn"), arn);
    }
    let assumed = sandbox.control(Method::GET, "assumed", "").await;
    assert_eq!(assumed[0]["Operation"], "AssumeRoleWithWebIdentity");
    assert_eq!(assumed[1]["Operation"], "AssumeRoleWithSAML");
    sandbox.stop().await;
}
