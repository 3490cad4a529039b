//! What strangers and broken clients may throw at the listener.

use std::time::Duration;

use access::SystemRole;
use api::routes;
use http::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::town::{Town, host};

#[tokio::test]
async fn giant_bodies_are_refused_and_batches_may_be_larger() {
    let town = Town::start().await;
    let admin = Some(town.admin_credential());
    let agent = Some(town.service(SystemRole::App, &host("agent-1")).await);
    let big = format!("{{\"roles\": [\"App\"], \"value\": \"{}\"}}", "x".repeat(1_100_000));
    for (who, path, body, status) in [
        (&admin, routes::TOKENS, big.clone(), StatusCode::PAYLOAD_TOO_LARGE),
        (&None, routes::JOIN, big, StatusCode::PAYLOAD_TOO_LARGE),
        (&agent, routes::AUDIT, "\n".repeat(2_000_000), StatusCode::OK),
        (&agent, routes::AUDIT, "\n".repeat(9_000_000), StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let reply = town.raw(who.clone(), Method::POST, path, body).await;
        // A server may answer and close before the client has sent all of it.
        if let Some((found, words)) = reply {
            assert_eq!(found, status, "{path}: {words}");
        }
    }
    town.admin().status().await.unwrap();
}

#[tokio::test]
async fn rubbish_is_refused_with_a_reason_and_no_echo_of_secrets() {
    let town = Town::start().await;
    let admin = Some(town.admin_credential());
    let proxy = Some(town.service(SystemRole::Proxy, &host("proxy-1")).await);
    let agent = Some(town.service(SystemRole::App, &host("agent-1")).await);
    let deep = "[".repeat(100_000);
    for (who, method, path, body) in [
        (&admin, Method::POST, routes::TOKENS, ""),
        (&admin, Method::POST, routes::TOKENS, "null"),
        (&admin, Method::POST, routes::TOKENS, "{\"roles\": [\"App\"], \"surprise\": 1}"),
        (&admin, Method::POST, routes::RESOURCES, deep.as_str()),
        (
            &admin,
            Method::POST,
            routes::RESOURCES,
            "{\"resource\": {\"kind\": \"mystery\"}, \"mode\": \"create\"}",
        ),
        (&admin, Method::GET, "/v1/resources/mystery", ""),
        (&admin, Method::GET, "/v1/resources/role/%FF", ""),
        (&admin, Method::GET, "/v1/audit?limit=0", ""),
        (&admin, Method::GET, "/v1/audit?limit=10001", ""),
        (&admin, Method::GET, "/v1/audit?limit=-1", ""),
        (&admin, Method::GET, "/v1/audit?from=yesterday", ""),
        (
            &proxy,
            Method::POST,
            routes::LOGIN,
            "{\"user\": \"u\", \"password\": \"hunter2hunter2\", \"public_key\": \"x\"}",
        ),
        (&agent, Method::POST, routes::AUDIT, "not json"),
        (&agent, Method::POST, routes::AUDIT, "{}\n"),
    ] {
        let (status, words) =
            town.raw(who.clone(), method.clone(), path, body.to_owned()).await.unwrap();
        assert_eq!(status, StatusCode::BAD_REQUEST, "{method} {path}: {words}");
        let message = words["error"]["message"].as_str().unwrap();
        assert!(!message.is_empty() && !message.contains("hunter2"), "{message}");
    }
    let (status, _) = town.raw(admin, Method::GET, "/v2/anything", "").await.unwrap();
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_agent_reports_its_own_requests_only() {
    let town = Town::start().await;
    let agent = town.agent("agent-1").await;
    let event = |server: &str, cluster: &str, name: &str| {
        json!({
            "event": name, "uid": "0191d6a0-0000-7000-8000-000000000001", "time": "2026-11-22T08:00:00.000Z",
            "cluster_name": cluster, "user": "alice", "sid": "s", "server_id": server, "app_name": "aws",
            "app_uri": "u", "method": "POST", "path": "/", "aws_region": "us-east-1", "aws_service": "dynamodb",
            "aws_host": "h", "outcome": "answered", "decision": "role", "duration_ms": 1, "bytes_in": 1,
            "bytes_out": 1, "name": "x", "tables": ["Orders", "Or"], "code": "T2013I", "ei": 0
        })
        .to_string()
    };
    let kind = "app.session.dynamodb.request";
    for (server, cluster, name) in [
        ("agent-2", "teleport.example.com", kind),
        ("agent-1", "other.example.com", kind),
        ("agent-1", "teleport.example.com", "user.delete"),
    ] {
        let line = event(server, cluster, name);
        let error = agent.store_audit(line.into()).await.unwrap_err();
        assert_eq!(error.status(), Some(400), "{error}");
        assert!(error.to_string().starts_with("line 1: "), "{error}");
    }
    let good = event("agent-1", "teleport.example.com", kind);
    let stored = agent.store_audit(format!("{good}\n").into()).await.unwrap();
    assert_eq!((stored.stored, stored.known), (1, 0));
    let stored = agent.store_audit(format!("{good}\n{good}\n").into()).await.unwrap();
    assert_eq!((stored.stored, stored.known), (0, 2), "a batch may come twice");
    for (table, found) in [("Orders", 1), ("Or", 1), ("Order", 0), ("rders", 0)] {
        let query =
            api::types::audit::AuditQuery { table: Some(table.to_owned()), ..Default::default() };
        assert_eq!(town.admin().audit(&query).await.unwrap().len(), found, "{table}");
    }
    let proxy = town.proxy().await;
    assert!(proxy.store_audit(good.into()).await.is_err(), "a proxy sees no requests");
}

#[tokio::test]
async fn half_a_handshake_is_given_up_and_other_protocols_are_not_spoken() {
    let town = Town::start_with(|config| config.limits.handshake = Duration::from_millis(50)).await;
    let mut silent = TcpStream::connect(town.handle.addr()).await.unwrap();
    assert_eq!(silent.read(&mut [0; 8]).await.unwrap_or(0), 0, "closed without an answer");
    let mut plain = TcpStream::connect(town.handle.addr()).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP"));
    let tls = pki::tls::client(pki::ClientTls {
        credential: Some(pki::LiveCredential::new(town.admin_credential())),
        servers: pki::TrustedServers::Cluster(pki::LiveTrust::new(town.handle.trust())),
        alpn: vec![b"h2".to_vec()],
        clock: town.hands.clock(),
    })
    .unwrap();
    let tcp = TcpStream::connect(town.handle.addr()).await.unwrap();
    let name = api::wire::AUTH_SERVER_NAME.try_into().unwrap();
    let spoken = TlsConnector::from(tls).connect(name, tcp).await;
    assert!(spoken.is_err(), "only the protocol of this door is spoken");
}

#[tokio::test]
async fn strangers_take_no_members_place_and_do_not_stay() {
    let town = Town::start_with(|config| {
        config.limits.strangers = 2;
        config.limits.stranger_life = Duration::from_millis(300);
    })
    .await;
    let mut strangers = Vec::new();
    for _ in 0..2 {
        let tcp = TcpStream::connect(town.handle.addr()).await.unwrap();
        let name = api::wire::AUTH_SERVER_NAME.try_into().unwrap();
        let tls = TlsConnector::from(town.tls(None)).connect(name, tcp).await.unwrap();
        strangers.push(tls);
    }
    town.admin().status().await.unwrap();
    super::town::until(|| async {
        let reply = town.raw(None, Method::GET, routes::STATUS, "").await;
        reply.map(|(status, _)| assert_eq!(status, StatusCode::UNAUTHORIZED))
    })
    .await;
}

#[tokio::test]
async fn secrets_do_not_show_in_what_is_printed() {
    let town = Town::start().await;
    let shown = format!("{:?} {:?}", town.handle, town.handle.trust());
    assert!(!shown.contains("PRIVATE KEY"));
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &str| {
        let path = town.dir.path().join(path);
        std::fs::metadata(&path).unwrap_or_else(|e| panic!("{path:?}: {e}")).permissions().mode()
            & 0o777
    };
    for path in ["auth", "admin"] {
        assert_eq!(mode(path), 0o700, "{path}");
    }
    for path in [
        "auth/store.sqlite",
        "auth/store.sqlite-wal",
        "auth/store.sqlite-shm",
        "auth/lock",
        "admin/key.pem",
        "admin/cert.pem",
        "admin/trust.json",
        "admin/address",
    ] {
        assert_eq!(mode(path), 0o600, "{path}");
    }
}
