//! Web sessions: whose they are, who may find them, and everything that must end them.

use std::time::Duration;

use access::{AppSessionId, UserName};
use api::resource::{Kind, PutMode, PutRequest};
use api::types::login::Password;
use api::types::mfa::PasswordChange;
use api::types::watch::{Change, Item, Key};
use api::types::web_sessions::{TokenHash, WebSession, WebSessionId, WebSessionRequest};
use api::watch::Watch;
use api::{ApiError, Client, Resource};

use super::sessions::open as open_app;
use super::town::{ARN, PASSWORD, Town, until};

fn request(token: u8) -> WebSessionRequest {
    WebSessionRequest {
        token_hash: TokenHash::new([token; 32]),
        sealed: format!("sealed-{token}"),
        remote_addr: Some("192.0.2.7".to_owned()),
        user_agent: Some("Mozilla/5.0\n".to_owned()),
        app_session: None,
        parent: None,
    }
}

async fn open(client: &Client, token: u8) -> WebSession {
    client.open_web_session(&request(token)).await.unwrap()
}

async fn is_there(town: &Town, token: u8) -> bool {
    match town.proxy().await.find_web_session(TokenHash::new([token; 32])).await {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.status(), Some(404), "{error}");
            false
        }
    }
}

async fn reasons(town: &Town) -> Vec<String> {
    let events = town.events("web.session.end").await;
    events.iter().map(|event| event["reason"].as_str().unwrap().to_owned()).collect()
}

/// A session of an app, opened from another.
async fn app_session(
    client: &Client,
    parent: &WebSession,
    token: u8,
) -> (WebSession, AppSessionId) {
    let app = open_app(client, "aws", Some(ARN)).await.unwrap().session.id;
    let request = WebSessionRequest {
        app_session: Some(app.clone()),
        parent: Some(parent.id.clone()),
        ..request(token)
    };
    (client.open_web_session(&request).await.unwrap(), app)
}

#[tokio::test]
async fn a_session_is_found_by_its_cookie_and_ends_with_its_certificate() {
    let town = Town::start().await;
    let alice = town.user("alice", &["access"]).await;
    let session = open(&alice, 1).await;
    assert_eq!(session.user, "alice");
    assert_eq!(session.user_agent.as_deref(), Some("Mozilla/5.0"));
    assert_eq!(session.idle_timeout_seconds, 30 * 60);
    let proxy = town.proxy().await;
    let found = proxy.find_web_session(TokenHash::new([1; 32])).await.unwrap();
    assert_eq!((found.session, found.sealed.as_str()), (session, "sealed-1"));
    assert!(!is_there(&town, 2).await);
    let start = &town.events("web.session.start").await[0];
    assert_eq!(
        (start["user"].as_str(), start["addr.remote"].as_str()),
        (Some("alice"), Some("192.0.2.7"))
    );
    for _ in 0..24 {
        town.hands.turn(Duration::from_secs(29 * 60));
        proxy.saw_web_session(&alice_id(&town).await).await.unwrap();
    }
    town.hands.turn(Duration::from_secs(25 * 60));
    assert!(!is_there(&town, 1).await, "the certificate of 12 hours has ended");
}

async fn alice_id(town: &Town) -> WebSessionId {
    town.proxy().await.find_web_session(TokenHash::new([1; 32])).await.unwrap().session.id
}

#[tokio::test]
async fn only_proxies_find_sessions_and_only_users_open_them() {
    let town = Town::start().await;
    let alice = town.user("alice", &["access"]).await;
    let session = open(&alice, 1).await;
    for client in [&alice, &town.agent("agent-1").await, &town.admin()] {
        let error = client.find_web_session(TokenHash::new([1; 32])).await.unwrap_err();
        assert_eq!(error.status(), Some(403), "{error}");
        assert_eq!(client.saw_web_session(&session.id).await.unwrap_err().status(), Some(403));
    }
    for client in [&town.proxy().await, &town.agent("agent-1").await, &town.admin()] {
        let error = client.open_web_session(&request(2)).await.unwrap_err();
        assert_eq!(error.status(), Some(403), "{error}");
    }
    let huge = WebSessionRequest { sealed: "x".repeat(64 * 1024 + 1), ..request(3) };
    assert_eq!(alice.open_web_session(&huge).await.unwrap_err().status(), Some(400));
    assert_eq!(alice.open_web_session(&request(1)).await.unwrap_err().status(), Some(409));
}

