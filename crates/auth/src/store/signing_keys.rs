//! The keys that sign apps' tokens.

use std::time::SystemTime;

use pki::SecretPem;
use rusqlite::params;

use super::time::millis;
use super::{Reader, Tx};
use crate::refusal::Refusal;

impl Reader<'_> {
    /// The keys, PEM, newest first.
    pub(crate) fn signing_keys(&self) -> Result<Vec<SecretPem>, Refusal> {
        let sql = "SELECT key FROM signing_keys ORDER BY created DESC, kid";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| Ok(SecretPem::new(row.get(0)?)))?;
        rows.map(|row| Ok(row?)).collect()
    }
}

impl Tx<'_> {
    /// Keeps a new key.
    pub(crate) fn keep_signing_key(
        &mut self,
        kid: &str,
        key: &SecretPem,
        now: SystemTime,
    ) -> Result<(), Refusal> {
        let sql = "INSERT INTO signing_keys (kid, key, created) VALUES (?, ?, ?)";
        self.connection.execute(sql, params![kid, key.expose(), millis(now)])?;
        Ok(())
    }
}
