//! Any subset of the three services in one process, or in several joined by
//! token; started, stopped and started again as an operator does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "a test that tells one story in one piece"
)]

use std::path::Path;
use std::process::Command;

use testkit::cluster::{CLUSTER, PASSWORD, ROLE, clean, role_arn};
use testkit::places::{self, free_port};
use testkit::process::{Process, Said, run, wait_until};
use testkit::sandbox::Sandbox;
use testkit::tsh::{Account, Tsh};

struct Service {
    process: Process,
    diag: String,
}

impl Service {
    fn start(name: &str, folder: &Path, yaml: &str, environment: &[(String, String)]) -> Self {
        let file = folder.join(format!("{name}.yaml"));
        std::fs::write(&file, yaml).unwrap();
        let diag = format!("127.0.0.1:{}", free_port());
        let mut command = clean(places::binary("teleport"));
        command.args(["start", "--insecure", "--diag-addr", &diag, "--pid-file"]);
        command.arg(folder.join(format!("{name}.pid"))).arg("-c").arg(file);
        command.envs(environment.iter().cloned()).env("HOME", folder);
        Self { process: Process::start(name, command, folder), diag }
    }

    fn wait(&mut self) {
        let url = format!("http://{}/readyz", self.diag);
        self.process.wait_for("readiness", |_| {
            let mut command = Command::new("curl");
            command.args(["-s", "--fail", "--noproxy", "*", &url]);
            (run(command, "").code == 0).then_some(())
        });
    }
}

fn tctl(folder: &Path, arguments: &[&str], input: &str) -> Said {
    let mut command = clean(places::binary("tctl"));
    command.arg("--config").arg(folder.join("auth.yaml")).args(arguments).env("HOME", folder);
    run(command, input)
}

fn use_it(folder: &Path, web: u16) {
    let role = format!(
        "kind: role\nversion: v5\nmetadata: {{name: aws}}\nspec: {{allow: {{app_labels: {{'*': '*'}}, aws_role_arns: ['{}']}}}}\n",
        role_arn(ROLE)
    );
    let _ = tctl(folder, &["create", "-f"], &role).ok();
    let said = tctl(folder, &["users", "add", "alice", "--roles=access,aws"], "");
    let link = said.ok().split_whitespace().find(|word| word.contains("/web/invite/")).unwrap();
    let account = Account::accept("alice", link, PASSWORD);
    let home = folder.join("home");
    std::fs::create_dir_all(&home).unwrap();
    let tsh = Tsh::new(home, format!("localhost:{web}"));
    let _ = tsh.login(&account).ok();
    let _ = tsh.run(&["apps", "login", "aws"]).ok();
    let _ = tsh.aws(&["dynamodb", "list-tables"]).ok();
}

