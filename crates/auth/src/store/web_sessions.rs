//! Live web sessions. Of a cookie only its SHA-256 is kept; what the proxy sealed stays sealed.

use std::time::SystemTime;

use access::{AppSessionId, UserName};
use api::types::web_sessions::{TokenHash, WebSessionId, WebSessionNow};
use rusqlite::{Row, params};

use super::time::{millis, moment};
use super::{Reader, Tx};
use crate::events::timestamp;
use crate::refusal::Refusal;

/// A web session as it is kept.
#[derive(Clone)]
pub(crate) struct StoredWebSession {
    pub(crate) id: WebSessionId,
    pub(crate) token_hash: TokenHash,
    pub(crate) user: UserName,
    pub(crate) created: SystemTime,
    pub(crate) expires: SystemTime,
    pub(crate) last_seen: SystemTime,
    pub(crate) remote_addr: Option<String>,
    pub(crate) user_agent: Option<String>,
    pub(crate) app_session: Option<AppSessionId>,
    pub(crate) parent: Option<WebSessionId>,
    pub(crate) sealed: String,
}

impl StoredWebSession {
    /// What proxies are told of it.
    pub(crate) fn now(&self) -> WebSessionNow {
        WebSessionNow {
            id: self.id.clone(),
            token_hash: self.token_hash,
            user: self.user.clone(),
            expires: timestamp(self.expires),
            parent: self.parent.clone(),
        }
    }
}

const COLUMNS: &str = "id, token_hash, user, created, expires, last_seen, remote_addr, user_agent,
    app_session, parent, sealed";

impl Reader<'_> {
    /// One session.
    pub(crate) fn web_session(
        &self,
        id: &WebSessionId,
    ) -> Result<Option<StoredWebSession>, Refusal> {
        let found = self.web_sessions_where("id = ?", &[&id.as_str()])?;
        Ok(found.into_iter().next())
    }

    /// The session of a cookie.
    pub(crate) fn web_session_by_token(
        &self,
        hash: &TokenHash,
    ) -> Result<Option<StoredWebSession>, Refusal> {
        let found = self.web_sessions_where("token_hash = ?", &[&hash.as_bytes().as_slice()])?;
        Ok(found.into_iter().next())
    }

    /// The sessions of a user, the newest first.
    pub(crate) fn web_sessions_of(&self, user: &str) -> Result<Vec<StoredWebSession>, Refusal> {
        self.web_sessions_where("user = ? ORDER BY created DESC, id", &[&user])
    }

    /// The sessions that end with another.
    pub(crate) fn web_sessions_under(
        &self,
        parent: &WebSessionId,
    ) -> Result<Vec<StoredWebSession>, Refusal> {
        self.web_sessions_where("parent = ?", &[&parent.as_str()])
    }

    /// The sessions of an app session.
    pub(crate) fn web_sessions_for(
        &self,
        app_session: &AppSessionId,
    ) -> Result<Vec<StoredWebSession>, Refusal> {
        self.web_sessions_where("app_session = ?", &[&app_session.as_str()])
    }

    /// All sessions.
    pub(crate) fn web_sessions(&self) -> Result<Vec<StoredWebSession>, Refusal> {
        self.web_sessions_where("1", &[])
    }

    /// Sessions that have ended by time, or were last seen before `idle_since`.
    pub(crate) fn ended_web_sessions(
        &self,
        now: SystemTime,
        idle_since: SystemTime,
    ) -> Result<Vec<StoredWebSession>, Refusal> {
        let mut ended = self.web_sessions_where("expires <= ?", &[&millis(now)])?;
        ended.extend(self.web_sessions_where("last_seen <= ?", &[&millis(idle_since)])?);
        Ok(ended)
    }

    fn web_sessions_where(
        &self,
        condition: &str,
        values: &[&dyn rusqlite::ToSql],
    ) -> Result<Vec<StoredWebSession>, Refusal> {
        let sql = format!("SELECT {COLUMNS} FROM web_sessions WHERE {condition}");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(values, |row| Ok(session(row)))?;
        rows.map(|row| row?).collect()
    }
}

impl Tx<'_> {
    /// Keeps a new session.
    pub(crate) fn keep_web_session(&mut self, session: &StoredWebSession) -> Result<(), Refusal> {
        let sql = format!(
            "INSERT INTO web_sessions ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        );
        let row = params![
            session.id.as_str(),
            session.token_hash.as_bytes().as_slice(),
            session.user.as_str(),
            millis(session.created),
            millis(session.expires),
            millis(session.last_seen),
            session.remote_addr,
            session.user_agent,
            session.app_session.as_ref().map(AppSessionId::as_str),
            session.parent.as_ref().map(WebSessionId::as_str),
            session.sealed,
        ];
        self.connection.prepare_cached(&sql)?.execute(row)?;
        Ok(())
    }

    /// Notes that a session was used; never turns the clock back.
    pub(crate) fn touch_web_session(
        &mut self,
        id: &WebSessionId,
        now: SystemTime,
    ) -> Result<(), Refusal> {
        let sql = "UPDATE web_sessions SET last_seen = MAX(last_seen, ?) WHERE id = ?";
        self.connection.prepare_cached(sql)?.execute(params![millis(now), id.as_str()])?;
        Ok(())
    }

    /// Removes a session; tells whether it was there.
    pub(crate) fn drop_web_session(&mut self, id: &WebSessionId) -> Result<bool, Refusal> {
        let sql = "DELETE FROM web_sessions WHERE id = ?";
        Ok(self.connection.prepare_cached(sql)?.execute([id.as_str()])? == 1)
    }
}

fn session(row: &Row<'_>) -> Result<StoredWebSession, Refusal> {
    let id = |text: String| {
        WebSessionId::parse(&text).ok_or_else(|| Refusal::broken("a stored name", text))
    };
    let user: String = row.get(2)?;
    let app_session: Option<String> = row.get(8)?;
    let app_session = app_session
        .map(|text| AppSessionId::parse(&text))
        .transpose()
        .map_err(|error| Refusal::broken("a stored name", error))?;
    Ok(StoredWebSession {
        id: id(row.get(0)?)?,
        token_hash: TokenHash::new(row.get(1)?),
        user: UserName::parse(&user).map_err(|error| Refusal::broken("a stored name", error))?,
        created: moment(row.get(3)?),
        expires: moment(row.get(4)?),
        last_seen: moment(row.get(5)?),
        remote_addr: row.get(6)?,
        user_agent: row.get(7)?,
        app_session,
        parent: row.get::<_, Option<String>>(9)?.map(id).transpose()?,
        sealed: row.get(10)?,
    })
}
