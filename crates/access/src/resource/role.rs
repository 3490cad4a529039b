//! `kind: role`: what its holders may and may not do, and under which options.
//!
//! What is enforced here is typed. What other kinds of access would need (servers, databases,
//! clusters, desktops) is kept as it was written, so that `get`, edit, `create -f` loses nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::kind::RoleKind;
use super::lists::{self, LabelSelector};
use super::metadata::Metadata;
use crate::moment::Span;
use crate::names::RoleName;

/// A role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// `kind: role`.
    pub kind: RoleKind,
    /// Unused, kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_kind: Option<String>,
    /// Which defaults hold.
    pub version: RoleVersion,
    /// Name, labels and so on.
    pub metadata: Metadata<RoleName>,
    /// What it says.
    #[serde(default)]
    pub spec: RoleSpec,
}

impl Role {
    /// A role of the newest version that allows nothing.
    #[must_use]
    pub fn new(name: RoleName) -> Self {
        Self {
            kind: RoleKind,
            sub_kind: None,
            version: RoleVersion::V7,
            metadata: Metadata::named(name),
            spec: RoleSpec::default(),
        }
    }

    /// The role's name.
    #[must_use]
    pub fn name(&self) -> &RoleName {
        &self.metadata.name
    }

    /// The app labels that the role allows, with the default of its version: a v3 role that
    /// does not speak of apps allows them all.
    #[must_use]
    pub fn allowed_app_labels(&self) -> LabelSelector {
        match (&self.spec.allow.app_labels, self.version) {
            (Some(labels), _) => labels.clone(),
            (None, RoleVersion::V3) => LabelSelector::everything(),
            (None, _) => LabelSelector::default(),
        }
    }
}

/// The versions that are read. They differ in their defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RoleVersion {
    /// Missing app labels mean every app.
    V3,
    /// Missing labels mean none, from here on.
    V4,
    /// As v4 for apps.
    V5,
    /// As v4 for apps.
    V6,
    /// As v4 for apps.
    V7,
}

/// What a role says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleSpec {
    /// How a session behaves.
    #[serde(default)]
    pub options: RoleOptions,
    /// What holders may do, unless a role of theirs denies it.
    #[serde(default)]
    pub allow: RoleConditions,
    /// What holders may not do, whatever allows it.
    #[serde(default)]
    pub deny: RoleConditions,
}

/// What is kept without being enforced.
type Kept = Option<Value>;

