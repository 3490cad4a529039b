//! SigV4's spelling of time: `20150830T123600Z`.
//!
//! Its own few lines, because it stands on the path of every request.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SECONDS_A_DAY: u64 = 86_400;
/// 9999-12-31T23:59:59Z.
const LATEST: u64 = 253_402_300_799;

/// A moment in SigV4's spelling.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp([u8; 16]);

impl Stamp {
    /// The second that `time` lies in; none before 1970 and after 9999.
    pub(crate) fn of(time: SystemTime) -> Option<Self> {
        let seconds = time.duration_since(UNIX_EPOCH).ok()?.as_secs();
        if seconds > LATEST {
            return None;
        }
        let (year, month, day) = civil(seconds / SECONDS_A_DAY);
        let rest = seconds % SECONDS_A_DAY;
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        let digits =
            |number: u64, place: u64| b'0' + u8::try_from(number / place % 10).unwrap_or_default();
        Some(Self([
            digits(year, 1000),
            digits(year, 100),
            digits(year, 10),
            digits(year, 1),
            digits(month, 10),
            digits(month, 1),
            digits(day, 10),
            digits(day, 1),
            b'T',
            digits(hour, 10),
            digits(hour, 1),
            digits(minute, 10),
            digits(minute, 1),
            digits(second, 10),
            digits(second, 1),
            b'Z',
        ]))
    }

    /// Parses exactly this spelling, of a moment that exists.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let stamp = Self(text.as_bytes().try_into().ok()?);
        // Written out again, a day that does not exist comes back as another.
        (Self::of(stamp.read()?)? == stamp).then_some(stamp)
    }

    /// All sixteen characters.
    pub(crate) fn as_str(&self) -> &str {
        // ASCII by construction, so the default is never used.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The first eight: the date.
    pub(crate) fn date(&self) -> &str {
        self.as_str().get(..8).unwrap_or_default()
    }

    /// The moment.
    pub(crate) fn time(&self) -> SystemTime {
        self.read().unwrap_or(UNIX_EPOCH)
    }

    fn read(&self) -> Option<SystemTime> {
        let [y1, y2, y3, y4, m1, m2, d1, d2, b'T', h1, h2, n1, n2, s1, s2, b'Z'] = self.0 else {
            return None;
        };
        let number = |digits: &[u8]| {
            digits.iter().try_fold(0_u64, |sum, digit| {
                digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0'))
            })
        };
        let (year, month, day) =
            (number(&[y1, y2, y3, y4])?, number(&[m1, m2])?, number(&[d1, d2])?);
        let (hour, minute, second) = (number(&[h1, h2])?, number(&[n1, n2])?, number(&[s1, s2])?);
        let real = (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        if !real {
            return None;
        }
        let seconds = days(year, month, day)? * SECONDS_A_DAY + hour * 3600 + minute * 60 + second;
        Some(UNIX_EPOCH + Duration::from_secs(seconds))
    }
}

/// Days since 1970-01-01 to year, month, day
/// (Howard Hinnant, <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

/// The other way round; none before 1970.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::{LATEST, Stamp};

    #[test]
    fn only_the_one_spelling_of_a_real_moment_parses() {
        let stamp = Stamp::parse("20150830T123600Z").unwrap();
        assert_eq!(stamp.time(), UNIX_EPOCH + Duration::from_secs(1_440_938_160));
        assert_eq!(stamp.date(), "20150830");
        for text in [
            "",
            "20150830",
            "2015-08-30T12:36:00Z",
            "20150830T123600",
            "20150830t123600z",
            "20150230T000000Z",
            "20151301T000000Z",
            "20150800T000000Z",
            "20150830T240000Z",
            "20150830T236060Z",
            "19691231T235959Z",
            "00000101T000000Z",
            "2015083 T123600Z",
            "+0150830T123600Z",
        ] {
            assert!(Stamp::parse(text).is_none(), "{text}");
        }
        assert!(Stamp::of(UNIX_EPOCH - Duration::from_secs(1)).is_none());
        assert!(Stamp::of(UNIX_EPOCH + Duration::from_secs(LATEST + 1)).is_none());
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_calendar_library(seconds in 0..=LATEST) {
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            let stamp = Stamp::of(time).unwrap();
            // The library's own range ends a day before ours.
            if let Ok(expected) = jiff::Timestamp::from_second(i64::try_from(seconds).unwrap()) {
                prop_assert_eq!(stamp.as_str(), expected.strftime("%Y%m%dT%H%M%SZ").to_string());
            }
            prop_assert_eq!(Stamp::parse(stamp.as_str()).unwrap().time(), time);
        }
    }
}
