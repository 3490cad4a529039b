//! The one thread that writes: a bounded line of jobs, committed in groups.
//!
//! The terms of the log's entries gather here and go to the index in portions: with the commit that fills one, or when
//! the oldest has waited long enough. What is lost with the process is made again from the log at the next start.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use audit::chain::Head;
use rusqlite::Connection;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tracing::error;

use super::audit_index::Placed;
use super::tx::{Done, Tx};
use super::{OpenError, audit as log, audit_index};
use crate::refusal::Refusal;
use crate::watch::Hub;

/// Jobs that may wait.
const LINE: usize = 1_024;
/// Jobs in one transaction.
const GROUP: usize = 256;
/// How long a caller waits for a place in the line.
const PATIENCE: Duration = Duration::from_secs(5);
/// Entries that the index takes in one portion. A search reads fewer than these one by one.
const PORTION: usize = 4_096;
/// How long an entry waits for a portion to fill.
const GATHERING: Duration = Duration::from_secs(1);

/// Whether a write shares a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Company {
    /// With others that wait, in a savepoint of its own.
    Shared,
    /// With none: for writes of very many rows. Within a savepoint SQLite keeps a copy of each page that changes, and
    /// walks through all of them at the end of each statement.
    Alone,
}

/// The way to the thread.
#[derive(Debug)]
pub(super) struct Writer {
    /// The number of the newest entry of the log.
    heads: watch::Receiver<u64>,
    line: Mutex<Option<mpsc::Sender<Box<dyn Job>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(connection: Connection, hub: Arc<Hub>) -> Result<Self, OpenError> {
        let head = log::head(&connection)?;
        let (line, jobs) = mpsc::channel(LINE);
        let (told, heads) = watch::channel(head.seq);
        let clock =
            Builder::new_current_thread().enable_time().build().map_err(OpenError::Thread)?;
        let desk =
            Desk { connection, hub, head, heads: told, clock, tail: Vec::new(), since: None };
        let thread = std::thread::Builder::new()
            .name("auth-store".to_owned())
            .spawn(move || desk.work(jobs))
            .map_err(OpenError::Thread)?;
        Ok(Self { heads, line: Mutex::new(Some(line)), thread: Mutex::new(Some(thread)) })
    }

    /// Tells of the number of the newest entry of the log, after each commit that adds some.
    pub(super) fn heads(&self) -> watch::Receiver<u64> {
        self.heads.clone()
    }

    pub(super) async fn write<T, F>(&self, act: F, company: Company) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, Refusal> + Send + 'static,
    {
        let (reply, outcome) = oneshot::channel();
        let job = Box::new(Act { act: Some(act), result: None, reply: Some(reply), company });
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let line = line.ok_or_else(closed)?;
        match timeout(PATIENCE, line.send(job)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(closed()),
            Err(_) => return Err(Refusal::busy("the store has too much to write; try again")),
        }
        drop(line);
        outcome.await.map_err(|_| closed())?
    }

