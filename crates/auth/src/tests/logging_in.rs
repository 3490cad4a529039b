//! Logging in: passwords, one-time codes, lock-out, and one answer to all that is wrong.

use std::time::{Duration, Instant};

use access::{RoleName, UserName};
use api::ApiError;
use api::types::invites::{InviteAcceptance, InviteKind};
use api::types::login::{LoginReply, LoginRequest, Password};
use api::types::ping::SecondFactor;
use api::types::users::{ResetRequest, UserRequest};
use pki::KeyPair;
use totp_rs::{Builder, Secret, Totp};

use super::town::{ARN, PASSWORD, Town, login_request, token_of};

async fn try_login(
    town: &Town,
    name: &str,
    change: impl FnOnce(&mut LoginRequest),
) -> Result<LoginReply, ApiError> {
    let mut request = login_request(name, &KeyPair::generate().unwrap());
    change(&mut request);
    town.proxy().await.login(&request).await
}

fn wrong_password(request: &mut LoginRequest) {
    request.password = Password::new("wrong password wrong".to_owned());
}

/// Makes a user with a second factor; gives the device.
async fn enrol_with_otp(town: &Town, name: &str) -> Totp {
    let request = UserRequest {
        name: UserName::parse(name).unwrap(),
        roles: vec![RoleName::parse("access").unwrap()],
        traits: Default::default(),
        ttl_seconds: None,
    };
    let token = token_of(&town.admin().add_user(&request).await.unwrap().url);
    let proxy = town.proxy().await;
    let invite = proxy.invite(&token).await.unwrap();
    let secret = Secret::try_from_base32(invite.otp.unwrap().secret).unwrap();
    let device = Builder::new().with_secret(secret).build().unwrap();
    let acceptance = InviteAcceptance {
        password: Password::new(PASSWORD.to_owned()),
        otp: Some(code(&device, town)),
        webauthn: None,
        remote_addr: None,
    };
    proxy.accept_invite(&token, &acceptance).await.unwrap();
    device
}

fn code(device: &Totp, town: &Town) -> String {
    let now = town.hands.now().duration_since(std::time::UNIX_EPOCH).unwrap();
    device.generate(now.as_secs()).to_string()
}

#[tokio::test]
async fn a_login_gives_a_certificate_with_what_the_pipeline_needs() {
    let town = Town::start().await;
    town.enrol("alice", &["access"]).await;
    let (credential, reply) = town.login("alice").await;
    let claims = pki::unverified_claims(credential.cert()).unwrap();
    assert_eq!(claims.user, "alice");
    assert_eq!(claims.roles.iter().map(RoleName::as_str).collect::<Vec<_>>(), ["access"]);
    assert_eq!(claims.allowed_aws_roles, [ARN]);
    assert_eq!(claims.expires, town.hands.now() + Duration::from_secs(12 * 3_600));
    assert!(!claims.mfa && claims.app.is_none());
    assert_eq!(reply.trust, town.handle.trust());
    assert!(reply.warnings.is_empty());
    let login = &town.events("user.login").await[0];
    assert_eq!((login["code"].as_str(), login["user"].as_str()), (Some("T1000I"), Some("alice")));
    assert_eq!(login["addr.remote"], "192.0.2.7");
    let certificate = &town.events("cert.create").await[0];
    assert_eq!(certificate["identity"]["user"], "alice");
}

#[tokio::test]
async fn the_wanted_life_is_capped_by_the_roles() {
    let town = Town::start().await;
    town.enrol("alice", &["access"]).await;
    for (wanted, given) in [(Some(60), 60), (Some(1_000_000), 30 * 3_600), (None, 12 * 3_600)] {
        let reply =
            try_login(&town, "alice", |request| request.ttl_seconds = wanted).await.unwrap();
        let claims = pki::unverified_claims(&pki::CertPem::parse(&reply.certificate).unwrap());
        let life = claims.unwrap().expires.duration_since(town.hands.now()).unwrap();
        assert_eq!(life.as_secs(), given, "{wanted:?}");
    }
}

#[tokio::test]
async fn a_role_arn_that_does_not_parse_is_warned_about_at_login() {
    let town = Town::start().await;
    let mut request = UserRequest {
        name: UserName::parse("bob").unwrap(),
        roles: vec![RoleName::parse("access").unwrap()],
        traits: Default::default(),
        ttl_seconds: None,
    };
    let bad = "arn:aws:iam:123456789000:role/role_for_bob";
    request.traits.insert("aws_role_arns".to_owned(), vec![bad.to_owned()]);
    let token = token_of(&town.admin().add_user(&request).await.unwrap().url);
    let acceptance = InviteAcceptance {
        password: Password::new(PASSWORD.to_owned()),
        otp: None,
        webauthn: None,
        remote_addr: None,
    };
    town.proxy().await.accept_invite(&token, &acceptance).await.unwrap();
    let (_, reply) = town.login("bob").await;
    let warning = reply.warnings.join("\n");
    assert!(warning.contains(bad), "{warning}");
    assert!(warning.contains("arn:aws:iam::123456789000:role/role_for_bob"), "{warning}");
}

