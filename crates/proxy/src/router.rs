//! The one port: accepts, reads a ClientHello, sends each connection on its road.
//!
//! Everything before that is bounded: how many may wait, how many of one
//! address, how long, how many bytes. Nothing else than the ClientHello is trusted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use access::AppSessionId;
use api::error::Chain;
use bytes::Bytes;
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tracing::{Instrument as _, debug, info, info_span, warn};
use tunnel::Traffic;

use crate::agents::{Agents, NoAgent, NoTunnel};
use crate::certificates::{Certificates, NoAnswer, NoCertificate};
use crate::config::Limits;
use crate::connections::{ConnectionId, Connections};
use crate::hello::{self, BadHello};
use crate::places::{Place, Places};
use crate::rewind::Rewind;
use crate::road::{self, NoRoad, Road};
use crate::sessions::Sessions;
use crate::snapshot::NotLive;
use crate::splice::{SpliceError, Steps, Watched, splice};
use crate::web::WebRoad;

/// Pause after the system refused to accept, e.g. because it has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a refused connection may take to hear why.
const FAREWELL: Duration = Duration::from_secs(2);

/// Answer to plain HTTP.
const PLAIN_HTTP: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Connection: close\r\nContent-Length: 43\r\n\r\nThis port speaks TLS. Begin with https://.\n";

/// Fatal TLS alerts (RFC 8446, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Alert {
    InternalError = 80,
    UnrecognizedName = 112,
    NoApplicationProtocol = 120,
}

/// The six roads and what guards their beginning.
pub(crate) struct Router {
    pub(crate) connections: Arc<Connections>,
    pub(crate) limits: Limits,
    pub(crate) auth_addr: String,
    pub(crate) agents: Arc<Agents>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) web: WebRoad,
    /// For connections that have not been told apart yet.
    pub(crate) waiting: Arc<Places>,
}

