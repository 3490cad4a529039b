//! Certificates by ACME (RFC 8555), proven by TLS-ALPN-01 (RFC 8737) on the one port.
//!
//! One for the proxy's own public host, ordered at the start, and one for each enrolled app's host,
//! ordered when a client first asks for it by SNI; for no other name. They are kept on the Auth
//! Service's shelf, which leases a name to one proxy at a time. This decides nothing about HTTP.

mod answers;
mod held;
mod http;
mod keeper;
mod names;
mod obtain;
mod order;
mod schedule;
mod shelf;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use pki::Clock;
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use self::answers::Answers;
pub(crate) use self::answers::NoAnswer;
use self::keeper::{Keeper, Wish};
use self::names::Standing;
use self::obtain::Sources;
use self::order::Ca;
use self::shelf::CertificateShelf;
use crate::config::{AcmeSettings, AcmeTiming};
use crate::snapshot::Snapshots;

/// Connections that wait for a certificate at once.
const WAITING: usize = 256;

/// The certificates that are shown, and what they may be for.
pub(crate) struct Shown {
    own: String,
    snapshots: Arc<Snapshots>,
    certificates: ArcSwap<HashMap<String, Arc<CertifiedKey>>>,
}

impl Shown {
    fn standing(&self, name: &str) -> Standing {
        names::standing(name, &self.own, &self.snapshots.newest())
    }
}

/// The ACME side of the proxy's certificates.
pub(crate) struct Acme {
    shown: Arc<Shown>,
    answers: Arc<Answers>,
    timing: AcmeTiming,
    waiting: Semaphore,
    wishes: mpsc::Sender<Wish>,
    keeper: Mutex<Option<(Keeper, mpsc::Receiver<Wish>)>>,
}

impl Acme {
    /// Orders at the CA of the settings, and keeps by the Auth Service.
    pub(crate) fn new(
        settings: AcmeSettings,
        own: &str,
        snapshots: Arc<Snapshots>,
        auth: api::Client,
        clock: Clock,
    ) -> Self {
        let shelf: Arc<dyn CertificateShelf> = Arc::new(auth);
        let answers = Arc::new(Answers::new(Arc::clone(&shelf), clock.clone()));
        let timing = settings.timing.clone();
        let ca = Ca::new(settings, Arc::clone(&shelf), Arc::clone(&answers), clock.clone());
        let sources = Sources { shelf, orders: Arc::new(ca), clock, timing };
        Self::with(own, snapshots, answers, sources)
    }

    fn with(own: &str, snapshots: Arc<Snapshots>, answers: Arc<Answers>, sources: Sources) -> Self {
        let shown = Arc::new(Shown {
            own: own.to_ascii_lowercase(),
            snapshots,
            certificates: ArcSwap::default(),
        });
        let (wishes, heard) = mpsc::channel(WAITING);
        let timing = sources.timing.clone();
        let keeper = Keeper::new(Arc::clone(&shown), sources);
        Self {
            shown,
            answers,
            timing,
            waiting: Semaphore::new(WAITING),
            wishes,
            keeper: Mutex::new(Some((keeper, heard))),
        }
    }

    /// Keeps the certificates, for ever. Only the first call does.
    pub(crate) async fn run(&self) {
        let taken = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        match taken {
            Some((keeper, wishes)) => keeper.run(wishes).await,
            None => std::future::pending().await,
        }
    }

    /// The certificate for a name.
    pub(crate) fn certificate(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.shown.certificates.load().get(&name.to_ascii_lowercase()).cloned()
    }

    /// The certificate for the proxy's own name.
    pub(crate) fn own_certificate(&self) -> Option<Arc<CertifiedKey>> {
        self.certificate(&self.shown.own)
    }

    /// Waits, for a bounded time, until there is a certificate for a name that should have one.
    /// False only of an enrolled app's name without one: what is shown instead would teach people
    /// to click warnings away.
    pub(crate) async fn is_ready(&self, name: &str) -> bool {
        if self.certificate(name).is_some() {
            return true;
        }
        match self.shown.standing(name) {
            Standing::Foreign => true,
            Standing::Own => {
                self.wait(name).await;
                true
            }
            Standing::App => self.wait(name).await,
        }
    }

    async fn wait(&self, name: &str) -> bool {
        let Ok(_place) = self.waiting.try_acquire() else { return false };
        let (told, hears) = oneshot::channel();
        let wish = Wish { name: name.to_ascii_lowercase(), told };
        if self.wishes.try_send(wish).is_err() {
            return false;
        }
        matches!(timeout(self.timing.wait, hears).await, Ok(Ok(())))
    }

    /// Answers a CA that asks for `name`, on a connection that offers `acme-tls/1` alone.
    pub(crate) async fn answer(
        &self,
        io: impl AsyncRead + AsyncWrite + Unpin,
        name: &str,
    ) -> Result<(), NoAnswer> {
        if self.shown.standing(name) == Standing::Foreign {
            return Err(NoAnswer::NotAsked { name: name.to_owned() });
        }
        self.answers.serve(io, &name.to_ascii_lowercase()).await
    }
}