#[tokio::test]
async fn everything_wrong_gets_the_same_answer_and_its_own_reason_in_the_log() {
    let town = Town::start().await;
    for name in ["alice", "locked", "stopped"] {
        town.enrol(name, &["access"]).await;
    }
    let request = UserRequest {
        name: UserName::parse("invited").unwrap(),
        roles: vec![RoleName::parse("access").unwrap()],
        traits: Default::default(),
        ttl_seconds: None,
    };
    town.admin().add_user(&request).await.unwrap();
    super::resources::lock_user(&town, "stopped").await;
    for _ in 0..5 {
        try_login(&town, "locked", wrong_password).await.unwrap_err();
    }
    let mut answers = Vec::new();
    for (name, change) in [
        ("nobody", (|_| {}) as fn(&mut LoginRequest)),
        ("not a name/../", |_| {}),
        ("alice", wrong_password),
        ("alice", |request| request.password = Password::new("x".repeat(100_000))),
        ("locked", |_| {}),
        ("stopped", |_| {}),
        ("invited", |_| {}),
    ] {
        let error = try_login(&town, name, change).await.unwrap_err();
        answers.push((error.status(), error.to_string(), error.hint().map(str::to_owned)));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers[0].0, Some(401));
    let events = town.events("user.login").await;
    let mut reasons: Vec<_> = events.iter().filter_map(|event| event["error"].as_str()).collect();
    reasons.dedup();
    assert_eq!(
        reasons,
        [
            "wrong password",
            "no such user",
            "wrong password",
            "locked out after failed logins",
            "the user is locked",
            "the user has not set a password yet",
        ]
    );
    assert!(events.iter().all(|event| event["code"] == "T1000W" || event["success"] == true));
}

#[tokio::test]
async fn an_unknown_user_costs_as_much_time_as_a_wrong_password() {
    // Half the production cost in memory, so that the hash outweighs everything else.
    let town = Town::start_with(|config| {
        config.password_cost =
            crate::PasswordCost { memory_kib: 9_500, passes: 2, lanes: 1, at_once: 1 };
        config.lockout.failures = 1_000;
    })
    .await;
    town.enrol("alice", &["access"]).await;
    let proxy = town.proxy().await;
    let mut fastest = [Duration::MAX; 2];
    for _ in 0..7 {
        for (place, name) in ["alice", "nobody"].into_iter().enumerate() {
            let mut request = login_request(name, &KeyPair::generate().unwrap());
            wrong_password(&mut request);
            let start = Instant::now();
            proxy.login(&request).await.unwrap_err();
            fastest[place] = fastest[place].min(start.elapsed());
        }
    }
    let [known, unknown] = fastest.map(|time| time.as_secs_f64());
    assert!(unknown > known * 0.5 && known > unknown * 0.5, "{known} against {unknown}");
}

#[tokio::test]
async fn five_failures_lock_out_for_twenty_minutes_even_across_a_restart() {
    let town = Town::start().await;
    town.enrol("alice", &["access"]).await;
    for _ in 0..4 {
        try_login(&town, "alice", wrong_password).await.unwrap_err();
    }
    try_login(&town, "alice", |_| {}).await.unwrap();
    for _ in 0..5 {
        try_login(&town, "alice", wrong_password).await.unwrap_err();
    }
    let lockouts = town.events("user.lockout").await;
    assert_eq!(lockouts.len(), 1, "the good login in between forgot the first four");
    assert_eq!(lockouts[0]["attempts"], 5);
    let town = town.restart_with(|_| {}).await;
    town.hands.turn(Duration::from_secs(20 * 60 - 1));
    try_login(&town, "alice", |_| {}).await.unwrap_err();
    town.hands.turn(Duration::from_secs(1));
    try_login(&town, "alice", |_| {}).await.unwrap();
}

#[tokio::test]
async fn failures_far_apart_do_not_add_up() {
    let town = Town::start().await;
    town.enrol("alice", &["access"]).await;
    for _ in 0..8 {
        try_login(&town, "alice", wrong_password).await.unwrap_err();
        town.hands.turn(Duration::from_secs(21 * 60));
    }
    try_login(&town, "alice", |_| {}).await.unwrap();
    assert!(town.events("user.lockout").await.is_empty());
}

