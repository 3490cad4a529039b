//! Moments and spans as the commands write them.

use std::time::{Duration, SystemTime};

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// `2024-01-01 10:00:00 +0000 UTC`, in the user's time zone.
#[must_use]
pub fn local(moment: SystemTime) -> String {
    format(moment, TimeZone::system(), "%Y-%m-%d %H:%M:%S %z %Z")
}

/// `01 Jan 24 10:00 UTC` (RFC 822), as tables have it.
#[must_use]
pub fn rfc822(moment: SystemTime) -> String {
    format(moment, TimeZone::UTC, "%d %b %y %H:%M UTC")
}

/// `2024-01-01T10:00:00Z`.
#[must_use]
pub fn rfc3339(moment: SystemTime) -> String {
    format(moment, TimeZone::UTC, "%Y-%m-%dT%H:%M:%SZ")
}

/// `1h0m0s` until a moment; zero if it is past.
#[must_use]
pub fn until(moment: SystemTime, now: SystemTime) -> Duration {
    moment.duration_since(now).unwrap_or_default()
}

fn format(moment: SystemTime, zone: TimeZone, pattern: &str) -> String {
    match Timestamp::try_from(moment) {
        Ok(stamp) => Zoned::new(stamp, zone).strftime(pattern).to_string(),
        Err(_) => "an unknown time".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn moments_have_their_three_forms() {
        let moment = UNIX_EPOCH + Duration::from_secs(1_704_103_200);
        assert_eq!(rfc822(moment), "01 Jan 24 10:00 UTC");
        assert_eq!(rfc3339(moment), "2024-01-01T10:00:00Z");
        assert_eq!(
            format(moment, TimeZone::UTC, "%Y-%m-%d %H:%M:%S %z %Z"),
            "2024-01-01 10:00:00 +0000 UTC"
        );
    }
}
