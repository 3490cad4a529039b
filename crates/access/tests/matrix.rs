//! Who may do what, as a picture: every rule that refuses, in rows that a reviewer can read.
//!
//! When the picture changes, this test writes `matrix.txt.new` beside `matrix.txt` and fails.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing"
)]

#[path = "support/chains.rs"]
mod chains;
mod support;

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use access::policy::{AuthPreference, LOCKS_STALE_AFTER};
use access::resource::{Cloud, LockingMode, RequireMfa};
use access::{
    AccessRequest, App, Claims, ClusterName, Denial, DenialReason, Lock, LockName, LockTarget,
    Policy, ResourceFacts, Role, RuleRequest, SystemRole, UserNow, Verb, decide, may, presets,
};
use aws::RoleArn;

use support::{
    ELSEWHERE, READER, WRITER, app, app_name, assert_committed, call, claims, host_identity, hour,
    identity, now, policy, role, role_name, session, traits, user_name,
};

/// Every role of the picture, with the words that stand for it.
fn roles() -> Vec<Role> {
    let allow = |labels: &str, arns: &str| {
        format!("allow:\n  app_labels: {labels}\n  aws_role_arns: {arns}\n")
    };
    let everything =
        |extra: &str| format!("{}{extra}", allow("{'*': '*'}", &format!("['{READER}']")));
    let everywhere = everything("");
    vec![
        role("reader", &everywhere),
        role("prod-reader", &allow("{env: prod}", &format!("['{READER}']"))),
        role("by-trait", &allow("{'*': '*'}", "['{{internal.aws_role_arns}}']")),
        role(
            "by-name",
            &allow(
                "{'*': '*'}",
                "['arn:aws:iam::123456789012:role/{{email.local(external.email)}}']",
            ),
        ),
        role("by-team", &allow("{team: '{{external.team}}'}", &format!("['{READER}']"))),
        role(
            "by-expression",
            &format!(
                "allow:\n  app_labels_expression: 'contains(user.spec.traits[\"team\"], labels[\"team\"])'\n  aws_role_arns: ['{READER}']\n"
            ),
        ),
        role("apps-only", "allow:\n  app_labels: {'*': '*'}\n"),
        role("arn-only", &format!("allow:\n  aws_role_arns: ['{READER}']\n")),
        role("star-arn", &allow("{'*': '*'}", "['*', 'arn:aws:iam::123456789012:role/*']")),
        role("no-prod", "deny:\n  app_labels: {env: prod}\n"),
        role(
            "no-prod-expression",
            "deny:\n  app_labels_expression: 'labels[\"env\"] == \"prod\"'\n",
        ),
        role(
            "no-reader",
            &format!("deny:\n  app_labels: {{env: none}}\n  aws_role_arns: ['{READER}']\n"),
        ),
        role("no-own-team", "deny:\n  app_labels: {team: '{{external.team}}'}\n"),
        role("broken-deny", "deny:\n  app_labels: {env: '^($'}\n"),
        role("broken-deny-template", "deny:\n  aws_role_arns: ['{{oops}}']\n"),
        role("no-writer", &format!("deny:\n  aws_role_arns: ['{WRITER}']\n")),
        role("mfa-reader", &everything("options:\n  require_session_mfa: yes\n")),
        role("key-reader", &everything("options:\n  require_session_mfa: hardware_key\n")),
        role("pinned-reader", &everything("options:\n  pin_source_ip: true\n")),
        role("device-reader", &everything("options:\n  device_trust_mode: required\n")),
        role("strict-reader", &everything("options:\n  lock: strict\n")),
    ]
}

fn apps() -> Vec<App> {
    vec![
        app("prod", &[("env", "prod"), ("team", "blue")]),
        app("dev", &[("env", "dev"), ("team", "red")]),
        app("bare", &[]),
        app("bound", &[("aws_account_id", "999999999999")]),
    ]
}

/// What alice's certificate says besides her roles.
fn alice(roles: &[&str], app: &App, aws_role: &str) -> Claims {
    Claims {
        traits: traits(&[
            ("aws_role_arns", &[READER]),
            ("email", &["Reader@example.com"]),
            ("team", &["blue"]),
        ]),
        ..claims(roles, app, aws_role)
    }
}

fn mark<T>(answer: &Result<T, Denial>) -> String {
    match answer {
        Ok(_) => "✔".to_owned(),
        Err(denial) => format!("✘ {}", denial.code()),
    }
}

