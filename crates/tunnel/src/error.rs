//! What can go wrong with a tunnel, and with one stream of it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use thiserror::Error;

/// Why a whole tunnel ended, or did not come about.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum TunnelError {
    /// The peer did not speak in time.
    #[error("the peer has been silent for {patience:?} after a ping")]
    Silent {
        /// How long it was waited for.
        patience: Duration,
    },
    /// Streams were still open when the time for draining was over.
    #[error("{streams} streams were still open at the end of the drain")]
    DrainTimedOut {
        /// How many.
        streams: usize,
    },
    /// The connection failed, or the peer broke the protocol.
    #[error("the tunnel's connection failed")]
    Connection(#[source] Arc<h2::Error>),
}

/// Why a stream could not be opened.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The connection is gone.
    #[error("the tunnel is closed")]
    Closed,
    /// The peer, or this end, takes no new streams: choose another tunnel.
    #[error("the tunnel is draining")]
    Draining,
    /// As many streams are open as may be.
    #[error("the tunnel carries {streams} streams already")]
    Full {
        /// How many.
        streams: usize,
    },
    /// The target is not an authority (RFC 3986, 3.2), or a header is not for the peer.
    #[error("`{what}` cannot name or describe a stream")]
    BadRequest {
        /// The offending part.
        what: String,
    },
    /// Target and headers are larger than the peer accepts.
    #[error("the stream's headers take {bytes} bytes; the limit is {limit}")]
    TooLarge {
        /// As HTTP/2 counts them.
        bytes: usize,
        /// The limit.
        limit: u32,
    },
}

/// Why one stream failed. Reads and writes return it inside an [`io::Error`]; [`refusal`] takes a refusal out again.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The far end would not take the stream.
    #[error("the far end refused the stream ({status}): {reason}")]
    Refused {
        /// Its HTTP status.
        status: StatusCode,
        /// Its words, or empty.
        reason: String,
    },
    /// The peer gave the stream up.
    #[error("the peer reset the stream ({reason})")]
    Reset {
        /// The HTTP/2 error code.
        reason: h2::Reason,
    },
    /// The peer has said all it had to say and reads no more (RFC 9113, 8.1). Its own bytes can still be read.
    #[error("the peer reads no more of the stream")]
    Unwanted,
    /// The tunnel under it ended.
    #[error("the tunnel under the stream ended")]
    Tunnel(#[source] Arc<h2::Error>),
    /// Written to after its end.
    #[error("the stream was written to after its end")]
    WriteAfterEnd,
    /// Neither side had anything to say for too long.
    #[error("no bytes in either direction for {idle:?}")]
    Idle {
        /// How long.
        idle: Duration,
    },
}

/// The status and words of a refusal, if that is what `error` is.
pub fn refusal(error: &io::Error) -> Option<(StatusCode, &str)> {
    match error.get_ref()?.downcast_ref()? {
        StreamError::Refused { status, reason } => Some((*status, reason)),
        _ => None,
    }
}

/// Whether a write failed only because the peer reads no more.
pub(crate) fn is_unwanted(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(StreamError::Unwanted))
}

impl From<h2::Error> for TunnelError {
    fn from(error: h2::Error) -> Self {
        Self::Connection(Arc::new(error))
    }
}

impl From<h2::Error> for StreamError {
    fn from(error: h2::Error) -> Self {
        match error.reason() {
            Some(h2::Reason::NO_ERROR) if error.is_reset() && error.is_remote() => Self::Unwanted,
            Some(reason) if error.is_reset() => Self::Reset { reason },
            _ => Self::Tunnel(Arc::new(error)),
        }
    }
}

impl From<StreamError> for io::Error {
    fn from(error: StreamError) -> Self {
        let kind = match &error {
            StreamError::Refused { .. } => io::ErrorKind::ConnectionRefused,
            StreamError::Reset { .. } => io::ErrorKind::ConnectionReset,
            StreamError::Tunnel(_) => io::ErrorKind::ConnectionAborted,
            StreamError::WriteAfterEnd | StreamError::Unwanted => io::ErrorKind::BrokenPipe,
            StreamError::Idle { .. } => io::ErrorKind::TimedOut,
        };
        Self::new(kind, error)
    }
}
