//! What must hold of every decision, whatever the roles say.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing"
)]

mod support;

use access::resource::LabelSelector;
use access::{
    AccessRequest, App, AppRequest, Claims, Denial, Grant, Policy, Role, decide, login_claims,
    permit_app,
};
use access::{LoginRequest, RoleSet, User};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use support::{READER, WRITER, app, call, claims, identity, now, policy, role_name, traits};

const OTHER: &str = "arn:aws:iam::123456789012:role/Other";

/// One side of a role, out of a small world, so that things often meet.
#[derive(Debug, Clone)]
struct SideOf {
    labels: Option<Vec<(String, Vec<String>)>>,
    expression: Option<String>,
    arns: Vec<String>,
}

fn side() -> impl Strategy<Value = SideOf> {
    let key =
        prop::sample::select(vec!["env", "team", "*", "{{external.key}}"]).prop_map(str::to_owned);
    let value = prop::sample::select(vec![
        "prod",
        "dev",
        "*",
        "p*",
        "^(prod|blue)$",
        "^($",
        "{{external.team}}",
        "{{external.none}}",
        "blue",
    ])
    .prop_map(str::to_owned);
    let labels = prop::option::weighted(
        0.8,
        prop::collection::vec((key, prop::collection::vec(value, 1..3)), 0..3),
    );
    let expression = prop::option::weighted(
        0.2,
        prop::sample::select(vec![
            r#"labels["env"] == "prod""#,
            r#"labels["env"] != "prod""#,
            r#"contains(user.spec.traits["team"], labels["team"])"#,
            r#"!contains(user.spec.traits["team"], labels["team"])"#,
            "oops(",
        ])
        .prop_map(str::to_owned),
    );
    let arn = prop::sample::select(vec![
        READER,
        WRITER,
        OTHER,
        "*",
        "{{internal.aws_role_arns}}",
        "{{oops}}",
    ]);
    let arns = prop::collection::vec(arn.prop_map(str::to_owned), 0..4);
    (labels, expression, arns).prop_map(|(labels, expression, arns)| SideOf {
        labels,
        expression,
        arns,
    })
}

#[derive(Debug, Clone)]
struct World {
    allows: Vec<SideOf>,
    denies: Vec<SideOf>,
    certificate_traits: Vec<String>,
    current_traits: Vec<String>,
    certified: Vec<String>,
    held: Vec<bool>,
    aws_role: String,
    app_labels: Vec<(&'static str, &'static str)>,
}

/// As [`side`], but often with every app.
fn generous_side() -> impl Strategy<Value = SideOf> {
    let everything = || Some(vec![("*".to_owned(), vec!["*".to_owned()])]);
    (side(), prop::bool::weighted(0.5)).prop_map(move |(side, generous)| {
        if generous { SideOf { labels: everything(), expression: None, ..side } } else { side }
    })
}

fn world() -> impl Strategy<Value = World> {
    let few_denies = prop::collection::vec(prop::option::weighted(0.15, side()), 3);
    let arns = prop::sample::subsequence(
        vec![READER.to_owned(), WRITER.to_owned(), OTHER.to_owned()],
        1..=3,
    );
    let names = || {
        prop::sample::subsequence(vec!["blue".to_owned(), "red".to_owned(), "*".to_owned()], 0..=2)
    };
    let labels =
        prop::sample::subsequence(vec![("env", "prod"), ("team", "blue"), ("*", "x")], 0..=3);
    (
        prop::collection::vec(generous_side(), 3),
        few_denies,
        (names(), names()),
        arns,
        prop::collection::vec(prop::bool::weighted(0.8), 3),
        prop::sample::select(vec![READER, WRITER, OTHER]),
        labels,
    )
        .prop_map(
            |(allows, denies, (certificate, current), certified, held, aws_role, app_labels)| {
                World {
                    allows,
                    denies: denies
                        .into_iter()
                        .map(|deny| {
                            deny.unwrap_or(SideOf { labels: None, expression: None, arns: vec![] })
                        })
                        .collect(),
                    certificate_traits: certificate,
                    current_traits: current,
                    certified,
                    held,
                    aws_role: aws_role.to_owned(),
                    app_labels,
                }
            },
        )
}