#[tokio::test]
async fn a_session_is_ended_by_its_user_or_by_rule_and_by_nobody_else() {
    let town = Town::start().await;
    let alice = town.user("alice", &["access"]).await;
    let mallory = town.user("mallory", &["access"]).await;
    let editor = town.user("editor", &["editor"]).await;
    let (one, two) = (open(&alice, 1).await, open(&alice, 2).await);
    assert_eq!(alice.web_sessions().await.unwrap().len(), 2);
    assert!(mallory.web_sessions().await.unwrap().is_empty());
    // Whether there is such a session or not: mallory learns nothing.
    let unknown = WebSessionId::from_bytes([9; 16]);
    let answers: Vec<_> =
        futures_util::future::join_all([&one.id, &unknown].map(|id| mallory.end_web_session(id)))
            .await
            .into_iter()
            .map(|answer| answer.unwrap_err().to_string())
            .collect();
    assert_eq!(answers[0], answers[1]);
    // A proxy ends sessions of apps only: this is none.
    for (stranger, status) in [(town.proxy().await, 404), (town.agent("agent-1").await, 403)] {
        let error = stranger.end_web_session(&one.id).await.unwrap_err();
        assert_eq!(error.status(), Some(status));
    }
    assert!(is_there(&town, 1).await);
    alice.end_web_session(&one.id).await.unwrap();
    editor.end_web_session(&two.id).await.unwrap();
    assert!(!is_there(&town, 1).await && !is_there(&town, 2).await);
    assert_eq!(reasons(&town).await, ["logout", "ended by an administrator"]);
    assert_eq!(town.events("web.session.end").await[1]["ended_by"], "editor");
    assert_eq!(alice.end_web_session(&one.id).await.unwrap_err().status(), Some(403));
}

#[tokio::test]
async fn a_session_that_is_not_used_ends_and_one_that_is_used_goes_on() {
    let town = Town::start().await;
    let alice = town.user("alice", &["access"]).await;
    let (used, _idle) = (open(&alice, 1).await, open(&alice, 2).await);
    town.hands.turn(Duration::from_secs(20 * 60));
    let proxy = town.proxy().await;
    proxy.saw_web_session(&used.id).await.unwrap();
    town.hands.turn(Duration::from_secs(11 * 60));
    assert!(is_there(&town, 1).await && !is_there(&town, 2).await);
    until(|| async { (reasons(&town).await == ["idle"]).then_some(()) }).await;
    town.hands.turn(Duration::from_secs(31 * 60));
    assert_eq!(proxy.saw_web_session(&used.id).await.unwrap_err().status(), Some(404));
}

#[tokio::test]
async fn sessions_of_apps_end_with_the_one_that_they_came_from_and_keep_it_awake() {
    let town = Town::start().await;
    town.announce_aws().await;
    let alice = town.user("alice", &["access"]).await;
    let parent = open(&alice, 1).await;
    let (child, app) = app_session(&alice, &parent, 2).await;
    assert_eq!((child.parent.as_ref(), child.app_session.as_ref()), (Some(&parent.id), Some(&app)));
    town.hands.turn(Duration::from_secs(20 * 60));
    town.proxy().await.saw_web_session(&child.id).await.unwrap();
    town.hands.turn(Duration::from_secs(20 * 60));
    assert!(is_there(&town, 1).await, "whoever uses the app is not idle");
    alice.end_web_session(&parent.id).await.unwrap();
    assert!(!is_there(&town, 1).await && !is_there(&town, 2).await);
    let ended = town.events("app.session.end").await;
    assert_eq!(ended[0]["sid"], app.as_str());
}

#[tokio::test]
async fn the_session_of_an_app_ends_together_with_its_app_session() {
    let town = Town::start().await;
    town.announce_aws().await;
    let alice = town.user("alice", &["access"]).await;
    let parent = open(&alice, 1).await;
    let (_, app) = app_session(&alice, &parent, 2).await;
    alice.end_app_session(&app).await.unwrap();
    assert!(is_there(&town, 1).await && !is_there(&town, 2).await);
    let (child, app) = app_session(&alice, &parent, 3).await;
    alice.end_web_session(&child.id).await.unwrap();
    assert!(is_there(&town, 1).await && !is_there(&town, 3).await);
    assert!(alice.app_sessions(Default::default()).await.unwrap().iter().all(|s| s.id != app));
}

#[tokio::test]
async fn a_proxy_ends_the_session_of_an_app_that_was_logged_out_of() {
    let town = Town::start().await;
    town.announce_aws().await;
    let alice = town.user("alice", &["access"]).await;
    let parent = open(&alice, 1).await;
    let (child, _) = app_session(&alice, &parent, 2).await;
    town.proxy().await.end_web_session(&child.id).await.unwrap();
    assert!(is_there(&town, 1).await && !is_there(&town, 2).await);
}

#[tokio::test]
async fn nobody_hangs_a_session_onto_anothers() {
    let town = Town::start().await;
    town.announce_aws().await;
    let alice = town.user("alice", &["access"]).await;
    let mallory = town.user("mallory", &["access"]).await;
    let parent = open(&alice, 1).await;
    let (child, app) = app_session(&alice, &parent, 2).await;
    for bad in [
        WebSessionRequest { parent: Some(parent.id.clone()), ..request(3) },
        WebSessionRequest { app_session: Some(app.clone()), ..request(3) },
    ] {
        assert_eq!(mallory.open_web_session(&bad).await.unwrap_err().status(), Some(404));
    }
    // Nor onto one of an app.
    let bad = WebSessionRequest { parent: Some(child.id), ..request(3) };
    assert_eq!(alice.open_web_session(&bad).await.unwrap_err().status(), Some(404));
}