/// Roles × apps × calls, everything else as it should be.
fn roles_and_apps(picture: &mut String) {
    let role_sets: &[&[&str]] = &[
        &["reader"],
        &["prod-reader"],
        &["by-trait"],
        &["by-name"],
        &["by-team"],
        &["by-expression"],
        &["apps-only"],
        &["arn-only"],
        &["star-arn"],
        &["apps-only", "arn-only"],
        &["reader", "no-prod"],
        &["reader", "no-prod-expression"],
        &["reader", "no-reader"],
        &["reader", "no-own-team"],
        &["reader", "broken-deny"],
        &["reader", "broken-deny-template"],
        &["mfa-reader"],
        &["reader", "mfa-reader"],
        &["prod-reader", "mfa-reader"],
        &["key-reader"],
        &["pinned-reader"],
        &["device-reader"],
        &["strict-reader"],
        &["no-prod"],
    ];
    picture.push_str("# Roles × apps × calls, as arn:aws:iam::123456789012:role/Reader\n\n");
    for set in role_sets {
        writeln!(picture, "{}", set.join(" + ")).unwrap();
        for app in apps() {
            write!(picture, "  {:<6}", app.name().as_str()).unwrap();
            for operation in ["ListTables", "GetCallerIdentity", "AssumeRole"] {
                let claims = alice(set, &app, READER);
                let policy = policy(&roles(), &claims);
                let call = call(operation);
                let request = AccessRequest { app: &app, call: &call, chain: &[], now: now() };
                let answer = decide(&identity(claims), &request, &policy);
                write!(picture, " {operation} {:<26}", mark(&answer)).unwrap();
            }
            picture.truncate(picture.trim_end().len());
            picture.push('\n');
        }
    }
}

/// A situation in which everything fits, to be spoiled in one place.
struct Scene {
    app: App,
    claims: Claims,
    policy: Policy,
    operation: &'static str,
    chain: Vec<RoleArn>,
}

impl Scene {
    fn new() -> Self {
        let app = app("prod", &[("env", "prod")]);
        let claims = alice(&["reader", "by-trait"], &app, READER);
        let policy = policy(&roles(), &claims);
        Self { app, claims, policy, operation: "ListTables", chain: Vec::new() }
    }

    fn session(mut self, change: impl Fn(&mut access::AppSession)) -> Self {
        let mut session = session(&self.claims);
        change(&mut session);
        self.policy = self.policy.with_session(session);
        self
    }

    fn claims(mut self, change: impl Fn(&mut Claims)) -> Self {
        change(&mut self.claims);
        self
    }

    fn app(mut self, change: impl Fn(&mut App)) -> Self {
        change(&mut self.app);
        self
    }

    fn policy(mut self, change: impl Fn(Policy) -> Policy) -> Self {
        self.policy = change(self.policy);
        self
    }

    fn user(self, change: impl Fn(&mut UserNow)) -> Self {
        self.policy(|policy| {
            let mut user = policy.user("alice").unwrap().clone();
            change(&mut user);
            policy.with_user(user)
        })
    }

    /// Made by the keys of the last of these roles.
    fn chain(self, arns: &[&str]) -> Self {
        Self { chain: arns.iter().map(|arn| support::arn(arn)).collect(), ..self }
    }

    fn bound_to(self, account: &str) -> Self {
        self.app(|app| {
            app.metadata.labels.insert("aws_account_id".to_owned(), account.to_owned());
        })
    }

    fn lock(self, target: LockTarget) -> Self {
        self.policy(|policy| {
            let mut lock = Lock::new(LockName::parse("l1").unwrap(), target.clone());
            lock.spec.message = Some("incident 7".to_owned());
            policy.with_lock(lock)
        })
    }

    fn answer(self) -> Result<access::Grant, Denial> {
        let call = call(self.operation);
        let chain = self.chain.as_slice();
        let request = AccessRequest { app: &self.app, call: &call, chain, now: now() };
        decide(&identity(self.claims), &request, &self.policy)
    }
}