    /// Takes no further job, lets the waiting ones finish, and ends the thread.
    pub(super) async fn close(&self) {
        drop(self.line.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        if let Ok(Err(_)) = tokio::task::spawn_blocking(move || thread.join()).await {
            error!("the store's thread had panicked");
        }
    }
}

fn closed() -> Refusal {
    Refusal::busy("the Auth Service is stopping; try again")
}

/// A write on its way: done in a savepoint first, answered after the commit.
trait Job: Send {
    /// Whether it shares a transaction.
    fn company(&self) -> Company;
    /// Does it; tells whether the savepoint stands.
    fn act(&mut self, tx: &mut Tx<'_>) -> Savepoint;
    /// Tells the caller what became of it.
    fn settle(self: Box<Self>, commit: Commit);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Savepoint {
    Keep,
    Undo,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Commit {
    Done,
    Failed,
}

struct Act<T, F> {
    act: Option<F>,
    result: Option<Result<T, Refusal>>,
    reply: Option<oneshot::Sender<Result<T, Refusal>>>,
    company: Company,
}

impl<T, F> Job for Act<T, F>
where
    T: Send,
    F: FnOnce(&mut Tx<'_>) -> Result<T, Refusal> + Send,
{
    fn company(&self) -> Company {
        self.company
    }

    fn act(&mut self, tx: &mut Tx<'_>) -> Savepoint {
        let is_awaited = self.reply.as_ref().is_some_and(|reply| !reply.is_closed());
        let Some(act) = self.act.take().filter(|_| is_awaited) else { return Savepoint::Undo };
        let result = catch_unwind(AssertUnwindSafe(|| act(tx)))
            .unwrap_or_else(|_| Err(Refusal::broken("a write panicked", "see the log")));
        let savepoint = if result.is_ok() { Savepoint::Keep } else { Savepoint::Undo };
        self.result = Some(result);
        savepoint
    }

    fn settle(mut self: Box<Self>, commit: Commit) {
        let (Some(reply), Some(result)) = (self.reply.take(), self.result.take()) else { return };
        let result = match commit {
            Commit::Done => result,
            // A refusal stands whether or not the others' writes reached the disk.
            Commit::Failed => {
                result.and_then(|_| Err(Refusal::broken("the store failed", "the commit failed")))
            }
        };
        // A caller who has gone away needs no answer.
        let _ = reply.send(result);
    }
}

/// Writes of one transaction.
type Group = Vec<Box<dyn Job>>;

/// A write with those that wait and may share its transaction; and one that waits and may not.
fn gather(
    first: Box<dyn Job>,
    jobs: &mut mpsc::Receiver<Box<dyn Job>>,
) -> (Group, Option<Box<dyn Job>>) {
    let is_alone = first.company() == Company::Alone;
    let mut group = vec![first];
    while !is_alone
        && group.len() < GROUP
        && let Ok(next) = jobs.try_recv()
    {
        if next.company() == Company::Alone {
            return (group, Some(next));
        }
        group.push(next);
    }
    (group, None)
}

/// What the thread works with.
struct Desk {
    connection: Connection,
    hub: Arc<Hub>,
    head: Head,
    heads: watch::Sender<u64>,
    /// Only to wait for a job until a moment.
    clock: Runtime,
    /// Entries at the end of the log that the index does not have yet.
    tail: Vec<Placed>,
    /// Since when the oldest of them waits.
    since: Option<Instant>,
}

/// What the thread does next.
enum Next {
    Job(Box<dyn Job>),
    /// No job came, and the tail has waited long enough.
    Index,
    Close,
}

impl Desk {
    fn work(mut self, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
        let mut waiting = None;
        loop {
            let next = waiting.take().map_or_else(|| self.next(&mut jobs), Next::Job);
            match next {
                Next::Job(first) => {
                    let (group, next) = gather(first, &mut jobs);
                    waiting = next;
                    self.commit(group);
                }
                Next::Index => self.index_tail(),
                Next::Close => break,
            }
        }
        self.index_tail();
        let closed =
            self.connection.execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE);");
        if let Err(error) = closed {
            error!(%error, "could not tidy the store up");
        }
    }

    fn next(&self, jobs: &mut mpsc::Receiver<Box<dyn Job>>) -> Next {
        let wait = self.since.map(|since| GATHERING.saturating_sub(since.elapsed()));
        let next = self.clock.block_on(async {
            match wait {
                Some(wait) => timeout(wait, jobs.recv()).await,
                None => Ok(jobs.recv().await),
            }
        });
        match next {
            Ok(Some(job)) => Next::Job(job),
            Ok(None) => Next::Close,
            Err(_) => Next::Index,
        }
    }

    /// Gives the index what has gathered.
    fn index_tail(&mut self) {
        if self.tail.is_empty() {
            return;
        }
        let indexed = self.connection.execute_batch("BEGIN IMMEDIATE").and_then(|()| {
            audit_index::add_terms(&self.connection, self.tail.iter())?;
            self.connection.execute_batch("COMMIT")
        });
        match indexed {
            Ok(()) => self.forget_tail(),
            Err(error) => {
                error!(%error, entries = self.tail.len(), "could not index the audit log");
                self.recover();
                self.since = Some(Instant::now());
            }
        }
    }

    fn forget_tail(&mut self) {
        self.tail.clear();
        self.since = None;
    }

    fn commit(&mut self, mut group: Vec<Box<dyn Job>>) {
        let commit = match self.transaction(&mut group) {
            Ok(()) => Commit::Done,
            Err(error) => {
                error!(%error, writes = group.len(), "could not commit");
                self.recover();
                Commit::Failed
            }
        };
        for job in group {
            job.settle(commit);
        }
    }

    fn transaction(&mut self, group: &mut [Box<dyn Job>]) -> Result<(), rusqlite::Error> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let mut done = Done { head: self.head, appended: Vec::new(), changes: Vec::new() };
        match group {
            // One alone needs no savepoint: the transaction is its own.
            [job] => {
                let mut tx = Tx::new(&self.connection, done.head);
                if job.act(&mut tx) == Savepoint::Undo {
                    return self.connection.execute_batch("ROLLBACK");
                }
                done.add(tx.finish());
            }
            several => {
                for job in several {
                    self.in_savepoint(job.as_mut(), &mut done)?;
                }
            }
        }
        audit_index::count(&self.connection, &done.appended)?;
        // After the last savepoint: each would make the index write itself out.
        let is_portion = self.tail.len() + done.appended.len() >= PORTION;
        if is_portion {
            audit_index::add_terms(&self.connection, self.tail.iter().chain(&done.appended))?;
        }
        self.connection.execute_batch("COMMIT")?;
        if is_portion {
            self.forget_tail();
        } else if !done.appended.is_empty() {
            self.tail.append(&mut done.appended);
            self.since.get_or_insert_with(Instant::now);
        }
        let head = done.head;
        self.head = head;
        self.heads.send_if_modified(|told| std::mem::replace(told, head.seq) != head.seq);
        // Watchers hear of it before the caller does: whoever has an answer can rely on that.
        self.hub.publish(done.changes);
        Ok(())
    }

    fn in_savepoint(&self, job: &mut dyn Job, done: &mut Done) -> Result<(), rusqlite::Error> {
        self.connection.execute_batch("SAVEPOINT job")?;
        let mut tx = Tx::new(&self.connection, done.head);
        match job.act(&mut tx) {
            Savepoint::Keep => {
                done.add(tx.finish());
                self.connection.execute_batch("RELEASE job")
            }
            Savepoint::Undo => self.connection.execute_batch("ROLLBACK TO job; RELEASE job"),
        }
    }

    fn recover(&mut self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            error!(%error, "could not roll back");
        }
        match log::head(&self.connection) {
            Ok(head) => self.head = head,
            Err(error) => error!(%error, "could not read the end of the audit log"),
        }
    }
}
