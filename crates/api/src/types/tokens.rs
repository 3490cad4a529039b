//! Join tokens.

use std::collections::BTreeMap;

use access::{Metadata, SystemRole};
use serde::{Deserialize, Serialize};

/// `kind: token`: lets a new service join. Its name is its secret.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// `token`.
    pub kind: TokenKind,
    /// `v2`.
    pub version: TokenVersion,
    /// Name (the secret) and expiry.
    pub metadata: Metadata,
    /// What it allows.
    pub spec: TokenSpec,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token {{ name: [secret], spec: {:?} }}", self.spec)
    }
}

/// The `kind` line of a token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenKind {
    /// The one text.
    #[default]
    #[serde(rename = "token")]
    Token,
}

/// The `version` line of a token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenVersion {
    /// The one text.
    #[default]
    #[serde(rename = "v2")]
    V2,
}

/// What a token allows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSpec {
    /// `[App]`, `[Proxy]`, …
    pub roles: Vec<SystemRole>,
    /// Only `token` is served.
    #[serde(default)]
    pub join_method: JoinMethod,
    /// Labels for what joins with it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub suggested_labels: BTreeMap<String, String>,
}

/// How a joining host proves itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JoinMethod {
    /// By knowing the token's name.
    #[default]
    Token,
}

/// `tctl tokens add`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// What may join.
    pub roles: Vec<SystemRole>,
    /// Wanted name; random (32 hex digits) if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Life in seconds; 30 minutes if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
    /// Labels for what joins.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// A token with what a person needs to use it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenReply {
    /// The token.
    pub token: Token,
    /// For joining the Auth Service directly.
    pub ca_pins: Vec<String>,
    /// `host:port` of a proxy, if one has been seen or is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_addr: Option<String>,
}
