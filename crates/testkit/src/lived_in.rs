//! A cluster in which something has happened: users, roles, locks, tokens, calls that were let
//! through and calls that were refused. For looking at pages.

use crate::cluster::{Cluster, PASSWORD, Plan, ROLE, role_arn};
use crate::tsh::Account;

/// Such a cluster, and its admin.
#[derive(Debug)]
pub struct LivedIn {
    /// The cluster.
    pub cluster: Cluster,
    /// Who may do everything.
    pub admin: Account,
    /// An invite that nobody has used.
    pub invite: String,
}

impl LivedIn {
    /// Starts it and lives in it.
    #[must_use]
    pub fn start() -> Self {
        let cluster = Cluster::start_with(&Plan {
            second_factor: "optional",
            public_host: "proxy.causeway.test",
            app_service: apps(),
            severity: "INFO",
            ..Plan::default()
        });
        roles(&cluster);
        let admin = cluster.user("root@example.com", "editor,auditor,access,dynamodb-reader");
        let alice = cluster.user("alice@example.com", "access,dynamodb-reader,dynamodb-writer");
        let invite = invite(&cluster, "bob@example.com", "access,dynamodb-reader");
        let _ = invite_of_contractor(&cluster);
        calls(&cluster, &alice);
        for lock in [
            ["--user=mallory@example.com", "--message=left the company"],
            ["--role=contractor", "--message=audit in progress"],
        ] {
            let _ = cluster.tctl(&[&["lock"], &lock[..], &["--ttl=24h"]].concat()).ok();
        }
        Self { cluster, admin, invite }
    }

    /// Every page by name: as the admin sees it, or from outside where the path is one of those.
    #[must_use]
    pub fn paths(&self) -> serde_json::Map<String, serde_json::Value> {
        let invite = self.invite.split(&self.cluster.public_addr).nth(1).unwrap();
        let agent = self.first("/web/agents/", &["get", "app_server", "--format=json"]);
        let entry = self.cluster.audit(&["--event", "app.session.dynamodb.request"]);
        let entry = entry.last().and_then(|event| event["uid"].as_str().map(str::to_owned));
        let mut paths = vec![
            ("sign-in", "/web/login".to_owned()),
            ("invite", invite.to_owned()),
            ("refusal-gone", "/web/invite/00000000000000000000000000000000".to_owned()),
            ("refusal-nothing", "/web/nothing-here".to_owned()),
            ("refusal-no-app", "@nobody/".to_owned()),
            ("applications", "/web/apps".to_owned()),
            ("applications-none-found", "/web/apps?search=nothing-like-it".to_owned()),
            ("role-picker", "/web/apps/aws".to_owned()),
            ("web-application", "/web/apps/grafana".to_owned()),
            ("account", "/web/account".to_owned()),
            ("password", "/web/account/password".to_owned()),
            ("factor-new", "/web/account/factors/new".to_owned()),
            ("overview", "/web/overview".to_owned()),
            ("users", "/web/users".to_owned()),
            ("user", "/web/users/alice%40example.com".to_owned()),
            ("user-new", "/web/users/new".to_owned()),
            ("user-edit", "/web/users/alice%40example.com/edit".to_owned()),
            ("user-yaml", "/web/users/alice%40example.com/yaml".to_owned()),
            ("user-reset", "/web/users/alice%40example.com/reset".to_owned()),
            ("user-delete", "/web/users/alice%40example.com/delete".to_owned()),
            ("roles", "/web/roles".to_owned()),
            ("role", "/web/roles/dynamodb-reader".to_owned()),
            ("role-new", "/web/roles/new".to_owned()),
            ("role-delete", "/web/roles/dynamodb-reader/delete".to_owned()),
            ("tokens", "/web/tokens".to_owned()),
            ("token-new", "/web/tokens/new".to_owned()),
            ("agents", "/web/agents".to_owned()),
            ("locks", "/web/locks".to_owned()),
            ("lock-new", "/web/locks/new".to_owned()),
            ("audit", "/web/audit".to_owned()),
            ("audit-none-found", "/web/audit?user=nobody".to_owned()),
            ("terminal", "/web/terminal".to_owned()),
        ];
        paths.extend(agent.map(|path| ("agent", path)));
        paths.extend(entry.map(|uid| ("audit-entry", format!("/web/audit/{uid}"))));
        paths.into_iter().map(|(name, path)| (name.to_owned(), path.into())).collect()
    }

    fn first(&self, prefix: &str, command: &[&str]) -> Option<String> {
        let said = self.cluster.tctl(command);
        let found: serde_json::Value = serde_json::from_str(&said.stdout).ok()?;
        let name = found.get(0).unwrap_or(&found)["metadata"]["name"].as_str()?;
        Some(format!("{prefix}{name}"))
    }
}

fn apps() -> String {
    let labels =
        |env: &str, team: &str| format!("    labels:\n      env: {env}\n      team: {team}\n");
    [
        ("grafana", "Dashboards of all services", "http://127.0.0.1:9/", "prod", "platform"),
        ("wiki", "What everybody should know", "http://127.0.0.1:9/", "prod", "everyone"),
        ("staging-db", "PostgreSQL of the staging cluster", "tcp://127.0.0.1:9", "staging", "data"),
    ]
    .iter()
    .map(|(name, description, uri, env, team)| {
        format!(
            "  - name: {name}\n    description: {description}\n    uri: {uri}\n{}",
            labels(env, team)
        )
    })
    .collect()
}

fn roles(cluster: &Cluster) {
    cluster.create_role("dynamodb-reader", &[&role_arn(ROLE)]);
    cluster.create_role("dynamodb-writer", &[&role_arn("DynamoDBWriter"), &role_arn("Backups")]);
    cluster.create_role("contractor", &[&role_arn("Contractor")]);
}

fn invite(cluster: &Cluster, name: &str, roles: &str) -> String {
    let said = cluster.tctl(&["users", "add", name, &format!("--roles={roles}")]);
    said.ok().split_whitespace().find(|word| word.contains("/web/invite/")).unwrap().to_owned()
}

fn invite_of_contractor(cluster: &Cluster) -> String {
    invite(cluster, "mallory@example.com", "contractor")
}

/// Some calls, some of them refused, and a sign-in with a wrong password.
fn calls(cluster: &Cluster, alice: &Account) {
    let tsh = cluster.tsh();
    let _ = tsh.login_with(&alice.name, "not the password at all", "000000");
    let _ = tsh.login_with(&alice.name, PASSWORD, &alice.code(0).unwrap_or_default()).ok();
    let _ = tsh.run(&["apps", "login", "--aws-role", ROLE, "aws"]).ok();
    let table = "AttributeName=id,AttributeType=S";
    let _ = tsh.aws(&[
        "dynamodb",
        "create-table",
        "--table-name",
        "orders",
        "--attribute-definitions",
        table,
        "--key-schema",
        "AttributeName=id,KeyType=HASH",
        "--billing-mode",
        "PAY_PER_REQUEST",
    ]);
    for number in 0..5 {
        let item = format!("{{\"id\":{{\"S\":\"{number}\"}}}}");
        let _ = tsh.aws(&["dynamodb", "put-item", "--table-name", "orders", "--item", &item]);
    }
    let _ = tsh.aws(&["dynamodb", "scan", "--table-name", "missing"]);
    let _ = tsh.aws(&["dynamodb", "list-tables"]);
}
