//! A whole cluster as a platform team runs it: Auth and Proxy in one process,
//! an agent in another, the sandbox as AWS; `tctl` on the auth host.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::places;
use crate::process::{Process, Said, run, wait_until};
use crate::sandbox::{ACCOUNT, Sandbox};
use crate::tsh::{Account, Tsh};

/// Name of the cluster.
pub const CLUSTER: &str = "teleport.example.com";
/// The IAM role of the guide.
pub const ROLE: &str = "ExampleTeleportDynamoDBRole";
/// Password of every test user.
pub const PASSWORD: &str = "correct horse battery staple";

/// ARN of a role in the sandbox's account.
#[must_use]
pub fn role_arn(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{name}")
}

/// A running cluster.
pub struct Cluster {
    /// AWS.
    pub sandbox: Sandbox,
    /// Auth and Proxy.
    pub server: Process,
    /// The agent.
    pub agent: Option<Process>,
    /// `localhost:port`.
    pub proxy: String,
    /// `host:port` that people type; the host need not resolve on this machine.
    pub public_addr: String,
    /// Where the agent's health is served.
    pub agent_diag: String,
    server_diag: String,
    environment: Vec<(String, String)>,
    folder: TempDir,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cluster({}, {})", self.proxy, self.folder.path().display())
    }
}

/// What is unlike the usual cluster.
#[derive(Debug, Clone)]
pub struct Plan {
    /// `second_factor` of the cluster.
    pub second_factor: &'static str,
    /// Further lines under `authentication:`, indented by four.
    pub authentication: String,
    /// Host of the proxy's `public_addr`.
    pub public_host: &'static str,
    /// The proxy's port, if it must be known before.
    pub web_port: Option<u16>,
    /// Further lines under `proxy_service:`, indented by two.
    pub proxy_service: String,
    /// Further environment of Auth and Proxy.
    pub server_environment: Vec<(String, String)>,
    /// Further lines under `app_service:` of the agent, indented by two.
    pub app_service: String,
    /// Further environment of the agent; goes before the sandbox's own.
    pub agent_environment: Vec<(String, String)>,
    /// Further arguments of the sandbox.
    pub sandbox: Vec<&'static str>,
    /// Where Auth and Proxy keep their state, if not in a folder of their own.
    pub data_dir: Option<PathBuf>,
    /// Log level of the services.
    pub severity: &'static str,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            second_factor: "off",
            authentication: String::new(),
            public_host: "localhost",
            web_port: None,
            proxy_service: String::new(),
            server_environment: Vec::new(),
            app_service: String::new(),
            agent_environment: Vec::new(),
            sandbox: Vec::new(),
            data_dir: None,
            severity: "DEBUG",
        }
    }
}

