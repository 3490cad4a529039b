//! Browser sessions: how they begin, what their cookies are, how they end, and forms from elsewhere.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;

use crate::browser::{Browser, ORIGIN, place};
use crate::cluster::{Cluster, until};
use crate::people::PASSWORD;
use crate::stand_in::CODE;
use crate::web::send;

const SESSION: &str = "__Host-causeway_session";

async fn cluster() -> Cluster {
    let cluster = Cluster::start().await;
    cluster.add_user("alice", false);
    let app = access::App::new("aws".parse().unwrap(), "https://console.aws.amazon.com/");
    cluster.auth.answer("GET /v1/app-pages", json!({"apps": [app], "total": 1}));
    cluster
}

#[tokio::test]
async fn password_and_code_begin_a_session_that_acts_as_the_user() {
    let cluster = cluster().await;
    let mut browser = Browser::signed_in(&cluster, "alice").await;
    let page = browser.get(&cluster, "/web/apps").await;
    assert_eq!(page.status(), StatusCode::OK, "{}", page.body());
    assert!(page.body().contains(">aws</h2>"), "{}", page.body());
    let asked = cluster.auth.asked("GET /v1/app-pages");
    assert_eq!(asked.last().unwrap().by.as_deref(), Some("alice"));
}

#[tokio::test]
async fn a_passkey_does_in_place_of_a_code() {
    let cluster = cluster().await;
    let mut browser = Browser::default();
    browser.get(&cluster, "/web/login").await;
    browser.post(&cluster, "/web/login", &[("user", "alice"), ("password", PASSWORD)]).await;
    let page = browser.get(&cluster, "/web/login/factor").await;
    assert!(page.body().contains("data-passkey=\"get\""), "{}", page.body());
    let wrong = [("credential", "{\"id\":\"wrong\"}")];
    let answer = browser.post(&cluster, "/web/login/factor", &wrong).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let right = [("credential", "{\"id\":\"right\"}")];
    let answer = browser.post(&cluster, "/web/login/factor", &right).await;
    assert_eq!(place(&answer), "/web/apps");
}

#[tokio::test]
async fn a_wrong_password_or_code_begins_nothing_and_is_not_repeated() {
    let cluster = cluster().await;
    let mut browser = Browser::default();
    browser.get(&cluster, "/web/login").await;
    let fields = [("user", "alice"), ("password", "hunter2hunter2")];
    let answer = browser.post(&cluster, "/web/login", &fields).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(answer.body().contains("role=\"alert\"") && answer.body().contains("value=\"alice\""));
    assert!(!answer.body().contains("hunter2"), "{}", answer.body());
    let answer = browser.post(&cluster, "/web/login/factor", &[("code", CODE)]).await;
    assert_eq!(place(&answer), "/web/login?done=too-late", "a code alone begins nothing");
    browser.post(&cluster, "/web/login", &[("user", "alice"), ("password", PASSWORD)]).await;
    let answer = browser.post(&cluster, "/web/login/factor", &[("code", "654321")]).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(!browser.cookies.contains_key(SESSION));
    assert!(cluster.auth.web_sessions().is_empty());
}

#[tokio::test]
async fn cookies_are_closed_to_scripts_and_to_other_hosts() {
    let cluster = cluster().await;
    let mut browser = Browser::default();
    let mut lines = Vec::new();
    let mut note = |answer: &http::Response<String>| {
        let all = answer.headers().get_all("set-cookie").iter();
        lines.extend(all.map(|line| line.to_str().unwrap().to_owned()));
    };
    note(&browser.get(&cluster, "/web/login").await);
    let fields = [("user", "alice"), ("password", PASSWORD)];
    note(&browser.post(&cluster, "/web/login", &fields).await);
    note(&browser.post(&cluster, "/web/login/factor", &[("code", CODE)]).await);
    note(&browser.post(&cluster, "/web/logout", &[]).await);
    assert!(lines.len() >= 5, "{lines:?}");
    for line in &lines {
        assert!(line.starts_with("__Host-causeway_"), "{line}");
        assert!(line.contains("; Path=/; Secure; HttpOnly; SameSite=Lax"), "{line}");
        assert!(!line.to_lowercase().contains("domain"), "{line}");
    }
    for name in ["csrf", "sign_in", "session"] {
        assert!(lines.iter().any(|line| line.starts_with(&format!("__Host-causeway_{name}="))));
    }
}

