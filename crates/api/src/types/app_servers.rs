//! Which agent serves which apps: the heartbeat record.

use access::{App, HostId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What an agent announces, at start, on change and about once a minute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppServer {
    /// The agent's host id, as in its certificate.
    pub host_id: HostId,
    /// Its `nodename`.
    pub hostname: String,
    /// Its version.
    pub version: String,
    /// The apps that it serves.
    pub apps: Vec<App>,
    /// When the record ends unless renewed. Set by the Auth Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}
