//! What goes into certificates, and which AWS role is chosen for an app.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use access::decide::Intent;
use access::issue::DEFAULT_TTL;
use access::resource::UserStatus;
use access::role_set::MAX_SESSION_TTL;
use access::{
    AppLogin, AppRequest, Claims, IssueError, Login, LoginRequest, Role, RoleChoice, RoleSet, User,
    app_claims, available_aws_roles, decide, login_claims, malformed_aws_roles, permit_app,
    resolve_aws_role,
};

use support::{
    ELSEWHERE, READER, WRITER, app, arn, call, hour, identity, now, role, role_name, traits,
};

fn user(roles: &[&str]) -> User {
    let names = roles.iter().map(|name| role_name(name)).collect();
    User::new(
        support::user_name("alice"),
        names,
        traits(&[
            ("aws_role_arns", &[READER, "arn:aws:iam:123456789000:role/role_for_alice"]),
            ("email", &["alice@example.com"]),
        ]),
    )
}

fn login(user: &User, roles: Vec<Role>, ttl: Option<Duration>) -> Result<Login, IssueError> {
    let roles = RoleSet::new(roles.into_iter().map(Arc::new).collect());
    let cluster = support::cluster();
    login_claims(&LoginRequest {
        user,
        roles: &roles,
        cluster: &cluster,
        now: now(),
        ttl,
        mfa: true,
        login_ip: None,
    })
}

fn everything(name: &str, arns: &str) -> Role {
    role(name, &format!("allow:\n  app_labels: {{'*': '*'}}\n  aws_role_arns: {arns}\n"))
}

#[test]
fn a_login_carries_the_union_of_the_arns_less_the_denied() {
    let roles = vec![
        everything("one", "['{{internal.aws_role_arns}}']"),
        everything(
            "two",
            &format!(
                "['{WRITER}', '{ELSEWHERE}', 'arn:aws:iam::123456789012:role/{{{{email.local(external.email)}}}}']"
            ),
        ),
        role("three", &format!("deny:\n  aws_role_arns: ['{ELSEWHERE}']\n")),
    ];
    let login = login(&user(&["one", "two", "three"]), roles, None).unwrap();
    assert_eq!(
        login.claims.allowed_aws_roles,
        [
            "arn:aws:iam:123456789000:role/role_for_alice",
            READER,
            WRITER,
            "arn:aws:iam::123456789012:role/alice",
        ]
    );
    assert_eq!(login.warnings.len(), 1);
    let warning = login.warnings[0].to_string();
    assert!(warning.starts_with("role `one`, spec.allow.aws_role_arns[0]: "), "{warning}");
    assert!(
        warning.contains("did you mean `arn:aws:iam::123456789000:role/role_for_alice`?"),
        "{warning}"
    );
    assert_eq!(login.claims.app, None);
    assert!(login.claims.mfa);
}

