//! The control interface: records, secrets, faults; and how DynamoDB's answers are framed.

mod common;

use common::Sandbox;
use http::{Method, StatusCode};

#[tokio::test]
async fn answers_of_dynamodb_carry_request_id_and_crc() {
    let sandbox = Sandbox::start().await;
    let reply = sandbox.dynamodb(&sandbox.caller(), "ListTables", "{}").await;
    assert_eq!(reply.headers["content-type"], "application/x-amz-json-1.0");
    let crc = crc32fast::hash(&reply.body).to_string();
    assert_eq!(reply.headers["x-amz-crc32"], crc);
    let id = reply.headers["x-amzn-requestid"].to_str().unwrap();
    assert_eq!(id.len(), 52);
    assert!(id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()));
    let refused =
        sandbox.dynamodb(&sandbox.caller(), "DescribeTable", r#"{"TableName":"nothere"}"#).await;
    assert_eq!(refused.headers["x-amz-crc32"], crc32fast::hash(&refused.body).to_string());
    assert_eq!(refused.code(), "ResourceNotFoundException");
    assert_eq!(
        sandbox.dynamodb(&sandbox.caller(), "Nonsense", "{}").await.code(),
        "UnknownOperationException"
    );
    assert_eq!(
        sandbox.dynamodb(&sandbox.caller(), "ListTables", "{").await.code(),
        "SerializationException"
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn requests_are_recorded_and_forgotten_on_reset() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log.jsonl");
    let sandbox = Sandbox::start_with(sandbox::world::Beginning {
        log: Some(log.clone()),
        ..Default::default()
    })
    .await;
    let session = sandbox.assume(&sandbox.caller(), "").await;
    sandbox.dynamodb(&session, "ListTables", "{}").await;
    let requests = sandbox.control(Method::GET, "requests", "").await;
    let last = requests.as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["operation"], "ListTables");
    assert_eq!(last["session_name"], "bob");
    assert_eq!(last["access_key_id"], session.id);
    assert_eq!(last["status"], 200);
    let since = sandbox.control(Method::GET, &format!("requests?since={}", last["seq"]), "").await;
    assert_eq!(since.as_array().unwrap().len(), 0);
    let secrets = sandbox.control(Method::GET, "secrets", "").await;
    let text = std::fs::read_to_string(&log).unwrap();
    assert_eq!(text.lines().count(), 2);
    for secret in [&secrets["secret_access_keys"], &secrets["session_tokens"]]
        .into_iter()
        .flat_map(|list| list.as_array().unwrap())
    {
        assert!(!text.contains(secret.as_str().unwrap()));
        assert!(!requests.to_string().contains(secret.as_str().unwrap()));
    }
    assert_eq!(secrets["secret_access_keys"].as_array().unwrap().len(), 2);
    assert_eq!(secrets["session_tokens"].as_array().unwrap().len(), 1);
    sandbox.control(Method::POST, "reset", "").await;
    assert_eq!(sandbox.control(Method::GET, "assumed", "").await, serde_json::json!([]));
    sandbox.stop().await;
}

