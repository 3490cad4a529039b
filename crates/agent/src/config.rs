//! What the agent is told at its start: every value checked by whoever read it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use access::resource::LockingMode;
use access::{App, ClusterName, HostId};
use aws_config::SdkConfig;
use pki::{Clock, LiveCredential, LiveTrust};

/// Settings of the Application Service.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// This host's id, as in its certificate.
    pub host_id: HostId,
    /// The cluster it joined.
    pub cluster: ClusterName,
    /// `teleport.nodename`.
    pub nodename: String,
    /// Our version, for the heartbeat.
    pub version: String,
    /// `host:port` of each proxy.
    pub proxies: Vec<String>,
    /// `app_service.apps`.
    pub apps: Vec<App>,
    /// `app_service.resources`: which dynamic apps this agent serves. Empty: none.
    pub resources: Vec<Selector>,
    /// Where audit entries wait.
    pub spool: SpoolSettings,
    /// What to do while the Auth Service cannot be reached, and a lock may be missing from the snapshot.
    pub locking: LockingMode,
    /// How many tunnels to keep to each proxy; 2 unless set.
    pub tunnels_per_proxy: usize,
}

/// Labels that a dynamic app must have, as in a role: a value of `*` fits any, a key `*` with value `*` fits all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// Each key with the values that fit it.
    pub labels: BTreeMap<String, Vec<String>>,
}

/// Where audit entries wait until the Auth Service has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolSettings {
    /// The directory; made if it is missing.
    pub dir: PathBuf,
    /// Most bytes of records on disk; calls are refused beyond. Up to two files prepared ahead come on top.
    pub limit: u64,
    /// Size at which a file is prepared, and the next one begun.
    pub segment: u64,
    /// When an entry must be safe on disk.
    pub sync: SyncWhen,
}

impl SpoolSettings {
    /// The usual settings in `dir`: 1 GiB in files of 8 MiB, synced before the answer.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, limit: 1 << 30, segment: 8 << 20, sync: SyncWhen::BeforeAnswer }
    }

    /// How long a file is made before its first record.
    pub(crate) fn prepared(&self) -> u64 {
        self.segment.min(self.limit)
    }
}

/// When an opened entry must be safe against the death of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncWhen {
    /// Before the client sees the answer; the sync runs while AWS works.
    #[default]
    BeforeAnswer,
    /// Before the call leaves.
    BeforeCall,
}

/// What the agent is given to work with.
#[derive(Clone, Debug)]
pub struct Deps {
    /// The Auth Service.
    pub auth: api::Client,
    /// This host's certificate and key.
    pub credential: Arc<LiveCredential>,
    /// The cluster's authorities. The agent keeps it fresh.
    pub trust: Arc<LiveTrust>,
    /// The clock.
    pub clock: Clock,
    /// Where AWS credentials, regions and endpoints come from. `None`: from the usual chain of every AWS SDK
    /// (environment, shared files, web identity, container, instance).
    pub aws: Option<SdkConfig>,
}
