//! The web API and the pages.

use std::sync::Arc;
use std::time::Duration;

use api::types::join::JoinRequest;
use api::types::login::{LoginRequest, Password};
use api::web::WebClient;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use pki::WebTrust;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::browser::Browser;
use crate::cluster::{Cluster, PATIENCE};
use crate::stand_in::{CODE, TOKEN};

const GOOD: &str = "correct horse battery";

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn tls(cluster: &Cluster) -> Arc<rustls::ClientConfig> {
    let alpn = vec![b"http/1.1".to_vec()];
    pki::web::web_client(&WebTrust::DangerouslyAnybody, alpn, cluster.clock.clock()).unwrap()
}

async fn connect(cluster: &Cluster) -> TlsStream<TcpStream> {
    let tcp = TcpStream::connect(cluster.proxy.addr()).await.unwrap();
    let name = "proxy.example.com".to_owned().try_into().unwrap();
    TlsConnector::from(tls(cluster)).connect(name, tcp).await.unwrap()
}

fn web_client(cluster: &Cluster) -> WebClient {
    WebClient::new("127.0.0.1", cluster.proxy.addr().port(), tls(cluster))
}

/// One request on a connection of its own.
pub(crate) async fn send(
    cluster: &Cluster,
    (method, path): (Method, &str),
    headers: &[(&str, &str)],
    body: &str,
) -> Response<String> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(connect(cluster).await)).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let _ = connection.await;
    });
    let mut request =
        Request::builder().method(method).uri(path).header("host", "proxy.example.com");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(bytes::Bytes::from(body.to_owned()))).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Response::from_parts(parts, String::from_utf8(body.to_vec()).unwrap())
}

pub(crate) async fn get(cluster: &Cluster, path: &str) -> Response<String> {
    send(cluster, (Method::GET, path), &[], "").await
}

fn invite_path() -> String {
    format!("/web/invite/{TOKEN}")
}

fn header<'a>(response: &'a Response<String>, name: &str) -> &'a str {
    response.headers().get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

fn login(password: &str) -> LoginRequest {
    LoginRequest {
        user: "alice".to_owned(),
        password: Password::new(password.to_owned()),
        otp: Some(CODE.to_owned()),
        public_key: "key".to_owned(),
        ttl_seconds: None,
        remote_addr: Some("203.0.113.9".to_owned()),
        user_agent: None,
    }
}

#[tokio::test]
async fn ping_tells_what_the_cluster_offers_and_outlives_the_auth_service() {
    let cluster = Cluster::start().await;
    let client = web_client(&cluster);
    let ping = client.ping().await.unwrap();
    assert_eq!(ping.cluster_name, "test.example.com");
    assert_eq!(ping.proxy.public_addr, "proxy.example.com:443");
    assert!(ping.proxy.tls_routing_enabled);
    assert_eq!(ping.server_version, env!("CARGO_PKG_VERSION"));
    for path in ["/webapi/find", "/v1/webapi/ping"] {
        assert_eq!(get(&cluster, path).await.status(), StatusCode::OK, "{path}");
    }
    cluster.auth.vanish().await;
    assert_eq!(client.ping().await.unwrap(), ping);
}

