//! Bodies that are read into memory, and answers: whole where they are small, streamed otherwise.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use thiserror::Error;

/// A reply up to this length is read whole, so that head and body leave in one write.
const WHOLE_REPLY: u64 = 64 * 1024;

/// What comes back.
#[derive(Debug)]
pub(crate) enum Body {
    /// All of it; `None` once it has been given out.
    Whole(Option<Bytes>),
    /// As it comes, with what is left of its announced length.
    Stream(RecvStream, Option<u64>),
}

/// Why a body could not be read into memory.
#[derive(Debug, Error)]
pub(crate) enum BodyError {
    /// More than the bound.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: u64,
    },
    /// The client stopped sending.
    #[error("the body ended early")]
    Broken(#[source] hyper::Error),
}

/// Reads a request's body of at most `limit` bytes.
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

impl Body {
    /// All of a body.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self::Whole((!bytes.is_empty()).then_some(bytes))
    }

    /// Reads a small reply whole; leaves a larger one, or one of unknown length, streaming.
    pub(crate) async fn of_reply(head: &HeaderMap, body: RecvStream) -> Result<Self, h2::Error> {
        if body.is_end_stream() {
            return Ok(Self::Whole(None));
        }
        let length = head.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        match length {
            Some(length) if length <= WHOLE_REPLY => {
                read_reply(body, length).await.map(Self::whole)
            }
            _ => Ok(Self::Stream(body, length)),
        }
    }
}

async fn read_reply(mut body: RecvStream, length: u64) -> Result<Bytes, h2::Error> {
    let mut all = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        if all.is_empty() && data.len() as u64 == length {
            return Ok(data);
        }
        all.extend_from_slice(&data);
    }
    Ok(all.freeze())
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(stream, left) => match stream.poll_data(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(None) => Poll::Ready(None),
                Poll::Ready(Some(data)) => Poll::Ready(Some(data.and_then(|data| {
                    // Handed on, so there is room for more.
                    stream.flow_control().release_capacity(data.len())?;
                    if let Some(left) = left {
                        *left = left.saturating_sub(data.len() as u64);
                    }
                    Ok(Frame::data(data))
                }))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Stream(stream, _) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Stream(_, Some(left)) => SizeHint::with_exact(*left),
            Self::Stream(_, None) => SizeHint::default(),
        }
    }
}
