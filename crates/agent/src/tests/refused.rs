//! Calls that are refused, and failures: what the client is told, what is recorded, and that nothing was sent.

use std::time::Duration;

use access::resource::{Lock, LockTarget};
use access::{LockName, UserName};
use audit::events::{Outcome, RequestFields};
use http::Response;
use hyper::body::Incoming;

use super::fake_aws::{FakeAws, reply};
use super::harness::{
    Agent, ROLE, Setup, claims, dynamodb, rules, signed, strangers, text, user_credential,
};
use crate::spool::tests::make_unsyncable;

async fn willing_aws() -> FakeAws {
    FakeAws::start(|_| async { Some(reply(200, "{}")) }).await
}

/// The error's code and message, in DynamoDB's protocol.
async fn error(answer: Response<Incoming>) -> (u16, String, String) {
    let status = answer.status().as_u16();
    assert_eq!(answer.headers()["content-type"], "application/x-amz-json-1.0");
    assert!(answer.headers().contains_key("x-amzn-requestid"));
    let body: serde_json::Value = serde_json::from_str(&text(answer).await).unwrap();
    let field = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let code = field("__type").rsplit('#').next().unwrap().to_owned();
    (status, code, field("message") + &field("Message"))
}

async fn refused(agent: &mut Agent) -> (String, RequestFields) {
    let mut sender = agent.connect().await;
    let answer = sender.send_request(dynamodb("ListTables", "{}")).await.unwrap();
    let (status, code, message) = error(answer).await;
    assert_eq!((status, code.as_str()), (400, "AccessDeniedException"), "{message}");
    (message, agent.the_event().await)
}

#[tokio::test]
async fn a_role_taken_from_the_user_after_login_is_refused_by_name() {
    let aws = willing_aws().await;
    let mut agent = Agent::start(&aws).await;
    let mut user = rules().user("alice").unwrap().clone();
    user.roles.clear();
    agent.policy.publish(rules().with_user(user));
    let (message, event) = refused(&mut agent).await;
    for part in ["alice", "aws", ROLE, "aws-access"] {
        assert!(message.contains(part), "{part} is missing in: {message}");
    }
    assert_eq!(event.outcome, Outcome::Refused);
    assert_eq!(event.decision, "no-role-left");
    assert_eq!(event.operation.as_deref(), Some("ListTables"));
    assert_eq!((aws.sts_asked(), aws.calls()), (0, 0));
}

#[tokio::test]
async fn a_lock_bites_on_the_next_request_of_an_open_connection() {
    let aws = willing_aws().await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    assert_eq!(sender.send_request(dynamodb("ListTables", "{}")).await.unwrap().status(), 200);
    let target = LockTarget::user(UserName::parse("alice").unwrap());
    let lock = Lock::new(LockName::parse("stop-alice").unwrap(), target);
    agent.policy.publish(rules().with_lock(lock));
    let answer = sender.send_request(dynamodb("ListTables", "{}")).await.unwrap();
    assert!(error(answer).await.2.contains("lock"));
    assert_eq!(aws.calls(), 1);
}

#[tokio::test]
async fn a_call_that_would_hand_out_keys_is_refused_in_the_words_of_sts() {
    let aws = willing_aws().await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    let request = signed("POST", "https://sts.eu-central-1.amazonaws.com/", "sts")
        .header("content-type", "application/x-www-form-urlencoded")
        .body("Action=AssumeRoot&Version=2011-06-15".into())
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 403);
    let body = text(answer).await;
    assert!(body.contains("<Code>AccessDenied</Code>") && body.contains("AssumeRoot"), "{body}");
    assert_eq!((aws.sts_asked(), aws.calls()), (0, 0));
}

#[tokio::test]
async fn an_unsigned_request_and_one_to_another_host_are_refused() {
    let aws = willing_aws().await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    let mut unsigned = dynamodb("ListTables", "{}");
    unsigned.headers_mut().remove("authorization");
    let mut elsewhere = dynamodb("ListTables", "{}");
    *elsewhere.uri_mut() =
        "https://dynamodb.eu-central-1.amazonaws.com.example.org/".parse().unwrap();
    let mut two_hosts = dynamodb("ListTables", "{}");
    two_hosts.headers_mut().insert("host", "evil.example.com".parse().unwrap());
    for request in [unsigned, elsewhere, two_hosts] {
        let answer = sender.send_request(request).await.unwrap();
        assert!(answer.status().is_client_error(), "{}", answer.status());
    }
    assert_eq!(aws.calls(), 0);
    let events = agent.events().await;
    assert_eq!(events.len(), 3);
    assert!(
        events.iter().all(|event| event.what.as_request().unwrap().outcome == Outcome::Refused)
    );
}

#[tokio::test]
async fn strangers_hosts_and_expired_certificates_get_no_connection() {
    let aws = willing_aws().await;
    let mut agent = Agent::start(&aws).await;
    let strange = user_credential(&strangers(), &claims());
    assert!(is_shut_out(agent.connect_as(strange).await).await);
    assert!(is_shut_out(agent.connect_as_host().await).await);
}

/// With TLS 1.3 the client learns of the refusal at its first request.
async fn is_shut_out(connected: Result<super::harness::Sender, String>) -> bool {
    match connected {
        Err(_) => true,
        Ok(mut sender) => sender.send_request(dynamodb("ListTables", "{}")).await.is_err(),
    }
}

