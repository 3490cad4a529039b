//! Requests to web apps: what the app sees, what the client gets back, and who is turned away.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use access::resource::{Lock, LockTarget, Rewrite};
use access::{App, LockName, UserName};
use api::wire;
use audit::events::Outcome;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::fake_aws::{FakeAws, ReplyBody, reply};
use super::harness::{Agent, Setup, claims, rules, text, web_app, web_claims};

type Seen = Arc<Mutex<Vec<(Parts, Bytes)>>>;

/// An app that keeps what it sees, and answers with these headers.
async fn app(headers: &'static [(&'static str, &'static str)]) -> (FakeAws, Seen) {
    let seen = Seen::default();
    let keep = Arc::clone(&seen);
    let app = FakeAws::start(move |request| {
        let keep = Arc::clone(&keep);
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            keep.lock().unwrap().push((parts, body));
            let mut answer = reply(200, "hello");
            for (name, value) in headers {
                answer.headers_mut().append(*name, value.parse().unwrap());
            }
            Some(answer)
        }
    })
    .await;
    (app, seen)
}

async fn agent_for(fake: &FakeAws, change: impl Fn(&mut App)) -> Agent {
    let mut app = web_app(&fake.url());
    change(&mut app);
    Agent::start_with(fake, Setup { app, ..Setup::default() }).await
}

fn get(path: &str) -> http::request::Builder {
    Request::builder().uri(format!("https://grafana.example.com{path}"))
}

fn empty(request: http::request::Builder) -> Request<Full<Bytes>> {
    request.body(Full::default()).unwrap()
}

#[tokio::test]
async fn an_app_sees_the_request_as_it_was_and_who_really_asks() {
    let (fake, seen) = app(&[]).await;
    let mut agent = agent_for(&fake, |_| {}).await;
    let mut sender = agent.connect_with(&web_claims()).await.unwrap();
    let request = get("/a//b/../c%2Fd?q=1+2&q=%20")
        .method("POST")
        .header("x-forwarded-for", "10.9.9.9")
        .header("x_forwarded_for", "10.9.9.9")
        .header("x-real-ip", "10.9.9.9")
        .header("forwarded", "for=10.9.9.9")
        .header("x-forwarded-host", "evil.example.com")
        .header("teleport-jwt-assertion", "forged")
        .header("teleport_jwt_assertion", "forged")
        .header("causeway-user", "root")
        .header("cookie", "a=1; __Host-causeway_app=canary-cookie")
        .header("cookie", "b=2")
        .header("origin", "https://grafana.example.com")
        .header("te", "trailers")
        .body(Full::new(Bytes::from_static(b"form=1")))
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!((answer.status().as_u16(), text(answer).await.as_str()), (200, "hello"));
    let seen = seen.lock().unwrap();
    let (parts, body) = &seen[0];
    assert_eq!(body, "form=1");
    assert_eq!(parts.uri.to_string(), "/a//b/../c%2Fd?q=1+2&q=%20");
    let header = |name: &str| {
        let all: Vec<_> = parts.headers.get_all(name).iter().map(|v| v.to_str().unwrap()).collect();
        all.join("|")
    };
    assert_eq!(header("host"), fake.address.to_string());
    assert_eq!(
        (header("x-forwarded-for"), header("x-real-ip")),
        ("192.0.2.7".into(), "192.0.2.7".into())
    );
    assert_eq!(header("x-forwarded-host"), "grafana.example.com");
    assert_eq!(
        (header("x-forwarded-proto").as_str(), header("x-forwarded-port").as_str()),
        ("https", "443")
    );
    // Its own origin as the app knows itself: by the host that it is asked by.
    let own = format!("http://{}", fake.address);
    assert_eq!((header("cookie").as_str(), header("origin")), ("a=1; b=2", own));
    assert_eq!(header("content-length"), "6");
    for gone in [
        "x_forwarded_for",
        "forwarded",
        "teleport-jwt-assertion",
        "teleport_jwt_assertion",
        "causeway-user",
        "te",
    ] {
        assert_eq!(header(gone), "", "{gone}");
    }
    let shown = format!("{:?}", parts.headers);
    assert!(!shown.contains("canary-cookie") && !shown.contains("10.9.9.9"), "{shown}");
}

#[tokio::test]
async fn each_request_leaves_one_event() {
    let (fake, _) = app(&[]).await;
    let mut agent = agent_for(&fake, |_| {}).await;
    let mut sender = agent.connect_with(&web_claims()).await.unwrap();
    let answer = sender.send_request(empty(get("/d/home?token=canary"))).await.unwrap();
    text(answer).await;
    let event = agent.ended_event().await;
    assert_eq!((event.method.as_str(), event.path.as_str()), ("GET", "/d/home"));
    assert_eq!(event.raw_query, "token=redacted");
    assert_eq!(
        (event.outcome, event.status_code, event.bytes_out),
        (Outcome::Answered, Some(200), 5)
    );
    assert_eq!((event.user.as_str(), event.app_name.as_str()), ("alice", "grafana"));
    assert_eq!(
        (event.aws_service.as_str(), event.aws_role_arn, event.aws_role_session_name),
        ("", None, None)
    );
}