#[tokio::test]
async fn locks_resets_roles_and_deletion_cut_sessions_at_once() {
    let town = Town::start().await;
    town.announce_aws().await;
    let admin = town.admin();
    let name = |name: &str| UserName::parse(name).unwrap();
    let mut token = 0;
    for (user, why) in [
        ("locked", "locked"),
        ("reset", "password changed"),
        ("changed", "roles or traits changed"),
        ("deleted", "user deleted"),
    ] {
        let client = town.user(user, &["access"]).await;
        token += 2;
        let parent = open(&client, token).await;
        app_session(&client, &parent, token + 1).await;
        match user {
            "locked" => super::resources::lock_user(&town, user).await,
            "reset" => drop(admin.reset_user(&name(user), &Default::default()).await.unwrap()),
            "deleted" => admin.delete_resource(Kind::User, user).await.unwrap(),
            _ => change_roles(&admin, user).await.unwrap(),
        }
        assert!(!is_there(&town, token).await && !is_there(&town, token + 1).await, "{user}");
        assert_eq!(reasons(&town).await.last().unwrap(), why);
        if user != "changed" && user != "reset" {
            let error = client.open_web_session(&request(100)).await.unwrap_err();
            assert_eq!(error.status(), Some(403), "{user}: {error}");
        }
    }
}

async fn change_roles(admin: &Client, user: &str) -> Result<(), ApiError> {
    let Resource::User(mut user) = admin.resource(Kind::User, user).await? else { panic!() };
    user.spec.roles.push("auditor".parse().unwrap());
    let request = PutRequest { resource: Resource::User(user), mode: PutMode::Replace };
    admin.put_resource(&request).await.map(|_| ())
}

#[tokio::test]
async fn a_new_password_ends_all_sessions_but_the_one_that_set_it() {
    let town = Town::start().await;
    let alice = town.user("alice", &["access"]).await;
    let (kept, _) = (open(&alice, 1).await, open(&alice, 2).await);
    let change = PasswordChange {
        old: Password::new(PASSWORD.to_owned()),
        new: Password::new("another long password".to_owned()),
        proof: None,
        keep_session: Some(kept.id),
    };
    alice.change_password(&change).await.unwrap();
    assert!(is_there(&town, 1).await && !is_there(&town, 2).await);
    assert_eq!(reasons(&town).await, ["password changed"]);
}

#[tokio::test]
async fn proxies_hear_of_sessions_within_a_second_and_agents_never() {
    let town = Town::start().await;
    let alice = town.user("alice", &["access"]).await;
    let early = open(&alice, 1).await;
    let mut proxy = Watch::open(&town.proxy().await).await.unwrap();
    let mut agent = Watch::open(&town.agent("agent-1").await).await.unwrap();
    let mut seen = Vec::new();
    loop {
        match proxy.next().await.unwrap() {
            Change::Put(Item::WebSession(session)) => seen.push(session.id),
            Change::Ready => break,
            _ => {}
        }
    }
    assert_eq!(seen, std::slice::from_ref(&early.id));
    super::resources::lock_user(&town, "alice").await;
    let gone = async {
        loop {
            match proxy.next().await.unwrap() {
                Change::Delete(Key::WebSession(id)) => return id,
                _ => continue,
            }
        }
    };
    let gone = tokio::time::timeout(Duration::from_secs(1), gone).await.unwrap();
    assert_eq!(gone, early.id);
    // The lock reaches the agent, what lies before it is no web session.
    loop {
        match agent.next().await.unwrap() {
            Change::Put(Item::WebSession(_)) | Change::Delete(Key::WebSession(_)) => {
                panic!("an agent heard of a web session")
            }
            Change::Put(Item::Lock(_)) => break,
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_user_with_very_many_sessions_loses_the_oldest() {
    let town = Town::start().await;
    let alice = town.user("alice", &["access"]).await;
    for token in 0..=200 {
        open(&alice, token).await;
        town.hands.turn(Duration::from_secs(1));
    }
    assert!(!is_there(&town, 0).await && is_there(&town, 1).await && is_there(&town, 200).await);
    assert_eq!(reasons(&town).await, ["too many sessions"]);
}

#[tokio::test]
async fn the_store_holds_neither_cookie_nor_what_opens_it() {
    let town = Town::start().await;
    let alice = town.user("alice", &["access"]).await;
    let session = open(&alice, 1).await;
    let text = format!("{session:?}");
    assert!(!text.contains("sealed-1"));
    let found = town.proxy().await.find_web_session(TokenHash::new([1; 32])).await.unwrap();
    assert!(!format!("{found:?}").contains("sealed-1"));
    let town = town.restart_with(|_| {}).await;
    assert!(is_there(&town, 1).await, "a restart keeps sessions");
}
