//! Other roles by STS, with the real AWS CLI: chains of profiles, keys that an SDK or a person got, and what ends them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that tells one story in one piece"
)]

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use testkit::canary;
use testkit::clients::{self, Road};
use testkit::cluster::{Cluster, Plan, ROLE, role_arn};
use testkit::process::{Said, run, wait_until};
use testkit::sandbox::ACCOUNT;
use testkit::tsh::LocalProxy;

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

/// Profiles of a person's own, each of which assumes a role by the keys of another.
fn chain(first: &str, settings: &str) -> String {
    let profile = |role: &str, source: &str| {
        let arn = role_arn(role);
        let name = format!("[profile {role}]\nrole_arn = {arn}\nrole_session_name = profile");
        format!("{name}\n{source}\n{settings}\n")
    };
    profile("chained", first) + &profile("further", "source_profile = chained")
}

/// The AWS CLI and boto3 are by the profiles who they should be; gives what they said.
fn check_chain(road: Road<'_>, home: &Path, config: &Path) -> String {
    let mut seen = String::new();
    let mut tool = |mut command: Command, expected: &str| {
        command.env("HOME", home).env("AWS_CONFIG_FILE", config);
        let said = run(command, "");
        assert_eq!(said.ok().trim(), expected, "{road:?}");
        seen.push_str(&said.stderr);
    };
    for role in ["chained", "further", "further"] {
        let mut command = clients::aws_cli(road, &CALLER);
        command.args(["--profile", role, "--debug"]);
        tool(command, &assumed(role, "profile"));
    }
    let both = ["chained", "further"].map(|role| assumed(role, "profile")).join("\n");
    tool(clients::python(road, "role_chain.py", &["chained", "further"]), &both);
    seen
}

#[test]
fn a_profile_that_assumes_a_role_works_through_both_kinds_of_proxy() {
    let cluster = Cluster::start();
    let tsh = cluster.ready_tsh();
    let https = tsh.proxy_aws(&[]);
    let endpoint = tsh.proxy_aws(&["--endpoint-url"]);
    let mut seen = String::new();
    for (name, road) in [("a", Road::HttpsProxy(&https)), ("b", Road::EndpointUrl(&endpoint))] {
        let folder = cluster.folder().join(format!("profiles-{name}"));
        std::fs::create_dir_all(&folder).unwrap();
        let config = folder.join("config");
        std::fs::write(&config, chain("credential_source = Environment", "")).unwrap();
        seen.push_str(&check_chain(road, &folder, &config));
    }
    // Neither in what `--debug` says nor in the cache of the AWS CLI.
    canary::assert_unseen(&cluster, seen.as_bytes());
}

#[test]
fn a_profile_of_ones_own_chains_from_one_that_tsh_has_written() {
    let cluster = Cluster::start();
    let tsh = cluster.ready_tsh();
    let _ = tsh.run(&["aws-profile", "write", "--name", "work", "--region", "us-east-1"]).ok();
    let config = tsh.home().join(".aws/config");
    let written = std::fs::read_to_string(&config).unwrap();
    // What is told to people: the two lines of the written profile that say where the proxy is.
    let settings: Vec<&str> = written
        .lines()
        .filter(|line| line.starts_with("endpoint_url") || line.starts_with("ca_bundle"))
        .collect();
    assert_eq!(settings.len(), 2, "{written}");
    let own = chain("source_profile = work", &settings.join("\n"));
    std::fs::write(&config, format!("{written}\n{own}")).unwrap();
    let seen = check_chain(Road::Direct(&[]), tsh.home(), &config);
    canary::assert_unseen(&cluster, seen.as_bytes());
    // Logged out of, the chain is cut, although the AWS CLI has the keys in its cache.
    let _ = tsh.run(&["logout"]).ok();
    for role in ["chained", "further"] {
        let mut command = clients::aws_cli(Road::Direct(&[]), &CALLER);
        command.args(["--profile", role]).env("HOME", tsh.home());
        let _ = run(command, "").failed();
    }
}

const TOKEN: &str = "canary-token-of-an-identity-provider";

/// A command without keys of its own.
fn keyless(mut command: Command) -> Command {
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
        command.env_remove(name);
    }
    command
}

