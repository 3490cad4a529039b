//! The pages of the signed-in: that nothing of others is taken for markup, that mistakes stand at
//! their line, that each is hardened.

use api::error::ErrorBody;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::browser::{Browser, place};
use crate::cluster::Cluster;

/// What should never be taken for markup, in any place.
const HOSTILE: &str = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'";

fn role(name: &str, rules: Value) -> Value {
    json!({"kind": "role", "version": "v7", "metadata": {"name": name, "description": HOSTILE, "revision": "1"},
           "spec": {"allow": {"app_labels": {"*": "*"}, "aws_role_arns": [HOSTILE], "rules": rules}}})
}

/// A cluster whose admin is signed in, and whose every text is hostile.
async fn cluster() -> (Cluster, Browser) {
    let cluster = Cluster::start().await;
    cluster.add_admin("alice");
    let auth = &cluster.auth;
    let everything = json!([{"resources": ["*"], "verbs": ["*"]}]);
    let user = json!({"kind": "user", "version": "v2", "metadata": {"name": "bob", "revision": "1"},
        "spec": {"roles": ["access"], "traits": {"aws_role_arns": [HOSTILE], "<b>": [HOSTILE]},
                 "status": {"is_locked": true, "locked_message": HOSTILE}, "created_by": {"user": {"name": HOSTILE}}}});
    let token = json!({"kind": "token", "version": "v2", "metadata": {"name": "secret-token-0123456789"},
        "spec": {"roles": ["App"], "join_method": "token"}});
    let lock = json!({"kind": "lock", "version": "v2", "metadata": {"name": "lock-1"},
        "spec": {"target": {"user": "bob"}, "message": HOSTILE, "created_by": HOSTILE}});
    let app = json!({"kind": "app", "version": "v3", "metadata": {"name": "aws", "description": HOSTILE, "labels": {"env": HOSTILE}},
        "spec": {"uri": "https://console.aws.amazon.com/", "public_addr": HOSTILE}});
    let page = |item: Value| json!({"items": [item], "total": 1});
    auth.answer("GET /v1/resource-pages/role", page(role("dev", everything)));
    auth.answer("GET /v1/resource-pages/user", page(user.clone()));
    auth.answer("GET /v1/resource-pages/token", page(token));
    auth.answer("GET /v1/resource-pages/lock", page(lock));
    auth.answer("GET /v1/resources/user/bob", user);
    auth.answer("GET /v1/resources/role/dev", role("dev", json!([])));
    auth.answer("GET /v1/app-pages", json!({"apps": [app.clone()], "total": 1}));
    auth.answer(
        "GET /v1/app-servers",
        json!([{"host_id": "agent-1", "hostname": HOSTILE, "version": HOSTILE, "apps": [app]}]),
    );
    auth.answer(
        "GET /v1/mfa/devices",
        json!([{"id": "1", "name": HOSTILE, "kind": "totp", "added": "2026-11-22T08:00:00Z"}]),
    );
    auth.answer(
        "POST /v1/mfa/challenges",
        json!({"id": "c", "otp": true, "webauthn": {"publicKey": {"challenge": HOSTILE}}}),
    );
    auth.answer("GET /v1/web-sessions", json!([{
        "id": "0".repeat(32), "user": "alice", "created": "2026-11-22T08:00:00Z", "expires": "2027-11-22T08:00:00Z",
        "last_seen": "2026-11-22T08:00:00Z", "idle_timeout_seconds": 60, "user_agent": HOSTILE, "remote_addr": HOSTILE}]));
    auth.answer("GET /v1/app-sessions", json!([]));
    let row = json!({"seq": 7, "hash": "00", "event": {
        "event": "app.session.dynamodb.request", "code": "TDY01I", "uid": "00000000-0000-0000-0000-000000000001",
        "time": "2026-11-22T08:00:00.120Z", "cluster_name": "test.example.com", "ei": 0, "user": HOSTILE, "<script>": HOSTILE}});
    auth.answer("GET /v1/audit/page", json!({"rows": [row], "newest": 7, "has_more": false}));
    auth.answer(
        "GET /v1/audit/entries/7",
        json!({"seq": 7, "prev": "00", "hash": "01", "holds": true, "event": row["event"]}),
    );
    auth.answer("GET /v1/overview", json!({
        "at": "2026-11-22T08:00:00Z",
        "counts": {"users": 1, "users_in": 1, "web_sessions": 1, "app_sessions": 0, "agents": 1, "apps": 1, "locks": 1},
        "present": [{"user": "bob", "web_sessions": 1, "app_sessions": 0, "until": "2027-11-22T08:00:00Z"}],
        "activity": {"step_seconds": 60, "requests": [{"at": "2026-11-22T07:59:00Z", "ok": 3, "denied": 1, "failed": 2}],
                     "total": {"ok": 3, "denied": 1, "failed": 2}, "failures": [row]}}));
    *auth.people.roles_allow.lock().unwrap() = vec![
        "arn:aws:iam::123456789012:role/Reader".to_owned(),
        "arn:aws:iam::123456789012:role/Writer".to_owned(),
        HOSTILE.to_owned(),
    ];
    let browser = Browser::signed_in(&cluster, "alice").await;
    (cluster, browser)
}