impl Cluster {
    /// Auth, Proxy, agent and sandbox, ready, without a second factor.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&Plan::default())
    }

    /// The same, by plan.
    #[must_use]
    pub fn start_with(plan: &Plan) -> Self {
        let mut cluster = Self::without_agent(plan);
        let token = cluster.app_token();
        cluster.start_agent(plan, &token);
        cluster.wait_ready();
        cluster
    }

    /// Auth, Proxy and sandbox.
    #[must_use]
    pub fn without_agent(plan: &Plan) -> Self {
        let folder = tempfile::Builder::new().prefix("causeway-").tempdir().unwrap();
        let sandbox = Sandbox::start(folder.path(), &plan.sandbox);
        let (auth, diag) = (places::free_port(), places::free_port());
        let web = plan.web_port.unwrap_or_else(places::free_port);
        let file = folder.path().join("teleport.yaml");
        std::fs::write(&file, server_yaml(folder.path(), plan, auth, web)).unwrap();
        let server_diag = format!("127.0.0.1:{diag}");
        let environment = plan.server_environment.clone();
        let server = start_teleport("server", &file, &server_diag, &environment, folder.path());
        let mut cluster = Self {
            sandbox,
            server,
            agent: None,
            proxy: format!("localhost:{web}"),
            public_addr: format!("{}:{web}", plan.public_host),
            environment,
            agent_diag: format!("127.0.0.1:{}", places::free_port()),
            server_diag,
            folder,
        };
        cluster.wait_server();
        cluster
    }

    /// Where the cluster keeps everything.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits until Auth and Proxy serve.
    pub fn wait_server(&mut self) {
        let diag = self.server_diag.clone();
        self.server.wait_for("readiness", |_| is_ready(&diag).then_some(()));
    }

    /// Starts the server again, after a crash or a stop.
    pub fn restart_server(&mut self) {
        self.server.crash();
        let file = self.folder().join("teleport.yaml");
        let environment = self.environment.clone();
        self.server =
            start_teleport("server", &file, &self.server_diag, &environment, self.folder.path());
    }

    /// A join token for an agent, by the guide's command.
    #[must_use]
    pub fn app_token(&self) -> String {
        let said = self.tctl(&[
            "tokens",
            "add",
            "--type=app",
            "--app-name=aws",
            "--app-uri=https://console.aws.amazon.com/console/home",
            "--format=text",
        ]);
        said.ok().trim().to_owned()
    }

    /// Starts the agent with the guide's configuration.
    pub fn start_agent(&mut self, plan: &Plan, token: &str) {
        let token_file = self.folder().join("token");
        std::fs::write(&token_file, format!("{token}\n")).unwrap();
        let file = self.folder().join("agent.yaml");
        std::fs::write(&file, agent_yaml(self.folder(), plan, &token_file, &self.proxy)).unwrap();
        self.restart_agent(plan);
    }

    /// Starts the agent again, after a crash or a stop.
    pub fn restart_agent(&mut self, plan: &Plan) {
        drop(self.agent.take());
        let mut environment = self.sandbox.environment();
        environment.extend(plan.agent_environment.clone());
        let file = self.folder().join("agent.yaml");
        let agent =
            start_teleport("agent", &file, &self.agent_diag, &environment, self.folder.path());
        self.agent = Some(agent);
    }

    /// Waits until the agent serves.
    pub fn wait_ready(&mut self) {
        let diag = self.agent_diag.clone();
        let agent = self.agent.as_mut().unwrap();
        agent.wait_for("readiness", |_| is_ready(&diag).then_some(()));
    }

    /// Runs `tctl` on the auth host.
    #[must_use]
    pub fn tctl(&self, arguments: &[&str]) -> Said {
        self.tctl_with_input(arguments, "")
    }

    /// Runs `tctl` on the auth host with something on its standard input.
    #[must_use]
    pub fn tctl_with_input(&self, arguments: &[&str], input: &str) -> Said {
        let mut command = clean(places::binary("tctl"));
        command.arg("--config").arg(self.folder().join("teleport.yaml")).args(arguments);
        command.current_dir(self.folder()).env("TELEPORT_HOME", self.folder().join("no-tsh"));
        run(command, input)
    }

    /// Creates the guide's role `aws-dynamodb-access` for these IAM role ARNs.
    pub fn create_role(&self, name: &str, arns: &[&str]) {
        let list: Vec<String> = arns.iter().map(|arn| format!("      - {arn}\n")).collect();
        let text = format!(
            "kind: role\nversion: v5\nmetadata:\n  name: {name}\nspec:\n  allow:\n    app_labels:\n      '*': '*'\n    aws_role_arns:\n{}",
            list.concat()
        );
        let _ = self.tctl_with_input(&["create", "-f"], &text).ok();
    }

    /// A user with these roles who has set a password (and a second factor where asked for).
    #[must_use]
    pub fn user(&self, name: &str, roles: &str) -> Account {
        let said = self.tctl(&["users", "add", name, &format!("--roles={roles}")]);
        let link = said.ok().split_whitespace().find(|word| word.contains("/web/invite/")).unwrap();
        Account::accept(name, link, PASSWORD)
    }

    /// A `tsh` of its own, not logged in.
    #[must_use]
    pub fn tsh(&self) -> Tsh {
        let home = tempfile::Builder::new().prefix("home-").tempdir_in(self.folder()).unwrap();
        Tsh::new(home.keep(), self.proxy.clone())
    }

    /// The usual start of a test: the guide's role, a user, logged in to app `aws`.
    #[must_use]
    pub fn ready_tsh(&self) -> Tsh {
        self.create_role("aws-dynamodb-access", &[&role_arn(ROLE)]);
        let account = self.user("alice", "access,aws-dynamodb-access");
        let tsh = self.tsh();
        let _ = tsh.login(&account).ok();
        let _ = tsh.run(&["apps", "login", "--aws-role", ROLE, "aws"]).ok();
        tsh
    }

    /// Events of the audit log, oldest first, by `tctl audit ls --format json`.
    #[must_use]
    pub fn audit(&self, filters: &[&str]) -> Vec<serde_json::Value> {
        let mut arguments = vec!["audit", "ls", "--format", "json", "--limit", "10000"];
        arguments.extend(filters);
        let said = self.tctl(&arguments);
        said.ok().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits until the audit log has an event that fits.
    #[must_use]
    pub fn wait_audit(
        &self,
        what: &str,
        fits: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        wait_until(what, || self.audit(&[]).into_iter().rev().find(|event| fits(event)))
    }
}

