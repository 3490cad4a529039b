//! Sign-ins to the AWS console: what AWS is asked, what the client gets, and that no secret shows up elsewhere.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use access::resource::{Lock, LockTarget};
use access::{LockName, UserName};
use api::types::console::ConsoleSignIn;
use api::wire;
use audit::events::Outcome;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;

use super::canary::Log;
use super::fake_aws::{FakeAws, SECRET_KEY, SESSION_TOKEN, reply};
use super::harness::{Agent, ROLE, Setup, claims, now, rules, text, web_claims};

const TOKEN: &str = "canary-sign-in-token-4c1d";

type Asked = Arc<Mutex<Vec<String>>>;

/// A federation endpoint that takes everything, and keeps the queries.
async fn federation(status: u16, body: &'static str) -> (FakeAws, Asked) {
    let asked = Asked::default();
    let keep = Arc::clone(&asked);
    let aws = FakeAws::start(move |request| {
        keep.lock().unwrap().push(request.uri().to_string());
        async move { Some(reply(status, body)) }
    })
    .await;
    (aws, asked)
}

const GIVEN: &str = "{\"SigninToken\":\"canary-sign-in-token-4c1d\"}";

async fn ask(agent: &mut Agent) -> Response<Incoming> {
    let mut sender = agent.connect_http1(&claims(), wire::ALPN_APP_CONSOLE).await;
    sender.send_request(request(Method::POST, wire::CONSOLE_PATH)).await.unwrap()
}

fn request(method: Method, path: &str) -> Request<Full<bytes::Bytes>> {
    Request::builder().method(method).uri(path).header("host", "x").body(Full::default()).unwrap()
}

async fn url(answer: Response<Incoming>) -> String {
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice::<ConsoleSignIn>(&body).unwrap().expose_url().to_owned()
}

fn value(query: &str, name: &str) -> Option<String> {
    let pairs = query.split_once('?').unwrap().1.split('&');
    let found = pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?;
    Some(percent_encoding::percent_decode_str(found.1).decode_utf8().unwrap().into_owned())
}

#[tokio::test]
async fn a_user_is_signed_in_as_the_role_for_as_long_as_the_login_lasts() {
    let (aws, asked) = federation(200, GIVEN).await;
    let mut agent = Agent::start(&aws).await;
    let url = url(ask(&mut agent).await).await;

    assert!(url.starts_with(&format!("{}/federation?Action=login&", aws.url())), "{url}");
    assert_eq!(value(&url, "SigninToken").unwrap(), TOKEN);
    assert_eq!(value(&url, "Destination").unwrap(), "https://console.aws.amazon.com/home/home");
    assert_eq!(value(&url, "Issuer").unwrap(), "https://aws.example.com");

    let query = asked.lock().unwrap()[0].clone();
    assert!(query.starts_with("/federation?"), "{query}");
    assert_eq!(value(&query, "Action").unwrap(), "getSigninToken");
    let handed: serde_json::Value =
        serde_json::from_str(&value(&query, "Session").unwrap()).unwrap();
    let expected = serde_json::json!({
        "sessionId": "ASIATHEROLE", "sessionKey": SECRET_KEY, "sessionToken": SESSION_TOKEN
    });
    assert_eq!(handed, expected);
    let form = &aws.sts_forms()[0];
    assert!(form.contains("RoleSessionName=alice") && form.contains("role%2Freader"), "{form}");
    let seconds: u64 = value(&query, "SessionDuration").unwrap().parse().unwrap();
    assert!((7100..=7200).contains(&seconds), "{seconds}");
    assert!(form.contains(&format!("DurationSeconds={seconds}")), "{form}");

    let event = agent.the_event().await;
    assert_eq!((event.outcome, event.status_code), (Outcome::Answered, Some(200)));
    assert_eq!(event.operation.as_deref(), Some("ConsoleSignIn"));
    assert_eq!((event.aws_service.as_str(), event.aws_host.as_str()), ("signin", "127.0.0.1"));
    assert_eq!((event.user.as_str(), event.aws_role_arn.as_deref()), ("alice", Some(ROLE)));
    assert_eq!(event.aws_role_session_name.as_deref(), Some("alice"));
}

#[tokio::test]
async fn a_sign_in_tells_aws_what_every_call_tells_it() {
    let (aws, _) = federation(200, GIVEN).await;
    let mut agent = Agent::start(&aws).await;
    agent.policy.publish(rules().with_role(super::told::telling()));
    url(ask(&mut agent).await).await;
    let forms = aws.sts_forms();
    assert_eq!(forms.len(), 1);
    super::told::check_all_is_told(&forms[0]);
}

#[tokio::test]
async fn with_temporary_credentials_of_its_own_the_agent_asks_for_one_hour_and_no_duration() {
    let (aws, asked) = federation(200, GIVEN).await;
    let setup = Setup { own_token: Some("temporary".to_owned()), ..Setup::default() };
    let mut agent = Agent::start_with(&aws, setup).await;
    url(ask(&mut agent).await).await;
    assert!(aws.sts_forms()[0].contains("DurationSeconds=3600"));
    assert_eq!(value(&asked.lock().unwrap()[0], "SessionDuration"), None);
}

