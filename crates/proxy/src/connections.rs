//! Every connection's task: counted, waited for at the end, and cut on demand.
//!
//! Cutting is aborting the task, which drops both ends. So the copying of bytes
//! has nothing to look at, and no lock is taken but at start and end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

use crate::splice::Steps;

/// How often, and how many times in a row, a connection must be found still before it counts as quiet.
const LOOKS: (Duration, u8) = (Duration::from_millis(200), 5);

/// Names one connection of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ConnectionId(u64);

impl ConnectionId {
    /// Its number, for the log.
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

/// All connections.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    tracker: TaskTracker,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    last: u64,
    tasks: HashMap<ConnectionId, Running>,
}

#[derive(Debug, Clone)]
struct Running {
    task: AbortHandle,
    steps: Steps,
}

impl Connections {
    /// Runs a connection's task. It counts its steps where it passes bytes on.
    pub(crate) fn spawn<F>(self: &Arc<Self>, serve: impl FnOnce(ConnectionId, Steps) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut open = self.lock();
        open.last = open.last.wrapping_add(1);
        let id = ConnectionId(open.last);
        let ending = Ending { connections: Arc::clone(self), id };
        let steps = Steps::default();
        let serving = serve(id, steps.clone());
        // `ending` waits for the lock held here, so that it never comes before the insertion.
        let task = self.tracker.spawn(async move {
            let _ending = ending;
            serving.await;
        });
        open.tasks.insert(id, Running { task: task.abort_handle(), steps });
    }

    /// Cuts one connection, if it is still there.
    pub(crate) fn cut(&self, id: ConnectionId) {
        let running = self.lock().tasks.get(&id).cloned();
        if let Some(running) = running {
            running.task.abort();
        }
    }

    /// Cuts those that pass bytes on and on which nothing moves any more, for
    /// ever. A tunnel, which counts no steps, ends by itself with its last stream.
    pub(crate) async fn cut_quiet(&self) {
        let mut seen = HashMap::new();
        loop {
            tokio::time::sleep(LOOKS.0).await;
            let open: Vec<(ConnectionId, Running)> =
                self.lock().tasks.iter().map(|(id, running)| (*id, running.clone())).collect();
            for (id, running) in open {
                let is_quiet = is_quiet(seen.entry(id).or_default(), running.steps.count());
                is_quiet.then(|| running.task.abort());
            }
        }
    }

    /// Cuts all.
    pub(crate) fn cut_all(&self) {
        let open: Vec<Running> = self.lock().tasks.values().cloned().collect();
        for running in open {
            running.task.abort();
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.lock().tasks.len()
    }

    /// Waits until all have ended. No new ones must be started any more.
    pub(crate) async fn all_ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Steps at the last look, and looks in a row that found them the same.
type Seen = (u64, u8);

fn is_quiet((last, still): &mut Seen, steps: u64) -> bool {
    *still = if *last == steps { still.saturating_add(1) } else { 0 };
    *last = steps;
    steps > 0 && *still >= LOOKS.1
}

/// Takes a connection off the list when its task ends, is cut or panics.
struct Ending {
    connections: Arc<Connections>,
    id: ConnectionId,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.connections.lock().tasks.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_cut_connection_ends_and_the_others_go_on() {
        let connections = Arc::new(Connections::default());
        let (say, heard) = oneshot::channel();
        let (done, ended) = oneshot::channel::<()>();
        connections.spawn(|id, _| async move {
            let _done = done;
            say.send(id).unwrap();
            std::future::pending::<()>().await;
        });
        connections.spawn(|_, _| std::future::pending());
        connections.cut(heard.await.unwrap());
        assert!(ended.await.is_err(), "dropped with its task");
        while connections.count() != 1 {
            tokio::task::yield_now().await;
        }
        connections.cut_all();
        connections.all_ended().await;
        assert_eq!(connections.count(), 0);
    }

    async fn trickle(steps: Steps) {
        loop {
            steps.step();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_connection_is_cut_and_a_busy_one_or_a_tunnel_is_not() {
        let connections = Arc::new(Connections::default());
        connections.spawn(|_, steps| async move {
            steps.step();
            std::future::pending::<()>().await;
        });
        connections.spawn(|_, steps| trickle(steps));
        connections.spawn(|_, _| std::future::pending());
        let looking = tokio::time::timeout(Duration::from_secs(30), connections.cut_quiet());
        looking.await.unwrap_err();
        assert_eq!(connections.count(), 2);
    }

    #[tokio::test]
    async fn a_finished_connection_is_forgotten() {
        let connections = Arc::new(Connections::default());
        connections.spawn(|_, _| async {});
        connections.all_ended().await;
        assert_eq!(connections.count(), 0);
    }
}
