//! Web certificates that proxies ordered, who orders one now, answers to challenges, accounts.

use std::time::SystemTime;

use access::HostId;
use api::types::secret::SecretText;
use api::types::web_certificates::{AcmeAccount, AcmeAnswer, WebCertificate};
use rusqlite::{OptionalExtension as _, params};

use super::time::{millis, moment};
use super::{Reader, Tx};
use crate::events::timestamp;
use crate::refusal::Refusal;

impl Reader<'_> {
    /// A certificate with its key.
    pub(crate) fn web_certificate(&self, name: &str) -> Result<Option<WebCertificate>, Refusal> {
        let sql = "SELECT certificate, key, not_after FROM web_certificates WHERE name = ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        let row = statement.query_row([name], |row| {
            Ok(WebCertificate {
                name: name.to_owned(),
                certificate: row.get(0)?,
                key: SecretText::new(row.get(1)?),
                not_after: Some(timestamp(moment(row.get(2)?))),
            })
        });
        Ok(row.optional()?)
    }

    /// The names of the certificates and when they end, by name.
    pub(crate) fn web_certificate_names(&self) -> Result<Vec<(String, SystemTime)>, Refusal> {
        let sql = "SELECT name, not_after FROM web_certificates ORDER BY name";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, moment(row.get(1)?))))?;
        rows.map(|row| Ok(row?)).collect()
    }

    /// Who may order a certificate now, and until when.
    pub(crate) fn web_lease(
        &self,
        name: &str,
        now: SystemTime,
    ) -> Result<Option<(String, SystemTime)>, Refusal> {
        let sql = "SELECT holder, until FROM web_leases WHERE name = ? AND until > ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        let row = statement
            .query_row(params![name, millis(now)], |row| Ok((row.get(0)?, moment(row.get(1)?))));
        Ok(row.optional()?)
    }

    /// An account at a certificate authority.
    pub(crate) fn acme_account(&self, directory: &str) -> Result<Option<AcmeAccount>, Refusal> {
        let sql = "SELECT credentials FROM acme_accounts WHERE directory = ?";
        let row = self.connection.query_row(sql, [directory], |row| {
            Ok(AcmeAccount {
                directory: directory.to_owned(),
                credentials: SecretText::new(row.get(0)?),
            })
        });
        Ok(row.optional()?)
    }

    /// The answer to a challenge under way.
    pub(crate) fn acme_answer(
        &self,
        name: &str,
        now: SystemTime,
    ) -> Result<Option<AcmeAnswer>, Refusal> {
        let sql = "SELECT certificate, key FROM acme_answers WHERE name = ? AND expires > ?";
        let row = self.connection.query_row(sql, params![name, millis(now)], |row| {
            Ok(AcmeAnswer {
                name: name.to_owned(),
                certificate: row.get(0)?,
                key: SecretText::new(row.get(1)?),
            })
        });
        Ok(row.optional()?)
    }
}

impl Tx<'_> {
    /// Keeps a certificate in place of the old one.
    pub(crate) fn keep_web_certificate(
        &mut self,
        certificate: &WebCertificate,
        not_after: SystemTime,
    ) -> Result<(), Refusal> {
        let sql = "INSERT OR REPLACE INTO web_certificates (name, certificate, key, not_after)
            VALUES (?, ?, ?, ?)";
        let (text, key) = (&certificate.certificate, certificate.key.expose());
        let row = params![certificate.name, text, key, millis(not_after)];
        self.connection.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }

    /// Removes a certificate; tells whether it was there.
    pub(crate) fn drop_web_certificate(&mut self, name: &str) -> Result<bool, Refusal> {
        let sql = "DELETE FROM web_certificates WHERE name = ?";
        Ok(self.connection.prepare_cached(sql)?.execute([name])? == 1)
    }

    /// Lets a host order, in place of whoever might before.
    pub(crate) fn keep_web_lease(
        &mut self,
        name: &str,
        holder: &HostId,
        until: SystemTime,
    ) -> Result<(), Refusal> {
        let sql = "INSERT OR REPLACE INTO web_leases (name, holder, until) VALUES (?, ?, ?)";
        let row = params![name, holder.as_str(), millis(until)];
        self.connection.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }

    /// Nobody orders any more.
    pub(crate) fn drop_web_lease(&mut self, name: &str) -> Result<(), Refusal> {
        let sql = "DELETE FROM web_leases WHERE name = ?";
        self.connection.prepare_cached(sql)?.execute([name])?;
        Ok(())
    }

    /// Keeps an account if its authority has none.
    pub(crate) fn found_acme_account(&mut self, account: &AcmeAccount) -> Result<(), Refusal> {
        let sql = "INSERT OR IGNORE INTO acme_accounts (directory, credentials) VALUES (?, ?)";
        let row = params![account.directory, account.credentials.expose()];
        self.connection.execute(sql, row)?;
        Ok(())
    }

    /// Keeps the answer to a challenge, and drops those that are over.
    pub(crate) fn keep_acme_answer(
        &mut self,
        answer: &AcmeAnswer,
        now: SystemTime,
        expires: SystemTime,
    ) -> Result<(), Refusal> {
        let ended = "DELETE FROM acme_answers WHERE expires <= ?";
        self.connection.execute(ended, [millis(now)])?;
        let sql = "INSERT OR REPLACE INTO acme_answers (name, certificate, key, expires)
            VALUES (?, ?, ?, ?)";
        let key = answer.key.expose();
        let row = params![answer.name, answer.certificate, key, millis(expires)];
        self.connection.execute(sql, row)?;
        Ok(())
    }

    /// Removes the answer to a challenge.
    pub(crate) fn drop_acme_answer(&mut self, name: &str) -> Result<(), Refusal> {
        self.connection.execute("DELETE FROM acme_answers WHERE name = ?", [name])?;
        Ok(())
    }
}
