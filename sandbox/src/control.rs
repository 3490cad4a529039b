//! The control interface under `/_sandbox/`: what was recorded, what is to go wrong.
//!
//! Plain JSON, no signature. It gives away every secret there is, for the canary test; that is
//! why the sandbox belongs on loopback.

use http::{Method, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::answer::{Body, full};
use crate::faults::Plan;
use crate::keys::Principal;
use crate::roles::Role;
use crate::sigv4::canonical::pairs;
use crate::world::World;

/// Where the control interface is.
pub const PREFIX: &str = "/_sandbox/";

const BODY_LIMIT: usize = 1024 * 1024;

type Outcome = Result<Value, (StatusCode, String)>;

/// Answers one request to the control interface.
pub async fn answer(world: &World, head: &http::request::Parts, body: Incoming) -> Response<Body> {
    let body = match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => {
            return show(Err((StatusCode::PAYLOAD_TOO_LARGE, "the body is too large".to_owned())));
        }
    };
    let action = head.uri.path().strip_prefix(PREFIX).unwrap_or_default();
    show(match (&head.method, action) {
        (&Method::GET, "health") => Ok(json!({ "status": "ok" })),
        (&Method::GET, "assumed") => to_json(&world.journal.all_assumed()),
        (&Method::GET, "requests") => to_json(&world.journal.requests_since(since(head))),
        (&Method::GET, "secrets") => Ok(secrets(world)),
        (&Method::GET, "keys") => to_json(&world.keys.all()),
        (&Method::POST, "keys") => add_key(world, &body),
        (&Method::GET, "roles") => to_json(&world.roles.all()),
        (&Method::POST, "roles") => read::<Role>(&body).and_then(|role| add_role(world, role)),
        (&Method::DELETE, "roles") => remove_role(world, head),
        (&Method::GET, "fault") => to_json(&world.faults.plan()),
        (&Method::POST, "fault") => read::<Plan>(&body).and_then(|plan| {
            world.faults.set(plan.clone());
            to_json(&plan)
        }),
        (&Method::POST, "reset") => {
            reset(world);
            Ok(json!({ "status": "reset" }))
        }
        _ => Err((StatusCode::NOT_FOUND, format!("nothing at {} {PREFIX}{action}", head.method))),
    })
}

fn show(outcome: Outcome) -> Response<Body> {
    let (status, value) = match outcome {
        Ok(value) => (StatusCode::OK, value),
        Err((status, text)) => (status, json!({ "error": text })),
    };
    let mut answer = Response::new(full(format!("{value}\n")));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    answer
}

fn to_json<T: serde::Serialize>(value: &T) -> Outcome {
    serde_json::to_value(value)
        .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, (StatusCode, String)> {
    serde_json::from_slice(body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
}

fn since(head: &http::request::Parts) -> u64 {
    let query = pairs(head.uri.query().unwrap_or_default());
    query
        .iter()
        .find(|(name, _)| name == "since")
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0)
}

/// Every secret key and session token ever given out, and nothing else.
fn secrets(world: &World) -> Value {
    let all = world.keys.all();
    let keys: Vec<&str> = all.iter().map(|one| one.secret_access_key.as_str()).collect();
    let tokens: Vec<&str> = all
        .iter()
        .filter_map(|one| one.session.as_ref())
        .map(|session| session.token.as_str())
        .collect();
    json!({ "secret_access_keys": keys, "session_tokens": tokens })
}

fn add_key(world: &World, body: &[u8]) -> Outcome {
    let principal: Principal = read(body)?;
    let added = world
        .enrol(principal)
        .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")))?;
    Ok(json!({ "access_key_id": added.access_key_id }))
}

fn add_role(world: &World, role: Role) -> Outcome {
    Role::open(&role.arn).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
    let shown = to_json(&role);
    world.roles.add(role);
    shown
}

fn remove_role(world: &World, head: &http::request::Parts) -> Outcome {
    let query = pairs(head.uri.query().unwrap_or_default());
    let arn = query
        .iter()
        .find(|(name, _)| name == "arn")
        .map(|(_, value)| value.as_str())
        .unwrap_or_default();
    if world.roles.remove(arn) {
        Ok(json!({ "removed": arn }))
    } else {
        Err((StatusCode::NOT_FOUND, format!("no role `{arn}` is configured")))
    }
}

/// Back to the beginning, but for keys and roles: no records, no faults, and, without a state
/// directory, no tables and no objects.
fn reset(world: &World) {
    world.faults.set(Plan::default());
    world.journal.clear();
    world.tables.clear();
    world.objects.clear();
}
