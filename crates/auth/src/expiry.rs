//! Ending what has expired: sessions, agents' records, tokens, locks, apps, users, links.

use std::sync::Arc;
use std::time::SystemTime;

use access::{App, AppSession, HostId, Lock, User};
use api::error::Chain;
use api::types::tokens::Token;
use api::types::watch::Key;
use tracing::warn;

use crate::app_sessions::{self, End};
use crate::caller::Actor;
use crate::cluster::Cluster;
use crate::refusal::Refusal;
use crate::store::{Reader, StoredWebSession, Tx};
use crate::{apps, locks, tokens, users, web_sessions};

/// Looks again and again until the service stops.
pub(crate) async fn run(cluster: Arc<Cluster>) {
    let mut tick = tokio::time::interval(cluster.config.sweep_every);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = cluster.stopping.cancelled() => return,
        }
        if let Err(error) = sweep(&cluster).await {
            warn!(error = %Chain(&error), "could not end what has expired");
        }
    }
}

/// Ends what has expired by now. Reads first: most of the time there is nothing to write.
pub(crate) async fn sweep(cluster: &Cluster) -> Result<(), Refusal> {
    let now = cluster.now();
    let idle_since = cluster.idle_since();
    let ended = cluster.store.read(move |reader| Ended::find(reader, now, idle_since)).await?;
    if ended.is_empty() {
        return Ok(());
    }
    let actor = Actor::system(cluster.stamp(now));
    cluster.store.write(move |tx| ended.end(tx, &actor)).await
}

struct Ended {
    web_sessions: Vec<StoredWebSession>,
    sessions: Vec<AppSession>,
    servers: Vec<HostId>,
    users: Vec<String>,
    tokens: Vec<String>,
    locks: Vec<String>,
    apps: Vec<String>,
    has_invites: bool,
}

impl Ended {
    fn find(reader: &Reader<'_>, now: SystemTime, idle_since: SystemTime) -> Result<Self, Refusal> {
        Ok(Self {
            web_sessions: reader.ended_web_sessions(now, idle_since)?,
            sessions: reader.ended_sessions(now)?,
            servers: reader.ended_servers(now)?,
            users: reader.ended::<User>(now)?,
            tokens: reader.ended::<Token>(now)?,
            locks: reader.ended::<Lock>(now)?,
            apps: reader.ended::<App>(now)?,
            has_invites: reader.has_ended_invites(now)?,
        })
    }

    fn is_empty(&self) -> bool {
        self.web_sessions.is_empty()
            && self.sessions.is_empty()
            && self.servers.is_empty()
            && self.users.is_empty()
            && self.tokens.is_empty()
            && self.locks.is_empty()
            && self.apps.is_empty()
            && !self.has_invites
    }

    /// Something may have been renewed or removed since it was found: each is looked at again.
    fn end(self, tx: &mut Tx<'_>, actor: &Actor) -> Result<(), Refusal> {
        let now = actor.now();
        for session in &self.web_sessions {
            end_web_session(tx, actor, session)?;
        }
        for session in &self.sessions {
            app_sessions::end_one(tx, actor.stamp(), session, End::Expired)?;
        }
        for host in self.servers {
            if tx.server(&host, now)?.is_none() && tx.drop_server(&host)? {
                tx.gone(Key::AppServer(host));
            }
        }
        for name in still::<User>(tx, &self.users, now)? {
            users::delete(tx, actor, name)?;
        }
        for name in still::<Token>(tx, &self.tokens, now)? {
            tokens::delete(tx, actor, name)?;
        }
        for name in still::<Lock>(tx, &self.locks, now)? {
            locks::delete(tx, actor, name)?;
        }
        for name in still::<App>(tx, &self.apps, now)? {
            apps::delete(tx, actor, name)?;
        }
        if self.has_invites {
            tx.drop_ended_invites(now)?;
        }
        Ok(())
    }
}

/// It may have been used since it was found.
fn end_web_session(
    tx: &mut Tx<'_>,
    actor: &Actor,
    found: &StoredWebSession,
) -> Result<(), Refusal> {
    let Some(session) = tx.web_session(&found.id)? else { return Ok(()) };
    let why = if session.expires <= actor.now() {
        web_sessions::End::Expired
    } else if session.last_seen == found.last_seen {
        web_sessions::End::Idle
    } else {
        return Ok(());
    };
    web_sessions::end_one(tx, actor.stamp(), &session, (why, None))
}

fn still<'a, S: crate::store::Shelf>(
    tx: &Tx<'_>,
    names: &'a [String],
    now: SystemTime,
) -> Result<Vec<&'a String>, Refusal> {
    let ended = tx.ended::<S>(now)?;
    Ok(names.iter().filter(|name| ended.contains(name)).collect())
}