const PAGES: &[&str] = &[
    "/web/apps",
    "/web/apps?search=%22%3E%3Cscript%3E",
    "/web/apps/aws",
    "/web/account",
    "/web/account/password",
    "/web/account/factors/new",
    "/web/account/factors/1/remove",
    "/web/terminal",
    "/web/overview",
    "/web/users",
    "/web/users?search=%22%3E%3Cscript%3E&after=%22%3E%3Cscript%3E",
    "/web/users/new",
    "/web/users/bob",
    "/web/users/bob/edit",
    "/web/users/bob/yaml",
    "/web/users/bob/reset",
    "/web/users/bob/delete",
    "/web/roles",
    "/web/roles/new",
    "/web/roles/dev",
    "/web/roles/dev/delete",
    "/web/tokens",
    "/web/tokens/new",
    "/web/agents",
    "/web/agents/agent-1",
    "/web/locks",
    "/web/locks/new?user=%22%3E%3Cscript%3E",
    "/web/audit",
    "/web/audit?user=%22%3E%3Cscript%3E&event=%22%3E%3Cscript%3E&table=%22%3E%3Cscript%3E",
    "/web/audit/7",
    "/web/audit/follow?after=1",
    "/web/tsh?purpose=mfa&port=34567&challenge=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA&state=0123456789abcdef",
];

#[tokio::test]
async fn nothing_of_others_is_taken_for_markup() {
    let (cluster, mut browser) = cluster().await;
    for path in PAGES {
        let page = browser.get(&cluster, path).await;
        assert_eq!(page.status(), StatusCode::OK, "{path}: {}", page.body());
        inert(path, &page);
    }
    for path in [
        "/web/users/%22%3E%3Cscript%3E",
        "/web/apps/%3Cscript%3E",
        "/web/%3Cscript%3E",
        "/web/audit?outcome=%3Cscript%3E",
        "/web/tsh?purpose=%3Cscript%3E",
    ] {
        let page = browser.get(&cluster, path).await;
        assert!(page.status().is_client_error(), "{path}");
        inert(path, &page);
    }
}

/// No script but files of ours, no style, no handler: what the policy of the page allows.
fn inert(path: &str, page: &Response<String>) {
    let body = page.body();
    assert!(!body.contains("<script>"), "{path}: {body}");
    assert!(!body.contains("<img src=x"), "{path}");
    for script in body.split("<script").skip(1) {
        assert!(script.starts_with(" src=\"/web/assets/"), "{path}: {script}");
    }
    for inline in [" style=\"", " onclick=", " onload=", " onsubmit=", "javascript:", "<style"] {
        assert!(!body.contains(inline), "{path}: {inline}");
    }
    let policy = page.headers().get("content-security-policy").unwrap().to_str().unwrap();
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(part), "{path}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.headers().get("cache-control").unwrap(), "no-store", "{path}");
}

