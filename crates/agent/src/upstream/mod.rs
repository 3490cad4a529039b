//! Connections to AWS, kept between calls; each runtime has its own.
//!
//! One task a connection and none a request. A kept connection that proves dead gives the request back untouched, and
//! only then is it sent on another: nothing of which a byte may have left is sent twice.

mod dial;
mod kept;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::header::HOST;
use http::uri::PathAndQuery;
use http::{Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use tokio::time::timeout;

pub(crate) use self::dial::{DialError, Dialer, Http};
use self::dial::{Origin, Sender};
use self::kept::{Kept, Place};
use crate::body::UpstreamBody;

/// AWS's own servers close idle connections after about 20 seconds and more.
const IDLE: Duration = Duration::from_secs(15);
/// How long a connection that was given back may take until it can be used again.
const TURN: Duration = Duration::from_millis(100);

/// The connections.
pub(crate) struct Connections {
    dialer: Dialer,
    kept: Mutex<Kept>,
}

/// Why a request got no answer.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Nothing of it was sent.
    Unsent(DialError),
    /// Something may have been.
    Sent(hyper::Error),
}

/// A connection that is in use by the answer's body. Given back at the body's end; closed if it is dropped before.
pub(crate) struct Lease {
    home: Arc<Connections>,
    place: Place,
    sender: http1::SendRequest<UpstreamBody>,
}

impl Connections {
    pub(crate) fn new(dialer: Dialer) -> Arc<Self> {
        Arc::new(Self { dialer, kept: Mutex::default() })
    }

    /// Sends a request with an absolute URI, and gives the head of the answer with its streaming body.
    pub(crate) async fn send(
        self: &Arc<Self>,
        http: Http,
        request: Request<UpstreamBody>,
    ) -> Result<(Response<Incoming>, Option<Lease>), Failed> {
        let origin = Origin::of(request.uri()).map_err(Failed::Unsent)?;
        let place = Place::here(origin);
        match http {
            Http::One => self.send_by_1(place, relative(request)).await,
            Http::Two => Box::pin(self.send_by_2(place, request)).await,
        }
    }

    async fn send_by_1(
        self: &Arc<Self>,
        place: Place,
        mut request: Request<UpstreamBody>,
    ) -> Result<(Response<Incoming>, Option<Lease>), Failed> {
        while let Some(mut sender) = self.take(&place) {
            // The body of the last answer has been read, but the connection may not know that yet.
            if !matches!(timeout(TURN, sender.ready()).await, Ok(Ok(()))) {
                continue;
            }
            match sender.try_send_request(request).await {
                Ok(reply) => return Ok((reply, Some(self.lease(place, sender)))),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(Failed::Sent(error.into_error())),
                },
            }
        }
        let sender =
            Box::pin(self.dialer.dial(&place.origin, Http::One)).await.map_err(Failed::Unsent)?;
        match sender {
            Sender::One(sender) => self.first_by_1(place, sender, request).await,
            Sender::Two(_) => Err(Failed::Unsent(DialError::NotAgreed)),
        }
    }

    async fn first_by_1(
        self: &Arc<Self>,
        place: Place,
        mut sender: http1::SendRequest<UpstreamBody>,
        request: Request<UpstreamBody>,
    ) -> Result<(Response<Incoming>, Option<Lease>), Failed> {
        match sender.send_request(request).await {
            Ok(reply) => Ok((reply, Some(self.lease(place, sender)))),
            Err(error) => Err(Failed::Sent(error)),
        }
    }

    /// Over the one HTTP/2 connection to a host; by HTTP/1.1 where the host wants no other.
    async fn send_by_2(
        self: &Arc<Self>,
        place: Place,
        mut request: Request<UpstreamBody>,
    ) -> Result<(Response<Incoming>, Option<Lease>), Failed> {
        let shared = self.lock().shared(&place);
        if let Some(mut sender) = shared
            && sender.ready().await.is_ok()
        {
            match sender.try_send_request(absolute(request)).await {
                Ok(reply) => return Ok((reply, None)),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(Failed::Sent(error.into_error())),
                },
            }
        }
        match Box::pin(self.dialer.dial(&place.origin, Http::Two)).await.map_err(Failed::Unsent)? {
            Sender::One(sender) => self.first_by_1(place, sender, relative(request)).await,
            Sender::Two(sender) => self.first_by_2(place, sender, request).await,
        }
    }

    async fn first_by_2(
        &self,
        place: Place,
        mut sender: http2::SendRequest<UpstreamBody>,
        request: Request<UpstreamBody>,
    ) -> Result<(Response<Incoming>, Option<Lease>), Failed> {
        self.lock().share(place, sender.clone());
        let reply = sender.send_request(absolute(request)).await.map_err(Failed::Sent)?;
        Ok((reply, None))
    }

    fn lease(self: &Arc<Self>, place: Place, sender: http1::SendRequest<UpstreamBody>) -> Lease {
        Lease { home: Arc::clone(self), place, sender }
    }

    fn take(&self, place: &Place) -> Option<http1::SendRequest<UpstreamBody>> {
        self.lock().take(place, Instant::now())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// The answer's body has been read to its end.
    pub(crate) fn give_back(self) {
        let Self { home, place, sender } = self;
        if !sender.is_closed() {
            home.lock().put(place, sender, Instant::now());
        }
    }
}

/// HTTP/1.1 names the host in a header only.
fn relative(mut request: Request<UpstreamBody>) -> Request<UpstreamBody> {
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    *request.version_mut() = Version::HTTP_11;
    request
}

/// HTTP/2 names it in the URI only.
fn absolute(mut request: Request<UpstreamBody>) -> Request<UpstreamBody> {
    request.headers_mut().remove(HOST);
    *request.version_mut() = Version::HTTP_2;
    request
}
