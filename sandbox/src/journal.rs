//! What happened here: every request, and every role that was assumed.
//!
//! The last requests are kept in memory for the control interface; all of them go to the log file
//! when there is one. Neither ever holds a secret, a token, a query or a body.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use serde::Serialize;

/// How many requests, and how many assumed roles, are remembered.
const REMEMBERED: usize = 20_000;

/// One request.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Entry {
    /// Counts from 1.
    pub seq: u64,
    /// When it was answered.
    pub time: String,
    /// `dynamodb`, `sts`, `s3`, `signin`; empty when it was not even that clear.
    pub service: String,
    /// The region of the scope.
    pub region: String,
    /// The caller's account.
    pub account: String,
    /// The caller's access key.
    pub access_key_id: String,
    /// The caller's ARN.
    pub principal: String,
    /// The session's name, for temporary credentials.
    pub session_name: String,
    /// `PutItem`, `AssumeRole`, …
    pub operation: String,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The error code, if it was an error.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// What was wrong with the signature, if it was refused for that.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fault: String,
    /// The request id of the answer.
    pub request_id: String,
    /// The client's name for itself.
    pub user_agent: String,
    /// `GET`, `POST`, …
    pub method: String,
    /// The host as the client named it.
    pub host: String,
    /// The path, without query.
    pub path: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub http: String,
}

/// One `AssumeRole` (or other call that gave out keys) that was granted.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Assumed {
    /// When.
    pub time: String,
    /// `AssumeRole`, `GetSessionToken` or `GetFederationToken`.
    pub operation: String,
    /// The caller's ARN.
    pub caller: String,
    /// The role.
    pub role_arn: Option<String>,
    /// The session's name.
    pub role_session_name: Option<String>,
    /// `SourceIdentity`.
    pub source_identity: Option<String>,
    /// Session tags.
    pub tags: BTreeMap<String, String>,
    /// Tags that go on to the next role of a chain.
    pub transitive_tag_keys: Vec<String>,
    /// The session policy.
    pub policy: Option<String>,
    /// Managed session policies.
    pub policy_arns: Vec<String>,
    /// `ExternalId`.
    pub external_id: Option<String>,
    /// `DurationSeconds` as asked for.
    pub duration_seconds: Option<i64>,
    /// The access key that was given out.
    pub access_key_id: String,
    /// When it ends.
    pub expiration: String,
}

/// The memory of both.
#[derive(Debug, Default)]
pub struct Journal {
    requests: Mutex<Ring<Entry>>,
    assumed: Mutex<Ring<Assumed>>,
    log: Option<Mutex<File>>,
}

#[derive(Debug)]
struct Ring<T> {
    seq: u64,
    kept: VecDeque<T>,
}

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self { seq: 0, kept: VecDeque::new() }
    }
}

impl<T> Ring<T> {
    fn push(&mut self, item: T) {
        if self.kept.len() == REMEMBERED {
            self.kept.pop_front();
        }
        self.kept.push_back(item);
    }
}

impl Journal {
    /// A journal that also writes requests to a file, as lines of JSON.
    pub fn new(log: Option<&Path>) -> anyhow::Result<Self> {
        let open = |path: &Path| {
            let file = OpenOptions::new().create(true).append(true).open(path);
            file.with_context(|| format!("could not open {}", path.display()))
        };
        Ok(Self { log: log.map(open).transpose()?.map(Mutex::new), ..Self::default() })
    }

    /// Adds a request.
    pub fn request(&self, mut entry: Entry) {
        let mut ring = lock(&self.requests);
        ring.seq += 1;
        entry.seq = ring.seq;
        if let Some(log) = &self.log
            && let Ok(mut line) = serde_json::to_vec(&entry)
        {
            line.push(b'\n');
            // A full disk must not change what the stand-in answers.
            let _ = lock(log).write_all(&line);
        }
        ring.push(entry);
    }

    /// Adds an assumed role.
    pub fn assumed(&self, assumed: Assumed) {
        lock(&self.assumed).push(assumed);
    }

    /// The requests after number `since`.
    pub fn requests_since(&self, since: u64) -> Vec<Entry> {
        lock(&self.requests).kept.iter().filter(|entry| entry.seq > since).cloned().collect()
    }

    /// Every role assumed, oldest first.
    pub fn all_assumed(&self) -> Vec<Assumed> {
        lock(&self.assumed).kept.iter().cloned().collect()
    }

    /// Forgets both; the numbers go on.
    pub fn clear(&self) {
        lock(&self.requests).kept.clear();
        lock(&self.assumed).kept.clear();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