/// An address on a page, if it is one of ours that can be looked at as it is.
fn ours(address: &str) -> Option<String> {
    let plain = address.replace("&#38;", "&").replace("&amp;", "&");
    let plain = plain.split('#').next().unwrap().to_owned();
    let is_other = ["/launch/", "/export", "%22"].iter().any(|part| plain.contains(part));
    (plain.starts_with("/web") && !is_other).then_some(plain)
}

#[tokio::test]
async fn every_address_on_a_page_leads_somewhere() {
    let (cluster, mut browser) = cluster().await;
    let mut looked_at = std::collections::BTreeMap::new();
    for path in PAGES {
        let page = browser.get(&cluster, path).await;
        let addresses = page.body().split("href=\"").skip(1);
        let addresses = addresses.filter_map(|rest| rest.split('"').next());
        looked_at.extend(addresses.filter_map(ours).map(|address| (address, *path)));
    }
    // Those that the stand-in has no answer for.
    let absent = ["/web/audit/6", "/web/audit/8", "/web/roles/", "/web/users/"];
    for (address, path) in &looked_at {
        let answer = browser.get(&cluster, address).await;
        let is_known = answer.status() != StatusCode::NOT_FOUND
            || absent.iter().any(|absent| address.starts_with(absent));
        assert!(is_known, "{address} on {path}");
    }
    assert!(looked_at.len() > 25, "{looked_at:?}");
}

#[tokio::test]
async fn only_roles_that_the_user_may_use_are_offered() {
    let (cluster, mut browser) = cluster().await;
    cluster.allow("alice", &["arn:aws:iam::123456789012:role/Reader"]);
    let page = browser.get(&cluster, "/web/apps/aws").await;
    assert!(
        page.body().contains("value=\"arn:aws:iam::123456789012:role/Reader\""),
        "{}",
        page.body()
    );
    assert!(!page.body().contains("value=\"arn:aws:iam::123456789012:role/Writer\""));
    cluster.allow("alice", &[]);
    let none = async {
        while !browser
            .clone()
            .get(&cluster, "/web/apps/aws")
            .await
            .body()
            .contains("You may not use any IAM role here")
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::cluster::PATIENCE, none).await.unwrap();
}

#[tokio::test]
async fn the_navigation_shows_what_the_user_may_see() {
    let (cluster, mut browser) = cluster().await;
    let page = browser.get(&cluster, "/web/apps").await;
    assert!(page.body().contains("href=\"/web/users\""));
    cluster.allow("alice", &[]);
    let gone = async {
        while browser
            .clone()
            .get(&cluster, "/web/apps")
            .await
            .body()
            .contains("href=\"/web/users\"")
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::cluster::PATIENCE, gone).await.unwrap();
}

const ROLE: &str = "kind: role\nversion: v7\nmetadata:\n  name: dev\nspec:\n  allow:\n    app_labels: {'*': '*'}\n";

