//! What is recorded of each request: the facts as they become known, the entry, and its end.
//!
//! A request that is refused has its event too. Nothing here sees an item, a body or a credential.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Instant, SystemTime};

use access::{App, ClusterName, Grant, HostId, Identity};
use api::error::Chain;
use api::headers::remove_hop_by_hop;
use audit::events::{Outcome, RequestFields};
use audit::{Closing, Entry, Event, Request, What};
use aws::dynamodb::Table;
use aws::session_name::session_name;
use aws::{Call, RoleArn};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, Response};
use http_body::{Body, Frame, SizeHint};
use tracing::{error, info};
use uuid::Uuid;

use crate::body::{AwsBody, RequestBody};
use crate::refusal::Refusal;
use crate::spool::{Spool, SpoolError};

/// Longest text of the client's own that is recorded, bytes.
const LONGEST: usize = 2048;

const REQUEST_ID_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("x-amzn-requestid"),
    HeaderName::from_static("x-amz-request-id"),
    HeaderName::from_static("x-amzn-request-id"),
];

/// One request from its first byte on, as far as it is known.
pub(crate) struct Visit {
    uid: Uuid,
    started: Instant,
    now: SystemTime,
    /// Until the entry is opened.
    fields: Option<Box<RequestFields>>,
}

/// Writes entries.
pub(crate) struct Recorder {
    pub(crate) spool: Arc<Spool>,
    pub(crate) cluster: ClusterName,
    pub(crate) host_id: HostId,
}

/// The proof that an entry stands in the spool. Without one, nothing is sent.
pub(crate) struct OpenEntry {
    entry: Entry<Spool>,
    started: Instant,
    bytes_in: Arc<AtomicU64>,
}

/// What the head of AWS's answer says.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    status: u16,
    request_id: Option<String>,
}

impl Visit {
    /// Notes who asks AWS for what.
    pub(crate) fn begin(identity: &Identity, parts: &Parts, now: SystemTime) -> Self {
        let fields = RequestFields {
            method: parts.method.as_str().to_owned(),
            path: bounded(parts.uri.path()),
            aws_host: bounded(parts.uri.authority().map_or("", |authority| authority.host())),
            ..RequestFields::default()
        };
        Self::of(identity, fields, now)
    }

    /// Notes who wants to use a web or TCP app.
    pub(crate) fn of_app(
        identity: &Identity,
        (method, path, query): (&str, &str, &str),
        now: SystemTime,
    ) -> Self {
        let fields = RequestFields {
            method: bounded(method),
            path: bounded(path),
            raw_query: bounded(query),
            ..RequestFields::default()
        };
        let mut visit = Self::of(identity, fields, now);
        if let Some(fields) = &mut visit.fields {
            fields.aws_role_session_name = None;
        }
        visit
    }

    /// Notes who wants to be signed in to the AWS console.
    pub(crate) fn of_console(identity: &Identity, now: SystemTime) -> Self {
        let fields = RequestFields {
            method: "POST".to_owned(),
            path: api::wire::CONSOLE_PATH.to_owned(),
            aws_service: "signin".to_owned(),
            operation: Some("ConsoleSignIn".to_owned()),
            ..RequestFields::default()
        };
        Self::of(identity, fields, now)
    }

    fn of(identity: &Identity, mut fields: RequestFields, now: SystemTime) -> Self {
        identity.subject().clone_into(&mut fields.user);
        if let Some(claims) = identity.user() {
            fields.with_mfa = claims.mfa;
            fields.aws_role_session_name = Some(session_name(claims.user.as_str()));
            if let Some(app) = &claims.app {
                fields.sid = app.session.as_str().to_owned();
                fields.app_name = app.name.as_str().to_owned();
                fields.app_public_addr.clone_from(&app.public_addr);
                fields.aws_role_arn = app.aws_role.as_ref().map(|role| role.as_str().to_owned());
            }
        }
        Self { uid: Uuid::now_v7(), started: Instant::now(), now, fields: Some(Box::new(fields)) }
    }

