//! Calls that are answered.

use std::sync::{Arc, Mutex};

use audit::events::Outcome;
use http::request::Parts;
use http_body_util::BodyExt as _;

use super::fake_aws::{FakeAws, SECRET_KEY, SESSION_TOKEN, reply};
use super::harness::{Agent, ROLE, SESSION, dynamodb, rules, signed, text, without_session};

type Seen = Arc<Mutex<Vec<(Parts, String)>>>;

/// Answers everything, and keeps what it saw.
async fn recording_aws() -> (FakeAws, Seen) {
    let seen = Seen::default();
    let keep = Arc::clone(&seen);
    let aws = FakeAws::start(move |request| {
        let keep = Arc::clone(&keep);
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            keep.lock().unwrap().push((parts, String::from_utf8(body.to_vec()).unwrap()));
            let mut answer = reply(200, "{\"TableNames\":[\"Music\"]}");
            let headers = answer.headers_mut();
            headers.insert("x-amzn-requestid", "REQUEST1".parse().unwrap());
            headers.insert("x-amz-crc32", "123".parse().unwrap());
            headers.insert("connection", "keep-alive, x-hop".parse().unwrap());
            headers.insert("x-hop", "1".parse().unwrap());
            Some(answer)
        }
    })
    .await;
    (aws, seen)
}

#[tokio::test]
async fn a_call_goes_out_signed_with_the_roles_keys_and_its_answer_comes_back_unaltered() {
    let (aws, seen) = recording_aws().await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    let mut request = dynamodb("Query", "{\"TableName\":\"Music\",\"IndexName\":\"ByArtist\"}");
    request.headers_mut().insert("x-forwarded-host", "evil.example.com".parse().unwrap());
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-amzn-requestid"], "REQUEST1");
    assert_eq!(answer.headers()["x-amz-crc32"], "123");
    assert!(
        answer.headers().get("x-hop").is_none() && answer.headers().get("connection").is_none()
    );
    assert_eq!(text(answer).await, "{\"TableNames\":[\"Music\"]}");

    let seen = seen.lock().unwrap();
    let (parts, body) = &seen[0];
    assert_eq!(body, "{\"TableName\":\"Music\",\"IndexName\":\"ByArtist\"}");
    let authorization = parts.headers["authorization"].to_str().unwrap();
    assert!(authorization.contains("Credential=ASIATHEROLE/"), "{authorization}");
    assert!(authorization.contains("/eu-central-1/dynamodb/aws4_request"), "{authorization}");
    assert!(!authorization.contains("THROWAWAY"));
    assert_eq!(parts.headers["x-amz-security-token"], SESSION_TOKEN);
    assert!(parts.headers.get("x-forwarded-host").is_none());
}

#[tokio::test]
async fn a_call_leaves_one_event_with_its_facts_and_without_its_items() {
    let (aws, _) = recording_aws().await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    let body = "{\"TableName\":\"Music\",\"Item\":{\"Artist\":{\"S\":\"a-secret-artist\"}}}";
    let answer = sender.send_request(dynamodb("PutItem", body)).await.unwrap();
    text(answer).await;
    let event = agent.the_event().await;
    assert_eq!((event.outcome, event.status_code), (Outcome::Answered, Some(200)));
    assert_eq!((event.user.as_str(), event.sid.as_str()), ("alice", SESSION));
    assert_eq!((event.app_name.as_str(), event.aws_role_arn.as_deref()), ("aws", Some(ROLE)));
    assert_eq!(event.operation.as_deref(), Some("PutItem"));
    assert_eq!(event.tables, ["Music"]);
    assert_eq!(event.aws_request_id.as_deref(), Some("REQUEST1"));
    assert_eq!(
        (event.aws_region.as_str(), event.aws_service.as_str()),
        ("eu-central-1", "dynamodb")
    );
    assert_eq!(event.aws_host, "dynamodb.eu-central-1.amazonaws.com");
    assert_eq!((event.bytes_in, event.bytes_out), (body.len() as u64, 24));
    assert_eq!(event.error, None);
    assert!(!serde_json::to_string(&event).unwrap().contains("a-secret-artist"));
}

