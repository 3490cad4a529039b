//! The shelf of the audit log: append, look up, read in order. Nothing here changes or removes.

use audit::Event;
use audit::chain::{Chained, Hash, Head};
use rusqlite::{Connection, OptionalExtension as _, Row, ToSql, params};
use uuid::Uuid;

use super::Reader;
use super::audit_index::{Indexed, Placed};
use super::terms::Terms;
use crate::refusal::Refusal;

/// An event with what it is looked up by, worked out before the writer's thread sees it.
pub(crate) struct Prepared {
    uid: Uuid,
    time: i64,
    event: &'static str,
    code: &'static str,
    user: Option<String>,
    app: Option<String>,
    session: Option<String>,
    tables: Option<String>,
    json: String,
    indexed: Indexed,
}

/// What appending did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    /// It is new.
    New,
    /// Its uid was there.
    Known,
}

impl Prepared {
    /// Prepares an event.
    pub(crate) fn of(event: &Event, terms: &mut Terms) -> Result<Self, Refusal> {
        let facts = event.facts();
        Ok(Self {
            uid: event.uid,
            time: event.time.as_millisecond(),
            event: event.name(),
            code: event.code(),
            user: event.user().map(str::to_owned),
            app: facts.app.map(str::to_owned),
            session: facts.session.map(str::to_owned),
            tables: joined(facts.tables),
            json: event.to_json()?,
            indexed: Indexed::of(event, terms)?,
        })
    }
}

/// Table names with a line break on both sides of each, so that a whole name can be looked for.
fn joined(tables: &[String]) -> Option<String> {
    (!tables.is_empty()).then(|| format!("\n{}\n", tables.join("\n")))
}

/// The end of the log.
pub(super) fn head(connection: &Connection) -> Result<Head, rusqlite::Error> {
    let sql = "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1";
    let last = connection.query_row(sql, [], |row| Ok((seq(row, 0)?, hash(row, 1)?))).optional()?;
    Ok(last.map_or(Head::EMPTY, |(seq, hash)| Head { seq, hash }))
}

/// Appends after `head` unless the uid is there; gives what the index is to take, and the new end.
pub(super) fn append(
    connection: &Connection,
    head: Head,
    prepared: Prepared,
) -> Result<Option<(Placed, Head)>, Refusal> {
    let uid = prepared.uid.into_bytes();
    let link = head.link(prepared.json);
    let seq = i64::try_from(link.seq).unwrap_or(i64::MAX);
    let sql =
        "INSERT OR FAIL INTO audit (seq, prev, hash, uid, time, event, code, user, app, session,
        tables, json) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (uid) DO NOTHING";
    let new = connection.prepare_cached(sql)?.execute(params![
        seq,
        link.prev.as_bytes().as_slice(),
        link.hash.as_bytes().as_slice(),
        uid.as_slice(),
        prepared.time,
        prepared.event,
        prepared.code,
        prepared.user,
        prepared.app,
        prepared.session,
        prepared.tables,
        link.event_json,
    ])?;
    if new == 0 {
        return Ok(None);
    }
    Ok(Some((Placed { seq, entry: prepared.indexed }, link.head())))
}

impl Reader<'_> {
    /// One entry, by its number.
    pub(crate) fn audit_entry(&self, seq: u64) -> Result<Option<Chained>, Refusal> {
        self.entry_where("seq = ?", i64::try_from(seq).unwrap_or(i64::MAX))
    }

    /// One entry, by its uid.
    pub(crate) fn audit_entry_of(&self, uid: Uuid) -> Result<Option<Chained>, Refusal> {
        self.entry_where("uid = ?", uid.as_bytes().as_slice())
    }

    fn entry_where(
        &self,
        condition: &'static str,
        value: impl ToSql,
    ) -> Result<Option<Chained>, Refusal> {
        let sql = format!("SELECT seq, prev, hash, json FROM audit WHERE {condition}");
        let mut statement = self.connection.prepare_cached(&sql)?;
        Ok(statement.query_row([value], chained).optional()?)
    }

    /// Up to `count` entries after number `after`, for checking the chain.
    pub(crate) fn chain(&self, after: u64, count: u32) -> Result<Vec<Chained>, Refusal> {
        let sql = "SELECT seq, prev, hash, json FROM audit WHERE seq > ? ORDER BY seq LIMIT ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![after, count], chained)?;
        rows.map(|row| Ok(row?)).collect()
    }
}

fn chained(row: &Row<'_>) -> Result<Chained, rusqlite::Error> {
    Ok(Chained {
        seq: seq(row, 0)?,
        prev: hash(row, 1)?,
        hash: hash(row, 2)?,
        event_json: row.get(3)?,
    })
}

pub(super) fn seq(row: &Row<'_>, place: usize) -> Result<u64, rusqlite::Error> {
    let seq: i64 = row.get(place)?;
    u64::try_from(seq).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(place, seq))
}

/// A hash that is not 32 bytes long has been tampered with: it fits nothing.
pub(super) fn hash(row: &Row<'_>, place: usize) -> Result<Hash, rusqlite::Error> {
    let bytes: Vec<u8> = row.get(place)?;
    Ok(Hash::from_bytes(&bytes).unwrap_or(Hash::ZERO))
}