/// The certificate, and what became of it.
fn certificates() -> Vec<(&'static str, Scene)> {
    vec![
        ("nothing is wrong", Scene::new()),
        ("the certificate ends now", Scene::new().claims(|claims| claims.expires = now())),
        (
            "the certificate is of another cluster",
            Scene::new().claims(|claims| {
                claims.cluster = ClusterName::parse("evil.example.com").unwrap();
            }),
        ),
        ("a user certificate without an app", Scene::new().claims(|claims| claims.app = None)),
        (
            "the certificate is for another app",
            Scene::new().claims(|claims| {
                claims.app.as_mut().unwrap().name = app_name("other");
            }),
        ),
        (
            "the certificate has no AWS role",
            Scene::new()
                .claims(|claims| claims.app.as_mut().unwrap().aws_role = None)
                .session(|session| session.aws_role = None),
        ),
        (
            "the certificate does not list the AWS role",
            Scene::new().claims(|claims| {
                claims.allowed_aws_roles =
                    vec![WRITER.to_owned(), format!("{READER} "), "*".to_owned()];
            }),
        ),
        (
            "the app is no AWS app",
            Scene::new().app(|app| app.spec.uri = "https://grafana.example.com".to_owned()),
        ),
        (
            "the app only looks like AWS",
            Scene::new().app(|app| {
                app.spec.uri = "https://console.aws.amazon.com.example.org".to_owned();
            }),
        ),
        (
            "the app is AWS by its cloud",
            Scene::new().app(|app| {
                app.spec.uri = String::new();
                app.spec.cloud = Some(Cloud::Aws);
            }),
        ),
        (
            "the app is bound to another account",
            Scene::new().app(|app| {
                app.metadata.labels.insert("aws_account_id".to_owned(), "999999999999".to_owned());
            }),
        ),
        ("the call would hand out keys", Scene { operation: "GetSessionToken", ..Scene::new() }),
    ]
}

fn sessions() -> Vec<(&'static str, Scene)> {
    vec![
        (
            "the session is not known",
            Scene::new().policy(|policy| policy.without_session(&support::session_id())),
        ),
        ("the session has ended", Scene::new().session(|session| session.expires = now())),
        ("the session is bob's", Scene::new().session(|session| session.user = user_name("bob"))),
        (
            "the session is for another app",
            Scene::new().session(|session| session.app = app_name("dev")),
        ),
        (
            "the session is for another AWS role",
            Scene::new().session(|session| {
                session.aws_role = Some(support::arn(ELSEWHERE));
            }),
        ),
        ("the session is for no AWS role", Scene::new().session(|session| session.aws_role = None)),
    ]
}

/// Locks, in force or not.
fn locks() -> Vec<(&'static str, Scene)> {
    vec![
        ("the user is locked by a lock", Scene::new().lock(LockTarget::user(user_name("alice")))),
        ("another user is locked by a lock", Scene::new().lock(LockTarget::user(user_name("bob")))),
        ("a role is locked", Scene::new().lock(LockTarget::role(role_name("by-trait")))),
        (
            "user and a role that she lacks are locked together",
            Scene::new().lock(LockTarget {
                user: Some(user_name("alice")),
                role: Some(role_name("auditor")),
                ..LockTarget::default()
            }),
        ),
        (
            "this agent is locked",
            Scene::new()
                .policy(|policy| policy.at_host(access::HostId::parse("agent-1").unwrap()))
                .lock(LockTarget::server(access::HostId::parse("agent-1").unwrap())),
        ),
        (
            "a lock has ended",
            Scene::new().policy(|policy| {
                let mut lock =
                    Lock::new(LockName::parse("l1").unwrap(), LockTarget::user(user_name("alice")));
                lock.spec.expires = Some(now());
                policy.with_lock(lock)
            }),
        ),
    ]
}

/// What became of the account, its roles and its traits since the login.
fn accounts() -> Vec<(&'static str, Scene)> {
    vec![
        ("strict locking, locks fresh", strict(Duration::from_secs(10))),
        ("strict locking, locks stale", strict(LOCKS_STALE_AFTER + Duration::from_secs(1))),
        (
            "the user was removed",
            Scene::new().policy(|policy| policy.without_user(&user_name("alice"))),
        ),
        ("the account is locked", Scene::new().user(|user| user.locked = true)),
        (
            "the account was locked until now",
            Scene::new().user(|user| {
                user.locked = true;
                user.lock_expires = Some(now());
            }),
        ),
        ("the account has expired", Scene::new().user(|user| user.expires = Some(now()))),
        (
            "both roles were taken away",
            Scene::new().user(|user| user.roles = vec![role_name("apps-only")]),
        ),
        (
            "one role was taken away",
            Scene::new().user(|user| user.roles = vec![role_name("by-trait")]),
        ),
        (
            "both roles were deleted",
            Scene::new().policy(|policy| {
                policy.without_role(&role_name("reader")).without_role(&role_name("by-trait"))
            }),
        ),
        (
            "a denying role was added since",
            Scene::new().user(|user| user.roles.push(role_name("no-reader"))),
        ),
        (
            "the trait was taken away",
            Scene::new().user(|user| {
                user.roles = vec![role_name("by-trait")];
                user.traits = Some(traits(&[]));
            }),
        ),
        (
            "the trait was added since",
            Scene::new()
                .claims(|claims| claims.traits = traits(&[]))
                .user(|user| user.roles = vec![role_name("by-trait")]),
        ),
        ("the cluster asks for a second factor", Scene::new().policy(mfa_for_all)),
        (
            "the cluster asks for a second factor, one was shown",
            Scene::new().policy(mfa_for_all).claims(|claims| claims.mfa = true),
        ),
    ]
}

