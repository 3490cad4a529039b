//! The way of a request: which service it is for, whether its signature holds, whether a fault
//! was ordered for it, and what is written down about it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};

use crate::answer::{Body, Protocol, Refusal, full, refuse};
use crate::chance;
use crate::control;
use crate::dynamodb;
use crate::endpoint::Endpoint;
use crate::federation;
use crate::journal::Entry;
use crate::keys::Principal;
use crate::s3;
use crate::sigv4::canonical::host_of;
use crate::sigv4::{Claim, Expected, Facts, PathRule, Payload, Verified, check};
use crate::sts;
use crate::words;
use crate::world::World;

/// A request that found its service.
#[derive(Debug)]
pub struct Call {
    /// Method, target and headers.
    pub head: http::request::Parts,
    /// What follows them.
    pub body: Incoming,
    /// What the host name says.
    pub endpoint: Endpoint,
}

/// Answers a request.
pub async fn answer(world: &World, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let mut entry = begin(&head);
    let endpoint = Endpoint::of(&entry.host, &world.hosts);
    // Never under AWS's names: what comes for these has come through the product.
    let is_ours = endpoint.as_ref().is_some_and(|endpoint| endpoint.service.is_none());
    if is_ours && head.uri.path().starts_with(control::PREFIX) {
        return control::answer(world, &head, body).await;
    }
    let Some(endpoint) = endpoint else {
        entry.code = "UnknownEndpoint".to_owned();
        let text = format!(
            "`{}` is neither an endpoint of AWS that is served here nor this machine",
            entry.host
        );
        let refusal = Refusal::new(421, "UnknownEndpoint", text);
        return finish(world, entry, refuse(Protocol::Json, &refusal, &chance::uuid()));
    };
    let service = service_of(&endpoint, &head);
    entry.service = service.clone().unwrap_or_default();
    let call = Call { head, body, endpoint };
    let answer = match service.as_deref() {
        Some("dynamodb") => Box::pin(dynamodb::answer(world, call, &mut entry)).await,
        Some("sts") => Box::pin(sts::answer(world, call, &mut entry)).await,
        Some("s3") => Box::pin(s3::answer(world, call, &mut entry)).await,
        Some("signin") => federation::answer(world, &call, &mut entry),
        Some(other) => {
            entry.code = "UnknownService".to_owned();
            let refusal = Refusal::new(
                404,
                "UnknownService",
                format!("`{other}` is not a service that is known here"),
            );
            refuse(Protocol::Json, &refusal, &chance::uuid())
        }
        None => {
            entry.code = "MissingAuthenticationTokenException".to_owned();
            let refusal = Refusal::new(
                403,
                "MissingAuthenticationTokenException",
                "Missing Authentication Token",
            );
            refuse(Protocol::Json, &refusal, &chance::uuid())
        }
    };
    finish(world, entry, answer)
}

fn begin(head: &http::request::Parts) -> Entry {
    let agent = head.headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok());
    Entry {
        host: host_of(head),
        path: head.uri.path().to_owned(),
        method: head.method.to_string(),
        user_agent: agent.unwrap_or_default().to_owned(),
        http: format!("{:?}", head.version),
        ..Entry::default()
    }
}

fn finish(world: &World, mut entry: Entry, mut answer: Response<Body>) -> Response<Body> {
    entry.time = world.now().to_string();
    entry.status = answer.status().as_u16();
    world.journal.request(entry);
    if let Some(Cut(bytes)) = answer.extensions_mut().remove::<Cut>() {
        return answer.map(|body| cut(body, bytes));
    }
    answer
}

/// The service: what the host names, or else what the scope of the signature names, or else what
/// only one of the services would understand.
fn service_of(endpoint: &Endpoint, head: &http::request::Parts) -> Option<String> {
    if endpoint.service.is_some() {
        return endpoint.service.clone();
    }
    let facts = Facts::of(head, PathRule::Once);
    if facts.path == "/federation" && facts.parameter("Action").is_some() {
        return Some("signin".to_owned());
    }
    if let Ok(claim) = Claim::read(&facts) {
        return Some(claim.service);
    }
    if head.headers.contains_key("x-amz-target") {
        return Some("dynamodb".to_owned());
    }
    let form = facts
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if form || facts.parameter("Action").is_some() {
        return Some("sts".to_owned());
    }
    (facts.path != "/").then(|| "s3".to_owned())
}

