//! One request on the road: checked, stripped, sent on, and its answer handed back.

use std::sync::Arc;
use std::time::SystemTime;

use api::error::Chain;
use api::headers::remove_hop_by_hop;
use api::wire::{
    BODY_DECODED, HEADER_BODY, HEADER_DERIVED, HEADER_EXPECTS, HEADER_HTTP, HEADER_PAYLOAD_SHA256,
    HEADER_REQUEST_ID, HTTP_2,
};
use aws::Secret;
use aws::reply::{ErrorReply, Fault, Words};
use http::header::{CONTENT_LENGTH, DATE, HOST};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, Version};
use hyper::body::Incoming;
use tracing::debug;
use uuid::Uuid;

use super::body::Body;
use super::check::{self, Checked, Place, Refusal, Told};
use super::dial::{DialError, RoadError};
use super::given;
use super::key_ring::{KeyRing, LocalKey};
use super::peer::Ends;
use super::upload::Upload;

/// What answering a request takes. Shared by every connection.
#[derive(Debug)]
pub struct Desk {
    /// The keys that requests may be signed with, and where each pair leads.
    pub ring: Arc<dyn KeyRing>,
    /// The clock.
    pub now: fn() -> SystemTime,
}

/// What is between the client and us, and what only we may say, beside the headers that end at every hop.
const NOT_PASSED_ON: [&str; 2] = ["expect", "forwarded"];

const SECURITY_TOKEN: &str = "x-amz-security-token";

/// Prefixes of headers that a client must not set: who asked, from where, under which host.
const NOT_FROM_CLIENTS: [&str; 3] = ["x-forwarded-", "x-causeway-", "x-teleport-"];

impl Desk {
    /// Answers a request, always: with the reply, or with an error in the service's own protocol.
    pub(crate) async fn answer(
        &self,
        client: (&Place, Ends),
        request: Request<Incoming>,
    ) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let now = (self.now)();
        let checked = match check::check(&parts, body, client, (&*self.ring, self.now)).await {
            Ok(checked) => checked,
            Err(refusal) => return self.reply_in(Words::of_request(&parts), &refusal),
        };
        let words = Words::of_service(&parts, checked.service);
        if checked.key.session.has_ended(now) {
            return self.reply_in(words, &checked.key.ended());
        }
        match self.pass(parts, checked).await {
            Ok(reply) => reply,
            Err(refusal) => self.reply_in(words, &refusal),
        }
    }

    async fn pass(&self, mut parts: Parts, checked: Checked) -> Result<Response<Body>, Refusal> {
        reshape(&mut parts, checked.told, checked.host)?;
        let key = checked.key;
        if let Some(token) = &key.derived {
            tell_token(&mut parts.headers, token)?;
        }
        if let Upload::Stream(stream) = &checked.upload
            && let Some(name) = stream.expects()
        {
            parts.headers.insert(HEADER_EXPECTS, name.clone());
        }
        let reply = key.road.send(Request::from_parts(parts, ()), checked.upload).await;
        let reply = reply.map_err(|error| match error {
            RoadError::Refused(refusal) => refusal,
            error => key.unavailable(&error),
        })?;
        let (mut head, body) = reply.into_parts();
        let body = Body::of_reply(&head.headers, body).await.map_err(|error| {
            Refusal::new(Fault::Unavailable, format!("the answer broke off: {}", Chain(&error)))
        })?;
        let signer = (&self.ring, key.keys.access_key_id().to_owned());
        given::learn(signer, checked.service, (&mut head.headers, &body)).await?;
        head.version = Version::HTTP_11;
        Ok(Response::from_parts(head, body))
    }

    /// A refusal in the protocol that the client speaks. Its `Date` is what SDKs correct their clock by.
    fn reply_in(&self, words: Words, refusal: &Refusal) -> Response<Body> {
        let id = Uuid::new_v4().to_string();
        debug!(fault = ?refusal.fault, message = %refusal.message, %id, "refused");
        let reply = ErrorReply::in_words(words, refusal.fault, &refusal.message, &id);
        let mut reply = reply.into_response().map(Body::whole);
        if let Ok(id) = HeaderValue::from_str(&id) {
            reply.headers_mut().insert(HEADER_REQUEST_ID, id);
        }
        if let Some(date) = http_date((self.now)()) {
            reply.headers_mut().insert(DATE, date);
        }
        reply
    }
}

/// A time as HTTP writes it (RFC 9110 section 5.6.7).
fn http_date(time: SystemTime) -> Option<HeaderValue> {
    let time = jiff::Timestamp::try_from(time).ok()?;
    let text = time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    HeaderValue::from_str(&text).ok()
}

impl LocalKey {
    fn ended(&self) -> Refusal {
        let app = self.session.app();
        let message = format!(
            "the app session of `{app}` has expired; run `tsh login`, then `tsh apps login {app}`"
        );
        Refusal::new(Fault::ExpiredToken, message)
    }

    fn unavailable(&self, error: &RoadError) -> Refusal {
        let app = self.session.app();
        if matches!(error, RoadError::SessionEnded) {
            let message = format!(
                "the app session of `{app}` has ended: logged out, expired, or its user is locked; \
                 run `tsh apps login {app}`, and ask an administrator if that is refused"
            );
            return Refusal::new(Fault::AccessDenied, message);
        }
        let mut message = Chain(error).to_string();
        if let RoadError::NoConnection(Some(cause)) = error
            && matches!(**cause, DialError::Closed(_))
        {
            message.push_str(&format!(
                "; if this lasts, run `tsh apps ls` and `tsh apps login {app}`"
            ));
        }
        Refusal::new(Fault::Unavailable, message)
    }
}