/// A struct with typed fields and with fields that are kept as written.
macro_rules! with_kept_fields {
    (
        $(#[$meta:meta])*
        pub struct $name:ident { $($typed:tt)* }
        kept { $($kept:ident),* $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $($typed)*
            $(#[serde(skip_serializing_if = "Option::is_none")] $kept: Kept,)*
        }

        impl $name {
            /// The fields that are kept but not enforced, where they are set.
            pub fn kept(&self) -> impl Iterator<Item = (&'static str, &Value)> {
                [$((stringify!($kept), self.$kept.as_ref())),*]
                    .into_iter()
                    .filter_map(|(field, value)| value.map(|value| (field, value)))
            }

            /// Sets a field that is kept but not enforced; says whether there is such a field.
            pub fn keep(&mut self, field: &str, value: Value) -> bool {
                match field {
                    $(stringify!($kept) => self.$kept = Some(value),)*
                    _ => return false,
                }
                true
            }
        }
    };
}

with_kept_fields! {
    /// One side of a role: what is allowed, or what is denied.
    pub struct RoleConditions {
        /// Which apps, by label. `None` is "not said", which differs between versions.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub app_labels: Option<LabelSelector>,
        /// Which apps, by an expression over labels and traits.
        #[serde(deserialize_with = "lists::maybe_text", skip_serializing_if = "Option::is_none")]
        pub app_labels_expression: Option<String>,
        /// Which AWS roles, as ARNs or templates. Compared literally.
        #[serde(deserialize_with = "lists::texts", skip_serializing_if = "Vec::is_empty")]
        pub aws_role_arns: Vec<String>,
        /// Tags of the AWS session, by key; the values are templates.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        pub aws_session_tags: BTreeMap<String, String>,
        /// Keys of those tags that a chained role inherits.
        #[serde(deserialize_with = "lists::texts", skip_serializing_if = "Vec::is_empty")]
        pub aws_transitive_tag_keys: Vec<String>,
        /// `SourceIdentity` of the AWS session, a template.
        #[serde(deserialize_with = "lists::maybe_text", skip_serializing_if = "Option::is_none")]
        pub aws_source_identity: Option<String>,
        /// What AWS sessions under the role may do at the most: a policy document, as JSON text or as YAML of the same
        /// shape, with templates in its texts.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub aws_session_policy: Option<Value>,
        /// Which resources of the cluster, with which verbs.
        #[serde(deserialize_with = "rules", skip_serializing_if = "Vec::is_empty")]
        pub rules: Vec<Rule>,
    }
    kept {
        logins, windows_logins, namespaces, node_labels, node_labels_expression,
        azure_identities, gcp_service_accounts,
        cluster_labels, cluster_labels_expression, group_labels, group_labels_expression,
        kubernetes_groups, kubernetes_users, kubernetes_labels, kubernetes_labels_expression, kubernetes_resources,
        db_labels, db_labels_expression, db_names, db_users, db_roles, db_permissions,
        db_service_labels, db_service_labels_expression,
        windows_desktop_labels, windows_desktop_labels_expression, windows_desktop_logins, desktop_groups,
        host_groups, host_sudoers, impersonate, request, review_requests,
        require_session_join, join_sessions,
        account_assignments, spiffe, saml_idp_service_provider_labels, workload_identity_labels,
        workload_identity_labels_expression, github_permissions,
    }
}

/// Verbs on kinds of resources, perhaps under a condition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Kinds, or `*`.
    #[serde(default, deserialize_with = "lists::texts")]
    pub resources: Vec<String>,
    /// Verbs, or `*`.
    #[serde(default, deserialize_with = "lists::texts")]
    pub verbs: Vec<String>,
    /// A condition in the predicate language.
    #[serde(
        default,
        rename = "where",
        deserialize_with = "lists::maybe_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub condition: Option<String>,
    /// Unused, kept.
    #[serde(default, deserialize_with = "lists::texts", skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<String>,
}

impl Rule {
    /// A rule without a condition.
    #[must_use]
    pub fn new(resources: &[&str], verbs: &[&str]) -> Self {
        let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        Self {
            resources: owned(resources),
            verbs: owned(verbs),
            condition: None,
            actions: Vec::new(),
        }
    }
}

fn rules<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Rule>, D::Error> {
    Option::<Vec<Rule>>::deserialize(deserializer).map(Option::unwrap_or_default)
}

with_kept_fields! {
    /// How sessions under the role behave.
    pub struct RoleOptions {
        /// The longest that a certificate may live; 30 hours where nothing is said.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub max_session_ttl: Option<Span>,
        /// Idle connections are closed after this time; zero is never.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub client_idle_timeout: Option<Span>,
        /// Whether a connection is closed when its certificate ends.
        #[serde(deserialize_with = "lists::maybe_flag", skip_serializing_if = "Option::is_none")]
        pub disconnect_expired_cert: Option<bool>,
        /// Whether each session needs a fresh second factor.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub require_session_mfa: Option<RequireMfa>,
        /// What happens when the list of locks is out of date.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub lock: Option<LockingMode>,
        /// The most connections at a time; zero is no limit.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub max_connections: Option<u64>,
        /// Whether a certificate works from the address that logged in only.
        #[serde(deserialize_with = "lists::maybe_flag", skip_serializing_if = "Option::is_none")]
        pub pin_source_ip: Option<bool>,
        /// Whether a trusted device is needed: `off`, `optional`, `required`.
        #[serde(deserialize_with = "lists::maybe_text", skip_serializing_if = "Option::is_none")]
        pub device_trust_mode: Option<String>,
    }
    kept {
        forward_agent, port_forwarding, cert_format, permit_x11_forwarding, enhanced_recording,
        max_sessions, max_kubernetes_connections, request_access, request_prompt, record_session,
        desktop_clipboard, desktop_directory_sharing, cert_extensions,
        create_host_user, create_host_user_mode, create_host_user_default_shell,
        create_desktop_user, create_db_user, create_db_user_mode,
        ssh_file_copy, ssh_port_forwarding, idp, mfa_verification_interval,
    }
}

/// Whether, and how strongly, each session needs a fresh second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum RequireMfa {
    /// Not needed.
    #[default]
    No,
    /// Needed, of any type.
    Yes,
    /// Needed, and the key must live in hardware.
    HardwareKey,
    /// As before, with a touch for each use.
    HardwareKeyTouch,
}

impl Serialize for RequireMfa {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::No => serializer.serialize_bool(false),
            Self::Yes => serializer.serialize_bool(true),
            Self::HardwareKey => serializer.serialize_str("hardware_key"),
            Self::HardwareKeyTouch => serializer.serialize_str("hardware_key_touch"),
        }
    }
}

impl<'de> Deserialize<'de> for RequireMfa {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Loose {
            Bool(bool),
            Text(String),
        }
        match Loose::deserialize(deserializer)? {
            Loose::Bool(false) => Ok(Self::No),
            Loose::Bool(true) => Ok(Self::Yes),
            Loose::Text(text) => match text.as_str() {
                "no" | "false" | "off" | "" => Ok(Self::No),
                "yes" | "true" | "on" => Ok(Self::Yes),
                "hardware_key" => Ok(Self::HardwareKey),
                "hardware_key_touch" => Ok(Self::HardwareKeyTouch),
                _ => Err(serde::de::Error::custom(format_args!(
                    "expected no, yes, hardware_key or hardware_key_touch, found `{text}`"
                ))),
            },
        }
    }
}

/// What happens when the list of locks is out of date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockingMode {
    /// The last known list counts.
    #[default]
    BestEffort,
    /// Access is refused.
    Strict,
}
