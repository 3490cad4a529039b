//! One write: what it changes, what it records, what watchers will hear of it.

use std::ops::Deref;

use api::types::watch::{Change, Item, Key};
use audit::Event;
use audit::chain::Head;
use rusqlite::Connection;

use super::Reader;
use super::audit::{self as log, Prepared, Stored};
use super::audit_index::Placed;
use super::terms::Terms;
use crate::refusal::Refusal;

/// A savepoint of the running transaction. It reads as a [`Reader`] does.
pub(crate) struct Tx<'a> {
    reader: Reader<'a>,
    head: Head,
    appended: Vec<Placed>,
    changes: Vec<Change>,
}

/// What a write leaves behind for the end of its transaction.
pub(super) struct Done {
    /// The end of the log now.
    pub(super) head: Head,
    /// What it appended there.
    pub(super) appended: Vec<Placed>,
    /// What watchers are to hear of.
    pub(super) changes: Vec<Change>,
}

impl Done {
    /// What the next write of the transaction leaves behind.
    pub(super) fn add(&mut self, next: Self) {
        self.head = next.head;
        self.appended.extend(next.appended);
        self.changes.extend(next.changes);
    }
}

impl<'a> Deref for Tx<'a> {
    type Target = Reader<'a>;

    fn deref(&self) -> &Reader<'a> {
        &self.reader
    }
}

impl<'a> Tx<'a> {
    pub(super) fn new(connection: &'a Connection, head: Head) -> Self {
        let reader = Reader { connection };
        Self { reader, head, appended: Vec::new(), changes: Vec::new() }
    }

    pub(super) fn finish(self) -> Done {
        Done { head: self.head, appended: self.appended, changes: self.changes }
    }

    /// Records an event: it is in the log if and only if the rest of this write is in the store.
    pub(crate) fn record(&mut self, event: &Event) -> Result<(), Refusal> {
        let prepared = Prepared::of(event, &mut Terms::default())?;
        self.append(prepared).map(|_| ())
    }

    /// Appends an event unless one with its uid is there.
    pub(crate) fn append(&mut self, prepared: Prepared) -> Result<Stored, Refusal> {
        let Some((placed, head)) = log::append(self.connection, self.head, prepared)? else {
            return Ok(Stored::Known);
        };
        self.head = head;
        self.appended.push(placed);
        Ok(Stored::New)
    }

    /// Tells watchers, after the commit, that an item is there as given.
    pub(crate) fn put(&mut self, item: Item) {
        self.changes.push(Change::Put(item));
    }

    /// Tells watchers, after the commit, that an item is gone.
    pub(crate) fn gone(&mut self, key: Key) {
        self.changes.push(Change::Delete(key));
    }
}
