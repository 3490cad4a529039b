//! The guide, command by command, with the three real binaries as separate
//! processes: Auth and Proxy in one, the agent in another.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "a test that tells one story in one piece"
)]

use testkit::clients::{self, Road};
use testkit::cluster::{CLUSTER, Cluster, PASSWORD, Plan, ROLE, role_arn};
use testkit::process::run;
use testkit::sandbox::ACCOUNT;

const ROLE_FILE: &str = "kind: role
version: v5
metadata:
  name: aws-dynamodb-access
spec:
  allow:
    app_labels:
      '*': '*'
    aws_role_arns:
    - arn:aws:iam::aws-account-id:role/ExampleTeleportDynamoDBRole
";

#[test]
fn a_reader_can_follow_steps_2_to_5() {
    let plan = Plan { second_factor: "otp", ..Plan::default() };
    let mut cluster = Cluster::without_agent(&plan);

    // Before: `tctl status` shows cluster, version and CA pin.
    let status = cluster.tctl(&["status"]);
    for part in [CLUSTER, "Version", "CA pin", "sha256:"] {
        assert!(status.ok().contains(part), "{}", status.stdout);
    }

    // A user with a password and a second factor, logged in.
    let account = cluster.user("email@example.com", "access,auditor,editor");
    assert!(account.otp_secret.is_some(), "otp is the default: the page must show a secret");
    let tsh = cluster.tsh();
    let said = tsh.login(&account);
    assert!(said.ok().contains("email@example.com"), "{}", said.stdout);

    // Step 2: the role, by the guide's file.
    let home = tsh.home();
    let role = ROLE_FILE.replace("aws-account-id", ACCOUNT);
    std::fs::write(home.join("aws-dynamodb-access.yaml"), role).unwrap();
    let shell = |script: &str| run(tsh.shell(script), "");
    let created = shell("tctl create -f aws-dynamodb-access.yaml");
    assert_eq!(created.ok().trim(), "role \"aws-dynamodb-access\" has been created");

    // Step 2: the user's own resource, fetched, edited, applied.
    let got = shell("tctl get users/$(tsh status -f json | jq -r '.active.username') > out.yaml");
    let _ = got.ok();
    let text = std::fs::read_to_string(home.join("out.yaml")).unwrap();
    assert!(text.contains("- editor"), "{text}");
    let edited = text.replacen("- editor", "- editor\n  - aws-dynamodb-access", 1);
    std::fs::write(home.join("out.yaml"), edited).unwrap();
    let applied = shell("tctl create -f out.yaml");
    assert_eq!(applied.ok().trim(), "user \"email@example.com\" has been updated");
    let again = shell("tctl get users/email@example.com");
    assert!(again.ok().contains("- aws-dynamodb-access"), "{}", again.stdout);

    // Sign out and in again. The round trip lost neither password nor second factor.
    let out = shell("tsh logout");
    assert_eq!(out.ok().trim(), "Logged out all users from all proxies.");
    let next = account.code(1).unwrap();
    let _ = tsh.login_with(&account.name, &account.password, &next).ok();

    // Step 3: a join token, the agent's configuration, the agent.
    let said = shell(
        "tctl tokens add --type=app --app-name=aws --app-uri=https://console.aws.amazon.com/console/home",
    );
    let token = said
        .ok()
        .split_whitespace()
        .find(|word| word.len() == 32 && word.chars().all(|c| c.is_ascii_hexdigit()))
        .expect("a token of 32 hex digits")
        .to_owned();
    cluster.start_agent(&plan, &token);
    cluster.wait_ready();

    // Step 5: log into the app, use the AWS CLI.
    let said = shell(&format!("tsh apps login --aws-role {ROLE} aws"));
    assert_eq!(
        said.ok().trim_end(),
        "Logged into AWS app aws. Example AWS CLI command:\n\n  tsh aws s3 ls"
    );
    let said = shell("tsh aws dynamodb list-tables");
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(said.ok()).unwrap()["TableNames"],
        serde_json::json!([])
    );
    let said = shell("tsh aws sts get-caller-identity");
    let expected = format!("arn:aws:sts::{ACCOUNT}:assumed-role/{ROLE}/email@example.com");
    assert!(said.ok().contains(&expected), "{}", said.stdout);

    // Step 5: the HTTPS proxy and boto3, the endpoint URL.
    let proxy = tsh.proxy_aws(&[]);
    let tour = run(
        clients::python(
            Road::HttpsProxy(&proxy),
            "boto3_tour.py",
            &["my-dynamodb-table", "streams"],
        ),
        "",
    );
    assert!(tour.ok().ends_with("ok\n"), "{}", tour.stdout);
    drop(proxy);
    let endpoint = tsh.proxy_aws(&["--endpoint-url"]);
    let tour = run(
        clients::python(Road::EndpointUrl(&endpoint), "boto3_tour.py", &["by-endpoint", "streams"]),
        "",
    );
    assert!(tour.ok().ends_with("ok\n"), "{}", tour.stdout);
    drop(endpoint);

    let said = shell("tsh apps logout aws");
    assert_eq!(said.ok().trim(), "Logged out of app \"aws\"");
    let said = shell("tsh aws dynamodb list-tables");
    assert!(
        said.failed().contains("please login to AWS app using 'tsh apps login' first"),
        "{}",
        said.stderr
    );
}

