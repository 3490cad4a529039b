//! Points in time and durations as the resources write them: RFC 3339 and `1h30m`.
//!
//! Nothing here reads a clock.

use std::fmt;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Writes a moment as RFC 3339 in UTC, e.g. `2024-01-01T10:00:00Z`.
#[must_use]
pub fn rfc3339_text(moment: SystemTime) -> String {
    match Timestamp::try_from(moment) {
        Ok(stamp) => stamp.to_string(),
        Err(_) => "a moment outside the calendar".to_owned(),
    }
}

/// Reads RFC 3339.
///
/// # Errors
/// When the text is no such moment.
pub fn parse_rfc3339(text: &str) -> Result<SystemTime, BadMoment> {
    text.parse::<Timestamp>()
        .map(SystemTime::from)
        .map_err(|_| BadMoment { text: text.chars().take(64).collect() })
}

/// A text that is not a moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a time; expected RFC 3339, e.g. 2024-01-31T10:00:00Z")]
pub struct BadMoment {
    text: String,
}

/// For `#[serde(with = "access::moment::rfc3339")]` on a `SystemTime`.
pub mod rfc3339 {
    use super::{Deserialize, Deserializer, Serializer, SystemTime, parse_rfc3339, rfc3339_text};

    /// Writes the moment as text.
    ///
    /// # Errors
    /// When the writer fails.
    pub fn serialize<S: Serializer>(moment: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&rfc3339_text(*moment))
    }

    /// Reads the moment from text.
    ///
    /// # Errors
    /// When the text is not RFC 3339.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_rfc3339(&text).map_err(serde::de::Error::custom)
    }
}

/// For `#[serde(with = "access::moment::rfc3339_option")]` on an `Option<SystemTime>`.
///
/// The year 1, which some tools write for "none", reads as `None`.
pub mod rfc3339_option {
    use super::{Deserialize, Deserializer, Serializer, SystemTime, parse_rfc3339, rfc3339_text};

    /// Writes the moment as text, or null.
    ///
    /// # Errors
    /// When the writer fails.
    pub fn serialize<S: Serializer>(
        moment: &Option<SystemTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match moment {
            Some(moment) => serializer.serialize_str(&rfc3339_text(*moment)),
            None => serializer.serialize_none(),
        }
    }

    /// Reads the moment from text or null.
    ///
    /// # Errors
    /// When the text is not RFC 3339.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        match Option::<String>::deserialize(deserializer)? {
            None => Ok(None),
            Some(text) if text.is_empty() || text.starts_with("0001-01-01T00:00:00") => Ok(None),
            Some(text) => parse_rfc3339(&text).map(Some).map_err(serde::de::Error::custom),
        }
    }
}

/// A length of time that reads and writes as `30h0m0s`, `1h30m`, `90s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub Duration);

/// A text that is not a length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a duration; expected e.g. 30m, 1h30m or 8h0m0s")]
pub struct BadSpan {
    text: String,
}

impl Span {
    /// A span of whole hours.
    #[must_use]
    pub const fn hours(hours: u64) -> Self {
        Self(Duration::from_secs(hours * 3600))
    }

    /// Parses `1h30m`, `45s`, `1.5h`, `250ms`, `0`.
    ///
    /// # Errors
    /// When the text is no duration, is negative or does not fit.
    pub fn parse(text: &str) -> Result<Self, BadSpan> {
        let bad = || BadSpan { text: text.chars().take(64).collect() };
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(bad());
        }
        if rest == "0" {
            return Ok(Self::default());
        }
        let mut total = Duration::ZERO;
        while !rest.is_empty() {
            let (part, tail) = one_part(rest).ok_or_else(bad)?;
            total = total.checked_add(part).ok_or_else(bad)?;
            rest = tail;
        }
        Ok(Self(total))
    }
}

