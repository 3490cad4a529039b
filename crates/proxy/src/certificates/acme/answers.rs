//! The answers to challenges under way (TLS-ALPN-01, RFC 8737), given on the one port to whoever
//! offers `acme-tls/1` and nothing else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::error::Chain;
use pki::{Clock, WebPair};
use rustls::ServerConfig;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tracing::warn;

use super::shelf::CertificateShelf;

/// How many strangers' questions may be looked up at the Auth Service at once.
const LOOKUPS: usize = 8;
/// How long such a look-up may take.
const LOOKUP: Duration = Duration::from_secs(5);

/// Why a question was not answered.
#[derive(Debug, Error)]
pub(crate) enum NoAnswer {
    /// Nothing is ordered for that name just now.
    #[error("no certificate is being ordered for `{name}`")]
    NotAsked {
        /// What was asked for.
        name: String,
    },
    /// The handshake failed, as it does with those who only knock.
    #[error("the handshake failed")]
    Handshake(#[source] std::io::Error),
}

/// The answers of this proxy, and the way to those of the others.
pub(crate) struct Answers {
    own: Mutex<HashMap<String, Arc<ServerConfig>>>,
    shelf: Arc<dyn CertificateShelf>,
    clock: Clock,
    lookups: Semaphore,
}

impl Answers {
    pub(crate) fn new(shelf: Arc<dyn CertificateShelf>, clock: Clock) -> Self {
        Self { own: Mutex::default(), shelf, clock, lookups: Semaphore::new(LOOKUPS) }
    }

    /// Gives this answer from now on, here and at the other proxies.
    pub(crate) async fn give(&self, name: &str, answer: &WebPair) -> Result<(), pki::TlsError> {
        let tls = pki::acme::answering_server(answer, &self.clock)?;
        self.own().insert(name.to_owned(), tls);
        // With one proxy the CA asks nobody else, so that this need not fail the order.
        if let Err(error) = self.shelf.keep_answer(name, answer).await {
            warn!(name, error = %Chain(&error), "other proxies cannot answer the CA for us");
        }
        Ok(())
    }

    /// Gives it no more.
    pub(crate) async fn take_back(&self, name: &str) {
        self.own().remove(name);
        // It ends by itself within minutes.
        if let Err(error) = self.shelf.drop_answer(name).await {
            warn!(name, error = %Chain(&error), "could not take an answer off the shelf");
        }
    }

    /// Answers one connection. The caller has checked that the name is ours.
    pub(crate) async fn serve(
        &self,
        io: impl AsyncRead + AsyncWrite + Unpin,
        name: &str,
    ) -> Result<(), NoAnswer> {
        let not_asked = || NoAnswer::NotAsked { name: name.to_owned() };
        let tls = self.find(name).await.ok_or_else(not_asked)?;
        let mut tls = TlsAcceptor::from(tls).accept(io).await.map_err(NoAnswer::Handshake)?;
        tls.shutdown().await.map_err(NoAnswer::Handshake)
    }

    async fn find(&self, name: &str) -> Option<Arc<ServerConfig>> {
        let own = self.own().get(name).cloned();
        if own.is_some() {
            return own;
        }
        let _lookup = self.lookups.try_acquire().ok()?;
        let answer = timeout(LOOKUP, self.shelf.answer(name)).await.ok()?.ok()??;
        pki::acme::answering_server(&answer, &self.clock).ok()
    }

    fn own(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<ServerConfig>>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