/// Why a connection came to nothing.
#[derive(Debug, Error)]
enum Failed {
    #[error("bad start")]
    Hello(#[from] BadHello),
    #[error("too slow")]
    Late,
    #[error("no road")]
    Road(#[from] NoRoad),
    #[error("app session refused")]
    Session(#[from] NotLive),
    #[error("no agent")]
    Agent(#[from] NoAgent),
    #[error("no tunnel")]
    Tunnel(#[from] NoTunnel),
    #[error("no certificate")]
    Certificate(#[from] NoCertificate),
    #[error("a CA's question was not answered")]
    Challenge(#[from] NoAnswer),
    #[error("the Auth Service cannot be reached at {address}")]
    Auth { address: String, source: std::io::Error },
    #[error("passing on ended")]
    Splice(#[from] SpliceError),
    #[error("passing on ended")]
    Stream(#[source] std::io::Error),
}

impl Router {
    /// Accepts for ever.
    pub(crate) async fn accept(self: Arc<Self>, listener: TcpListener) {
        let open = Arc::new(Semaphore::new(self.limits.connections.min(Semaphore::MAX_PERMITS)));
        let mut was_full = false;
        loop {
            let is_full = open.available_permits() == 0;
            if is_full && !was_full {
                warn!(limit = self.limits.connections, "too many connections; new ones wait");
            }
            was_full = is_full;
            let Ok(place) = Arc::clone(&open).acquire_owned().await else { return };
            let (tcp, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(error = %Chain(&error), "could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            match self.waiting.enter(peer.ip()) {
                Some(slot) => self.take(tcp, peer, place, slot),
                None => debug!(%peer, "too many connections wait to be told apart; dropped"),
            }
        }
    }

    fn take(
        self: &Arc<Self>,
        tcp: TcpStream,
        peer: SocketAddr,
        place: OwnedSemaphorePermit,
        slot: Place,
    ) {
        let router = Arc::clone(self);
        self.connections.spawn(|id, steps| {
            let span = info_span!("connection", id = id.number(), %peer);
            let serving = async move {
                let _place = place;
                let served = Box::pin(router.serve(tcp, peer, (id, steps), slot)).await;
                served.unwrap_or_else(|failed| tell(&failed));
            };
            serving.instrument(span)
        });
    }

    async fn serve(
        &self,
        mut tcp: TcpStream,
        peer: SocketAddr,
        (id, steps): (ConnectionId, Steps),
        slot: Place,
    ) -> Result<(), Failed> {
        tcp.set_nodelay(true).map_err(Failed::Stream)?;
        let read = timeout(self.limits.handshake, hello::read(&mut tcp)).await;
        drop(slot);
        let decided = match read {
            Err(_) => Err(Failed::Late),
            Ok(Err(bad)) => Err(bad.into()),
            Ok(Ok((hello, first))) => {
                road::decide(&hello).map(|road| (road, hello, first)).map_err(Failed::from)
            }
        };
        let went = match decided {
            Err(failed) => Err(failed),
            Ok((Road::Auth, _, first)) => self.to_auth(Watched::new(&mut tcp, steps), &first).await,
            Ok((Road::App(session), _, first)) => {
                let client = Watched::new(&mut tcp, steps);
                self.to_agent(client, &first, (&session, id), peer).await
            }
            Ok((Road::Tunnel, _, first)) => {
                return Ok(self.agents.serve(Rewind::new(first, tcp), peer).await?);
            }
            Ok((Road::Lane, _, first)) => {
                return Ok(self.agents.serve_lane(Rewind::new(first, tcp), peer).await?);
            }
            Ok((Road::Challenge(name), _, first)) => {
                let io = Rewind::new(first, &mut tcp);
                let answering = self.certificates.answer(io, &name);
                let answered = timeout(self.limits.handshake, answering).await;
                answered.map_or(Err(Failed::Late), |answered| answered.map_err(Failed::from))
            }
            Ok((Road::Web, hello, first)) => {
                match self.certificates.ready(hello.server_name.as_deref()).await {
                    Ok(()) => {
                        let name = hello.server_name.as_deref();
                        Box::pin(self.web.serve(Rewind::new(first, tcp), peer, name)).await;
                        return Ok(());
                    }
                    Err(none) => Err(none.into()),
                }
            }
        };
        if let Err(failed) = &went {
            bid_farewell(tcp, failed).await;
        }
        went
    }

    async fn to_auth(&self, client: Watched<&mut TcpStream>, first: &Bytes) -> Result<(), Failed> {
        let connecting = async {
            let mut auth = TcpStream::connect(&self.auth_addr).await?;
            auth.set_nodelay(true)?;
            auth.write_all(first).await?;
            Ok(auth)
        };
        let connected = match timeout(self.limits.open, connecting).await {
            Ok(connected) => connected,
            Err(late) => Err(late.into()),
        };
        let mut auth =
            connected.map_err(|source| Failed::Auth { address: self.auth_addr.clone(), source })?;
        let moved = splice(client, &mut auth, self.limits.idle).await?;
        debug!(up = moved.up, down = moved.down, "connection to the Auth Service closed");
        Ok(())
    }

    async fn to_agent(
        &self,
        mut client: Watched<&mut TcpStream>,
        first: &Bytes,
        (session, id): (&AppSessionId, ConnectionId),
        peer: SocketAddr,
    ) -> Result<(), Failed> {
        let admitted = self.sessions.admit(session, id).await?;
        let session = &admitted.session;
        let agent = self.agents.open(&session.app, first, peer).await?;
        info!(user = %session.user, app = %session.app, "app connection opened");
        let mut traffic = Traffic::default();
        let ended = agent.splice(&mut client, self.limits.idle, &mut traffic).await;
        info!(
            user = %session.user,
            app = %session.app,
            up = traffic.sent,
            down = traffic.received,
            "app connection closed"
        );
        ended.map_err(Failed::Stream)
    }
}

/// What the log says of a connection that came to nothing: strangers' noise only on demand.
fn tell(failed: &Failed) {
    match failed {
        Failed::Auth { .. } | Failed::Agent(_) => {
            warn!(error = %Chain(failed), "connection refused")
        }
        // Anybody can fail a handshake; who passes it and is refused shows us a certificate of ours.
        Failed::Tunnel(NoTunnel::Late | NoTunnel::Handshake(_)) => {
            info!(error = %Chain(failed), "tunnel refused");
        }
        Failed::Tunnel(_) => warn!(error = %Chain(failed), "tunnel refused"),
        Failed::Session(_) | Failed::Certificate(_) => {
            info!(error = %Chain(failed), "connection refused")
        }
        Failed::Hello(_) | Failed::Late | Failed::Road(_) | Failed::Challenge(_) => {
            debug!(error = %Chain(failed), "connection refused");
        }
        Failed::Splice(_) | Failed::Stream(_) => debug!(error = %Chain(failed), "connection ended"),
    }
}

/// Tells the client why, where TLS has a word for it, and closes without losing that word.
async fn bid_farewell(mut tcp: TcpStream, failed: &Failed) {
    let word = match failed {
        Failed::Hello(BadHello::PlainHttp) => PLAIN_HTTP.to_vec(),
        Failed::Hello(BadHello::Malformed { alert, .. }) => alert.clone(),
        Failed::Road(NoRoad::Protocol | NoRoad::Mixed) => Alert::NoApplicationProtocol.record(),
        Failed::Session(NotLive::Unsure)
        | Failed::Agent(_)
        | Failed::Certificate(_)
        | Failed::Auth { .. } => Alert::InternalError.record(),
        Failed::Challenge(NoAnswer::NotAsked { .. }) => Alert::UnrecognizedName.record(),
        Failed::Road(NoRoad::ServerName) | Failed::Session(_) => Alert::UnrecognizedName.record(),
        _ => return,
    };
    let saying = async {
        tcp.write_all(&word).await?;
        tcp.shutdown().await?;
        // What the client still sends is read away: closing with bytes unread
        // would reset the connection, and the word with it.
        let mut sink = [0; 1024];
        while tcp.read(&mut sink).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    // The client may be gone already; nobody is left to tell then.
    let _ = timeout(FAREWELL, saying).await;
}

impl Alert {
    /// The alert as a record of its own.
    fn record(self) -> Vec<u8> {
        vec![21, 3, 3, 0, 2, 2, self as u8]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_plain_http_has_its_length() {
        let text = std::str::from_utf8(PLAIN_HTTP).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{}", body.len());
    }
}
