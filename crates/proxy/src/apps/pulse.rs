//! A sign of life for connections that carry an app's answer: one that waits for its next piece is not silent.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::splice::Steps;

/// Several times within the longest silence of a web connection.
const BEAT: Duration = Duration::from_secs(20);

/// Steps from time to time.
pub(super) struct Pulse {
    steps: Steps,
    beat: Interval,
}

impl Pulse {
    /// For the connection that counts these steps.
    pub(super) fn new(steps: Steps) -> Self {
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { steps, beat }
    }

    /// Waits for `waited`, stepping.
    pub(super) async fn during<T>(&mut self, waited: impl Future<Output = T>) -> T {
        let mut waited = std::pin::pin!(waited);
        loop {
            tokio::select! {
                done = waited.as_mut() => return done,
                _ = self.beat.tick() => self.steps.step(),
            }
        }
    }
}

/// A body that steps while it is waited for.
pub(super) struct Pulsed<B> {
    pub(super) inner: B,
    pub(super) pulse: Pulse,
}

impl<B: Body + Unpin> Body for Pulsed<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        if self.pulse.beat.poll_tick(cx).is_ready() {
            self.pulse.steps.step();
            // Registers for the next one.
            let _ = self.pulse.beat.poll_tick(cx);
        }
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waiting_counts_as_life() {
        let steps = Steps::default();
        let mut pulse = Pulse::new(steps.clone());
        pulse.during(tokio::time::sleep(Duration::from_secs(300))).await;
        assert!(steps.count() >= 14, "{}", steps.count());
    }
}
