//! How long to wait before dialling again. Chance and time are arguments.

use std::time::Duration;

/// Doubles the wait after each failure up to a limit, and spreads it so that many agents do not return at once.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// Waits about `first` after the first failure and never more than `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// The wait after a connection that lived for `lived` (zero if it never stood). `chance` is a fresh random number
    /// from 0 to 1, and chooses between half the wait and all of it. A connection that outlived the longest wait
    /// starts the count anew.
    pub fn wait_after(&mut self, lived: Duration, chance: f64) -> Duration {
        if lived >= self.longest {
            self.failures = 0;
        }
        let doubled = self.first.saturating_mul(1_u32 << self.failures.min(20));
        self.failures = self.failures.saturating_add(1);
        let whole = doubled.min(self.longest);
        let chance = if chance.is_finite() { chance.clamp(0.0, 1.0) } else { 1.0 };
        whole.mul_f64(0.5 + chance / 2.0)
    }

    /// Starts the count anew, as after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));
        let waits: Vec<u64> =
            (0..6).map(|_| backoff.wait_after(Duration::ZERO, 1.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 10, 10]);
        backoff.reset();
        assert_eq!(backoff.wait_after(Duration::ZERO, 1.0).as_secs(), 1);
    }

    #[test]
    fn a_connection_that_lived_long_starts_anew() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));
        backoff.wait_after(Duration::ZERO, 1.0);
        backoff.wait_after(Duration::ZERO, 1.0);
        let wait = backoff.wait_after(Duration::from_secs(11), 1.0);
        assert_eq!(wait.as_secs(), 1);
    }

    proptest! {
        #[test]
        fn every_wait_lies_between_half_and_all(failures in 0_u32..100, chance in any::<f64>()) {
            let longest = Duration::from_secs(60);
            let mut backoff = Backoff::new(Duration::from_millis(500), longest);
            for _ in 0..failures {
                backoff.wait_after(Duration::ZERO, 0.5);
            }
            let wait = backoff.wait_after(Duration::ZERO, chance);
            prop_assert!(wait >= Duration::from_millis(250) && wait <= longest);
        }
    }
}
