//! App sessions: opened by the rules, bound to the certificate, ended by everything that should.

use std::time::Duration;

use access::{AppName, AppSessionId};
use api::resource::Kind;
use api::types::app_delegates::AppDelegateRequest;
use api::types::app_sessions::{AppSessionReply, AppSessionRequest};
use api::types::audit::AuditQuery;
use api::{ApiError, Client};
use pki::{CertPem, KeyPair};

use super::town::{ARN, Town, host, server, until};

pub(super) async fn open(
    client: &Client,
    app: &str,
    role: Option<&str>,
) -> Result<AppSessionReply, ApiError> {
    let request = AppSessionRequest {
        app: AppName::parse(app).unwrap(),
        aws_role: role.map(str::to_owned),
        public_key: KeyPair::generate().unwrap().public_pem(),
        proof: None,
    };
    client.open_app_session(&request).await
}

async fn ends(town: &Town) -> Vec<(String, String)> {
    let field = |event: &serde_json::Value, name: &str| event[name].as_str().unwrap().to_owned();
    let events = town.events("app.session.end").await;
    events.iter().map(|event| (field(event, "sid"), field(event, "reason"))).collect()
}

#[tokio::test]
async fn a_session_is_bound_to_user_app_and_role() {
    let town = Town::start().await;
    town.announce_aws().await;
    let alice = town.user("alice", &["access"]).await;
    for asked in [None, Some("ExampleTeleportDynamoDBRole"), Some(ARN)] {
        let reply = open(&alice, "aws", asked).await.unwrap();
        let claims = pki::unverified_claims(&CertPem::parse(&reply.certificate).unwrap()).unwrap();
        let app = claims.app.unwrap();
        assert_eq!(claims.user, "alice");
        assert_eq!((app.session, app.name.as_str()), (reply.session.id, "aws"));
        assert_eq!(app.aws_role.unwrap().to_string(), ARN);
        assert_eq!(app.public_addr, "aws.teleport.example.com");
        assert_eq!(claims.expires, reply.session.expires);
        assert!(claims.expires <= town.hands.now() + Duration::from_secs(12 * 3_600));
    }
    let starts = town.events("app.session.start").await;
    assert_eq!(starts.len(), 3);
    assert_eq!(starts[0]["code"], "T2007I");
    assert_eq!(starts[0]["aws_role_arn"], ARN);
    let certificates = town.events("cert.create").await;
    assert_eq!(certificates.last().unwrap()["identity"]["route_to_app"]["name"], "aws");
}

#[tokio::test]
async fn what_the_rules_do_not_allow_is_refused_with_the_rule() {
    let town = Town::start().await;
    town.announce_aws().await;
    let alice = town.user("alice", &["access"]).await;
    let auditor = town.user("audrey", &["auditor"]).await;
    for (client, app, role, status, words) in [
        (&alice, "absent", None, 404, "app \"absent\" is not found"),
        (&alice, "aws", Some("Other"), 400, "failed to find the \"Other\" role name"),
        (&auditor, "aws", None, 403, "audrey may not use app `aws`"),
    ] {
        let error = open(client, app, role).await.unwrap_err();
        assert_eq!(error.status(), Some(status), "{error}");
        assert!(error.to_string().starts_with(words), "{error}");
    }
    let error = open(&alice, "aws", Some("Other")).await.unwrap_err();
    assert!(error.hint().unwrap().contains(ARN));
    assert!(town.events("app.session.start").await.is_empty());
}

