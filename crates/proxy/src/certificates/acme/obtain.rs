//! How one certificate is come by: from the shelf, from a colleague who is ordering it, or by an order.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use api::ApiError;
use api::error::Chain;
use pki::{Clock, WebPair};
use thiserror::Error;
use tracing::{info, warn};

use super::held::{Held, NotUsable};
use super::order::{OrderError, Orders};
use super::shelf::{CertificateShelf, Leased};
use crate::config::AcmeTiming;

/// How often a colleague's order is looked for on the shelf.
const COLLEAGUE: Duration = Duration::from_secs(1);

/// Why there is no (new) certificate.
#[derive(Debug, Error)]
pub(crate) enum NotObtained {
    #[error("the shelf of certificates cannot be used")]
    Shelf(#[from] ApiError),
    #[error("another proxy orders it, or an order failed a short time ago")]
    Leased {
        /// Nobody may order before.
        until: SystemTime,
    },
    #[error("the order failed")]
    Order(#[from] OrderError),
    #[error("what was ordered cannot be shown")]
    NotUsable(#[from] NotUsable),
}

impl NotObtained {
    /// What an operator can do about it.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Order(error) => error.hint(),
            _ => "",
        }
    }
}

/// What obtaining takes.
#[derive(Clone)]
pub(crate) struct Sources {
    pub(crate) shelf: Arc<dyn CertificateShelf>,
    pub(crate) orders: Arc<dyn Orders>,
    pub(crate) clock: Clock,
    pub(crate) timing: AcmeTiming,
}

impl Sources {
    /// A certificate that is not due, or else whatever the shelf has and why there is no better one.
    pub(crate) async fn obtain(&self, name: &str) -> (Option<Held>, Result<(), NotObtained>) {
        let kept = match self.shelf.certificate(name).await {
            Ok(kept) => kept.and_then(|pair| self.usable(name, &pair)),
            Err(error) => return (None, Err(error.into())),
        };
        if kept.as_ref().is_some_and(|kept| !kept.is_due(self.clock.now())) {
            return (kept, Ok(()));
        }
        match self.replace(name, kept.as_ref()).await {
            Ok(fresh) => (Some(fresh), Ok(())),
            Err(error) => (kept, Err(error)),
        }
    }

    async fn replace(&self, name: &str, kept: Option<&Held>) -> Result<Held, NotObtained> {
        match self.shelf.lease(name, self.timing.lease).await? {
            Leased::ToUs => {}
            Leased::Already(until) => return self.await_colleague(name, kept, until).await,
        }
        let pair = self.orders.order(name).await?;
        let held = Held::new(name, &pair, self.clock.now())?;
        if let Err(error) = self.shelf.keep(name, &pair).await {
            // It is good all the same; the other proxies and the next start do not have it.
            warn!(name, error = %Chain(&error), "could not put a new certificate on the shelf");
        }
        let days = held.left(self.clock.now()).as_secs() / (24 * 3600);
        info!(name, days, "a web certificate was ordered");
        Ok(held)
    }

    /// Looks for what the holder of the lease puts on the shelf, as long as people would wait for it.
    async fn await_colleague(
        &self,
        name: &str,
        kept: Option<&Held>,
        until: SystemTime,
    ) -> Result<Held, NotObtained> {
        let looking = self.look_for_newer(name, kept);
        match tokio::time::timeout(self.timing.wait, looking).await {
            Ok(found) => Ok(found?),
            Err(_) => Err(NotObtained::Leased { until }),
        }
    }

    async fn look_for_newer(&self, name: &str, kept: Option<&Held>) -> Result<Held, ApiError> {
        loop {
            tokio::time::sleep(COLLEAGUE).await;
            let found = self.shelf.certificate(name).await?;
            let usable = found.and_then(|pair| self.usable(name, &pair));
            let is_newer = |held: &Held| kept.is_none_or(|kept| held.not_after > kept.not_after);
            if let Some(held) = usable.filter(is_newer) {
                return Ok(held);
            }
        }
    }

    fn usable(&self, name: &str, pair: &WebPair) -> Option<Held> {
        match Held::new(name, pair, self.clock.now()) {
            Ok(held) => Some(held),
            Err(NotUsable::Over) => None,
            Err(error) => {
                warn!(name, error = %Chain(&error), "a certificate on the shelf cannot be used");
                None
            }
        }
    }
}
