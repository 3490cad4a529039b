//! What must be turned away, each with its own test, through the real binaries.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "a test that tells one story in one piece"
)]

use std::process::Command;

use testkit::clients::{self, Road};
use testkit::cluster::{Cluster, ROLE, role_arn};
use testkit::process::{Said, run, wait_until};
use testkit::tsh::{LocalProxy, Tsh};

/// `curl` through the local HTTPS proxy, signing with `keys`.
fn curl(proxy: &LocalProxy, keys: (&str, &str), arguments: &[&str]) -> Said {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "30", "--noproxy", ""]);
    command.arg("--proxy").arg(format!("http://127.0.0.1:{}", proxy.port));
    command.arg("--cacert").arg(proxy.value("AWS_CA_BUNDLE"));
    command.args(["--aws-sigv4", "aws:amz:us-east-1:dynamodb"]);
    command.arg("--user").arg(format!("{}:{}", keys.0, keys.1));
    command.args(["-w", "\n%{http_code}"]).args(arguments);
    run(command, "")
}

fn own_keys(proxy: &LocalProxy) -> (&str, &str) {
    (proxy.value("AWS_ACCESS_KEY_ID"), proxy.value("AWS_SECRET_ACCESS_KEY"))
}

const LIST: &[&str] = &[
    "-H",
    "X-Amz-Target: DynamoDB_20120810.ListTables",
    "-H",
    "Content-Type: application/x-amz-json-1.0",
    "-d",
    "{}",
    "https://dynamodb.us-east-1.amazonaws.com/",
];

#[test]
fn a_wrong_throwaway_key_is_refused_on_the_users_machine() {
    let cluster = Cluster::start();
    let proxy = cluster.ready_tsh().proxy_aws(&[]);
    let (id, secret) = own_keys(&proxy);
    assert!(curl(&proxy, (id, secret), LIST).stdout.ends_with("200"), "the right key works");
    for keys in [(id, "wrong-secret-wrong-secret"), ("AKIAWRONGWRONGWRONG1", secret)] {
        let said = curl(&proxy, keys, LIST);
        assert!(said.stdout.ends_with("400") || said.stdout.ends_with("403"), "{}", said.stdout);
        assert!(said.stdout.contains("__type"), "{}", said.stdout);
    }
    let unsigned = {
        let mut command = Command::new("curl");
        command.args(["-sS", "--noproxy", "", "-w", "\n%{http_code}", "--proxy"]);
        command.arg(format!("http://127.0.0.1:{}", proxy.port));
        command.arg("--cacert").arg(proxy.value("AWS_CA_BUNDLE")).args(LIST);
        run(command, "")
    };
    assert!(!unsigned.stdout.ends_with("200"), "{}", unsigned.stdout);
}

#[test]
fn hosts_that_are_not_aws_are_never_given_a_signed_request() {
    let cluster = Cluster::start();
    let proxy = cluster.ready_tsh().proxy_aws(&[]);
    let before = cluster.sandbox.control("requests").as_array().map_or(0, Vec::len);
    // A look-alike is passed through like any other host (and does not resolve here):
    // it never gets the local certificate, let alone a signature.
    let said = curl(&proxy, own_keys(&proxy), &["https://evil-amazonaws.com.example.org/"]);
    assert_ne!(said.code, 0, "{}", said.stdout);
    for forged in [
        "attacker.example.com://s3.amazonaws.com",
        "s3.amazonaws.com@attacker.example.com",
        "s3.amazonaws.com:8443",
        "attacker.example.com#.amazonaws.com",
        "attacker.example.com/.amazonaws.com",
        "dynamodb.us-east-1.amazonaws.com.attacker.example.com",
        "127.0.0.1",
    ] {
        let header = format!("X-Forwarded-Host: {forged}");
        let mut arguments = vec!["-H", header.as_str()];
        arguments.extend(LIST);
        let said = curl(&proxy, own_keys(&proxy), &arguments);
        // The header is ignored or the call refused; what is answered came from the host of the URL.
        assert!(
            said.stdout.ends_with("200")
                || said.stdout.ends_with("400")
                || said.stdout.ends_with("403"),
            "{forged}: {} {}",
            said.stdout,
            said.stderr
        );
        let header = format!("Host: {forged}");
        let mut arguments = vec!["-H", header.as_str()];
        arguments.extend(LIST);
        let said = curl(&proxy, own_keys(&proxy), &arguments);
        assert!(!said.stdout.ends_with("200"), "Host: {forged}: {}", said.stdout);
    }
    let requests = cluster.sandbox.control("requests");
    assert!(requests.as_array().map_or(0, Vec::len) >= before);
}