fn strict(age: Duration) -> Scene {
    Scene::new().policy(|policy| {
        let preference =
            AuthPreference { locking_mode: LockingMode::Strict, ..AuthPreference::default() };
        policy.with_preference(preference).as_of(now() - age)
    })
}

fn mfa_for_all(policy: Policy) -> Policy {
    let require_session_mfa = RequireMfa::Yes;
    policy.with_preference(AuthPreference { require_session_mfa, ..AuthPreference::default() })
}

fn one_thing_wrong(picture: &mut String) {
    picture.push_str("\n# One thing is wrong\n\n");
    for (what, scene) in
        certificates().into_iter().chain(sessions()).chain(locks()).chain(accounts())
    {
        let answer = scene.answer();
        writeln!(picture, "{what}: {}", mark(&answer)).unwrap();
        if let Err(denial) = answer {
            writeln!(picture, "    {denial}").unwrap();
        }
    }
    let scene = Scene::new();
    let call = call("ListTables");
    let request = AccessRequest { app: &scene.app, call: &call, chain: &[], now: now() };
    let denial = decide(&host_identity(&[SystemRole::Admin]), &request, &scene.policy).unwrap_err();
    writeln!(picture, "a host asks: ✘ {}\n    {denial}", denial.code()).unwrap();
}

fn sentences(picture: &mut String) {
    picture.push_str("\n# What people read when roles refuse\n\n");
    let sets: &[(&[&str], usize)] = &[
        (&["apps-only"], 0),
        (&["arn-only"], 0),
        (&["apps-only", "arn-only"], 0),
        (&["prod-reader"], 1),
        (&["reader", "no-prod"], 0),
        (&["reader", "no-prod-expression"], 0),
        (&["reader", "no-reader"], 1),
        (&["reader", "broken-deny"], 0),
        (&["reader", "broken-deny-template"], 0),
        (&["mfa-reader"], 0),
        (&["pinned-reader"], 0),
    ];
    for (set, index) in sets {
        let app = apps().swap_remove(*index);
        let claims = alice(set, &app, READER);
        let policy = policy(&roles(), &claims);
        let call = call("ListTables");
        let request = AccessRequest { app: &app, call: &call, chain: &[], now: now() };
        let denial = decide(&identity(claims), &request, &policy).unwrap_err();
        writeln!(picture, "{denial}").unwrap();
    }
}

fn preset_rules(picture: &mut String) {
    picture.push_str("\n# Preset roles × resources × verbs\n\n");
    let mut known = presets();
    known.push(role("apps-admin", "allow:\n  rules:\n  - {resources: [app], verbs: ['*']}\n"));
    known.push(role("no-tokens", "deny:\n  rules:\n  - {resources: [token], verbs: ['*']}\n"));
    known.push(role(
        "broken-rule",
        "deny:\n  rules:\n  - {resources: [token], verbs: ['*'], where: 'oops('}\n",
    ));
    let sets: &[&[&str]] = &[
        &["access"],
        &["auditor"],
        &["editor"],
        &["apps-admin"],
        &["editor", "no-tokens"],
        &["editor", "broken-rule"],
    ];
    let verbs = [Verb::List, Verb::ReadNoSecrets, Verb::Read, Verb::Create, Verb::Delete];
    for set in sets {
        writeln!(picture, "{}", set.join(" + ")).unwrap();
        for kind in ["role", "token", "app", "app_server", "event", "session", "cert_authority"] {
            write!(picture, "  {kind:<15}").unwrap();
            let claims = Claims { app: None, ..alice(set, &apps()[0], READER) };
            let policy = policy(&known, &claims);
            for verb in verbs {
                let request =
                    RuleRequest { verb, kind, resource: ResourceFacts::default(), now: now() };
                let answer = may(&identity(claims.clone()), &request, &policy);
                write!(picture, " {} {:<18}", verb.as_str(), mark(&answer)).unwrap();
            }
            picture.truncate(picture.trim_end().len());
            picture.push('\n');
        }
    }
    preset_sentences(picture, &known);
}