#[tokio::test]
async fn neither_the_hash_nor_what_is_kept_opens_a_session() {
    let cluster = cluster().await;
    let browser = Browser::signed_in(&cluster, "alice").await;
    let token = browser.cookies.get(SESSION).unwrap();
    let sessions = cluster.auth.people.sessions.lock().unwrap();
    let (request, _) = sessions.values().next().unwrap();
    let kept = serde_json::to_string(request).unwrap();
    assert!(!kept.contains(token.as_str()));
    assert!(!request.sealed.contains("PRIVATE") && !kept.contains("BEGIN"), "{kept}");
}

#[tokio::test]
async fn another_proxy_resumes_the_session_from_the_cookie() {
    let cluster = cluster().await;
    let mut browser = Browser::signed_in(&cluster, "alice").await;
    let cluster = cluster.restart_proxy().await;
    let page = browser.get(&cluster, "/web/apps").await;
    assert_eq!(page.status(), StatusCode::OK, "{}", page.body());
    assert_eq!(
        cluster.auth.asked("GET /v1/app-pages").last().unwrap().by.as_deref(),
        Some("alice")
    );
}

#[tokio::test]
async fn a_stolen_cookie_is_worth_nothing_after_the_sign_out() {
    let cluster = cluster().await;
    let mut browser = Browser::signed_in(&cluster, "alice").await;
    browser.get(&cluster, "/web/apps").await;
    let mut thief = browser.clone();
    assert_eq!(thief.get(&cluster, "/web/apps").await.status(), StatusCode::OK);
    let answer = browser.post(&cluster, "/web/logout", &[]).await;
    assert_eq!(place(&answer), "/web/login?done=signed-out");
    assert!(!browser.cookies.contains_key(SESSION));
    assert_eq!(place(&thief.get(&cluster, "/web/apps").await), "/web/login");
    assert!(cluster.auth.web_sessions().is_empty());
}

#[tokio::test]
async fn a_session_that_is_ended_elsewhere_is_over_here_at_once() {
    let cluster = cluster().await;
    let mut browser = Browser::signed_in(&cluster, "alice").await;
    assert_eq!(browser.get(&cluster, "/web/apps").await.status(), StatusCode::OK);
    let id = cluster.auth.web_sessions().remove(0);
    cluster.auth.end_web_session(&id);
    let over = async {
        while place(&browser.clone().get(&cluster, "/web/apps").await).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(1), over).await.expect("within a second");
}

#[tokio::test]
async fn a_session_ends_with_its_time() {
    let cluster = cluster().await;
    let mut browser = Browser::signed_in(&cluster, "alice").await;
    assert_eq!(browser.get(&cluster, "/web/apps").await.status(), StatusCode::OK);
    cluster.clock.turn(Duration::from_secs(9 * 3600));
    cluster.auth.people.sessions.lock().unwrap().clear();
    assert_eq!(place(&browser.get(&cluster, "/web/apps").await), "/web/login");
}

#[tokio::test]
async fn without_the_auth_service_nobody_is_signed_out_and_nothing_is_shown() {
    let cluster = cluster().await;
    let mut browser = Browser::signed_in(&cluster, "alice").await;
    browser.get(&cluster, "/web/apps").await;
    cluster.auth.vanish().await;
    until("the proxy misses it", || !cluster.proxy.health().follows_auth).await;
    let answer = browser.get(&cluster, "/web/apps").await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{}", answer.body());
    assert!(answer.body().contains("Auth Service cannot be reached"), "{}", answer.body());
    assert!(browser.cookies.contains_key(SESSION));
}

#[tokio::test]
async fn whoever_is_not_signed_in_is_led_to_the_sign_in_and_back() {
    let cluster = cluster().await;
    let mut browser = Browser::default();
    let answer = browser.get(&cluster, "/web/audit?user=alice&outcome=denied").await;
    assert_eq!(place(&answer), "/web/login?next=%2Fweb%2Faudit%3Fuser%3Dalice%26outcome%3Ddenied");
    let answer = browser.sign_in(&cluster, "alice", "/web/audit?user=alice&outcome=denied").await;
    assert_eq!(place(&answer), "/web/audit?user=alice&outcome=denied");
    assert_eq!(place(&browser.get(&cluster, "/web/login?next=/web/users").await), "/web/users");
    assert_eq!(place(&browser.get(&cluster, "/web").await), "/web/apps");
}

#[tokio::test]
async fn nobody_is_led_to_another_site() {
    let cluster = cluster().await;
    for next in [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/web//evil.example",
        "/web/..//evil.example",
        "/web/x\r\nlocation: https://evil.example",
        "javascript:alert(1)",
        "/web/logout",
    ] {
        let mut browser = Browser::default();
        let answer = browser.sign_in(&cluster, "alice", next).await;
        assert_eq!(place(&answer), "/web/apps", "{next}");
    }
}

