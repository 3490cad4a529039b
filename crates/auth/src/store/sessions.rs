//! Live app sessions.

use std::time::SystemTime;

use access::{AppSession, AppSessionId, UserName};
use rusqlite::{OptionalExtension as _, params};

use super::time::millis;
use super::{Reader, Tx};
use crate::refusal::Refusal;

impl Reader<'_> {
    /// One session.
    pub(crate) fn session(&self, id: &AppSessionId) -> Result<Option<AppSession>, Refusal> {
        let sql = "SELECT body FROM app_sessions WHERE id = ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        let body: Option<String> =
            statement.query_row([id.as_str()], |row| row.get(0)).optional()?;
        body.map(|body| serde_json::from_str(&body)).transpose().map_err(Refusal::from)
    }

    /// All sessions.
    pub(crate) fn sessions(&self) -> Result<Vec<AppSession>, Refusal> {
        let mut statement = self.connection.prepare_cached("SELECT body FROM app_sessions")?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
        rows.map(|body| Ok(serde_json::from_str(&body?)?)).collect()
    }

    /// The sessions of a user.
    pub(crate) fn sessions_of(&self, user: &UserName) -> Result<Vec<AppSession>, Refusal> {
        let sql = "SELECT body FROM app_sessions WHERE user = ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([user.as_str()], |row| row.get::<_, String>(0))?;
        rows.map(|body| Ok(serde_json::from_str(&body?)?)).collect()
    }

    /// Sessions that have ended.
    pub(crate) fn ended_sessions(&self, now: SystemTime) -> Result<Vec<AppSession>, Refusal> {
        let sql = "SELECT body FROM app_sessions WHERE expires <= ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([millis(now)], |row| row.get::<_, String>(0))?;
        rows.map(|body| Ok(serde_json::from_str(&body?)?)).collect()
    }
}

impl Tx<'_> {
    /// Keeps a new session.
    pub(crate) fn keep_session(&mut self, session: &AppSession) -> Result<(), Refusal> {
        let sql = "INSERT INTO app_sessions (id, user, expires, body) VALUES (?, ?, ?, ?)";
        let body = serde_json::to_string(session)?;
        let expires = millis(session.expires);
        let row = params![session.id.as_str(), session.user.as_str(), expires, body];
        self.connection.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }

    /// Removes a session; tells whether it was there.
    pub(crate) fn drop_session(&mut self, id: &AppSessionId) -> Result<bool, Refusal> {
        let sql = "DELETE FROM app_sessions WHERE id = ?";
        Ok(self.connection.prepare_cached(sql)?.execute([id.as_str()])? == 1)
    }
}
