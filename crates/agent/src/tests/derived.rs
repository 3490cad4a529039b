//! Temporary keys by way of STS: users get keys of ours, which work on, and AWS's own show up nowhere.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use access::policy::{AppSession, Policy};
use access::resource::{Lock, LockTarget, Role};
use access::{App, AppSessionId, LockName, RoleName, UserName};
use audit::events::Outcome;
use aws::sts::KeysAnswer;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};

use super::canary::Log;
use super::fake_aws::{FakeAws, ReplyBody, reply};
use super::harness::{Agent, SESSION, Sender, Setup, claims, dynamodb, rules, signed, text};

pub(super) const OTHER: &str = "arn:aws:iam::123456789012:role/other";
pub(super) const THIRD: &str = "arn:aws:iam::123456789012:role/third";
pub(super) const CANARIES: [&str; 3] =
    ["ASIACANARYREALKEY000", "canary-derived-secret", "canary-derived-token"];

/// What came to AWS: who signed it, and its form.
type Seen = Arc<Mutex<Vec<(String, String)>>>;

pub(super) fn answer_for(role: &str) -> String {
    let name = role.rsplit('/').next().unwrap();
    let [id, secret, token] = CANARIES;
    format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n <AssumeRoleResult>\n  <AssumedRoleUser>\
         <Arn>arn:aws:sts::123456789012:assumed-role/{name}/s</Arn></AssumedRoleUser>\n  <Credentials>\
         <AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{secret}-{name}</SecretAccessKey>\
         <SessionToken>{token}-{name}</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\n \
         </AssumeRoleResult>\n</AssumeRoleResponse>\n"
    )
}

/// An AWS whose STS answers the users' calls with what `sts` makes of the role's ARN.
async fn aws_with(
    sts: impl Fn(&str) -> Response<ReplyBody> + Send + Sync + 'static,
) -> (FakeAws, Seen) {
    let seen = Seen::default();
    let (keep, sts) = (Arc::clone(&seen), Arc::new(sts));
    let aws = FakeAws::start(move |request| {
        let (keep, sts) = (Arc::clone(&keep), Arc::clone(&sts));
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let form = String::from_utf8(body.to_vec()).unwrap();
            let authorization = parts.headers["authorization"].to_str().unwrap().to_owned();
            let token = parts.headers.get("x-amz-security-token");
            let token = token.map(|token| token.to_str().unwrap()).unwrap_or_default();
            let query = parts.uri.query().unwrap_or_default();
            assert!(parts.headers.keys().all(|name| !name.as_str().starts_with("x-causeway")));
            keep.lock()
                .unwrap()
                .push((format!("{authorization} {token}"), format!("{query}{form}")));
            let all = format!("{query}&{form}");
            let role = all.split('&').find_map(|pair| pair.strip_prefix("RoleArn="));
            let role = role.map(|role| role.replace("%3A", ":").replace("%2F", "/"));
            match (authorization.contains("/sts/"), all.contains("GetCallerIdentity")) {
                (true, false) => Some(sts(&role.unwrap_or_default())),
                _ => Some(reply(200, "{}")),
            }
        }
    })
    .await;
    // Only the agent's own AssumeRole is answered by the fake itself.
    aws.answer_sts_of("AKIATHEAGENT");
    (aws, seen)
}

async fn willing() -> (FakeAws, Seen) {
    aws_with(|role| reply(200, &answer_for(role))).await
}

fn sts(form: &str) -> Request<Full<Bytes>> {
    signed("POST", "https://sts.eu-central-1.amazonaws.com/", "sts")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::new(Bytes::copy_from_slice(form.as_bytes())))
        .unwrap()
}

fn assume(role: &str) -> Request<Full<Bytes>> {
    sts(&format!("Action=AssumeRole&Version=2011-06-15&RoleSessionName=s&RoleArn={role}"))
}

pub(super) fn by(mut request: Request<Full<Bytes>>, token: &str) -> Request<Full<Bytes>> {
    request.headers_mut().insert("x-causeway-derived", token.parse().unwrap());
    request
}

