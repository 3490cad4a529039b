//! The authorities with their keys, and facts that the cluster is founded with.

use std::time::SystemTime;

use pki::{AuthorityKind, SecretPem};
use rusqlite::{OptionalExtension as _, params};

use super::time::{millis, moment};
use super::{Reader, Tx};
use crate::refusal::Refusal;

/// An authority as it is kept.
pub(crate) struct StoredAuthority {
    /// Its certificate, PEM.
    pub(crate) cert: String,
    /// Its private key, PEM.
    pub(crate) key: SecretPem,
    /// When it was last rotated.
    pub(crate) rotated: Option<SystemTime>,
}

impl Reader<'_> {
    /// An authority.
    pub(crate) fn authority(
        &self,
        kind: AuthorityKind,
    ) -> Result<Option<StoredAuthority>, Refusal> {
        let sql = "SELECT cert, key, rotated FROM authorities WHERE kind = ?";
        let row = self.connection.query_row(sql, [kind.to_string()], |row| {
            Ok(StoredAuthority {
                cert: row.get(0)?,
                key: SecretPem::new(row.get(1)?),
                rotated: row.get::<_, Option<i64>>(2)?.map(moment),
            })
        });
        Ok(row.optional()?)
    }

    /// A fact that the cluster was founded with.
    pub(crate) fn fact(&self, name: &str) -> Result<Option<String>, Refusal> {
        let sql = "SELECT value FROM facts WHERE name = ?";
        Ok(self.connection.query_row(sql, [name], |row| row.get(0)).optional()?)
    }
}

impl Tx<'_> {
    /// Keeps an authority that is not there yet.
    pub(crate) fn found_authority(
        &mut self,
        kind: AuthorityKind,
        authority: &StoredAuthority,
    ) -> Result<(), Refusal> {
        let sql = "INSERT INTO authorities (kind, cert, key, rotated) VALUES (?, ?, ?, ?)";
        let rotated = authority.rotated.map(millis);
        let row = params![kind.to_string(), authority.cert, authority.key.expose(), rotated];
        self.connection.execute(sql, row)?;
        Ok(())
    }

    /// Keeps a fact that is not there yet.
    pub(crate) fn found_fact(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        self.connection
            .execute("INSERT INTO facts (name, value) VALUES (?, ?)", params![name, value])?;
        Ok(())
    }
}
