//! The index over the log: terms to find entries by, and how many requests each minute and each hour saw.
//!
//! Requests are counted in the transaction of the log itself. Terms follow in larger portions, which cost far less an
//! entry: until then a search reads the newest entries themselves (see `audit_tail`). All of it can be made again from
//! the log at any time, so it is not part of what the chain protects; opening the store makes whatever is missing.

use std::collections::BTreeMap;

use ::audit::{Event, Verdict};
use rusqlite::{Connection, OptionalExtension as _, params};
use tracing::info;

use super::OpenError;
use super::terms::Terms;
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
    pub(super) fn of(event: &Event, terms: &mut Terms) -> Result<Self, Refusal> {
        let facts = event.facts();
        Ok(Self {
            terms: terms.of(event)?,
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

/// Adds the terms of entries, in the order of the log, within the transaction that runs.
pub(super) fn add_terms<'a>(
    connection: &Connection,
    entries: impl Iterator<Item = &'a Placed> + Clone,
) -> Result<(), rusqlite::Error> {
    // Of what the index gives up when it merges its parts there is nothing to hide: the log keeps all of it.
    connection.pragma_update(None, "secure_delete", false)?;
    let added = put_terms(connection, entries);
    connection.pragma_update(None, "secure_delete", true)?;
    added
}

fn put_terms<'a>(
    connection: &Connection,
    entries: impl Iterator<Item = &'a Placed> + Clone,
) -> Result<(), rusqlite::Error> {
    let Some(last) = entries.clone().last() else { return Ok(()) };
    // Before the terms: within a statement that can be undone, the index would write itself out page by copied page.
    connection.prepare_cached("UPDATE audit_indexed SET seq = ?")?.execute([last.seq])?;
    let sql = "INSERT INTO audit_terms (rowid, terms) VALUES (?, ?)";
    let mut statement = connection.prepare_cached(sql)?;
    for placed in entries {
        statement.execute(params![placed.seq, placed.entry.terms])?;
    }
    Ok(())
}

/// Counts entries, in the order of the log, within the transaction that runs.
pub(super) fn count(connection: &Connection, entries: &[Placed]) -> Result<(), rusqlite::Error> {
    let Some(last) = entries.last() else { return Ok(()) };
    count_by(connection, "audit_minutes", MINUTE, entries)?;
    count_by(connection, "audit_hours", HOUR, entries)?;
    connection.prepare_cached("UPDATE audit_indexed SET counted = ?")?.execute([last.seq])?;
    Ok(())
}

/// Up to which entry the terms are there.
pub(super) fn end(connection: &Connection) -> Result<i64, rusqlite::Error> {
    connection.prepare_cached("SELECT seq FROM audit_indexed")?.query_row([], |row| row.get(0))
}

fn count_by(
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

/// Indexes what is in the log and not in the index: the newest entries, or all that an older version wrote.
pub(super) fn catch_up(connection: &mut Connection) -> Result<(), OpenError> {
    let mut total = 0_usize;
    loop {
        let tx = connection.transaction()?;
        let sql = "SELECT seq, counted FROM audit_indexed";
        let (seq, counted): (i64, i64) =
            tx.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let entries = after(&tx, seq.min(counted))?;
        let from = entries.partition_point(|placed| placed.seq <= counted);
        count(&tx, entries.get(from..).unwrap_or_default())?;
        add_terms(&tx, entries.iter().filter(|placed| placed.seq > seq))?;
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

fn after(connection: &Connection, seq: i64) -> Result<Vec<Placed>, rusqlite::Error> {
    let sql = "SELECT seq, time, json FROM audit WHERE seq > ? ORDER BY seq LIMIT ?";
    let mut statement = connection.prepare_cached(sql)?;
    let limit = i64::try_from(STRETCH).unwrap_or(i64::MAX);
    let mut terms = Terms::default();
    let rows = statement.query_map(params![seq, limit], |row| {
        let (seq, time) = (row.get(0)?, row.get(1)?);
        let event = Event::from_json(row.get_ref(2)?.as_bytes()?);
        // An entry that cannot be read any more is found by its place and time alone.
        let read = event.ok().and_then(|event| Indexed::of(&event, &mut terms).ok());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_deleted_elsewhere_is_still_wiped_after_indexing() {
        let mut connection = Connection::open_in_memory().unwrap();
        super::super::schema::migrate(&mut connection).unwrap();
        connection.pragma_update(None, "secure_delete", true).unwrap();
        let entry = Indexed { terms: "word".to_owned(), time: 0, request: None };
        let entries = [Placed { seq: 1, entry }];
        let wiped = |connection: &Connection| -> i64 {
            connection.pragma_query_value(None, "secure_delete", |row| row.get(0)).unwrap()
        };
        add_terms(&connection, entries.iter()).unwrap();
        assert_eq!((wiped(&connection), end(&connection).unwrap()), (1, 1));
        connection.execute_batch("DROP TABLE audit_indexed").unwrap();
        add_terms(&connection, entries.iter()).unwrap_err();
        assert_eq!(wiped(&connection), 1, "whatever became of it");
    }
}
