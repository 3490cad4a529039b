//! Logging in in two steps, with passkeys and with codes; and everything that must not do.

use std::time::Duration;

use api::ApiError;
use api::types::invites::{InviteAcceptance, NewPasskey};
use api::types::login::{LoginChallengeRequest, Password};
use api::types::mfa::MfaProof;
use api::types::ping::SecondFactor;
use serde_json::json;

use super::passkey::Passkey;
use super::people::{
    acceptance, finish, invited, login, otp, password_of, town_with, with_app, with_passkey,
};
use super::town::Town;

/// Takes the first step and answers as `bend` says.
async fn try_passkey(
    town: &Town,
    passkey: &mut Passkey,
    bend: impl FnOnce(&mut Passkey, &serde_json::Value) -> serde_json::Value,
) -> Result<(), ApiError> {
    let challenge = town.proxy().await.begin_login(&password_of("alice")).await.unwrap();
    let credential = bend(passkey, &challenge.webauthn.unwrap());
    let proof = MfaProof::Webauthn { challenge: challenge.id.clone(), credential };
    finish(town, &challenge.id, Some(proof)).await.map(|_| ())
}

#[tokio::test]
async fn a_passkey_from_the_invite_logs_in_and_the_log_tells_of_it() {
    let town = town_with(SecondFactor::Webauthn).await;
    let mut passkey = with_passkey(&town, "alice").await;
    let client = login(&town, "alice", &mut passkey).await;
    let devices = client.mfa_devices().await.unwrap();
    assert_eq!(devices.len(), 1);
    assert_eq!((devices[0].name.as_str(), devices[0].kind.as_str()), ("passkey", "WEBAUTHN"));
    assert!(devices[0].last_used.is_some());
    let event = &town.events("user.login").await[0];
    assert_eq!(event["mfa_device"]["mfa_device_uuid"], devices[0].id.as_str());
    assert_eq!(event["mfa_device"]["mfa_device_type"], "WEBAUTHN");
    assert_eq!(event["user_agent"], "Mozilla/5.0");
    assert_eq!(town.events("mfa.add").await[0]["code"], "T1006I");
    assert_eq!(town.events("user.password_change").await[0]["addr.remote"], "192.0.2.7");
}

#[tokio::test]
async fn the_certificate_says_whether_a_factor_was_shown() {
    let town = town_with(SecondFactor::Optional).await;
    let app = with_app(&town, "alice").await;
    town.enrol("bob", &["access"]).await;
    town.hands.turn(Duration::from_secs(60));
    let begun = town.proxy().await.begin_login(&password_of("alice")).await.unwrap();
    assert!(begun.needs_factor && begun.otp && begun.webauthn.is_none());
    let (credential, _) = finish(&town, &begun.id, Some(otp(&app, &town))).await.unwrap();
    assert!(pki::unverified_claims(credential.cert()).unwrap().mfa);
    let begun = town.proxy().await.begin_login(&password_of("bob")).await.unwrap();
    assert!(!begun.needs_factor && !begun.otp && begun.webauthn.is_none());
    let (credential, _) = finish(&town, &begun.id, None).await.unwrap();
    assert!(!pki::unverified_claims(credential.cert()).unwrap().mfa);
}

#[tokio::test]
async fn what_a_passkey_must_not_say_is_refused() {
    let town = town_with(SecondFactor::Webauthn).await;
    let mut passkey = with_passkey(&town, "alice").await;
    let mut mallory = with_passkey(&town, "mallory").await;
    let before = login(&town, "alice", &mut passkey).await.mfa_devices().await.unwrap();
    // Of another site.
    let error = try_passkey(&town, &mut passkey, |passkey, options| {
        let own = std::mem::replace(&mut passkey.origin, "https://evil.example.com".to_owned());
        let credential = passkey.answer(options);
        passkey.origin = own;
        credential
    });
    assert_eq!(error.await.unwrap_err().status(), Some(401));
    // Of another user.
    let error = try_passkey(&town, &mut mallory, |mallory, options| mallory.answer(options));
    assert_eq!(error.await.unwrap_err().status(), Some(401));
    // To another challenge.
    let error = try_passkey(&town, &mut passkey, |passkey, options| {
        let mut other = options.clone();
        other["publicKey"]["challenge"] = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        passkey.answer(&other)
    });
    assert_eq!(error.await.unwrap_err().status(), Some(401));
    // By a copy that does not know of the last use.
    let error = try_passkey(&town, &mut passkey, |passkey, options| {
        passkey.counter = 1;
        passkey.answer_with_same_counter(options)
    });
    assert_eq!(error.await.unwrap_err().status(), Some(401));
    town.hands.turn(Duration::from_secs(21 * 60));
    passkey.counter = 100;
    let after = login(&town, "alice", &mut passkey).await.mfa_devices().await.unwrap();
    assert_eq!(before[0].id, after[0].id, "the rightful one goes on");
}

