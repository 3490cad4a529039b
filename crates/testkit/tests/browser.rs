//! What people do in the browser, in a real one, against real processes.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on must say so and stop"
)]

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
    let journal = cluster.sandbox.control("requests").to_string();
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

const ROLE_YAML: &str = "kind: role
version: v5
metadata:
  name: read-tables
spec:
  allow:
    app_labels:
      '*': '*'
    aws_role_arns:
      - arn:aws:iam::111122223333:role/ExampleTeleportDynamoDBRole
";

#[test]
fn an_admin_makes_a_role_and_a_user_and_reads_both_in_the_audit_log() {
    let cluster = Cluster::start_with(&plan("off"));
    let _ = cluster.user("root", "editor,auditor,access");
    let settings = json!({
        "name": "root", "password": PASSWORD, "role": ROLE_YAML, "roleName": "read-tables", "user": "carol",
    });
    let found = browse(&cluster, "admin", settings);
    let link = found["link"].as_str().unwrap();
    assert!(link.starts_with(&format!("https://{}/web/invite/", cluster.public_addr)), "{link}");
    let roles = cluster.tctl(&["get", "user/carol", "--format=json"]);
    assert!(roles.ok().contains("read-tables"));
}

#[test]
fn what_another_site_a_thief_or_an_injected_script_tries_is_refused() {
    let cluster = Cluster::start_with(&plan("off"));
    let _ = cluster.user("alice", "editor,access");
    let evil = evil_site();
    let settings = json!({ "alice": {"name": "alice", "password": PASSWORD}, "evil": evil });
    let _ = browse(&cluster, "attacks", settings);
    let users = cluster.tctl(&["users", "ls"]);
    assert!(!users.ok().contains("mallory"));
}

/// A page of another site's, for the length of this process.
fn evil_site() -> String {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let page = "<!doctype html><title>Evil</title><link rel=icon href=data:,><p>hello";
            let length = page.len();
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close";
            let _ = write!(stream, "{head}\r\nContent-Length: {length}\r\n\r\n{page}");
        }
    });
    format!("http://evil.causeway.test:{port}/")
}

#[test]
fn a_user_who_is_locked_is_cut_within_a_second() {
    let cluster = Cluster::start_with(&plan("off"));
    let _ = cluster.user("alice", "access");
    let signed_in = cluster.folder().join("signed-in");
    let locked = cluster.folder().join("locked");
    let settings = json!({
        "name": "alice", "password": PASSWORD, "signedIn": signed_in, "locked": locked,
    });
    let found = std::thread::scope(|scope| {
        let browsing = scope.spawn(|| browse(&cluster, "locked", settings));
        testkit::process::wait_until("the sign-in", || {
            (signed_in.exists() || browsing.is_finished()).then_some(())
        });
        let _ = cluster.tctl(&["lock", "--user=alice"]).ok();
        std::fs::write(&locked, "").unwrap();
        browsing.join().unwrap()
    });
    assert!(found["asked"].as_u64().unwrap() > 0, "{found}");
    assert!(found["after"].as_u64().unwrap() < 1_000, "{found}");
}

#[test]
fn every_page_is_accessible_and_shows_no_error() {
    let home = testkit::lived_in::LivedIn::start();
    let settings = json!({
        "name": home.admin.name,
        "password": home.admin.password,
        "secret": home.admin.otp_secret,
        "paths": home.paths(),
    });
    let found = browse(&home.cluster, "pages", settings);
    let bytes = found["first"]["bytes"].as_u64().unwrap();
    assert!(bytes < 150 * 1024, "the first visit loads {bytes} bytes");
    assert_eq!(found["looked"].as_array().unwrap().len(), home.paths().len());
}
