//! What people do about their own accounts: second factors, the password, codes for `tsh`.

use std::time::Duration;

use access::UserName;
use api::types::browser_codes::{BrowserCodeRequest, BrowserPurpose};
use api::types::login::{BrowserLogin, LoginReply, Password};
use api::types::mfa::{DeviceRemoval, DeviceRequest, MfaKind, MfaProof, PasswordChange};
use api::types::ping::SecondFactor;
use api::{ApiError, Client};
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pki::{CertPem, KeyPair};

use super::passkey::Passkey;
use super::people::{
    add_app, add_passkey, answered, app_of, code, enrolment, login, login_with_code, otp,
    password_of, town_with, with_app, with_passkey,
};
use super::town::{PASSWORD, Town};

const VERIFIER: &str = "0123456789abcdef0123456789abcdef0123456789a";

fn half_minute() -> Duration {
    Duration::from_secs(31)
}

#[tokio::test]
async fn a_user_may_have_several_devices_and_any_of_them_does() {
    let town = town_with(SecondFactor::On).await;
    let app = with_app(&town, "alice").await;
    town.hands.turn(half_minute());
    let alice = login_with_code(&town, "alice", &app).await;
    town.hands.turn(half_minute());
    let (mut passkey, device) =
        add_passkey(&alice, "laptop", Some(otp(&app, &town))).await.unwrap();
    let proof = answered(&alice, &mut passkey).await;
    let (second, _) = add_app(&town, &alice, "phone", Some(proof)).await.unwrap();
    let names: Vec<_> =
        alice.mfa_devices().await.unwrap().into_iter().map(|device| device.name).collect();
    assert_eq!(names.len(), 3);
    assert!(names.contains(&"laptop".to_owned()) && names.contains(&"phone".to_owned()));
    login(&town, "alice", &mut passkey).await;
    town.hands.turn(half_minute());
    login_with_code(&town, "alice", &second).await;
    // The first app and the second one each count for themselves: the same moment serves both.
    login_with_code(&town, "alice", &app).await;
    let proof = answered(&alice, &mut passkey).await;
    alice.remove_mfa_device(&device.id, &DeviceRemoval { proof }).await.unwrap();
    let begun = town.proxy().await.begin_login(&password_of("alice")).await.unwrap();
    assert!(begun.webauthn.is_none() && begun.otp);
    assert_eq!(town.events("mfa.delete").await[0]["mfa_device_name"], "laptop");
}

#[tokio::test]
async fn whoever_has_a_device_must_show_it_to_enrol_another() {
    let town = town_with(SecondFactor::On).await;
    let mut passkey = with_passkey(&town, "alice").await;
    let mut mallorys = with_passkey(&town, "mallory").await;
    let alice = login(&town, "alice", &mut passkey).await;
    let mallory = login(&town, "mallory", &mut mallorys).await;
    let error = add_passkey(&alice, "other", None).await.map(|_| ()).unwrap_err();
    assert!(error.needs_mfa(), "{error}");
    for proof in [
        MfaProof::Otp { code: "000000".to_owned() },
        // Another user's, true as it is.
        answered(&mallory, &mut mallorys).await,
        MfaProof::Browser { code: "no".to_owned(), verifier: VERIFIER.to_owned() },
    ] {
        let error = add_passkey(&alice, "other", Some(proof)).await.map(|_| ()).unwrap_err();
        assert_eq!((error.status(), error.needs_mfa()), (Some(403), false), "{error}");
    }
    assert_eq!(alice.mfa_devices().await.unwrap().len(), 1);
    assert!(!town.events("auth").await.is_empty(), "refused proofs are in the log");
    // The challenge that another user's proof named is still good for its own user.
    let proof = answered(&mallory, &mut mallorys).await;
    add_passkey(&alice, "other", Some(proof.clone())).await.map(|_| ()).unwrap_err();
    add_passkey(&mallory, "other", Some(proof)).await.unwrap();
}

#[tokio::test]
async fn a_proof_is_good_once() {
    let town = town_with(SecondFactor::On).await;
    let mut passkey = with_passkey(&town, "alice").await;
    let alice = login(&town, "alice", &mut passkey).await;
    let proof = answered(&alice, &mut passkey).await;
    add_passkey(&alice, "one", Some(proof.clone())).await.unwrap();
    let error = add_passkey(&alice, "two", Some(proof)).await.map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "the second factor was not accepted");
    let late = answered(&alice, &mut passkey).await;
    town.hands.turn(Duration::from_secs(5 * 60));
    add_passkey(&alice, "two", Some(late)).await.map(|_| ()).unwrap_err();
}

