//! What AWS is told of a session, as a committed picture: role sets against tags, source identity and policy.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing"
)]

mod support;

use std::fmt::Write as _;

use access::resource::{validate, warnings};
use access::{AccessRequest, AwsSession, Claims, Denial, UserNow, decide, permit_console};

use support::{READER, app, assert_committed, call, claims, identity, now, policy, role, traits};

const EVERYWHERE: &str =
    "app_labels: {'*': '*'}\n  aws_role_arns: ['arn:aws:iam::123456789012:role/Reader']";
const OWN_TABLES: &str = r#"
  aws_session_policy:
    Version: '2012-10-17'
    Statement:
      - Effect: Allow
        Action: ['dynamodb:Query', 'dynamodb:GetItem']
        Resource: ['arn:aws:dynamodb:*:*:table/{{external.table}}']"#;

fn told(name: &str, settings: &str) -> access::Role {
    role(name, &format!("allow:\n  {EVERYWHERE}{settings}"))
}

fn roles() -> Vec<access::Role> {
    let long: String = (0..40)
        .map(|n| format!("\n      - {{Effect: Allow, Action: 'dynamodb:Query', Resource: 'arn:aws:dynamodb:*:*:table/{n:040}'}}"))
        .collect();
    let both = |per_service: &str| {
        format!(
            "\n  aws_session_policy:\n    Version: '2012-10-17'\n    Statement:\n      - {{Effect: Allow, Action: 's3:*', Resource: '*'}}{per_service}"
        )
    };
    let half: String = long.split_inclusive("'}").take(14).collect();
    let other_half = half.replace("dynamodb", "kinesis");
    vec![
        told("plain", ""),
        told(
            "team",
            "\n  aws_session_tags: {team: '{{external.team}}', Kind: person}\n  aws_transitive_tag_keys: [team]",
        ),
        told("other-team", "\n  aws_session_tags: {team: infra}"),
        told(
            "no-such-trait",
            "\n  aws_session_tags: {cost: '{{external.cost}}'}\n  aws_transitive_tag_keys: [cost]",
        ),
        told("named", "\n  aws_source_identity: '{{internal.username}}'"),
        told("mailed", "\n  aws_source_identity: '{{external.email}}'"),
        told("two-mails", "\n  aws_source_identity: '{{external.team}}'"),
        told("nobody", "\n  aws_source_identity: '{{external.nothing}}'"),
        told("odd-tag", "\n  aws_session_tags: {note: '{{external.odd}}'}"),
        told("own-tables", OWN_TABLES),
        told("star", &OWN_TABLES.replace("external.table", "external.star")),
        told("no-tables", &OWN_TABLES.replace("external.table", "external.nothing")),
        told("s3", &both("")),
        told("split", &both(&format!("{half}{other_half}"))),
        told("too-long", &both(&long)),
    ]
}

fn alice(set: &[&str]) -> Claims {
    let mut claims = claims(set, &app("prod", &[]), READER);
    claims.traits = traits(&[
        ("team", &["blue", "red"]),
        ("email", &["alice@example.com"]),
        ("table", &["orders", "carts"]),
        ("star", &["*", "a?b${c}\"]}"]),
        ("odd", &["a<b"]),
    ]);
    claims
}

fn answer(set: &[&str], then: impl FnOnce(Claims) -> Claims) -> Result<AwsSession, Denial> {
    let claims = alice(set);
    let policy = policy(&roles(), &claims);
    let request =
        AccessRequest { app: &app("prod", &[]), call: &call("ListTables"), chain: &[], now: now() };
    let grant = decide(&identity(then(claims)), &request, &policy)?;
    Ok(AwsSession::clone(grant.aws_session()))
}