#[tokio::test]
async fn a_passkey_that_nobody_touched_is_refused() {
    let town = town_with(SecondFactor::Webauthn).await;
    let mut passkey = with_passkey(&town, "alice").await.without_presence();
    let error = try_passkey(&town, &mut passkey, |passkey, options| passkey.answer(options)).await;
    assert_eq!(error.unwrap_err().status(), Some(401));
}

#[tokio::test]
async fn an_answer_is_good_once_and_for_five_minutes() {
    let town = town_with(SecondFactor::Webauthn).await;
    let mut passkey = with_passkey(&town, "alice").await;
    let proxy = town.proxy().await;
    let begun = proxy.begin_login(&password_of("alice")).await.unwrap();
    let credential = passkey.answer(begun.webauthn.as_ref().unwrap());
    let proof = MfaProof::Webauthn { challenge: begun.id.clone(), credential };
    let (one, two) = tokio::join!(
        finish(&town, &begun.id, Some(proof.clone())),
        finish(&town, &begun.id, Some(proof.clone()))
    );
    assert!(one.is_ok() != two.is_ok(), "one of two at once");
    assert_eq!(
        finish(&town, &begun.id, Some(proof.clone())).await.unwrap_err().status(),
        Some(401)
    );
    // Nor for another login of the same user.
    let again = proxy.begin_login(&password_of("alice")).await.unwrap();
    assert_eq!(finish(&town, &again.id, Some(proof)).await.unwrap_err().status(), Some(401));
    let late = proxy.begin_login(&password_of("alice")).await.unwrap();
    let credential = passkey.answer(late.webauthn.as_ref().unwrap());
    town.hands.turn(Duration::from_secs(5 * 60));
    let proof = MfaProof::Webauthn { challenge: late.id.clone(), credential };
    let error = finish(&town, &late.id, Some(proof)).await.unwrap_err();
    assert_eq!(error.to_string(), "this login took too long, or was used already");
}

#[tokio::test]
async fn the_challenge_of_one_user_is_no_use_to_another() {
    let town = town_with(SecondFactor::Webauthn).await;
    let mut hers = with_passkey(&town, "alice").await;
    let mut his = with_passkey(&town, "mallory").await;
    let proxy = town.proxy().await;
    let alice = proxy.begin_login(&password_of("alice")).await.unwrap();
    let mallory = proxy.begin_login(&password_of("mallory")).await.unwrap();
    // A true answer to the one, shown for the other, either way around.
    let answer = his.answer(mallory.webauthn.as_ref().unwrap());
    for named in [&mallory.id, &alice.id] {
        let proof = MfaProof::Webauthn { challenge: named.clone(), credential: answer.clone() };
        assert_eq!(finish(&town, &alice.id, Some(proof)).await.unwrap_err().status(), Some(401));
    }
    let credential = hers.answer(alice.webauthn.as_ref().unwrap());
    let proof = MfaProof::Webauthn { challenge: alice.id.clone(), credential };
    let (_, reply) = finish(&town, &alice.id, Some(proof)).await.unwrap();
    assert_eq!(reply.user, "alice");
}