#[tokio::test]
async fn an_endpoint_url_request_goes_where_its_credential_scope_says() {
    let (aws, _) = recording_aws().await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    let mut request = dynamodb("ListTables", "{}");
    *request.uri_mut() = "https://localhost:8000/".parse().unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
    assert_eq!(agent.the_event().await.aws_host, "dynamodb.eu-central-1.amazonaws.com");
}

#[tokio::test]
async fn the_hash_that_tsh_has_computed_is_signed_and_not_sent_on() {
    let (aws, seen) = recording_aws().await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    for hash in
        ["44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", &"0".repeat(64)]
    {
        let mut request = dynamodb("ListTables", "{}");
        request.headers_mut().insert("x-causeway-payload-sha256", hash.parse().unwrap());
        assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
    }
    let seen = seen.lock().unwrap();
    assert!(seen.iter().all(|(parts, _)| parts.headers.get("x-causeway-payload-sha256").is_none()));
    let signature = |index: usize| {
        seen[index].0.headers["authorization"].to_str().unwrap().rsplit_once('=').unwrap().1
    };
    assert_ne!(signature(0), signature(1), "the told hash is what is signed");
}

#[tokio::test]
async fn the_role_is_assumed_once_for_many_calls() {
    let (aws, _) = recording_aws().await;
    let mut agent = Agent::start(&aws).await;
    let sender = agent.connect().await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let mut sender = sender.clone();
        calls.spawn(async move {
            sender.send_request(dynamodb("ListTables", "{}")).await.unwrap().status()
        });
    }
    assert!(calls.join_all().await.iter().all(|status| *status == 200));
    assert_eq!((aws.sts_asked(), aws.calls()), (1, 20));
    let form = &aws.sts_forms()[0];
    assert!(form.contains("RoleSessionName=alice") && form.contains("role%2Freader"), "{form}");
    let seconds = form.split("DurationSeconds=").nth(1).unwrap();
    let seconds: u64 = seconds.split('&').next().unwrap().parse().unwrap();
    assert!((7100..=7200).contains(&seconds), "as long as the session: {seconds}");
}

#[tokio::test]
async fn a_role_that_allows_one_hour_only_is_assumed_for_one_hour() {
    let (aws, _) = recording_aws().await;
    aws.refuse_sts(Some("ValidationError"));
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    assert_eq!(sender.send_request(dynamodb("ListTables", "{}")).await.unwrap().status(), 200);
    assert_eq!(aws.sts_asked(), 2);
    assert!(aws.sts_forms()[1].contains("DurationSeconds=3600"));
}

#[tokio::test]
async fn a_session_that_reaches_the_snapshot_a_moment_later_is_waited_for() {
    let (aws, _) = recording_aws().await;
    let mut agent = Agent::start(&aws).await;
    agent.policy.publish(without_session());
    let mut sender = agent.connect().await;
    let policy = Arc::clone(&agent.policy);
    let answering = sender.send_request(dynamodb("ListTables", "{}"));
    tokio::task::yield_now().await;
    policy.publish(rules());
    assert_eq!(answering.await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_path_keeps_its_form_on_the_way_to_s3() {
    let (aws, seen) = recording_aws().await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    let uri = "https://s3.eu-central-1.amazonaws.com/bucket/a%20b/%C3%BC%2Bx//y?versionId=3";
    let request = signed("GET", uri, "s3")
        .header("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
        .body(Default::default())
        .unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
    assert_eq!(seen.lock().unwrap()[0].0.uri, "/bucket/a%20b/%C3%BC%2Bx//y?versionId=3");
    let event = agent.the_event().await;
    assert_eq!(event.raw_query, "versionId=3");
    assert!(!format!("{event:?}").contains(SECRET_KEY));
}
