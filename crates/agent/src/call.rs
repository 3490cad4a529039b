//! The road of one request: parse, decide, open an entry, assume the role, sign, forward, close the entry.
//!
//! Each step eats what the last one made; a step that was forgotten would not compile. Nothing is fetched on the way
//! but AWS credentials that are not cached yet.

use std::sync::Arc;

use access::{AccessRequest, Grant, Identity, decide};
use api::wire::{HEADER_PAYLOAD_SHA256, HEADER_REQUEST_ID};
use aws::Call;
use aws::sigv4::{self, PayloadHash, declared_payload};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use pki::{Clock, LiveTrust};

use crate::assume::Assume;
use crate::body::RequestBody;
use crate::config::SyncWhen;
use crate::policy::LivePolicy;
use crate::record::{Answer, OpenEntry, RecordedBody, Recorder, Visit};
use crate::refusal::Refusal;
use crate::upstream::Upstream;

/// An answer's body: ours, or AWS's on its way through.
pub(crate) type AnswerBody = Either<Full<Bytes>, RecordedBody>;

/// What the road leads past.
pub(crate) struct Road {
    pub(crate) clock: Clock,
    pub(crate) trust: Arc<LiveTrust>,
    pub(crate) policy: Arc<LivePolicy>,
    pub(crate) recorder: Recorder,
    pub(crate) sync: SyncWhen,
    pub(crate) assume: Assume,
    pub(crate) upstream: Upstream,
}

impl Road {
    /// Answers one request: with AWS's answer, or in the service's own words why not.
    pub(crate) async fn call(
        &self,
        identity: &Identity,
        request: Request<Incoming>,
    ) -> Response<AnswerBody> {
        let (parts, body) = request.into_parts();
        let service = aws::reply::service_of(&parts);
        let mut visit = Visit::begin(identity, &parts, self.clock.now());
        match self.walk(&mut visit, identity, parts, body).await {
            Ok(answer) => answer.map(Either::Right),
            Err(refusal) => {
                let refusal = self.recorder.refused(&mut visit, refusal);
                let mut answer = refusal.reply(service, &visit.id()).into_response();
                if let Ok(id) = HeaderValue::from_str(&visit.id()) {
                    answer.headers_mut().insert(HEADER_REQUEST_ID, id);
                }
                answer.map(|bytes| Either::Left(Full::new(bytes)))
            }
        }
    }

    async fn walk(
        &self,
        visit: &mut Visit,
        identity: &Identity,
        mut parts: Parts,
        body: Incoming,
    ) -> Result<Response<RecordedBody>, Refusal> {
        let body = RequestBody::take(&parts, body).await?;
        let call = Call::parse(&parts, body.bytes())?;
        visit.parsed(&call);
        let grant = self.decide(visit, identity, &call)?;
        let entry = self.recorder.open(visit, &grant, &body)?;
        let result = async {
            if self.sync == SyncWhen::BeforeCall {
                self.recorder.durable(&entry).await?;
            }
            let payload = payload_of(&mut parts, &body)?;
            let destination = self.upstream.destination(call.endpoint())?;
            let keys = self.assume.keys(&grant).await?;
            let signed = sigv4::sign(parts, &payload, &destination, &keys, self.clock.now())?;
            Ok(self.upstream.send(&entry, signed, body).await?)
        };
        match result.await {
            Ok(reply) => self.release(entry, reply).await,
            Err(refusal) => {
                entry.failed(&refusal);
                Err(refusal)
            }
        }
    }

    fn decide(
        &self,
        visit: &mut Visit,
        identity: &Identity,
        call: &Call,
    ) -> Result<Grant, Refusal> {
        let snapshot = self.policy.now();
        if !snapshot.is_complete {
            return Err(Refusal::NotReady);
        }
        let claimed = identity.user().and_then(|claims| claims.app.as_ref());
        let name = &claimed.ok_or(Refusal::NoApp)?.name;
        let app =
            snapshot.apps.get(name).ok_or_else(|| Refusal::AppNotServed { app: name.clone() })?;
        visit.through(app);
        let request = AccessRequest { app, call, now: visit.now() };
        Ok(decide(identity, &request, &snapshot.policy)?)
    }

    /// Lets the answer go to the client, once the entry is safe.
    async fn release(
        &self,
        entry: OpenEntry,
        reply: Response<Incoming>,
    ) -> Result<Response<RecordedBody>, Refusal> {
        if let Err(error) = self.recorder.durable(&entry).await {
            let refusal = Refusal::from(error);
            entry.withheld(&Answer::of(&reply), &refusal);
            return Err(refusal);
        }
        Ok(RecordedBody::wrap(entry, reply))
    }
}

/// The payload's hash: what the client signed, or what `tsh` has computed already, or our own.
///
/// A wrong one makes AWS refuse the request, and nothing else.
fn payload_of(parts: &mut Parts, body: &RequestBody) -> Result<PayloadHash, Refusal> {
    let told = parts.headers.remove(HEADER_PAYLOAD_SHA256);
    if let Some(declared) = declared_payload(parts)? {
        return Ok(declared);
    }
    if let Some(told) = told.as_ref().and_then(|value| value.to_str().ok()) {
        let hash = PayloadHash::parse(told)?;
        if hash.covers_body() {
            return Ok(hash);
        }
    }
    body.bytes().map(PayloadHash::of).ok_or(Refusal::NoPayloadHash)
}
