//! A few read-only connections, lent out one at a time.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Access, OpenError, connect};
use crate::refusal::Refusal;

/// Connections.
const READERS: usize = 4;
/// How long a caller waits for one.
const PATIENCE: Duration = Duration::from_secs(10);

/// The connections.
#[derive(Debug)]
pub(super) struct Readers {
    free: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

/// A connection that can only read.
pub(crate) struct Reader<'a> {
    pub(super) connection: &'a Connection,
}

impl Readers {
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let free: Result<Vec<_>, _> = (0..READERS).map(|_| connect(path, Access::Read)).collect();
        let permits = Arc::new(Semaphore::new(READERS));
        Ok(Self { free: Arc::new(Mutex::new(free?)), permits })
    }

    pub(super) async fn read<T, F>(&self, act: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: FnOnce(&Reader<'_>) -> Result<T, Refusal> + Send + 'static,
    {
        let busy = || Refusal::busy("the store has too much to read; try again");
        let permit = timeout(PATIENCE, Arc::clone(&self.permits).acquire_owned()).await;
        let permit = permit.map_err(|_| busy())?.map_err(|_| busy())?;
        let free = Arc::clone(&self.free);
        let read = tokio::task::spawn_blocking(move || {
            let connection = free.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(connection) = connection else {
                return Err(Refusal::broken("the store failed", "a reading connection was lost"));
            };
            let result = in_snapshot(&connection, act);
            free.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            drop(permit);
            result
        });
        read.await.map_err(|error| Refusal::broken("a read panicked", error))?
    }
}

/// All statements of one read see one state.
fn in_snapshot<T>(
    connection: &Connection,
    act: impl FnOnce(&Reader<'_>) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let tx = connection.unchecked_transaction()?;
    let result = act(&Reader { connection: &tx });
    tx.finish()?;
    result
}

impl Reader<'_> {
    /// Whether the file can be read.
    pub(crate) fn ping(&self) -> Result<(), Refusal> {
        self.connection.query_row("SELECT 1", [], |_| Ok(()))?;
        Ok(())
    }
}