pub(super) struct Given {
    pub(super) token: String,
    pub(super) expires: SystemTime,
    pub(super) body: String,
}

/// Asks for keys and gets ours.
pub(super) async fn given(sender: &mut Sender, request: Request<Full<Bytes>>) -> Given {
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-causeway-derived"], "keys");
    let length: usize = answer.headers()["content-length"].to_str().unwrap().parse().unwrap();
    let body = text(answer).await;
    assert_eq!(length, body.len());
    let found = KeysAnswer::parse(body.as_bytes()).unwrap();
    let keys = found.credentials();
    let (token, expires) = (keys.session_token.unwrap().expose().clone(), found.expires());
    Given { token, expires, body }
}

pub(super) async fn status(sender: &mut Sender, request: Request<Full<Bytes>>) -> (u16, String) {
    let answer = sender.send_request(request).await.unwrap();
    (answer.status().as_u16(), text(answer).await)
}

#[tokio::test]
async fn keys_of_ours_come_back_and_the_next_calls_go_out_by_the_real_ones() {
    let (aws, seen) = willing().await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    let first = given(&mut sender, assume(OTHER)).await;
    let keys = KeysAnswer::parse(first.body.as_bytes()).unwrap();
    let ours = keys.credentials();
    assert!(ours.access_key_id.starts_with("ASIA") && ours.access_key_id.len() == 20);
    assert_eq!(ours.secret_access_key.expose().len(), 40);
    for canary in CANARIES {
        assert!(!first.body.contains(canary), "{}", first.body);
    }
    // All else is byte for byte what AWS wrote.
    let real = KeysAnswer::parse(answer_for(OTHER).as_bytes()).unwrap().credentials();
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(4_070_908_800);
    assert_eq!(keys.with(&real, end), answer_for(OTHER));
    assert_eq!(status(&mut sender, by(dynamodb("ListTables", "{}"), &first.token)).await.0, 200);
    let second = given(&mut sender, by(assume(THIRD), &first.token)).await;
    assert_eq!(status(&mut sender, by(dynamodb("ListTables", "{}"), &second.token)).await.0, 200);
    assert_eq!(status(&mut sender, dynamodb("ListTables", "{}")).await.0, 200);
    let signers: Vec<String> =
        seen.lock().unwrap().iter().map(|(signer, _)| signer.clone()).collect();
    let by_role = |signer: &String| signer.contains("Credential=ASIATHEROLE/");
    let by_token = |signer: &String, name: &str| {
        signer.contains(CANARIES[0]) && signer.ends_with(&format!("{}-{name}", CANARIES[2]))
    };
    assert!(by_role(&signers[0]) && by_role(&signers[4]), "{signers:?}");
    assert!(by_token(&signers[1], "other") && by_token(&signers[2], "other"), "{signers:?}");
    assert!(by_token(&signers[3], "third"), "{signers:?}");
}

#[tokio::test]
async fn the_record_says_which_roles_and_holds_no_keys() {
    let (aws, _) = willing().await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    let first = given(&mut sender, assume(OTHER)).await;
    given(&mut sender, by(assume(THIRD), &first.token)).await;
    let events = agent.events().await;
    let fields: Vec<_> = events.iter().map(|event| event.what.as_request().unwrap()).collect();
    let roles = |role: Option<&str>, asked: Option<&str>| {
        fields.iter().any(|fields| {
            fields.operation.as_deref() == Some("AssumeRole")
                && fields.aws_assumed_role.as_deref() == role
                && fields.aws_requested_role.as_deref() == asked
        })
    };
    assert!(roles(None, Some(OTHER)) && roles(Some(OTHER), Some(THIRD)), "{fields:?}");
    let record = serde_json::to_string(&events).unwrap();
    for secret in CANARIES.iter().chain([&first.token.as_str()]) {
        assert!(!record.contains(secret), "{record}");
    }
}

