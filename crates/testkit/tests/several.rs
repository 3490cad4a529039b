//! Several app sessions at once: two accounts, three roles and four regions through one local proxy.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that tells one story in one piece"
)]

use std::collections::HashMap;

use serde_json::{Value, json};
use testkit::clients::{self, Road};
use testkit::cluster::{Cluster, Plan, ROLE, role_arn};
use testkit::process::{run, wait_until};
use testkit::tsh::{LocalProxy, Tsh};

const OTHER_ACCOUNT: &str = "444455556666";
const REGIONS: [&str; 4] = ["us-east-1", "eu-west-1", "ap-southeast-2", "sa-east-1"];

/// A cluster with two AWS apps, and a user who may use three roles of two accounts.
fn cluster() -> (Cluster, Tsh) {
    let app_service =
        "  - name: prod\n    uri: https://console.aws.amazon.com/home/home\n".to_owned();
    let cluster = Cluster::start_with(&Plan { app_service, ..Plan::default() });
    let roles = [role_arn(ROLE), role_arn("writer"), auditor()];
    let roles: Vec<&str> = roles.iter().map(String::as_str).collect();
    cluster.create_role("aws-access", &roles);
    let account = cluster.user("alice", "access,aws-access");
    let tsh = cluster.tsh();
    let _ = tsh.login(&account).ok();
    (cluster, tsh)
}

fn auditor() -> String {
    format!("arn:aws:iam::{OTHER_ACCOUNT}:role/auditor")
}

fn log_in(tsh: &Tsh, app: &str, role: &str) {
    let _ = tsh.run(&["apps", "login", "--quiet", "--aws-role", role, app]).ok();
}

/// What the key book says: role → keys.
fn keys(tsh: &Tsh) -> Vec<Value> {
    let mut command = std::process::Command::new("find");
    command.arg(tsh.folder()).args(["-name", "keys.json"]);
    let path = run(command, "").ok().trim().to_owned();
    let book: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let keys = book["keys"].as_array().unwrap().iter().map(|key| {
        json!({"id": key["access_key_id"], "secret": key["secret_access_key"], "role": key["aws_role"]})
    });
    keys.collect()
}

fn load(road: Road<'_>, keys: &[Value], is_first: bool) -> Vec<Value> {
    let plan = json!({
        "calls": 1000, "threads": 8, "regions": REGIONS, "keys": keys, "prepare": is_first,
    });
    let mut command = clients::python(road, "mixed_load.py", &[]);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    let said = run(command, &plan.to_string());
    let lines: Vec<Value> =
        said.ok().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 1000, "{}", said.stderr);
    lines
}

/// Each call is in the audit log, once, with the role, account, region and service that it was made for.
fn check(cluster: &Cluster, calls: &[Value]) {
    let entries: HashMap<String, Value> = wait_until("every entry", || {
        let found: HashMap<String, Value> = cluster
            .audit(&[])
            .into_iter()
            .filter_map(|event| Some((event["aws_request_id"].as_str()?.to_owned(), event)))
            .collect();
        calls
            .iter()
            .all(|call| found.contains_key(call["request_id"].as_str().unwrap()))
            .then_some(found)
    });
    for call in calls {
        let entry = &entries[call["request_id"].as_str().unwrap()];
        assert_eq!(entry["aws_role_arn"], call["role"], "{entry}");
        assert_eq!(entry["aws_region"], call["region"], "{entry}");
        assert_eq!(entry["aws_service"], call["service"], "{entry}");
        assert_eq!(entry["operation"], call["operation"], "{entry}");
        let is_prod = call["role"] == auditor().as_str();
        assert_eq!(entry["app_name"], if is_prod { "prod" } else { "aws" }, "{entry}");
    }
}

fn serves_all(proxy: &LocalProxy) -> bool {
    proxy.process.output().contains("with the credentials of the app and AWS role that are meant")
}

#[test]
fn a_thousand_calls_of_three_roles_never_cross() {
    let (cluster, tsh) = cluster();
    log_in(&tsh, "aws", ROLE);
    log_in(&tsh, "aws", "writer");
    let https = tsh.proxy_aws(&[]);
    let endpoint = tsh.proxy_aws(&["--endpoint-url"]);
    assert!(serves_all(&https) && serves_all(&endpoint), "{}", https.process.output());
    // Known to both proxies, which already run.
    log_in(&tsh, "prod", "auditor");
    let keys = keys(&tsh);
    assert_eq!(keys.len(), 3);
    let calls = load(Road::HttpsProxy(&https), &keys, true);
    check(&cluster, &calls);
    let calls = load(Road::EndpointUrl(&endpoint), &keys, false);
    check(&cluster, &calls);
}

