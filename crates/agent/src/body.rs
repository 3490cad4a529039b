//! Bodies on their way in and back: read whole where the road must read them, or where they are small; streamed
//! otherwise.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use api::wire::HEADER_PAYLOAD_SHA256;
use aws::CallHead;
use aws::sigv4::declared_payload;
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::expect::{Asked, Gate, Keeper};
pub(crate) use crate::outgoing::UpstreamBody;
use crate::outgoing::{Coder, Outgoing};
use crate::refusal::Refusal;
use crate::upstream::Lease;

/// The largest body that is read whole. DynamoDB's own bound is 16 MiB.
pub(crate) const LIMIT: usize = 16 << 20;
/// Largest answer that is read whole before its head is passed on, bytes.
const SMALL: u64 = 64 << 10;
const READ_DEADLINE: Duration = Duration::from_secs(120);

/// A request's body.
pub(crate) struct RequestBody {
    content: Content,
    bytes_in: Arc<AtomicU64>,
}

enum Content {
    Whole(Bytes),
    Stream(Incoming),
}

impl RequestBody {
    /// Reads the body, if the call's facts or its hash cannot be had without.
    ///
    /// What `tsh` holds back is asked for then.
    pub(crate) async fn take(
        parts: &Parts,
        body: Incoming,
        (head, asked): (&CallHead, Option<&Asked>),
    ) -> Result<Self, Refusal> {
        if !must_be_read(parts, head) {
            return Ok(Self { content: Content::Stream(body), bytes_in: Arc::default() });
        }
        if content_length(parts).is_some_and(|length| length > LIMIT as u64) {
            return Err(Refusal::TooLarge);
        }
        if let Some(asked) = asked {
            asked.ask();
        }
        let bytes = read(body).await?;
        let bytes_in = Arc::new(AtomicU64::new(bytes.len() as u64));
        Ok(Self { content: Content::Whole(bytes), bytes_in })
    }

    /// The whole body, if it was read.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Whole(bytes) => Some(bytes),
            Content::Stream(_) => None,
        }
    }

    /// Other bytes in the place of those that came; what came is what counts.
    pub(crate) fn replaced(self, bytes: Bytes) -> Self {
        Self { content: Content::Whole(bytes), ..self }
    }

    /// How many bytes have passed so far.
    pub(crate) fn counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.bytes_in)
    }

    /// The body on its way out, in the form that AWS takes it in; from when `gate` opens, if there is one.
    pub(crate) fn into_upstream(self, coder: Coder, gate: Option<Gate>) -> UpstreamBody {
        match self.content {
            Content::Whole(bytes) => UpstreamBody::Whole(bytes),
            Content::Stream(inner) => {
                UpstreamBody::Stream(Box::new(Outgoing::new(inner, self.bytes_in, coder, gate)))
            }
        }
    }
}

fn must_be_read(parts: &Parts, head: &CallHead) -> bool {
    let is_hash_known = || {
        let is_declared = matches!(declared_payload(parts), Ok(Some(_)) | Err(_));
        is_declared || parts.headers.contains_key(HEADER_PAYLOAD_SHA256)
    };
    head.needs_body(parts) || !is_hash_known()
}

fn content_length(parts: &Parts) -> Option<u64> {
    parts.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn read(body: Incoming) -> Result<Bytes, Refusal> {
    let collected = timeout(READ_DEADLINE, Limited::new(body, LIMIT).collect());
    match collected.await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::TooLarge),
        Ok(Err(error)) => Err(Refusal::Body(error)),
        Err(late) => Err(Refusal::Body(late.into())),
    }
}

/// AWS's answer: whole where it is small, so that head and body leave in one piece; streamed otherwise.
pub(crate) enum AwsBody {
    Whole(Bytes),
    Stream(Incoming, Option<Lease>, Option<Keeper>),
}

impl AwsBody {
    /// Reads the body, if it is small. At its end the connection is given back, unless the request's body has never been
    /// asked for, so that the connection still waits for it.
    pub(crate) async fn take(
        head: &HeaderMap,
        body: Incoming,
        (lease, keeper): (Option<Lease>, Option<Keeper>),
    ) -> Result<Self, hyper::Error> {
        let length = head.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if body.is_end_stream() || matches!(length, Some(0..=SMALL)) {
            let bytes = body.collect().await?.to_bytes();
            give_back(lease, keeper.as_ref());
            return Ok(Self::Whole(bytes));
        }
        Ok(Self::Stream(body, lease, keeper))
    }
}

fn give_back(lease: Option<Lease>, keeper: Option<&Keeper>) {
    if let Some(lease) = lease.filter(|_| keeper.is_none_or(Keeper::is_open)) {
        lease.give_back();
    }
}

impl Body for AwsBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut *self {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Stream(inner, lease, keeper) => {
                let frame = ready!(Pin::new(&mut *inner).poll_frame(cx));
                if frame.is_none() || inner.is_end_stream() {
                    give_back(lease.take(), keeper.take().as_ref());
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Stream(inner, ..) => inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(inner, ..) => inner.size_hint(),
        }
    }
}

/// A body that counts what passes.
pub(crate) struct Counted {
    inner: Incoming,
    bytes: Arc<AtomicU64>,
}

impl Counted {
    /// Counts into `bytes`.
    pub(crate) fn new(inner: Incoming, bytes: Arc<AtomicU64>) -> Self {
        Self { inner, bytes }
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