#[tokio::test]
async fn a_form_counts_only_from_our_own_pages() {
    let cluster = cluster().await;
    let browser = Browser::signed_in(&cluster, "alice").await;
    let csrf = browser.cookies.get("__Host-causeway_csrf").unwrap().clone();
    let own = ("origin", ORIGIN);
    let right: &[(&str, &str)] = &[("csrf", &csrf)];
    type Pairs<'a> = &'a [(&'a str, &'a str)];
    let cases: [(Pairs<'_>, Pairs<'_>); 9] = [
        (right, &[]),
        (right, &[("origin", "https://evil.example")]),
        (right, &[("origin", "null")]),
        (right, &[("origin", "https://aws.proxy.example.com")]),
        (right, &[own, ("sec-fetch-site", "cross-site")]),
        (right, &[own, ("sec-fetch-site", "same-site")]),
        (&[], &[own]),
        (&[("csrf", "")], &[own]),
        (&[("csrf", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")], &[own]),
    ];
    for path in ["/web/logout", "/web/tokens/delete", "/web/users/bob/delete", "/web/nothing"] {
        for (fields, headers) in cases {
            let answer = browser.clone().post_raw(&cluster, path, fields, headers).await;
            let status = answer.status();
            let is_refused = status == StatusCode::FORBIDDEN || path == "/web/nothing";
            assert!(
                is_refused && status != StatusCode::OK,
                "{path} {fields:?} {headers:?}: {status}"
            );
        }
    }
    assert_eq!(cluster.auth.web_sessions().len(), 1);
    assert!(cluster.auth.asked("DELETE").is_empty());
    let answer = browser.clone().post_raw(&cluster, "/web/logout", right, &[own]).await;
    assert_eq!(place(&answer), "/web/login?done=signed-out");
}

#[tokio::test]
async fn a_form_without_the_cookie_or_with_two_of_them_is_refused() {
    let cluster = cluster().await;
    let browser = Browser::signed_in(&cluster, "alice").await;
    let csrf = browser.cookies.get("__Host-causeway_csrf").unwrap();
    let session = browser.cookies.get(SESSION).unwrap();
    let body = format!("csrf={csrf}");
    for cookies in [
        format!("{SESSION}={session}"),
        format!("{SESSION}={session}; __Host-causeway_csrf={csrf}; __Host-causeway_csrf={csrf}"),
        format!("{SESSION}={session}; __Host-causeway_csrf=short"),
        format!("{SESSION}={session}; causeway_csrf={csrf}"),
    ] {
        let headers = [
            ("cookie", cookies.as_str()),
            ("origin", ORIGIN),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let answer = send(&cluster, (Method::POST, "/web/logout"), &headers, &body).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{cookies}");
    }
    assert_eq!(cluster.auth.web_sessions().len(), 1);
}

#[tokio::test]
async fn other_bodies_than_forms_and_too_large_ones_are_refused() {
    let cluster = cluster().await;
    let browser = Browser::signed_in(&cluster, "alice").await;
    let cookies: Vec<String> =
        browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let cookies = cookies.join("; ");
    let csrf = browser.cookies.get("__Host-causeway_csrf").unwrap();
    let json = format!("{{\"csrf\":\"{csrf}\"}}");
    let large = format!("csrf={csrf}&yaml={}", "x".repeat(600 * 1024));
    for (kind, body, status) in [
        ("application/json", json.as_str(), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("text/plain", json.as_str(), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("application/x-www-form-urlencoded", large.as_str(), StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let headers = [("cookie", cookies.as_str()), ("origin", ORIGIN), ("content-type", kind)];
        let answer = send(&cluster, (Method::POST, "/web/roles/new"), &headers, body).await;
        assert_eq!(answer.status(), status, "{kind}");
    }
}

#[tokio::test]
async fn a_token_that_is_none_is_not_asked_for() {
    let cluster = cluster().await;
    for token in ["", "x", &"a".repeat(500), "../../../etc/passwd"] {
        let mut browser = Browser::default();
        browser.cookies.insert(SESSION.to_owned(), token.to_owned());
        let answer = browser.get(&cluster, "/web/apps").await;
        assert!(place(&answer).starts_with("/web/login") || answer.status() == 400, "{token}");
    }
    let mut browser = Browser::default();
    browser.cookies.insert(SESSION.to_owned(), "A".repeat(43));
    assert_eq!(place(&browser.get(&cluster, "/web/apps").await), "/web/login");
}
