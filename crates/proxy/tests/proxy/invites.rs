//! Invite and reset links: a password, then a second factor.

use api::types::invites::{Invite, InviteKind, PasskeyOffer};
use http::{Response, StatusCode};

use crate::browser::{Browser, place};
use crate::cluster::Cluster;
use crate::people::PASSWORD;
use crate::stand_in::{CODE, TOKEN, invite};
use crate::web::get;

fn link() -> String {
    format!("/web/invite/{TOKEN}")
}

fn factor() -> String {
    format!("{}/factor", link())
}

async fn opened(cluster: &Cluster) -> Browser {
    let mut browser = Browser::default();
    assert_eq!(browser.get(cluster, &link()).await.status(), StatusCode::OK);
    browser
}

/// A browser that has chosen a good password.
async fn chosen(cluster: &Cluster) -> Browser {
    let mut browser = opened(cluster).await;
    let fields = [("password", PASSWORD), ("confirm", PASSWORD)];
    let answer = browser.post(cluster, &link(), &fields).await;
    assert_eq!(place(&answer), factor(), "{}", answer.body());
    browser
}

fn mistake<'a>(page: &'a Response<String>, id: &str) -> &'a str {
    let rest = page.body().split(&format!("id=\"{id}\"")).nth(1).unwrap_or_default();
    rest.split('<').next().unwrap().split('>').nth(1).unwrap_or_default()
}

#[tokio::test]
async fn an_invite_is_accepted_with_a_password_and_a_code() {
    let cluster = Cluster::start().await;
    let mut browser = chosen(&cluster).await;
    let page = browser.get(&cluster, &factor()).await;
    assert!(page.body().contains("JBSW Y3DP"), "{}", page.body());
    let answer = browser.post(&cluster, &factor(), &[("code", "123 456")]).await;
    assert_eq!(answer.status(), StatusCode::OK, "{}", answer.body());
    assert!(answer.body().contains("--user=alice<"));
    let accepted = cluster.auth.accepted.lock().unwrap().remove(0);
    assert_eq!(accepted.password.expose(), PASSWORD);
    assert_eq!(accepted.otp.as_deref(), Some(CODE));
    assert_eq!(accepted.remote_addr.as_deref(), Some("127.0.0.1"));
    let again = browser.get(&cluster, &link()).await;
    assert_eq!(again.status(), StatusCode::GONE);
    assert!(again.body().contains("This link no longer works"));
}

#[tokio::test]
async fn an_invite_is_accepted_with_a_passkey() {
    let cluster = Cluster::start().await;
    let options = serde_json::json!({"publicKey": {"challenge": "AAAA"}});
    let offer = PasskeyOffer { enrolment: "enrolment-1".to_owned(), options };
    *cluster.auth.invite.lock().unwrap() =
        Some(Invite { webauthn: Some(offer), otp: None, ..invite(InviteKind::Invite) });
    let mut browser = chosen(&cluster).await;
    let page = browser.get(&cluster, &factor()).await;
    assert!(page.body().contains("data-passkey=\"create\""), "{}", page.body());
    let fields =
        [("credential", "{\"id\":\"x\"}"), ("enrolment", "enrolment-1"), ("name", "laptop")];
    let answer = browser.post(&cluster, &factor(), &fields).await;
    assert_eq!(answer.status(), StatusCode::OK, "{}", answer.body());
    let passkey = cluster.auth.accepted.lock().unwrap().remove(0).webauthn.unwrap();
    assert_eq!(
        (passkey.enrolment.as_str(), passkey.name.as_deref()),
        ("enrolment-1", Some("laptop"))
    );
    assert_eq!(passkey.credential["id"], "x");
}

#[tokio::test]
async fn a_mistake_in_the_password_is_explained_at_its_field() {
    let cluster = Cluster::start().await;
    let long = "x".repeat(129);
    let cases = [
        ("short", "short", "password-mistake", "at least 12 characters"),
        (&long, &long, "password-mistake", "at most 128 bytes"),
        (PASSWORD, "another one", "confirm-mistake", "two passwords differ"),
    ];
    let mut browser = opened(&cluster).await;
    for (password, confirm, place, words) in cases {
        let fields = [("password", password), ("confirm", confirm)];
        let answer = browser.post(&cluster, &link(), &fields).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert!(mistake(&answer, place).contains(words), "{place}: {}", answer.body());
        assert!(answer.body().contains("role=\"alert\""));
    }
}

