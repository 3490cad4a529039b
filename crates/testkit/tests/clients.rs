//! Real clients through the cluster: the AWS CLI, boto3, the JavaScript SDK,
//! `dynamodb-admin` in a browser; against the sandbox and against moto.
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
use testkit::cluster::{Cluster, Plan, ROLE, clean, role_arn};
use testkit::places;
use testkit::process::{Process, run, wait_until};
use testkit::tsh::Tsh;

#[test]
fn the_aws_cli_works_through_tsh_aws_the_https_proxy_and_the_endpoint_url() {
    let cluster = Cluster::start();
    let tsh = cluster.ready_tsh();
    create_table(&tsh, "by-cli");
    let item = r#"{"pk": {"S": "a --flag and spaces"}}"#;
    let _ = tsh.aws(&["dynamodb", "put-item", "--table-name", "by-cli", "--item", item]).ok();
    let proxy = tsh.proxy_aws(&[]);
    let endpoint = tsh.proxy_aws(&["--endpoint-url"]);
    let scan = [
        "dynamodb",
        "scan",
        "--table-name",
        "by-cli",
        "--output",
        "text",
        "--query",
        "Items[].pk.S",
    ];
    assert_eq!(tsh.aws(&scan).ok().trim(), "a --flag and spaces");
    for road in [Road::HttpsProxy(&proxy), Road::EndpointUrl(&endpoint)] {
        let said = run(clients::aws_cli(road, &scan), "");
        assert_eq!(said.ok().trim(), "a --flag and spaces", "{road:?}");
    }
    // The exit code of the AWS CLI is passed on, and its message reaches the user.
    let absent = ["dynamodb", "scan", "--table-name", "absent"];
    let direct = cluster.sandbox.environment();
    let own_code = run(clients::aws_cli(Road::Direct(&direct), &absent), "").code;
    let said = tsh.aws(&absent);
    assert!(own_code > 1 && said.code == own_code, "{} {}", said.code, said.stderr);
    assert!(said.stderr.contains("ResourceNotFoundException"), "{}", said.stderr);
    let said = tsh.run(&["aws", "--exec", "env", "--"]);
    assert!(said.ok().contains("AWS_CA_BUNDLE="), "{}", said.stdout);
    assert!(!said.stdout.contains("AWS_SESSION_TOKEN"), "{}", said.stdout);
}

#[test]
fn the_javascript_sdk_works_through_the_endpoint_url() {
    let cluster = Cluster::start();
    let endpoint = cluster.ready_tsh().proxy_aws(&["--endpoint-url"]);
    let said = run(clients::node(Road::EndpointUrl(&endpoint), "sdk_tour.mjs", &["by-js"]), "");
    assert!(said.ok().ends_with("ok\n"), "{}", said.stdout);
    assert!(said.stdout.contains(&format!("assumed-role/{ROLE}/alice")), "{}", said.stdout);
}

#[test]
fn dynamodb_admin_shows_tables_and_items_in_a_browser() {
    let cluster = Cluster::start();
    let tsh = cluster.ready_tsh();
    let endpoint = tsh.proxy_aws(&["--endpoint-url"]);
    fill_table(&tsh, "gui-table");
    let port = places::free_port();
    let program = places::node_clients().join("node_modules/.bin/dynamodb-admin");
    let mut command = clean(program);
    Road::EndpointUrl(&endpoint).apply(&mut command);
    command.env_remove("AWS_ENDPOINT_URL");
    command.env("DYNAMO_ENDPOINT", format!("https://127.0.0.1:{}", endpoint.port));
    command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
    let mut admin = Process::start("dynamodb-admin", command, cluster.folder());
    admin.wait_for("address", |admin| admin.output().contains("listening").then_some(()));
    let url = format!("http://127.0.0.1:{port}");
    let said = run(clients::node(Road::Direct(&[]), "admin_clicks.mjs", &[&url, "gui-table"]), "");
    assert!(said.ok().ends_with("ok\n"), "{}\n{}\n{}", said.stdout, said.stderr, admin.output());
}