#[tokio::test]
async fn without_the_auth_service_a_login_gets_a_clear_answer() {
    let cluster = Cluster::start().await;
    cluster.auth.vanish().await;
    let error = web_client(&cluster).login(&login(GOOD)).await.unwrap_err();
    assert_eq!(error.status(), Some(503));
    assert!(error.to_string().contains("Auth Service cannot be reached"), "{error}");
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn login_is_relayed_with_the_address_that_the_proxy_sees() {
    let cluster = Cluster::start().await;
    let reply = web_client(&cluster).login(&login(GOOD)).await.unwrap();
    assert_eq!(reply.user, "alice");
    let error = web_client(&cluster).login(&login("wrong")).await.unwrap_err();
    assert_eq!(error.status(), Some(401));
    assert_eq!(error.to_string(), "invalid user name, password or code");
    for request in cluster.auth.logins.lock().unwrap().iter() {
        assert_eq!(request.remote_addr.as_deref(), Some("127.0.0.1"));
    }
}

#[tokio::test]
async fn no_header_changes_the_address() {
    let cluster = Cluster::start().await;
    let body = serde_json::to_string(&login(GOOD)).unwrap();
    let headers = [
        ("content-type", "application/json"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-real-ip", "203.0.113.9"),
        ("forwarded", "for=203.0.113.9"),
    ];
    send(&cluster, (Method::POST, "/webapi/login"), &headers, &body).await;
    let logins = cluster.auth.logins.lock().unwrap();
    assert_eq!(logins[0].remote_addr.as_deref(), Some("127.0.0.1"));
}

#[tokio::test]
async fn logins_of_one_address_are_limited() {
    let cluster = Cluster::start().await;
    let client = web_client(&cluster);
    for _ in 0..40 {
        assert_eq!(client.login(&login("wrong")).await.unwrap_err().status(), Some(401));
    }
    let mut limited = client.login(&login("wrong")).await.unwrap_err();
    // A slow machine may have earned another try meanwhile.
    while limited.status() == Some(401) {
        limited = client.login(&login("wrong")).await.unwrap_err();
    }
    assert_eq!(limited.status(), Some(429));
    assert!(limited.hint().unwrap().contains("try again in"), "{limited:?}");
    client.ping().await.unwrap();
}

#[tokio::test]
async fn a_login_that_cannot_be_read_is_refused_without_quoting_it() {
    let cluster = Cluster::start().await;
    let json = ("content-type", "application/json");
    let cases: [(Pairs<'_>, String, StatusCode); 5] = [
        (&[json], "{".to_owned(), StatusCode::BAD_REQUEST),
        (
            &[json],
            r#"{"user":"a","password":{"hunter2":1}}"#.to_owned(),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            &[json],
            r#"{"user":"a","password":"hunter2","public_key":"k","hunter2":1}"#.to_owned(),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            &[],
            serde_json::to_string(&login("hunter2")).unwrap(),
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
        (&[json], format!("\"{}\"", "hunter2".repeat(10_000)), StatusCode::PAYLOAD_TOO_LARGE),
    ];
    for (headers, body, status) in cases {
        let answer = send(&cluster, (Method::POST, "/webapi/login"), headers, &body).await;
        assert_eq!(answer.status(), status, "{}", answer.body());
        assert!(answer.body().starts_with(r#"{"error":{"message":"the body"#), "{}", answer.body());
        assert!(!answer.body().contains("hunter2"), "{}", answer.body());
    }
    assert!(cluster.auth.logins.lock().unwrap().is_empty());
}

#[tokio::test]
async fn joining_is_relayed() {
    let cluster = Cluster::start().await;
    let request = JoinRequest {
        token: "token".to_owned(),
        host_id: "agent-1".parse().unwrap(),
        node_name: "agent-1".to_owned(),
        roles: vec![access::SystemRole::App],
        public_key: "key".to_owned(),
        dns_names: vec![],
    };
    let reply = web_client(&cluster).join(&request).await.unwrap();
    assert_eq!(reply.certificate, "certificate");
}

#[tokio::test]
async fn every_answer_carries_the_hardening_headers() {
    let cluster = Cluster::start().await;
    for path in ["/", "/web", "/webapi/ping", "/nothing", &invite_path(), "/web/invite/x"] {
        let answer = get(&cluster, path).await;
        assert_eq!(header(&answer, "strict-transport-security"), "max-age=31536000", "{path}");
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header(&answer, "referrer-policy"), "no-referrer", "{path}");
        assert_eq!(header(&answer, "cache-control"), "no-store", "{path}");
        let policy = header(&answer, "content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"),
            "{path}: {policy}"
        );
    }
}

#[tokio::test]
async fn paths_lead_where_they_should() {
    let cluster = Cluster::start().await;
    let root = get(&cluster, "/").await;
    assert!(root.status().is_redirection());
    assert_eq!(header(&root, "location"), "/web");
    assert_eq!(header(&get(&cluster, "/web").await, "location"), "/web/apps");
    assert_eq!(header(&get(&cluster, "/web/apps").await, "location"), "/web/login");
    let landing = get(&cluster, "/web/login").await;
    assert!(landing.body().contains("--proxy=proxy.example.com:443 "), "{}", landing.body());
    let style = landing.body().split('"').find(|part| part.ends_with(".css")).unwrap();
    let style = get(&cluster, style).await;
    assert_eq!(header(&style, "content-type"), "text/css; charset=utf-8");
    assert!(header(&style, "cache-control").contains("immutable"));
    assert_eq!(get(&cluster, "/web/assets/style-0.css").await.status(), StatusCode::NOT_FOUND);
    let page = get(&cluster, "/nothing").await;
    assert_eq!(page.status(), StatusCode::NOT_FOUND);
    assert!(page.body().starts_with("<!doctype html>"));
    let json = get(&cluster, "/webapi/nothing").await;
    assert_eq!(json.status(), StatusCode::NOT_FOUND);
    assert!(json.body().starts_with(r#"{"error":"#), "{}", json.body());
    let json = send(&cluster, (Method::POST, "/webapi/ping"), &[], "").await;
    assert_eq!(json.status(), StatusCode::METHOD_NOT_ALLOWED);
}

/// A page without what changes with each version and each visitor.
fn steady(page: &Response<String>) -> String {
    let hashes = regex::Regex::new("-[0-9a-f]{16}\\.(css|js|svg)").unwrap();
    let text = hashes.replace_all(page.body(), "-[hash].$1");
    let tokens = regex::Regex::new("name=\"csrf\" value=\"[^\"]*\"").unwrap();
    let text = tokens.replace_all(&text, "name=\"csrf\" value=\"[token]\"");
    let modules = regex::Regex::new("d=\"M4 4h7v1h-7z[^\"]*\"").unwrap();
    modules.replace_all(&text, "d=\"[modules]\"").into_owned()
}

#[tokio::test]
async fn pages_look_as_they_did() {
    let cluster = Cluster::start().await;
    let mut browser = Browser::default();
    insta::assert_snapshot!("sign_in", steady(&browser.get(&cluster, "/web/login").await));
    insta::assert_snapshot!("invite", steady(&browser.get(&cluster, &invite_path()).await));
    let wrong = [("password", "short"), ("confirm", "other")];
    let mistakes = browser.post(&cluster, &invite_path(), &wrong).await;
    insta::assert_snapshot!("mistakes", steady(&mistakes));
    let right = [("password", GOOD), ("confirm", GOOD)];
    browser.post(&cluster, &invite_path(), &right).await;
    let factor = format!("{}/factor", invite_path());
    insta::assert_snapshot!("factor", steady(&browser.get(&cluster, &factor).await));
    let accepted = browser.post(&cluster, &factor, &[("code", CODE)]).await;
    insta::assert_snapshot!("accepted", steady(&accepted));
    insta::assert_snapshot!("spent", steady(&browser.get(&cluster, &invite_path()).await));
}

#[tokio::test]
async fn a_request_that_dribbles_in_is_given_up() {
    let cluster = Cluster::start().await;
    let (mut reader, mut writer) = tokio::io::split(connect(&cluster).await);
    writer.write_all(b"GET /web HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.unwrap();
    let dribbling = async {
        while writer.write_all(b"x").await.is_ok() && writer.flush().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let mut heard = Vec::new();
    tokio::select! {
        _ = reader.read_to_end(&mut heard) => {}
        () = dribbling => {}
        () = tokio::time::sleep(2 * PATIENCE) => panic!("never given up"),
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let cluster = Cluster::start().await;
    let large = "x".repeat(100_000);
    let mut tls = connect(&cluster).await;
    let head = format!("GET /web HTTP/1.1\r\nHost: x\r\nX-Large: {large}\r\n\r\n");
    let _ = tls.write_all(head.as_bytes()).await;
    let mut heard = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, tls.read_to_end(&mut heard)).await.unwrap();
    let heard = String::from_utf8_lossy(&heard);
    assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 431"), "{heard}");
}