/// One number with its unit, and what follows.
fn one_part(text: &str) -> Option<(Duration, &str)> {
    let (number, tail) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.')?);
    let (unit, tail) =
        tail.split_at(tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len()));
    let nanos: u32 = match unit {
        "ns" => return whole(number).map(|n| (Duration::from_nanos(n), tail)),
        "us" | "µs" => return whole(number).map(|n| (Duration::from_micros(n), tail)),
        "ms" => return whole(number).map(|n| (Duration::from_millis(n), tail)),
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    let unit = Duration::from_secs(u64::from(nanos));
    if number.contains('.') {
        let number: f64 = number.parse().ok()?;
        return Duration::try_from_secs_f64(number * unit.as_secs_f64())
            .ok()
            .map(|part| (part, tail));
    }
    let seconds = whole(number)?.checked_mul(unit.as_secs())?;
    Some((Duration::from_secs(seconds), tail))
}

fn whole(number: &str) -> Option<u64> {
    number.parse().ok()
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.0.as_secs(), self.0.subsec_nanos());
        let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        match (h, m) {
            (0, 0) => {}
            (0, _) => write!(f, "{m}m")?,
            _ => write!(f, "{h}h{m}m")?,
        }
        if nanos == 0 {
            return write!(f, "{s}s");
        }
        let fraction = format!("{nanos:09}");
        write!(f, "{s}.{}s", fraction.trim_end_matches('0'))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::{Span, parse_rfc3339, rfc3339_text};

    #[test]
    fn durations_read_and_write_as_resources_do() {
        for (text, seconds, written) in [
            ("30h0m0s", 108_000, "30h0m0s"),
            ("8h", 28_800, "8h0m0s"),
            ("1h30m", 5_400, "1h30m0s"),
            ("90s", 90, "1m30s"),
            ("1.5h", 5_400, "1h30m0s"),
            ("0", 0, "0s"),
            ("0s", 0, "0s"),
        ] {
            let span = Span::parse(text).unwrap();
            assert_eq!(span.0, Duration::from_secs(seconds), "{text}");
            assert_eq!(span.to_string(), written);
        }
        assert_eq!(Span::parse("250ms").unwrap().to_string(), "0.25s");
        for bad in ["", "8", "h", "-1h", "1d", "1h 30m", "99999999999999999999h", "1.2.3s", "٣s"] {
            assert!(Span::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn moments_are_rfc_3339() {
        let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(1_704_103_200);
        assert_eq!(rfc3339_text(moment), "2024-01-01T10:00:00Z");
        assert_eq!(parse_rfc3339("2024-01-01T11:00:00+01:00"), Ok(moment));
        for bad in ["", "2024-01-01", "yesterday", "2024-13-01T00:00:00Z"] {
            assert!(parse_rfc3339(bad).is_err(), "{bad}");
        }
    }

    #[derive(Serialize, Deserialize)]
    struct Held {
        #[serde(default, with = "super::rfc3339_option", skip_serializing_if = "Option::is_none")]
        at: Option<SystemTime>,
    }

    #[test]
    fn the_year_one_means_none() {
        for text in [r#"{"at":"0001-01-01T00:00:00Z"}"#, r#"{"at":null}"#, r#"{"at":""}"#, "{}"] {
            assert!(serde_json::from_str::<Held>(text).unwrap().at.is_none(), "{text}");
        }
        let held: Held = serde_json::from_str(r#"{"at":"2024-01-01T10:00:00Z"}"#).unwrap();
        assert_eq!(serde_json::to_string(&held).unwrap(), r#"{"at":"2024-01-01T10:00:00Z"}"#);
        assert!(serde_json::from_str::<Held>(r#"{"at":"soon"}"#).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_a_duration_or_an_error(text in "\\PC{0,20}|[0-9.hms]{0,20}") {
            if let Ok(span) = Span::parse(&text) {
                prop_assert_eq!(Span::parse(&span.to_string()), Ok(span));
            }
        }
    }
}
