//! Web sessions: opened with the certificate of a login, found by their cookie, ended by sign-out,
//! time, disuse, a lock, a new password, other roles, or with the user. A session of a web app
//! ends with the one that it was opened from, and together with its app session.

use std::time::SystemTime;

use access::{AppSessionId, SystemRole, UserName};
use api::types::watch::{Item, Key};
use api::types::web_sessions::{
    SEALED_LIMIT, TokenHash, WebSession, WebSessionFound, WebSessionId, WebSessionRequest,
};
use audit::events::{WebSessionEnd, WebSessionStart};

use crate::app_sessions;
use crate::caller::Caller;
use crate::cluster::{Asked, Cluster};
use crate::events::{Stamp, rfc3339, timestamp};
use crate::passwords::random;
use crate::refusal::Refusal;
use crate::store::{StoredWebSession, Tx};
use crate::users;

/// Most live sessions of one user; the one that was not used for longest makes room.
const MOST_SESSIONS: usize = 200;
/// Longest text of a browser that is kept.
const SHOWN: usize = 256;

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The user said so.
    Logout,
    /// Somebody else said so, who may.
    Ended,
    /// Its time is over.
    Expired,
    /// It was not used for long.
    Idle,
    /// The user is gone.
    UserDeleted,
    /// The user is locked.
    Locked,
    /// The password was changed or reset.
    PasswordChanged,
    /// The user's roles or traits are not those of the certificate any more.
    UserChanged,
    /// Newer ones needed its place.
    TooMany,
    /// The session that it belongs to has ended.
    WithAnother,
}

impl End {
    fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Ended => "ended by an administrator",
            Self::Expired => "expired",
            Self::Idle => "idle",
            Self::UserDeleted => "user deleted",
            Self::Locked => "locked",
            Self::PasswordChanged => "password changed",
            Self::UserChanged => "roles or traits changed",
            Self::TooMany => "too many sessions",
            Self::WithAnother => "ended with another session",
        }
    }

    /// Why the app session of such a session ends.
    fn of_app(self) -> app_sessions::End {
        match self {
            Self::Expired | Self::Idle => app_sessions::End::Expired,
            Self::UserDeleted => app_sessions::End::UserDeleted,
            Self::Locked => app_sessions::End::Locked,
            _ => app_sessions::End::Logout,
        }
    }
}

/// Opens a session for the user of the certificate.
pub(crate) async fn open(
    cluster: &Cluster,
    caller: &Caller,
    request: WebSessionRequest,
) -> Result<WebSession, Refusal> {
    let stamp = cluster.stamp(cluster.now());
    let claims = caller.person(stamp.now)?;
    if request.sealed.is_empty() || request.sealed.len() > SEALED_LIMIT {
        return Err(Refusal::invalid(format!("sealed must be 1 to {SEALED_LIMIT} bytes")));
    }
    let session = StoredWebSession {
        id: WebSessionId::from_bytes(random()?),
        token_hash: request.token_hash,
        user: claims.user.clone(),
        created: stamp.now,
        expires: claims.expires,
        last_seen: stamp.now,
        remote_addr: request.remote_addr.as_deref().map(shortened),
        user_agent: request.user_agent.as_deref().map(shortened),
        app_session: request.app_session,
        parent: request.parent,
        sealed: request.sealed,
    };
    let session = cluster.store.write(move |tx| keep(tx, &stamp, session)).await?;
    Ok(shown(cluster, session))
}

/// Finds a live session by its cookie.
pub(crate) async fn find(
    cluster: &Cluster,
    token_hash: TokenHash,
) -> Result<WebSessionFound, Refusal> {
    let found = cluster.store.read(move |reader| reader.web_session_by_token(&token_hash)).await?;
    let session = found.filter(|session| is_live(cluster, session)).ok_or_else(gone)?;
    let sealed = session.sealed.clone();
    Ok(WebSessionFound { session: shown(cluster, session), sealed })
}