#[test]
fn a_role_removed_after_login_is_refused_at_the_next_request_with_the_rule() {
    let cluster = Cluster::start();
    let tsh = cluster.ready_tsh();
    let _ = tsh.aws(&["dynamodb", "list-tables"]).ok();
    let _ = cluster.tctl(&["users", "update", "alice", "--set-roles=access"]).ok();
    let refused = refused_soon(&tsh);
    for part in ["AccessDenied", "alice", "aws", ROLE] {
        assert!(refused.contains(part), "the refusal names `{part}`: {refused}");
    }
    let event = cluster.wait_audit("refused request", |event| {
        event["event"].as_str().is_some_and(|name| name.contains("request"))
            && event["outcome"] == "refused"
    });
    assert_eq!(event["user"], "alice", "{event}");
}

#[test]
fn a_deny_rule_goes_before_an_allow_rule() {
    let cluster = Cluster::start();
    let tsh = cluster.ready_tsh();
    let _ = tsh.aws(&["dynamodb", "list-tables"]).ok();
    let deny = format!(
        "kind: role\nversion: v5\nmetadata:\n  name: aws-dynamodb-access\nspec:\n  allow:\n    app_labels:\n      '*': '*'\n    aws_role_arns: ['{arn}']\n  deny:\n    aws_role_arns: ['{arn}']\n",
        arn = role_arn(ROLE)
    );
    let _ = cluster.tctl_with_input(&["create", "-f"], &deny).ok();
    let refused = refused_soon(&tsh);
    assert!(
        refused.contains("aws-dynamodb-access") && refused.to_lowercase().contains("den"),
        "{refused}"
    );
}

#[test]
fn a_locked_user_is_refused_at_the_next_request() {
    let cluster = Cluster::start();
    let tsh = cluster.ready_tsh();
    let proxy = tsh.proxy_aws(&[]);
    let list = || run(clients::aws_cli(Road::HttpsProxy(&proxy), &["dynamodb", "list-tables"]), "");
    let _ = list().ok();
    let _ = cluster.tctl(&["lock", "--user=alice", "--message=lost laptop", "--ttl=1h"]).ok();
    wait_until("refusal of the locked user", || (list().code != 0).then_some(()));
}