#[tokio::test]
async fn a_certificate_without_an_app_is_told_what_to_do() {
    let aws = willing_aws().await;
    let mut agent = Agent::start(&aws).await;
    let mut claims = claims();
    claims.app = None;
    let mut sender = agent.connect_with(&claims).await.unwrap();
    let answer = sender.send_request(dynamodb("ListTables", "{}")).await.unwrap();
    let (_, code, message) = error(answer).await;
    assert_eq!(code, "AccessDeniedException");
    assert!(message.contains("tsh apps login"), "{message}");
}

#[tokio::test]
async fn when_sts_refuses_the_client_learns_why_and_the_next_call_asks_again() {
    let aws = willing_aws().await;
    aws.refuse_sts(Some("AccessDenied"));
    let mut agent = Agent::start(&aws).await;
    let (message, event) = refused(&mut agent).await;
    for part in [ROLE, "AccessDenied", "the words of STS", "trust policy"] {
        assert!(message.contains(part), "{part} is missing in: {message}");
    }
    assert_eq!((event.outcome, event.decision.as_str()), (Outcome::Failed, "allowed"));
    aws.refuse_sts(None);
    let mut sender = agent.connect().await;
    assert_eq!(sender.send_request(dynamodb("ListTables", "{}")).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_refused_clearly() {
    let aws = willing_aws().await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    let body = format!("{{\"TableName\":\"{}\"}}", "x".repeat(17 << 20));
    let answer = sender.send_request(dynamodb("PutItem", &body)).await.unwrap();
    let (_, _, message) = error(answer).await;
    assert!(message.contains("larger than 16777216 bytes"), "{message}");
    assert_eq!(aws.calls(), 0);
}

#[tokio::test]
async fn a_full_spool_refuses_calls_and_names_itself() {
    let aws = willing_aws().await;
    let mut agent = Agent::start_with(&aws, Setup { spool_limit: 1, ..Setup::default() }).await;
    let mut sender = agent.connect().await;
    assert_eq!(sender.send_request(dynamodb("ListTables", "{}")).await.unwrap().status(), 200);
    let answer = sender.send_request(dynamodb("ListTables", "{}")).await.unwrap();
    let (status, _, message) = error(answer).await;
    assert!(
        status >= 500 && message.contains("audit spool") && message.contains("full"),
        "{message}"
    );
    assert_eq!(aws.calls(), 1);
}

#[tokio::test]
async fn an_answer_whose_entry_is_not_safe_is_withheld() {
    let aws = willing_aws().await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    make_unsyncable(&agent.spool);
    let answer = sender.send_request(dynamodb("ListTables", "{}")).await.unwrap();
    let (status, _, message) = error(answer).await;
    assert!(status >= 500 && message.contains("answer is withheld"), "{message}");
    assert_eq!(aws.calls(), 1);
    let event = agent.the_event().await;
    assert_eq!((event.outcome, event.status_code), (Outcome::Answered, Some(200)));
    assert!(event.error.unwrap().contains("withheld"));
    let answer = sender.send_request(dynamodb("ListTables", "{}")).await.unwrap();
    assert_eq!(answer.status(), 200, "a new file is begun");
}

#[tokio::test]
async fn an_agent_without_rules_answers_that_it_is_not_ready() {
    let aws = willing_aws().await;
    let mut agent = Agent::start_with(&aws, Setup { rules: None, ..Setup::default() }).await;
    let mut sender = agent.connect().await;
    let answer = sender.send_request(dynamodb("ListTables", "{}")).await.unwrap();
    let (status, _, message) = error(answer).await;
    assert!(status >= 500 && message.contains("try again shortly"), "{message}");
    assert_eq!(aws.calls(), 0);
}

#[tokio::test]
async fn where_aws_cannot_be_reached_the_call_has_failed() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let aws = willing_aws().await;
    let setup = Setup { dynamodb: Some(format!("http://{closed}")), ..Setup::default() };
    let mut agent = Agent::start_with(&aws, setup).await;
    let mut sender = agent.connect().await;
    let answer = sender.send_request(dynamodb("ListTables", "{}")).await.unwrap();
    assert!(answer.status().is_server_error());
    let event = agent.the_event().await;
    assert_eq!(event.outcome, Outcome::Failed);
    assert!(event.error.unwrap().contains("could not connect"));
}

#[tokio::test]
async fn where_the_connection_breaks_before_the_answer_the_outcome_is_unknown() {
    let aws = FakeAws::start(|_| async { None }).await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    let answer =
        sender.send_request(dynamodb("PutItem", "{\"TableName\":\"Music\"}")).await.unwrap();
    let (status, _, message) = error(answer).await;
    assert!(status >= 500 && message.contains("may have been made"), "{message}");
    assert_eq!(agent.the_event().await.outcome, Outcome::Unknown);
    assert_eq!(aws.calls(), 1, "what may have been made is not repeated");
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_an_unknown_outcome() {
    let aws = FakeAws::start(|_| std::future::pending()).await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    let asking = sender.send_request(dynamodb("ListTables", "{}"));
    assert!(tokio::time::timeout(Duration::from_millis(300), asking).await.is_err());
    assert_eq!(agent.the_event().await.outcome, Outcome::Unknown);
}