#[test]
fn auth_proxy_and_agent_run_as_three_processes_joined_by_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let sandbox = Sandbox::start(folder, &[]);
    let (auth_port, web) = (free_port(), free_port());
    let auth_yaml = format!(
        "version: v3
teleport: {{nodename: auth-host, data_dir: {folder}/auth}}
auth_service:
  enabled: on
  cluster_name: {CLUSTER}
  listen_addr: 127.0.0.1:{auth_port}
  tokens: [\"proxy:a-static-proxy-token\"]
  authentication: {{second_factor: off}}
proxy_service: {{enabled: off}}
",
        folder = folder.display()
    );
    let mut auth = Service::start("auth", folder, &auth_yaml, &[]);
    auth.wait();
    let status = tctl(folder, &["status"], "");
    let pin =
        status.ok().split_whitespace().find(|word| word.starts_with("sha256:")).unwrap().to_owned();

    let proxy_yaml = |pin: &str| {
        format!(
            "version: v3
teleport:
  nodename: proxy-host
  data_dir: {folder}/proxy
  auth_server: 127.0.0.1:{auth_port}
  ca_pin: {pin}
  join_params: {{method: token, token_name: a-static-proxy-token}}
auth_service: {{enabled: off}}
proxy_service: {{enabled: on, web_listen_addr: 127.0.0.1:{web}, public_addr: localhost:{web}}}
",
            folder = folder.display()
        )
    };
    // A wrong pin is not trusted: the token is not sent to whoever answers.
    let wrong = format!("sha256:{}", "0".repeat(64));
    let mut distrusting = Service::start("distrusting", folder, &proxy_yaml(&wrong), &[]);
    distrusting
        .process
        .wait_for("refusal", |process| process.output().contains("could not join").then_some(()));
    drop(distrusting);
    let mut proxy = Service::start("proxy", folder, &proxy_yaml(&pin), &[]);
    proxy.wait();

    let token = tctl(folder, &["tokens", "add", "--type=app", "--format=text"], "");
    let agent_yaml = format!(
        "version: v3
teleport:
  nodename: agent-host
  data_dir: {folder}/agent
  proxy_server: localhost:{web}
  join_params: {{method: token, token_name: {token}}}
auth_service: {{enabled: off}}
proxy_service: {{enabled: off}}
app_service: {{enabled: on, apps: [{{name: aws, uri: 'https://console.aws.amazon.com/'}}]}}
",
        folder = folder.display(),
        token = token.ok().trim()
    );
    let mut agent = Service::start("agent", folder, &agent_yaml, &sandbox.environment());
    agent.wait();
    // `users add` needs the proxy's address for its link: the Auth Service has heard of the proxy.
    wait_until("the proxy's address", || {
        let said = tctl(folder, &["users", "add", "probe", "--roles=access"], "");
        let _ = tctl(folder, &["users", "rm", "probe"], "");
        said.stdout.contains(&format!("localhost:{web}")).then_some(())
    });
    use_it(folder, web);

    // Each stops cleanly and removes its process id.
    for (name, service) in [("agent", &mut agent), ("proxy", &mut proxy), ("auth", &mut auth)] {
        assert!(folder.join(format!("{name}.pid")).exists());
        service.process.signal("TERM");
        assert!(service.process.wait().success(), "{name}: {}", service.process.output());
        assert!(!folder.join(format!("{name}.pid")).exists(), "{name}");
    }
}

#[test]
fn all_three_services_run_in_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let sandbox = Sandbox::start(folder, &[]);
    let (auth_port, web) = (free_port(), free_port());
    let yaml = format!(
        "version: v3
teleport: {{nodename: all, data_dir: {folder}/all}}
auth_service:
  enabled: on
  cluster_name: {CLUSTER}
  listen_addr: 127.0.0.1:{auth_port}
  authentication: {{second_factor: off}}
proxy_service: {{enabled: on, web_listen_addr: 127.0.0.1:{web}, public_addr: localhost:{web}}}
app_service: {{enabled: on, apps: [{{name: aws, uri: 'https://console.aws.amazon.com/'}}]}}
",
        folder = folder.display()
    );
    let mut all = Service::start("auth", folder, &yaml, &sandbox.environment());
    all.wait();
    use_it(folder, web);
    all.process.signal("INT");
    assert!(all.process.wait().success(), "{}", all.process.output());
}

#[test]
fn a_configuration_with_a_mistake_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    for (yaml, expected) in [
        (
            "version: v3\nteleport:\n  data_dirr: /x\n",
            ":3: unknown key `data_dirr`; did you mean `data_dir`?",
        ),
        ("version: v1\n", ":1: version is `v1`; expected v3"),
        ("teleport: {}\n", "`version` is missing"),
        (
            "version: v3\nauth_service:\n  enabled: off\nproxy_service:\n  enabled: off\n",
            "no service is enabled",
        ),
        (
            "version: v3\nssh_service:\n  enabled: on\n",
            "ssh_service.enabled is on, but this program has no such service",
        ),
        (
            "version: v3\nauth_service: {enabled: off}\nproxy_service: {enabled: off}\napp_service:\n  enabled: on\n  apps:\n  - name: aws\n    uri: https://console.aws.amazon.com/\n",
            "app_service needs teleport.proxy_server",
        ),
        (
            "version: v3\nteleport: {proxy_server: 'p:1'}\nauth_service: {enabled: off}\nproxy_service: {enabled: off}\napp_service:\n  enabled: on\n  apps:\n  - name: aws\n    uri: ''\n",
            "app_service.apps[0]",
        ),
    ] {
        let file = folder.path().join("teleport.yaml");
        std::fs::write(&file, yaml).unwrap();
        let mut command = clean(places::binary("teleport"));
        command.args(["start", "-c"]).arg(&file);
        let said = run(command, "");
        assert_eq!(said.code, 1);
        assert!(said.stderr.contains(expected), "expected `{expected}` in: {}", said.stderr);
    }
}