    /// Notes what the call touches.
    pub(crate) fn parsed(&mut self, call: &Call) {
        let Some(fields) = &mut self.fields else { return };
        let endpoint = call.endpoint();
        fields.path = bounded(call.path());
        fields.raw_query = bounded(call.query());
        fields.aws_region = endpoint.region().as_str().to_owned();
        fields.aws_service = call.service().signing_name().to_owned();
        fields.aws_host = endpoint.host().to_owned();
        fields.operation =
            Some(call.operation().to_owned()).filter(|operation| !operation.is_empty());
        let asked = call.key_giving().and_then(|giving| giving.role());
        fields.aws_requested_role = asked.map(|role| role.as_str().to_owned());
        fields.tables = call.tables().iter().map(|table| table.name().to_owned()).collect();
        fields.indexes = call.tables().iter().flat_map(indexes).collect();
    }

    /// Notes the role by whose temporary keys the call is made.
    pub(crate) fn by(&mut self, assumed: Option<&RoleArn>) {
        let Some(fields) = &mut self.fields else { return };
        fields.aws_assumed_role = assumed.map(|role| role.as_str().to_owned());
    }

    /// Notes the host of the console's sign-in.
    pub(crate) fn signing_in_at(&mut self, host: &str) {
        let Some(fields) = &mut self.fields else { return };
        fields.aws_host = bounded(host);
    }

    /// Notes where a TCP connection goes.
    pub(crate) fn to(&mut self, target: &str) {
        let Some(fields) = &mut self.fields else { return };
        fields.path = bounded(target);
    }

    /// Notes the app.
    pub(crate) fn through(&mut self, app: &App) {
        let Some(fields) = &mut self.fields else { return };
        fields.app_uri = app.uri();
    }

    /// The moment at which everything about this request is judged.
    pub(crate) fn now(&self) -> SystemTime {
        self.now
    }

    /// The request's id, which log lines, the audit entry and a refusal repeat.
    pub(crate) fn id(&self) -> String {
        self.uid.to_string()
    }
}

impl Recorder {
    /// Opens the entry. If that fails, nothing is recorded of the request: there is nowhere to.
    pub(crate) fn open(
        &self,
        visit: &mut Visit,
        grant: &Grant,
        body: &RequestBody,
    ) -> Result<OpenEntry, Refusal> {
        if let Some(fields) = &mut visit.fields {
            fields.aws_role_arn = Some(grant.aws_role().as_str().to_owned());
        }
        self.open_counting(visit, body.counter())
    }

    /// The same for what is no AWS call. `bytes_in` counts what the client sends.
    pub(crate) fn open_counting(
        &self,
        visit: &mut Visit,
        bytes_in: Arc<AtomicU64>,
    ) -> Result<OpenEntry, Refusal> {
        let mut fields = visit.fields.take().ok_or(Refusal::Recorded)?;
        fields.decision = "allowed".to_owned();
        let request = self.request(visit, *fields).ok_or(Refusal::Recorded)?;
        let entry = request.open(Arc::clone(&self.spool))?;
        Ok(OpenEntry { entry, started: visit.started, bytes_in })
    }

    /// Waits until the entry survives the death of the machine.
    pub(crate) async fn durable(&self, entry: &OpenEntry) -> Result<(), SpoolError> {
        self.spool.durable(entry.entry.opened()).await
    }

    /// Records a request that ends here. If even that cannot be written, the spool's reason is the one to tell.
    pub(crate) fn refused(&self, visit: &mut Visit, refusal: Refusal) -> Refusal {
        let request = visit.id();
        info!(%request, rule = refusal.code(), error = %Chain(&refusal), "call not answered");
        let Some(mut fields) = visit.fields.take() else { return refusal };
        fields.decision = refusal.code().to_owned();
        let Some(request) = self.request(visit, *fields) else { return refusal };
        let closing = Closing {
            error: Some(bounded(&Chain(&refusal).to_string())),
            duration: visit.started.elapsed(),
            ..Closing::default()
        };
        match self.spool.note(&request.ended(refusal.outcome(), closing)) {
            Ok(()) => refusal,
            Err(error) => {
                error!(error = %Chain(&error), "could not record a refused call");
                Refusal::from(error)
            }
        }
    }

