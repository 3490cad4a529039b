//! Searching the newest entries of the log, which its index does not have yet: they are read one by one.
//!
//! There are never more than the writer lets gather (see `writer`), so that this stays a matter of milliseconds. Read in
//! the same snapshot as the index, nothing is missed and nothing found twice.

use std::ops::ControlFlow;

use ::audit::Event;
use rusqlite::params_from_iter;
use rusqlite::types::Value;

use super::Reader;
use super::audit_search::Found;
use super::terms::{Asked, Terms};
use crate::refusal::Refusal;

impl Reader<'_> {
    /// Looks through the entries that `sql` gives (`seq, time, hash, json`).
    pub(super) fn find_in_tail(
        &self,
        sql: &str,
        values: Vec<Value>,
        asked: &[Asked],
        found: &mut Found,
    ) -> Result<ControlFlow<()>, Refusal> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        let mut terms = Terms::default();
        while let Some(row) = rows.next()? {
            let json = row.get_ref(3)?.as_bytes().map_err(rusqlite::Error::from)?;
            // As in the index, an entry that cannot be read any more holds nothing.
            let Ok(event) = Event::from_json(json) else { continue };
            let terms = terms.of(&event)?;
            if asked.iter().all(|asked| asked.is_in(&terms)) && found.take(row)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}