/// A command without anything of this process's environment that could change what it does.
#[must_use]
pub fn clean(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    for name in ["PATH", "LANG", "TMPDIR", "RUST_BACKTRACE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

fn start_teleport(
    name: &str,
    file: &Path,
    diag: &str,
    environment: &[(String, String)],
    folder: &Path,
) -> Process {
    let mut command = clean(places::binary("teleport"));
    command.args(["start", "--insecure", "--diag-addr", diag, "--config"]).arg(file);
    command.envs(environment.iter().cloned()).env("HOME", folder);
    Process::start(name, command, folder)
}

fn is_ready(diag: &str) -> bool {
    let mut command = Command::new("curl");
    command.args(["-s", "--fail", "--noproxy", "*"]).arg(format!("http://{diag}/readyz"));
    run(command, "").code == 0
}

fn server_yaml(folder: &Path, plan: &Plan, auth: u16, web: u16) -> String {
    format!(
        "version: v3
teleport:
  nodename: auth-host
  data_dir: {data_dir}
  log:
    severity: {severity}
auth_service:
  enabled: on
  cluster_name: {CLUSTER}
  listen_addr: 127.0.0.1:{auth}
  authentication:
    type: local
    second_factor: {second_factor}
{authentication}proxy_service:
  enabled: on
  web_listen_addr: 127.0.0.1:{web}
  public_addr: {public_host}:{web}
{proxy_service}ssh_service:
  enabled: off
app_service:
  enabled: off
",
        data_dir = plan.data_dir.clone().unwrap_or_else(|| folder.join("server")).display(),
        severity = plan.severity,
        second_factor = plan.second_factor,
        authentication = plan.authentication,
        public_host = plan.public_host,
        proxy_service = plan.proxy_service,
    )
}

fn agent_yaml(folder: &Path, plan: &Plan, token: &Path, proxy: &str) -> String {
    format!(
        "version: v3
teleport:
  nodename: agent-host
  data_dir: {data_dir}
  log:
    severity: {severity}
  join_params:
    token_name: \"{token}\"
    method: token
  proxy_server: \"{proxy}\"
auth_service:
  enabled: off
proxy_service:
  enabled: off
ssh_service:
  enabled: off
app_service:
  enabled: true
  apps:
  - name: aws
    uri: https://console.aws.amazon.com/home/home
{further}",
        data_dir = folder.join("agent").display(),
        severity = plan.severity,
        token = token.display(),
        further = plan.app_service,
    )
}
