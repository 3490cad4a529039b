//! The index over the log, kept in the transaction of the log itself: terms to find entries by, and
//! how many requests each minute and each hour saw.
//!
//! It can be made again from the log at any time, so it is not part of what the chain protects; opening
//! the store makes whatever is missing.

use std::collections::BTreeMap;

use ::audit::{Event, Verdict};
use rusqlite::{Connection, OptionalExtension as _, params};
use tracing::info;

use super::{OpenError, terms};
use crate::refusal::Refusal;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// Entries that are indexed in one transaction when an older store is opened.
const STRETCH: usize = 20_000;

/// What the index takes of one entry.
pub(super) struct Indexed {
    /// Its terms.
    pub(super) terms: String,
    /// When it happened, milliseconds since 1970.
    pub(super) time: i64,
    /// How it ended, if it is a request.
    pub(super) request: Option<Verdict>,
}

/// An entry at its place in the log.
pub(super) struct Placed {
    pub(super) seq: i64,
    pub(super) entry: Indexed,
}

impl Indexed {
    pub(super) fn of(event: &Event) -> Result<Self, Refusal> {
        let facts = event.facts();
        Ok(Self {
            terms: terms::of(event)?,
            time: event.time.as_millisecond(),
            request: facts.is_request.then_some(facts.verdict),
        })
    }
}

/// What a stretch of time saw.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    first: i64,
    last: i64,
    ok: i64,
    denied: i64,
    failed: i64,
}

impl Bucket {
    fn of(placed: &Placed) -> Self {
        let is = |verdict| i64::from(placed.entry.request == Some(verdict));
        Self {
            first: placed.seq,
            last: placed.seq,
            ok: is(Verdict::Ok),
            denied: is(Verdict::Denied),
            failed: is(Verdict::Failed),
        }
    }

    fn add(&mut self, other: Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.ok += other.ok;
        self.denied += other.denied;
        self.failed += other.failed;
    }
}

/// Adds entries, in the order of the log, within the transaction that runs.
pub(super) fn add(connection: &Connection, entries: &[Placed]) -> Result<(), rusqlite::Error> {
    let Some(last) = entries.last() else { return Ok(()) };
    let sql = "INSERT INTO audit_terms (rowid, terms) VALUES (?, ?)";
    let mut statement = connection.prepare_cached(sql)?;
    for placed in entries {
        statement.execute(params![placed.seq, placed.entry.terms])?;
    }
    count(connection, "audit_minutes", MINUTE, entries)?;
    count(connection, "audit_hours", HOUR, entries)?;
    connection.prepare_cached("UPDATE audit_indexed SET seq = ?")?.execute([last.seq])?;
    Ok(())
}

fn count(
    connection: &Connection,
    table: &str,
    length: i64,
    entries: &[Placed],
) -> Result<(), rusqlite::Error> {
    let mut buckets: BTreeMap<i64, Bucket> = BTreeMap::new();
    for placed in entries {
        let bucket = Bucket::of(placed);
        let at = placed.entry.time.div_euclid(length);
        buckets.entry(at).and_modify(|sum| sum.add(bucket)).or_insert(bucket);
    }
    let sql = format!(
        "INSERT INTO {table} (at, first, last, ok, denied, failed) VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT (at) DO UPDATE SET first = min(first, excluded.first),
            last = max(last, excluded.last), ok = ok + excluded.ok,
            denied = denied + excluded.denied, failed = failed + excluded.failed"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    for (at, sum) in buckets {
        statement.execute(params![at, sum.first, sum.last, sum.ok, sum.denied, sum.failed])?;
    }
    Ok(())
}

/// Indexes what an older version wrote without an index.
pub(super) fn catch_up(connection: &mut Connection) -> Result<(), OpenError> {
    let mut total = 0_usize;
    loop {
        let tx = connection.transaction()?;
        let entries = missing(&tx)?;
        add(&tx, &entries)?;
        tx.commit()?;
        total += entries.len();
        if entries.len() < STRETCH {
            if total > 0 {
                info!(entries = total, "indexed the audit log");
            }
            return Ok(());
        }
    }
}

fn missing(connection: &Connection) -> Result<Vec<Placed>, rusqlite::Error> {
    let sql = "SELECT seq, time, json FROM audit WHERE seq > (SELECT seq FROM audit_indexed)
        ORDER BY seq LIMIT ?";
    let mut statement = connection.prepare_cached(sql)?;
    let limit = i64::try_from(STRETCH).unwrap_or(i64::MAX);
    let rows = statement.query_map([limit], |row| {
        let (seq, time, json) = (row.get(0)?, row.get(1)?, row.get::<_, String>(2)?);
        // An entry that cannot be read any more is found by its place and time alone.
        let read = serde_json::from_str(&json).ok().and_then(|event| Indexed::of(&event).ok());
        let unread = Indexed { terms: String::new(), time, request: None };
        Ok(Placed { seq, entry: read.unwrap_or(unread) })
    })?;
    rows.collect()
}

/// Between which places of the log the entries of a stretch of time lie (milliseconds, the end
/// excluded); `None` when there are none. Entries of other times may lie between.
pub(super) fn places(
    connection: &Connection,
    from: Option<i64>,
    to: Option<i64>,
) -> Result<Option<(i64, i64)>, rusqlite::Error> {
    let (from, to) = (from.unwrap_or(i64::MIN), to.unwrap_or(i64::MAX));
    if from >= to {
        return Ok(None);
    }
    let minutes = (from.div_euclid(MINUTE), (to - 1).div_euclid(MINUTE));
    // Whole hours within, and the minutes on both sides of them.
    let hours = (from.div_euclid(HOUR) + 1, (to - 1).div_euclid(HOUR) - 1);
    let sql = "SELECT min(first), max(last) FROM (
        SELECT first, last FROM audit_hours WHERE at BETWEEN ?1 AND ?2 UNION ALL
        SELECT first, last FROM audit_minutes WHERE at BETWEEN ?3 AND min(?4, ?1 * 60 - 1) UNION ALL
        SELECT first, last FROM audit_minutes WHERE at BETWEEN max(?3, ?2 * 60 + 60, ?1 * 60) AND ?4)";
    let mut statement = connection.prepare_cached(sql)?;
    let row = params![hours.0, hours.1, minutes.0, minutes.1];
    let found = statement.query_row(row, |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(match found {
        Some((Some(first), Some(last))) => Some((first, last)),
        _ => None,
    })
}
