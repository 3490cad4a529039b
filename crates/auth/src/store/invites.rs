//! Open invites and resets. Only the SHA-256 of a link's token is kept.

use std::time::SystemTime;

use access::UserName;
use api::types::invites::InviteKind;
use rusqlite::{OptionalExtension as _, params};
use zeroize::Zeroizing;

use super::time::{millis, moment};
use super::{Reader, Tx};
use crate::refusal::Refusal;

/// An open invite.
pub(crate) struct StoredInvite {
    /// Whose.
    pub(crate) user: UserName,
    /// Why it was made.
    pub(crate) kind: InviteKind,
    /// Until when it works.
    pub(crate) expires: SystemTime,
    /// Secret of the second factor to enrol.
    pub(crate) otp_secret: Option<Zeroizing<Vec<u8>>>,
}

impl Reader<'_> {
    /// The invite with this hash, ended ones included.
    pub(crate) fn invite(&self, token_hash: &[u8; 32]) -> Result<Option<StoredInvite>, Refusal> {
        let sql = "SELECT user, kind, expires, otp_secret FROM invites WHERE token_hash = ?";
        let row = self.connection.query_row(sql, [token_hash.as_slice()], |row| {
            let user: String = row.get(0)?;
            let kind: String = row.get(1)?;
            let secret: Option<Vec<u8>> = row.get(3)?;
            Ok((user, kind, moment(row.get(2)?), secret.map(Zeroizing::new)))
        });
        let Some((user, kind, expires, otp_secret)) = row.optional()? else { return Ok(None) };
        let user = UserName::parse(&user).map_err(|e| Refusal::broken("a stored name", e))?;
        let kind = if kind == RESET { InviteKind::Reset } else { InviteKind::Invite };
        Ok(Some(StoredInvite { user, kind, expires, otp_secret }))
    }

    /// Whether any invite has ended.
    pub(crate) fn has_ended_invites(&self, now: SystemTime) -> Result<bool, Refusal> {
        let sql = "SELECT EXISTS (SELECT 1 FROM invites WHERE expires <= ?)";
        Ok(self.connection.query_row(sql, [millis(now)], |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// Opens an invite; those that the user had before stop working.
    pub(crate) fn open_invite(
        &mut self,
        token_hash: &[u8; 32],
        invite: &StoredInvite,
    ) -> Result<(), Refusal> {
        self.drop_invites(invite.user.as_str())?;
        let sql = "INSERT INTO invites (token_hash, user, kind, expires, otp_secret)
            VALUES (?, ?, ?, ?, ?)";
        let kind = match invite.kind {
            InviteKind::Invite => "invite",
            InviteKind::Reset => RESET,
        };
        let secret = invite.otp_secret.as_ref().map(|secret| secret.as_slice());
        let expires = millis(invite.expires);
        let row = params![token_hash.as_slice(), invite.user.as_str(), kind, expires, secret];
        self.connection.execute(sql, row)?;
        Ok(())
    }

    /// Closes a user's invites.
    pub(crate) fn drop_invites(&mut self, user: &str) -> Result<(), Refusal> {
        self.connection.execute("DELETE FROM invites WHERE user = ?", [user])?;
        Ok(())
    }

    /// Forgets invites that have ended.
    pub(crate) fn drop_ended_invites(&mut self, now: SystemTime) -> Result<(), Refusal> {
        self.connection.execute("DELETE FROM invites WHERE expires <= ?", [millis(now)])?;
        Ok(())
    }
}

const RESET: &str = "reset";
