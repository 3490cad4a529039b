//! Request and reply bodies on the road: either whole in memory and small, or streamed.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use thiserror::Error;

/// Most bytes of a request that are read into memory (DynamoDB takes 16 MB at most), as in the agent.
pub(crate) const REQUEST_LIMIT: u64 = 16 * 1024 * 1024;
/// A reply up to this length is read whole, so that head and body leave in one write.
const WHOLE_REPLY: u64 = 64 * 1024;

/// A body of either kind. One type for both directions, without a box.
#[derive(Debug)]
pub enum Body {
    /// All of it; `None` once it has been given out.
    Whole(Option<Bytes>),
    /// As it comes.
    Stream(Incoming),
}

/// Why a body could not be read into memory.
#[derive(Debug, Error)]
pub enum BodyError {
    /// More than the bound.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: u64,
    },
    /// The other side stopped sending.
    #[error("the body ended early")]
    Broken(#[source] hyper::Error),
}

impl Body {
    /// All of a body.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self::Whole((!bytes.is_empty()).then_some(bytes))
    }

    /// Reads a small reply whole; leaves a larger one, or one of unknown length, streaming.
    pub(crate) async fn of_reply(body: Incoming) -> Result<Self, BodyError> {
        match body.size_hint().exact() {
            Some(length) if length <= WHOLE_REPLY => {
                collect(body, WHOLE_REPLY).await.map(Self::whole)
            }
            _ => Ok(Self::Stream(body)),
        }
    }
}

/// Reads a body of at most `limit` bytes.
pub(crate) async fn collect(mut body: Incoming, limit: u64) -> Result<Bytes, BodyError> {
    let hint = body.size_hint();
    if hint.lower() > limit {
        return Err(BodyError::TooLarge { limit });
    }
    let Some(first) = data(&mut body).await? else { return Ok(Bytes::new()) };
    if body.is_end_stream() || hint.exact() == Some(first.len() as u64) {
        // The whole body came in one piece, as small ones do: no copy.
        return if first.len() as u64 > limit {
            Err(BodyError::TooLarge { limit })
        } else {
            Ok(first)
        };
    }
    let expected = usize::try_from(hint.lower()).unwrap_or(0).max(first.len());
    let mut all = BytesMut::with_capacity(expected);
    all.extend_from_slice(&first);
    while let Some(next) = data(&mut body).await? {
        if (all.len() as u64).saturating_add(next.len() as u64) > limit {
            return Err(BodyError::TooLarge { limit });
        }
        all.extend_from_slice(&next);
    }
    Ok(all.freeze())
}

async fn data(body: &mut Incoming) -> Result<Option<Bytes>, BodyError> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(BodyError::Broken)?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(incoming) => Pin::new(incoming).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Stream(incoming) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Stream(incoming) => incoming.size_hint(),
        }
    }
}
