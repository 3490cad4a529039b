//! The durable audit spool: every entry is written here before its call leaves, and stays until the Auth Service
//! has it.
//!
//! The road takes no lock here but to queue: a record is one `write` at a place of its own ([`segment`]) in a file that
//! was filled with zeros ahead of its use ([`prepare`]). A thread of its own makes records durable in groups ([`sync`]);
//! an answer waits for the group that covers its entry ([`Spool::durable`]). A task sends closed entries to the Auth
//! Service ([`ship`]). What an earlier life left open is closed with "outcome unknown" at the next start ([`recover`]).
//!
//! The spool does not look into events, and loses none: a full or failing disk refuses calls.

mod line;
mod prepare;
mod recover;
mod scan;
mod segment;
mod ship;
#[cfg(test)]
mod speed;
mod sync;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use audit::{Event, Record};
use thiserror::Error;
use tracing::error;

use crate::config::SpoolSettings;
use line::Kind;
use prepare::{Next, Preparer, Taken};
use segment::Segment;
pub(crate) use ship::ship;
use sync::{Progress, Syncer};

/// Why the spool refuses.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// It cannot be used at all.
    #[error("could not {what} {}", path.display())]
    Setup {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Another process uses it.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// It holds as much as it may.
    #[error("the audit spool {} is full ({limit} bytes) because the Auth Service has not taken its entries", path.display())]
    Full {
        /// The directory.
        path: PathBuf,
        /// The setting.
        limit: u64,
    },
    /// A record could not be written.
    #[error("could not write to the audit spool {}", path.display())]
    Write {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Earlier records still wait to be written.
    #[error("the audit spool {} is failing: earlier entries could not be written yet", path.display())]
    Failing {
        /// The directory.
        path: PathBuf,
    },
    /// Written, but not made durable.
    #[error("the audit spool {} could not be synced to disk", path.display())]
    Sync {
        /// The directory.
        path: PathBuf,
    },
}

/// An entry that is open in the spool.
#[derive(Debug)]
pub struct Opened {
    segment: Arc<Segment>,
    ticket: u64,
}

/// The spool.
#[derive(Debug)]
pub struct Spool {
    shared: Arc<Shared>,
    syncer: Syncer,
    preparer: Preparer,
}

#[derive(Debug)]
struct Shared {
    settings: SpoolSettings,
    /// Where records go.
    current: ArcSwap<Segment>,
    /// Every file with records, oldest first, the current one last.
    shelves: Mutex<Vec<Shelf>>,
    /// Held while another file becomes the current one.
    turning: Mutex<()>,
    /// The file that comes after the current one.
    next: Next,
    /// The highest number of a file.
    numbers: AtomicU64,
    /// Bytes of records in all files.
    bytes: AtomicU64,
    /// Counts completed writes: a record's ticket is the count after its own write.
    written: AtomicU64,
    /// The highest ticket that somebody waits for.
    wanted: AtomicU64,
    /// Closings that could not be written yet.
    late: Mutex<VecDeque<Late>>,
    late_count: AtomicUsize,
    is_stopping: AtomicBool,
    progress: Progress,
    /// Held locked as long as this process uses the directory.
    _lock: File,
}

/// Why a file is left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leave {
    /// It is as long as it should be.
    Full,
    /// Something in it could not be written or synced.
    Failed,
}

#[derive(Debug)]
struct Shelf {
    segment: Arc<Segment>,
    /// Up to where the Auth Service has it.
    shipped: u64,
}

#[derive(Debug)]
struct Late {
    /// Keeps the file of the opening record.
    _opened: Option<Arc<Segment>>,
    record: Vec<u8>,
}

impl Spool {
    /// Opens the spool in its directory, closes what an earlier life left open, and starts the syncing thread.
    /// Blocks on the disk.
    pub fn open(settings: SpoolSettings) -> Result<Self, SpoolError> {
        let shared = Arc::new(recover::open(settings)?);
        let syncer = Syncer::start(&shared)
            .map_err(|source| setup("start a thread for", &shared.settings.dir, source))?;
        let preparer = Preparer::start(&shared)
            .map_err(|source| setup("start a thread for", &shared.settings.dir, source))?;
        Ok(Self { shared, syncer, preparer })
    }

    /// Waits until the opened record survives the death of the machine.
    pub async fn durable(&self, opened: &Opened) -> Result<(), SpoolError> {
        self.shared.durable(opened.ticket).await
    }

    /// Writes an event that has no open entry: a call that was refused.
    pub fn note(&self, event: &Event) -> Result<(), SpoolError> {
        self.shared.admit()?;
        let written = self.shared.write(Kind::Closed, event);
        self.syncer.nudge();
        written?;
        Ok(())
    }

    /// Bytes of records on disk.
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// Why the spool would refuse a call now.
    pub fn check(&self) -> Result<(), SpoolError> {
        self.shared.admit()
    }

