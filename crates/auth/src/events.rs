//! Stamping what happened with its id, time and cluster.

use std::time::{Duration, SystemTime};

use access::ClusterName;
use audit::{Event, What};
use jiff::Timestamp;
use uuid::Uuid;

/// The time and the cluster that the events of one request share.
#[derive(Debug, Clone)]
pub(crate) struct Stamp {
    /// The moment at which the request was taken up.
    pub(crate) now: SystemTime,
    /// The cluster.
    pub(crate) cluster: ClusterName,
}

impl Stamp {
    /// An event of now.
    pub(crate) fn event(&self, what: impl Into<What>) -> Event {
        Event::new(Uuid::new_v4(), self.now, self.cluster.as_str(), what.into())
    }
}

/// A moment as events and replies write it.
pub(crate) fn timestamp(moment: SystemTime) -> Timestamp {
    Timestamp::try_from(moment).unwrap_or(Timestamp::MAX)
}

/// A moment as RFC 3339 text, to the second.
pub(crate) fn rfc3339(moment: SystemTime) -> String {
    format!("{:.0}", timestamp(moment))
}

/// `now + life`, or `None` when no calendar holds it.
pub(crate) fn end_of(now: SystemTime, life: Duration) -> Option<SystemTime> {
    now.checked_add(life).filter(|end| Timestamp::try_from(*end).is_ok())
}

/// A secret name of which the audit log shows the last quarter only.
pub(crate) fn masked(secret: &str) -> String {
    let count = secret.chars().count();
    let hidden = if count < 16 { count } else { count - count / 4 };
    secret.chars().enumerate().map(|(place, c)| if place < hidden { '*' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_masked_and_a_short_one_wholly() {
        assert_eq!(masked("0123456789abcdef"), "************cdef");
        assert_eq!(masked("secret"), "******");
    }
}