#[tokio::test]
async fn wrong_factors_kill_the_challenge_and_lock_out() {
    let town = Town::start_with(|config| {
        config.second_factor = SecondFactor::On;
        config.lockout.failures = 7;
    })
    .await;
    let app = with_app(&town, "alice").await;
    town.hands.turn(Duration::from_secs(60));
    let proxy = town.proxy().await;
    let wrong = || Some(MfaProof::Otp { code: "000000".to_owned() });
    let begun = proxy.begin_login(&password_of("alice")).await.unwrap();
    for _ in 0..5 {
        let error = finish(&town, &begun.id, wrong()).await.unwrap_err();
        assert_eq!(error.to_string(), "invalid username, password or one-time code");
    }
    let error = finish(&town, &begun.id, Some(otp(&app, &town))).await.unwrap_err();
    assert_eq!(error.to_string(), "this login took too long, or was used already");
    let begun = proxy.begin_login(&password_of("alice")).await.unwrap();
    for proof in [wrong(), None] {
        finish(&town, &begun.id, proof).await.unwrap_err();
    }
    assert_eq!(town.events("user.lockout").await[0]["attempts"], 7);
    // Right and in vain; the first step is refused as well, in the usual words.
    finish(&town, &begun.id, Some(otp(&app, &town))).await.unwrap_err();
    let error = proxy.begin_login(&password_of("alice")).await.unwrap_err();
    assert_eq!(error.to_string(), "invalid username, password or one-time code");
    town.hands.turn(Duration::from_secs(20 * 60));
    let begun = proxy.begin_login(&password_of("alice")).await.unwrap();
    finish(&town, &begun.id, Some(otp(&app, &town))).await.unwrap();
}

#[tokio::test]
async fn a_mistyped_code_may_be_typed_again() {
    let town = town_with(SecondFactor::Otp).await;
    let app = with_app(&town, "alice").await;
    town.hands.turn(Duration::from_secs(60));
    let begun = town.proxy().await.begin_login(&password_of("alice")).await.unwrap();
    let wrong = Some(MfaProof::Otp { code: "000000".to_owned() });
    finish(&town, &begun.id, wrong).await.unwrap_err();
    finish(&town, &begun.id, Some(otp(&app, &town))).await.unwrap();
}

#[tokio::test]
async fn a_code_is_good_once_whichever_way_it_is_shown() {
    let town = town_with(SecondFactor::Otp).await;
    let app = with_app(&town, "alice").await;
    town.hands.turn(Duration::from_secs(60));
    let proxy = town.proxy().await;
    let (one, two) = (
        proxy.begin_login(&password_of("alice")).await.unwrap(),
        proxy.begin_login(&password_of("alice")).await.unwrap(),
    );
    let (first, second) = tokio::join!(
        finish(&town, &one.id, Some(otp(&app, &town))),
        finish(&town, &two.id, Some(otp(&app, &town)))
    );
    assert!(first.is_ok() != second.is_ok());
}