fn preset_sentences(picture: &mut String, known: &[Role]) {
    picture.push('\n');
    let mine = ["alice".to_owned()];
    let others = ["bob".to_owned()];
    for (set, verb, kind, participants) in [
        (&["access"][..], Verb::Read, "session", &mine[..]),
        (&["access"], Verb::Read, "session", &others),
        (&["access"], Verb::Create, "role", &[]),
        (&["editor", "no-tokens"], Verb::List, "token", &[]),
        (&["editor", "broken-rule"], Verb::List, "token", &[]),
    ] {
        let claims = Claims { app: None, ..alice(set, &apps()[0], READER) };
        let policy = policy(known, &claims);
        let resource = ResourceFacts { name: Some("x"), participants, ..ResourceFacts::default() };
        let answer =
            may(&identity(claims), &RuleRequest { verb, kind, resource, now: now() }, &policy);
        let text = answer
            .map_or_else(|denial| denial.to_string(), |permit| format!("✔ {}", permit.kind()));
        writeln!(
            picture,
            "{} {} {kind} of {participants:?}: {text}",
            set.join(" + "),
            verb.as_str()
        )
        .unwrap();
    }
    for roles in [&[SystemRole::Admin][..], &[SystemRole::App], &[SystemRole::Proxy]] {
        let policy = Policy::new(support::cluster());
        for (verb, kind) in [
            (Verb::Read, "token"),
            (Verb::ReadNoSecrets, "user"),
            (Verb::List, "role"),
            (Verb::Create, "event"),
            (Verb::Delete, "event"),
            (Verb::Update, "app_server"),
            (Verb::Create, "role"),
        ] {
            let request =
                RuleRequest { verb, kind, resource: ResourceFacts::default(), now: now() };
            let answer = may(&host_identity(roles), &request, &policy);
            writeln!(picture, "host {roles:?} {} {kind}: {}", verb.as_str(), mark(&answer))
                .unwrap();
        }
    }
}

#[test]
fn the_picture_is_the_committed_one() {
    let mut picture = String::new();
    roles_and_apps(&mut picture);
    one_thing_wrong(&mut picture);
    chains::draw(&mut picture);
    sentences(&mut picture);
    preset_rules(&mut picture);
    assert_committed(&picture, "matrix.txt");
}

#[test]
fn every_rule_is_in_the_picture() {
    let read = |name: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        std::fs::read_to_string(folder.join(name)).unwrap()
    };
    let committed = read("matrix.txt") + &read("apps.txt") + &read("aws_session.txt");
    for code in DenialReason::CODES {
        let marked =
            committed.lines().any(|line| line.split_whitespace().any(|word| word == *code));
        assert!(marked, "no row is refused by {code}");
    }
}

#[test]
fn every_refusal_names_user_app_and_remedy() {
    let all = certificates().into_iter().chain(sessions()).chain(locks()).chain(accounts());
    for (what, scene) in all.chain(chains::scenes()) {
        let Err(denial) = scene.answer() else { continue };
        let text = denial.to_string();
        assert!(text.starts_with("alice may not use app `prod`"), "{what}: {text}");
        assert!(text.contains("; "), "{what}: {text}");
        assert!(!text.ends_with('.'), "{what}: {text}");
    }
}

#[test]
fn a_grant_says_what_was_granted_and_until_when() {
    let mut scene = Scene::new().session(|session| session.expires = now() + hour() / 2);
    scene.app.spec.aws = Some(access::resource::AppAws::with_external_id("xyz-1"));
    let grant = scene.answer().unwrap();
    assert_eq!(grant.user(), &user_name("alice"));
    assert_eq!(grant.cluster(), &support::cluster());
    assert_eq!(grant.app(), &app_name("prod"));
    assert_eq!(grant.session(), &support::session_id());
    assert_eq!(grant.aws_role().as_str(), READER);
    assert_eq!(grant.until(), now() + hour() / 2);
    assert_eq!(grant.external_id(), Some("xyz-1"));
    assert_eq!(Scene::new().answer().unwrap().until(), now() + hour());
}