/// Checks the signature of a call, and writes down who made it.
pub fn let_in(
    world: &World,
    facts: &Facts,
    (endpoint, payload, protocol): (&Endpoint, Payload<'_>, Protocol),
    entry: &mut Entry,
) -> Result<Verified, Refusal> {
    let expected =
        Expected { service: Some(entry.service.clone()), region: endpoint.region.clone() };
    match check(facts, &expected, payload, &world.keys, world.now()) {
        Ok(verified) => {
            let principal = &verified.principal;
            entry.region.clone_from(&verified.claim.region);
            entry.account.clone_from(&principal.account);
            entry.access_key_id.clone_from(&principal.access_key_id);
            entry.principal.clone_from(&principal.arn);
            entry.session_name =
                principal.session.as_ref().map(|session| session.name.clone()).unwrap_or_default();
            Ok(verified)
        }
        Err(fault) => {
            if let Ok(claim) = Claim::read(facts) {
                entry.access_key_id = claim.access_key_id;
                entry.region = claim.region;
            }
            entry.fault = fault.to_string();
            Err(words::refusal(&fault, protocol))
        }
    }
}

/// Lets a call of a known principal through, unless its role or an ordered fault forbids it.
pub async fn admit(
    world: &World,
    principal: &Arc<Principal>,
    (service, operation, protocol): (&str, &str, Protocol),
    entry: &mut Entry,
) -> Result<Option<Cut>, Refusal> {
    operation.clone_into(&mut entry.operation);
    let verdict = world.faults.judge(operation, protocol);
    tokio::time::sleep(verdict.delay).await;
    if let Some(refusal) = verdict.refusal {
        return Err(refusal);
    }
    let role = principal.session.as_ref().and_then(|session| session.role_arn.as_deref());
    let action = format!("{service}:{operation}");
    // Who one is may always be asked, whatever a policy says.
    if action == "sts:GetCallerIdentity" {
        return Ok(verdict.cut.map(Cut));
    }
    if role.and_then(|arn| world.roles.find(arn)).is_some_and(|role| !role.allows(&action)) {
        return Err(denied(principal, &action, protocol));
    }
    Ok(verdict.cut.map(Cut))
}

fn denied(principal: &Principal, action: &str, protocol: Protocol) -> Refusal {
    let text = format!(
        "User: {} is not authorized to perform: {action} because no identity-based policy allows the {action} action",
        principal.arn
    );
    match protocol {
        Protocol::Json => Refusal::new(400, "AccessDeniedException", text),
        Protocol::Query | Protocol::Rest => Refusal::new(403, "AccessDenied", text),
    }
}

/// The answer's body is to break off after so many bytes.
#[derive(Debug, Clone, Copy)]
pub struct Cut(pub u64);

/// Marks an answer to be cut.
pub fn mark(mut answer: Response<Body>, cut: Option<Cut>) -> Response<Body> {
    if let Some(cut) = cut {
        answer.extensions_mut().insert(cut);
    }
    answer
}

const FLUSH: Duration = Duration::from_millis(20);

fn cut(body: Body, bytes: u64) -> Body {
    let left = usize::try_from(bytes).unwrap_or(usize::MAX);
    let frames = futures_util::stream::unfold((Some(body), left), |(body, left)| async move {
        let mut body = body?;
        let broken = || std::io::Error::new(std::io::ErrorKind::ConnectionReset, "cut on request");
        if left == 0 {
            // What came before has to be on its way first, or it would be dropped with the rest.
            tokio::time::sleep(FLUSH).await;
            return Some((Err(broken()), (None, 0)));
        }
        let frame = body.frame().await?;
        let Ok(data) = frame.map(Frame::into_data) else { return Some((Err(broken()), (None, 0))) };
        let mut data: Bytes = data.unwrap_or_default();
        data.truncate(left);
        let rest = left - data.len();
        Some((Ok(Frame::data(data)), (Some(body), rest)))
    });
    StreamBody::new(frames).boxed_unsync()
}

/// An answer without a body.
pub fn empty(status: http::StatusCode) -> Response<Body> {
    let mut answer = Response::new(full(Bytes::new()));
    *answer.status_mut() = status;
    answer
}
