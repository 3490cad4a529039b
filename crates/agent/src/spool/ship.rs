//! Sending closed entries to the Auth Service, in the order in which they were closed, and deleting what it has.
//!
//! An entry may be sent twice (after a restart, or when an answer was lost): the Auth Service drops the second by
//! its uid. A file is deleted when the Auth Service has every closing in it and no entry that was opened in it is
//! still open; closings of such entries in later files are durable by then.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use api::error::{ApiError, Chain};
use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::line::Kind;
use super::scan::{self, Passed};
use super::segment::{self, Segment};
use super::sync::State;
use super::{Shared, Shelf, Spool, locked};

/// How long closings gather into a batch.
const GATHER: Duration = Duration::from_millis(100);
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const LAST_RETRY: Duration = Duration::from_secs(10);
/// Entries that the Auth Service refused for good, a line of JSON each.
const REFUSED: &str = "refused.jsonl";

/// Where closed entries go.
pub(crate) trait Sink: Send + Sync {
    /// Stores a batch of events, a line of JSON each; whole or not at all.
    fn store(&self, lines: Bytes) -> impl Future<Output = Result<(), ApiError>> + Send;
}

impl Sink for api::Client {
    async fn store(&self, lines: Bytes) -> Result<(), ApiError> {
        self.store_audit(lines).await.map(drop)
    }
}

/// Sends entries until `stop`, and then what is left.
pub(crate) async fn ship<S: Sink>(spool: Arc<Spool>, sink: S, stop: CancellationToken) {
    let shipper = Shipper { shared: Arc::clone(&spool.shared), spool, sink, stop };
    shipper.run().await;
}

/// What became of a batch.
enum Sent {
    Stored,
    /// It will not be taken, however often it is sent.
    Refused,
    Stopped,
}

struct Shipper<S> {
    shared: Arc<Shared>,
    spool: Arc<Spool>,
    sink: S,
    stop: CancellationToken,
}

impl<S: Sink> Shipper<S> {
    async fn run(self) {
        let mut news = self.shared.progress.follow();
        loop {
            let is_last = self.stop.is_cancelled();
            news.mark_unchanged();
            self.send_all().await;
            self.clear(is_last).await;
            if is_last {
                return;
            }
            self.pause(&mut news).await;
        }
    }

