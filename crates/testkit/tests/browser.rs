//! What people do in the browser, in a real one, against real processes.

use serde_json::json;
use testkit::browser::browse;
use testkit::cluster::{CLUSTER, Cluster, PASSWORD, Plan, ROLE, role_arn};

const HOST: &str = "proxy.causeway.test";

fn plan(second_factor: &'static str) -> Plan {
    Plan { second_factor, public_host: HOST, ..Plan::default() }
}

/// A link by which a user sets the account up.
fn invite(cluster: &Cluster, name: &str, roles: &str) -> String {
    let said = cluster.tctl(&["users", "add", name, &format!("--roles={roles}")]);
    said.ok().split_whitespace().find(|word| word.contains("/web/invite/")).unwrap().to_owned()
}

/// From the invite to the console, with one kind of second factor.
fn walk_to_the_console(second_factor: &'static str, factor: &str) {
    let cluster = Cluster::start_with(&plan(second_factor));
    let other = "AnotherRole";
    cluster.create_role("aws-dynamodb-access", &[&role_arn(ROLE), &role_arn(other)]);
    let link = invite(&cluster, "alice", "access,aws-dynamodb-access");
    let settings = json!({
        "link": link, "name": "alice", "password": PASSWORD, "factor": factor, "role": ROLE, "other": other,
    });
    let found = browse(&cluster, "console", settings);
    let arn = format!("arn:aws:sts::111122223333:assumed-role/{ROLE}/alice");
    assert_eq!(found["arn"], arn);
    assert_eq!(found["session"], "alice");
    let destination = found["destination"].as_str().unwrap();
    assert!(destination.starts_with("https://console.aws.amazon.com/"), "{destination}");
    assert_eq!(found["referrer"], "", "the console is not told where it came from");
    assert_eq!(found["opener"], true);
    let journal = cluster.sandbox.control("journal").to_string();
    assert!(journal.contains("getSigninToken"), "{journal}");
    let logs = [cluster.server.output(), cluster.agent.as_ref().unwrap().output()].concat();
    assert!(!logs.contains("SigninToken="), "the federation URL is in a log");
    let events = cluster.audit(&[]).iter().map(ToString::to_string).collect::<String>();
    assert!(!events.contains("SigninToken"), "the federation URL is in an event");
    assert!(events.contains(CLUSTER));
}

#[test]
fn from_the_invite_to_the_console_with_a_one_time_code() {
    walk_to_the_console("otp", "otp");
}

#[test]
fn from_the_invite_to_the_console_with_a_passkey() {
    walk_to_the_console("webauthn", "passkey");
}
