//! Who may sign in to the AWS console, and who may use web and TCP apps, as a picture.
//!
//! When the picture changes, this test writes `apps.txt.new` beside `apps.txt` and fails.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing"
)]

mod support;

use std::fmt::Write;

use access::policy::AuthPreference;
use access::resource::{Cloud, RequireMfa};
use access::{
    App, AppTraffic, AppUseRequest, Claims, Denial, Lock, LockName, LockTarget, Policy, Role,
    UserNow, decide_app, permit_console,
};

use support::{
    READER, app, app_name, arn, assert_committed, claims, hour, identity, now, policy, role,
    role_name, session, traits, user_name,
};

const CHINESE: &str = "arn:aws-cn:iam::123456789012:role/Reader";
const ISOLATED: &str = "arn:aws-iso:iam::123456789012:role/Reader";

fn roles() -> Vec<Role> {
    vec![
        role(
            "dev",
            &format!(
                "allow:\n  app_labels: {{env: dev}}\n  aws_role_arns: ['{READER}', '{CHINESE}', '{ISOLATED}']\n"
            ),
        ),
        role("apps-only", "allow:\n  app_labels: {'*': '*'}\n"),
        role("no-dev", "deny:\n  app_labels: {env: dev}\n"),
        role("mfa-dev", "allow:\n  app_labels: {env: dev}\noptions:\n  require_session_mfa: yes\n"),
    ]
}

/// A situation in which everything fits, to be spoiled in one place.
struct Scene {
    app: App,
    claims: Claims,
    policy: Policy,
}

impl Scene {
    fn aws() -> Self {
        let app = app("aws", &[("env", "dev")]);
        let claims = claims(&["dev"], &app, READER);
        let policy = policy(&roles(), &claims);
        Self { app, claims, policy }
    }

    fn plain(uri: &str) -> Self {
        Self::aws().uri(uri).no_role()
    }

    fn uri(mut self, uri: &str) -> Self {
        self.app.spec.uri = uri.to_owned();
        self
    }

    fn no_role(self) -> Self {
        self.session(|session| session.aws_role = None)
            .claims(|claims| claims.app.as_mut().unwrap().aws_role = None)
    }

    fn role(self, text: &str) -> Self {
        self.session(|session| session.aws_role = Some(arn(text))).claims(|claims| {
            claims.app.as_mut().unwrap().aws_role = Some(arn(text));
            claims.allowed_aws_roles.push(text.to_owned());
        })
    }

    fn with_roles(mut self, names: &[&str]) -> Self {
        self.claims.roles = names.iter().map(|name| role_name(name)).collect();
        let user = UserNow::new(user_name("alice"), self.claims.roles.clone());
        self.policy = self.policy.with_user(user);
        self
    }

    fn claims(mut self, change: impl Fn(&mut Claims)) -> Self {
        change(&mut self.claims);
        self
    }

    fn session(mut self, change: impl Fn(&mut access::AppSession)) -> Self {
        let mut session = session(&self.claims);
        change(&mut session);
        self.policy = self.policy.with_session(session);
        self
    }

    fn locked(mut self) -> Self {
        let target = LockTarget::user(user_name("alice"));
        self.policy = self.policy.with_lock(Lock::new(LockName::parse("l1").unwrap(), target));
        self
    }

    fn mfa_for_all(mut self) -> Self {
        let require_session_mfa = RequireMfa::Yes;
        let preference = AuthPreference { require_session_mfa, ..AuthPreference::default() };
        self.policy = self.policy.with_preference(preference);
        self
    }

    fn use_as(self, traffic: AppTraffic) -> Result<access::AppGrant, Denial> {
        let request = AppUseRequest { app: &self.app, traffic, now: now() };
        decide_app(&identity(self.claims), &request, &self.policy)
    }

    fn console(self) -> Result<access::ConsoleGrant, Denial> {
        permit_console(&identity(self.claims), (&self.app, now()), &self.policy)
    }
}

fn row<T>(picture: &mut String, what: &str, answer: &Result<T, Denial>) {
    match answer {
        Ok(_) => writeln!(picture, "{what}: ✔").unwrap(),
        Err(denial) => writeln!(picture, "{what}: ✘ {}\n    {denial}", denial.code()).unwrap(),
    }
}