#[tokio::test]
async fn neither_real_keys_nor_ours_are_logged() {
    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone());
    let _guard = tracing::subscriber::set_default(subscriber.finish());
    let (aws, _) = willing().await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    let first = given(&mut sender, assume(OTHER)).await;
    let ours = KeysAnswer::parse(first.body.as_bytes()).unwrap().credentials();
    let mut request = by(dynamodb("ListTables", "{}"), &first.token);
    request.headers_mut().get_mut("x-causeway-derived").unwrap().set_sensitive(true);
    assert_eq!(status(&mut sender, request).await.0, 200);
    let refused = by(dynamodb("ListTables", "{}"), "causeway.x.a-token-that-is-unknown");
    assert_eq!(status(&mut sender, refused).await.0, 400);
    let log = log.text();
    assert!(log.contains("call not answered"), "the log was captured");
    for secret in CANARIES[1..].iter().chain([&ours.secret_access_key.expose().as_str()]) {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} was logged");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_withheld() {
    let good = answer_for(OTHER);
    for (status_code, bad) in [
        (200, String::new()),
        (200, format!("{{\"SecretAccessKey\":\"{}\"}}", CANARIES[1])),
        (200, format!("<!DOCTYPE a [<!ENTITY e \"x\">]>{good}")),
        (200, good.replace("</AssumeRoleResult>", &format!("</AssumeRoleResult>{good}"))),
        (200, good.replace("<Expiration>2099-01-01T00:00:00Z</Expiration>", "")),
        (200, good.replace("2099-", "1999-")),
        (200, good.replace("/other/s", "/Other/s")),
        (200, good.replace("<Arn>", "<Nra>").replace("</Arn>", "</Nra>")),
        (200, format!("{good}<!-- {}-other -->", CANARIES[1])),
        (200, format!("{good}{}", " ".repeat(40_000))),
        (202, good.clone()),
        (302, good.clone()),
        (400, good.clone()),
        (500, format!("{{\"secretAccessKey\":\"{}\"}}", CANARIES[1])),
    ] {
        let sent = bad.clone();
        let (aws, _) = aws_with(move |_| reply(status_code, &sent)).await;
        let mut agent = Agent::start(&aws).await;
        let mut sender = agent.connect().await;
        let (status, body) = status(&mut sender, assume(OTHER)).await;
        assert_eq!(status, 500, "{status_code} {bad}: {body}");
        assert!(body.contains("withheld"), "{body}");
        assert!(CANARIES.iter().all(|canary| !body.contains(canary)), "{bad}: {body}");
        let event = agent.the_event().await;
        assert_eq!((event.outcome, event.status_code), (Outcome::Answered, Some(status_code)));
        assert_eq!(agent.derived().count(), 0);
    }
}

#[tokio::test]
async fn an_error_of_sts_is_passed_on() {
    let words = "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>";
    let (aws, _) = aws_with(move |_| reply(403, words)).await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    assert_eq!(status(&mut sender, assume(OTHER)).await, (403, words.to_owned()));
}

#[tokio::test]
async fn keys_are_asked_for_and_last_no_longer_than_the_session() {
    let (aws, seen) = willing().await;
    let mut agent = Agent::start(&aws).await;
    let end = ending_in(&agent, 1000);
    let mut sender = agent.connect().await;
    let fixed = format!("Action=AssumeRole&DurationSeconds=3600&RoleArn={OTHER}");
    let short = format!("Action=AssumeRole&DurationSeconds=900&RoleArn={OTHER}");
    let in_query = format!("/?Action=AssumeRole&DurationSeconds=3600&RoleArn={OTHER}");
    let mut by_get = sts("");
    *by_get.method_mut() = http::Method::GET;
    *by_get.uri_mut() =
        format!("https://sts.eu-central-1.amazonaws.com{in_query}").parse().unwrap();
    for request in [assume(OTHER), sts(&fixed), sts(&short), by_get] {
        let given = given(&mut sender, request).await;
        assert!(given.expires <= end, "capped by the session");
    }
    let forms: Vec<String> = seen.lock().unwrap().iter().map(|(_, form)| form.clone()).collect();
    let asked: Vec<u64> = forms
        .iter()
        .map(|form| {
            let found: Vec<_> = form.split("DurationSeconds=").collect();
            assert_eq!(found.len(), 2, "{form}");
            found[1].split('&').next().unwrap().parse().unwrap()
        })
        .collect();
    for asked in [asked[0], asked[1], asked[3]] {
        assert!((900..=1000).contains(&asked), "{forms:?}");
    }
    assert_eq!(asked[2], 900, "what is short enough stays");
    assert!(forms[1].ends_with(&format!("&RoleArn={OTHER}")), "it is put where it stood");
    ending_in(&agent, 800);
    let (code, body) = status(&mut sender, assume(OTHER)).await;
    assert!(code == 403 && body.contains("log in again"), "{body}");
    assert_eq!(aws.calls(), 4, "nothing was sent");
}

