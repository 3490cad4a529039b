//! The second factors of users: authenticator apps and passkeys.

use std::time::SystemTime;

use rusqlite::{ErrorCode, Row, params};
use webauthn_rs::prelude::SecurityKey;
use zeroize::Zeroizing;

use super::time::{millis, moment};
use super::{Reader, Tx};
use crate::refusal::Refusal;

/// A second factor.
#[derive(Clone)]
pub(crate) struct Device {
    /// Its id, also in the audit log.
    pub(crate) id: String,
    /// The name its owner gave it.
    pub(crate) name: String,
    /// When it was enrolled.
    pub(crate) added: SystemTime,
    /// When it was last used.
    pub(crate) last_used: Option<SystemTime>,
    /// What it is.
    pub(crate) factor: Factor,
}

/// What a device is.
#[derive(Clone)]
pub(crate) enum Factor {
    /// An authenticator app.
    Totp {
        /// Shared secret.
        secret: Zeroizing<Vec<u8>>,
        /// The last time step of which a code was used.
        last_step: u64,
    },
    /// A passkey.
    Passkey {
        /// Its public half.
        key: Box<SecurityKey>,
        /// The signature counter of its last use; 0 for devices that do not count.
        counter: u32,
    },
}

impl Device {
    /// The passkey, if it is one.
    pub(crate) fn passkey(&self) -> Option<&SecurityKey> {
        match &self.factor {
            Factor::Passkey { key, .. } => Some(key),
            Factor::Totp { .. } => None,
        }
    }

    /// Whether it is an authenticator app.
    pub(crate) fn is_totp(&self) -> bool {
        matches!(self.factor, Factor::Totp { .. })
    }
}

impl Reader<'_> {
    /// A user's devices, the oldest first.
    pub(crate) fn devices(&self, user: &str) -> Result<Vec<Device>, Refusal> {
        let sql = "SELECT id, name, added, last_used, secret, last_step, credential, counter
            FROM mfa_devices WHERE user = ? ORDER BY added, name";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([user], |row| Ok(device(row)))?;
        rows.map(|row| row?).collect()
    }
}

impl Tx<'_> {
    /// Keeps a new device. Names are unique among a user's, passkeys among all users'.
    pub(crate) fn add_device(&mut self, user: &str, device: &Device) -> Result<(), Refusal> {
        let sql = "INSERT INTO mfa_devices (id, user, name, added, last_used, secret, last_step,
            credential_id, credential, counter) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let (secret, last_step, key, counter) = match &device.factor {
            Factor::Totp { secret, last_step } => (Some(secret.as_slice()), *last_step, None, 0),
            Factor::Passkey { key, counter } => (None, 0, Some(key), *counter),
        };
        let credential = key.map(serde_json::to_string).transpose()?;
        let row = params![
            device.id,
            user,
            device.name,
            millis(device.added),
            device.last_used.map(millis),
            secret,
            i64::try_from(last_step).unwrap_or(i64::MAX),
            key.map(|key| key.cred_id().as_slice()),
            credential,
            counter,
        ];
        match self.connection.prepare_cached(sql)?.execute(row) {
            Ok(_) => Ok(()),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                let taken = "a device of this name, or this very passkey, is enrolled already";
                Err(Refusal::conflict(taken).hint("choose another name, or another passkey"))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps what the use of an authenticator app changes, unless the step was used already.
    pub(crate) fn use_totp(
        &mut self,
        id: &str,
        step: u64,
        now: SystemTime,
    ) -> Result<bool, Refusal> {
        let sql = "UPDATE mfa_devices SET last_step = ?1, last_used = ?2
            WHERE id = ?3 AND secret IS NOT NULL AND last_step < ?1";
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        Ok(self.connection.prepare_cached(sql)?.execute(params![step, millis(now), id])? == 1)
    }

    /// Keeps what the use of a passkey changes, unless its counter does not grow: then there are
    /// two of what should be one. Devices that do not count stay at 0.
    pub(crate) fn use_passkey(
        &mut self,
        id: &str,
        key: &SecurityKey,
        counter: u32,
        now: SystemTime,
    ) -> Result<bool, Refusal> {
        let sql = "UPDATE mfa_devices SET counter = ?1, credential = ?2, last_used = ?3
            WHERE id = ?4 AND credential IS NOT NULL
            AND (counter < ?1 OR (counter = 0 AND ?1 = 0))";
        let credential = serde_json::to_string(key)?;
        let row = params![counter, credential, millis(now), id];
        Ok(self.connection.prepare_cached(sql)?.execute(row)? == 1)
    }

    /// Forgets a device of a user; tells whether it was there.
    pub(crate) fn drop_device(&mut self, user: &str, id: &str) -> Result<bool, Refusal> {
        let sql = "DELETE FROM mfa_devices WHERE id = ? AND user = ?";
        Ok(self.connection.prepare_cached(sql)?.execute(params![id, user])? == 1)
    }

    /// Forgets a user's devices.
    pub(crate) fn drop_devices(&mut self, user: &str) -> Result<(), Refusal> {
        self.connection.execute("DELETE FROM mfa_devices WHERE user = ?", [user])?;
        Ok(())
    }
}

fn device(row: &Row<'_>) -> Result<Device, Refusal> {
    let credential: Option<String> = row.get(6)?;
    let factor = match credential {
        Some(json) => {
            Factor::Passkey { key: Box::new(serde_json::from_str(&json)?), counter: row.get(7)? }
        }
        None => Factor::Totp {
            secret: Zeroizing::new(row.get(4)?),
            last_step: row.get::<_, i64>(5)?.unsigned_abs(),
        },
    };
    Ok(Device {
        id: row.get(0)?,
        name: row.get(1)?,
        added: moment(row.get(2)?),
        last_used: row.get::<_, Option<i64>>(3)?.map(moment),
        factor,
    })
}