fn fill(conditions: &mut access::resource::RoleConditions, side: &SideOf) {
    conditions.app_labels =
        side.labels.clone().map(|lines| LabelSelector(lines.into_iter().collect()));
    conditions.app_labels_expression = side.expression.clone();
    conditions.aws_role_arns = side.arns.clone();
}

impl World {
    fn roles(&self) -> Vec<Role> {
        let sides = self.allows.iter().zip(&self.denies).enumerate();
        sides
            .map(|(index, (allow, deny))| {
                let mut role = Role::new(role_name(&format!("r{index}")));
                fill(&mut role.spec.allow, allow);
                fill(&mut role.spec.deny, deny);
                role
            })
            .collect()
    }

    fn app(&self) -> App {
        app("prod", &self.app_labels)
    }

    fn claims(&self) -> Claims {
        let held: Vec<String> = self
            .held
            .iter()
            .enumerate()
            .filter(|(_, held)| **held)
            .map(|(index, _)| format!("r{index}"))
            .collect();
        let names: Vec<&str> = held.iter().map(String::as_str).collect();
        Claims {
            allowed_aws_roles: self.certified.clone(),
            traits: world_traits(&self.certificate_traits, &self.certified),
            ..claims(&names, &self.app(), &self.aws_role)
        }
    }

    fn policy(&self, roles: &[Role]) -> Policy {
        let claims = self.claims();
        let mut user = policy(roles, &claims).user("alice").unwrap().clone();
        user.roles = (0..3).map(|index| role_name(&format!("r{index}"))).collect();
        user.traits = Some(world_traits(&self.current_traits, &self.certified));
        policy(roles, &claims).with_user(user)
    }

    fn decide(&self, roles: &[Role]) -> Result<Grant, Denial> {
        let (app, call) = (self.app(), call("ListTables"));
        let request = AccessRequest { app: &app, call: &call, chain: &[], now: now() };
        decide(&identity(self.claims()), &request, &self.policy(roles))
    }
}

fn world_traits(team: &[String], arns: &[String]) -> access::Traits {
    let team: Vec<&str> = team.iter().map(String::as_str).collect();
    let arns: Vec<&str> = arns.iter().map(String::as_str).collect();
    traits(&[("team", &team), ("key", &["team"]), ("aws_role_arns", &arns)])
}

/// What a role's ARN list is for a user, written out the plain way.
fn listed(role: &Role, traits: &access::Traits) -> Vec<String> {
    let lists = role.spec.allow.aws_role_arns.iter().map(|text| match text.as_str() {
        "{{internal.aws_role_arns}}" => traits.get("aws_role_arns").cloned().unwrap_or_default(),
        plain => vec![plain.to_owned()],
    });
    lists.flatten().collect()
}

