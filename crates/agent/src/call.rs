//! The road of one request: parse, decide, open an entry, assume the role, sign, forward, close the entry.
//!
//! Each step eats what the last one made; a step that was forgotten would not compile. Nothing is fetched on the way
//! but AWS credentials that are not cached yet.

use std::sync::Arc;

use access::{AccessRequest, Grant, Identity, decide};
use api::headers::remove_ours;
use api::wire::{HEADER_DERIVED, HEADER_REQUEST_ID};
use aws::reply::Words;
use aws::sigv4::{self, PayloadHash};
use aws::{Call, CallHead, RoleArn};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use pki::{Clock, LiveTrust};
use tracing::{Instrument as _, debug_span};

use crate::assume::Assume;
use crate::body::{AwsBody, RequestBody};
use crate::config::SyncWhen;
use crate::derived::{Derived, DerivedKeys, NotKnown};
use crate::expect::{Asked, Expectations};
use crate::forward::Upstream;
use crate::giving::{self, Expected};
use crate::outgoing::Coder;
use crate::policy::LivePolicy;
use crate::record::{Answer, OpenEntry, RecordedBody, Recorder, Visit};
use crate::refusal::Refusal;
use crate::told::{Form, Told};

/// An answer's body: ours, or AWS's on its way through.
pub(crate) type AnswerBody = Either<Full<Bytes>, RecordedBody>;

/// What the road leads past.
pub(crate) struct Road {
    pub(crate) clock: Clock,
    pub(crate) trust: Arc<LiveTrust>,
    pub(crate) policy: Arc<LivePolicy>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) sync: SyncWhen,
    pub(crate) assume: Assume,
    pub(crate) upstream: Upstream,
    pub(crate) derived: Arc<DerivedKeys>,
    pub(crate) expectations: Expectations,
}

/// A call that was allowed, before anything was recorded.
struct Allowed {
    call: Call,
    grant: Grant,
    body: RequestBody,
    /// The keys that it is made with, where the user holds temporary ones.
    by: Option<Arc<Derived>>,
    /// Where `tsh` holds the body back.
    asked: Option<Arc<Asked>>,
}

impl Road {
    /// Answers one request: with AWS's answer, or in the service's own words why not.
    pub(crate) async fn call(
        &self,
        identity: &Identity,
        request: Request<Incoming>,
    ) -> Response<AnswerBody> {
        let (parts, body) = request.into_parts();
        let parts = Box::new(parts);
        let mut visit = Visit::begin(identity, &parts, self.clock.now());
        let span = debug_span!("call", id = %visit.id());
        self.answer(&mut visit, identity, parts, body).instrument(span).await
    }

    async fn answer(
        &self,
        visit: &mut Visit,
        identity: &Identity,
        parts: Box<Parts>,
        body: Incoming,
    ) -> Response<AnswerBody> {
        let allowed = match self.admit(visit, identity, &parts, body).await {
            Ok(allowed) => allowed,
            Err(refusal) => {
                return self.refuse(visit, refusal, Words::of_request(&parts));
            }
        };
        let words = Words::of_service(&parts, Some(allowed.call.service()));
        match self.perform(visit, allowed, parts).await {
            Ok(answer) => answer.map(Either::Right),
            Err(refusal) => self.refuse(visit, refusal, words),
        }
    }

    /// Steps 8 and 9: what is asked for, and whether it may be.
    async fn admit(
        &self,
        visit: &mut Visit,
        identity: &Identity,
        parts: &Parts,
        body: Incoming,
    ) -> Result<Box<Allowed>, Refusal> {
        let asked = self.expectations.of_request(identity, &parts.headers);
        let head = CallHead::parse(parts)?;
        let body = RequestBody::take(parts, body, (&head, asked.as_deref())).await?;
        let call = head.with_body(parts, body.bytes())?;
        visit.parsed(&call);
        // Nobody signs those that are meant so, and no keys can be behind them.
        let is_fit = call.is_meant_unsigned() && !parts.headers.contains_key(HEADER_DERIVED);
        if !call.is_signed() && !is_fit {
            return Err(Refusal::Unsigned);
        }
        let by = self.derived(identity, parts);
        let chain = match &by {
            Ok(Some(by)) => by.chain.as_slice(),
            // Whether they may do anything at all is told before what is wrong with their keys.
            Ok(None) | Err(_) => &[],
        };
        visit.by(chain.last());
        let grant = self.decide(visit, identity, (&call, chain))?;
        let by = by?;
        Ok(Box::new(Allowed { call, grant, body, by, asked }))
    }

    /// The temporary keys that the request is signed with, if it is: `tsh` has checked that.
    fn derived(
        &self,
        identity: &Identity,
        parts: &Parts,
    ) -> Result<Option<Arc<Derived>>, NotKnown> {
        let mut tokens = parts.headers.get_all(HEADER_DERIVED).iter();
        let (Some(token), further) = (tokens.next(), tokens.next()) else { return Ok(None) };
        let claims = identity.user().and_then(|claims| Some((claims, claims.app.as_ref()?)));
        match (token.to_str(), further, claims) {
            (Ok(token), None, Some((claims, app))) => {
                self.derived.find(token, (&app.session, &claims.user)).map(Some)
            }
            _ => Err(NotKnown::Ended),
        }
    }