#[test]
fn calls_that_hand_out_keys_are_refused_in_every_form() {
    let cluster = Cluster::start();
    let tsh = cluster.ready_tsh();
    for arguments in [
        vec!["iam", "create-access-key", "--user-name", "xx"],
        vec!["sts", "get-session-token"],
        vec!["sts", "get-federation-token", "--name", "xx"],
    ] {
        let said = tsh.aws(&arguments);
        assert!(said.failed().contains("AccessDenied"), "{arguments:?}: {}", said.stderr);
    }
    let proxy = tsh.proxy_aws(&[]);
    let form = |url: &str, data: Option<&str>| {
        let mut command = Command::new("curl");
        command.args(["-sS", "--noproxy", "", "-w", "\n%{http_code}", "--proxy"]);
        command.arg(format!("http://127.0.0.1:{}", proxy.port));
        command.arg("--cacert").arg(proxy.value("AWS_CA_BUNDLE"));
        command.args(["--aws-sigv4", "aws:amz:us-east-1:sts", "--user"]);
        command.arg(format!("{}:{}", own_keys(&proxy).0, own_keys(&proxy).1));
        if let Some(data) = data {
            command.args([
                "-H",
                "Content-Type: application/x-www-form-urlencoded",
                "--data-raw",
                data,
            ]);
        }
        command.arg(url);
        run(command, "")
    };
    let host = "https://sts.us-east-1.amazonaws.com/";
    for said in [
        form(&format!("{host}?Action=GetSessionToken&Version=2011-06-15"), None),
        form(
            &format!("{host}?Action=GetCallerIdentity&Version=2011-06-15"),
            Some("Action=GetSessionToken&Version=2011-06-15"),
        ),
        form(host, Some("Action=GetCallerIdentity&Action=GetSessionToken&Version=2011-06-15")),
        form(host, Some("%41ction=%47etSessionToken&Version=2011-06-15")),
        form(host, Some("Action=AssumeRoleWithWebIdentity&Version=2011-06-15&WebIdentityToken=x")),
    ] {
        assert!(!said.stdout.ends_with("200"), "{}", said.stdout);
        assert!(!said.stdout.contains("SecretAccessKey"), "{}", said.stdout);
    }
    assert!(
        form(host, Some("Action=GetCallerIdentity&Version=2011-06-15")).stdout.ends_with("200")
    );
}

#[test]
fn certificates_of_another_cluster_are_refused() {
    let ours = Cluster::start();
    let theirs = Cluster::start();
    let tsh = ours.ready_tsh();
    let _ = tsh.aws(&["dynamodb", "list-tables"]).ok();
    // Our certificates, shown to their cluster: the profile's address is turned to their proxy.
    let stranger = theirs.ready_tsh();
    let our_files = files(&tsh);
    let their_files = files(&stranger);
    for (name, path) in &their_files {
        if name.ends_with("-x509.pem") || name.ends_with("/alice") {
            let own = our_files.iter().find(|(other, _)| other == name).unwrap();
            std::fs::copy(&own.1, path).unwrap();
        }
    }
    let said = stranger.aws(&["dynamodb", "list-tables"]);
    let _ = said.failed();
}

#[test]
fn an_ended_app_session_is_refused() {
    let cluster = Cluster::start();
    let tsh = cluster.ready_tsh();
    let kept = std::fs::read_dir(tsh.folder()).unwrap().count();
    assert!(kept > 0);
    let copy = copy_folder(&tsh);
    let _ = tsh.run(&["apps", "logout", "aws"]).ok();
    // A copy of the files from before the logout (a stolen laptop backup) is of no use.
    restore_folder(&tsh, &copy);
    let refused = wait_until("refusal", || {
        let said = tsh.aws(&["dynamodb", "list-tables"]);
        (said.code != 0).then_some(said.stderr)
    });
    assert!(!refused.is_empty());
}

#[test]
fn an_altered_body_is_refused() {
    let cluster = Cluster::start();
    let proxy = cluster.ready_tsh().proxy_aws(&["--endpoint-url"]);
    let said = run(clients::python(Road::EndpointUrl(&proxy), "altered.py", &[]), "");
    assert!(said.ok().ends_with("ok\n"), "{} {}", said.stdout, said.stderr);
}

fn refused_soon(tsh: &Tsh) -> String {
    wait_until("refusal", || {
        let said = tsh.aws(&["dynamodb", "list-tables"]);
        (said.code != 0).then_some(said.stderr)
    })
}

fn files(tsh: &Tsh) -> Vec<(String, std::path::PathBuf)> {
    let root = tsh.folder();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
                found.push((name, path));
            }
        }
    }
    found
}

fn copy_folder(tsh: &Tsh) -> Vec<(String, Vec<u8>)> {
    files(tsh).into_iter().map(|(name, path)| (name, std::fs::read(path).unwrap())).collect()
}

fn restore_folder(tsh: &Tsh, copy: &[(String, Vec<u8>)]) {
    for (name, content) in copy {
        let path = tsh.folder().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}