#[tokio::test]
async fn wrong_proofs_of_a_stolen_session_lock_out() {
    let town = town_with(SecondFactor::On).await;
    let app = with_app(&town, "alice").await;
    town.hands.turn(half_minute());
    let alice = login_with_code(&town, "alice", &app).await;
    for _ in 0..5 {
        let wrong = MfaProof::Otp { code: "000000".to_owned() };
        add_passkey(&alice, "other", Some(wrong)).await.map(|_| ()).unwrap_err();
    }
    town.hands.turn(half_minute());
    let error = add_passkey(&alice, "other", Some(otp(&app, &town))).await.map(|_| ());
    assert!(error.unwrap_err().to_string().contains("too many wrong"));
    assert_eq!(town.events("user.lockout").await.len(), 1);
}

#[tokio::test]
async fn the_last_device_stays_where_one_is_required() {
    let town = town_with(SecondFactor::On).await;
    let mut passkey = with_passkey(&town, "alice").await;
    let alice = login(&town, "alice", &mut passkey).await;
    let id = alice.mfa_devices().await.unwrap()[0].id.clone();
    let proof = answered(&alice, &mut passkey).await;
    let error =
        alice.remove_mfa_device(&id, &DeviceRemoval { proof: proof.clone() }).await.unwrap_err();
    assert_eq!(error.status(), Some(409));
    assert!(error.to_string().contains("last second factor"), "{error}");
    // The proof was not used up by that, and another user's device is none of alice's.
    let error = alice.remove_mfa_device("no-such-id", &DeviceRemoval { proof }).await.unwrap_err();
    assert_eq!(error.status(), Some(404));
    let town = town.restart_with(|config| config.second_factor = SecondFactor::Optional).await;
    let alice = login(&town, "alice", &mut passkey).await;
    let proof = answered(&alice, &mut passkey).await;
    alice.remove_mfa_device(&id, &DeviceRemoval { proof }).await.unwrap();
    let begun = town.proxy().await.begin_login(&password_of("alice")).await.unwrap();
    assert!(!begun.needs_factor);
}

#[tokio::test]
async fn two_removals_at_once_leave_one_device() {
    let town = town_with(SecondFactor::On).await;
    let mut passkey = with_passkey(&town, "alice").await;
    let alice = login(&town, "alice", &mut passkey).await;
    let proof = answered(&alice, &mut passkey).await;
    let (mut second, _) = add_passkey(&alice, "second", Some(proof)).await.unwrap();
    let devices = alice.mfa_devices().await.unwrap();
    let by_first = DeviceRemoval { proof: answered(&alice, &mut passkey).await };
    let by_second = DeviceRemoval { proof: answered(&alice, &mut second).await };
    let (one, two) = tokio::join!(
        alice.remove_mfa_device(&devices[0].id, &by_first),
        alice.remove_mfa_device(&devices[1].id, &by_second)
    );
    assert!(one.is_ok() != two.is_ok());
    assert_eq!(alice.mfa_devices().await.unwrap().len(), 1);
}

#[tokio::test]
async fn names_and_passkeys_are_unique_and_enrolments_are_their_owners() {
    let town = town_with(SecondFactor::Optional).await;
    let alice = town.user("alice", &["access"]).await;
    let mallory = town.user("mallory", &["access"]).await;
    let begun = alice.begin_enrolment(&enrolment(MfaKind::Webauthn, "key", None)).await.unwrap();
    let (mut passkey, credential) = Passkey::create(begun.webauthn.as_ref().unwrap());
    let request = DeviceRequest { enrolment: begun.id, code: None, credential: Some(credential) };
    assert_eq!(mallory.finish_enrolment(&request).await.unwrap_err().status(), Some(404));
    alice.finish_enrolment(&request).await.unwrap();
    assert_eq!(alice.finish_enrolment(&request).await.unwrap_err().status(), Some(404));
    let proof = answered(&alice, &mut passkey).await;
    for (name, status) in [("key", 409), (" key ", 409), ("", 400), ("a\u{7}", 400)] {
        let error = add_passkey(&alice, name, Some(proof.clone())).await.map(|_| ()).unwrap_err();
        assert_eq!(error.status(), Some(status), "{name:?}");
    }
}

#[tokio::test]
async fn a_mistyped_code_leaves_the_enrolment_open() {
    let town = town_with(SecondFactor::Optional).await;
    let alice = town.user("alice", &["access"]).await;
    let begun = alice.begin_enrolment(&enrolment(MfaKind::Totp, "phone", None)).await.unwrap();
    let app = app_of(&begun.totp.unwrap().secret);
    let with = |code: String| DeviceRequest {
        enrolment: begun.id.clone(),
        code: Some(code),
        credential: None,
    };
    let error = alice.finish_enrolment(&with("000000".to_owned())).await.unwrap_err();
    assert_eq!(error.status(), Some(400));
    alice.finish_enrolment(&with(code(&app, &town))).await.unwrap();
    // The code that confirmed it is used up.
    let begun = town.proxy().await.begin_login(&password_of("alice")).await.unwrap();
    let proof = Some(otp(&app, &town));
    super::people::finish(&town, &begun.id, proof).await.map(|_| ()).unwrap_err();
}