#[tokio::test]
async fn a_wrong_code_costs_neither_the_password_nor_the_link() {
    let cluster = Cluster::start().await;
    let mut browser = chosen(&cluster).await;
    for (code, words) in
        [("", "6 digits"), ("12345x", "6 digits"), ("654321", "The code is wrong or too old.")]
    {
        let answer = browser.post(&cluster, &factor(), &[("code", code)]).await;
        assert!(answer.status().is_client_error(), "{}", answer.status());
        assert!(mistake(&answer, "code-mistake").contains(words), "{}", answer.body());
        assert!(answer.body().contains("JBSW Y3DP"), "the same secret is still shown");
    }
    assert!(cluster.auth.accepted.lock().unwrap().is_empty());
    let answer = browser.post(&cluster, &factor(), &[("code", CODE)]).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(cluster.auth.accepted.lock().unwrap()[0].password.expose(), PASSWORD);
}

#[tokio::test]
async fn a_typed_password_never_comes_back() {
    let cluster = Cluster::start().await;
    let mut browser = opened(&cluster).await;
    let wrong = browser.post(&cluster, &link(), &[("password", PASSWORD), ("confirm", "x")]).await;
    let mut browser = chosen(&cluster).await;
    let step = browser.get(&cluster, &factor()).await;
    let code = browser.post(&cluster, &factor(), &[("code", "654321")]).await;
    let done = browser.post(&cluster, &factor(), &[("code", CODE)]).await;
    for answer in [&wrong, &step, &code, &done] {
        let headers = format!("{:?}", answer.headers());
        assert!(!answer.body().contains(PASSWORD) && !headers.contains(PASSWORD), "{headers}");
    }
    assert!(browser.cookies.values().all(|value| !value.contains("horse")));
}

#[tokio::test]
async fn the_second_step_is_of_the_browser_and_the_link_of_the_first() {
    let cluster = Cluster::start().await;
    let mut browser = chosen(&cluster).await;
    let token = browser.cookies.get("__Host-causeway_set_up").unwrap().clone();
    browser.cookies.remove("__Host-causeway_set_up");
    let again = format!("{}?again=1", link());
    assert_eq!(place(&browser.get(&cluster, &factor()).await), again);
    assert_eq!(place(&browser.post(&cluster, &factor(), &[("code", CODE)]).await), again);
    for other in ["x".to_owned(), "a".repeat(43), token.to_lowercase()] {
        browser.cookies.insert("__Host-causeway_set_up".to_owned(), other);
        assert_eq!(place(&browser.get(&cluster, &factor()).await), again);
    }
    browser.cookies.insert("__Host-causeway_set_up".to_owned(), token);
    assert_eq!(browser.get(&cluster, &factor()).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_second_factor_may_be_left_out_only_where_it_is_optional() {
    let cluster = Cluster::start().await;
    let mut browser = chosen(&cluster).await;
    let answer = browser.post(&cluster, &factor(), &[("skip", "1")]).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    *cluster.auth.invite.lock().unwrap() =
        Some(Invite { otp_optional: true, ..invite(InviteKind::Invite) });
    let answer = browser.post(&cluster, &factor(), &[("skip", "1")]).await;
    assert_eq!(answer.status(), StatusCode::OK, "{}", answer.body());
    assert_eq!(cluster.auth.accepted.lock().unwrap()[0].otp, None);
}

#[tokio::test]
async fn without_a_factor_to_enrol_the_password_is_all() {
    let cluster = Cluster::start().await;
    *cluster.auth.invite.lock().unwrap() = Some(Invite { otp: None, ..invite(InviteKind::Reset) });
    let mut browser = opened(&cluster).await;
    let fields = [("password", PASSWORD), ("confirm", PASSWORD)];
    let answer = browser.post(&cluster, &link(), &fields).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.body().contains("You are set up"));
}

#[tokio::test]
async fn hostile_names_are_escaped() {
    let cluster = Cluster::start().await;
    let mut hostile = invite(InviteKind::Invite);
    hostile.otp.as_mut().unwrap().secret = "<script>alert(1)</script>".to_owned();
    hostile.otp.as_mut().unwrap().url = "otpauth://x?\"><script>alert(1)".to_owned();
    *cluster.auth.invite.lock().unwrap() = Some(hostile);
    let mut browser = chosen(&cluster).await;
    let page = browser.get(&cluster, &factor()).await;
    assert_eq!(page.status(), StatusCode::OK);
    assert!(!page.body().contains("<script>"), "{}", page.body());
}

#[tokio::test]
async fn tokens_that_are_none_are_not_asked_for() {
    let cluster = Cluster::start().await;
    for token in ["x", "..%2Fwatch", "%00", &"a".repeat(200), "0123456789abcdef0123456789abcdeF"] {
        let answer = get(&cluster, &format!("/web/invite/{token}")).await;
        assert_eq!(answer.status(), StatusCode::GONE, "{token}");
        assert!(answer.body().contains("tctl users reset"));
    }
}