#[test]
fn roles_and_users_of_the_guide_with_their_malformed_arns_are_accepted_and_warned_about() {
    let cluster = Cluster::without_agent(&Plan::default());
    let text = "kind: role
version: v5
metadata:
  name: aws-dynamodb-access
spec:
  allow:
    app_labels:
      '*': '*'
    aws_role_arns: ['{{internal.aws_role_arns}}']
---
kind: user
version: v2
metadata:
  name: bob
spec:
  roles: ['aws-dynamodb-access']
  traits:
    aws_role_arns: ['arn:aws:iam:123456789000:role/role_for_bob']
";
    let said = cluster.tctl_with_input(&["create", "-f"], text);
    let _ = said.ok();
    assert!(
        said.stderr.contains("arn:aws:iam:123456789000:role/role_for_bob")
            && said.stderr.contains("arn:aws:iam::123456789000:role/role_for_bob"),
        "the warning names the ARN and the likely correct one: {}",
        said.stderr
    );
}

#[test]
fn a_restarted_agent_comes_back_without_its_token() {
    let plan = Plan::default();
    let mut cluster = Cluster::start_with(&plan);
    let tsh = cluster.ready_tsh();
    let _ = tsh.aws(&["dynamodb", "list-tables"]).ok();
    std::fs::remove_file(cluster.folder().join("token")).unwrap();
    let agent = cluster.agent.as_mut().unwrap();
    agent.signal("TERM");
    assert!(agent.wait().success(), "a clean stop: {}", agent.output());
    cluster.restart_agent(&plan);
    cluster.wait_ready();
    let _ = tsh.aws(&["dynamodb", "list-tables"]).ok();
}

#[test]
fn a_wrong_token_is_refused_with_a_clear_message_and_tried_again() {
    let plan = Plan::default();
    let mut cluster = Cluster::without_agent(&plan);
    cluster.start_agent(&plan, "0123456789abcdef0123456789abcdef");
    let agent = cluster.agent.as_mut().unwrap();
    agent.wait_for("refusal", |agent| {
        let output = agent.output();
        (output.contains("could not join") && output.contains("token")).then_some(())
    });
    assert!(!agent.output().contains("0123456789abcdef0123456789abcdef"), "a token is a secret");
    // An admin adds a token meanwhile; the agent reads the file anew and joins.
    let token = cluster.app_token();
    std::fs::write(cluster.folder().join("token"), token).unwrap();
    cluster.wait_ready();
}

#[test]
fn the_files_of_tsh_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let cluster = Cluster::start();
    let tsh = cluster.ready_tsh();
    let _ = tsh.aws(&["dynamodb", "list-tables"]).ok();
    let mut files = 0;
    let mut folders = vec![tsh.folder()];
    while let Some(folder) = folders.pop() {
        assert_eq!(
            folder.metadata().unwrap().permissions().mode() & 0o777,
            0o700,
            "{}",
            folder.display()
        );
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            assert_eq!(
                path.metadata().unwrap().permissions().mode() & 0o777,
                0o600,
                "{}",
                path.display()
            );
        }
    }
    assert!(files >= 6, "{files}");
}

#[test]
fn logins_with_wrong_passwords_say_nothing_about_users_and_end_in_a_lock() {
    let cluster = Cluster::without_agent(&Plan::default());
    let account = cluster.user("alice", "access");
    let tsh = cluster.tsh();
    let wrong = tsh.login_with("alice", "not the password", "");
    let unknown = tsh.login_with("nobody", "not the password", "");
    let answer = |stderr: &str| stderr.split("ERROR:").nth(1).unwrap().to_owned();
    let (wrong, unknown) = (answer(wrong.failed()), answer(unknown.failed()));
    assert_eq!(wrong, unknown, "both answers must be the same");
    for _ in 0..5 {
        let _ = tsh.login_with("alice", "not the password", "");
    }
    let locked = tsh.login_with("alice", PASSWORD, "");
    let _ = locked.failed();
    let _ = cluster.wait_audit("failed login", |event| {
        event["event"] == "user.login" && event["code"] == "T1000W" && event["user"] == "alice"
    });
    drop(account);
}

#[test]
fn role_names_and_arns_both_work_and_others_are_refused() {
    let cluster = Cluster::start();
    cluster
        .create_role("two", &[&role_arn("reader"), &role_arn("team/reader"), &role_arn("writer")]);
    let account = cluster.user("carol", "access,two");
    let tsh = cluster.tsh();
    let _ = tsh.login(&account).ok();
    let said = tsh.run(&["apps", "login", "aws"]);
    assert!(said.failed().contains("--aws-role flag is required"), "{}", said.stderr);
    assert!(said.stdout.contains("Available AWS roles:"), "{}", said.stdout);
    let said = tsh.run(&["apps", "login", "--aws-role", "reader", "aws"]);
    assert!(
        said.failed().contains("provided role name \"reader\" is ambiguous"),
        "{}",
        said.stderr
    );
    let said = tsh.run(&["apps", "login", "--aws-role", "nobody", "aws"]);
    assert!(said.failed().contains("failed to find the \"nobody\" role name"), "{}", said.stderr);
    let said = tsh.run(&["apps", "login", "--aws-role", &role_arn("other"), "aws"]);
    assert!(said.failed().contains("role ARN"), "{}", said.stderr);
    let _ = tsh.run(&["apps", "login", "--aws-role", "writer", "aws"]).ok();
    let _ = tsh.run(&["apps", "login", "--aws-role", &role_arn("team/reader"), "aws"]).ok();
    let said = tsh.aws(&["sts", "get-caller-identity"]);
    assert!(said.ok().contains("assumed-role/reader/carol"), "{}", said.stdout);
    let said = tsh.run(&["apps", "login", "nonsense"]);
    assert!(
        said.failed()
            .contains("app \"nonsense\" not found, use `tsh apps ls` to see registered apps"),
        "{}",
        said.stderr
    );
}
