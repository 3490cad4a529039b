//! Roles, users, tokens, apps and locks: one table, a revision a row.

use std::time::SystemTime;

use access::{App, Lock, Role, User};
use api::resource::Kind;
use api::types::auth_preference::ClusterAuthPreference;
use api::types::tokens::Token;
use rusqlite::{OptionalExtension as _, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::pages::words_of;
use super::time::millis;
use super::{Reader, Tx};
use crate::refusal::Refusal;

/// A kind of resource as the store needs to know it.
pub(crate) trait Shelf: Serialize + DeserializeOwned {
    /// Its kind.
    const KIND: Kind;
    /// Its name.
    fn name(&self) -> &str;
    /// When it ends.
    fn expires(&self) -> Option<SystemTime>;
    /// The revision that it was read with.
    fn revision(&self) -> Option<&str>;
    /// Gives it a revision.
    fn stamp(&mut self, revision: String);
}

macro_rules! shelves {
    ($($kind:ident ends $end:expr;)*) => {
        $(impl Shelf for $kind {
            const KIND: Kind = Kind::$kind;

            fn name(&self) -> &str {
                self.metadata.name.as_ref()
            }

            fn expires(&self) -> Option<SystemTime> {
                let spec_end: fn(&Self) -> Option<SystemTime> = $end;
                // The earlier of both, where both are set.
                self.metadata.expires.into_iter().chain(spec_end(self)).min()
            }

            fn revision(&self) -> Option<&str> {
                self.metadata.revision.as_deref()
            }

            fn stamp(&mut self, revision: String) {
                self.metadata.revision = Some(revision);
            }
        })*
    };
}

shelves! {
    Role ends |_| None;
    User ends |user| user.spec.expires;
    Token ends |_| None;
    App ends |_| None;
    Lock ends |lock| lock.spec.expires;
    ClusterAuthPreference ends |_| None;
}

impl Reader<'_> {
    /// One resource.
    pub(crate) fn find<S: Shelf>(&self, name: &str) -> Result<Option<S>, Refusal> {
        let sql = "SELECT body FROM resources WHERE kind = ? AND name = ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        let body: Option<String> =
            statement.query_row(params![S::KIND.as_str(), name], |row| row.get(0)).optional()?;
        body.map(|body| serde_json::from_str(&body)).transpose().map_err(Refusal::from)
    }

    /// All resources of a kind, by name.
    pub(crate) fn list<S: Shelf>(&self) -> Result<Vec<S>, Refusal> {
        let sql = "SELECT body FROM resources WHERE kind = ? ORDER BY name";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([S::KIND.as_str()], |row| row.get::<_, String>(0))?;
        rows.map(|body| Ok(serde_json::from_str(&body?)?)).collect()
    }

    /// Names of the resources of a kind that have ended.
    pub(crate) fn ended<S: Shelf>(&self, now: SystemTime) -> Result<Vec<String>, Refusal> {
        let sql = "SELECT name FROM resources WHERE expires <= ? AND kind = ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![millis(now), S::KIND.as_str()], |row| row.get(0))?;
        rows.map(|name| Ok(name?)).collect()
    }
}

impl Tx<'_> {
    /// Stores a resource that must not be there; gives it its revision.
    pub(crate) fn insert<S: Shelf>(&mut self, resource: &mut S) -> Result<(), Refusal> {
        resource.stamp(new_revision());
        let sql = "INSERT OR IGNORE INTO resources (revision, expires, body, words, kind, name)
            VALUES (?, ?, ?, ?, ?, ?)";
        if self.store(sql, resource)? == 0 {
            let exists = format!("{} \"{}\" already exists", S::KIND, resource.name());
            return Err(Refusal::conflict(exists).hint("use -f (--force) to replace it"));
        }
        Ok(())
    }

    /// Replaces a resource that is there with revision `old`; gives it the next one.
    pub(crate) fn replace<S: Shelf>(
        &mut self,
        resource: &mut S,
        old: Option<&str>,
    ) -> Result<(), Refusal> {
        let Some(current) = self.find::<S>(resource.name())? else {
            return Err(not_found(S::KIND, resource.name()));
        };
        if current.revision() != old {
            let changed = format!(
                "{} \"{}\" has changed since it was read (it is now revision {})",
                S::KIND,
                resource.name(),
                current.revision().unwrap_or("unknown")
            );
            return Err(Refusal::stale(changed).hint("read it again and repeat the change"));
        }
        resource.stamp(new_revision());
        let sql = "UPDATE resources SET revision = ?, expires = ?, body = ?, words = ?
            WHERE kind = ? AND name = ?";
        self.store(sql, resource)?;
        Ok(())
    }

    /// Removes a resource; tells whether it was there.
    pub(crate) fn remove<S: Shelf>(&mut self, name: &str) -> Result<bool, Refusal> {
        let sql = "DELETE FROM resources WHERE kind = ? AND name = ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.execute(params![S::KIND.as_str(), name])? == 1)
    }

    fn store<S: Shelf>(&self, sql: &str, resource: &S) -> Result<usize, Refusal> {
        let body = serde_json::to_value(resource)?;
        let words = words_of(S::KIND, &body);
        let body = serde_json::to_string(&body)?;
        let mut statement = self.connection.prepare_cached(sql)?;
        let expires = resource.expires().map(millis);
        let (kind, name) = (S::KIND.as_str(), resource.name());
        let row = params![resource.revision(), expires, body, words, kind, name];
        Ok(statement.execute(row)?)
    }
}

/// The refusal for a resource that is not there.
pub(crate) fn not_found(kind: Kind, name: &str) -> Refusal {
    Refusal::missing(format!("{kind} \"{name}\" is not found"))
}

/// Random, so that a resource removed and made again never bears an old one.
fn new_revision() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