    /// Steps 10 to 14: the entry, the role, the signature, the call, the end of the entry.
    async fn perform(
        &self,
        visit: &mut Visit,
        allowed: Box<Allowed>,
        parts: Box<Parts>,
    ) -> Result<Response<RecordedBody>, Refusal> {
        let entry = self.recorder.open(visit, &allowed.grant, &allowed.body)?;
        let expected = Expected::of(&allowed.grant, &allowed.call, allowed.by.as_ref());
        match self.forward(&entry, allowed, parts).await {
            Ok(reply) => self.take(entry, expected, reply).await,
            Err(refusal) => {
                entry.failed(&refusal);
                Err(refusal)
            }
        }
    }

    async fn forward(
        &self,
        entry: &OpenEntry,
        allowed: Box<Allowed>,
        mut parts: Box<Parts>,
    ) -> Result<Response<AwsBody>, Refusal> {
        if self.sync == SyncWhen::BeforeCall {
            self.recorder.durable(entry).await?;
        }
        let Allowed { call, grant, mut body, by, asked } = *allowed;
        let told = Told::take(&mut parts.headers);
        let mut payload = told.payload(&parts, &body)?;
        let form = Form::of(&mut parts, payload, told.body)?;
        if let Some(giving) = call.key_giving() {
            let times = (self.clock.now(), grant.until());
            body = giving::within((&mut parts, body), giving, times)?;
            payload = body.bytes().map(PayloadHash::of).ok_or(Refusal::NoPayloadHash)?;
        }
        let destination = self.upstream.destination(call.endpoint())?;
        if call.is_meant_unsigned() {
            let unsigned = sigv4::without_signature(*parts, &destination)?;
            let body = body.into_upstream(Coder::Plain, None);
            return Ok(self.upstream.send(entry, unsigned.into(), (told.http, body, None)).await?);
        }
        let keys = match by {
            Some(by) => Arc::clone(&by.keys),
            None => self.assume.keys(&grant).await?,
        };
        let signed = sigv4::sign(*parts, &payload, &destination, &keys, self.clock.now())?;
        let coder = form.coder(&signed, &keys, &self.clock);
        let (gate, keeper) = asked.filter(|asked| !asked.is_asked()).map(Asked::gate).unzip();
        let body = body.into_upstream(coder, gate);
        Ok(self.upstream.send(entry, signed.into(), (told.http, body, keeper)).await?)
    }

    /// Records the refusal, and puts it into the client's words.
    fn refuse(&self, visit: &mut Visit, refusal: Refusal, words: Words) -> Response<AnswerBody> {
        let refusal = self.recorder.refused(visit, refusal);
        let id = visit.id();
        let mut answer = refusal.reply(words, &id).into_response();
        if let Ok(id) = HeaderValue::from_str(&id) {
            answer.headers_mut().insert(HEADER_REQUEST_ID, id);
        }
        answer.map(|bytes| Either::Left(Full::new(bytes)))
    }

    fn decide(
        &self,
        visit: &mut Visit,
        identity: &Identity,
        (call, chain): (&Call, &[RoleArn]),
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
        let request = AccessRequest { app, call, chain, now: visit.now() };
        Ok(decide(identity, &request, &snapshot.policy)?)
    }

    /// Takes AWS's answer: keys in it stay here.
    async fn take(
        &self,
        entry: OpenEntry,
        expected: Option<Expected>,
        mut reply: Response<AwsBody>,
    ) -> Result<Response<RecordedBody>, Refusal> {
        // Only we speak of ourselves to `tsh`.
        remove_ours(reply.headers_mut());
        match expected {
            None => self.release(entry, reply).await,
            // In a box: few calls need the room.
            Some(expected) => Box::pin(self.keep(entry, expected, reply)).await,
        }
    }

    async fn keep(
        &self,
        entry: OpenEntry,
        expected: Expected,
        reply: Response<AwsBody>,
    ) -> Result<Response<RecordedBody>, Refusal> {
        let answer = Answer::of(&reply);
        match expected.keep(&self.derived, reply).await {
            Ok(reply) => self.release(entry, reply).await,
            Err(why) => {
                let refusal = Refusal::NotKept(why);
                entry.withheld(&answer, &refusal);
                Err(refusal)
            }
        }
    }

    /// Lets the answer go to the client, once the entry is safe.
    async fn release(
        &self,
        entry: OpenEntry,
        reply: Response<AwsBody>,
    ) -> Result<Response<RecordedBody>, Refusal> {
        if let Err(error) = self.recorder.durable(&entry).await {
            let refusal = Refusal::Withheld(error);
            entry.withheld(&Answer::of(&reply), &refusal);
            return Err(refusal);
        }
        Ok(RecordedBody::wrap(entry, reply))
    }
}