#[tokio::test]
async fn a_reset_ends_what_was_begun_and_takes_the_devices() {
    let town = town_with(SecondFactor::Optional).await;
    let alice = town.user("alice", &["access"]).await;
    let begun = alice.begin_enrolment(&enrolment(MfaKind::Totp, "phone", None)).await.unwrap();
    let app = app_of(&begun.totp.unwrap().secret);
    let name = UserName::parse("alice").unwrap();
    town.admin().reset_user(&name, &Default::default()).await.unwrap();
    let request =
        DeviceRequest { enrolment: begun.id, code: Some(code(&app, &town)), credential: None };
    assert_eq!(alice.finish_enrolment(&request).await.unwrap_err().status(), Some(404));
}

async fn change(
    client: &Client,
    old: &str,
    new: &str,
    proof: Option<MfaProof>,
) -> Result<(), ApiError> {
    let change = PasswordChange {
        old: Password::new(old.to_owned()),
        new: Password::new(new.to_owned()),
        proof,
        keep_session: None,
    };
    client.change_password(&change).await
}

#[tokio::test]
async fn a_new_password_takes_the_old_one_and_a_factor() {
    let town = town_with(SecondFactor::On).await;
    let mut passkey = with_passkey(&town, "alice").await;
    let alice = login(&town, "alice", &mut passkey).await;
    let new = "another long password";
    assert!(change(&alice, PASSWORD, new, None).await.unwrap_err().needs_mfa());
    let proof = answered(&alice, &mut passkey).await;
    let error = change(&alice, "wrong password!", new, Some(proof.clone())).await.unwrap_err();
    assert_eq!(error.status(), Some(403));
    let wrong = MfaProof::Otp { code: "000000".to_owned() };
    change(&alice, PASSWORD, new, Some(wrong)).await.unwrap_err();
    change(&alice, PASSWORD, "short", Some(proof)).await.unwrap_err();
    let proof = answered(&alice, &mut passkey).await;
    change(&alice, PASSWORD, new, Some(proof)).await.unwrap();
    town.proxy().await.begin_login(&password_of("alice")).await.unwrap_err();
    assert_eq!(town.events("user.password_change").await.len(), 2);
}

#[tokio::test]
async fn guessing_the_old_password_locks_out() {
    let town = town_with(SecondFactor::Off).await;
    let alice = town.user("alice", &["access"]).await;
    for _ in 0..5 {
        change(&alice, "wrong password!", "another long password", None).await.unwrap_err();
    }
    let error = change(&alice, PASSWORD, "another long password", None).await.unwrap_err();
    assert_eq!(error.status(), Some(403));
    assert_eq!(town.events("user.lockout").await.len(), 1);
}

// --- codes for tsh --------------------------------------------------------------------------

fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()))
}

async fn browser_code(
    client: &Client,
    purpose: BrowserPurpose,
    proof: Option<MfaProof>,
) -> Result<String, ApiError> {
    let request = BrowserCodeRequest { challenge: challenge_of(VERIFIER), purpose, proof };
    client.browser_code(&request).await.map(|code| code.code)
}

async fn redeem(town: &Town, code: &str, verifier: &str) -> Result<LoginReply, ApiError> {
    let request = BrowserLogin {
        browser_code: code.to_owned(),
        verifier: verifier.to_owned(),
        public_key: KeyPair::generate().unwrap().public_pem(),
        ttl_seconds: None,
        remote_addr: Some("192.0.2.7".to_owned()),
        user_agent: Some("tsh".to_owned()),
    };
    town.proxy().await.login_by_browser(&request).await
}

