//! Times, serial numbers and the clock that TLS settings read.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use rcgen::{CertificateParams, SerialNumber};
use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;

use crate::{IssueError, KeyError};

/// Seconds of a day.
pub(crate) const DAY: u64 = 24 * 60 * 60;

/// How far back a certificate starts, so that a peer whose clock is a little late accepts it.
pub(crate) const BACKDATED: Duration = Duration::from_secs(60);

/// 9999-12-31, after which X.509 has no dates.
const LAST_SECOND: u64 = 253_402_300_799;

/// Where "now" comes from: the service's own clock, so that tests can turn it.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    /// Wraps a clock.
    pub fn new(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The present moment.
    pub fn now(&self) -> SystemTime {
        (self.0)()
    }
}

impl From<fn() -> SystemTime> for Clock {
    fn from(now: fn() -> SystemTime) -> Self {
        Self::new(now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix(self.now()))
    }
}

/// The moment as the TLS library wants it. Before 1970 it is 1970, when no certificate of ours was valid.
pub(crate) fn unix(moment: SystemTime) -> UnixTime {
    UnixTime::since_unix_epoch(moment.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Parameters with a fresh serial number of 128 random bits, valid from a minute ago until `not_after`.
pub(crate) fn params(
    now: SystemTime,
    not_after: SystemTime,
) -> Result<CertificateParams, IssueError> {
    let mut serial = [0; 16];
    SystemRandom::new().fill(&mut serial).map_err(|_| KeyError::Generate)?;
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.not_before = whole_seconds(now.checked_sub(BACKDATED))?.into();
    params.not_after = whole_seconds(Some(not_after))?.into();
    Ok(params)
}

fn whole_seconds(moment: Option<SystemTime>) -> Result<SystemTime, IssueError> {
    let seconds = moment
        .and_then(|moment| moment.duration_since(UNIX_EPOCH).ok())
        .map(|since| since.as_secs())
        .filter(|seconds| *seconds <= LAST_SECOND)
        .ok_or(IssueError::BadLifetime)?;
    Ok(UNIX_EPOCH + Duration::from_secs(seconds))
}
