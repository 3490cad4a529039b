//! The lanes that agents hold ready, and those in use: each one TCP connection for one app connection.
//!
//! An agent proves itself on a lane as on its tunnel. A lane that nobody has taken is a promise only: where it fails, the
//! tunnel carries the connection.

use std::collections::HashMap;
use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use access::HostId;
use bytes::Bytes;
use rustls_pki_types::CertificateDer;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tracing::debug;
use tunnel::{LaneError, LaneHead, Records};

use crate::rewind::Rewind;

/// Lanes that an agent may hold ready at once: more than it needs are closed.
const MOST_READY: usize = 16;
/// How long a lane may take to be taken: the connection stands already.
const PATIENCE: Duration = Duration::from_secs(2);

/// What TLS runs on until a lane is taken.
pub(crate) type LaneIo = Records<Rewind<TcpStream>>;

/// All lanes.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    hosts: Mutex<HashMap<HostId, Vec<Entry>>>,
    last: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    certificates: Vec<CertificateDer<'static>>,
    /// The same connection, for cutting it.
    handle: std::net::TcpStream,
    /// Until it is taken.
    ready: Option<oneshot::Sender<Wanted>>,
}

/// What a lane is wanted for.
#[derive(Debug)]
struct Wanted {
    head: LaneHead,
    first: Bytes,
    reply: oneshot::Sender<Lane>,
}

/// Why a lane could not be taken.
#[derive(Debug, Error)]
pub(crate) enum NoLane {
    /// It was given up meanwhile, or failed; its own task has said why.
    #[error("the lane has ended")]
    Ended,
    #[error("the lane did not move in time")]
    Late,
}

/// A lane in use: bytes to the agent and back.
#[derive(Debug)]
pub(crate) struct Lane {
    tcp: TcpStream,
    /// Dropped with it, which ends the lane's own task.
    _in_use: oneshot::Sender<()>,
}

impl Lanes {
    /// Keeps a lane until it has ended: ready, then in use.
    pub(crate) async fn keep(
        &self,
        host: HostId,
        certificates: Vec<CertificateDer<'static>>,
        (mut tls, handle): (TlsStream<LaneIo>, std::net::TcpStream),
    ) -> Result<(), LaneError> {
        let (ready, wanted) = oneshot::channel();
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        let entry = Entry { number, certificates, handle, ready: Some(ready) };
        let _listed = self.list(host, entry);
        let wanted = tokio::select! {
            wanted = wanted => wanted,
            ended = tunnel::lane::idle(&mut tls) => return Err(ended),
        };
        // Not wanted any more.
        let Ok(Wanted { head, first, reply }) = wanted else { return Ok(()) };
        let io = tunnel::lane::take(tls, &head, &first).await?;
        let tcp = io.into_inner().ok_or(LaneError::Spoke)?;
        let (in_use, over) = oneshot::channel();
        // Whoever wanted it may be gone: it ends then.
        let _ = reply.send(Lane { tcp, _in_use: in_use });
        let _ = over.await;
        Ok(())
    }

    /// Takes a lane of `host`, if one is ready.
    pub(crate) async fn take(
        &self,
        host: &HostId,
        head: LaneHead,
        first: &Bytes,
    ) -> Option<Result<Lane, NoLane>> {
        let ready = self.next(host)?;
        let (reply, taken) = oneshot::channel();
        if ready.send(Wanted { head, first: first.clone(), reply }).is_err() {
            return Some(Err(NoLane::Ended));
        }
        Some(match timeout(PATIENCE, taken).await {
            Ok(Ok(lane)) => Ok(lane),
            Ok(Err(_)) => Err(NoLane::Ended),
            Err(_) => {
                // What stands beside it came the same way.
                self.close_ready(|other| other == host);
                Err(NoLane::Late)
            }
        })
    }

    /// The one that has been ready for the shortest time: it is the likeliest to be alive.
    fn next(&self, host: &HostId) -> Option<oneshot::Sender<Wanted>> {
        let mut hosts = self.lock();
        hosts.get_mut(host)?.iter_mut().rev().find_map(|entry| entry.ready.take())
    }

    /// How many connections an agent has by lanes.
    pub(crate) fn in_use(&self, host: &HostId) -> usize {
        let hosts = self.lock();
        let entries = hosts.get(host).map(Vec::as_slice).unwrap_or_default();
        entries.iter().filter(|entry| entry.ready.is_none()).count()
    }

    /// How many there are, ready or in use.
    pub(crate) fn count(&self) -> usize {
        self.lock().values().map(Vec::len).sum()
    }

    /// Cuts the lanes, in use or not, of which `is_refused` says so.
    pub(crate) fn cut(&self, is_refused: impl Fn(&HostId, &[CertificateDer<'static>]) -> bool) {
        let hosts = self.lock();
        for (host, entries) in hosts.iter() {
            for entry in entries.iter().filter(|entry| is_refused(host, &entry.certificates)) {
                // Fails only when it is gone already.
                let _ = entry.handle.shutdown(Shutdown::Both);
            }
        }
    }

    /// Gives up what nobody has taken.
    pub(crate) fn close_ready(&self, is_meant: impl Fn(&HostId) -> bool) {
        let mut hosts = self.lock();
        let meant = hosts.iter_mut().filter(|(host, _)| is_meant(host));
        for entry in meant.flat_map(|(_, entries)| entries) {
            entry.ready = None;
        }
    }

    fn list(&self, host: HostId, entry: Entry) -> Listed<'_> {
        let listed = Listed { lanes: self, host: host.clone(), number: entry.number };
        let mut hosts = self.lock();
        let entries = hosts.entry(host).or_default();
        entries.push(entry);
        let surplus = entries.iter().filter(|entry| entry.ready.is_some()).count();
        let surplus = surplus.saturating_sub(MOST_READY);
        let ready = entries.iter_mut().filter(|entry| entry.ready.is_some());
        for oldest in ready.take(surplus) {
            debug!(agent = %listed.host, "too many lanes are ready; the oldest is closed");
            oldest.ready = None;
        }
        listed
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<HostId, Vec<Entry>>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Another handle of the same connection.
pub(crate) fn handle_of(tcp: &TcpStream) -> io::Result<std::net::TcpStream> {
    Ok(tcp.as_fd().try_clone_to_owned()?.into())
}

/// Takes a lane off the list when its task ends, is cut or panics.
struct Listed<'a> {
    lanes: &'a Lanes,
    host: HostId,
    number: u64,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        let mut hosts = self.lanes.lock();
        if let Some(entries) = hosts.get_mut(&self.host) {
            entries.retain(|entry| entry.number != self.number);
        }
        hosts.retain(|_, entries| !entries.is_empty());
    }
}

impl AsyncRead for Lane {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Lane {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