#[tokio::test]
async fn an_app_cannot_set_our_cookies_or_lead_browsers_away() {
    let (fake, _) = app(&[
        ("set-cookie", "session=1; Path=/; Domain=example.com"),
        ("set-cookie", "__Host-causeway_app=evil; Path=/; Secure"),
        ("set-cookie", "=__Host-causeway_app=evil; Path=/; Secure"),
        ("alt-svc", "h3=\":443\""),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("location", "https://elsewhere.example/x"),
    ])
    .await;
    let mut agent = agent_for(&fake, |_| {}).await;
    let mut sender = agent.connect_with(&web_claims()).await.unwrap();
    let answer = sender.send_request(empty(get("/x"))).await.unwrap();
    let headers: HeaderMap = answer.headers().clone();
    let cookies: Vec<_> = headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["session=1; Path=/"]);
    assert!(headers.get("alt-svc").is_none() && headers.get("x-hop").is_none());
    assert_eq!(headers["location"], "https://elsewhere.example/x");
}

#[tokio::test]
async fn rewriting_is_done_as_the_app_says() {
    let (fake, seen) = app(&[("location", "http://old.internal/next?x=1")]).await;
    let uri = format!("{}/start", fake.url());
    let mut agent = agent_for(&fake, |app| {
        app.spec.uri.clone_from(&uri);
        app.spec.rewrite = Some(Rewrite {
            redirect: vec!["old.internal".to_owned()],
            headers: vec!["X-Fixed: always".to_owned(), "Host: other.internal".to_owned()],
            ..Rewrite::default()
        });
    })
    .await;
    let mut sender = agent.connect_with(&web_claims()).await.unwrap();
    let answer = sender.send_request(empty(get("/"))).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["location"]),
        (302, &"/start".parse().unwrap())
    );
    let answer =
        sender.send_request(empty(get("/start").header("x_fixed", "forged"))).await.unwrap();
    assert_eq!(answer.headers()["location"], "/next?x=1");
    let seen = seen.lock().unwrap();
    let headers = &seen[0].0.headers;
    assert_eq!(
        (&headers["x-fixed"], &headers["host"]),
        (&"always".parse().unwrap(), &"other.internal".parse().unwrap())
    );
    assert!(headers.get("x_fixed").is_none());
}

#[tokio::test]
async fn who_may_not_is_told_so_and_the_app_hears_nothing() {
    let (fake, seen) = app(&[]).await;
    let mut agent = agent_for(&fake, |_| {}).await;
    let target = LockTarget::user(UserName::parse("alice").unwrap());
    let lock = Lock::new(LockName::parse("stop").unwrap(), target);
    agent.policy.publish(rules().with_lock(lock));
    let mut sender = agent.connect_with(&web_claims()).await.unwrap();
    let answer = sender.send_request(empty(get("/x"))).await.unwrap();
    assert_eq!(answer.status(), 403);
    assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
    let said = text(answer).await;
    assert!(said.contains("alice may not use app `grafana`") && said.contains("lock"), "{said}");
    assert_eq!(agent.the_event().await.decision, "locked");
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn sessions_of_another_kind_or_app_are_turned_away() {
    let (fake, seen) = app(&[]).await;
    let mut agent = agent_for(&fake, |_| {}).await;
    // An AWS session on the road of web apps.
    let mut sender = agent.connect_http1(&claims(), wire::ALPN_APP_HTTP1).await;
    let request = empty(Request::builder().uri("/x").header("host", "aws.example.com"));
    assert_eq!(sender.send_request(request).await.unwrap().status(), 403);
    // A certificate for one app with the session of another.
    let mut mixed = web_claims();
    mixed.app.as_mut().unwrap().session = claims().app.unwrap().session;
    let mut sender = agent.connect_with(&mixed).await.unwrap();
    assert_eq!(sender.send_request(empty(get("/x"))).await.unwrap().status(), 403);
    // Another user's certificate with alice's session.
    let mut bob = web_claims();
    bob.user = UserName::parse("bob").unwrap();
    let mut sender = agent.connect_with(&bob).await.unwrap();
    assert_eq!(sender.send_request(empty(get("/x"))).await.unwrap().status(), 403);
    // The app's own session, for another host.
    let mut sender = agent.connect_with(&web_claims()).await.unwrap();
    let elsewhere = empty(Request::builder().uri("https://evil.example.com/x"));
    assert_eq!(sender.send_request(elsewhere).await.unwrap().status(), 400);
    assert!(seen.lock().unwrap().is_empty());
    let decisions: Vec<String> = agent
        .events()
        .await
        .iter()
        .map(|event| event.what.as_request().unwrap().decision.clone())
        .collect();
    assert_eq!(
        decisions,
        ["other-traffic", "session-of-another-app", "session-of-another-user", "bad-request"]
    );
}

#[tokio::test]
async fn an_app_that_is_away_is_a_bad_gateway() {
    let (fake, _) = app(&[]).await;
    let mut agent = agent_for(&fake, |app| app.spec.uri = "http://127.0.0.1:1".to_owned()).await;
    let mut sender = agent.connect_with(&web_claims()).await.unwrap();
    let answer = sender.send_request(empty(get("/x"))).await.unwrap();
    assert_eq!(answer.status(), 502);
    let said = text(answer).await;
    assert!(said.contains("could not connect to 127.0.0.1:1"), "{said}");
    let event = agent.the_event().await;
    assert_eq!((event.outcome, event.decision.as_str()), (Outcome::Failed, "allowed"));
}

fn endless() -> Response<ReplyBody> {
    let frames =
        stream::once(async { Bytes::from_static(b"data: 1\n\n") }).chain(stream::pending());
    let body = StreamBody::new(frames.map(|bytes| Ok(Frame::data(bytes))));
    Response::new(BodyExt::boxed(body))
}

#[tokio::test]
async fn events_are_passed_on_as_they_come_and_a_lock_cuts_them() {
    let fake = FakeAws::start(|_| async { Some(endless()) }).await;
    let mut agent = agent_for(&fake, |_| {}).await;
    let mut sender = agent.connect_with(&web_claims()).await.unwrap();
    let answer = sender.send_request(empty(get("/events"))).await.unwrap();
    let mut body = answer.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "data: 1\n\n");
    let target = LockTarget::user(UserName::parse("alice").unwrap());
    agent.policy.publish(rules().with_lock(Lock::new(LockName::parse("stop").unwrap(), target)));
    let cut = tokio::time::timeout(Duration::from_secs(1), body.frame()).await;
    assert!(!matches!(cut.expect("cut within a second"), Some(Ok(_))));
    let event = agent.ended_event().await;
    assert_eq!((event.status_code, event.bytes_out), (Some(200), 9));
    assert!(event.error.is_some());
}

