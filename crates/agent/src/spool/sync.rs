//! The thread that makes records durable, in groups: while one `fdatasync` runs, the next group gathers.
//!
//! Openings are waited for, so they wake the thread. Closings are not: they ride along with the next opening, or are
//! synced a moment later.

use std::io;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tracing::{error, info};

use super::{Leave, Shared, locked};

/// How long closings may wait for their sync.
const NAP: Duration = Duration::from_millis(50);

/// From so many new records on there are others to come, and how long they are waited for.
const CROWD: u64 = 4;
const GATHER: Duration = Duration::from_micros(500);

/// How long what could not be written waits for another try.
const RETRY: Duration = Duration::from_millis(500);

const AWAKE: u8 = 0;
const NAPPING: u8 = 1;
const ASLEEP: u8 = 2;

/// What is durable, for those who wait.
#[derive(Debug)]
pub(super) struct Progress {
    synced: AtomicU64,
    state: watch::Sender<State>,
    /// Each is woken by the sync that it waits for, and by no other.
    waiting: Mutex<Vec<Waiter>>,
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    /// Whether it is durable.
    tell: oneshot::Sender<bool>,
}

/// How far syncing has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State {
    synced: u64,
    /// The tickets of the last failed syncs: first and last.
    failed: Option<(u64, u64)>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            synced: AtomicU64::new(0),
            state: watch::Sender::new(State::default()),
            waiting: Mutex::default(),
        }
    }

    /// Waits until the ticket's fate is known: whether it is durable.
    pub(super) async fn wait(&self, ticket: u64) -> bool {
        let (tell, told) = oneshot::channel();
        {
            let mut waiting = locked(&self.waiting);
            if self.synced() >= ticket {
                return !self.state.borrow().has_failed(ticket);
            }
            waiting.push(Waiter { ticket, tell });
        }
        told.await.unwrap_or(false)
    }

    /// Tells of every completed sync.
    pub(super) fn follow(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    fn synced(&self) -> u64 {
        self.synced.load(Ordering::SeqCst)
    }

    fn reach(&self, ticket: u64, worked: bool) {
        // A failure is known before the ticket is reached, for those who ask afterwards.
        let first = self.synced() + 1;
        self.state.send_modify(|state| {
            state.synced = ticket;
            if !worked {
                let first = state.failed.map_or(first, |(earlier, _)| earlier);
                state.failed = Some((first, ticket));
            }
        });
        let reached: Vec<Waiter> = {
            let mut waiting = locked(&self.waiting);
            self.synced.store(ticket, Ordering::SeqCst);
            waiting.extract_if(.., |waiter| waiter.ticket <= ticket).collect()
        };
        for waiter in reached {
            // Whoever has gone needs no word.
            let _ = waiter.tell.send(worked);
        }
    }
}

impl State {
    fn has_failed(&self, ticket: u64) -> bool {
        self.failed.is_some_and(|(first, last)| (first..=last).contains(&ticket))
    }
}

/// The thread, from outside.
#[derive(Debug)]
pub(super) struct Syncer {
    thread: Thread,
    join: Mutex<Option<JoinHandle<()>>>,
    sleep: Arc<AtomicU8>,
}

impl Syncer {
    pub(super) fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let sleep = Arc::new(AtomicU8::new(AWAKE));
        let inside = Inside { shared: Arc::clone(shared), sleep: Arc::clone(&sleep) };
        let join =
            thread::Builder::new().name("spool-sync".to_owned()).spawn(move || inside.run())?;
        Ok(Self { thread: join.thread().clone(), join: Mutex::new(Some(join)), sleep })
    }

    /// Somebody waits for a sync.
    pub(super) fn wake(&self) {
        if self.sleep.load(Ordering::SeqCst) != AWAKE {
            self.thread.unpark();
        }
    }

    /// Something was written that nobody waits for.
    pub(super) fn nudge(&self) {
        if self.sleep.load(Ordering::SeqCst) == ASLEEP {
            self.thread.unpark();
        }
    }

    pub(super) fn stop(&self, shared: &Shared) {
        shared.is_stopping.store(true, Ordering::SeqCst);
        self.thread.unpark();
        let join = locked(&self.join).take();
        if join.is_some_and(|join| join.join().is_err()) {
            error!("the thread that syncs the audit spool has died");
        }
    }
}

struct Inside {
    shared: Arc<Shared>,
    sleep: Arc<AtomicU8>,
}

