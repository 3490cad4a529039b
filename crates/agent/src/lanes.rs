//! Holds lanes ready at every proxy: connections of their own for single streams, dialled before anybody needs them.
//!
//! A proxy that takes one has its bytes served as those of a tunnel's stream; the next one is dialled at once.

use std::sync::Arc;
use std::time::Duration;

use api::error::Chain;
use rustix::net::sockopt;
use rustls::ClientConfig;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::task::JoinError;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument as _, debug, info_span};
use tunnel::{Backoff, Channel, LaneError, LaneHead, Records};

use crate::chance::chance;
use crate::tunnels::{self, DialError, Tunnels};
use crate::workers::{Seat, Workers};

/// How many are ready at each proxy. What comes in a burst beyond goes by the tunnel.
pub(crate) const READY: usize = 2;
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// A proxy that takes no lanes is asked now and then: its tunnel carries everything meanwhile.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A connection on which nothing moves is asked whether it lives: it also keeps the way through NAT open.
const ALIVE: Duration = Duration::from_secs(30);
const ALIVE_AGAIN: Duration = Duration::from_secs(5);
const ALIVE_TRIES: u32 = 3;

/// What all lanes share.
pub(crate) struct Lanes {
    /// Where to dial.
    pub(crate) tls: Arc<ClientConfig>,
    /// Who takes the streams, and when they end.
    pub(crate) tunnels: Arc<Tunnels>,
    /// Where they are dialled and served.
    pub(crate) workers: Arc<Workers>,
}

#[derive(Debug, Error)]
enum NoLane {
    #[error("could not dial the proxy")]
    Dial(#[from] DialError),
    #[error("the lane was not taken")]
    Lane(#[from] LaneError),
    #[error("its thread gave it up")]
    Thread(#[from] JoinError),
}

impl Lanes {
    /// Keeps one lane ready at `proxy` until the end.
    pub(crate) async fn keep(self: Arc<Self>, proxy: String) {
        let span = info_span!("lane", %proxy);
        self.keep_dialling(&proxy).instrument(span).await;
    }

    async fn keep_dialling(self: &Arc<Self>, proxy: &str) {
        let stop = &self.tunnels.stop;
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        while !stop.is_cancelled() {
            let since = Instant::now();
            let taken = tokio::select! {
                taken = self.hold(proxy) => taken,
                () = stop.cancelled() => return,
            };
            if let Err(error) = taken {
                debug!(error = %Chain(&error), "no lane; dialling again");
                let pause = backoff.wait_after(since.elapsed(), chance());
                // Stopping while pausing ends the loop.
                let _ = timeout(pause, stop.cancelled()).await;
            }
        }
    }

    /// Holds a lane ready on one of the threads, until it is taken and served there.
    async fn hold(self: &Arc<Self>, proxy: &str) -> Result<(), NoLane> {
        let (lanes, proxy) = (Arc::clone(self), proxy.to_owned());
        let seat = self.workers.seat();
        let runtime = seat.runtime().clone();
        let holding = async move {
            let (head, tcp) = lanes.wait(&proxy).await?;
            lanes.serve(&head, tcp, seat);
            Ok(())
        };
        AbortOnDropHandle::new(runtime.spawn(holding.in_current_span())).await?
    }

    /// Dials, and waits until the proxy takes the lane.
    async fn wait(&self, proxy: &str) -> Result<(LaneHead, TcpStream), NoLane> {
        let dialling = tunnels::dial(proxy, &self.tls, |tcp| {
            keep_alive(&tcp);
            Records::new(tcp)
        });
        let tls = timeout(tunnels::DIAL_DEADLINE, dialling).await;
        Ok(tunnel::lane::wait(tls.map_err(|_| DialError::TooLate)??).await?)
    }

    fn serve(&self, head: &LaneHead, tcp: TcpStream, seat: Seat) {
        let server = Arc::clone(&self.tunnels.server);
        let (stop, patience) = (self.tunnels.stop.clone(), Arc::clone(&self.tunnels.patience));
        let address = tunnels::client_address(&head.headers);
        let over = async move {
            stop.cancelled().await;
            sleep(patience.get().copied().unwrap_or_default()).await;
        };
        let serving = async move {
            let _seat = seat;
            tokio::select! {
                () = server.serve(Channel::Lane(tcp), address) => {}
                () = over => debug!("a lane was still in use at the end"),
            }
        };
        self.tunnels.tasks.spawn(serving.in_current_span());
    }
}

/// Without it the lane only lasts less long.
fn keep_alive(tcp: &TcpStream) {
    let asked = sockopt::set_socket_keepalive(tcp, true)
        .and_then(|()| sockopt::set_tcp_keepidle(tcp, ALIVE))
        .and_then(|()| sockopt::set_tcp_keepintvl(tcp, ALIVE_AGAIN))
        .and_then(|()| sockopt::set_tcp_keepcnt(tcp, ALIVE_TRIES));
    if let Err(error) = asked {
        debug!(%error, "a lane is not kept alive");
    }
}