/// Notes that a session was used, and with it the one that it was opened from.
pub(crate) async fn saw(cluster: &Cluster, id: WebSessionId) -> Result<(), Refusal> {
    let (now, idle_since) = (cluster.now(), cluster.idle_since());
    cluster
        .store
        .write(move |tx| {
            let session = tx.web_session(&id)?.ok_or_else(gone)?;
            if now >= session.expires || session.last_seen <= idle_since {
                return Err(gone());
            }
            tx.touch_web_session(&id, now)?;
            session.parent.map_or(Ok(()), |parent| tx.touch_web_session(&parent, now))
        })
        .await
}

/// The caller's own sessions.
pub(crate) async fn list(cluster: &Cluster, caller: &Caller) -> Result<Vec<WebSession>, Refusal> {
    let user = caller.person(cluster.now())?.user.clone();
    let found = cluster.store.read(move |reader| reader.web_sessions_of(user.as_str())).await?;
    let live = found.into_iter().filter(|session| is_live(cluster, session));
    Ok(live.map(|session| shown(cluster, session)).collect())
}

/// Ends a session: one's own, or another's where a rule allows it.
pub(crate) async fn end(
    cluster: &Cluster,
    caller: &Caller,
    id: WebSessionId,
) -> Result<(), Refusal> {
    let stamp = cluster.stamp(cluster.now());
    if caller.is(SystemRole::Proxy) {
        cluster.service(caller, &[SystemRole::Proxy]).await?;
        return end_of_app(cluster, id, stamp).await;
    }
    let identity = caller.operator(stamp.now)?;
    let own = identity.user().map(|claims| claims.user.clone());
    let session = {
        let id = id.clone();
        cluster.store.read(move |reader| reader.web_session(&id)).await?
    };
    let is_own = session.as_ref().is_some_and(|session| own.as_ref() == Some(&session.user));
    let ended_by = if is_own {
        None
    } else {
        // Whoever may reset users may sign them out. Whether there is such a session is told to
        // nobody else: the rule is asked without a name.
        let asked = Asked::of(users::RESET, "user");
        Some(cluster.authorize(caller, &asked).await?.name())
    };
    let why = if is_own { End::Logout } else { End::Ended };
    cluster
        .store
        .write(move |tx| {
            let session = tx.web_session(&id)?.ok_or_else(gone)?;
            end_one(tx, &stamp, &session, (why, ended_by))
        })
        .await
}

/// Ends the session of a browser with an app, whose logout a proxy has answered. Others proxies cannot end.
async fn end_of_app(cluster: &Cluster, id: WebSessionId, stamp: Stamp) -> Result<(), Refusal> {
    cluster
        .store
        .write(move |tx| {
            let session = tx.web_session(&id)?.filter(|session| session.app_session.is_some());
            end_one(tx, &stamp, &session.ok_or_else(gone)?, (End::Logout, None))
        })
        .await
}

/// Ends every session of a user but `keep`, with those that were opened from them.
pub(crate) fn end_all(
    tx: &mut Tx<'_>,
    stamp: &Stamp,
    user: &UserName,
    (why, keep): (End, Option<&WebSessionId>),
) -> Result<(), Refusal> {
    let is_kept = |session: &StoredWebSession| {
        keep.is_some_and(|keep| session.id == *keep || session.parent.as_ref() == Some(keep))
    };
    for session in tx.web_sessions_of(user.as_str())? {
        if !is_kept(&session) {
            end_one(tx, stamp, &session, (why, None))?;
        }
    }
    Ok(())
}

/// Ends the sessions of an app session.
pub(crate) fn end_for(
    tx: &mut Tx<'_>,
    stamp: &Stamp,
    app_session: &AppSessionId,
) -> Result<(), Refusal> {
    for session in tx.web_sessions_for(app_session)? {
        end_one(tx, stamp, &session, (End::WithAnother, None))?;
    }
    Ok(())
}