impl Inside {
    fn run(self) {
        let shared = &self.shared;
        let mut is_rested = false;
        loop {
            let written = shared.written.load(Ordering::SeqCst);
            let synced = shared.progress.synced();
            let is_stopping = shared.is_stopping.load(Ordering::SeqCst);
            let is_wanted = shared.wanted.load(Ordering::SeqCst) > synced;
            if written > synced && (is_wanted || is_rested || is_stopping) {
                self.sync(self.gathered(written, synced));
                is_rested = false;
            } else if is_stopping && !self.has_late() {
                return;
            } else if is_stopping && is_rested {
                error!("audit entries could not be written before the end");
                return;
            } else {
                is_rested = self.rest(is_rested);
            }
            self.write_late();
            if self.has_gap() {
                self.rotate(Leave::Failed);
            }
        }
    }

    /// Under load a short pause lets a group grow: fewer syncs, and more answers released at once.
    /// A call that is alone never waits for it.
    fn gathered(&self, written: u64, synced: u64) -> u64 {
        if written - synced < CROWD {
            return written;
        }
        thread::sleep(GATHER);
        self.shared.written.load(Ordering::SeqCst)
    }

    /// Sleeps until woken; after some activity only for a nap, so that closings need not wake this thread.
    fn rest(&self, is_rested: bool) -> bool {
        let shared = &self.shared;
        let is_deep = is_rested && !self.has_late();
        self.sleep.store(if is_deep { ASLEEP } else { NAPPING }, Ordering::SeqCst);
        let synced = shared.progress.synced();
        let is_wanted = shared.wanted.load(Ordering::SeqCst) > synced;
        let is_late = is_deep && shared.written.load(Ordering::SeqCst) > synced;
        if is_wanted || is_late {
            // There is work already.
        } else if self.has_late() || self.has_gap() {
            thread::park_timeout(RETRY);
        } else if is_deep && !shared.is_stopping.load(Ordering::SeqCst) {
            thread::park();
        } else {
            thread::park_timeout(NAP);
        }
        self.sleep.store(AWAKE, Ordering::SeqCst);
        true
    }

    fn sync(&self, target: u64) {
        let shared = &self.shared;
        let dirty: Vec<_> = {
            let shelves = locked(&shared.shelves);
            let segments = shelves.iter().map(|shelf| &shelf.segment);
            segments.filter(|segment| segment.is_dirty()).cloned().collect()
        };
        let mut worked = true;
        for segment in dirty {
            if let Err(error) = segment.sync() {
                error!(segment = segment.number(), %error, "could not sync the audit spool");
                worked = false;
            }
        }
        if worked {
            self.look_ahead();
        } else {
            self.rotate(Leave::Failed);
        }
        // Last of all: whoever has heard of it finds no file held here.
        shared.progress.reach(target, worked);
    }

    /// Has the next file prepared when half of the current one is used, and goes over to it in time.
    fn look_ahead(&self) {
        let shared = &self.shared;
        let (number, used) = {
            let current = shared.current.load();
            (current.number(), current.end())
        };
        let length = shared.settings.prepared();
        if used >= length / 2 {
            shared.next.ask(number);
        }
        // A little early, so that the last records need not go behind the zeros.
        if used >= length - length / 16 {
            self.rotate(Leave::Full);
        }
    }

    /// A failed file is left behind like a full one: what is written to a new one can be trusted again.
    fn rotate(&self, why: Leave) {
        if let Err(error) = self.shared.rotate(why) {
            error!(%error, "could not begin a new file in the audit spool");
        }
    }

    /// Behind a gap, records are shipped only once the file has been left.
    fn has_gap(&self) -> bool {
        let current = self.shared.current.load();
        current.has_gap() && !current.is_sealed()
    }

    fn has_late(&self) -> bool {
        self.shared.late_count.load(Ordering::SeqCst) > 0
    }

    /// Tries again what could not be written.
    fn write_late(&self) {
        if !self.has_late() {
            return;
        }
        let shared = &self.shared;
        let mut late = locked(&shared.late);
        while let Some(first) = late.front() {
            if shared.append(&first.record).is_err() {
                break;
            }
            late.pop_front();
            shared.late_count.fetch_sub(1, Ordering::SeqCst);
        }
        if late.is_empty() {
            info!("the audit spool can be written again");
        } else if shared.current.load().bytes() > 0 {
            self.rotate(Leave::Failed);
        }
    }
}