#[test]
fn boto3_works_against_moto_with_signature_checks_on() {
    let moto = Moto::start();
    let plan = Plan { agent_environment: moto.environment(), ..Plan::default() };
    let cluster = Cluster::start_with(&plan);
    let tsh = cluster.ready_tsh();
    let proxy = tsh.proxy_aws(&[]);
    let endpoint = tsh.proxy_aws(&["--endpoint-url"]);
    for (road, table) in
        [(Road::HttpsProxy(&proxy), "one-moto"), (Road::EndpointUrl(&endpoint), "two-moto")]
    {
        let said = run(clients::python(road, "boto3_tour.py", &[table, "plain"]), "");
        assert!(said.ok().ends_with("ok\n"), "{} {}", said.stdout, said.stderr);
    }
    let said = tsh.aws(&["sts", "get-caller-identity"]);
    assert!(said.ok().contains(&format!("assumed-role/{ROLE}/alice")), "{}", said.stdout);
}

fn create_table(tsh: &Tsh, name: &str) {
    let _ = tsh
        .aws(&[
            "dynamodb",
            "create-table",
            "--table-name",
            name,
            "--attribute-definitions",
            "AttributeName=pk,AttributeType=S",
            "--key-schema",
            "AttributeName=pk,KeyType=HASH",
            "--billing-mode",
            "PAY_PER_REQUEST",
        ])
        .ok();
}

fn fill_table(tsh: &Tsh, name: &str) {
    create_table(tsh, name);
    let item = r#"{"pk": {"S": "shown-in-the-browser"}, "n": {"N": "42"}}"#;
    let _ = tsh.aws(&["dynamodb", "put-item", "--table-name", name, "--item", item]).ok();
}

/// A moto server that checks signatures and IAM actions.
struct Moto {
    _process: Process,
    _folder: tempfile::TempDir,
    port: u16,
    keys: (String, String),
}

impl Moto {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = places::free_port();
        let mut command = clean(places::python_client("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        command.env("MOTO_ACCOUNT_ID", testkit::sandbox::ACCOUNT);
        let process = Process::start("moto", command, folder.path());
        let url = format!("http://127.0.0.1:{port}");
        wait_until("moto", || {
            let mut command = Command::new("curl");
            command.args(["-s", "--fail", "--noproxy", "*", &format!("{url}/moto-api/")]);
            (run(command, "").code == 0).then_some(())
        });
        let environment = [
            ("AWS_ENDPOINT_URL".to_owned(), url.clone()),
            ("AWS_ACCESS_KEY_ID".to_owned(), "setup".to_owned()),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), "setup".to_owned()),
        ];
        let said = run(
            clients::python(Road::Direct(&environment), "moto_setup.py", &[&role_arn(ROLE)]),
            "",
        );
        let mut keys = said.ok().split_whitespace();
        let keys = (keys.next().unwrap().to_owned(), keys.next().unwrap().to_owned());
        let mut command = Command::new("curl");
        command.args([
            "-sS",
            "--fail",
            "--noproxy",
            "*",
            "-X",
            "POST",
            "-H",
            "Content-Type: text/plain",
        ]);
        command.args(["--data-binary", "0", &format!("{url}/moto-api/reset-auth")]);
        let _ = run(command, "").ok();
        Self { _process: process, _folder: folder, port, keys }
    }

    fn environment(&self) -> Vec<(String, String)> {
        vec![
            ("AWS_ENDPOINT_URL".to_owned(), format!("http://127.0.0.1:{}", self.port)),
            ("AWS_ACCESS_KEY_ID".to_owned(), self.keys.0.clone()),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), self.keys.1.clone()),
            ("AWS_DEFAULT_REGION".to_owned(), "us-east-1".to_owned()),
        ]
    }
}
