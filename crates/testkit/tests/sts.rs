//! Other roles by STS, with the real AWS CLI: chains of profiles, keys that an SDK or a person got, and what ends them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that tells one story in one piece"
)]

use std::process::Command;

use serde_json::Value;
use testkit::clients::{self, Road};
use testkit::cluster::{Cluster, Plan, role_arn};
use testkit::process::{Said, run, wait_until};
use testkit::sandbox::ACCOUNT;

const CALLER: [&str; 6] = ["sts", "get-caller-identity", "--query", "Arn", "--output", "text"];

fn assumed(role: &str, session: &str) -> String {
    format!("arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{session}")
}

fn assume(road: Road<'_>, role: &str, keys: Option<&Value>) -> Value {
    let arn = role_arn(role);
    let words = ["sts", "assume-role", "--output", "json", "--role-session-name", "chain"];
    let mut command = clients::aws_cli(road, &[&words[..], &["--role-arn", &arn]].concat());
    with(&mut command, keys);
    let answer: Value = serde_json::from_str(run(command, "").ok()).unwrap();
    answer["Credentials"].clone()
}

/// Has a command use these keys.
fn with(command: &mut Command, keys: Option<&Value>) {
    let Some(keys) = keys else { return };
    for (name, field) in [
        ("AWS_ACCESS_KEY_ID", "AccessKeyId"),
        ("AWS_SECRET_ACCESS_KEY", "SecretAccessKey"),
        ("AWS_SESSION_TOKEN", "SessionToken"),
    ] {
        command.env(name, keys[field].as_str().unwrap());
    }
}

fn call(road: Road<'_>, words: &[&str], keys: Option<&Value>) -> Said {
    let mut command = clients::aws_cli(road, words);
    with(&mut command, keys);
    run(command, "")
}

#[test]
fn keys_of_ours_lead_to_other_roles_in_chains_and_end_with_the_agent_and_the_session() {
    let plan = Plan::default();
    let mut cluster = Cluster::start_with(&plan);
    let tsh = cluster.ready_tsh();
    let https = tsh.proxy_aws(&[]);
    let endpoint = tsh.proxy_aws(&["--endpoint-url"]);
    let mut secrets = Vec::new();
    for road in [Road::HttpsProxy(&https), Road::EndpointUrl(&endpoint)] {
        let first = assume(road, "chained", None);
        assert_eq!(call(road, &CALLER, Some(&first)).ok().trim(), assumed("chained", "chain"));
        let second = assume(road, "further", Some(&first));
        assert_eq!(call(road, &CALLER, Some(&second)).ok().trim(), assumed("further", "chain"));
        let tables = call(road, &["dynamodb", "list-tables"], Some(&second));
        assert!(tables.ok().contains("TableNames"));
        // The session's own keys are what they were.
        assert!(call(road, &CALLER, None).ok().contains(":assumed-role/"));
        secrets.extend([first, second]);
    }
    // Of the four, each is known to the other proxy, and to one that is started later.
    let later = tsh.proxy_aws(&[]);
    let said = call(Road::HttpsProxy(&later), &CALLER, secrets.first());
    assert_eq!(said.ok().trim(), assumed("chained", "chain"));
    // A wrong secret, and the token left out or another's: not ours.
    for (field, value) in [("SecretAccessKey", "x".repeat(40)), ("SessionToken", "x".to_owned())] {
        let mut spoiled = secrets[0].clone();
        spoiled[field] = value.into();
        let _ = call(Road::HttpsProxy(&https), &CALLER, Some(&spoiled)).failed();
    }
    // The keys are not AWS's: straight to the sandbox they are worth nothing.
    let direct = cluster.sandbox.environment();
    let _ = call(Road::Direct(&direct), &CALLER, secrets.first()).failed();
    let real = cluster.sandbox.control("secrets").to_string();
    for keys in &secrets {
        assert!(!real.contains(keys["SecretAccessKey"].as_str().unwrap()));
        assert!(!real.contains(keys["SessionToken"].as_str().unwrap()));
    }
    wait_until("the entries of a chain", || {
        let events = cluster.audit(&[]);
        let has = |field: &str, role: &str| {
            events.iter().any(|event| event[field].as_str() == Some(&role_arn(role)))
        };
        let all = has("aws_requested_role", "chained")
            && has("aws_requested_role", "further")
            && has("aws_assumed_role", "chained")
            && has("aws_assumed_role", "further");
        all.then_some(())
    });
    // The agent's memory is where the real ones were.
    cluster.restart_agent(&plan);
    cluster.wait_ready();
    let said = wait_until("an answer of the new agent", || {
        let said = call(Road::HttpsProxy(&https), &CALLER, secrets.first());
        said.stderr.contains("ExpiredToken").then_some(said)
    });
    assert!(said.failed().contains("get new ones from STS"), "{}", said.stderr);
    let fresh = assume(Road::HttpsProxy(&https), "chained", None);
    let said = call(Road::HttpsProxy(&https), &CALLER, Some(&fresh));
    assert_eq!(said.ok().trim(), assumed("chained", "chain"));
    // Logged out of: nobody knows them any more.
    let _ = tsh.run(&["apps", "logout"]).ok();
    let _ = call(Road::HttpsProxy(&https), &CALLER, Some(&fresh)).failed();
}

#[test]
fn a_profile_that_assumes_a_role_works_through_both_kinds_of_proxy() {
    let cluster = Cluster::start();
    let tsh = cluster.ready_tsh();
    let https = tsh.proxy_aws(&[]);
    let endpoint = tsh.proxy_aws(&["--endpoint-url"]);
    for (name, road) in [("a", Road::HttpsProxy(&https)), ("b", Road::EndpointUrl(&endpoint))] {
        let folder = cluster.folder().join(format!("profiles-{name}"));
        std::fs::create_dir_all(&folder).unwrap();
        let chained = |role: &str, source: &str| {
            let arn = role_arn(role);
            format!("[profile {role}]\nrole_arn = {arn}\nrole_session_name = profile\n{source}\n")
        };
        let text = chained("chained", "credential_source = Environment")
            + &chained("further", "source_profile = chained");
        std::fs::write(folder.join("config"), text).unwrap();
        for role in ["chained", "further", "further"] {
            let mut command = clients::aws_cli(road, &CALLER);
            command.args(["--profile", role]).env("HOME", &folder);
            command.env("AWS_CONFIG_FILE", folder.join("config"));
            assert_eq!(run(command, "").ok().trim(), assumed(role, "profile"), "{name}");
        }
    }
}
