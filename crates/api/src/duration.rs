//! Durations as the guide's commands and files write them: `30m`, `1h30m`, `12h0m0s`.

use std::time::Duration;

use thiserror::Error;

/// A text that is not a duration.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{text}` is not a duration; expected e.g. 30m, 1h30m or 90s")]
pub struct BadDuration {
    text: String,
}

/// Parses `1h30m`, `45s`, `250ms`, `1.5h`, `2d`.
///
/// # Errors
/// When the text is empty, has no unit, an unknown unit, or does not fit.
pub fn parse(text: &str) -> Result<Duration, BadDuration> {
    let bad = || BadDuration { text: text.to_owned() };
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(bad());
    }
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
        let (number, tail) = rest.split_at(digits);
        let unit_len = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_len);
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return Err(bad()),
        };
        let number: f64 = number.parse().map_err(|_| bad())?;
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| bad())?;
        total = total.checked_add(part).ok_or_else(bad)?;
        rest = tail;
    }
    Ok(total)
}

/// Writes whole seconds as `12h0m0s`, `30m0s`, `5s`.
#[must_use]
pub fn long(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (h, m, s) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (h, m) {
        (0, 0) => format!("{s}s"),
        (0, _) => format!("{m}m{s}s"),
        _ => format!("{h}h{m}m{s}s"),
    }
}

/// Writes whole seconds as `12h`, `1h30m`, `30m`: no zero parts.
#[must_use]
pub fn short(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = [(seconds / 3_600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let text: String =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, seconds, long_text, short_text) in [
            ("30m", 1_800, "30m0s", "30m"),
            ("1h30m", 5_400, "1h30m0s", "1h30m"),
            ("12h0m0s", 43_200, "12h0m0s", "12h"),
            ("90s", 90, "1m30s", "1m30s"),
            ("1.5h", 5_400, "1h30m0s", "1h30m"),
            ("2d", 172_800, "48h0m0s", "48h"),
            ("0", 0, "0s", "0s"),
        ] {
            let duration = parse(text).unwrap();
            assert_eq!(duration, Duration::from_secs(seconds), "{text}");
            assert_eq!(long(duration), long_text);
            assert_eq!(short(duration), short_text);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in
            ["", "h", "5", "5 minutes", "-5m", "1h5", "1..5h", "99999999999999999999h", "１h"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
