//! Moments and stretches of time, as pages write them.

use std::fmt;
use std::time::SystemTime;

use askama::filters::HtmlSafe;
use jiff::Timestamp;

/// A moment: in UTC to read, and exactly for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) Timestamp);

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Self {
        Self(Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.strftime("%-d %b %Y, %H:%M UTC");
        write!(f, r#"<time datetime="{:.0}">{text}</time>"#, self.0)
    }
}

/// Digits, letters and marks of our own only.
impl HtmlSafe for Moment {}

impl Moment {
    /// `3 h 20 min ago`.
    pub(crate) fn ago(self, now: SystemTime) -> String {
        let seconds = Self::from(now).0.as_second().saturating_sub(self.0.as_second());
        if seconds < 60 { "just now".to_owned() } else { format!("{} ago", span(seconds)) }
    }

    /// `in 3 h 20 min`.
    pub(crate) fn left(self, now: SystemTime) -> String {
        let seconds = self.0.as_second().saturating_sub(Self::from(now).0.as_second());
        if seconds <= 0 { "over".to_owned() } else { format!("in {}", span(seconds)) }
    }
}

/// A stretch in its two largest units.
pub(crate) fn span(seconds: i64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min")];
    let mut rest = seconds.max(0);
    let mut parts = Vec::new();
    for (length, unit) in units {
        if rest >= length || !parts.is_empty() {
            if rest >= length {
                parts.push(format!("{} {unit}", rest / length));
            } else {
                parts.push(String::new());
            }
            rest %= length;
        }
    }
    parts.truncate(2);
    parts.retain(|part| !part.is_empty());
    if parts.is_empty() { format!("{rest} s") } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_told_in_two_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_600, "1 h"),
            (12_000, "3 h 20 min"),
            (90_000, "1 d 1 h"),
            (86_460, "1 d"),
            (-5, "0 s"),
        ] {
            assert_eq!(span(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn a_moment_is_exact_and_readable() {
        let moment = Moment("2026-11-22T08:05:09Z".parse().unwrap());
        let html = r#"<time datetime="2026-11-22T08:05:09Z">22 Nov 2026, 08:05 UTC</time>"#;
        assert_eq!(moment.to_string(), html);
        let later = SystemTime::from(moment.0) + std::time::Duration::from_secs(120);
        assert_eq!(moment.ago(later), "2 min ago");
        assert_eq!(moment.left(later), "over");
    }
}
