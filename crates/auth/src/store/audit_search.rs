//! Searching the log: by its index, from one end, with a bound on what one search looks at.

use std::ops::{ControlFlow, Range};

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

/// Where a search looks.
#[derive(Clone, Copy)]
struct Search {
    direction: Direction,
    first: i64,
    last: i64,
    from: i64,
    to: i64,
}

/// What a search found, in its own direction.
pub(super) struct Found {
    bounds: Bounds,
    times: Range<i64>,
    rows: Vec<AuditRow>,
    looked_at: usize,
    last: Option<u64>,
    /// The last entry looked at, when there may be more beyond it.
    cut_at: Option<u64>,
}

impl Found {
    /// Takes the next entry that matches (`seq, time, hash, json`), unless it is one of another time; breaks when
    /// there are enough.
    pub(super) fn take(&mut self, row: &Row<'_>) -> Result<ControlFlow<()>, Refusal> {
        if self.rows.len() >= self.bounds.rows || self.looked_at >= self.bounds.looked_at {
            self.cut_at = self.last;
            return Ok(ControlFlow::Break(()));
        }
        self.looked_at += 1;
        self.last = Some(seq(row, 0)?);
        if self.times.contains(&row.get::<_, i64>(1)?) {
            self.rows.push(read(row)?);
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl Reader<'_> {
    /// A page of the log.
    pub(crate) fn audit_page(
        &self,
        query: &AuditQuery,
        bounds: Bounds,
    ) -> Result<AuditPage, Refusal> {
        let end = head(self.connection)?.seq;
        let Found { rows, cut_at, .. } =
            self.find_audit(query, &terms::question(query)?, bounds)?;
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
        let bounds = Bounds { rows, looked_at: usize::MAX };
        let mut found = self.find_audit(query, &terms::question(query)?, bounds)?;
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
        self.find_audit(&query, &terms::troubles(), bounds).map(|found| found.rows)
    }

    /// Looks for what holds all that is asked: in the index, and in the newest entries that it does not have yet.
    fn find_audit(
        &self,
        query: &AuditQuery,
        asked: &[Asked],
        bounds: Bounds,
    ) -> Result<Found, Refusal> {
        let search = self.search_of(query)?;
        let times = search.as_ref().map_or(0..0, |search| search.from..search.to);
        let (rows, looked_at, last, cut_at) = (Vec::new(), 0, None, None);
        let mut found = Found { bounds, times, rows, looked_at, last, cut_at };
        let Some(search) = search else { return Ok(found) };
        if asked.is_empty() {
            let _ = self.find_by(&search.every_entry(), &mut found)?;
            return Ok(found);
        }
        let end = audit_index::end(self.connection)?;
        let indexed = Search { last: search.last.min(end), ..search };
        let tail = Search { first: search.first.max(end.saturating_add(1)), ..search };
        let parts = match search.direction {
            Direction::Back => [tail, indexed],
            Direction::Forwards => [indexed, tail],
        };
        for part in parts.into_iter().filter(|part| part.first <= part.last) {
            let flow = if part.first > end {
                let (sql, values) = part.every_entry();
                self.find_in_tail(&sql, values, asked, &mut found)?
            } else {
                self.find_in_index(&part, asked, &mut found)?
            };
            if flow.is_break() {
                break;
            }
        }
        Ok(found)
    }

    fn find_in_index(
        &self,
        part: &Search,
        asked: &[Asked],
        found: &mut Found,
    ) -> Result<ControlFlow<()>, Refusal> {
        match self.in_words_of_the_index(asked)? {
            Some(question) => self.find_by(&part.entries_of(question), found),
            None => Ok(ControlFlow::Continue(())),
        }
    }

    fn find_by(
        &self,
        (sql, values): &(String, Vec<Value>),
        found: &mut Found,
    ) -> Result<ControlFlow<()>, Refusal> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            if found.take(row)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The question as the full-text search takes it; `None` when nothing can match.
    fn in_words_of_the_index(&self, asked: &[Asked]) -> Result<Option<String>, Refusal> {
        let mut question = String::new();
        for asked in asked {
            let (joint, phrase) = (if question.is_empty() { "" } else { " AND " }, asked.phrase());
            let phrase = match asked {
                Asked::Term(_) | Asked::OneOf(_) => phrase,
                Asked::Beginning(beginning) => {
                    match audit_words::beginning_with(self.connection, beginning)? {
                        Some(words) if words.is_empty() => return Ok(None),
                        Some(words) => Asked::OneOf(words).phrase(),
                        None => phrase,
                    }
                }
            };
            question.push_str(joint);
            question.push_str(&phrase);
        }
        Ok(Some(question))
    }

    /// `None` when nothing can match.
    fn search_of(&self, query: &AuditQuery) -> Result<Option<Search>, Refusal> {
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
        Ok((first <= last).then_some(Search { direction, first, last, from, to }))
    }
}

impl Search {
    /// The statement for all entries there, and its values.
    fn every_entry(&self) -> (String, Vec<Value>) {
        let sql = "SELECT seq, time, hash, json FROM audit WHERE seq BETWEEN ? AND ?";
        (format!("{sql} ORDER BY seq {}", self.order()), self.places().to_vec())
    }

    /// The statement for those that the index finds.
    fn entries_of(&self, question: String) -> (String, Vec<Value>) {
        // The index is asked first, and row by row: CROSS JOIN keeps that order.
        let sql = "SELECT audit.seq, audit.time, audit.hash, audit.json FROM audit_terms
            CROSS JOIN audit ON audit.seq = audit_terms.rowid
            WHERE audit_terms MATCH ? AND audit_terms.rowid BETWEEN ? AND ?";
        let mut values = vec![Value::Text(question)];
        values.extend(self.places());
        (format!("{sql} ORDER BY audit_terms.rowid {}", self.order()), values)
    }

    fn order(&self) -> &'static str {
        match self.direction {
            Direction::Back => "DESC",
            Direction::Forwards => "ASC",
        }
    }

    fn places(&self) -> [Value; 2] {
        [Value::Integer(self.first), Value::Integer(self.last)]
    }
}

fn read(row: &Row<'_>) -> Result<AuditRow, Refusal> {
    let event = serde_json::from_str(row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?)?;
    Ok(AuditRow { seq: seq(row, 0)?, hash: hash(row, 2)?.to_string(), event })
}
