//! Calls that nobody signs: they go out without a key of anybody's, and what they carry is recorded nowhere.

use std::sync::{Arc, Mutex};

use access::{App, AppName, RoleName};
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};

use super::canary::Log;
use super::derived::{CANARIES, OTHER, THIRD, answer_for, by, ending_in, given, status, with_deny};
use super::fake_aws::{FakeAws, reply};
use super::harness::{Agent, Setup, claims, dynamodb, signed};

const TOKEN: &str = "canary-identity-token";
const URL: &str = "https://sts.eu-central-1.amazonaws.com/";

/// What came to AWS: its headers, and query and form.
type Seen = Arc<Mutex<Vec<(HeaderMap, String)>>>;

/// An AWS that gives the keys of whatever role is asked for.
async fn aws() -> (FakeAws, Seen) {
    let seen = Seen::default();
    let keep = Arc::clone(&seen);
    let aws = FakeAws::start(move |request| {
        let keep = Arc::clone(&keep);
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let form = String::from_utf8(body.to_vec()).unwrap();
            let all = format!("{}&{form}", parts.uri.query().unwrap_or_default());
            let role = all.split('&').find_map(|pair| pair.strip_prefix("RoleArn="));
            let answer = role.map(answer_for).unwrap_or_else(|| "{}".to_owned());
            keep.lock().unwrap().push((parts.headers, all));
            Some(reply(200, &answer))
        }
    })
    .await;
    aws.answer_sts_of("AKIATHEAGENT");
    (aws, seen)
}

fn form(action: &str, role: &str) -> String {
    let proof = if action.ends_with("SAML") { "SAMLAssertion" } else { "WebIdentityToken" };
    format!("Action={action}&Version=2011-06-15&RoleArn={role}&{proof}={TOKEN}")
}

fn post(form: &str) -> Request<Full<Bytes>> {
    Request::post(URL)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::new(Bytes::copy_from_slice(form.as_bytes())))
        .unwrap()
}

fn get(form: &str) -> Request<Full<Bytes>> {
    Request::get(format!("{URL}?{form}")).body(Full::default()).unwrap()
}

fn check_no_key(headers: &HeaderMap) {
    for (name, value) in headers {
        let value = value.to_str().unwrap();
        assert!(!value.contains("stray") && !value.contains("ASIA"), "{name}: {value}");
        assert!(!name.as_str().starts_with("x-causeway"), "{name}");
    }
}

#[tokio::test]
async fn they_go_out_without_any_key_and_the_next_calls_by_the_keys_that_they_gave() {
    let (aws, seen) = aws().await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    for action in ["AssumeRoleWithWebIdentity", "AssumeRoleWithSAML"] {
        let form = form(action, OTHER);
        for mut request in [post(&form), get(&form)] {
            // Neither a token of some other keys nor a cookie has a place in it.
            request.headers_mut().insert("x-amz-security-token", "stray".parse().unwrap());
            request.headers_mut().insert("cookie", "stray".parse().unwrap());
            let given = given(&mut sender, request).await;
            assert!(CANARIES.iter().all(|canary| !given.body.contains(canary)), "{}", given.body);
            let (headers, said) = seen.lock().unwrap().pop().unwrap();
            assert_eq!(said.trim_matches('&'), form);
            check_no_key(&headers);
            assert!(!headers.contains_key("authorization") && headers.contains_key("host"));
            let by_it = by(dynamodb("ListTables", "{}"), &given.token);
            assert_eq!(status(&mut sender, by_it).await.0, 200);
            let (headers, _) = seen.lock().unwrap().pop().unwrap();
            let token = headers["x-amz-security-token"].to_str().unwrap();
            assert_eq!(token, format!("{}-other", CANARIES[2]));
        }
    }
    assert_eq!(aws.sts_asked(), 0, "no role was assumed for them");
}

