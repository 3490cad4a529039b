//! The roles of one user together, and the roles that every cluster starts with.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::moment::Span;
use crate::names::RoleName;
use crate::resource::{LabelSelector, LockingMode, RequireMfa, Role, Rule};

/// Where no role says otherwise, a certificate lives at most this long.
pub const MAX_SESSION_TTL: Duration = Duration::from_secs(30 * 3600);

/// The label of the roles that every cluster starts with.
pub const PRESET_LABEL: (&str, &str) = ("teleport.internal/resource-type", "preset");

/// The roles of one user.
#[derive(Debug, Clone, Default)]
pub struct RoleSet {
    roles: Vec<Arc<Role>>,
}

/// The options of several roles together: the strictest of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergedOptions {
    /// The shortest.
    pub max_session_ttl: Duration,
    /// The shortest that is not zero.
    pub client_idle_timeout: Option<Duration>,
    /// Whether any role says so.
    pub disconnect_expired_cert: bool,
    /// The strongest.
    pub require_session_mfa: RequireMfa,
    /// The strictest.
    pub locking_mode: LockingMode,
    /// The smallest that is not zero.
    pub max_connections: Option<u64>,
    /// Whether any role says so.
    pub pin_source_ip: bool,
}

/// The longest session that a role gives; what is not said, or zero, is [`MAX_SESSION_TTL`].
pub(crate) fn longest_session(role: &Role) -> Duration {
    let said = role.spec.options.max_session_ttl.map(|span| span.0).filter(|ttl| !ttl.is_zero());
    said.unwrap_or(MAX_SESSION_TTL)
}

impl RoleSet {
    /// The roles together.
    #[must_use]
    pub fn new(roles: Vec<Arc<Role>>) -> Self {
        Self { roles }
    }

    /// The roles.
    #[must_use]
    pub fn roles(&self) -> &[Arc<Role>] {
        &self.roles
    }

    /// A role of the set.
    #[must_use]
    pub fn role(&self, name: &RoleName) -> Option<&Arc<Role>> {
        self.roles.iter().find(|role| role.name() == name)
    }

    /// The options together.
    #[must_use]
    pub fn options(&self) -> MergedOptions {
        let options = || self.roles.iter().map(|role| &role.spec.options);
        let idle = options().filter_map(|one| one.client_idle_timeout).map(|span| span.0);
        MergedOptions {
            max_session_ttl: self
                .roles
                .iter()
                .map(|role| longest_session(role))
                .min()
                .unwrap_or(MAX_SESSION_TTL),
            client_idle_timeout: idle.filter(|timeout| !timeout.is_zero()).min(),
            disconnect_expired_cert: options().any(|one| one.disconnect_expired_cert == Some(true)),
            require_session_mfa: options()
                .filter_map(|one| one.require_session_mfa)
                .max()
                .unwrap_or_default(),
            locking_mode: options().filter_map(|one| one.lock).max().unwrap_or_default(),
            max_connections: options()
                .filter_map(|one| one.max_connections)
                .filter(|&most| most > 0)
                .min(),
            pin_source_ip: options().any(|one| one.pin_source_ip == Some(true)),
        }
    }
}

const READ_WRITE: &[&str] = &["list", "create", "read", "update", "delete"];
const READ_ONLY: &[&str] = &["list", "read"];

/// The kinds that `editor` may read and write.
const EDITED: &[&str] = &[
    "user",
    "role",
    "bot",
    "oidc",
    "saml",
    "github",
    "oidc_request",
    "saml_request",
    "github_request",
    "cluster_auth_preference",
    "auth_connector",
    "cluster_name",
    "cluster_networking_config",
    "session_recording_config",
    "ui_config",
    "trusted_cluster",
    "remote_cluster",
    "token",
    "connection_diagnostic",
    "db",
    "database_certificate",
    "installer",
    "device",
    "login_rule",
    "user_group",
    "plugin",
    "okta_import_rule",
    "okta_assignment",
    "lock",
    "cluster_alert",
    "access_list",
    "node",
    "discovery_config",
    "cluster_maintenance_config",
];

/// The roles that every cluster starts with: `access`, `editor`, `auditor`.
///
/// `editor` does not reach `app`: managing dynamic apps needs a role of its own.
#[must_use]
pub fn presets() -> Vec<Role> {
    [preset("access", access), preset("editor", editor), preset("auditor", auditor)]
        .into_iter()
        .flatten()
        .collect()
}

fn preset(name: &str, fill: fn(&mut Role)) -> Option<Role> {
    let mut role = Role::new(RoleName::parse(name).ok()?);
    let (key, value) = PRESET_LABEL;
    role.metadata.labels.insert(key.to_owned(), value.to_owned());
    role.spec.options.max_session_ttl = Some(Span(MAX_SESSION_TTL));
    role.spec.options.keep("port_forwarding", Value::Bool(true));
    role.spec.options.keep("forward_agent", Value::Bool(true));
    fill(&mut role);
    Some(role)
}

fn access(role: &mut Role) {
    role.metadata.description = Some("Access cluster resources".to_owned());
    let allow = &mut role.spec.allow;
    allow.app_labels = Some(LabelSelector::everything());
    allow.aws_role_arns = vec!["{{internal.aws_role_arns}}".to_owned()];
    let own_recordings = Rule {
        condition: Some("contains(session.participants, user.metadata.name)".to_owned()),
        ..Rule::new(&["session"], READ_ONLY)
    };
    allow.rules =
        vec![Rule::new(&["event"], READ_ONLY), own_recordings, Rule::new(&["instance"], READ_ONLY)];
    let labels = [
        "node_labels",
        "kubernetes_labels",
        "db_labels",
        "db_service_labels",
        "windows_desktop_labels",
    ];
    for field in labels {
        allow.keep(field, json!({"*": "*"}));
    }
    let templates = [
        ("logins", "logins"),
        ("windows_desktop_logins", "windows_logins"),
        ("kubernetes_users", "kubernetes_users"),
        ("kubernetes_groups", "kubernetes_groups"),
        ("db_users", "db_users"),
        ("db_names", "db_names"),
        ("db_roles", "db_roles"),
        ("azure_identities", "azure_identities"),
        ("gcp_service_accounts", "gcp_service_accounts"),
    ];
    for (field, name) in templates {
        allow.keep(field, json!([format!("{{{{internal.{name}}}}}")]));
    }
}

fn editor(role: &mut Role) {
    role.metadata.description = Some("Edit cluster configuration".to_owned());
    let integration = ["list", "create", "read", "update", "delete", "use"];
    role.spec.allow.rules = vec![
        Rule::new(EDITED, READ_WRITE),
        Rule::new(&["integration"], &integration),
        Rule::new(&["db_service", "instance"], READ_ONLY),
    ];
}

fn auditor(role: &mut Role) {
    role.metadata.description = Some("Review cluster events and replay sessions".to_owned());
    role.spec.allow.rules = vec![
        Rule::new(&["session", "event", "session_tracker", "cluster_alert", "instance"], READ_ONLY),
        Rule::new(&["security_report", "audit_query"], &["list", "read", "use"]),
    ];
    role.spec.allow.keep("logins", json!(["no-login"]));
}
