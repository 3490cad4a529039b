//! `kind: cluster_auth_preference`: how users log in. There is one; what it leaves open is as
//! `teleport.yaml` of the Auth Service says.

use access::Metadata;
use access::resource::RequireMfa;
use serde::{Deserialize, Serialize};

use super::ping::SecondFactor;

/// The one name that it has.
pub const AUTH_PREFERENCE_NAME: &str = "cluster-auth-preference";
/// The label that says where what is shown comes from.
pub const ORIGIN_LABEL: &str = "teleport.dev/origin";

/// How users log in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterAuthPreference {
    /// `cluster_auth_preference`.
    pub kind: AuthPreferenceKind,
    /// Unused, kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_kind: Option<String>,
    /// `v2`.
    #[serde(default)]
    pub version: AuthPreferenceVersion,
    /// The name, labels and so on.
    #[serde(default = "usual_name")]
    pub metadata: Metadata,
    /// What it says.
    #[serde(default)]
    pub spec: AuthPreferenceSpec,
}

impl ClusterAuthPreference {
    /// One that says this.
    #[must_use]
    pub fn new(spec: AuthPreferenceSpec) -> Self {
        Self {
            kind: AuthPreferenceKind::default(),
            sub_kind: None,
            version: AuthPreferenceVersion::default(),
            metadata: usual_name(),
            spec,
        }
    }
}

fn usual_name() -> Metadata {
    Metadata::named(AUTH_PREFERENCE_NAME.to_owned())
}

/// The `kind` line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthPreferenceKind {
    /// The one text.
    #[default]
    #[serde(rename = "cluster_auth_preference")]
    ClusterAuthPreference,
}

/// The `version` line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthPreferenceVersion {
    /// The one text.
    #[default]
    #[serde(rename = "v2")]
    V2,
}

/// What it says. What is absent is as the settings of the Auth Service say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthPreferenceSpec {
    /// `local`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<AuthType>,
    /// Whether users need a second factor, and which.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second_factor: Option<SecondFactor>,
    /// Where passkeys are good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webauthn: Option<WebauthnPreference>,
    /// Whether each app session needs a second factor of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_session_mfa: Option<RequireMfa>,
    /// Whether users log in with passwords.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_local_auth: Option<bool>,
}

/// Who checks passwords.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthType {
    /// The Auth Service itself.
    #[default]
    Local,
}

/// Where passkeys are good.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebauthnPreference {
    /// A host name: the proxy's public host or a parent domain of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rp_id: Option<String>,
}