#[tokio::test]
async fn a_role_that_allows_one_hour_only_gives_a_session_of_one_hour() {
    let (aws, asked) = federation(200, GIVEN).await;
    aws.refuse_sts(Some("ValidationError"));
    let mut agent = Agent::start(&aws).await;
    url(ask(&mut agent).await).await;
    assert_eq!(value(&asked.lock().unwrap()[0], "SessionDuration").as_deref(), Some("3600"));
}

#[tokio::test]
async fn a_login_that_ends_within_fifteen_minutes_is_told_so() {
    let (aws, asked) = federation(200, GIVEN).await;
    let mut agent = Agent::start(&aws).await;
    let mut claims = claims();
    claims.expires = now() + Duration::from_secs(14 * 60);
    let mut sender = agent.connect_http1(&claims, wire::ALPN_APP_CONSOLE).await;
    let answer = sender.send_request(request(Method::POST, wire::CONSOLE_PATH)).await.unwrap();
    assert_eq!(answer.status(), 403);
    let text = text(answer).await;
    assert!(text.contains("13 minutes") && text.contains("login-too-short"), "{text}");
    assert_eq!((aws.sts_asked(), asked.lock().unwrap().len()), (0, 0));
    let event = agent.the_event().await;
    assert_eq!((event.outcome, event.decision.as_str()), (Outcome::Refused, "login-too-short"));
}

#[tokio::test]
async fn who_may_not_is_told_by_which_rule_and_nothing_is_asked_of_aws() {
    let (aws, asked) = federation(200, GIVEN).await;
    let mut agent = Agent::start(&aws).await;
    let target = LockTarget::user(UserName::parse("alice").unwrap());
    let lock = Lock::new(LockName::parse("stop-alice").unwrap(), target);
    agent.policy.publish(rules().with_lock(lock));
    let answer = ask(&mut agent).await;
    assert_eq!(answer.status(), 403);
    assert!(text(answer).await.contains("lock"));
    assert_eq!(agent.the_event().await.decision, "locked");

    agent.policy.publish(rules());
    let mut sender = agent.connect_http1(&web_claims(), wire::ALPN_APP_CONSOLE).await;
    let answer = sender.send_request(request(Method::POST, wire::CONSOLE_PATH)).await.unwrap();
    assert_eq!(answer.status(), 403, "a web app's session opens no console");
    assert_eq!((aws.sts_asked(), asked.lock().unwrap().len()), (0, 0));
}

#[tokio::test]
async fn there_is_one_door_only() {
    let (aws, _) = federation(200, GIVEN).await;
    let mut agent = Agent::start(&aws).await;
    for (method, path) in
        [(Method::GET, wire::CONSOLE_PATH), (Method::POST, "/"), (Method::POST, "/v1/console/x")]
    {
        let mut sender = agent.connect_http1(&claims(), wire::ALPN_APP_CONSOLE).await;
        let answer = sender.send_request(request(method, path)).await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
    // The other roads know no such door: there the path is one at AWS.
    let mut sender = agent.connect().await;
    let mut elsewhere = request(Method::POST, "https://console.causeway.internal/v1/console");
    elsewhere.headers_mut().remove("host");
    assert!(sender.send_request(elsewhere).await.unwrap().status().is_client_error());
    let mut sender = agent.connect_http1(&claims(), wire::ALPN_APP_HTTP1).await;
    let answer = sender.send_request(request(Method::POST, wire::CONSOLE_PATH)).await.unwrap();
    assert_eq!(answer.status(), 403, "an AWS session on the road of web apps");
    assert_eq!(aws.sts_asked(), 0);
}

#[tokio::test]
async fn neither_credentials_nor_token_show_up_anywhere_else() {
    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone());
    let _guard = tracing::subscriber::set_default(subscriber.finish());
    let mut said = String::new();
    for (status, body) in [
        (200, GIVEN),
        (400, "<h1>canary-secret-key-5f8a</h1>"),
        (200, "<html>canary-sign-in-token-4c1d"),
    ] {
        let (aws, asked) = federation(status, body).await;
        let mut agent = Agent::start(&aws).await;
        let answer = ask(&mut agent).await;
        if answer.status() != 200 {
            said += &text(answer).await;
        }
        assert_eq!(asked.lock().unwrap().len(), 1);
        said += &format!("{:?}", agent.events().await);
    }
    // And one that cannot be reached.
    let (aws, _) = federation(200, GIVEN).await;
    let mut agent = Agent::start(&aws).await;
    aws.cut_all_but_sts();
    said += &text(ask(&mut agent).await).await;
    said += &format!("{:?}", agent.events().await);
    assert!(said.contains("sign-in-refused") && said.contains("sign-in-unusable"), "{said}");
    assert!(said.contains("sign-in-interrupted"), "{said}");
    let log = log.text();
    assert!(log.contains("signed in to the AWS console"), "the log was captured");
    for canary in [SECRET_KEY, SESSION_TOKEN, TOKEN, "canary-agent-secret", "getSigninToken"] {
        for (place, text) in [("log", &log), ("events and replies", &said)] {
            let line = text.lines().find(|line| line.contains(canary));
            assert_eq!(line, None, "{canary} shows up in the {place}");
        }
    }
}