#[test]
fn roles_by_web_identity_and_saml_work_without_a_signature_and_their_tokens_stay_unknown() {
    let sandbox = vec!["--identity-token", TOKEN];
    let cluster = Cluster::start_with(&Plan { sandbox, severity: "TRACE", ..Plan::default() });
    let tsh = cluster.ready_tsh();
    let https = tsh.proxy_aws(&[]);
    let endpoint = tsh.proxy_aws(&["--endpoint-url"]);
    let arn = role_arn("federated");
    let mut ours = Vec::new();
    for road in [Road::HttpsProxy(&https), Road::EndpointUrl(&endpoint)] {
        let said = run(keyless(clients::python(road, "web_identity.py", &[&arn, TOKEN])), "");
        let told: Value = serde_json::from_str(said.ok()).unwrap();
        let callers =
            serde_json::json!([assumed("federated", "web"), assumed("federated", "saml-user")]);
        assert_eq!(told["callers"], callers);
        assert_eq!(told["refused"], "InvalidIdentityToken");
        ours.extend(told["keys"].as_array().unwrap().clone());
    }
    // As in a pod: everything by the environment.
    let folder = cluster.folder().join("sandbox-pod");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("token"), TOKEN).unwrap();
    for words in [&CALLER[..], &["dynamodb", "list-tables"]] {
        let mut command = keyless(clients::aws_cli(Road::HttpsProxy(&https), words));
        command.env("AWS_WEB_IDENTITY_TOKEN_FILE", folder.join("token"));
        command.env("AWS_ROLE_ARN", &arn).env("AWS_ROLE_SESSION_NAME", "pod");
        // The AWS CLI keeps such keys in its home.
        command.env("HOME", folder.join(words[0]));
        let said = run(command, "");
        if words == CALLER {
            assert_eq!(said.ok().trim(), assumed("federated", "pod"));
        } else {
            assert!(said.ok().contains("TableNames"));
        }
    }
    let real = cluster.sandbox.control("secrets").to_string();
    assert!(ours.iter().all(|secret| !real.contains(secret.as_str().unwrap())));
    let events = wait_until("the entries", || {
        let events = cluster.audit(&[]);
        let is_asked = |event: &&Value| event["aws_requested_role"].as_str() == Some(&arn);
        // By either road: one of each kind, and one that AWS refused; and the two of the AWS CLI.
        (events.iter().filter(is_asked).count() == 8).then_some(events)
    });
    let by_role = events.iter().filter(|event| event["aws_assumed_role"].as_str() == Some(&arn));
    assert_eq!(by_role.count(), 10);
    for log in [cluster.server.output(), cluster.agent.as_ref().unwrap().output()] {
        assert!(!log.is_empty() && !log.contains(TOKEN));
    }
    assert!(!serde_json::to_string(&events).unwrap().contains(TOKEN));
}

#[test]
fn which_session_is_meant_must_be_beyond_doubt() {
    let cluster =
        Cluster::start_with(&Plan { sandbox: vec!["--identity-token", TOKEN], ..Plan::default() });
    let arns = [role_arn(ROLE), role_arn("writer")];
    cluster.create_role("two", &[&arns[0], &arns[1]]);
    let account = cluster.user("bob", "access,two");
    let tsh = cluster.tsh();
    let _ = tsh.login(&account).ok();
    for role in [ROLE, "writer"] {
        let _ = tsh.run(&["apps", "login", "--aws-role", role, "aws"]).ok();
    }
    let arn = role_arn("federated");
    let ask = |proxy: &LocalProxy| {
        let road = Road::HttpsProxy(proxy);
        run(keyless(clients::python(road, "web_identity.py", &[&arn, TOKEN])), "")
    };
    let both = tsh.proxy_aws(&[]);
    let said = ask(&both);
    for part in ["AccessDenied", &arns[0], &arns[1], "--aws-role"] {
        assert!(said.failed().contains(part), "{}", said.stderr);
    }
    let one = tsh.proxy_aws(&["--app", "aws", "--aws-role", "writer"]);
    assert!(ask(&one).ok().contains("federated"));
}