#[tokio::test]
async fn guesses_at_once_count_one_by_one() {
    let town = Town::start().await;
    town.enrol("alice", &["access"]).await;
    let proxy = town.proxy().await;
    let guesses = (0..12).map(|_| async {
        let mut request = login_request("alice", &KeyPair::generate().unwrap());
        wrong_password(&mut request);
        proxy.login(&request).await.unwrap_err();
    });
    futures_util::future::join_all(guesses).await;
    assert_eq!(town.events("user.lockout").await.len(), 1);
    try_login(&town, "alice", |_| {}).await.unwrap_err();
}

#[tokio::test]
async fn a_code_is_needed_and_good_once() {
    let town = Town::start_with(|config| config.second_factor = SecondFactor::Otp).await;
    let device = enrol_with_otp(&town, "alice").await;
    let used = code(&device, &town);
    let error = try_login(&town, "alice", |request| request.otp = Some(used)).await.unwrap_err();
    assert_eq!(error.status(), Some(401), "the code of the enrolment is used up");
    town.hands.turn(Duration::from_secs(30));
    let good = code(&device, &town);
    try_login(&town, "alice", |_| {}).await.unwrap_err();
    try_login(&town, "alice", |request| request.otp = Some("000000".to_owned())).await.unwrap_err();
    let both = |request: &mut LoginRequest| request.otp = Some(good.clone());
    let (one, two) = tokio::join!(try_login(&town, "alice", both), try_login(&town, "alice", both));
    assert_eq!(usize::from(one.is_ok()) + usize::from(two.is_ok()), 1, "one code, one login");
    let reply = one.or(two).unwrap();
    let claims = pki::unverified_claims(&pki::CertPem::parse(&reply.certificate).unwrap()).unwrap();
    assert!(claims.mfa);
    try_login(&town, "alice", both).await.unwrap_err();
    let good = &town.events("user.login").await;
    let good: Vec<_> = good.iter().filter(|event| event["success"] == true).collect();
    assert_eq!(good.len(), 1);
    assert_eq!(good[0]["mfa_device"]["mfa_device_type"], "TOTP");
}

#[tokio::test]
async fn an_optional_second_factor_is_asked_of_those_who_enrolled_one() {
    let town = Town::start_with(|config| config.second_factor = SecondFactor::Optional).await;
    let device = enrol_with_otp(&town, "alice").await;
    town.enrol("bob", &["access"]).await;
    try_login(&town, "bob", |_| {}).await.unwrap();
    town.hands.turn(Duration::from_secs(60));
    try_login(&town, "alice", |_| {}).await.unwrap_err();
    let good = code(&device, &town);
    try_login(&town, "alice", |request| request.otp = Some(good)).await.unwrap();
}

#[tokio::test]
async fn a_user_without_a_device_does_not_get_in_once_codes_are_required() {
    let town = Town::start().await;
    town.enrol("alice", &["access"]).await;
    let town = town.restart_with(|config| config.second_factor = SecondFactor::Otp).await;
    try_login(&town, "alice", |_| {}).await.unwrap_err();
    let events = town.events("user.login").await;
    assert_eq!(events.last().unwrap()["error"], "the user has not enrolled a second factor");
}

#[tokio::test]
async fn a_reset_makes_password_and_device_stop_working_and_ends_a_lock_out() {
    let town = Town::start().await;
    town.enrol("alice", &["access"]).await;
    for _ in 0..5 {
        try_login(&town, "alice", wrong_password).await.unwrap_err();
    }
    let alice = UserName::parse("alice").unwrap();
    let link = town.admin().reset_user(&alice, &ResetRequest::default()).await.unwrap();
    assert_eq!(link.kind, InviteKind::Reset);
    try_login(&town, "alice", |_| {}).await.unwrap_err();
    let password = Password::new("another good password".to_owned());
    let acceptance = InviteAcceptance {
        password: password.clone(),
        otp: None,
        webauthn: None,
        remote_addr: None,
    };
    town.proxy().await.accept_invite(&token_of(&link.url), &acceptance).await.unwrap();
    try_login(&town, "alice", |_| {}).await.unwrap_err();
    try_login(&town, "alice", |request| request.password = password).await.unwrap();
}

#[tokio::test]
async fn no_local_login_where_it_is_switched_off() {
    let town = Town::start().await;
    town.enrol("alice", &["access"]).await;
    let town = town.restart_with(|config| config.local_auth = false).await;
    let error = try_login(&town, "alice", |_| {}).await.unwrap_err();
    assert_eq!(error.status(), Some(403));
    assert!(error.hint().unwrap().contains("local_auth"));
}