#[tokio::test]
async fn a_mistake_in_a_role_stands_at_its_line_and_nothing_is_stored() {
    let (cluster, mut browser) = cluster().await;
    for (yaml, line, words) in [
        (ROLE.replace("app_labels", "app_label"), 7, "did you mean <code>app_labels</code>?"),
        (ROLE.replace("version: v7", "version: v99"), 2, ""),
        (ROLE.replace("name: dev", "name: 'no spaces'"), 4, ""),
        (
            format!(
                "{ROLE}    rules: [{{resources: [user], verbs: [list], where: 'nonsense('}}]\n"
            ),
            8,
            "where",
        ),
    ] {
        let page = browser
            .post(&cluster, "/web/roles/new", &[("yaml", &yaml.replace('\n', "\r\n"))])
            .await;
        assert_eq!(page.status(), StatusCode::UNPROCESSABLE_ENTITY, "{}", page.body());
        let at = format!("<strong>Line {line}:</strong>");
        assert!(
            page.body().contains(&at) && page.body().contains(words),
            "{at}, {words}: {}",
            page.body()
        );
        assert!(page.body().contains(&format!("data-bad=\"{line}\"")));
        assert!(page.body().contains("kind: role"), "what was typed is still there");
    }
    assert!(cluster.auth.asked("POST /v1/resources").is_empty());
    cluster.auth.answer("POST /v1/resources", json!({"outcome": "created", "warnings": []}));
    let saved = browser.post(&cluster, "/web/roles/new", &[("yaml", ROLE)]).await;
    assert_eq!(place(&saved), "/web/roles?done=saved", "{}", saved.body());
    let asked = &cluster.auth.asked("POST /v1/resources")[0];
    assert_eq!(asked.body["mode"], "create");
    assert_eq!(
        (asked.by.as_deref(), asked.body["resource"]["metadata"]["name"].as_str()),
        (Some("alice"), Some("dev"))
    );
}

#[tokio::test]
async fn what_the_auth_service_refuses_is_said_on_the_page() {
    let (cluster, mut browser) = cluster().await;
    let words = ErrorBody::new("role \"dev\" has been changed meanwhile", None);
    cluster.auth.answer_with(
        "POST /v1/resources",
        StatusCode::CONFLICT,
        serde_json::to_value(words).unwrap(),
    );
    let page = browser.post(&cluster, "/web/roles/dev", &[("yaml", ROLE)]).await;
    assert_eq!(page.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        page.body().contains("has been changed meanwhile") && page.body().contains("open it again"),
        "{}",
        page.body()
    );
    let words = ErrorBody::new("you may not list users", None);
    cluster.auth.answer_with(
        "GET /v1/resource-pages/user",
        StatusCode::FORBIDDEN,
        serde_json::to_value(words).unwrap(),
    );
    let page = browser.get(&cluster, "/web/users").await;
    assert_eq!(page.status(), StatusCode::FORBIDDEN);
    assert!(
        page.body().contains("You may not list users.") && page.body().contains("class=\"shell\""),
        "{}",
        page.body()
    );
}