fn upgrade_request(upgrade: &str) -> Request<Full<Bytes>> {
    empty(
        Request::builder()
            .uri("/socket")
            .header("host", "grafana.example.com")
            .header("connection", "Upgrade")
            .header("upgrade", upgrade)
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("sec-websocket-version", "13"),
    )
}

/// An app that becomes an echo.
async fn echo() -> FakeAws {
    FakeAws::start(|mut request| async move {
        if request.headers().get("upgrade").is_none_or(|upgrade| upgrade != "websocket") {
            return Some(reply(426, "upgrade"));
        }
        let upgrading = hyper::upgrade::on(&mut request);
        tokio_util::task::TaskTracker::new().spawn(async move {
            let mut stream = TokioIo::new(upgrading.await.unwrap());
            let mut word = [0; 4];
            while stream.read_exact(&mut word).await.is_ok() {
                stream.write_all(&word).await.unwrap();
            }
        });
        let mut answer = reply(101, "");
        let headers = answer.headers_mut();
        headers.insert("connection", "Upgrade".parse().unwrap());
        headers.insert("upgrade", "websocket".parse().unwrap());
        headers.insert("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".parse().unwrap());
        Some(answer)
    })
    .await
}

#[tokio::test]
async fn a_websocket_is_passed_on_and_a_lock_cuts_it_within_a_second() {
    let fake = echo().await;
    let mut agent = agent_for(&fake, |_| {}).await;
    let mut sender = agent.connect_http1(&web_claims(), wire::ALPN_APP_HTTP1).await;
    let mut answer = sender.send_request(upgrade_request("websocket")).await.unwrap();
    assert_eq!(answer.status(), 101);
    assert_eq!(answer.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let mut socket = TokioIo::new(hyper::upgrade::on(&mut answer).await.unwrap());
    let mut word = [0; 4];
    for text in [b"ping", b"pong"] {
        socket.write_all(text).await.unwrap();
        socket.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, text);
    }
    let target = LockTarget::user(UserName::parse("alice").unwrap());
    agent.policy.publish(rules().with_lock(Lock::new(LockName::parse("stop").unwrap(), target)));
    let ended = tokio::time::timeout(Duration::from_secs(1), socket.read(&mut word)).await;
    assert!(matches!(ended.expect("cut within a second"), Ok(0) | Err(_)));
    let event = agent.ended_event().await;
    assert_eq!((event.status_code, event.bytes_in, event.bytes_out), (Some(101), 8, 8));
    assert_eq!(event.error.as_deref(), Some("cut: the app may not be used any more"));
}

#[tokio::test]
async fn no_other_protocol_is_changed_to() {
    let fake = echo().await;
    let mut agent = agent_for(&fake, |_| {}).await;
    for upgrade in ["h2c", "TLS/1.0", "anything"] {
        let mut sender = agent.connect_http1(&web_claims(), wire::ALPN_APP_HTTP1).await;
        let answer = sender.send_request(upgrade_request(upgrade)).await.unwrap();
        assert_eq!(answer.status(), 426, "the app did not see {upgrade}");
    }
}
