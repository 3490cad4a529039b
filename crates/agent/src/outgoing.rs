//! A request's body on its way to AWS: counted, put into signed chunks or signed events where AWS wants them.
//!
//! A body that breaks off, or that is not as announced, ends in an error: then the request to AWS is cut, and AWS never
//! completes it.

use std::collections::VecDeque;
use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use aws::sigv4::chunked::{CHUNK_SIZE, ChunkError, Encoder};
use aws::sigv4::events::{EventError, Signer};
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pki::Clock;
use thiserror::Error;

use crate::expect::Gate;

/// What goes to AWS.
pub(crate) enum UpstreamBody {
    Whole(Bytes),
    Stream(Box<Outgoing>),
}

/// Why a body goes no further.
#[derive(Debug, Error)]
enum BodyFault {
    #[error("the request's body broke off")]
    Broken(#[source] hyper::Error),
    #[error("the request's body was cut")]
    Cut,
    #[error("the request's body is not as announced")]
    Chunks(#[source] ChunkError),
    #[error("the request's event stream cannot be passed on")]
    Events(#[source] EventError),
    #[error("AWS did not ask for the request's body")]
    Unwanted,
}

/// How a body is put for AWS.
pub(crate) enum Coder {
    /// As it comes.
    Plain,
    /// In chunks, which we sign.
    Chunks(Chunks),
    /// Message by message, which we sign.
    Events(Signer, Clock),
}

/// Data that waits until it makes a chunk.
pub(crate) struct Chunks {
    encoder: Option<Encoder>,
    waiting: Vec<Bytes>,
    length: usize,
    trailers: HeaderMap,
}

/// A body that streams.
pub(crate) struct Outgoing {
    inner: Incoming,
    bytes: Arc<AtomicU64>,
    coder: Coder,
    ready: VecDeque<Bytes>,
    hint: SizeHint,
    has_ended: bool,
    gate: Option<Gate>,
}

impl Chunks {
    pub(crate) fn new(encoder: Encoder) -> Self {
        Self { encoder: Some(encoder), waiting: Vec::new(), length: 0, trailers: HeaderMap::new() }
    }

    fn take(&mut self, mut data: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), ChunkError> {
        while !data.is_empty() {
            let piece = data.split_to(data.len().min(CHUNK_SIZE - self.length));
            self.length += piece.len();
            self.waiting.push(piece);
            if self.length == CHUNK_SIZE {
                self.flush(out)?;
            }
        }
        Ok(())
    }

    fn flush(&mut self, out: &mut VecDeque<Bytes>) -> Result<(), ChunkError> {
        if self.length == 0 {
            return Ok(());
        }
        if let Some(encoder) = &mut self.encoder {
            out.push_back(encoder.chunk(&self.waiting)?);
        }
        out.extend(self.waiting.drain(..));
        out.push_back(Bytes::from_static(b"\r\n"));
        self.length = 0;
        Ok(())
    }

    fn end(&mut self, out: &mut VecDeque<Bytes>) -> Result<(), ChunkError> {
        self.flush(out)?;
        if let Some(encoder) = self.encoder.take() {
            out.push_back(encoder.end(&self.trailers)?);
        }
        Ok(())
    }
}

impl Coder {
    fn take(&mut self, data: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), BodyFault> {
        match self {
            Self::Plain => out.push_back(data),
            Self::Chunks(chunks) => chunks.take(data, out).map_err(BodyFault::Chunks)?,
            Self::Events(signer, clock) => {
                let mut messages = Vec::new();
                signer.push(&data, clock.now(), &mut messages).map_err(BodyFault::Events)?;
                out.extend(messages);
            }
        }
        Ok(())
    }

    fn end(&mut self, out: &mut VecDeque<Bytes>) -> Result<(), BodyFault> {
        match self {
            Self::Plain => Ok(()),
            Self::Chunks(chunks) => chunks.end(out).map_err(BodyFault::Chunks),
            Self::Events(..) => match std::mem::replace(self, Self::Plain) {
                Self::Events(signer, _) => signer.finish().map_err(BodyFault::Events),
                _ => Ok(()),
            },
        }
    }

    fn hint(&self, inner: &Incoming) -> SizeHint {
        match self {
            Self::Plain => inner.size_hint(),
            Self::Chunks(chunks) => {
                let length = chunks.encoder.as_ref().and_then(Encoder::length);
                length.map_or_else(SizeHint::default, SizeHint::with_exact)
            }
            Self::Events(..) => SizeHint::default(),
        }
    }
}

impl Outgoing {
    pub(crate) fn new(
        inner: Incoming,
        bytes: Arc<AtomicU64>,
        coder: Coder,
        gate: Option<Gate>,
    ) -> Self {
        let hint = coder.hint(&inner);
        Self { inner, bytes, coder, ready: VecDeque::new(), hint, has_ended: false, gate }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        ready!(poll_gate(&mut self.gate, cx))?;
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            if self.has_ended {
                return Poll::Ready(None);
            }
            match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
                Some(Ok(frame)) => self.take(frame)?,
                Some(Err(error)) => return Poll::Ready(Some(Err(BodyFault::Broken(error)))),
                // A reset without an error is no end.
                None if !self.inner.is_end_stream() => {
                    return Poll::Ready(Some(Err(BodyFault::Cut)));
                }
                None => {
                    self.coder.end(&mut self.ready)?;
                    self.has_ended = true;
                }
            }
        }
    }

    fn take(&mut self, frame: Frame<Bytes>) -> Result<(), BodyFault> {
        match frame.into_data() {
            Ok(data) => {
                self.bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
                self.coder.take(data, &mut self.ready)
            }
            Err(frame) => {
                if let (Coder::Chunks(chunks), Ok(trailers)) =
                    (&mut self.coder, frame.into_trailers())
                {
                    chunks.trailers = trailers;
                }
                Ok(())
            }
        }
    }
}

fn poll_gate(gate: &mut Option<Gate>, cx: &mut Context<'_>) -> Poll<Result<(), BodyFault>> {
    let Some(waiting) = gate else { return Poll::Ready(Ok(())) };
    let opened = ready!(waiting.poll(cx));
    *gate = None;
    Poll::Ready(opened.map_err(|_| BodyFault::Unwanted))
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = Box<dyn StdError + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut *self {
            Self::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Stream(outgoing) => {
                let frame = ready!(outgoing.poll(cx));
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Stream(outgoing) => match &outgoing.coder {
                Coder::Plain => outgoing.ready.is_empty() && outgoing.inner.is_end_stream(),
                _ => outgoing.has_ended && outgoing.ready.is_empty(),
            },
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(outgoing) => match &outgoing.coder {
                Coder::Plain => outgoing.inner.size_hint(),
                _ => outgoing.hint,
            },
        }
    }
}
