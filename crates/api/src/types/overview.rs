//! The cluster at a glance: who is in, what fails, requests over time.

use access::UserName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::audit::AuditRow;

/// Which stretch of time the overview covers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OverviewQuery {
    /// The stretch that ends now, in minutes: 1 to 44,640 (31 days); 60 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minutes: Option<u32>,
}

/// The cluster at a glance. A part is absent when the caller's roles do not allow it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Overview {
    /// When this was true.
    pub at: Timestamp,
    /// What is there. For every caller who may see any part.
    pub counts: Counts,
    /// Who is in; for those who may list users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub present: Option<Vec<Present>>,
    /// What happens; for those who may read the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity: Option<Activity>,
}

/// How many there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Users of the cluster.
    pub users: u64,
    /// Users with a live web session or app session.
    pub users_in: u64,
    /// Live web sessions.
    pub web_sessions: u64,
    /// Live app sessions.
    pub app_sessions: u64,
    /// Agents whose heartbeat is fresh.
    pub agents: u64,
    /// Different apps that they serve.
    pub apps: u64,
    /// Locks in force.
    pub locks: u64,
}

/// A user who is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Present {
    /// Who.
    pub user: UserName,
    /// Live web sessions.
    pub web_sessions: u64,
    /// Live app sessions.
    pub app_sessions: u64,
    /// When the last of them ends.
    pub until: Timestamp,
}

/// Requests over time, and what failed last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// Seconds between two points.
    pub step_seconds: u32,
    /// Requests to apps, oldest point first, a point for each step (zeros included). Each covers
    /// `[at, at + step_seconds)`; the last one is still under way.
    pub requests: Vec<RequestsAt>,
    /// All of the stretch.
    pub total: RequestCounts,
    /// What was denied or failed last within the stretch, newest first, at most 20.
    pub failures: Vec<AuditRow>,
}

/// Requests in one step of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestsAt {
    /// When the step begins.
    pub at: Timestamp,
    /// What became of them.
    #[serde(flatten)]
    pub counts: RequestCounts,
}

/// What became of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestCounts {
    /// Answered with success.
    pub ok: u64,
    /// Refused by a rule of ours.
    pub denied: u64,
    /// Failed, answered with an error, or of unknown outcome.
    pub failed: u64,
}
