//! Who may open connections for which app session, and the end of them.
//!
//! A session that lives is admitted; when it ends, or its user is locked, its
//! open connections are cut. The agent decides again on every request: this is
//! the first wall, not the only one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use access::{AppSession, AppSessionId};
use pki::Clock;
use tokio::time::{MissedTickBehavior, interval};
use tracing::info;

use crate::connections::{ConnectionId, Connections};
use crate::snapshot::{Connected, NotLive, Snapshot, Snapshots};

/// How often sessions are looked at whose end comes by time alone.
const LOOK: Duration = Duration::from_millis(500);

/// The app sessions with open connections.
pub(crate) struct Sessions {
    snapshots: Arc<Snapshots>,
    connections: Arc<Connections>,
    clock: Clock,
    wait: Duration,
    entered: Mutex<HashMap<ConnectionId, AppSessionId>>,
}

/// An admitted connection: on the list until this is dropped.
pub(crate) struct Admitted<'a> {
    /// Its session.
    pub(crate) session: Arc<AppSession>,
    sessions: &'a Sessions,
    connection: ConnectionId,
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.sessions.list().remove(&self.connection);
    }
}

impl Sessions {
    /// No session yet. `wait` is how long one that is not in the snapshot is waited for.
    pub(crate) fn new(
        snapshots: Arc<Snapshots>,
        connections: Arc<Connections>,
        clock: Clock,
        wait: Duration,
    ) -> Self {
        Self { snapshots, connections, clock, wait, entered: Mutex::default() }
    }

    /// Admits a connection if its session lives.
    pub(crate) async fn admit(
        &self,
        id: &AppSessionId,
        connection: ConnectionId,
    ) -> Result<Admitted<'_>, NotLive> {
        self.wait_until_known(id).await?;
        // On the list first, then looked at: whatever ends the session from
        // now on either is seen here or sees the connection on the list.
        self.list().insert(connection, id.clone());
        match self.snapshots.newest().session(id, self.clock.now()) {
            Ok(session) => Ok(Admitted { session, sessions: self, connection }),
            Err(reason) => {
                self.list().remove(&connection);
                Err(reason)
            }
        }
    }

    async fn wait_until_known(&self, id: &AppSessionId) -> Result<(), NotLive> {
        let mut changes = self.snapshots.subscribe();
        let known = changes.wait_for(|snapshot| {
            !matches!(snapshot.session(id, self.clock.now()), Err(NotLive::Unknown))
        });
        match tokio::time::timeout(self.wait, known).await {
            Ok(Ok(_)) => Ok(()),
            // Only who hears of every change can say that there is no such session.
            Ok(Err(_)) | Err(_) if self.snapshots.connected() != Connected::Now => {
                Err(NotLive::Unsure)
            }
            Ok(Err(_)) | Err(_) => Err(NotLive::Unknown),
        }
    }

    /// Cuts the connections of sessions that have ended, for ever.
    pub(crate) async fn cut_ended(&self) {
        let mut changes = self.snapshots.subscribe();
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                _ = looks.tick() => {}
            }
            let snapshot = Arc::clone(&changes.borrow_and_update());
            for (connection, reason) in self.take_ended(&snapshot) {
                info!(connection = connection.number(), %reason, "connection cut");
                self.connections.cut(connection);
            }
        }
    }

    fn take_ended(&self, snapshot: &Snapshot) -> Vec<(ConnectionId, NotLive)> {
        let now = self.clock.now();
        let mut ended = Vec::new();
        self.list().retain(|connection, session| {
            let verdict = snapshot.session(session, now);
            ended.extend(verdict.as_ref().err().map(|reason| (*connection, *reason)));
            verdict.is_ok()
        });
        ended
    }

    fn list(&self) -> std::sync::MutexGuard<'_, HashMap<ConnectionId, AppSessionId>> {
        self.entered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