    fn request(&self, visit: &Visit, mut fields: RequestFields) -> Option<Request> {
        self.host_id.as_str().clone_into(&mut fields.server_id);
        Request::new(Event::new(visit.uid, visit.now, self.cluster.as_str(), What::request(fields)))
    }
}

impl OpenEntry {
    /// Counts the bytes that the client sends.
    pub(crate) fn bytes_in_counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.bytes_in)
    }

    /// How many bytes of the request's body have passed.
    pub(crate) fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    /// Closes the entry of a call without an answer.
    pub(crate) fn failed(self, refusal: &Refusal) {
        let closing =
            Closing { error: Some(bounded(&Chain(refusal).to_string())), ..self.closing() };
        self.entry.close(refusal.outcome(), closing);
    }

    /// Closes the entry of a call whose answer the client does not get.
    pub(crate) fn withheld(self, answer: &Answer, refusal: &Refusal) {
        let error = format!("the answer was withheld: {}", Chain(refusal));
        self.answered(answer, 0, Some(error));
    }

    /// Closes the entry of what was answered.
    pub(crate) fn answered(self, answer: &Answer, bytes_out: u64, error: Option<String>) {
        let closing = Closing {
            error,
            status_code: Some(answer.status),
            aws_request_id: answer.request_id.clone(),
            bytes_out,
            ..self.closing()
        };
        self.entry.close(Outcome::Answered, closing);
    }

    fn closing(&self) -> Closing {
        Closing {
            duration: self.started.elapsed(),
            bytes_in: self.bytes_in(),
            ..Closing::default()
        }
    }
}

impl Answer {
    /// One that is known by its status alone.
    pub(crate) fn with_status(status: u16) -> Self {
        Self { status, request_id: None }
    }

    /// Reads the head.
    pub(crate) fn of<B>(reply: &Response<B>) -> Self {
        let id = REQUEST_ID_HEADERS.iter().find_map(|name| reply.headers().get(name));
        let request_id = id.and_then(|id| id.to_str().ok()).map(bounded);
        Self { status: reply.status().as_u16(), request_id }
    }
}

/// An answer on its way to the client, AWS's or an app's. Its end closes the entry.
pub(crate) struct RecordedBody<B: Body = AwsBody> {
    inner: B,
    bytes_out: u64,
    open: Option<(OpenEntry, Answer)>,
}

impl<B: Body> RecordedBody<B> {
    /// Passes the answer on as it is, without the headers of the last hop.
    pub(crate) fn wrap(entry: OpenEntry, reply: Response<B>) -> Response<Self> {
        let answer = Answer::of(&reply);
        let (mut parts, inner) = reply.into_parts();
        remove_hop_by_hop(&mut parts.headers);
        parts.version = http::Version::HTTP_2;
        parts.extensions.clear();
        Response::from_parts(parts, Self { inner, bytes_out: 0, open: Some((entry, answer)) })
    }

    fn close(&mut self, error: Option<String>) {
        if let Some((entry, answer)) = self.open.take() {
            entry.answered(&answer, self.bytes_out, error);
        }
    }
}

impl<B> Body for RecordedBody<B>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                self.bytes_out += frame.data_ref().map_or(0, |data| data.len() as u64);
                if self.inner.is_end_stream() {
                    self.close(None);
                }
            }
            Some(Err(error)) => {
                let why = format!("the answer broke off: {}", Chain(error));
                self.close(Some(why));
            }
            None => self.close(None),
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

impl<B: Body> Drop for RecordedBody<B> {
    fn drop(&mut self) {
        let is_whole = self.inner.is_end_stream();
        self.close((!is_whole).then(|| "the client did not take the whole answer".to_owned()));
    }
}

fn indexes(table: &Table) -> impl Iterator<Item = String> {
    table.indexes().map(|index| format!("{}/{index}", table.name()))
}

/// A client's text, cut to what a record may hold.
fn bounded(text: &str) -> String {
    if text.len() <= LONGEST {
        return text.to_owned();
    }
    let end = (0..=LONGEST).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", text.get(..end).unwrap_or_default())
}