#[tokio::test]
async fn faults_happen_on_request() {
    let sandbox = Sandbox::start().await;
    let caller = sandbox.caller();
    sandbox.control(Method::POST, "fault", r#"{"throttle": 1}"#).await;
    assert_eq!(sandbox.dynamodb(&caller, "ListTables", "{}").await.code(), "ThrottlingException");
    assert_eq!(sandbox.dynamodb(&caller, "ListTables", "{}").await.status, StatusCode::OK);

    let refuse = r#"{"refuse": {"operation": "ListTables", "code": "AccessDeniedException"}}"#;
    sandbox.control(Method::POST, "fault", refuse).await;
    assert_eq!(sandbox.dynamodb(&caller, "ListTables", "{}").await.code(), "AccessDeniedException");
    assert_eq!(sandbox.sts(&caller, "Action=GetCallerIdentity").await.status, StatusCode::OK);

    sandbox.control(Method::POST, "fault", r#"{"cut_after_bytes": 5, "times": 1}"#).await;
    let cut = sandbox.dynamodb(&caller, "ListTables", "{}").await;
    assert!(cut.broken);
    assert!(!sandbox.dynamodb(&caller, "ListTables", "{}").await.broken);

    sandbox.control(Method::POST, "fault", r#"{"skew_seconds": 600}"#).await;
    assert_eq!(
        sandbox.dynamodb(&caller, "ListTables", "{}").await.code(),
        "InvalidSignatureException"
    );
    sandbox.control(Method::POST, "reset", "").await;
    assert_eq!(sandbox.dynamodb(&caller, "ListTables", "{}").await.status, StatusCode::OK);
    sandbox.stop().await;
}

#[tokio::test]
async fn unknown_faults_and_actions_are_refused() {
    let sandbox = Sandbox::start().await;
    for (method, action, body, wanted) in [
        (Method::POST, "fault", r#"{"thrott": 1}"#, StatusCode::BAD_REQUEST),
        (Method::POST, "roles", r#"{"arn": "nonsense"}"#, StatusCode::BAD_REQUEST),
        (Method::GET, "nonsense", "", StatusCode::NOT_FOUND),
    ] {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("/_sandbox/{action}"))
            .header("host", "localhost");
        let reply = sandbox
            .send(request.body(bytes::Bytes::copy_from_slice(body.as_bytes())).unwrap())
            .await;
        assert_eq!(reply.status, wanted, "{action} {body}");
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn streams_answer_under_their_own_target_only() {
    let sandbox = Sandbox::start().await;
    let caller = sandbox.caller();
    let create = r#"{"TableName":"t-1","AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"}],"KeySchema":[{"AttributeName":"pk","KeyType":"HASH"}],"BillingMode":"PAY_PER_REQUEST","StreamSpecification":{"StreamEnabled":true,"StreamViewType":"NEW_IMAGE"}}"#;
    let made = sandbox.dynamodb(&caller, "CreateTable", create).await.json();
    let arn = made["TableDescription"]["LatestStreamArn"].as_str().unwrap().to_owned();
    sandbox.dynamodb(&caller, "PutItem", r#"{"TableName":"t-1","Item":{"pk":{"S":"a"}}}"#).await;
    assert_eq!(
        sandbox.dynamodb(&caller, "ListStreams", "{}").await.code(),
        "UnknownOperationException"
    );
    let stream = |operation: &str, body: String| {
        let mut request = common::dynamodb_request(sandbox.address, operation, &body);
        let target = format!("DynamoDBStreams_20120810.{operation}");
        request.headers_mut().insert("x-amz-target", target.parse().unwrap());
        sandbox.send(caller.sign(request, "dynamodb"))
    };
    let described = stream("DescribeStream", format!(r#"{{"StreamArn":"{arn}"}}"#)).await.json();
    assert_eq!(described["StreamDescription"]["StreamArn"], arn);
    let shard = described["StreamDescription"]["Shards"][0]["ShardId"].as_str().unwrap().to_owned();
    let ask = format!(
        r#"{{"StreamArn":"{arn}","ShardId":"{shard}","ShardIteratorType":"TRIM_HORIZON"}}"#
    );
    let iterator =
        stream("GetShardIterator", ask).await.json()["ShardIterator"].as_str().unwrap().to_owned();
    let records = stream("GetRecords", format!(r#"{{"ShardIterator":"{iterator}"}}"#)).await.json();
    assert_eq!(records["Records"][0]["dynamodb"]["NewImage"]["pk"]["S"], "a");
    assert_eq!(records["Records"][0]["awsRegion"], "us-east-1");
    sandbox.stop().await;
}

#[tokio::test]
async fn names_of_aws_do_not_lead_to_the_control_interface() {
    let sandbox = Sandbox::start().await;
    for host in ["dynamodb.us-east-1.amazonaws.com", "s3.amazonaws.com", "example.org"] {
        let request = http::Request::get("/_sandbox/secrets").header("host", host);
        let reply = sandbox.send(request.body(bytes::Bytes::new()).unwrap()).await;
        assert!(reply.status.is_client_error(), "{host}: {}", reply.text());
        assert!(!reply.text().contains(&sandbox.user.secret_access_key));
    }
    sandbox.stop().await;
}
