//! Searching the log: by its index, from one end, with a bound on what one search looks at.

use api::types::audit::{AuditPage, AuditQuery, AuditRow};
use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Row, params_from_iter};

use super::audit::{hash, head, seq};
use super::terms::Asked;
use super::{Reader, audit_index, audit_words, terms};
use crate::refusal::Refusal;

/// How much one search may look at and give.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Entries that it may give.
    pub(crate) rows: usize,
    /// Entries that it may look at. Only a time can make it look at more than it gives.
    pub(crate) looked_at: usize,
}

/// From which end a search begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Back,
    Forwards,
}

/// A search as the store runs it.
struct Search {
    question: Option<String>,
    direction: Direction,
    first: i64,
    last: i64,
    from: i64,
    to: i64,
}

/// What a search found, in its own direction.
struct Found {
    rows: Vec<AuditRow>,
    /// The last entry looked at, when there may be more beyond it.
    cut_at: Option<u64>,
}

impl Reader<'_> {
    /// A page of the log.
    pub(crate) fn audit_page(
        &self,
        query: &AuditQuery,
        bounds: Bounds,
    ) -> Result<AuditPage, Refusal> {
        let end = head(self.connection)?.seq;
        let Found { rows, cut_at } = self.find_audit(query, bounds)?;
        Ok(match query.after {
            // Reading forwards, what was not looked at yet comes next.
            Some(after) => AuditPage {
                rows,
                older: None,
                newest: cut_at.unwrap_or(end).max(after),
                has_more: cut_at.is_some(),
            },
            None => AuditPage { rows, older: cut_at, newest: end, has_more: false },
        })
    }

    /// Entries that match, oldest first: the first ones after `after`, or else the newest.
    pub(crate) fn audit(&self, query: &AuditQuery, limit: u32) -> Result<Vec<AuditRow>, Refusal> {
        let rows = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut found = self.find_audit(query, Bounds { rows, looked_at: usize::MAX })?;
        if query.after.is_none() {
            found.rows.reverse();
        }
        Ok(found.rows)
    }

    /// What was denied or failed since a moment, newest first.
    pub(crate) fn troubles(
        &self,
        from: Timestamp,
        bounds: Bounds,
    ) -> Result<Vec<AuditRow>, Refusal> {
        let query = AuditQuery { from: Some(from), ..AuditQuery::default() };
        let question = Some(terms::troubles());
        match self.search_of(&query, question)? {
            Some(search) => self.run(&search, bounds).map(|found| found.rows),
            None => Ok(Vec::new()),
        }
    }

    fn find_audit(&self, query: &AuditQuery, bounds: Bounds) -> Result<Found, Refusal> {
        let Some(question) = self.in_words_of_the_index(&terms::question(query)?)? else {
            return Ok(Found { rows: Vec::new(), cut_at: None });
        };
        let question = (!question.is_empty()).then_some(question);
        match self.search_of(query, question)? {
            Some(search) => self.run(&search, bounds),
            None => Ok(Found { rows: Vec::new(), cut_at: None }),
        }
    }

    /// The question as the full-text search takes it, empty where every entry will do; `None` when nothing can match.
    fn in_words_of_the_index(&self, asked: &[Asked]) -> Result<Option<String>, Refusal> {
        let mut question = String::new();
        for asked in asked {
            let (joint, phrase) = (if question.is_empty() { "" } else { " AND " }, asked.phrase());
            let phrase = match asked {
                Asked::Term(_) => phrase,
                Asked::Beginning(beginning) => {
                    match audit_words::beginning_with(self.connection, beginning)? {
                        Some(words) if words.is_empty() => return Ok(None),
                        Some(words) => terms::any_of(words),
                        None => phrase,
                    }
                }
            };
            question.push_str(joint);
            question.push_str(&phrase);
        }
        Ok(Some(question))
    }

    fn run(&self, search: &Search, bounds: Bounds) -> Result<Found, Refusal> {
        let (sql, values) = search.statement();
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        let mut found = Found { rows: Vec::new(), cut_at: None };
        let (mut looked_at, mut last) = (0, None);
        while let Some(row) = rows.next()? {
            if found.rows.len() >= bounds.rows || looked_at >= bounds.looked_at {
                found.cut_at = last;
                break;
            }
            looked_at += 1;
            last = Some(seq(row, 0)?);
            if (search.from..search.to).contains(&row.get::<_, i64>(1)?) {
                found.rows.push(read(row)?);
            }
        }
        Ok(found)
    }

    /// `None` when nothing can match.
    fn search_of(
        &self,
        query: &AuditQuery,
        question: Option<String>,
    ) -> Result<Option<Search>, Refusal> {
        let from = query.from.map(|from| from.as_millisecond());
        let to = query.to.map(|to| to.as_millisecond());
        let mut places = (1, i64::MAX);
        if from.is_some() || to.is_some() {
            match audit_index::places(self.connection, from, to)? {
                Some(found) => places = found,
                None => return Ok(None),
            }
        }
        let place = |seq: u64| i64::try_from(seq).unwrap_or(i64::MAX);
        let after = query.after.map_or(0, place);
        let before = query.before.map_or(i64::MAX, place);
        let first = places.0.max(after.saturating_add(1));
        let last = places.1.min(before.saturating_sub(1));
        let direction = if query.after.is_some() { Direction::Forwards } else { Direction::Back };
        let (from, to) = (from.unwrap_or(i64::MIN), to.unwrap_or(i64::MAX));
        Ok((first <= last).then_some(Search { question, direction, first, last, from, to }))
    }
}

impl Search {
    fn statement(&self) -> (String, Vec<Value>) {
        let order = match self.direction {
            Direction::Back => "DESC",
            Direction::Forwards => "ASC",
        };
        let places = [Value::Integer(self.first), Value::Integer(self.last)];
        let Some(question) = &self.question else {
            let sql = "SELECT seq, time, hash, json FROM audit WHERE seq BETWEEN ? AND ?";
            return (format!("{sql} ORDER BY seq {order}"), places.to_vec());
        };
        // The index is asked first, and row by row: CROSS JOIN keeps that order.
        let sql = "SELECT audit.seq, audit.time, audit.hash, audit.json FROM audit_terms
            CROSS JOIN audit ON audit.seq = audit_terms.rowid
            WHERE audit_terms MATCH ? AND audit_terms.rowid BETWEEN ? AND ?";
        let mut values = vec![Value::Text(question.clone())];
        values.extend(places);
        (format!("{sql} ORDER BY audit_terms.rowid {order}"), values)
    }
}

fn read(row: &Row<'_>) -> Result<AuditRow, Refusal> {
    let event = serde_json::from_str(row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?)?;
    Ok(AuditRow { seq: seq(row, 0)?, hash: hash(row, 2)?.to_string(), event })
}
