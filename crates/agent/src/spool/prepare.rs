//! Preparing the next file ahead of its use, on a thread of its own: filling it takes many times as long as a sync.
//!
//! The thread writes piece by piece with pauses, so that syncs on the same disk hardly notice. Until the next file is
//! ready the current one grows; if it cannot be prepared, an empty one takes its place.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tracing::{error, warn};

use super::segment::{self, Segment};
use super::{Shared, locked};

/// Between two pieces.
const PAUSE: Duration = Duration::from_millis(1);

/// How long the disk is left alone after a failure.
const RETRY: Duration = Duration::from_secs(5);

/// The next file, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Next {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    None,
    /// Somebody needs it soon.
    Asked,
    InWork,
    Ready(Segment),
    /// It could not be made, and is not tried again for a while.
    Failed,
    Stopped,
}

/// What there is when a new file is needed.
#[derive(Debug)]
pub(super) enum Taken {
    Ready(Segment),
    /// It is about to be ready.
    Soon,
    None,
}

impl Next {
    /// Has a file prepared that comes after file `current`, unless that is done or under way.
    pub(super) fn ask(&self, current: u64) {
        let mut state = self.fresh(current);
        if matches!(*state, State::None) {
            *state = State::Asked;
            self.changed.notify_all();
        }
    }

    /// Takes the prepared file.
    pub(super) fn take(&self, current: u64) -> Taken {
        let mut state = self.fresh(current);
        match std::mem::take(&mut *state) {
            State::Ready(segment) => Taken::Ready(segment),
            other => {
                let is_coming = matches!(other, State::Asked | State::InWork);
                *state = other;
                if is_coming { Taken::Soon } else { Taken::None }
            }
        }
    }

    /// Files are used in the order of their numbers: one that was overtaken goes.
    fn fresh(&self, current: u64) -> MutexGuard<'_, State> {
        let mut state = locked(&self.state);
        if let State::Ready(segment) = &*state
            && segment.number() < current
        {
            discard(segment);
            *state = State::None;
        }
        state
    }

    /// Waits until a file is asked for; false when there will be no more.
    fn asked(&self) -> bool {
        let is_idle = |state: &mut State| !matches!(state, State::Asked | State::Stopped);
        let waited = self.changed.wait_while(locked(&self.state), is_idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Stopped) {
            return false;
        }
        *state = State::InWork;
        true
    }

    fn is_stopped(&self) -> bool {
        matches!(*locked(&self.state), State::Stopped)
    }

    fn put(&self, segment: Segment) {
        let mut state = locked(&self.state);
        if matches!(*state, State::Stopped) {
            discard(&segment);
        } else {
            *state = State::Ready(segment);
        }
    }

    fn failed(&self) {
        let mut state = locked(&self.state);
        if matches!(*state, State::Stopped) {
            return;
        }
        *state = State::Failed;
        let is_failed = |state: &mut State| matches!(state, State::Failed);
        let waited = self.changed.wait_timeout_while(state, RETRY, is_failed);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Failed) {
            *state = State::None;
        }
    }

    fn stop(&self) {
        let last = std::mem::replace(&mut *locked(&self.state), State::Stopped);
        if let State::Ready(segment) = last {
            discard(&segment);
        }
        self.changed.notify_all();
    }
}

/// The thread, from outside.
#[derive(Debug)]
pub(super) struct Preparer {
    join: Mutex<Option<JoinHandle<()>>>,
}

impl Preparer {
    pub(super) fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let shared = Arc::clone(shared);
        let named = thread::Builder::new().name("spool-prepare".to_owned());
        let join = named.spawn(move || run(&shared))?;
        Ok(Self { join: Mutex::new(Some(join)) })
    }

    /// Ends the thread and removes what it has prepared in vain.
    pub(super) fn stop(&self, shared: &Shared) {
        shared.next.stop();
        self.join();
    }

    /// Ends the thread as the end of the process would: what is prepared stays.
    #[cfg(test)]
    pub(super) fn die(&self, shared: &Shared) {
        let prepared = std::mem::replace(&mut *locked(&shared.next.state), State::Stopped);
        std::mem::forget(prepared);
        shared.next.changed.notify_all();
        self.join();
    }

    fn join(&self) {
        let join = locked(&self.join).take();
        if join.is_some_and(|join| join.join().is_err()) {
            error!("the thread that prepares files of the audit spool has died");
        }
    }
}

fn run(shared: &Shared) {
    let next = &shared.next;
    while next.asked() {
        match ahead(shared) {
            Ok(Some(segment)) => next.put(segment),
            Ok(None) => {}
            Err(error) => {
                warn!(%error, "could not prepare a file of the audit spool ahead");
                next.failed();
            }
        }
    }
}

/// Prepares a file with pauses; `None` if stopped meanwhile.
fn ahead(shared: &Shared) -> io::Result<Option<Segment>> {
    let dir = &shared.settings.dir;
    let mut is_stopped = false;
    let segment = prepared(dir, shared.next_number(), shared.settings.prepared(), &mut |segment| {
        is_stopped = shared.next.is_stopped();
        thread::sleep(PAUSE);
        if is_stopped { Err(io::ErrorKind::Interrupted.into()) } else { segment.sync() }
    });
    if is_stopped {
        return Ok(None);
    }
    segment.map(Some)
}

/// Prepares a file as fast as the disk can.
pub(super) fn at_once(dir: &Path, number: u64, length: u64) -> io::Result<Segment> {
    prepared(dir, number, length, &mut |_| Ok(()))
}

/// Makes a file of zeros that survives the death of the machine, or none.
fn prepared(
    dir: &Path,
    number: u64,
    length: u64,
    each: &mut dyn FnMut(&Segment) -> io::Result<()>,
) -> io::Result<Segment> {
    let segment = Segment::create(dir, number)?;
    let filled = fill(&segment, length, each).and_then(|()| segment::sync_dir(dir));
    filled.inspect_err(|_| discard(&segment))?;
    Ok(segment)
}

fn fill(
    segment: &Segment,
    length: u64,
    each: &mut dyn FnMut(&Segment) -> io::Result<()>,
) -> io::Result<()> {
    segment.claim(length)?;
    let mut offset = 0;
    while offset < length {
        offset = segment.fill(offset, length)?;
        each(segment)?;
    }
    segment.sync_all()
}

/// What stays in spite of this goes at the next start.
fn discard(segment: &Segment) {
    if let Err(error) = segment.delete() {
        warn!(%error, "could not delete a prepared file of the audit spool");
    }
}
