//! An ordered certificate as it is shown, and when it is due.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pki::tls::PairError;
use pki::{CertError, WebPair};
use rustls::sign::CertifiedKey;
use thiserror::Error;

use super::schedule;

/// Why a certificate is not shown.
#[derive(Debug, Error)]
pub(crate) enum NotUsable {
    #[error("the certificate cannot be read")]
    Cert(#[from] CertError),
    #[error("certificate and key cannot be used")]
    Pair(#[from] PairError),
    #[error("the certificate is not for `{name}`")]
    OtherName {
        /// What it should be for.
        name: String,
    },
    #[error("the certificate is over")]
    Over,
}

/// A certificate that is shown.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) certified: Arc<CertifiedKey>,
    pub(crate) not_after: SystemTime,
    pub(crate) renew_at: SystemTime,
}

impl Held {
    /// Takes a certificate if it can be shown for `name` now.
    pub(crate) fn new(name: &str, pair: &WebPair, now: SystemTime) -> Result<Self, NotUsable> {
        let facts = pair.cert.facts()?;
        if !facts.dns_names.iter().any(|found| found.eq_ignore_ascii_case(name)) {
            return Err(NotUsable::OtherName { name: name.to_owned() });
        }
        if facts.not_after <= now {
            return Err(NotUsable::Over);
        }
        let renew_at = schedule::renew_at(facts.not_before, facts.not_after, schedule::chance());
        Ok(Self { certified: pair.certified()?, not_after: facts.not_after, renew_at })
    }

    /// Whether it should be replaced.
    pub(crate) fn is_due(&self, now: SystemTime) -> bool {
        self.renew_at <= now
    }

    /// How long it lasts from now.
    pub(crate) fn left(&self, now: SystemTime) -> Duration {
        self.not_after.duration_since(now).unwrap_or_default()
    }
}