/// One thing wrong each, whatever kind of app.
fn spoiled(whole: fn() -> Scene) -> Vec<(&'static str, Scene)> {
    vec![
        ("nothing is wrong", whole()),
        ("a user certificate without an app", whole().claims(|claims| claims.app = None)),
        (
            "the certificate is for another app",
            whole().claims(|claims| claims.app.as_mut().unwrap().name = app_name("other")),
        ),
        ("the session has ended", whole().session(|session| session.expires = now())),
        ("the session is bob's", whole().session(|session| session.user = user_name("bob"))),
        ("the user is locked", whole().locked()),
        ("no role allows the app", whole().with_roles(&["no-such-role"])),
        ("a role denies the app", whole().with_roles(&["dev", "no-dev"])),
        ("the cluster asks for a second factor", whole().mfa_for_all()),
        (
            "the cluster asks for a second factor, one was shown",
            whole().mfa_for_all().claims(|claims| claims.mfa = true),
        ),
    ]
}

fn consoles(picture: &mut String) {
    picture.push_str("# The AWS console\n\n");
    for (what, scene) in spoiled(Scene::aws) {
        row(picture, what, &scene.console());
    }
    let gov = "https://console.amazonaws-us-gov.com";
    let china = "https://console.amazonaws.cn/home";
    let fake = "https://console.aws.amazon.com.example.org";
    for (what, scene) in [
        ("the certificate has no AWS role", Scene::aws().no_role()),
        ("no role allows the AWS role", Scene::aws().with_roles(&["apps-only"])),
        ("the console is of another partition than the role", Scene::aws().uri(gov)),
        ("console and role are in China", Scene::aws().uri(china).role(CHINESE)),
        ("a role in China, the commercial console", Scene::aws().role(CHINESE)),
        ("the app only looks like a console", Scene::aws().uri(fake)),
        ("the app is a web app", Scene::plain("https://grafana.internal")),
        ("the app names its cloud alone", cloud_alone(Scene::aws())),
        ("its cloud alone, a role in China", cloud_alone(Scene::aws().role(CHINESE))),
        (
            "its cloud alone, a role in an isolated partition",
            cloud_alone(Scene::aws().role(ISOLATED)),
        ),
    ] {
        row(picture, what, &scene.console());
    }
}

fn cloud_alone(mut scene: Scene) -> Scene {
    scene.app.spec.uri = String::new();
    scene.app.spec.cloud = Some(Cloud::Aws);
    scene
}

fn web_and_tcp(picture: &mut String) {
    picture.push_str("\n# Web apps\n\n");
    for (what, scene) in spoiled(|| Scene::plain("http://grafana.internal:3000")) {
        row(picture, what, &scene.use_as(AppTraffic::Web));
    }
    row(
        picture,
        "a role asks for a second factor",
        &Scene::plain("http://x").with_roles(&["mfa-dev"]).use_as(AppTraffic::Web),
    );
    picture.push_str("\n# Apps × connections\n\n");
    for uri in [
        "https://console.aws.amazon.com",
        "http://grafana.internal",
        "https://grafana.internal",
        "tcp://db.internal:5432",
        "udp://x",
        "HTTP://x",
    ] {
        for traffic in [AppTraffic::Aws, AppTraffic::Web, AppTraffic::Tcp, AppTraffic::Other] {
            row(picture, &format!("{uri} as {traffic:?}"), &Scene::plain(uri).use_as(traffic));
        }
    }
}

#[test]
fn the_picture_is_the_committed_one() {
    let mut picture = String::new();
    consoles(&mut picture);
    web_and_tcp(&mut picture);
    assert_committed(&picture, "apps.txt");
}

#[test]
fn the_proofs_say_what_was_allowed_and_until_when() {
    let scene = Scene::plain("http://x").session(|session| {
        session.aws_role = None;
        session.expires = now() + hour() / 2;
    });
    let scene = scene.claims(|claims| claims.traits = traits(&[("team", &["blue"])]));
    let grant = scene.use_as(AppTraffic::Web).unwrap();
    assert_eq!((grant.user(), grant.app()), (&user_name("alice"), &app_name("aws")));
    assert_eq!(grant.session(), &support::session_id());
    assert_eq!(grant.until(), now() + hour() / 2);
    assert!(grant.traits().is_empty(), "the user's traits of now count, not the certificate's");

    let console = Scene::aws().console().unwrap();
    assert_eq!(console.role_session().aws_role().as_str(), READER);
    assert_eq!(console.role_session().until(), now() + hour());
    assert_eq!(console.console_host(), "console.aws.amazon.com");
}
