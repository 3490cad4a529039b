//! AWS credentials never leave the agent: after a tour through everything, the
//! sandbox's secrets are in no reply, log, event, error, file or environment.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "a test that tells one story in one piece"
)]

use serde_json::Value;
use testkit::canary;
use testkit::clients::{self, Road};
use testkit::cluster::{Cluster, Plan, role_arn};
use testkit::process::run;
use testkit::tsh::LocalProxy;

#[test]
fn no_aws_secret_is_seen_outside_the_agent() {
    // TRACE: what is not even logged there is not logged.
    let cluster = Cluster::start_with(&Plan { severity: "TRACE", ..Plan::default() });
    let tsh = cluster.ready_tsh();
    let proxy = tsh.proxy_aws(&[]);
    let endpoint = tsh.proxy_aws(&["--endpoint-url"]);
    let mut seen = String::new();
    for said in [
        run(clients::python(Road::HttpsProxy(&proxy), "boto3_tour.py", &["canary", "streams"]), ""),
        run(
            clients::python(
                Road::EndpointUrl(&endpoint),
                "boto3_tour.py",
                &["canary-two", "streams"],
            ),
            "",
        ),
        tsh.aws(&["dynamodb", "list-tables", "--debug"]),
        tsh.aws(&["dynamodb", "scan", "--table-name", "absent"]),
        tsh.aws(&["sts", "assume-role", "--role-arn", &role_arn("x"), "--role-session-name", "x"]),
        tsh.aws(&["sts", "get-session-token"]),
        tsh.run(&["aws", "--exec", "env", "--"]),
        tsh.run(&["apps", "config", "aws", "--format", "json"]),
        cluster.tctl(&["get", "all"]),
        cluster.tctl(&["audit", "ls", "--format", "json", "--limit", "10000"]),
    ] {
        seen.push_str(&said.stdout);
        seen.push_str(&said.stderr);
    }
    seen.push_str(&other_roles(&proxy));
    // Failures of AWS itself: STS refuses, the network is cut.
    cluster.sandbox.tell("fault", &serde_json::json!({ "throttle": 2 }));
    let said = tsh.aws(&["dynamodb", "list-tables"]);
    seen.push_str(&said.stderr);

    let agent = cluster.agent.as_ref().unwrap();
    for id in [cluster.server.id(), proxy.process.id(), endpoint.process.id()] {
        seen.push_str(&String::from_utf8_lossy(
            &std::fs::read(format!("/proc/{id}/environ")).unwrap(),
        ));
        seen.push_str(&String::from_utf8_lossy(
            &std::fs::read(format!("/proc/{id}/cmdline")).unwrap(),
        ));
    }
    seen.push_str(&String::from_utf8_lossy(
        &std::fs::read(format!("/proc/{}/cmdline", agent.id())).unwrap(),
    ));

    canary::assert_unseen(&cluster, seen.as_bytes());
    let of_others = real_keys_of(&cluster.sandbox.control("keys"), &["chained", "further"]);
    assert!(of_others.len() >= 6, "id, secret and token of two roles: {}", of_others.len());
    canary::assert_none_of(&of_others, &cluster, seen.as_bytes());
}

/// Other roles by STS, one with the keys of the other, and calls with what comes of it; everything that is said.
fn other_roles(proxy: &LocalProxy) -> String {
    let (mut seen, mut keys) = (String::new(), None);
    let call = |words: &[&str], keys: Option<&Value>| {
        let mut command = clients::aws_cli(Road::HttpsProxy(proxy), words);
        for (name, field) in [
            ("AWS_ACCESS_KEY_ID", "AccessKeyId"),
            ("AWS_SECRET_ACCESS_KEY", "SecretAccessKey"),
            ("AWS_SESSION_TOKEN", "SessionToken"),
        ] {
            if let Some(keys) = keys {
                command.env(name, keys[field].as_str().unwrap());
            }
        }
        run(command, "")
    };
    for role in ["chained", "further"] {
        let arn = role_arn(role);
        let assume = ["sts", "assume-role", "--debug", "--output", "json", "--role-arn", &arn];
        let said = call(&[&assume[..], &["--role-session-name", "canary"]].concat(), keys.as_ref());
        let answer: Value = serde_json::from_str(said.ok()).unwrap();
        seen.push_str(&said.stdout);
        seen.push_str(&said.stderr);
        keys = Some(answer["Credentials"].clone());
        let said = call(&["dynamodb", "list-tables", "--debug"], keys.as_ref());
        seen.push_str(said.ok());
        seen.push_str(&said.stderr);
    }
    seen
}

/// Ids, secrets and tokens that AWS has given for these roles.
fn real_keys_of(principals: &Value, roles: &[&str]) -> Vec<String> {
    let arns: Vec<String> = roles.iter().map(|role| role_arn(role)).collect();
    let of_role = |one: &&Value| {
        let arn = one["session"]["role_arn"].as_str();
        arn.is_some_and(|arn| arns.iter().any(|wanted| wanted == arn))
    };
    let found = principals.as_array().unwrap().iter().filter(of_role);
    let parts = |one: &Value| {
        [&one["access_key_id"], &one["secret_access_key"], &one["session"]["token"]]
            .map(|part| part.as_str().unwrap().to_owned())
    };
    found.flat_map(parts).collect()
}