#[test]
fn a_certificate_lives_as_long_as_the_shortest_says() {
    let short = || role("short", "options: {max_session_ttl: 2h}\n");
    let long = || role("long", "options: {max_session_ttl: 20h}\n");
    let endless = || role("endless", "options: {max_session_ttl: 1000h}\n");
    for (roles, asked, expected) in [
        (vec![long()], None, DEFAULT_TTL),
        (vec![long(), short()], None, 2 * hour()),
        (vec![long()], Some(hour()), hour()),
        (vec![long()], Some(30 * hour()), 20 * hour()),
        (vec![endless()], Some(1000 * hour()), MAX_SESSION_TTL),
    ] {
        let names: Vec<String> = roles.iter().map(|role| role.name().to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let login = login(&user(&names), roles, asked).unwrap();
        assert_eq!(login.claims.expires, now() + expected, "{names:?}");
    }
    let mut ending = user(&["long"]);
    ending.spec.expires = Some(now() + hour() / 2);
    assert_eq!(login(&ending, vec![long()], None).unwrap().claims.expires, now() + hour() / 2);
}

#[test]
fn who_may_not_have_a_certificate_is_told_why() {
    let refused =
        |user: &User, ttl| login(user, vec![everything("one", "[]")], ttl).unwrap_err().to_string();
    assert_eq!(
        refused(&user(&["one", "gone"]), None),
        "user `alice` has the role `gone`, which does not exist; ask an administrator to create it or to take it from the user"
    );
    assert!(refused(&user(&[]), None).contains("has no roles"));
    assert!(refused(&user(&["one"]), Some(Duration::ZERO)).contains("no time left"));
    let mut status = UserStatus::default();
    status.is_locked = true;
    let mut locked = user(&["one"]);
    locked.spec.status = Some(status);
    assert!(refused(&locked, None).contains("is locked"));
    if let Some(status) = &mut locked.spec.status {
        status.lock_expires = Some(now());
    }
    assert!(login(&locked, vec![everything("one", "[]")], None).is_ok());
    let mut ended = user(&["one"]);
    ended.metadata.expires = Some(now());
    assert!(refused(&ended, None).contains("has expired"));
}

/// From login over app login to a call: what each step gives fits the next.
#[test]
fn login_app_login_and_call_fit_together() {
    let roles = vec![role(
        "one",
        &format!(
            "options: {{max_session_ttl: 30m}}\nallow:\n  app_labels: {{'*': '*'}}\n  aws_role_arns: ['{READER}']\n"
        ),
    )];
    let user = user(&["one"]);
    let login = login(&user, roles.clone(), None).unwrap();
    let app = app("aws", &[]);
    let policy = support::policy(&roles, &login.claims).with_user(access::UserNow::from(&user));
    let reader = arn(READER);
    let later = now() + Duration::from_secs(600);
    let request =
        AppRequest { app: &app, aws_role: Some(&reader), intent: Intent::Open, now: later };
    let permit = permit_app(&identity(login.claims.clone()), &request, &policy).unwrap();
    let asked = |user: &Claims| {
        app_claims(AppLogin {
            user,
            permit: &permit,
            session: support::session_id(),
            public_addr: "aws.teleport.example.com",
            now: later,
        })
    };
    let (claims, session) = asked(&login.claims).unwrap();
    assert_eq!(
        claims.expires,
        now() + Duration::from_secs(1800),
        "not later than the user certificate"
    );
    assert_eq!(session.expires, claims.expires);
    assert!(!claims.mfa, "the login's second factor does not count for the app");
    let policy = policy.with_session(session);
    let call = call("ListTables");
    let request = access::AccessRequest { app: &app, call: &call, chain: &[], now: later };
    let grant = decide(&identity(claims), &request, &policy).unwrap();
    assert_eq!(grant.aws_role().as_str(), READER);
    let other = Claims { user: support::user_name("bob"), ..login.claims.clone() };
    assert!(matches!(asked(&other), Err(IssueError::OtherUser { .. })));
    let ended = Claims { expires: later, ..login.claims };
    assert!(matches!(asked(&ended), Err(IssueError::NoTimeLeft { .. })));
}

#[test]
fn a_permit_needs_arn_and_account_to_fit() {
    let roles = vec![everything("one", &format!("['{READER}', '{ELSEWHERE}']"))];
    let claims = Claims { app: None, ..support::claims(&["one"], &app("aws", &[]), READER) };
    let policy = support::policy(&roles, &claims);
    let code = |app: &access::App, aws_role: &str| {
        let aws_role = arn(aws_role);
        let request =
            AppRequest { app, aws_role: Some(&aws_role), intent: Intent::Open, now: now() };
        permit_app(&identity(claims.clone()), &request, &policy)
            .map(|_| ())
            .map_err(|denial| denial.code())
    };
    assert_eq!(code(&app("aws", &[]), READER), Ok(()));
    assert_eq!(code(&app("aws", &[]), WRITER), Err("no-role-allows-arn"));
    assert_eq!(
        code(&app("aws", &[("aws_account_id", "123456789012")]), ELSEWHERE),
        Err("other-account")
    );
    let mut web = app("web", &[]);
    web.spec.uri = "http://localhost:8080".to_owned();
    assert_eq!(code(&web, READER), Err("not-an-aws-app"));
    let request = AppRequest { app: &web, aws_role: None, intent: Intent::List, now: now() };
    assert_eq!(permit_app(&identity(claims), &request, &policy).unwrap().aws_role(), None);
}

#[test]
fn a_list_shows_what_a_second_factor_would_open() {
    let roles = vec![role(
        "one",
        "options: {require_session_mfa: yes}\nallow:\n  app_labels: {'*': '*'}\n",
    )];
    let app = app("aws", &[]);
    let claims = Claims { app: None, ..support::claims(&["one"], &app, READER) };
    let policy = support::policy(&roles, &claims);
    let ask = |intent| {
        permit_app(
            &identity(claims.clone()),
            &AppRequest { app: &app, aws_role: None, intent, now: now() },
            &policy,
        )
    };
    assert!(ask(Intent::List).is_ok());
    assert_eq!(ask(Intent::Open).unwrap_err().code(), "mfa-required");
    assert!(ask(Intent::OpenWithMfa).unwrap().with_mfa());
}

#[test]
fn options_of_several_roles_are_the_strictest() {
    use access::resource::{LockingMode, RequireMfa};
    let roles = [
        role(
            "a",
            "options: {max_session_ttl: 8h, client_idle_timeout: 0s, max_connections: 0, require_session_mfa: yes}\n",
        ),
        role(
            "b",
            "options: {client_idle_timeout: 10m, max_connections: 7, disconnect_expired_cert: true, lock: strict}\n",
        ),
        role(
            "c",
            "options: {client_idle_timeout: 5m, max_connections: 3, pin_source_ip: true, lock: best_effort}\n",
        ),
    ];
    let options = RoleSet::new(roles.into_iter().map(Arc::new).collect()).options();
    assert_eq!(options.max_session_ttl, 8 * hour());
    assert_eq!(options.client_idle_timeout, Some(Duration::from_secs(300)));
    assert_eq!(options.max_connections, Some(3));
    assert!(options.disconnect_expired_cert && options.pin_source_ip);
    assert_eq!(options.require_session_mfa, RequireMfa::Yes);
    assert_eq!(options.locking_mode, LockingMode::Strict);
    let none = RoleSet::default().options();
    assert_eq!(
        (none.max_session_ttl, none.client_idle_timeout, none.max_connections),
        (MAX_SESSION_TTL, None, None)
    );
}

const PATHED: &str = "arn:aws:iam::123456789012:role/team/db/Admin";
const ADMIN: &str = "arn:aws:iam::999999999999:role/Admin";

fn owned(list: &[&str]) -> Vec<String> {
    list.iter().map(|&text| text.to_owned()).collect()
}

#[test]
fn the_role_that_was_meant_is_found() {
    let aws = app("aws", &[]);
    let bound = app("aws", &[("aws_account_id", "999999999999")]);
    let all = owned(&[READER, PATHED, ADMIN, "arn:aws:iam:123456789000:role/broken"]);
    for (allowed, app, asked, expected) in [
        (owned(&[READER]), &aws, None, READER),
        (owned(&[READER, READER, "broken"]), &aws, None, READER),
        (owned(&[READER]), &aws, Some(""), READER),
        (all.clone(), &aws, Some(ADMIN), ADMIN),
        (all.clone(), &aws, Some("Reader"), READER),
        (all.clone(), &aws, Some("team/db/Admin"), PATHED),
        (all.clone(), &bound, Some("Admin"), ADMIN),
        (all.clone(), &bound, None, ADMIN),
    ] {
        assert_eq!(resolve_aws_role(&allowed, app, asked), Ok(arn(expected)), "{asked:?}");
    }
}

#[test]
fn a_role_that_is_not_certain_is_an_error_with_the_table() {
    let aws = app("aws", &[]);
    let all = owned(&[READER, PATHED, ADMIN, "arn:aws:iam:123456789000:role/broken"]);
    let sorted = vec![arn(PATHED), arn(ADMIN), arn(READER)];
    for (allowed, asked, text, candidates) in [
        (&all, None, "--aws-role flag is required", sorted.clone()),
        (&Vec::new(), None, "--aws-role flag is required", vec![]),
        (
            &all,
            Some(WRITER),
            "failed to find the \"arn:aws:iam::123456789012:role/Writer\" role ARN",
            sorted.clone(),
        ),
        (&all, Some("Nobody"), "failed to find the \"Nobody\" role name", sorted.clone()),
        (&all, Some("broken"), "failed to find the \"broken\" role name", sorted.clone()),
        (&all, Some("reader"), "failed to find the \"reader\" role name", sorted),
        (
            &all,
            Some("Admin"),
            "provided role name \"Admin\" is ambiguous, please specify full role ARN",
            vec![arn(PATHED), arn(ADMIN)],
        ),
    ] {
        let choice: RoleChoice = resolve_aws_role(allowed, &aws, asked).unwrap_err();
        assert_eq!(choice.to_string(), text);
        assert_eq!(choice.candidates(), candidates);
    }
    let bound = app("aws", &[("aws_account_id", "111111111111")]);
    assert_eq!(available_aws_roles(&all, &bound), []);
    assert!(matches!(
        resolve_aws_role(&all, &bound, Some(READER)),
        Err(RoleChoice::ArnNotFound { .. })
    ));
}

#[test]
fn malformed_arns_are_never_dropped_in_silence() {
    let found = malformed_aws_roles(&owned(&[READER, "arn:aws:iam:123456789000:role/x"]));
    assert_eq!(found.len(), 1);
    assert!(found[0].message.contains("did you mean `arn:aws:iam::123456789000:role/x`?"));
}