#[tokio::test]
async fn a_browser_lets_tsh_log_in_once_and_no_longer_than_itself() {
    let town = town_with(SecondFactor::On).await;
    let mut passkey = with_passkey(&town, "alice").await;
    let alice = login(&town, "alice", &mut passkey).await;
    let ends = town.hands.now() + Duration::from_secs(12 * 3_600);
    town.hands.turn(Duration::from_secs(3_600));
    let code = browser_code(&alice, BrowserPurpose::Login, None).await.unwrap();
    let reply = redeem(&town, &code, VERIFIER).await.unwrap();
    let claims = |reply: &LoginReply| {
        pki::unverified_claims(&CertPem::parse(&reply.certificate).unwrap()).unwrap()
    };
    assert_eq!((claims(&reply).expires, claims(&reply).mfa), (ends, true));
    let error = redeem(&town, &code, VERIFIER).await.unwrap_err();
    assert_eq!(error.status(), Some(401));
    // With a fresh factor it is a login of its own.
    let proof = answered(&alice, &mut passkey).await;
    let code = browser_code(&alice, BrowserPurpose::Login, Some(proof)).await.unwrap();
    let reply = redeem(&town, &code, VERIFIER).await.unwrap();
    assert_eq!(claims(&reply).expires, town.hands.now() + Duration::from_secs(12 * 3_600));
    assert_eq!(town.events("browser_code.create").await.len(), 2);
}

#[tokio::test]
async fn a_code_wants_its_verifier_its_purpose_and_haste() {
    let town = town_with(SecondFactor::On).await;
    let mut passkey = with_passkey(&town, "alice").await;
    let alice = login(&town, "alice", &mut passkey).await;
    // A wrong verifier uses the code up.
    let code = browser_code(&alice, BrowserPurpose::Login, None).await.unwrap();
    let wrong = VERIFIER.replace('0', "1");
    redeem(&town, &code, &wrong).await.unwrap_err();
    redeem(&town, &code, VERIFIER).await.unwrap_err();
    // One for proving does not log in.
    let proof = answered(&alice, &mut passkey).await;
    let code = browser_code(&alice, BrowserPurpose::Mfa, Some(proof)).await.unwrap();
    redeem(&town, &code, VERIFIER).await.unwrap_err();
    // One for logging in proves nothing.
    let code = browser_code(&alice, BrowserPurpose::Login, None).await.unwrap();
    let proof = MfaProof::Browser { code, verifier: VERIFIER.to_owned() };
    add_passkey(&alice, "other", Some(proof)).await.map(|_| ()).unwrap_err();
    let code = browser_code(&alice, BrowserPurpose::Login, None).await.unwrap();
    town.hands.turn(Duration::from_secs(60));
    redeem(&town, &code, VERIFIER).await.unwrap_err();
    // What is no hash is refused at once; so is a proof that is missing.
    let request = BrowserCodeRequest {
        challenge: "short".to_owned(),
        purpose: BrowserPurpose::Login,
        proof: None,
    };
    assert_eq!(alice.browser_code(&request).await.unwrap_err().status(), Some(400));
    assert!(browser_code(&alice, BrowserPurpose::Mfa, None).await.unwrap_err().needs_mfa());
}

#[tokio::test]
async fn a_code_proves_a_factor_for_its_own_user_once() {
    let town = town_with(SecondFactor::On).await;
    let mut passkey = with_passkey(&town, "alice").await;
    let mut mallorys = with_passkey(&town, "mallory").await;
    let alice = login(&town, "alice", &mut passkey).await;
    let mallory = login(&town, "mallory", &mut mallorys).await;
    let proof = answered(&mallory, &mut mallorys).await;
    let code = browser_code(&mallory, BrowserPurpose::Mfa, Some(proof)).await.unwrap();
    let stolen = MfaProof::Browser { code, verifier: VERIFIER.to_owned() };
    add_passkey(&alice, "other", Some(stolen)).await.map(|_| ()).unwrap_err();
    let proof = answered(&alice, &mut passkey).await;
    let code = browser_code(&alice, BrowserPurpose::Mfa, Some(proof)).await.unwrap();
    let own = MfaProof::Browser { code, verifier: VERIFIER.to_owned() };
    add_passkey(&alice, "other", Some(own.clone())).await.unwrap();
    add_passkey(&alice, "third", Some(own)).await.map(|_| ()).unwrap_err();
}

#[tokio::test]
async fn a_code_dies_with_the_account_that_gave_it() {
    let town = town_with(SecondFactor::Off).await;
    let alice = town.user("alice", &["access"]).await;
    let bob = town.user("bob", &["access"]).await;
    let hers = browser_code(&alice, BrowserPurpose::Login, None).await.unwrap();
    let his = browser_code(&bob, BrowserPurpose::Login, None).await.unwrap();
    let name = UserName::parse("alice").unwrap();
    town.admin().reset_user(&name, &Default::default()).await.unwrap();
    super::resources::lock_user(&town, "bob").await;
    redeem(&town, &hers, VERIFIER).await.unwrap_err();
    redeem(&town, &his, VERIFIER).await.unwrap_err();
    let error = browser_code(&bob, BrowserPurpose::Login, None).await.unwrap_err();
    assert_eq!(error.status(), Some(403));
}