/// Lets alice's session end so many seconds from now.
pub(super) fn ending_in(agent: &Agent, seconds: u64) -> SystemTime {
    let session = AppSession::clone(rules().session(SESSION).unwrap());
    let expires = super::harness::now() + Duration::from_secs(seconds);
    agent.policy.publish(rules().with_session(AppSession { expires, ..session }));
    expires
}

#[tokio::test]
async fn keys_are_good_for_their_own_session_alone() {
    let (aws, _) = willing().await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    let given = given(&mut sender, assume(OTHER)).await;
    let second = AppSessionId::parse("aaaabbbbccccddddaaaabbbbccccdddd").unwrap();
    let session = AppSession::clone(rules().session(SESSION).unwrap());
    agent.policy.publish(rules().with_session(AppSession { id: second.clone(), ..session }));
    let mut claims = claims();
    claims.app.as_mut().unwrap().session = second;
    let mut other = agent.connect_with(&claims).await.unwrap();
    assert_eq!(status(&mut other, dynamodb("ListTables", "{}")).await.0, 200);
    let before = aws.calls();
    for token in [given.token.as_str(), "causeway.x.y", "", &given.token[..given.token.len() - 1]] {
        let (code, body) = status(&mut other, by(dynamodb("ListTables", "{}"), token)).await;
        assert!(code == 400 && body.contains("ExpiredToken"), "{token}: {body}");
    }
    let (_, body) = status(&mut other, by(sts("Action=GetCallerIdentity"), &given.token)).await;
    assert!(body.contains("<Code>ExpiredToken"), "{body}");
    let foreign = given.token.replacen("5f0c", "0000", 1);
    let (_, body) = status(&mut sender, by(dynamodb("ListTables", "{}"), &foreign)).await;
    assert!(body.contains("another agent"), "{body}");
    assert_eq!(aws.calls(), before, "nothing was sent");
    assert_eq!(status(&mut sender, by(dynamodb("ListTables", "{}"), &given.token)).await.0, 200);
}

#[tokio::test]
async fn a_lock_cuts_them_and_the_end_of_the_session_forgets_them() {
    let (aws, _) = willing().await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    let given = given(&mut sender, assume(OTHER)).await;
    assert_eq!(agent.derived().count(), 1);
    let target = LockTarget::user(UserName::parse("alice").unwrap());
    let lock = Lock::new(LockName::parse("stop-alice").unwrap(), target);
    agent.policy.publish(rules().with_lock(lock));
    let (code, body) = status(&mut sender, by(dynamodb("ListTables", "{}"), &given.token)).await;
    assert!(code == 400 && body.contains("lock"), "{body}");
    agent.derived().forget_ended(&agent.policy);
    assert_eq!(agent.derived().count(), 1, "the session is there still");
    agent.policy.publish(super::harness::without_session());
    agent.derived().forget_ended(&agent.policy);
    assert_eq!(agent.derived().count(), 0);
}

