//! Bodies that are sent only when they are asked for (`Expect: 100-continue`, RFC 9110 section 10.1.1).
//!
//! A client that waits for `100 Continue` waits at `tsh`, which sends the head here and asks, by a request beside it, when
//! the body is wanted. It is wanted when AWS wants it: after our own decision AWS gets the head with an expectation of its
//! own, and says `100 Continue`, or answers at once. What AWS or we refuse, nobody has to send.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use access::{AppSessionId, Identity};
use api::wire::{HEADER_ASKED, HEADER_EXPECTS};
use http::header::EXPECT;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

use crate::upstream::Http;

/// How long AWS may keep silent on an expectation until the body is sent all the same, as clients themselves do it.
pub(crate) const SILENCE: Duration = Duration::from_secs(1);
/// How long the question may stay open.
const LONGEST: Duration = Duration::from_secs(600);
/// Longest name of a request.
const LONGEST_NAME: usize = 64;

/// Requests whose bodies have not been asked for, by app session and the name that `tsh` has given them.
pub(crate) struct Expectations {
    known: Mutex<HashMap<(AppSessionId, String), Weak<Asked>>>,
    silence: Duration,
}

/// Whether a body has been asked for.
pub(crate) struct Asked {
    token: CancellationToken,
    silence: Duration,
}

/// Holds a body back until it is asked for.
pub(crate) struct Gate {
    opened: Wait,
    shut: Wait,
}

type Wait = Pin<Box<WaitForCancellationFutureOwned>>;

/// Shuts the gate when it is dropped: a body that was not asked for by the end of the answer never will be.
pub(crate) struct Keeper {
    asked: Arc<Asked>,
    _shut: DropGuard,
}

impl Expectations {
    /// None yet. A body is asked for after so long a silence of AWS.
    pub(crate) fn new(silence: Duration) -> Self {
        Self { known: Mutex::default(), silence }
    }

    /// The request's own, if `tsh` holds its body back.
    pub(crate) fn of_request(
        &self,
        identity: &Identity,
        headers: &HeaderMap,
    ) -> Option<Arc<Asked>> {
        self.named(identity, headers, HEADER_EXPECTS)
    }

    /// Answers the question for a body: when it is wanted, or never.
    pub(crate) async fn answer(&self, identity: &Identity, headers: &HeaderMap) -> StatusCode {
        let Some(asked) = self.named(identity, headers, HEADER_ASKED) else {
            return StatusCode::BAD_REQUEST;
        };
        match timeout(LONGEST, asked.token.cancelled()).await {
            Ok(()) => StatusCode::NO_CONTENT,
            Err(_) => StatusCode::REQUEST_TIMEOUT,
        }
    }

    fn named(
        &self,
        identity: &Identity,
        headers: &HeaderMap,
        header: &'static str,
    ) -> Option<Arc<Asked>> {
        let name = headers.get(HeaderName::from_static(header))?.to_str().ok()?;
        let session = &identity.user()?.app.as_ref()?.session;
        let is_name =
            name.len() <= LONGEST_NAME && name.bytes().all(|byte| byte.is_ascii_graphic());
        is_name.then(|| self.get((session.clone(), name.to_owned())))
    }

    /// The same for all who hold the name at a time.
    fn get(&self, key: (AppSessionId, String)) -> Arc<Asked> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(asked) = known.get(&key).and_then(Weak::upgrade) {
            return asked;
        }
        known.retain(|_, asked| asked.strong_count() > 0);
        let (token, silence) = (CancellationToken::new(), self.silence);
        let asked = Arc::new(Asked { token, silence });
        known.insert(key, Arc::downgrade(&asked));
        asked
    }
}

impl Asked {
    /// Asks for the body.
    pub(crate) fn ask(&self) {
        self.token.cancel();
    }

    /// Whether that has been done.
    pub(crate) fn is_asked(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Holds the body back until then.
    pub(crate) fn gate(self: Arc<Self>) -> (Gate, Keeper) {
        let shut = CancellationToken::new();
        let gate = Gate {
            opened: Box::pin(self.token.clone().cancelled_owned()),
            shut: Box::pin(shut.clone().cancelled_owned()),
        };
        (gate, Keeper { asked: self, _shut: shut.drop_guard() })
    }
}

impl Gate {
    /// Ready when the body may pass; an error if it never may.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Unwanted>> {
        if self.opened.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        ready!(self.shut.as_mut().poll(cx));
        Poll::Ready(Err(Unwanted))
    }
}

/// Nobody asked for the body.
#[derive(Debug)]
pub(crate) struct Unwanted;

impl Keeper {
    /// Lets AWS say when it wants the body. HTTP/2 has room for a body anyway: there it is asked for at once.
    pub(crate) fn announce<B>(&self, http: Http, request: &mut Request<B>) {
        if http == Http::Two {
            return self.asked.ask();
        }
        request.headers_mut().insert(EXPECT, HeaderValue::from_static("100-continue"));
        let asked = Arc::clone(&self.asked);
        hyper::ext::on_informational(request, move |answer| {
            if answer.status() == StatusCode::CONTINUE {
                asked.ask();
            }
        });
    }

    /// Whether the body has been asked for.
    pub(crate) fn is_open(&self) -> bool {
        self.asked.is_asked()
    }

    /// Asks for the body when AWS has kept silent for long, and never ends.
    pub(crate) async fn ask_late(asked: Option<Arc<Asked>>) -> Infallible {
        if let Some(asked) = asked {
            sleep(asked.silence).await;
            asked.ask();
        }
        std::future::pending().await
    }

    /// Who can ask.
    pub(crate) fn asked(&self) -> Arc<Asked> {
        Arc::clone(&self.asked)
    }
}
