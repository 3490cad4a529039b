//! A deadline that another task sets once draining begins.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Resolves when the set deadline is over; never before one is set.
pub(crate) struct Deadline {
    begun: Pin<Box<dyn Future<Output = Option<Instant>> + Send>>,
    over: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    is_settled: bool,
}

impl Deadline {
    pub(crate) fn new() -> (watch::Sender<Option<Instant>>, Self) {
        let (sender, mut receiver) = watch::channel(None);
        let begun = async move {
            match receiver.wait_for(Option::is_some).await {
                Ok(deadline) => *deadline,
                // Nobody is left to set one.
                Err(_) => None,
            }
        };
        let deadline = Self { begun: Box::pin(begun), over: None, is_settled: false };
        (sender, deadline)
    }

    /// Ready once draining has begun.
    pub(crate) fn poll_begun(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_settled {
            let Poll::Ready(deadline) = self.begun.as_mut().poll(cx) else {
                return Poll::Pending;
            };
            self.is_settled = true;
            if let Some(deadline) = deadline {
                self.over = Some(Box::pin(sleep_until(deadline)));
            }
        }
        if self.over.is_some() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Ready once the deadline is over.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.poll_begun(cx).is_pending() {
            return Poll::Pending;
        }
        match &mut self.over {
            Some(over) => over.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}
