//! Agents and the apps that they announce.

use std::time::SystemTime;

use access::HostId;
use api::types::app_servers::AppServer;
use rusqlite::{OptionalExtension as _, params};

use super::time::millis;
use super::{Reader, Tx};
use crate::refusal::Refusal;

impl Reader<'_> {
    /// The record of one agent, if it has not ended.
    pub(crate) fn server(
        &self,
        host: &HostId,
        now: SystemTime,
    ) -> Result<Option<AppServer>, Refusal> {
        let sql = "SELECT body FROM app_servers WHERE host_id = ? AND expires > ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        let body: Option<String> = statement
            .query_row(params![host.as_str(), millis(now)], |row| row.get(0))
            .optional()?;
        body.map(|body| serde_json::from_str(&body)).transpose().map_err(Refusal::from)
    }

    /// The records that have not ended.
    pub(crate) fn servers(&self, now: SystemTime) -> Result<Vec<AppServer>, Refusal> {
        let sql = "SELECT body FROM app_servers WHERE expires > ? ORDER BY host_id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([millis(now)], |row| row.get::<_, String>(0))?;
        rows.map(|body| Ok(serde_json::from_str(&body?)?)).collect()
    }

    /// The hosts whose records have ended.
    pub(crate) fn ended_servers(&self, now: SystemTime) -> Result<Vec<HostId>, Refusal> {
        let sql = "SELECT host_id FROM app_servers WHERE expires <= ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([millis(now)], |row| row.get::<_, String>(0))?;
        let parse = |id: String| {
            HostId::parse(&id).map_err(|error| Refusal::broken("a stored host id", error))
        };
        rows.map(|id| parse(id?)).collect()
    }
}

impl Tx<'_> {
    /// Keeps an agent's record in place of the old one.
    pub(crate) fn keep_server(
        &mut self,
        server: &AppServer,
        expires: SystemTime,
    ) -> Result<(), Refusal> {
        let sql = "INSERT OR REPLACE INTO app_servers (host_id, expires, body) VALUES (?, ?, ?)";
        let body = serde_json::to_string(server)?;
        let row = params![server.host_id.as_str(), millis(expires), body];
        self.connection.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }

    /// Removes an agent's record; tells whether it was there.
    pub(crate) fn drop_server(&mut self, host: &HostId) -> Result<bool, Refusal> {
        let sql = "DELETE FROM app_servers WHERE host_id = ?";
        Ok(self.connection.prepare_cached(sql)?.execute([host.as_str()])? == 1)
    }
}
