//! When a certificate is renewed, and how long a failed order rests.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::{Duration, SystemTime};

/// Rest after the first failed order. Let's Encrypt allows five failed validations of a name an
/// hour (<https://letsencrypt.org/docs/rate-limits/>): this stays below at every count.
const FIRST_REST: Duration = Duration::from_secs(15 * 60);
/// Longest rest.
const LONGEST_REST: Duration = Duration::from_secs(6 * 3600);

/// Two thirds into a certificate's life, and up to a twentieth of it later, so that names that
/// were ordered together are not all renewed together. `chance` is from 0 to 1.
pub(crate) fn renew_at(not_before: SystemTime, not_after: SystemTime, chance: f64) -> SystemTime {
    let life = not_after.duration_since(not_before).unwrap_or_default();
    let share = 2.0 / 3.0 + chance.clamp(0.0, 1.0) / 20.0;
    not_before + life.mul_f64(share)
}

/// Shortest and longest rest where the CA was not asked.
const SHORT_RESTS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How long a name rests after so many failures in a row of our own parts.
pub(crate) fn short_rest_after(failures: u32, chance: f64) -> Duration {
    let (shortest, longest) = SHORT_RESTS;
    let doublings = failures.saturating_sub(1).min(16);
    let rest = shortest.saturating_mul(2_u32.saturating_pow(doublings)).min(longest);
    rest.mul_f64(1.0 + chance.clamp(0.0, 1.0) / 10.0)
}

/// How long a name rests after so many failures in a row. `chance` adds up to a tenth.
pub(crate) fn rest_after(failures: u32, chance: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let rest = FIRST_REST.saturating_mul(2_u32.saturating_pow(doublings)).min(LONGEST_REST);
    rest.mul_f64(1.0 + chance.clamp(0.0, 1.0) / 10.0)
}

/// A fresh number from 0 to 1, for spreading only.
pub(crate) fn chance() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 32;
    bits as f64 / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(day * 24 * 3600)
    }

    #[test]
    fn a_certificate_of_ninety_days_is_renewed_around_day_sixty() {
        let close = |found: SystemTime, expected: SystemTime| {
            let apart = found.duration_since(expected).or_else(|e| Ok::<_, ()>(e.duration()));
            assert!(apart.unwrap() < Duration::from_secs(1), "{found:?} {expected:?}");
        };
        close(renew_at(at(1), at(91), 0.0), at(61));
        close(renew_at(at(1), at(91), 1.0), at(65) + Duration::from_secs(12 * 3600));
        assert_eq!(renew_at(at(9), at(1), 0.5), at(9), "one that makes no sense is due at once");
    }

    #[test]
    fn rests_grow_to_a_bound_and_keep_below_five_tries_an_hour() {
        let mut tries = 1;
        let mut spent = Duration::ZERO;
        for failures in 1..10 {
            spent += rest_after(failures, 0.0);
            tries += u32::from(spent <= Duration::from_secs(3600));
        }
        assert!(tries < 5, "{tries}");
        assert_eq!(rest_after(100, 0.0), LONGEST_REST);
        assert!(rest_after(100, 1.0) <= LONGEST_REST.mul_f64(1.1));
    }

    #[test]
    fn chances_vary_and_stay_in_bounds() {
        let chances: Vec<f64> = (0..100).map(|_| chance()).collect();
        assert!(chances.iter().all(|chance| (0.0..=1.0).contains(chance)));
        assert!(chances.iter().any(|chance| *chance < 0.5) && chances.iter().any(|c| *c > 0.5));
    }
}
