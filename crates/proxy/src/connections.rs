//! Every connection's task: counted, waited for at the end, and cut on demand.
//!
//! Cutting is aborting the task, which drops both ends. So the copying of bytes
//! has nothing to look at, and no lock is taken but at start and end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

/// Names one connection of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ConnectionId(u64);

/// All connections.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    tracker: TaskTracker,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    last: u64,
    tasks: HashMap<ConnectionId, AbortHandle>,
}

impl Connections {
    /// Runs a connection's task.
    pub(crate) fn spawn<F>(self: &Arc<Self>, serve: impl FnOnce(ConnectionId) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut open = self.lock();
        open.last = open.last.wrapping_add(1);
        let id = ConnectionId(open.last);
        let ending = Ending { connections: Arc::clone(self), id };
        let serving = serve(id);
        // `ending` waits for the lock held here, so that it never comes before the insertion.
        let task = self.tracker.spawn(async move {
            let _ending = ending;
            serving.await;
        });
        open.tasks.insert(id, task.abort_handle());
    }

    /// Cuts one connection, if it is still there.
    pub(crate) fn cut(&self, id: ConnectionId) {
        let task = self.lock().tasks.get(&id).cloned();
        if let Some(task) = task {
            task.abort();
        }
    }

    /// Cuts all.
    pub(crate) fn cut_all(&self) {
        let tasks: Vec<AbortHandle> = self.lock().tasks.values().cloned().collect();
        for task in tasks {
            task.abort();
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
        connections.spawn(|id| async move {
            let _done = done;
            say.send(id).unwrap();
            std::future::pending::<()>().await;
        });
        connections.spawn(|_| std::future::pending());
        connections.cut(heard.await.unwrap());
        assert!(ended.await.is_err(), "dropped with its task");
        while connections.count() != 1 {
            tokio::task::yield_now().await;
        }
        connections.cut_all();
        connections.all_ended().await;
        assert_eq!(connections.count(), 0);
    }

    #[tokio::test]
    async fn a_finished_connection_is_forgotten() {
        let connections = Arc::new(Connections::default());
        connections.spawn(|_| async {});
        connections.all_ended().await;
        assert_eq!(connections.count(), 0);
    }
}
