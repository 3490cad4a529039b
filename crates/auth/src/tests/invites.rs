//! Invite and reset links.

use std::time::Duration;

use access::{RoleName, UserName};
use api::ApiError;
use api::types::invites::{InviteAcceptance, InviteAccepted, InviteKind};
use api::types::login::Password;
use api::types::ping::SecondFactor;
use api::types::users::{ResetRequest, UserRequest};

use super::town::{PASSWORD, Town, token_of};

fn request(name: &str, ttl_seconds: Option<u64>) -> UserRequest {
    UserRequest {
        name: UserName::parse(name).unwrap(),
        roles: vec![RoleName::parse("access").unwrap()],
        traits: Default::default(),
        ttl_seconds,
    }
}

async fn accept(
    town: &Town,
    token: &str,
    password: &str,
    otp: Option<&str>,
) -> Result<InviteAccepted, ApiError> {
    let acceptance = InviteAcceptance {
        password: Password::new(password.to_owned()),
        otp: otp.map(str::to_owned),
        webauthn: None,
        remote_addr: None,
    };
    town.proxy().await.accept_invite(token, &acceptance).await
}

#[tokio::test]
async fn a_link_works_once_and_only_its_hash_is_stored() {
    let town = Town::start().await;
    let link = town.admin().add_user(&request("alice", None)).await.unwrap();
    assert!(link.url.starts_with("https://teleport.example.com:443/web/invite/"), "{}", link.url);
    let token = token_of(&link.url);
    assert_eq!(token.len(), 32);
    let invite = town.proxy().await.invite(&token).await.unwrap();
    assert_eq!((invite.user.as_str(), invite.kind), ("alice", InviteKind::Invite));
    assert!(invite.otp.is_none());
    accept(&town, &token, PASSWORD, None).await.unwrap();
    for again in [
        accept(&town, &token, PASSWORD, None).await.unwrap_err(),
        town.proxy().await.invite(&token).await.unwrap_err(),
        town.proxy().await.invite("0123456789abcdef0123456789abcdef").await.unwrap_err(),
    ] {
        assert_eq!(again.status(), Some(404));
        assert_eq!(again.to_string(), "the link is not known, was used, or has expired");
    }
    town.handle.stop(Duration::from_secs(5)).await;
    for file in std::fs::read_dir(town.dir.path().join("auth")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let is_there = bytes.windows(token.len()).any(|window| window == token.as_bytes());
        assert!(!is_there, "the token itself is not in the store");
    }
}

#[tokio::test]
async fn two_acceptances_at_once_set_one_password() {
    let town = Town::start().await;
    let token = token_of(&town.admin().add_user(&request("alice", None)).await.unwrap().url);
    let (one, two) = tokio::join!(
        accept(&town, &token, "first good password", None),
        accept(&town, &token, "second good password", None)
    );
    assert!(one.is_ok() != two.is_ok());
    assert_eq!(town.events("user.password_change").await.len(), 1);
}

#[tokio::test]
async fn lives_are_bounded() {
    let town = Town::start().await;
    let hour = 3_600;
    for (name, seconds, good) in [
        ("a", None, true),
        ("b", Some(48 * hour), true),
        ("c", Some(48 * hour + 1), false),
        ("d", Some(0), false),
    ] {
        assert_eq!(
            town.admin().add_user(&request(name, seconds)).await.is_ok(),
            good,
            "{seconds:?}"
        );
    }
    let user = UserName::parse("a").unwrap();
    for (seconds, good) in [(None, true), (Some(24 * hour), true), (Some(24 * hour + 1), false)] {
        let reset = town.admin().reset_user(&user, &ResetRequest { ttl_seconds: seconds }).await;
        assert_eq!(reset.is_ok(), good, "{seconds:?}");
    }
}

#[tokio::test]
async fn a_link_ends_in_time_with_a_newer_one_and_with_its_user() {
    let town = Town::start().await;
    let token = token_of(&town.admin().add_user(&request("alice", None)).await.unwrap().url);
    let alice = UserName::parse("alice").unwrap();
    let newer = town.admin().reset_user(&alice, &ResetRequest::default()).await.unwrap();
    assert_eq!(accept(&town, &token, PASSWORD, None).await.unwrap_err().status(), Some(404));
    town.hands.turn(Duration::from_secs(8 * 3_600));
    let late = accept(&town, &token_of(&newer.url), PASSWORD, None).await.unwrap_err();
    assert_eq!(late.status(), Some(404));
    let last = town.admin().reset_user(&alice, &ResetRequest::default()).await.unwrap();
    town.admin().delete_resource(api::resource::Kind::User, "alice").await.unwrap();
    let gone = accept(&town, &token_of(&last.url), PASSWORD, None).await.unwrap_err();
    assert_eq!(gone.status(), Some(404));
}

#[tokio::test]
async fn weak_passwords_and_wrong_codes_leave_the_link_open() {
    let town = Town::start_with(|config| config.second_factor = SecondFactor::Otp).await;
    let token = token_of(&town.admin().add_user(&request("alice", None)).await.unwrap().url);
    for (password, otp) in [(PASSWORD, None), (PASSWORD, Some("000000")), (PASSWORD, Some(""))] {
        let error = accept(&town, &token, password, otp).await.unwrap_err();
        assert_eq!(error.status(), Some(400), "{error}");
    }
    let invite = town.proxy().await.invite(&token).await.unwrap();
    let otp = invite.otp.unwrap();
    assert!(otp.url.contains("issuer=teleport.example.com"), "{}", otp.url);
    assert!(!format!("{:?}", invite.user).is_empty());
    let secret = totp_rs::Secret::try_from_base32(&otp.secret).unwrap();
    let device = totp_rs::Builder::new().with_secret(secret).build().unwrap();
    let now = town.hands.now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let code = device.generate(now.as_secs()).to_string();
    let short = accept(&town, &token, "short", Some(&code)).await.unwrap_err();
    assert!(short.to_string().contains("too short"), "{short}");
    accept(&town, &token, PASSWORD, Some(&code)).await.unwrap();
    assert_eq!(town.events("mfa.add").await.len(), 1);
    assert_eq!(town.events("reset_password_token.create").await[0]["ttl"], "1h0m0s");
}

#[tokio::test]
async fn an_invite_for_a_role_that_is_not_there_names_the_role() {
    let town = Town::start().await;
    let mut wanted = request("alice", None);
    wanted.roles.push(RoleName::parse("no-such-role").unwrap());
    let error = town.admin().add_user(&wanted).await.unwrap_err();
    assert_eq!(error.to_string(), "role \"no-such-role\" is not found");
    assert!(town.events("user.create").await.is_empty());
}
