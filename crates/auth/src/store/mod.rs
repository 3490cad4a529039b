//! The store: one SQLite file that only this process opens.
//!
//! Writes go through one thread ([`writer`]) which commits those that wait
//! together in one transaction, each in a savepoint of its own; reads use a few
//! read-only connections ([`readers`]). A state change, its audit event and
//! what watchers are told of it are one act: they happen together or not at
//! all. No rule is decided here.

mod audit;
mod audit_index;
mod audit_search;
mod audit_tail;
mod audit_words;
mod authorities;
mod credentials;
mod devices;
mod invites;
mod overview;
mod pages;
mod readers;
mod resources;
mod schema;
mod servers;
mod sessions;
mod signing_keys;
mod terms;
mod time;
mod tx;
mod web_certificates;
mod web_sessions;
mod words;
mod writer;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use api::files::{self, FileError};
use rusqlite::{Connection, OpenFlags};
use thiserror::Error;

use crate::refusal::Refusal;
use crate::watch::Hub;

pub(crate) use audit::{Prepared, Stored};
pub(crate) use audit_search::Bounds;
pub(crate) use authorities::StoredAuthority;
pub(crate) use credentials::Credentials;
pub(crate) use devices::{Device, Factor};
pub(crate) use invites::StoredInvite;
pub(crate) use overview::Requests;
pub(crate) use pages::{Part, words_of};
pub(crate) use readers::Reader;
pub(crate) use resources::{Shelf, not_found};
pub(crate) use terms::Terms;
pub(crate) use tx::Tx;
pub(crate) use web_sessions::StoredWebSession;

use readers::Readers;
use writer::{Company, Writer};

/// Name of the store's folder in `data_dir`.
const FOLDER: &str = "auth";
const FILE: &str = "store.sqlite";
const LOCK: &str = "lock";

/// The open store.
#[derive(Debug)]
pub(crate) struct Store {
    writer: Writer,
    readers: Readers,
    path: PathBuf,
    /// Held while the store is open, so that a second process is refused.
    lock: Mutex<Option<File>>,
}

/// Why the store could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// A folder or file could not be made.
    #[error(transparent)]
    Folder(#[from] FileError),
    /// The file cannot be opened or locked.
    #[error("could not open {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process has it.
    #[error("another Auth Service is using {}; stop it first", path.display())]
    InUse {
        /// Which.
        path: PathBuf,
    },
    /// It was written by a newer version.
    #[error("the store has schema {found}, newer than {known}; use the version that wrote it")]
    Newer {
        /// The file's.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// SQLite refused.
    #[error("the store failed")]
    Sqlite(#[from] rusqlite::Error),
    /// The writer could not be started.
    #[error("could not start the store's thread")]
    Thread(#[source] std::io::Error),
}

impl Store {
    /// Opens or makes the store in `data_dir`. Blocks: call it off the async threads.
    pub(crate) fn open(data_dir: &Path, hub: Arc<Hub>) -> Result<Self, OpenError> {
        let folder = data_dir.join(FOLDER);
        files::private_folder(&folder)?;
        let lock = lock(&folder.join(LOCK))?;
        let path = folder.join(FILE);
        private_file(&path)?;
        let mut connection = connect(&path, Access::Write)?;
        schema::migrate(&mut connection)?;
        audit_index::catch_up(&mut connection)?;
        pages::catch_up(&mut connection)?;
        let readers = Readers::open(&path)?;
        let writer = Writer::start(connection, hub)?;
        Ok(Self { writer, readers, path, lock: Mutex::new(Some(lock)) })
    }

    /// Does `act` in a savepoint of the next transaction. When this returns, what it did is on disk.
    pub(crate) async fn write<T, F>(&self, act: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, Refusal> + Send + 'static,
    {
        self.writer.write(act, Company::Shared).await
    }

    /// The same in a transaction of its own: for writes of very many rows.
    pub(crate) async fn write_alone<T, F>(&self, act: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, Refusal> + Send + 'static,
    {
        self.writer.write(act, Company::Alone).await
    }

    /// Reads with one of the read-only connections.
    pub(crate) async fn read<T, F>(&self, act: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: FnOnce(&Reader<'_>) -> Result<T, Refusal> + Send + 'static,
    {
        self.readers.read(act).await
    }

    /// Tells of the number of the newest entry of the log whenever it grows.
    pub(crate) fn audit_heads(&self) -> tokio::sync::watch::Receiver<u64> {
        self.writer.heads()
    }

    /// Whether reading and writing work.
    pub(crate) async fn ping(&self) -> Result<(), Refusal> {
        self.read(|reader| reader.ping()).await?;
        self.write(|_| Ok(())).await
    }

    /// Lets the waiting writes finish and closes the file.
    pub(crate) async fn close(&self) {
        self.writer.close().await;
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

fn connect(path: &Path, access: Access) -> Result<Connection, rusqlite::Error> {
    let flags = match access {
        Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
    };
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    if access == Access::Write {
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "secure_delete", true)?;
        connection.pragma_update(None, "wal_autocheckpoint", 4_000)?;
        connection.pragma_update(None, "journal_size_limit", 64 * 1_024 * 1_024)?;
    } else {
        connection.pragma_update(None, "query_only", true)?;
    }
    Ok(connection)
}

/// Makes the file with mode 0600 before SQLite would make it with another; its journal inherits the mode.
fn private_file(path: &Path) -> Result<File, OpenError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(path).map_err(|source| OpenError::File { path: path.to_owned(), source })
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let file = private_file(path)?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::InUse { path: path.to_owned() }),
        Err(error) => Err(OpenError::File { path: path.to_owned(), source: error.into() }),
    }
}