fn picture_of(set: &[&str]) -> String {
    let mut picture = format!("{}\n", set.join(" + "));
    match answer(set, |claims| claims) {
        Err(denial) => writeln!(picture, "  ✘ {} : {denial}", denial.code()).unwrap(),
        Ok(session) => {
            for (key, value) in &session.tags {
                let goes_on = session.transitive_tag_keys.contains(key);
                let goes_on = if goes_on { " (transitive)" } else { "" };
                writeln!(picture, "  tag {key} = {value}{goes_on}").unwrap();
            }
            if let Some(source) = &session.source_identity {
                writeln!(picture, "  source identity {source}").unwrap();
            }
            for service in ["dynamodb", "s3", "ec2"] {
                let Some(policy) = &session.policy else { continue };
                let text = policy.document(service);
                let shown: String = text.chars().take(230).collect();
                let length = text.chars().count();
                writeln!(picture, "  policy for {service}, {length} characters: {shown}").unwrap();
                assert!(serde_saphyr::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
                assert!(length <= 2048, "{set:?} {service}");
            }
        }
    }
    picture
}

#[test]
fn the_picture_is_the_committed_one() {
    let sets: &[&[&str]] = &[
        &["plain"],
        &["team"],
        &["team", "plain"],
        &["team", "other-team"],
        &["no-such-trait"],
        &["named"],
        &["mailed"],
        &["named", "mailed"],
        &["two-mails"],
        &["nobody"],
        &["odd-tag"],
        &["own-tables"],
        &["star"],
        &["no-tables"],
        &["own-tables", "s3"],
        &["own-tables", "plain"],
        &["split"],
        &["too-long"],
    ];
    let mut picture: String = sets.iter().map(|set| picture_of(set)).collect();
    let moved = answer(&["team"], |mut claims| {
        claims.traits.insert("team".to_owned(), vec!["green".to_owned()]);
        claims
    });
    let denial = moved.unwrap_err();
    writeln!(
        picture,
        "team, with another team in the certificate\n  ✘ {} : {denial}",
        denial.code()
    )
    .unwrap();
    let claims = alice(&["split"]);
    let policy = policy(&roles(), &claims);
    let console = permit_console(&identity(claims), (&app("prod", &[]), now()), &policy);
    let denial = console.unwrap_err();
    writeln!(picture, "split, for the console\n  ✘ {} : {denial}", denial.code()).unwrap();
    assert_committed(&picture, "aws_session.txt");
}

#[test]
fn traits_that_no_setting_reads_may_change() {
    let session = answer(&["own-tables"], |mut claims| {
        claims.traits.insert("email".to_owned(), vec!["other@example.com".to_owned()]);
        claims
    });
    assert!(session.unwrap().policy.is_some());
}

#[test]
fn users_have_their_own_settings() {
    let claims = alice(&["named"]);
    let mut other = claims.clone();
    other.user = support::user_name("bob");
    let bob = UserNow::new(other.user.clone(), other.roles.clone());
    let mut session = support::session(&claims);
    session.user = other.user.clone();
    let policy = policy(&roles(), &claims).with_user(bob).with_session(session);
    let request =
        AccessRequest { app: &app("prod", &[]), call: &call("ListTables"), chain: &[], now: now() };
    let grant = decide(&identity(other), &request, &policy).unwrap();
    assert_eq!(grant.aws_session().source_identity.as_deref(), Some("bob"));
}

#[test]
fn a_role_that_aws_would_refuse_is_refused_with_place_and_reason() {
    let cases = [
        (
            "aws_session_tags: {'aws:x': y}",
            "spec.allow.aws_session_tags[\"aws:x\"]: keys that begin with aws:",
        ),
        ("aws_session_tags: {team: 'a<b'}", "AWS does not take '<'"),
        ("aws_session_tags: {team: '{{oops}}'}", "expression does not parse"),
        ("aws_transitive_tag_keys: [team]", "`team` is no key of aws_session_tags"),
        ("aws_source_identity: 'a b'", "spec.allow.aws_source_identity: AWS does not take `a b`"),
        ("aws_source_identity: '{{external.'", "expression does not parse"),
        ("aws_session_policy: 'no json'", "spec.allow.aws_session_policy: it is no JSON"),
        ("aws_session_policy: '[]'", "must be a JSON object"),
        ("aws_session_policy: {Version: '2012-10-17', Statement: []}", "must be a JSON object"),
        (
            "aws_session_policy: {Statement: {Effect: Perhaps, Action: '*', Resource: '*'}}",
            "the statement is no object",
        ),
        (
            "aws_session_policy: {Statement: {Effect: Allow, Action: '*'}}",
            "the statement is no object",
        ),
        (
            "aws_session_policy: {Statement: {Effect: Allow, Action: '*', Resource: 'x{{y'}}",
            "expression does not parse",
        ),
    ];
    for (settings, expected) in cases {
        let role = role("r", &format!("allow:\n  {settings}"));
        let error = validate(&role).unwrap_err().to_string();
        assert!(error.contains(expected), "{settings}: {error}");
    }
    let denied = role("r", "deny:\n  aws_source_identity: alice");
    let error = validate(&denied).unwrap_err().to_string();
    assert!(error.contains("belongs under spec.allow"), "{error}");
    for role in roles() {
        let refused = validate(&role).err();
        assert_eq!(refused.is_some(), role.name().as_str() == "too-long", "{refused:?}");
        assert!(!warnings(&role).iter().any(|w| w.message.contains("username")));
    }
}
