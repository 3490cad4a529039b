//! Who may come in by which door: every pair, spelt out.

use access::SystemRole;
use api::routes;
use http::{Method, StatusCode};
use pki::{AuthorityKind, Credential, KeyPair};
use serde_json::{Value, json};

use super::town::{Town, host, server};

/// The kinds of callers, in the order of the columns below.
const CALLERS: [&str; 9] =
    ["stranger", "app", "proxy", "auth", "admin", "access", "editor", "auditor", "app-cert"];

/// Method, path, body, who is let in.
type Door = (Method, String, Value, &'static str);

/// `y`: let in (whatever the rule then says), `-`: refused at the door with 401 or 403.
fn table() -> Vec<Door> {
    let key = KeyPair::generate().unwrap().public_pem();
    let join =
        json!({"token": "x", "host_id": "h", "node_name": "n", "roles": [], "public_key": key});
    let login = json!({"user": "u", "password": "p", "public_key": "no key"});
    let user = json!({"name": "new-user", "roles": ["access"]});
    let role = json!({"resource": {"kind": "role", "version": "v7", "metadata": {"name": "r"}, "spec": {}}, "mode": "create"});
    let token = json!({"roles": ["App"]});
    let open = json!({"app": "nothing", "public_key": key});
    let session = "00000000000000000000000000000000";
    let fill = routes::fill;
    let doors = vec![
        //                                                                            s  app pro aut adm acc edi aud cert
        (Method::POST, routes::JOIN.into(), join, "y - y - - - - - -"),
        (Method::POST, routes::LOGIN.into(), login, "- - y - - - - - -"),
        (Method::GET, fill(routes::INVITE, "abc"), Value::Null, "- - y - - - - - -"),
        (Method::POST, fill(routes::INVITE, "abc"), json!({"password": "x"}), "- - y - - - - - -"),
        (Method::GET, routes::PING.into(), Value::Null, "- - y - - - - - -"),
        (Method::GET, routes::WATCH.into(), Value::Null, "- y y - - - - - -"),
        (
            Method::PUT,
            fill(routes::APP_SERVER, "app-1"),
            json!(server("app-1", &[])),
            "- y - - - - - - -",
        ),
        (
            Method::PUT,
            fill(routes::APP_SERVER, "other"),
            json!(server("other", &[])),
            "- - - - - - - - -",
        ),
        (Method::DELETE, fill(routes::APP_SERVER, "app-1"), Value::Null, "- y - - - - - - -"),
        (Method::DELETE, fill(routes::APP_SERVER, "other"), Value::Null, "- - - - - - - - -"),
        (Method::POST, routes::AUDIT.into(), Value::Null, "- y y - - - - - -"),
        (Method::GET, routes::AUDIT.into(), Value::Null, "- - - - y y - y -"),
        (Method::GET, routes::AUDIT_VERIFY.into(), Value::Null, "- - - - y y - y -"),
        (Method::GET, routes::STATUS.into(), Value::Null, "- y y y y y y y -"),
        (Method::GET, routes::APPS.into(), Value::Null, "- y y y y y y y -"),
        (Method::POST, routes::APP_SESSIONS.into(), open, "- - - - - y y y -"),
        (Method::DELETE, fill(routes::APP_SESSION, session), Value::Null, "- - - - - y y y -"),
        (Method::POST, routes::USERS.into(), user, "- - - - y - y - -"),
        (Method::POST, fill(routes::USER_RESET, "nobody"), json!({}), "- - - - y - y - -"),
        (Method::POST, routes::TOKENS.into(), token, "- - - - y - y - -"),
        (Method::POST, routes::RESOURCES.into(), role, "- - - - y - y - -"),
        (Method::GET, fill(routes::RESOURCES_OF_KIND, "user"), Value::Null, "- - - - y - y - -"),
        (Method::GET, fill(routes::RESOURCES_OF_KIND, "token"), Value::Null, "- - - - y - y - -"),
        (Method::GET, fill(routes::RESOURCES_OF_KIND, "app"), Value::Null, "- - - - y y y y -"),
        (
            Method::GET,
            routes::fill_all(routes::RESOURCE, &["role", "access"]),
            Value::Null,
            "- - - - y - y - -",
        ),
        (
            Method::DELETE,
            routes::fill_all(routes::RESOURCE, &["lock", "none"]),
            Value::Null,
            "- - - - y - y - -",
        ),
        (Method::GET, "/v1/nothing".into(), Value::Null, "y y y y y y y y y"),
    ];
    doors.into_iter().chain(views()).chain(certificates()).chain(identity()).collect()
}

/// Pages of the log and of lists, the overview, tokens of apps.
fn views() -> Vec<Door> {
    let fill = routes::fill;
    let session = "00000000000000000000000000000000";
    vec![
        (Method::GET, routes::APP_SERVERS.into(), Value::Null, "- y y y y y y y -"),
        (Method::GET, routes::AUDIT_PAGE.into(), Value::Null, "- - - - y y - y -"),
        (Method::GET, fill(routes::AUDIT_ENTRY, "1"), Value::Null, "- - - - y y - y -"),
        (Method::GET, routes::OVERVIEW.into(), Value::Null, "- - - - y y y y -"),
        (Method::GET, fill(routes::RESOURCE_PAGE, "user"), Value::Null, "- - - - y - y - -"),
        (Method::GET, fill(routes::RESOURCE_PAGE, "token"), Value::Null, "- - - - y - y - -"),
        (Method::GET, fill(routes::RESOURCE_PAGE, "app"), Value::Null, "- - - - y y y y -"),
        (Method::GET, routes::APP_PAGE.into(), Value::Null, "- y y y y y y y -"),
        (Method::POST, routes::APP_TOKENS.into(), json!({"session": session}), "- y - - - - - - -"),
        (Method::GET, routes::JWKS.into(), Value::Null, "- y y y y y y y -"),
    ]
}

/// The shelf of web certificates.
fn certificates() -> Vec<Door> {
    let fill = routes::fill;
    let host_name = "teleport.example.com";
    let pair = json!({"name": host_name, "certificate": "x", "key": "x"});
    vec![
        (Method::GET, routes::WEB_CERTIFICATES.into(), Value::Null, "- - y - - - - - -"),
        (Method::GET, fill(routes::WEB_CERTIFICATE, host_name), Value::Null, "- - y - - - - - -"),
        (Method::PUT, fill(routes::WEB_CERTIFICATE, host_name), pair.clone(), "- - y - - - - - -"),
        (
            Method::DELETE,
            fill(routes::WEB_CERTIFICATE, host_name),
            Value::Null,
            "- - y - - - - - -",
        ),
        (
            Method::POST,
            fill(routes::WEB_CERTIFICATE_LEASE, host_name),
            json!({"seconds": 1}),
            "- - y - - - - - -",
        ),
        (
            Method::GET,
            format!("{}?directory=x", routes::ACME_ACCOUNT),
            Value::Null,
            "- - y - - - - - -",
        ),
        (
            Method::PUT,
            routes::ACME_ACCOUNT.into(),
            json!({"directory": "x", "credentials": "x"}),
            "- - y - - - - - -",
        ),
        (Method::GET, fill(routes::ACME_ANSWER, host_name), Value::Null, "- - y - - - - - -"),
        (Method::PUT, fill(routes::ACME_ANSWER, host_name), pair, "- - y - - - - - -"),
        (Method::DELETE, fill(routes::ACME_ANSWER, host_name), Value::Null, "- - y - - - - - -"),
    ]
}

/// Web sessions, and what people do about their own accounts.
fn identity() -> Vec<Door> {
    let fill = routes::fill;
    let id = "00000000000000000000000000000000";
    let hash = "00".repeat(32);
    let session = json!({"token_hash": hash, "sealed": ""});
    let proof = json!({"proof": {"otp": {"code": "000000"}}});
    let code = json!({"challenge": "no hash", "purpose": "login"});
    vec![
        (Method::POST, routes::WEB_SESSIONS.into(), session, "- - - - - y y y -"),
        (Method::GET, routes::WEB_SESSIONS.into(), Value::Null, "- - - - - y y y -"),
        (
            Method::POST,
            routes::WEB_SESSION_LOOKUP.into(),
            json!({"token_hash": hash}),
            "- - y - - - - - -",
        ),
        (Method::PUT, fill(routes::WEB_SESSION_SEEN, id), Value::Null, "- - y - - - - - -"),
        (Method::DELETE, fill(routes::WEB_SESSION, id), Value::Null, "- - y - y - y - -"),
        (Method::GET, routes::APP_SESSIONS.into(), Value::Null, "- - - - - y y y -"),
        (Method::GET, routes::MFA_DEVICES.into(), Value::Null, "- - - - - y y y -"),
        (Method::POST, routes::MFA_DEVICES.into(), json!({"enrolment": "x"}), "- - - - - y y y -"),
        (Method::POST, fill(routes::MFA_DEVICE_REMOVE, id), proof, "- - - - - y y y -"),
        (Method::POST, routes::MFA_CHALLENGES.into(), Value::Null, "- - - - - y y y -"),
        (
            Method::POST,
            routes::MFA_ENROLMENTS.into(),
            json!({"kind": "totp", "name": "phone"}),
            "- - - - - y y y -",
        ),
        (Method::POST, routes::BROWSER_CODES.into(), code, "- - - - - y y y -"),
        (
            Method::GET,
            fill(routes::RESOURCES_OF_KIND, "cluster_auth_preference"),
            Value::Null,
            "- - - - y y y y -",
        ),
    ]
}

async fn callers(town: &Town) -> Vec<Option<Credential>> {
    let mut callers = vec![None];
    for (role, id) in
        [(SystemRole::App, "app-1"), (SystemRole::Proxy, "proxy-1"), (SystemRole::Auth, "auth-1")]
    {
        callers.push(Some(town.service(role, &host(id)).await));
    }
    callers.push(Some(town.admin_credential()));
    for (name, role) in [("ann", "access"), ("ed", "editor"), ("audrey", "auditor")] {
        town.enrol(name, &[role]).await;
        callers.push(Some(town.login(name).await.0));
    }
    callers.push(Some(app_certificate(town).await));
    callers
}

async fn app_certificate(town: &Town) -> Credential {
    town.announce_aws().await;
    let client = town.user("zoe", &["access", "editor"]).await;
    let key = KeyPair::generate().unwrap();
    let request = api::types::app_sessions::AppSessionRequest {
        app: access::AppName::parse("aws").unwrap(),
        aws_role: None,
        public_key: key.public_pem(),
        proof: None,
    };
    let reply = client.open_app_session(&request).await.unwrap();
    Credential::from_pem(&reply.certificate, key.secret_pem().expose()).unwrap()
}

#[tokio::test]
async fn each_door_lets_in_whom_the_table_says() {
    let town = Town::start().await;
    let callers = callers(&town).await;
    let mut wrong = Vec::new();
    for (method, path, body, row) in table() {
        let row: Vec<bool> = row.split(' ').map(|cell| cell == "y").collect();
        assert_eq!(row.len(), CALLERS.len(), "{method} {path}");
        let body = Some(body).filter(|body| !body.is_null()).map(|body| body.to_string());
        let body = body.unwrap_or_default();
        for ((caller, credential), may) in CALLERS.iter().zip(&callers).zip(row) {
            let reply = town.raw(credential.clone(), method.clone(), &path, body.clone()).await;
            let (status, words) = reply.unwrap();
            let is_right = is_refused(status, &words) != may && !status.is_server_error();
            let words: String = words.to_string().chars().take(200).collect();
            wrong.extend(
                (!is_right).then(|| format!("{method} {path} by {caller}: {status} {words}")),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Refused at the door, not by the rule behind it, which the caller did reach.
fn is_refused(status: StatusCode, words: &Value) -> bool {
    let message = words["error"]["message"].as_str().unwrap_or_default();
    let is_rule = message.starts_with("the token is not known");
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) && !is_rule
}

#[tokio::test]
async fn certificates_of_another_cluster_and_of_nobody_get_no_connection() {
    let (town, other) = (Town::start().await, Town::start().await);
    let foreign = other.admin_credential();
    assert!(town.raw(Some(foreign), Method::GET, routes::STATUS, "").await.is_none());
    let key = KeyPair::generate().unwrap();
    let rogue =
        pki::Authority::generate(AuthorityKind::Host, town.handle.cluster(), town.hands.now());
    let claims = access::HostClaims {
        host_id: host("rogue"),
        cluster: town.handle.cluster().clone(),
        system_roles: vec![SystemRole::Admin],
        node_name: "rogue".into(),
    };
    let rogue = rogue.unwrap();
    let validity = pki::Validity { now: town.hands.now(), not_after: rogue.not_after() };
    let certificate = rogue.issue_host(&claims, &key.public(), &[], validity).unwrap();
    let credential = Credential::new(certificate, key).unwrap();
    assert!(town.raw(Some(credential), Method::GET, routes::STATUS, "").await.is_none());
    assert!(town.raw(None, Method::GET, routes::STATUS, "").await.is_some(), "the town is there");
}

#[tokio::test]
async fn an_expired_certificate_is_refused_on_an_old_connection_and_gets_no_new_one() {
    let town = Town::start().await;
    let client = town.user("ann", &["access"]).await;
    client.status().await.unwrap();
    town.hands.turn(std::time::Duration::from_secs(31 * 3_600));
    let error = client.status().await.unwrap_err();
    assert_eq!(error.status(), Some(401), "{error}");
    let (credential, _) = {
        let old = town.hands.clone();
        let login = town.login("ann").await;
        old.turn(std::time::Duration::from_secs(31 * 3_600));
        login
    };
    assert!(town.raw(Some(credential), Method::GET, routes::STATUS, "").await.is_none());
}

#[tokio::test]
async fn a_denial_is_recorded_with_the_name_of_the_denied() {
    let town = Town::start().await;
    let client = town.user("ann", &["access"]).await;
    let error = client.resources(api::resource::Kind::User).await.unwrap_err();
    assert_eq!(error.status(), Some(403));
    let events = town.events("auth").await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["user"], "ann");
    assert_eq!(events[0]["code"], "T3007W");
}

#[tokio::test]
async fn a_locked_user_may_do_nothing_more_at_any_door_that_asks_the_rules() {
    let town = Town::start().await;
    let client = town.user("ed", &["editor"]).await;
    client.resources(api::resource::Kind::User).await.unwrap();
    let lock = access::Lock::new(
        access::LockName::parse("l1").unwrap(),
        access::LockTarget::user(access::UserName::parse("ed").unwrap()),
    );
    super::resources::put(&town.admin(), api::Resource::Lock(Box::new(lock))).await.unwrap();
    let error = client.resources(api::resource::Kind::User).await.unwrap_err();
    assert_eq!(error.status(), Some(403));
    assert!(error.to_string().contains("lock"), "{error}");
}

#[tokio::test]
async fn a_locked_host_may_still_report_but_nothing_else() {
    let town = Town::start().await;
    let agent = town.announce_aws().await;
    let target = access::LockTarget::server(host("agent-1"));
    let lock = access::Lock::new(access::LockName::parse("l1").unwrap(), target);
    super::resources::put(&town.admin(), api::Resource::Lock(Box::new(lock))).await.unwrap();
    let error = agent.announce(&server("agent-1", &["aws"])).await.unwrap_err();
    assert_eq!(error.status(), Some(403), "{error}");
    let error = api::watch::Watch::open(&agent).await.err().unwrap();
    assert_eq!(error.status(), Some(403), "{error}");
    agent.store_audit(bytes::Bytes::new()).await.unwrap();
    town.agent("agent-2").await.announce(&server("agent-2", &["aws"])).await.unwrap();
}
