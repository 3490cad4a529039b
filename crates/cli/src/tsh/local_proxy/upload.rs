//! What a client sends on its way up: whole and small, or streamed and checked while it passes.
//!
//! Signed chunks travel to the agent as plain data with the length that they announced, and the headers behind them as
//! trailers; the agent makes chunks of its own of it. Signed events travel as they came. Whatever is wrong resets the
//! stream, so that the agent sees no end, and AWS neither.

use std::future::poll_fn;
use std::time::{Duration, SystemTime};

use aws::reply::Fault;
use aws::sigv4::{chunked, events};
use bytes::Bytes;
use h2::{Reason, SendStream};
use http::header::EXPECT;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Version};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::oneshot;
use tokio::time::timeout;
use uuid::Uuid;

use super::check::Refusal;

/// How long, and how much, a client may go on sending what nobody wants, so that it can read the answer after that.
const DRAIN: (Duration, u64) = (Duration::from_secs(10), 256 << 20);

/// What is sent up.
#[derive(Debug)]
pub(crate) enum Upload {
    /// All of it.
    Whole(Bytes),
    /// As it comes.
    Stream(Box<Stream>),
}

/// A body that is checked while it passes.
#[derive(Debug)]
pub(crate) struct Stream {
    body: Incoming,
    form: Form,
    /// Whether a reset without an error looks like an end, as HTTP/2 has it.
    may_be_reset: bool,
    /// The name under which the agent asks for it, where the client waits for that.
    expects: Option<HeaderValue>,
    now: fn() -> SystemTime,
}

/// What it is made of.
#[derive(Debug)]
pub(crate) enum Form {
    /// Bytes of which the head's signature says enough.
    Plain,
    /// Signed chunks.
    Chunks(Box<chunked::Decoder>),
    /// Signed events.
    Events(events::Verifier),
}

/// Why a body went no further.
enum Stopped {
    /// Nobody wants more: an answer has come, or will not come.
    Unwanted,
    /// It is wrong.
    Wrong(Refusal),
}

impl Stream {
    pub(crate) fn new(parts: &Parts, body: Incoming, form: Form, now: fn() -> SystemTime) -> Self {
        // As soon as the body is read from, the client is told to send it.
        let waits = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
        let name = || HeaderValue::from_str(&Uuid::new_v4().simple().to_string()).ok();
        let expects = parts.headers.get(EXPECT).filter(|value| waits(value)).and_then(|_| name());
        Self { body, form, may_be_reset: parts.version == Version::HTTP_2, expects, now }
    }

    /// The name of the request whose body is sent only when it is asked for.
    pub(crate) fn expects(&self) -> Option<&HeaderValue> {
        self.expects.as_ref()
    }

    /// Sends the body up as it comes, no faster than the other side takes it. If it is not what was signed, says so and
    /// resets the stream.
    pub(crate) async fn pump(
        mut self,
        mut up: SendStream<Bytes>,
        refuse: oneshot::Sender<Refusal>,
    ) {
        match self.pass(&mut up).await {
            // A stream that is gone needs no end.
            Ok(Some(trailers)) => drop(up.send_trailers(trailers)),
            Ok(None) => {}
            Err(Stopped::Unwanted) => drain(self.body).await,
            Err(Stopped::Wrong(refusal)) => {
                // Before the reset, which ends the waiting for the answer. Nobody listens once that has begun.
                let _ = refuse.send(refusal);
                up.send_reset(Reason::INTERNAL_ERROR);
                drain(self.body).await;
            }
        }
    }

    /// Passes everything but the trailers, which it gives if there are any; else ends the stream.
    async fn pass(&mut self, up: &mut SendStream<Bytes>) -> Result<Option<HeaderMap>, Stopped> {
        let mut pieces = Vec::new();
        loop {
            let frame = tokio::select! {
                frame = self.body.frame() => frame,
                // The other side has answered and wants no more of it.
                _ = poll_fn(|cx| up.poll_reset(cx)) => return Err(Stopped::Unwanted),
            };
            let data = match frame {
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                Some(Err(_)) => return Err(broken()),
                None => break,
            };
            let is_last = matches!(self.form, Form::Plain) && self.body.is_end_stream();
            self.form.take(data, (self.now)(), &mut pieces).map_err(Stopped::Wrong)?;
            for piece in pieces.drain(..) {
                send(up, piece, is_last).await?;
            }
            if is_last {
                return Ok(None);
            }
        }
        if self.may_be_reset && !self.body.is_end_stream() {
            return Err(broken());
        }
        let form = std::mem::replace(&mut self.form, Form::Plain);
        let trailers = form.finish().map_err(Stopped::Wrong)?;
        if !trailers.is_empty() {
            return Ok(Some(trailers));
        }
        send(up, Bytes::new(), true).await.map(|()| None)
    }
}

fn broken() -> Stopped {
    Stopped::Wrong(Refusal::new(Fault::Invalid, "the body ended early"))
}

impl Form {
    /// Takes what came, and gives what goes on.
    fn take(&mut self, data: Bytes, now: SystemTime, out: &mut Vec<Bytes>) -> Result<(), Refusal> {
        match self {
            Self::Plain => {
                out.push(data);
                Ok(())
            }
            Self::Chunks(decoder) => decoder
                .push(data, out)
                .map_err(|error| Refusal::new(error.fault(), error.to_string())),
            Self::Events(verifier) => verifier
                .push(&data, now, out)
                .map_err(|error| Refusal::new(error.fault(), error.to_string())),
        }
    }

    fn finish(self) -> Result<HeaderMap, Refusal> {
        match self {
            Self::Plain => Ok(HeaderMap::new()),
            Self::Chunks(decoder) => {
                decoder.finish().map_err(|error| Refusal::new(error.fault(), error.to_string()))
            }
            Self::Events(verifier) => verifier
                .finish()
                .map(|()| HeaderMap::new())
                .map_err(|error| Refusal::new(error.fault(), error.to_string())),
        }
    }
}

/// Sends a piece as soon as there is room.
async fn send(up: &mut SendStream<Bytes>, piece: Bytes, is_last: bool) -> Result<(), Stopped> {
    up.reserve_capacity(1);
    while up.capacity() == 0 && !piece.is_empty() {
        match poll_fn(|cx| up.poll_capacity(cx)).await {
            Some(Ok(_)) => {}
            _ => return Err(Stopped::Unwanted),
        }
    }
    up.send_data(piece, is_last).map_err(|_| Stopped::Unwanted)
}

/// Reads on for a while: a client that is still sending takes a closed connection for a failure, and the answer is lost.
async fn drain(mut body: Incoming) {
    let reading = async {
        let mut left = DRAIN.1;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            match left.checked_sub(length) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // What is not read by then is cut off with the connection.
    let _ = timeout(DRAIN.0, reading).await;
}
