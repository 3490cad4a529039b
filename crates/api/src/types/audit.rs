//! Searching, storing and checking the audit log over the API.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Which events are wanted; all given filters must hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AuditQuery {
    /// At this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// Event name (`user.login`) or code (`T1000I`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// User name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// App name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// App session id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// DynamoDB table name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Only entries after this sequence number, for paging.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// At most so many, newest kept; 1 to 10,000, default 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// One entry of the log as it is listed: a line of JSON each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditRow {
    /// Place in the log, from 1.
    pub seq: u64,
    /// SHA-256 (hex) of this entry and, through it, of all before.
    pub hash: String,
    /// The event, flat, as the original writes it.
    pub event: serde_json::Value,
}

/// Answer to a stored batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditStored {
    /// New entries.
    pub stored: u64,
    /// Entries that were there already (same `uid`).
    pub known: u64,
}

/// What a check of the hash chain found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditVerified {
    /// Entries checked.
    pub entries: u64,
    /// Hash of the last one (hex).
    pub head: String,
    /// The first entry that does not hold, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<BrokenAt>,
}

/// Where a chain breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokenAt {
    /// The entry.
    pub seq: u64,
    /// What is wrong with it.
    pub reason: String,
}