#[tokio::test]
async fn their_token_is_neither_recorded_nor_logged() {
    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone());
    let _guard = tracing::subscriber::set_default(subscriber.finish());
    let (aws, _) = aws().await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    let mut told = String::new();
    for action in ["AssumeRoleWithWebIdentity", "AssumeRoleWithSAML"] {
        given(&mut sender, post(&form(action, OTHER))).await;
        for refused in [form(action, "nonsense"), form(action, OTHER) + "&rolearn=x"] {
            let (code, body) = status(&mut sender, post(&refused)).await;
            assert_eq!(code, 400, "{body}");
            told += &body;
        }
    }
    let events = agent.events().await;
    let asked = |event: &audit::Event| {
        let fields = event.what.as_request().unwrap();
        fields.aws_requested_role.as_deref() == Some(OTHER) && fields.aws_assumed_role.is_none()
    };
    assert_eq!((events.len(), events.iter().filter(|event| asked(event)).count()), (6, 2));
    let events = serde_json::to_string(&events).unwrap();
    let log = log.text();
    assert!(log.contains("call not answered"), "the log was captured");
    for (place, text) in [("events", events), ("log", log), ("refusals", told)] {
        for canary in [TOKEN, CANARIES[1], CANARIES[2]] {
            assert!(!text.contains(canary), "{canary} shows up in the {place}");
        }
    }
}

#[tokio::test]
async fn nothing_else_goes_unsigned() {
    let (aws, _) = aws().await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    let web = form("AssumeRoleWithWebIdentity", OTHER);
    let token = given(&mut sender, post(&web)).await.token;
    let before = aws.calls();
    let unsigned = |mut request: Request<Full<Bytes>>| {
        request.headers_mut().remove("authorization");
        request
    };
    let mut presigned = get(&web);
    *presigned.uri_mut() = format!("{URL}?{web}&X-Amz-Signature=00").parse().unwrap();
    let mut bearer = post(&web);
    bearer.headers_mut().insert("authorization", "Bearer x".parse().unwrap());
    let by_sts = signed("POST", URL, "sts")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(web.clone().into());
    for request in [
        post(&form("AssumeRole", OTHER)),
        post("Action=GetCallerIdentity&Version=2011-06-15"),
        post("Action=GetSessionToken&Version=2011-06-15"),
        post("Action=AssumeRoot&Version=2011-06-15"),
        post(&format!("{web}&Action=AssumeRole")),
        unsigned(dynamodb("ListTables", "{}")),
        by(post(&web), &token),
        by(post(&web), ""),
        presigned,
        bearer,
        by_sts.unwrap(),
    ] {
        let shown = format!("{request:?}");
        let (code, body) = status(&mut sender, request).await;
        assert!((400..=403).contains(&code), "{code} {body} to {shown}");
    }
    assert_eq!((aws.calls(), aws.sts_asked()), (before, 0), "nothing was sent");
}

#[tokio::test]
async fn rules_bite_on_the_role_that_is_asked_for_and_on_the_session_behind_it() {
    let (aws, seen) = aws().await;
    let mut app = App::new(AppName::parse("aws").unwrap(), "https://console.aws.amazon.com");
    app.metadata.labels.insert("aws_account_id".to_owned(), "123456789012".to_owned());
    let mut agent = Agent::start_with(&aws, Setup { aws_app: Some(app), ..Setup::default() }).await;
    let mut claims = claims();
    claims.roles.push(RoleName::parse("no-other").unwrap());
    agent.policy.publish(with_deny(OTHER));
    let mut sender = agent.connect_with(&claims).await.unwrap();
    let elsewhere = "arn:aws:iam::210987654321:role/other";
    for action in ["AssumeRoleWithWebIdentity", "AssumeRoleWithSAML"] {
        for (role, why) in [(OTHER, "no-other"), (elsewhere, "account")] {
            let (code, body) = status(&mut sender, post(&form(action, role))).await;
            assert!(code == 403 && body.contains(why), "{body}");
        }
    }
    assert_eq!(aws.calls(), 0, "nothing was sent");
    given(&mut sender, post(&form("AssumeRoleWithSAML", THIRD))).await;
    let end = ending_in(&agent, 1000);
    let mut sender = agent.connect().await;
    let web = form("AssumeRoleWithWebIdentity", OTHER);
    let given = given(&mut sender, post(&format!("{web}&DurationSeconds=43200"))).await;
    assert!(given.expires <= end, "capped by the session");
    let asked = seen.lock().unwrap().last().unwrap().1.clone();
    let seconds: u64 = asked.split("DurationSeconds=").nth(1).unwrap().parse().unwrap();
    assert!((900..=1000).contains(&seconds), "{asked}");
    agent.policy.publish(super::harness::without_session());
    let before = aws.calls();
    let (code, _) = status(&mut sender, post(&web)).await;
    assert_eq!((code, aws.calls()), (403, before), "no session, no call");
}
