//! How often something may happen: a bucket of tries that fills with time.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// A bucket of `burst` tries, refilled one every `every`.
#[derive(Debug)]
pub(crate) struct Throttle {
    burst: u32,
    every: Duration,
    state: Mutex<Option<(u32, SystemTime)>>,
}

impl Throttle {
    pub(crate) fn new(burst: u32, every: Duration) -> Self {
        Self { burst, every, state: Mutex::new(None) }
    }

    /// Takes a try; `false` when none is left.
    pub(crate) fn take(&self, now: SystemTime) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (left, since) = state.unwrap_or((self.burst, now));
        let passed = now.duration_since(since).unwrap_or_default();
        let gained = passed.as_millis() / self.every.as_millis().max(1);
        let gained = u32::try_from(gained).unwrap_or(u32::MAX);
        let left = left.saturating_add(gained).min(self.burst);
        // What is not a whole try yet goes on counting.
        let since = if gained == 0 { since } else { now };
        *state = Some((left.saturating_sub(1), since));
        left > 0
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_a_period() {
        let throttle = Throttle::new(2, Duration::from_secs(1));
        let at = |seconds| throttle.take(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(
            [at(0), at(0), at(0), at(1), at(1), at(9), at(9), at(9)],
            [true, true, false, true, false, true, true, false]
        );
    }
}