#[test]
fn roles_are_chosen_listed_and_logged_out_of_one_by_one() {
    let (_cluster, tsh) = cluster();
    let caller = |arguments: &[&str]| {
        let words = ["sts", "get-caller-identity", "--query", "Arn", "--output", "text"];
        let mut command = tsh.command(&["aws"]);
        command.args(arguments).args(words).env("PATH", testkit::tsh::path_with_aws());
        run(command, "")
    };
    log_in(&tsh, "aws", ROLE);
    log_in(&tsh, "aws", "writer");
    assert!(caller(&[]).ok().contains("/writer/alice"), "the one logged in to last");
    assert!(caller(&["--aws-role", ROLE]).ok().contains(&format!("/{ROLE}/alice")));
    // Logged in to quietly, and not the usual one from then on.
    assert!(caller(&["--app", "aws", "--aws-role", "auditor"]).ok().contains("/auditor/alice"));
    assert!(caller(&[]).ok().contains("/writer/alice"));
    let listed = tsh.run(&["apps", "ls", "--roles", "--format", "json"]);
    let listed: Value = serde_json::from_str(listed.ok()).unwrap();
    let of = |app: &str| {
        let found = listed.as_array().unwrap().iter().find(|row| row["app"] == app).unwrap();
        let roles = found["roles"].as_array().unwrap().clone();
        roles.into_iter().filter(|role| role["logged_in"] == true).count()
    };
    assert_eq!((of("aws"), of("prod")), (3, 0), "{listed}");
    assert_eq!(tsh.run(&["apps", "logins", "aws", "--format", "json"]).code, 0);

    let proxy = tsh.proxy_aws(&[]);
    let key = keys(&tsh).into_iter().find(|key| key["role"] == role_arn("writer")).unwrap();
    let call = || {
        let mut command =
            clients::aws_cli(Road::HttpsProxy(&proxy), &["sts", "get-caller-identity"]);
        command.env("AWS_ACCESS_KEY_ID", key["id"].as_str().unwrap());
        command.env("AWS_SECRET_ACCESS_KEY", key["secret"].as_str().unwrap());
        command.env("AWS_MAX_ATTEMPTS", "1");
        run(command, "")
    };
    assert!(call().ok().contains("/writer/alice"));
    let _ = tsh.run(&["apps", "logout", "aws", "--aws-role", "writer"]).ok();
    let refused = call();
    assert!(refused.code != 0, "{}", refused.stdout);
    assert_eq!(tsh.run(&["apps", "logout", "aws", "--aws-role", "writer"]).code, 1);
    assert!(caller(&["--aws-role", ROLE]).ok().contains(&format!("/{ROLE}/alice")));
    assert!(caller(&["--aws-role", "auditor"]).ok().contains("/auditor/alice"));
}

#[test]
fn keys_of_another_scope_and_changed_keys_are_refused() {
    let (_cluster, tsh) = cluster();
    log_in(&tsh, "aws", ROLE);
    log_in(&tsh, "prod", "auditor");
    let all = keys(&tsh);
    let key = |role: &str| {
        let found = all.iter().find(|key| key["role"] == role).unwrap();
        let text = |name: &str| found[name].as_str().unwrap().to_owned();
        (text("id"), text("secret"))
    };
    let (guide, audit) = (key(&role_arn(ROLE)), key(&auditor()));
    let only_aws = tsh.proxy_aws(&["--app", "aws"]);
    let call = |(id, secret): (&str, &str)| {
        let mut command =
            clients::aws_cli(Road::HttpsProxy(&only_aws), &["sts", "get-caller-identity"]);
        command.env("AWS_ACCESS_KEY_ID", id).env("AWS_SECRET_ACCESS_KEY", secret);
        command.env("AWS_MAX_ATTEMPTS", "1");
        run(command, "")
    };
    assert!(call((&guide.0, &guide.1)).ok().contains(ROLE));
    // Another app's pair; one's id with the other's secret, both ways; an invented pair.
    for (pair, code) in [
        ((audit.0.as_str(), audit.1.as_str()), "InvalidClientTokenId"),
        ((guide.0.as_str(), audit.1.as_str()), "SignatureDoesNotMatch"),
        ((audit.0.as_str(), guide.1.as_str()), "InvalidClientTokenId"),
        (("AKIAIOSFODNN7EXAMPLE", guide.1.as_str()), "InvalidClientTokenId"),
    ] {
        let said = call(pair);
        assert!(said.code != 0 && said.stderr.contains(code), "{} {}", said.stdout, said.stderr);
    }
    let said = tsh.run(&["proxy", "aws", "--listen", "0.0.0.0:0"]);
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("--allow-other-machines"), "{}", said.stderr);
}
