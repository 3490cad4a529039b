//! Searching, storing and checking the audit log over the API.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Which events are wanted; all given filters must hold.
///
/// Without `after` the newest entries that match are given, with it the oldest ones after it, so
/// that the log can be read forwards to its end and then followed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditQuery {
    /// At this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// Event name (`user.login`) or code (`T1000I`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Name of the user who did it or, of a user's own entries, whom it was done to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// App name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// App session id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// AWS role by its ARN or its name, or a role of the cluster by its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Operation, whatever its case: `PutItem` or `dynamodb:PutItem`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// DynamoDB table name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<AuditOutcome>,
    /// Words that must all stand in the entry, whatever their case; `word*` for a beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Only entries before this sequence number, for paging back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// Only entries after this sequence number, for reading forwards and following.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// At most so many; default 500. A page holds at most 500, a list 10,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// With `after`: wait up to so many seconds (at most 25) for the first entry. Pages only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_seconds: Option<u32>,
}

/// How what an entry tells of has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditOutcome {
    /// It was done.
    Ok,
    /// A rule of ours refused it.
    Denied,
    /// It failed, or its outcome is not known.
    Failed,
}

impl AuditOutcome {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ok, Self::Denied, Self::Failed];

    /// As queries write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }
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

/// A page of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditPage {
    /// The entries: newest first, or with `after` oldest first.
    pub rows: Vec<AuditRow>,
    /// Pass as `before` for what is older; absent when nothing older can match. A page may
    /// hold fewer rows than asked for, even none, and still have this: a search over very many
    /// entries that do not match is cut into several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older: Option<u64>,
    /// Pass as `after` for what comes later.
    pub newest: u64,
    /// With `after`: whether there is more already, so that the next page need not wait.
    #[serde(default)]
    pub has_more: bool,
}

/// One entry whole, with what the chain keeps of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Place in the log, from 1.
    pub seq: u64,
    /// Hash (hex) of the entry before it.
    pub prev: String,
    /// Hash (hex) of this one.
    pub hash: String,
    /// Whether the hash is that of the entry as it is stored.
    pub holds: bool,
    /// The event.
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
