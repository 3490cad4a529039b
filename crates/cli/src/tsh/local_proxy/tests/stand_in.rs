//! The two calls of STS that nobody signs.

use http::Request;
use tokio::net::TcpStream;

use super::client::{self, AnyBody, by_proxy, whole};
use super::{Bench, DYNAMODB};

const STS: &str = "sts.eu-west-1.amazonaws.com";
const ROLE: &str = "RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fother";

fn form(action: &str) -> String {
    format!("Action={action}&Version=2011-06-15&{ROLE}&WebIdentityToken=canary-token")
}

fn post(host: &str, path: &str, body: &str) -> Request<AnyBody> {
    Request::post(path)
        .header("host", host)
        .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
        .body(whole(body))
        .unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn they_reach_the_agent_without_a_signature_for_the_only_session() {
    let bench = Bench::https().await;
    let mut sender = by_proxy(&bench, STS).await;
    for action in ["AssumeRoleWithWebIdentity", "AssumeRoleWithSAML"] {
        let form = form(action);
        let get = Request::get(format!("/?{form}")).header("host", STS);
        for request in [post(STS, "/", &form), get.body(whole("")).unwrap()] {
            let reply = sender.send_request(request).await.unwrap();
            assert_eq!(reply.status(), 200, "{}", client::text(reply).await);
            let _ = client::text(reply).await;
            let seen = bench.agent.seen().pop().unwrap();
            let query = seen.uri.strip_prefix(&format!("https://{STS}/")).unwrap();
            let said = format!("{query}{}", String::from_utf8(seen.body).unwrap());
            assert_eq!(said.trim_start_matches('?'), form);
            assert!(!seen.headers.contains_key("authorization"));
            assert!(seen.headers.keys().all(|name| !name.as_str().starts_with("x-causeway")));
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn at_an_endpoint_url_they_go_to_sts_of_the_roles_partition() {
    let bench = Bench::endpoint().await;
    let address = bench.proxy.address();
    let stream = TcpStream::connect(address).await.unwrap();
    let mut sender = client::over_tls(&bench, "127.0.0.1", stream).await;
    let host = address.to_string();
    let request = post(&host, "/", &form("AssumeRoleWithWebIdentity"));
    let reply = sender.send_request(request).await.unwrap();
    assert_eq!(reply.status(), 200);
    let seen = bench.agent.seen().pop().unwrap();
    assert_eq!(seen.uri, "https://sts.us-east-1.amazonaws.com/");
}

#[tokio::test]
async fn every_other_request_without_a_signature_is_refused_as_before() {
    let bench = Bench::https().await;
    let mut wrong_path = post(STS, "/other", &form("AssumeRoleWithWebIdentity"));
    wrong_path.headers_mut().insert("x-causeway-derived", "x".parse().unwrap());
    for (host, request) in [
        (STS, post(STS, "/", &form("AssumeRole"))),
        (STS, post(STS, "/", &form("GetCallerIdentity"))),
        (STS, post(STS, "/", &form("AssumeRoleWithWebIdentity&Action=AssumeRole"))),
        (STS, post(STS, "/?Action=AssumeRole", &form("AssumeRoleWithSAML"))),
        (STS, wrong_path),
        (STS, Request::put("/").header("host", STS).body(whole(&form("x"))).unwrap()),
        (DYNAMODB, post(DYNAMODB, "/", &form("AssumeRoleWithWebIdentity"))),
    ] {
        let mut sender = by_proxy(&bench, host).await;
        let reply = sender.send_request(request).await.unwrap();
        assert_eq!(reply.status().as_u16() / 100, 4);
        let text = client::text(reply).await;
        assert!(text.contains("MissingAuthenticationToken"), "{text}");
    }
    let mut sender = by_proxy(&bench, STS).await;
    let no_role = form("AssumeRoleWithWebIdentity").replace("role%2F", "user%2F");
    let large = format!("{}{}", form("AssumeRoleWithSAML"), "A".repeat(600 * 1024));
    for (body, code) in [(no_role, "ValidationError"), (large, "RequestEntityTooLarge")] {
        let reply = sender.send_request(post(STS, "/", &body)).await.unwrap();
        let text = client::text(reply).await;
        assert!(text.contains(code) && !text.contains("canary"), "{text}");
        sender = by_proxy(&bench, STS).await;
    }
    assert!(bench.agent.seen().is_empty());
}

#[tokio::test]
async fn where_other_machines_may_come_nobody_is_taken_for_the_user() {
    let bench = Bench::listening_at([0, 0, 0, 0].into()).await;
    let mut sender = by_proxy(&bench, STS).await;
    let request = post(STS, "/", &form("AssumeRoleWithWebIdentity"));
    let reply = sender.send_request(request).await.unwrap();
    assert_eq!(reply.status(), 403);
    let text = client::text(reply).await;
    assert!(text.contains("<Code>AccessDenied") && text.contains("other machines"), "{text}");
    assert!(bench.agent.seen().is_empty());
}

#[tokio::test]
async fn a_refusal_comes_in_the_protocol_that_the_client_speaks() {
    let bench = Bench::https().await;
    let host = "monitoring.us-east-1.amazonaws.com";
    let call = client::Call {
        host: host.to_owned(),
        service: "monitoring",
        path: "/service/GraniteServiceVersion20100801/operation/ListMetrics".to_owned(),
        headers: vec![("smithy-protocol", "rpc-v2-cbor".to_owned())],
        ..client::Call::list_tables(host)
    };
    let (id, secret) = (bench.keys.access_key_id(), bench.keys.secret_access_key());
    let wrong = call.signed(id, "not-the-secret-access-key").body(whole(&call.body)).unwrap();
    let mut sender = by_proxy(&bench, host).await;
    let refused = sender.send_request(wrong).await.unwrap();
    bench.session.renewed(std::time::UNIX_EPOCH);
    let good = call.signed(id, secret).body(whole(&call.body)).unwrap();
    let ended = by_proxy(&bench, host).await.send_request(good).await.unwrap();
    for (reply, code) in [(refused, "InvalidSignatureException"), (ended, "ExpiredTokenException")]
    {
        assert_eq!(reply.headers()["content-type"], "application/cbor");
        assert_eq!(reply.headers()["smithy-protocol"], "rpc-v2-cbor");
        let bytes = http_body_util::BodyExt::collect(reply.into_body()).await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("__type") && text.contains(code), "{text}");
    }
}