/// Ends one session, with all that ends with it.
pub(crate) fn end_one(
    tx: &mut Tx<'_>,
    stamp: &Stamp,
    session: &StoredWebSession,
    (why, ended_by): (End, Option<String>),
) -> Result<(), Refusal> {
    if !tx.drop_web_session(&session.id)? {
        return Ok(());
    }
    tx.gone(Key::WebSession(session.id.clone()));
    match &session.app_session {
        // Its app session tells of it in the log.
        Some(app_session) => {
            if let Some(app_session) = tx.session(app_session)? {
                app_sessions::end_one(tx, stamp, &app_session, why.of_app())?;
            }
        }
        None => tx.record(&stamp.event(WebSessionEnd {
            user: session.user.to_string(),
            web_session: session.id.to_string(),
            ended_by,
            reason: why.as_str().to_owned(),
        }))?,
    }
    for under in tx.web_sessions_under(&session.id)? {
        let why = if why == End::Logout { End::WithAnother } else { why };
        end_one(tx, stamp, &under, (why, None))?;
    }
    Ok(())
}

fn keep(
    tx: &mut Tx<'_>,
    stamp: &Stamp,
    mut session: StoredWebSession,
) -> Result<StoredWebSession, Refusal> {
    users::in_good_standing(tx, &session.user, stamp.now)?;
    if let Some(parent) = &session.parent {
        // A session of an app's own cannot be opened from: chains are one link long.
        let parent = tx.web_session(parent)?.filter(|parent| {
            parent.user == session.user
                && parent.app_session.is_none()
                && stamp.now < parent.expires
        });
        session.expires = session.expires.min(parent.ok_or_else(gone)?.expires);
    }
    if let Some(id) = &session.app_session {
        let app_session = tx.session(id)?.filter(|app| app.user == session.user);
        let ended = || Refusal::missing("the app session has ended or never was");
        session.expires = session.expires.min(app_session.ok_or_else(ended)?.expires);
    }
    if tx.web_session_by_token(&session.token_hash)?.is_some() {
        return Err(Refusal::conflict("there is a session of this token already"));
    }
    make_room(tx, stamp, &session)?;
    tx.keep_web_session(&session)?;
    if session.app_session.is_none() {
        tx.record(&stamp.event(WebSessionStart {
            user: session.user.to_string(),
            web_session: session.id.to_string(),
            expires: rfc3339(session.expires),
            remote: session.remote_addr.clone(),
            user_agent: session.user_agent.clone(),
        }))?;
    }
    tx.put(Item::WebSession(Box::new(session.now())));
    Ok(session)
}

fn make_room(tx: &mut Tx<'_>, stamp: &Stamp, new: &StoredWebSession) -> Result<(), Refusal> {
    let sessions = tx.web_sessions_of(new.user.as_str())?;
    if sessions.len() < MOST_SESSIONS {
        return Ok(());
    }
    let others = sessions.iter().filter(|session| new.parent.as_ref() != Some(&session.id));
    match others.min_by_key(|session| session.last_seen) {
        Some(oldest) => end_one(tx, stamp, oldest, (End::TooMany, None)),
        None => Ok(()),
    }
}

fn is_live(cluster: &Cluster, session: &StoredWebSession) -> bool {
    cluster.now() < session.expires && cluster.idle_since() < session.last_seen
}

fn shown(cluster: &Cluster, session: StoredWebSession) -> WebSession {
    WebSession {
        id: session.id,
        user: session.user,
        created: timestamp(session.created),
        expires: timestamp(session.expires),
        last_seen: timestamp(session.last_seen),
        idle_timeout_seconds: cluster.config.web_idle_timeout.as_secs(),
        remote_addr: session.remote_addr,
        user_agent: session.user_agent,
        app_session: session.app_session,
        parent: session.parent,
    }
}

fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(SHOWN).collect()
}

/// The answer to every session that is not there, whyever.
fn gone() -> Refusal {
    Refusal::missing("the web session has ended or never was").hint("sign in again")
}

/// Since when a session must have been used to be live.
pub(crate) fn idle_since(now: SystemTime, timeout: std::time::Duration) -> SystemTime {
    now.checked_sub(timeout).unwrap_or(SystemTime::UNIX_EPOCH)
}