/// Makes the head of an HTTP/2 request to the agent out of the client's; for another host, if there is one.
fn reshape(parts: &mut Parts, told: Told, other: Option<Authority>) -> Result<(), Refusal> {
    let bad = |_| Refusal::new(Fault::Invalid, "the request's target is no path");
    let own = || check::host_of(parts).map(str::as_bytes).map(Authority::try_from);
    let host = other.map(Ok).or_else(own);
    let host = host.ok_or_else(|| Refusal::new(Fault::Invalid, "the request has no host"))?;
    let host = host.map_err(bad)?;
    parts.headers.remove(HOST);
    let mut uri = std::mem::take(&mut parts.uri).into_parts();
    uri.scheme = Some(Scheme::HTTPS);
    uri.authority = Some(host);
    uri.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
    parts.uri = Uri::from_parts(uri)
        .map_err(|_| Refusal::new(Fault::Invalid, "the request's target is no path"))?;
    let speaks_http_2 = parts.version == Version::HTTP_2;
    parts.version = Version::HTTP_2;
    parts.extensions.clear();
    strip(&mut parts.headers);
    if speaks_http_2 {
        parts.headers.insert(HEADER_HTTP, HeaderValue::from_static(HTTP_2));
    }
    match told {
        Told::Nothing => {}
        Told::Payload(payload) => {
            let payload = HeaderValue::from_str(&payload.text())
                .map_err(|_| Refusal::new(Fault::Internal, "the body's hash is no header"))?;
            parts.headers.insert(HEADER_PAYLOAD_SHA256, payload);
        }
        Told::Decoded(length) => {
            parts.headers.insert(HEADER_BODY, HeaderValue::from_static(BODY_DECODED));
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
    }
    Ok(())
}

/// Names temporary keys to the agent, and to it alone.
fn tell_token(headers: &mut HeaderMap, token: &Secret<String>) -> Result<(), Refusal> {
    let mut value = HeaderValue::from_str(token.expose())
        .map_err(|_| Refusal::new(Fault::Internal, "the session token is no header"))?;
    value.set_sensitive(true);
    headers.remove(SECURITY_TOKEN);
    headers.insert(HEADER_DERIVED, value);
    Ok(())
}

fn strip(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    for name in NOT_PASSED_ON {
        headers.remove(name);
    }
    let is_foreign = |name: &&HeaderName| {
        NOT_FROM_CLIENTS.iter().any(|prefix| name.as_str().starts_with(prefix))
    };
    while let Some(name) = headers.keys().find(is_foreign).cloned() {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use aws::sigv4::PayloadHash;

    use super::*;

    fn reshaped(request: http::request::Builder) -> Parts {
        let mut parts = request.body(()).unwrap().into_parts().0;
        reshape(&mut parts, Told::Payload(PayloadHash::Sha256([0xab; 32])), None).unwrap();
        parts
    }

    #[test]
    fn the_host_becomes_the_authority_and_the_path_stays_as_it_is() {
        let parts = reshaped(
            Request::put("/bucket/a%20b//c?x=%2F&y").header("host", "s3.us-east-1.amazonaws.com"),
        );
        assert_eq!(
            parts.uri.to_string(),
            "https://s3.us-east-1.amazonaws.com/bucket/a%20b//c?x=%2F&y"
        );
        assert!(!parts.headers.contains_key("host"));
        assert_eq!(parts.headers[HEADER_PAYLOAD_SHA256], "ab".repeat(32));
    }

    #[test]
    fn temporary_keys_are_named_to_the_agent_alone_and_by_us_alone() {
        let mut parts = reshaped(
            Request::post("/")
                .header("host", "localhost:1")
                .header("x-amz-security-token", "the-token-of-ours")
                .header("x-causeway-derived", "another"),
        );
        assert!(!parts.headers.contains_key(HEADER_DERIVED));
        tell_token(&mut parts.headers, &"the-token-of-ours".into()).unwrap();
        assert_eq!(parts.headers[HEADER_DERIVED], "the-token-of-ours");
        assert!(!parts.headers.contains_key("x-amz-security-token"));
        assert!(!format!("{:?}", parts.headers).contains("of-ours"));
    }

    #[test]
    fn a_client_cannot_speak_for_a_proxy() {
        let parts = reshaped(
            Request::post("/")
                .header("host", "localhost:1")
                .header("x-forwarded-host", "attacker.example.com://s3.amazonaws.com")
                .header("X-Forwarded-For", "1.2.3.4")
                .header("forwarded", "host=evil")
                .header("x-causeway-payload-sha256", "00")
                .header("x-teleport-aws-assumed-role", "arn")
                .header("connection", "keep-alive, x-secret")
                .header("x-secret", "1")
                .header("te", "trailers")
                .header("x-amz-target", "DynamoDB_20120810.ListTables"),
        );
        let names: Vec<&str> = parts.headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x-amz-target", HEADER_PAYLOAD_SHA256]);
        assert_eq!(parts.headers[HEADER_PAYLOAD_SHA256], "ab".repeat(32));
    }
}
