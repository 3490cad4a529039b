//! The shelf of the audit log: append, look up, read in order. Nothing here changes or removes.

use api::types::audit::{AuditQuery, AuditRow};
use audit::Event;
use audit::chain::{Chained, Hash, Head};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};
use uuid::Uuid;

use super::Reader;
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
    pub(crate) fn of(event: &Event) -> Result<Self, Refusal> {
        let request = event.what.as_request();
        let (app, session) = place_of(event);
        Ok(Self {
            uid: event.uid,
            time: event.time.as_millisecond(),
            event: event.name(),
            code: event.code(),
            user: event.user().map(str::to_owned),
            app: app.map(str::to_owned),
            session: session.map(str::to_owned),
            tables: request.map(|fields| fields.tables.as_slice()).and_then(joined),
            json: event.to_json()?,
        })
    }
}

/// The app and the app session of an event, where it has them.
fn place_of(event: &Event) -> (Option<&str>, Option<&str>) {
    use audit::What;
    match &event.what {
        What::AppSessionStart(kind) => (Some(&kind.app_name), Some(&kind.sid)),
        What::AppSessionEnd(kind) => (Some(&kind.app_name), Some(&kind.sid)),
        What::CertCreate(kind) => match &kind.identity.route_to_app {
            Some(route) => (Some(&route.name), Some(&route.session_id)),
            None => (None, None),
        },
        What::AppCreate(kind) => (Some(&kind.name), None),
        What::AppUpdate(kind) => (Some(&kind.name), None),
        What::AppDelete(kind) => (Some(&kind.name), None),
        other => match other.as_request() {
            Some(fields) => (Some(&fields.app_name), Some(&fields.sid)),
            None => (None, None),
        },
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

/// Appends after `head` unless the uid is there; gives the new end.
pub(super) fn append(
    connection: &Connection,
    head: Head,
    prepared: Prepared,
) -> Result<(Stored, Head), Refusal> {
    let uid = prepared.uid.into_bytes();
    let known = "SELECT EXISTS (SELECT 1 FROM audit WHERE uid = ?)";
    let is_known: bool =
        connection.prepare_cached(known)?.query_row([uid.as_slice()], |row| row.get(0))?;
    if is_known {
        return Ok((Stored::Known, head));
    }
    let link = head.link(prepared.json);
    let sql = "INSERT INTO audit (seq, prev, hash, uid, time, event, code, user, app, session,
        tables, json) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    connection.prepare_cached(sql)?.execute(params![
        i64::try_from(link.seq).unwrap_or(i64::MAX),
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
    Ok((Stored::New, link.head()))
}

impl Reader<'_> {
    /// Entries that match, oldest first: the first ones after `after`, or else the newest.
    pub(crate) fn audit(&self, query: &AuditQuery, limit: u32) -> Result<Vec<AuditRow>, Refusal> {
        let (filter, mut values) = filter(query);
        let is_paged = query.after.is_some();
        let order = if is_paged { "ASC" } else { "DESC" };
        let sql = format!(
            "SELECT seq, hash, json FROM audit WHERE {filter} ORDER BY seq {order} LIMIT ?"
        );
        values.push(Value::Integer(i64::from(limit)));
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(values), |row| {
            Ok((seq(row, 0)?, hash(row, 1)?, row.get::<_, String>(2)?))
        })?;
        let mut found = Vec::new();
        for row in rows {
            let (seq, hash, json) = row?;
            let event = serde_json::from_str(&json)?;
            found.push(AuditRow { seq, hash: hash.to_string(), event });
        }
        if !is_paged {
            found.reverse();
        }
        Ok(found)
    }

    /// Up to `count` entries after number `after`, for checking the chain.
    pub(crate) fn chain(&self, after: u64, count: u32) -> Result<Vec<Chained>, Refusal> {
        let sql = "SELECT seq, prev, hash, json FROM audit WHERE seq > ? ORDER BY seq LIMIT ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![after, count], |row| {
            Ok(Chained {
                seq: seq(row, 0)?,
                prev: hash(row, 1)?,
                hash: hash(row, 2)?,
                event_json: row.get(3)?,
            })
        })?;
        rows.map(|row| Ok(row?)).collect()
    }
}

/// The conditions of a query, and their values.
fn filter(query: &AuditQuery) -> (String, Vec<Value>) {
    let mut conditions = vec!["1"];
    let mut values = Vec::new();
    let mut add = |condition: &'static str, value: Value| {
        conditions.push(condition);
        values.push(value);
    };
    if let Some(after) = query.after {
        add("seq > ?", Value::Integer(i64::try_from(after).unwrap_or(i64::MAX)));
    }
    if let Some(from) = query.from {
        add("time >= ?", Value::Integer(from.as_millisecond()));
    }
    if let Some(to) = query.to {
        add("time < ?", Value::Integer(to.as_millisecond()));
    }
    let texts = [
        ("? IN (event, code)", &query.event),
        ("user = ?", &query.user),
        ("app = ?", &query.app),
        ("session = ?", &query.session),
    ];
    for (condition, text) in texts {
        if let Some(text) = text {
            add(condition, Value::Text(text.clone()));
        }
    }
    if let Some(table) = &query.table {
        add("instr(tables, ?)", Value::Text(format!("\n{table}\n")));
    }
    (conditions.join(" AND "), values)
}

fn seq(row: &Row<'_>, place: usize) -> Result<u64, rusqlite::Error> {
    let seq: i64 = row.get(place)?;
    u64::try_from(seq).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(place, seq))
}

/// A hash that is not 32 bytes long has been tampered with: it fits nothing.
fn hash(row: &Row<'_>, place: usize) -> Result<Hash, rusqlite::Error> {
    let bytes: Vec<u8> = row.get(place)?;
    Ok(Hash::from_bytes(&bytes).unwrap_or(Hash::ZERO))
}
