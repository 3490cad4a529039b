//! What a local user's password is checked against, and failures so far.

use std::time::SystemTime;

use rusqlite::{OptionalExtension as _, params};

use super::time::{millis, moment};
use super::{Reader, Tx};
use crate::refusal::Refusal;

/// One user's credentials; all empty for one who has never set a password.
#[derive(Clone, Default)]
pub(crate) struct Credentials {
    /// Argon2id, in PHC form.
    pub(crate) password_hash: Option<String>,
    /// Failures in a row.
    pub(crate) failures: u32,
    /// The last of them.
    pub(crate) last_failure: Option<SystemTime>,
    /// Until when the user is locked out.
    pub(crate) locked_until: Option<SystemTime>,
}

impl Credentials {
    /// Whether the user is locked out now.
    pub(crate) fn is_locked_out(&self, now: SystemTime) -> bool {
        self.locked_until.is_some_and(|until| now < until)
    }
}

impl Reader<'_> {
    /// A user's credentials; empty ones when there are none.
    pub(crate) fn credentials(&self, user: &str) -> Result<Credentials, Refusal> {
        let sql = "SELECT password_hash, failures, last_failure, locked_until
            FROM credentials WHERE user = ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        let row = statement.query_row([user], |row| {
            Ok(Credentials {
                password_hash: row.get(0)?,
                failures: row.get(1)?,
                last_failure: row.get::<_, Option<i64>>(2)?.map(moment),
                locked_until: row.get::<_, Option<i64>>(3)?.map(moment),
            })
        });
        Ok(row.optional()?.unwrap_or_default())
    }
}

impl Tx<'_> {
    /// Keeps a user's credentials in place of the old ones.
    pub(crate) fn keep_credentials(
        &mut self,
        user: &str,
        credentials: &Credentials,
    ) -> Result<(), Refusal> {
        let sql = "INSERT OR REPLACE INTO credentials (user, password_hash, failures, last_failure,
            locked_until) VALUES (?, ?, ?, ?, ?)";
        let row = params![
            user,
            credentials.password_hash,
            credentials.failures,
            credentials.last_failure.map(millis),
            credentials.locked_until.map(millis),
        ];
        self.connection.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }

    /// Forgets a user's credentials.
    pub(crate) fn drop_credentials(&mut self, user: &str) -> Result<(), Refusal> {
        self.connection.execute("DELETE FROM credentials WHERE user = ?", [user])?;
        Ok(())
    }
}