    /// Writes and syncs what is left, and ends the thread. Blocks on the disk.
    pub fn stop(&self) {
        self.syncer.stop(&self.shared);
        self.preparer.stop(&self.shared);
    }
}

impl Record for Spool {
    type Opened = Opened;
    type Error = SpoolError;

    fn opened(&self, event: &Event) -> Result<Opened, SpoolError> {
        self.shared.admit()?;
        // After a failure, too: the file may have to be left.
        let written = self.shared.write(Kind::Opened, event).inspect_err(|_| self.syncer.nudge());
        let (segment, ticket) = written?;
        self.shared.wanted.fetch_max(ticket, Ordering::SeqCst);
        self.syncer.wake();
        Ok(Opened { segment, ticket })
    }

    fn closed(&self, opened: &Opened, event: &Event) {
        let written = line::encoded(Kind::Closed, event, |record| {
            let Err(failure) = self.shared.append(record) else { return };
            error!(uid = %event.uid, error = %api::error::Chain(&failure), "could not write the closing of an audit entry yet");
            let _opened = Some(Arc::clone(&opened.segment));
            self.shared.keep_late(Late { _opened, record: record.to_vec() });
        });
        if written.is_err() {
            // Nothing in an event can fail to serialize; if it does, the next start closes the entry as unknown.
            error!(uid = %event.uid, "could not encode the closing of an audit entry");
        }
        self.syncer.nudge();
    }
}

impl Shared {
    /// Whether a call may be recorded.
    fn admit(&self) -> Result<(), SpoolError> {
        if self.late_count.load(Ordering::SeqCst) > 0 {
            return Err(SpoolError::Failing { path: self.settings.dir.clone() });
        }
        if self.bytes.load(Ordering::Relaxed) >= self.settings.limit {
            return Err(SpoolError::Full {
                path: self.settings.dir.clone(),
                limit: self.settings.limit,
            });
        }
        Ok(())
    }

    fn write(&self, kind: Kind, event: &Event) -> Result<(Arc<Segment>, u64), SpoolError> {
        line::encoded(kind, event, |record| self.append(record))
            .map_err(|error| self.write_error(error.into()))?
    }

    fn append(&self, record: &[u8]) -> Result<(Arc<Segment>, u64), SpoolError> {
        let segment = loop {
            let segment = self.current.load_full();
            let written = match segment.append(record) {
                Some(written) => written.map(|()| true),
                None => self.follow(&segment).map(|()| false),
            };
            if written.map_err(|source| self.write_error(source))? {
                break segment;
            }
        };
        self.bytes.fetch_add(record.len() as u64, Ordering::Relaxed);
        let ticket = self.written.fetch_add(1, Ordering::SeqCst) + 1;
        Ok((segment, ticket))
    }

    fn write_error(&self, source: io::Error) -> SpoolError {
        SpoolError::Write { path: self.settings.dir.clone(), source }
    }

    fn keep_late(&self, late: Late) {
        self.late_count.fetch_add(1, Ordering::SeqCst);
        locked(&self.late).push_back(late);
    }

    async fn durable(&self, ticket: u64) -> Result<(), SpoolError> {
        if self.progress.wait(ticket).await {
            return Ok(());
        }
        Err(SpoolError::Sync { path: self.settings.dir.clone() })
    }

    /// Begins the next file, or stays with the current one if it may and the next is about to be ready.
    fn rotate(&self, why: Leave) -> io::Result<()> {
        let _turning = locked(&self.turning);
        let current = self.current.load().number();
        match (self.next.take(current), why) {
            (Taken::Ready(segment), _) => self.turn_to(segment),
            (Taken::Soon, Leave::Full) => {}
            (Taken::Soon, Leave::Failed) | (Taken::None, _) => self.turn_to(self.empty()?),
        }
        Ok(())
    }

    /// Sees to it that there is a file after one that is sealed. As a rule it is there already; only when the very last
    /// file has gone, and something comes all the same, it is not.
    fn follow(&self, sealed: &Arc<Segment>) -> io::Result<()> {
        let _turning = locked(&self.turning);
        if Arc::ptr_eq(sealed, &self.current.load_full()) {
            self.turn_to(self.empty()?);
        }
        Ok(())
    }

    fn empty(&self) -> io::Result<Segment> {
        let segment = Segment::create(&self.settings.dir, self.next_number())?;
        segment::sync_dir(&self.settings.dir)?;
        Ok(segment)
    }

    fn turn_to(&self, segment: Segment) {
        let segment = Arc::new(segment);
        locked(&self.shelves).push(Shelf { segment: Arc::clone(&segment), shipped: 0 });
        // Whoever finds the last one sealed finds this one in its place.
        self.current.swap(segment).seal();
    }

    fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::SeqCst) + 1
    }
}

fn setup(what: &'static str, path: &Path, source: io::Error) -> SpoolError {
    SpoolError::Setup { what, path: path.to_owned(), source }
}

/// A lock whose data stays valid even if a holder panicked.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