/// A property of refusals alone would prove little: the small world must allow often enough.
#[test]
fn the_small_world_allows_and_refuses() {
    let mut runner = TestRunner::deterministic();
    let worlds = (0..400).map(|_| world().new_tree(&mut runner).unwrap().current());
    let allowed = worlds.filter(|world| world.decide(&world.roles()).is_ok()).count();
    assert!((20..380).contains(&allowed), "{allowed} of 400 are allowed");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn one_more_deny_never_allows_more(world in world(), at in 0_usize..3, more in side()) {
        let before = world.decide(&world.roles());
        let mut roles = world.roles();
        let deny = &mut roles[at].spec.deny;
        deny.aws_role_arns.extend(more.arns);
        if deny.app_labels.is_none() {
            deny.app_labels = more.labels.map(|lines| LabelSelector(lines.into_iter().collect()));
        }
        if deny.app_labels_expression.is_none() {
            deny.app_labels_expression = more.expression;
        }
        let after = world.decide(&roles);
        prop_assert!(after.is_err() || before.is_ok(), "{before:?} became {after:?}");
    }

    #[test]
    fn one_allow_less_never_allows_more(world in world(), at in 0_usize..3, what in 0_usize..3) {
        let before = world.decide(&world.roles());
        let mut roles = world.roles();
        let allow = &mut roles[at].spec.allow;
        match what {
            0 => { allow.aws_role_arns.pop(); }
            // Fewer labels alone would be a wider selector if another key remained.
            1 => allow.app_labels = Some(LabelSelector::default()),
            _ => *allow = access::resource::RoleConditions::default(),
        }
        if what == 1 {
            allow.app_labels_expression = None;
        }
        let after = world.decide(&roles);
        prop_assert!(after.is_err() || before.is_ok(), "{before:?} became {after:?}");
    }

    #[test]
    fn a_role_taken_from_user_or_certificate_never_allows_more(world in world(), at in 0_usize..3) {
        let without: Vec<Role> = world.roles().into_iter().map(|mut role| {
            role.spec.deny = access::resource::RoleConditions::default();
            role
        }).collect();
        let before = world.decide(&without);
        let mut fewer = world.clone();
        fewer.held[at] = false;
        let after = fewer.decide(&without);
        prop_assert!(after.is_err() || before.is_ok(), "{before:?} became {after:?}");
    }

    #[test]
    fn a_granted_arn_is_in_certificate_and_in_an_allowing_role(world in world()) {
        let roles = world.roles();
        if let Ok(grant) = world.decide(&roles) {
            let arn = grant.aws_role().as_str().to_owned();
            prop_assert_eq!(&arn, &world.aws_role);
            prop_assert!(world.claims().allowed_aws_roles.contains(&arn));
            let now = world_traits(&world.current_traits, &world.certified);
            let claims = world.claims();
            let listing = roles.iter().filter(|role| claims.roles.contains(role.name()));
            let mut listing = listing.filter(|role| listed(role, &now).contains(&arn));
            prop_assert!(listing.next().is_some());
            prop_assert!(grant.until() <= claims.expires);
        }
    }

    #[test]
    fn what_is_permitted_at_login_is_what_is_decided_later(world in world()) {
        let (app, roles) = (world.app(), world.roles());
        let claims = world.claims();
        let aws_role = support::arn(&world.aws_role);
        let request = AppRequest { app: &app, aws_role: Some(&aws_role), intent: access::decide::Intent::Open, now: now() };
        let permit = permit_app(&identity(claims), &request, &world.policy(&roles));
        prop_assert_eq!(permit.is_ok(), world.decide(&roles).is_ok());
    }

    #[test]
    fn a_login_lists_only_arns_that_a_role_lists(world in world()) {
        let roles = world.roles();
        let names = roles.iter().map(|role| role.name().clone()).collect();
        let mut user = User::new(support::user_name("alice"), names, world.claims().traits);
        user.metadata.revision = Some("1".to_owned());
        let set = RoleSet::new(roles.iter().cloned().map(std::sync::Arc::new).collect());
        let cluster = support::cluster();
        let request = LoginRequest { user: &user, roles: &set, cluster: &cluster, now: now(), ttl: None, mfa: true, login_ip: None };
        let login = login_claims(&request).unwrap();
        for arn in &login.claims.allowed_aws_roles {
            prop_assert!(roles.iter().any(|role| listed(role, &user.spec.traits).contains(arn)));
            prop_assert!(!roles.iter().any(|role| role.spec.deny.aws_role_arns.contains(arn)));
        }
    }

    #[test]
    fn an_incremental_snapshot_decides_as_a_fresh_one(world in world(), at in 0_usize..3, other in side()) {
        let mut roles = world.roles();
        let warmed = world.policy(&roles);
        let (app, call) = (world.app(), call("ListTables"));
        let request = AccessRequest { app: &app, call: &call, chain: &[], now: now() };
        let _ = decide(&identity(world.claims()), &request, &warmed);
        fill(&mut roles[at].spec.allow, &other);
        let changed = warmed.clone().with_role(roles[at].clone());
        let fresh = world.policy(&roles);
        let claims = identity(world.claims());
        prop_assert_eq!(decide(&claims, &request, &changed), decide(&claims, &request, &fresh));
    }
}