    async fn pause(&self, news: &mut watch::Receiver<State>) {
        let gathered = async {
            // Silence, too, ends: a file may have become free to go.
            let _ = timeout(LONGEST_PAUSE, news.changed()).await;
            sleep(GATHER).await;
        };
        tokio::select! {
            () = gathered => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Sends everything that stands in the files now.
    async fn send_all(&self) {
        let numbers: Vec<_> =
            locked(&self.shared.shelves).iter().map(|shelf| shelf.segment.number()).collect();
        for number in numbers {
            if !self.send_segment(number).await {
                return;
            }
        }
    }

    /// Sends what stands in a file; whether the Auth Service has all of it now.
    async fn send_segment(&self, number: u64) -> bool {
        loop {
            let Some((segment, offset)) = self.place(number) else { return true };
            let (lines, passed) = match read(segment, offset).await {
                Ok(read) => read,
                Err(error) => {
                    error!(segment = number, %error, "could not read the audit spool");
                    return false;
                }
            };
            if !lines.is_empty() && !self.send(lines).await {
                return false;
            }
            self.set_shipped(number, passed.offset);
            if passed.is_end {
                return true;
            }
        }
    }

    /// Sends a batch, again and again; false if stopped meanwhile. Of a batch that is refused for
    /// what it says, the halves are sent by themselves, until the one bad entry is found: it is
    /// set aside, and the others go on.
    async fn send(&self, lines: Bytes) -> bool {
        let mut batches = vec![lines];
        while let Some(lines) = batches.pop() {
            match self.send_batch(lines.clone()).await {
                Sent::Stored => {}
                Sent::Stopped => return false,
                Sent::Refused => match halves(&lines) {
                    Some((first, second)) => batches.extend([second, first]),
                    None if self.set_aside(lines).await => {}
                    None => return false,
                },
            }
        }
        true
    }

    /// Keeps an entry that the Auth Service will never take, for people to look at.
    async fn set_aside(&self, line: Bytes) -> bool {
        let path = self.shared.settings.dir.join(REFUSED);
        let shown = path.display().to_string();
        let kept = tokio::task::spawn_blocking(move || append_synced(&path, &line)).await;
        match kept {
            Ok(Ok(())) => {
                error!(file = %shown, "the Auth Service refused an audit entry for good; it is kept in a file");
                true
            }
            Ok(Err(error)) => {
                error!(file = %shown, %error, "could not keep a refused audit entry; trying again");
                false
            }
            Err(_) => false,
        }
    }

    async fn send_batch(&self, lines: Bytes) -> Sent {
        let mut pause = FIRST_RETRY;
        loop {
            match self.sink.store(lines.clone()).await {
                Ok(()) => return Sent::Stored,
                Err(ApiError::Refused { status: 400 | 422, message, .. }) => {
                    debug!(%message, "the Auth Service refused a batch of audit entries");
                    return Sent::Refused;
                }
                Err(error) if error.is_passing() => {
                    debug!(error = %Chain(&error), "the Auth Service did not take audit entries; trying again");
                }
                Err(error) => {
                    warn!(error = %Chain(&error), "the Auth Service refused audit entries; trying again");
                }
            }
            if timeout(pause, self.stop.cancelled()).await.is_ok() {
                return self.sink.store(lines).await.map_or(Sent::Stopped, |()| Sent::Stored);
            }
            pause = (pause * 2).min(LAST_RETRY);
        }
    }

    fn place(&self, number: u64) -> Option<(Arc<Segment>, u64)> {
        let shelves = locked(&self.shared.shelves);
        let shelf = shelves.iter().find(|shelf| shelf.segment.number() == number)?;
        Some((Arc::clone(&shelf.segment), shelf.shipped))
    }

    fn set_shipped(&self, number: u64, offset: u64) {
        let mut shelves = locked(&self.shared.shelves);
        if let Some(shelf) = shelves.iter_mut().find(|shelf| shelf.segment.number() == number) {
            shelf.shipped = offset;
        }
    }

    /// Deletes the files that have done their duty.
    async fn clear(&self, is_last: bool) {
        let has_old = locked(&self.shared.shelves).len() > 1;
        // A running sync holds the files that it syncs: once everything is durable, it has let them go.
        if !(has_old || is_last) || !self.make_durable().await {
            return;
        }
        let mut done = Vec::new();
        for number in self.idle(is_last) {
            // Nobody can write to it any more, so that one more pass sees all there will ever be.
            if self.send_segment(number).await {
                done.push(number);
            }
        }
        // The closings of their entries, wherever they stand, must be durable first.
        if done.is_empty() || !self.make_durable().await {
            return;
        }
        let gone = self.take(&done);
        let shared = Arc::clone(&self.shared);
        let deleted = tokio::task::spawn_blocking(move || delete(&shared, &gone)).await;
        if let Ok(Err(error)) = deleted {
            warn!(%error, "could not delete a file of the audit spool");
        }
    }

    async fn make_durable(&self) -> bool {
        let written = self.shared.written.load(Ordering::SeqCst);
        self.shared.wanted.fetch_max(written, Ordering::SeqCst);
        self.spool.syncer.wake();
        self.shared.durable(written).await.is_ok()
    }

    /// Files to which nobody can write and in which no entry is open.
    fn idle(&self, is_last: bool) -> Vec<u64> {
        let current = self.shared.current.load().number();
        let mut shelves = locked(&self.shared.shelves);
        let mut idle = Vec::new();
        for shelf in shelves.iter_mut() {
            let number = shelf.segment.number();
            if number == current && !is_last {
                continue;
            }
            let is_free = if number == current {
                seal_last(&shelf.segment)
            } else {
                Arc::get_mut(&mut shelf.segment).is_some()
            };
            if is_free && shelf.segment.is_settled() {
                idle.push(number);
            }
        }
        idle
    }

    fn take(&self, numbers: &[u64]) -> Vec<Arc<Segment>> {
        let mut shelves = locked(&self.shared.shelves);
        let is_gone = |shelf: &mut Shelf| numbers.contains(&shelf.segment.number());
        shelves.extract_if(.., is_gone).map(|shelf| shelf.segment).collect()
    }
}

/// Ends the current file if no entry is open in it: whether that was so. Whoever comes later begins a new one.
fn seal_last(current: &Arc<Segment>) -> bool {
    // The spool holds it twice: among the others, and as the current one.
    let is_free = || Arc::strong_count(current) == 2;
    if !is_free() {
        return false;
    }
    current.seal();
    let is_free = is_free();
    fence(Ordering::Acquire);
    is_free
}

/// Splits a batch between two lines, about in the middle; `None` for a single line.
fn halves(lines: &Bytes) -> Option<(Bytes, Bytes)> {
    let ends =
        || lines.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let middle = lines.len() / 2;
    let cut = ends().filter(|end| *end < lines.len()).min_by_key(|end| end.abs_diff(middle))?;
    Some((lines.slice(..cut), lines.slice(cut..)))
}

fn append_synced(path: &std::path::Path, line: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    file.write_all(line)?;
    if !line.ends_with(b"\n") {
        file.write_all(b"\n")?;
    }
    file.sync_all()
}

/// Deletes what can be deleted, and tells of the first that could not: the next start tries again.
fn delete(shared: &Shared, segments: &[Arc<Segment>]) -> io::Result<()> {
    let mut result = Ok(());
    for segment in segments {
        match segment.delete() {
            Ok(()) => drop(shared.bytes.fetch_sub(segment.bytes(), Ordering::Relaxed)),
            Err(error) => result = result.and(Err(error)),
        }
    }
    segment::sync_dir(&shared.settings.dir).and(result)
}

/// Reads the closings of one chunk.
async fn read(segment: Arc<Segment>, offset: u64) -> io::Result<(Bytes, Passed)> {
    let reading = tokio::task::spawn_blocking(move || {
        let mut buffer = Vec::new();
        let mut lines = BytesMut::new();
        let passed = scan::pass(&segment, offset, &mut buffer, &mut |line| {
            if line.kind == Kind::Closed {
                lines.put_slice(line.json);
                lines.put_u8(b'\n');
            }
        })?;
        Ok((lines.freeze(), passed))
    });
    reading.await.map_err(io::Error::other)?
}
