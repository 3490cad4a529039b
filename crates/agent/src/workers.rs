//! Threads that serve lanes, each with a scheduler of its own, as web servers have a worker for each core.
//!
//! What serves a lane takes turns at every step: the user's connection, the call, the connection to AWS. A scheduler of
//! many threads offers most of these turns to another core, which costs system calls and moves the call away from what
//! the core has in its cache. Here a lane and all that it causes stay on the thread where it was dialled.

use std::io;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::sync::CancellationToken;
use tracing::error;

/// The threads. When this goes, they end, and with them what is left there.
pub(crate) struct Workers {
    first: Worker,
    others: Vec<Worker>,
    stop: CancellationToken,
}

struct Worker {
    runtime: Handle,
    /// How many lanes have a seat there.
    lanes: Arc<AtomicUsize>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// A lane's place on one of the threads, as long as it lives.
pub(crate) struct Seat {
    runtime: Handle,
    lanes: Arc<AtomicUsize>,
}

impl Workers {
    /// A thread for each core that the process may use.
    pub(crate) fn start() -> io::Result<Self> {
        Self::of(thread::available_parallelism().map_or(1, NonZero::get))
    }

    pub(crate) fn of(count: usize) -> io::Result<Self> {
        let stop = CancellationToken::new();
        // Whoever fails here ends those that have begun.
        let guard = stop.clone().drop_guard();
        let first = Worker::start(0, stop.clone())?;
        let others: io::Result<_> =
            (1..count).map(|number| Worker::start(number, stop.clone())).collect();
        let others = others?;
        guard.disarm();
        Ok(Self { first, others, stop })
    }

    /// A seat on the thread with the fewest lanes.
    pub(crate) fn seat(&self) -> Seat {
        let fewer =
            |least, next| if Worker::lanes(next) < Worker::lanes(least) { next } else { least };
        self.others.iter().fold(&self.first, fewer).seat()
    }

    /// Ends the threads, whatever is left there. Blocks.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
        for worker in std::iter::once(&self.first).chain(&self.others) {
            let thread = worker.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            if thread.is_some_and(|thread| thread.join().is_err()) {
                error!("a thread that served lanes has died");
            }
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Worker {
    fn start(number: usize, stop: CancellationToken) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let thread = thread::Builder::new().name(format!("lanes-{number}"));
        let thread = thread.spawn(move || run(runtime, &stop))?;
        Ok(Self { runtime: handle, lanes: Arc::default(), thread: Mutex::new(Some(thread)) })
    }

    fn lanes(&self) -> usize {
        self.lanes.load(Ordering::Relaxed)
    }

    fn seat(&self) -> Seat {
        self.lanes.fetch_add(1, Ordering::Relaxed);
        Seat { runtime: self.runtime.clone(), lanes: Arc::clone(&self.lanes) }
    }
}

fn run(runtime: Runtime, stop: &CancellationToken) {
    runtime.block_on(stop.cancelled());
    // What still blocks elsewhere must not hold up the end.
    runtime.shutdown_background();
}

impl Seat {
    /// Where to spawn what belongs to the lane.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.lanes.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The name of this thread, and of the one where a further task runs.
    async fn names() -> (String, String) {
        let name = || thread::current().name().unwrap_or_default().to_owned();
        let mut further = tokio::task::JoinSet::new();
        further.spawn(async move { name() });
        (name(), further.join_next().await.unwrap().unwrap())
    }

    #[tokio::test]
    async fn new_lanes_go_where_the_fewest_are_and_stay_there() {
        let workers = Workers::of(3).unwrap();
        let mut seats: Vec<Seat> = (0..6).map(|_| workers.seat()).collect();
        let counts = || [&workers.first, &workers.others[0], &workers.others[1]].map(Worker::lanes);
        assert_eq!(counts(), [2, 2, 2]);
        drop(seats.drain(2..4));
        assert_eq!(counts().iter().sum::<usize>(), 4);
        let seat = workers.seat();
        let (here, next) = seat.runtime().spawn(names()).await.unwrap();
        assert!(here.starts_with("lanes-"), "{here}");
        assert_eq!(here, next);
    }

    #[tokio::test]
    async fn stopping_ends_what_is_left() {
        let workers = Arc::new(Workers::of(2).unwrap());
        let seat = workers.seat();
        let runtime = seat.runtime().clone();
        let endless = runtime.spawn(async move {
            let _seat = seat;
            std::future::pending::<()>().await;
        });
        let stopping = Arc::clone(&workers);
        tokio::task::spawn_blocking(move || stopping.stop()).await.unwrap();
        assert!(endless.await.unwrap_err().is_cancelled());
        assert_eq!(workers.first.lanes() + workers.others[0].lanes(), 0);
        assert!(runtime.spawn(async {}).await.unwrap_err().is_cancelled());
    }
}