/// The rules with a role that alice has beside hers.
pub(super) fn with_deny(arn: &str) -> Policy {
    let role: Role = serde_json::from_value(serde_json::json!({
        "kind": "role", "version": "v5", "metadata": { "name": "no-other" },
        "spec": { "deny": { "aws_role_arns": [arn] } }
    }))
    .unwrap();
    let mut user = rules().user("alice").unwrap().clone();
    user.roles.push(RoleName::parse("no-other").unwrap());
    rules().with_role(role).with_user(user)
}

#[tokio::test]
async fn a_deny_rule_bites_on_the_role_asked_for_and_on_every_role_of_the_chain() {
    let (aws, _) = willing().await;
    let mut agent = Agent::start(&aws).await;
    let mut claims = claims();
    claims.roles.push(RoleName::parse("no-other").unwrap());
    agent.policy.publish(with_deny("arn:aws:iam::123456789012:role/unused"));
    let mut sender = agent.connect_with(&claims).await.unwrap();
    let first = given(&mut sender, assume(OTHER)).await;
    let second = given(&mut sender, by(assume(THIRD), &first.token)).await;
    let before = aws.calls();
    agent.policy.publish(with_deny(OTHER));
    for request in [
        assume(OTHER),
        by(dynamodb("ListTables", "{}"), &first.token),
        by(dynamodb("ListTables", "{}"), &second.token),
        by(assume(THIRD), &second.token),
    ] {
        let (code, body) = status(&mut sender, request).await;
        assert!((400..=403).contains(&code) && body.contains("no-other"), "{body}");
    }
    assert_eq!(aws.calls(), before, "nothing was sent");
    assert_eq!(status(&mut sender, assume(THIRD)).await.0, 200);
}

#[tokio::test]
async fn an_app_of_one_account_leads_to_no_other() {
    let (aws, _) = willing().await;
    let mut app =
        App::new(access::AppName::parse("aws").unwrap(), "https://console.aws.amazon.com");
    app.metadata.labels.insert("aws_account_id".to_owned(), "123456789012".to_owned());
    let mut agent = Agent::start_with(&aws, Setup { aws_app: Some(app), ..Setup::default() }).await;
    let mut sender = agent.connect().await;
    let elsewhere = "arn:aws:iam::210987654321:role/other";
    let (code, body) = status(&mut sender, assume(elsewhere)).await;
    assert!(code == 403 && body.contains("account"), "{body}");
    assert_eq!(aws.calls(), 0);
    given(&mut sender, assume(OTHER)).await;
}

#[tokio::test]
async fn what_else_gives_keys_stays_refused() {
    let (aws, _) = willing().await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    for form in [
        format!("Action=AssumeRoleWithWebIdentity&RoleArn={OTHER}&WebIdentityToken=t"),
        format!("Action=AssumeRoleWithSAML&RoleArn={OTHER}"),
        format!("Action=assumeRole&RoleArn={OTHER}"),
        "Action=AssumeRoot".to_owned(),
        "Action=AssumeRole".to_owned(),
        format!("Action=AssumeRole&RoleArn={OTHER}&RoleArn={THIRD}"),
        format!("Action=AssumeRole&rolearn={OTHER}&RoleArn={THIRD}"),
        format!("Action=AssumeRole&RoleArn={OTHER}&DurationSeconds=9&DurationSeconds=9"),
        format!("Action=GetSessionToken&RoleArn={OTHER}"),
    ] {
        let (code, body) = status(&mut sender, sts(&form)).await;
        assert!((400..=403).contains(&code), "{form}: {body}");
    }
    assert_eq!((aws.calls(), aws.sts_asked()), (0, 0));
}

#[tokio::test]
async fn a_session_keeps_the_newest_of_many_keys() {
    let (aws, _) = willing().await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    for _ in 0..70 {
        given(&mut sender, assume(OTHER)).await;
    }
    assert_eq!(agent.derived().count(), 64);
    let last = given(&mut sender, assume(OTHER)).await;
    assert_eq!(status(&mut sender, by(dynamodb("ListTables", "{}"), &last.token)).await.0, 200);
}