#[tokio::test]
async fn the_first_step_tells_nobody_apart() {
    let town = town_with(SecondFactor::On).await;
    with_app(&town, "alice").await;
    let (_, _) = invited(&town, "invited").await;
    let proxy = town.proxy().await;
    let mut answers = Vec::new();
    for (user, password) in [
        ("alice", "wrong password wrong"),
        ("nobody", "wrong password wrong"),
        ("not a name/../", super::town::PASSWORD),
        ("invited", super::town::PASSWORD),
        ("alice", ""),
    ] {
        let request = LoginChallengeRequest {
            user: user.to_owned(),
            password: Password::new(password.to_owned()),
            ..password_of(user)
        };
        let error = proxy.begin_login(&request).await.unwrap_err();
        answers.push((error.status(), error.to_string(), error.hint().map(str::to_owned)));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[tokio::test]
async fn a_reset_between_the_steps_ends_the_login() {
    let town = town_with(SecondFactor::Otp).await;
    let app = with_app(&town, "alice").await;
    town.hands.turn(Duration::from_secs(60));
    let begun = town.proxy().await.begin_login(&password_of("alice")).await.unwrap();
    let alice = access::UserName::parse("alice").unwrap();
    town.admin().reset_user(&alice, &Default::default()).await.unwrap();
    let error = finish(&town, &begun.id, Some(otp(&app, &town))).await.unwrap_err();
    assert_eq!(error.status(), Some(401));
}

#[tokio::test]
async fn devices_that_the_cluster_does_not_ask_for_do_not_log_in() {
    let town = town_with(SecondFactor::On).await;
    with_app(&town, "alice").await;
    let town = town.restart_with(|config| config.second_factor = SecondFactor::Webauthn).await;
    let error = town.proxy().await.begin_login(&password_of("alice")).await.unwrap_err();
    assert_eq!(error.status(), Some(401));
    let failures = town.events("user.login").await;
    assert!(failures.iter().any(|e| e["error"] == "the user has not enrolled a second factor"));
}

#[tokio::test]
async fn only_proxies_may_ask() {
    let town = town_with(SecondFactor::Otp).await;
    with_app(&town, "alice").await;
    for client in [town.agent("agent-1").await, town.admin()] {
        let error = client.begin_login(&password_of("alice")).await.unwrap_err();
        assert_eq!(error.status(), Some(403), "{error}");
    }
}

#[tokio::test]
async fn at_an_address_passkeys_are_impossible_and_that_is_said() {
    let town = Town::start_with(|config| {
        config.second_factor = SecondFactor::Webauthn;
        config.proxy_public_addr = Some("192.0.2.1:443".to_owned());
    })
    .await;
    let request = api::types::users::UserRequest {
        name: access::UserName::parse("alice").unwrap(),
        roles: vec![access::RoleName::parse("access").unwrap()],
        traits: Default::default(),
        ttl_seconds: None,
    };
    let link = town.admin().add_user(&request).await.unwrap();
    let error = town.proxy().await.invite(&super::town::token_of(&link.url)).await.unwrap_err();
    assert!(error.to_string().contains("host names only"), "{error}");
    assert!(error.hint().unwrap().contains("proxy_service.public_addr"));
    let ping = town.proxy().await.ping().await.unwrap();
    assert!(ping.auth.webauthn.is_none());
}

#[tokio::test]
async fn ping_tells_where_passkeys_are_good() {
    let town = Town::start_with(|config| {
        config.second_factor = SecondFactor::On;
        config.webauthn_rp_id = Some("example.com".to_owned());
    })
    .await;
    let ping = town.proxy().await.ping().await.unwrap();
    assert_eq!(ping.auth.webauthn.unwrap().rp_id, "example.com");
    let town = town_with(SecondFactor::Otp).await;
    assert!(town.proxy().await.ping().await.unwrap().auth.webauthn.is_none());
}

#[tokio::test]
async fn a_link_takes_a_passkey_that_was_made_for_it_only() {
    let town = town_with(SecondFactor::On).await;
    let (hers, for_her) = invited(&town, "alice").await;
    let (_, for_him) = invited(&town, "mallory").await;
    let proxy = town.proxy().await;
    let accept = |enrolment: &str, credential| InviteAcceptance {
        webauthn: Some(NewPasskey { enrolment: enrolment.to_owned(), name: None, credential }),
        ..acceptance()
    };
    assert!(!for_her.otp_optional && for_her.otp.is_some());
    let (offer, other) = (for_her.webauthn.unwrap(), for_him.webauthn.unwrap());
    // Made for another link.
    let (_, credential) = Passkey::create(&other.options);
    let error =
        proxy.accept_invite(&hers, &accept(&other.enrolment, credential)).await.unwrap_err();
    assert_eq!(error.status(), Some(400));
    // Rubbish; then the offer is used up.
    let error = proxy.accept_invite(&hers, &accept(&offer.enrolment, json!({}))).await.unwrap_err();
    assert_eq!(error.status(), Some(400));
    let (_, credential) = Passkey::create(&offer.options);
    let late = accept(&offer.enrolment, credential);
    assert_eq!(proxy.accept_invite(&hers, &late).await.unwrap_err().status(), Some(400));
    // Nothing at all.
    let error = proxy.accept_invite(&hers, &acceptance()).await.unwrap_err();
    assert_eq!(error.to_string(), "a one-time code or a passkey is needed");
    // The page shown again makes another.
    let offer = proxy.invite(&hers).await.unwrap().webauthn.unwrap();
    let (_, credential) = Passkey::create(&offer.options);
    proxy.accept_invite(&hers, &accept(&offer.enrolment, credential)).await.unwrap();
}