#[tokio::test]
async fn apps_are_shown_to_whom_their_labels_allow() {
    let town = Town::start().await;
    town.announce_aws().await;
    let two = town.agent("agent-2").await;
    two.announce(&server("agent-2", &["aws", "second"])).await.unwrap();
    let alice = town.user("alice", &["access"]).await;
    let auditor = town.user("audrey", &["auditor"]).await;
    let apps = alice.apps().await.unwrap();
    assert_eq!(apps.iter().map(|app| app.name().as_str()).collect::<Vec<_>>(), ["aws", "second"]);
    assert!(auditor.apps().await.unwrap().is_empty());
    assert!(auditor.app_servers().await.unwrap().is_empty());
    assert_eq!(alice.app_servers().await.unwrap().len(), 2);
    assert_eq!(town.admin().app_servers().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_session_ends_by_logout_of_its_owner_only() {
    let town = Town::start().await;
    town.announce_aws().await;
    let (alice, bob) = (town.user("alice", &["access"]).await, town.user("bob", &["access"]).await);
    let session = open(&alice, "aws", None).await.unwrap().session.id;
    assert_eq!(bob.end_app_session(&session).await.unwrap_err().status(), Some(404));
    alice.end_app_session(&session).await.unwrap();
    assert_eq!(alice.end_app_session(&session).await.unwrap_err().status(), Some(404));
    let unknown = AppSessionId::from_bytes([7; 16]);
    assert_eq!(alice.end_app_session(&unknown).await.unwrap_err().status(), Some(404));
    assert_eq!(ends(&town).await, [(session.to_string(), "logout".to_owned())]);
}

#[tokio::test]
async fn a_session_ends_by_expiry_deletion_and_lock() {
    let town = Town::start().await;
    town.announce_aws().await;
    let mut sessions = Vec::new();
    for name in ["alice", "bob", "carol"] {
        let client = town.user(name, &["access"]).await;
        sessions.push(open(&client, "aws", None).await.unwrap().session.id.to_string());
    }
    town.admin().delete_resource(Kind::User, "alice").await.unwrap();
    super::resources::lock_user(&town, "bob").await;
    let wanted =
        [(sessions[0].clone(), "user deleted".into()), (sessions[1].clone(), "locked".into())];
    assert_eq!(ends(&town).await, wanted);
    town.hands.turn(Duration::from_secs(13 * 3_600));
    let all = until(|| async { Some(ends(&town).await).filter(|ended| ended.len() == 3) }).await;
    assert_eq!(all[2], (sessions[2].clone(), "expired".to_owned()));
    let query = AuditQuery { session: Some(sessions[2].clone()), ..AuditQuery::default() };
    let rows = town.admin().audit(&query).await.unwrap();
    let names: Vec<_> = rows.iter().map(|row| row.event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["app.session.start", "cert.create", "app.session.end"]);
}

#[tokio::test]
async fn an_agents_record_ends_ten_minutes_after_its_last_heartbeat() {
    let town = Town::start().await;
    let agent = town.announce_aws().await;
    let alice = town.user("alice", &["access"]).await;
    town.hands.turn(Duration::from_secs(599));
    agent.announce(&server("agent-1", &["aws"])).await.unwrap();
    town.hands.turn(Duration::from_secs(599));
    assert_eq!(alice.apps().await.unwrap().len(), 1);
    town.hands.turn(Duration::from_secs(1));
    assert!(alice.apps().await.unwrap().is_empty());
    assert_eq!(open(&alice, "aws", None).await.unwrap_err().status(), Some(404));
}

#[tokio::test]
async fn an_agent_speaks_for_itself_only() {
    let town = Town::start().await;
    let agent = town.agent("agent-1").await;
    let error = agent.announce(&server("agent-2", &["aws"])).await.unwrap_err();
    assert_eq!(error.status(), Some(403), "{error}");
    let error = agent.withdraw(&host("agent-2")).await.unwrap_err();
    assert_eq!(error.status(), Some(403), "{error}");
}

#[tokio::test]
async fn a_user_whose_role_was_taken_away_opens_no_session_with_the_old_certificate() {
    let town = Town::start().await;
    town.announce_aws().await;
    let alice = town.user("alice", &["access"]).await;
    open(&alice, "aws", None).await.unwrap();
    let api::Resource::User(mut user) = town.admin().resource(Kind::User, "alice").await.unwrap()
    else {
        panic!("not a user")
    };
    user.spec.roles = vec![access::RoleName::parse("auditor").unwrap()];
    let request = api::resource::PutRequest {
        resource: api::Resource::User(user),
        mode: api::resource::PutMode::Update,
    };
    town.admin().put_resource(&request).await.unwrap();
    let error = open(&alice, "aws", None).await.unwrap_err();
    assert_eq!(error.status(), Some(403), "{error}");
}

/// A town with a web app beside the AWS app, and the certificate of alice's session with it.
async fn web_town() -> (Town, Client, AppSessionReply) {
    let town = Town::start().await;
    let agent = town.announce_aws().await;
    let mut announced = server("agent-1", &["aws", "grafana"]);
    announced.apps[1].spec.uri = "http://grafana.internal:3000".to_owned();
    agent.announce(&announced).await.unwrap();
    let alice = town.user("alice", &["access"]).await;
    let opened = open(&alice, "grafana", None).await.unwrap();
    (town, alice, opened)
}

fn delegate(certificate: &str) -> AppDelegateRequest {
    AppDelegateRequest {
        certificate: certificate.to_owned(),
        public_key: KeyPair::generate().unwrap().public_pem(),
    }
}

#[tokio::test]
async fn a_proxy_gets_a_certificate_for_the_very_session_of_a_web_app() {
    let (town, _, opened) = web_town().await;
    let request = delegate(&opened.certificate);
    let reply = town.proxy().await.delegate_app_session(&request).await.unwrap();
    let claims = |pem: &str| pki::unverified_claims(&CertPem::parse(pem).unwrap()).unwrap();
    let (theirs, ours) = (claims(&opened.certificate), claims(&reply.certificate));
    assert_eq!((theirs.user, theirs.app), (ours.user, ours.app.clone()));
    assert_eq!(ours.app.unwrap().session, opened.session.id);
    assert!(ours.expires <= theirs.expires);
}

#[tokio::test]
async fn nobody_but_a_proxy_and_nothing_but_a_live_session_of_a_web_app_is_delegated() {
    let (town, alice, opened) = web_town().await;
    let proxy = town.proxy().await;
    let good = delegate(&opened.certificate);
    for stranger in [alice.clone(), town.agent("agent-2").await] {
        let error = stranger.delegate_app_session(&good).await.unwrap_err();
        assert_eq!(error.status(), Some(403), "{error}");
    }
    let aws = open(&alice, "aws", Some(ARN)).await.unwrap();
    let (login, _) = town.login("alice").await;
    for bad in [aws.certificate.as_str(), login.cert().as_str()] {
        let error = proxy.delegate_app_session(&delegate(bad)).await.unwrap_err();
        assert_eq!(error.status(), Some(403), "{error}");
    }
    assert_eq!(proxy.delegate_app_session(&delegate("x")).await.unwrap_err().status(), Some(400));
    alice.end_app_session(&opened.session.id).await.unwrap();
    let error = proxy.delegate_app_session(&good).await.unwrap_err();
    assert_eq!(error.status(), Some(404), "{error}");
}
