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
    seats: Vec<Seat>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    stop: CancellationToken,
}

/// A place on one of the threads, taken as long as a clone of `count` lives.
#[derive(Clone)]
pub(crate) struct Seat {
    handle: Handle,
    count: Arc<AtomicUsize>,
}

/// Counts a lane on its thread.
pub(crate) struct Taken(Arc<AtomicUsize>);

impl Workers {
    /// A thread for each core that the process may use.
    pub(crate) fn start() -> io::Result<Self> {
        let stop = CancellationToken::new();
        let (mut seats, mut threads) = (Vec::new(), Vec::new());
        for number in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            seats.push(Seat { handle: runtime.handle().clone(), count: Arc::default() });
            let (thread, stop) = (thread::Builder::new(), stop.clone());
            threads.push(thread.name(format!("lanes-{number}")).spawn(|| run(runtime, stop))?);
        }
        Ok(Self { seats, threads: Mutex::new(threads), stop })
    }

    /// A place on the thread with the fewest lanes.
    pub(crate) fn seat(&self) -> Option<Seat> {
        self.seats.iter().min_by_key(|seat| seat.count.load(Ordering::Relaxed)).cloned()
    }

    /// Ends the threads, whatever is left there. Blocks.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
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

impl Seat {
    /// Takes the place, for as long as the guard lives.
    pub(crate) fn take(&self) -> Taken {
        self.count.fetch_add(1, Ordering::Relaxed);
        Taken(Arc::clone(&self.count))
    }

    /// Where to spawn what belongs there.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn run(runtime: Runtime, stop: CancellationToken) {
    runtime.block_on(stop.cancelled());
    // What still blocks elsewhere must not hold up the end.
    runtime.shutdown_background();
}