#[tokio::test]
async fn a_new_user_has_what_the_form_says() {
    let (cluster, mut browser) = cluster().await;
    cluster.auth.answer("POST /v1/users", json!({"user": "carol", "kind": "invite", "url": "https://proxy.example.com/web/invite/abc", "expires": "2027-01-15T09:00:00Z"}));
    let none = browser.post(&cluster, "/web/users/new", &[("name", "carol")]).await;
    assert_eq!(none.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(none.body().contains("Choose at least one role"), "{}", none.body());
    let fields = [
        ("name", "carol"),
        ("roles", "dev"),
        ("roles", "access"),
        ("arns", "arn:aws:iam::123456789012:role/A\r\narn:aws:iam::123456789012:role/B"),
        ("ttl", "28800"),
    ];
    let page = browser.post(&cluster, "/web/users/new", &fields).await;
    assert!(page.body().contains("https://proxy.example.com/web/invite/abc"), "{}", page.body());
    let asked = cluster.auth.asked("POST /v1/users").pop().unwrap();
    assert_eq!(
        asked.body,
        json!({"name": "carol", "roles": ["dev", "access"], "ttl_seconds": 28800,
        "traits": {"aws_role_arns": ["arn:aws:iam::123456789012:role/A", "arn:aws:iam::123456789012:role/B"]}})
    );
}

#[tokio::test]
async fn a_token_is_shown_once_and_stays_out_of_addresses() {
    let (cluster, mut browser) = cluster().await;
    let list = browser.get(&cluster, "/web/tokens").await;
    assert!(!list.body().contains("/web/tokens/secret"), "{}", list.body());
    let visible = list.body().replace("value=\"secret-token-0123456789\"", "");
    assert!(
        !visible.contains("secret-token-0123456789") && visible.contains("••••••"),
        "{visible}"
    );
    cluster.auth.answer("DELETE /v1/resources/token/secret-token-0123456789", json!(null));
    let gone =
        browser.post(&cluster, "/web/tokens/delete", &[("name", "secret-token-0123456789")]).await;
    assert_eq!(place(&gone), "/web/tokens?done=deleted");
    let token = json!({"kind": "token", "version": "v2", "metadata": {"name": "new-secret"}, "spec": {"roles": ["App"], "join_method": "token"}});
    cluster.auth.answer("POST /v1/tokens", json!({"token": token, "ca_pins": ["sha256:00"]}));
    let fields = [
        ("role", "app"),
        ("name", "grafana"),
        ("uri", "http://localhost:3000"),
        ("labels", "env=dev"),
        ("ttl", "1800"),
    ];
    let page = browser.post(&cluster, "/web/tokens/new", &fields).await;
    for part in [
        "teleport app start",
        "--token=new-secret",
        "--auth-server=proxy.example.com:443",
        "--name=grafana",
        "token_name: new-secret",
        "--labels=env=dev",
    ] {
        assert!(page.body().contains(part), "{part}: {}", page.body());
    }
}

#[tokio::test]
async fn an_export_goes_through_the_whole_log() {
    let (cluster, mut browser) = cluster().await;
    let lines = browser.get(&cluster, "/web/audit/export?format=jsonl&user=bob").await;
    assert_eq!(lines.headers().get("content-type").unwrap(), "application/x-ndjson; charset=utf-8");
    let line: Value = serde_json::from_str(lines.body().trim()).unwrap();
    assert_eq!(line["user"], HOSTILE);
    let asked = cluster.auth.asked("GET /v1/audit/page").pop().unwrap();
    assert!(
        asked.what.contains("after=0")
            && asked.what.contains("user=bob")
            && asked.what.contains("limit=500"),
        "{}",
        asked.what
    );
    let table = browser.get(&cluster, "/web/audit/export?format=csv").await;
    assert!(table.body().starts_with("seq,time,"), "{}", table.body());
    assert!(
        table
            .headers()
            .get("content-disposition")
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("attachment")
    );
    let words = ErrorBody::new("you may not read the audit log", None);
    cluster.auth.answer_with(
        "GET /v1/audit/page",
        StatusCode::FORBIDDEN,
        serde_json::to_value(words).unwrap(),
    );
    let refused = browser.get(&cluster, "/web/audit/export?format=csv").await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn tsh_is_answered_on_the_loopback_alone() {
    let (cluster, mut browser) = cluster().await;
    cluster.auth.answer("POST /v1/browser-codes", json!({"code": "one-time"}));
    let challenge = "A".repeat(43);
    let mut fields = vec![
        ("purpose", "mfa"),
        ("port", "34567"),
        ("code_challenge", challenge.as_str()),
        ("state", "0123456789abcdef"),
    ];
    let without = browser.post(&cluster, "/web/tsh", &fields).await;
    assert_eq!(without.status(), StatusCode::UNPROCESSABLE_ENTITY, "a proof is needed");
    assert!(cluster.auth.asked("POST /v1/browser-codes").is_empty());
    fields.extend([("challenge", "c"), ("code", "123456")]);
    let answer = browser.post(&cluster, "/web/tsh", &fields).await;
    let to = answer.headers().get("refresh").unwrap().to_str().unwrap();
    assert_eq!(to, "0; url=http://127.0.0.1:34567/callback?code=one-time&state=0123456789abcdef");
    assert!(!answer.body().contains("one-time"));
    fields[1] = ("port", "34567@evil.example");
    assert_eq!(browser.post(&cluster, "/web/tsh", &fields).await.status(), StatusCode::BAD_REQUEST);
}
