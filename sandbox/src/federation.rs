//! The console's federation endpoint: credentials in, a sign-in token out, and a page that tells
//! who is signed in and where the browser would go.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use http::{HeaderValue, Response, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::json;

use crate::answer::{Body, escape, full};
use crate::chance;
use crate::door::Call;
use crate::journal::Entry;
use crate::sigv4::canonical::pairs;
use crate::sigv4::crypto::same;
use crate::world::World;

/// How long a sign-in token can be redeemed.
const TOKEN_LIFE: SignedDuration = SignedDuration::from_mins(15);

/// The sign-in tokens that were given out.
#[derive(Debug, Default)]
pub struct Desk {
    tokens: Mutex<BTreeMap<String, Ticket>>,
}

#[derive(Debug, Clone)]
struct Ticket {
    arn: String,
    account: String,
    session_name: String,
    until: Timestamp,
    session_seconds: i64,
}

/// The `Session` parameter.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Handed {
    #[serde(rename = "sessionId")]
    id: String,
    #[serde(rename = "sessionKey")]
    key: String,
    #[serde(rename = "sessionToken")]
    token: String,
}

type Query = BTreeMap<String, String>;

/// Answers one request to the federation endpoint.
pub fn answer(world: &World, call: &Call, entry: &mut Entry) -> Response<Body> {
    entry.request_id = chance::uuid();
    // The endpoint belongs to a web site: a plus is a space here, as in any form.
    let text = call.head.uri.query().unwrap_or_default().replace('+', "%20");
    let query: Query = pairs(&text).into_iter().collect();
    let action = query.get("Action").cloned().unwrap_or_default();
    entry.operation.clone_from(&action);
    let known = call.head.uri.path() == "/federation" && call.head.method == http::Method::GET;
    let outcome = match action.as_str() {
        "getSigninToken" if known => signin_token(world, &query, entry),
        "login" if known => login(world, &query, call, entry),
        _ => Err((StatusCode::BAD_REQUEST, "Invalid Action".to_owned())),
    };
    outcome.unwrap_or_else(|(status, text)| {
        entry.code = "FederationError".to_owned();
        page(
            status,
            "text/html;charset=UTF-8",
            format!(
                "<html><body><h1>{}</h1><p>{}</p></body></html>",
                status.as_u16(),
                escape(&text)
            ),
        )
    })
}

type Outcome = Result<Response<Body>, (StatusCode, String)>;

fn bad(text: &str) -> (StatusCode, String) {
    (StatusCode::BAD_REQUEST, text.to_owned())
}

fn signin_token(world: &World, query: &Query, entry: &mut Entry) -> Outcome {
    let session = query.get("Session").ok_or_else(|| bad("The Session parameter is missing"))?;
    let handed: Handed = serde_json::from_str(session)
        .map_err(|_| bad("The Session parameter is not valid JSON"))?;
    let now = world.now();
    let invalid = || bad("The credentials of the session are not valid");
    let principal = world.keys.find(&handed.id).ok_or_else(invalid)?;
    let held =
        principal.session.as_ref().ok_or_else(|| bad("The credentials are not temporary"))?;
    entry.access_key_id.clone_from(&principal.access_key_id);
    entry.account.clone_from(&principal.account);
    entry.principal.clone_from(&principal.arn);
    entry.session_name.clone_from(&held.name);
    if !same(&handed.key, &principal.secret_access_key) || !same(&handed.token, &held.token) {
        return Err(invalid());
    }
    if held.expires <= now {
        return Err(bad("The credentials of the session have expired"));
    }
    let left = held.expires.duration_since(now).as_secs();
    let session_seconds = match query.get("SessionDuration") {
        None => left,
        Some(text) => text
            .parse()
            .ok()
            .filter(|seconds| (900..=43_200).contains(seconds))
            .ok_or_else(|| bad("SessionDuration must be between 900 and 43200 seconds"))?,
    };
    if held.role_arn.is_none() && query.contains_key("SessionDuration") {
        return Err(bad("SessionDuration is for the credentials of AssumeRole alone"));
    }
    let token = chance::session_token();
    let ticket = Ticket {
        arn: principal.arn.clone(),
        account: principal.account.clone(),
        session_name: held.name.clone(),
        until: now.saturating_add(TOKEN_LIFE).unwrap_or(now),
        session_seconds,
    };
    world.desk.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(token.clone(), ticket);
    Ok(page(StatusCode::OK, "application/json", json!({ "SigninToken": token }).to_string()))
}

fn login(world: &World, query: &Query, call: &Call, entry: &mut Entry) -> Outcome {
    let token =
        query.get("SigninToken").ok_or_else(|| bad("The SigninToken parameter is missing"))?;
    let destination =
        query.get("Destination").ok_or_else(|| bad("The Destination parameter is missing"))?;
    if !is_console(destination) {
        return Err(bad("The Destination is not an address of the console"));
    }
    let found =
        world.desk.tokens.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned();
    let ticket = found
        .filter(|ticket| ticket.until > world.now())
        .ok_or_else(|| bad("The sign-in token is not valid, or has expired"))?;
    entry.account.clone_from(&ticket.account);
    entry.principal.clone_from(&ticket.arn);
    entry.session_name.clone_from(&ticket.session_name);
    let shown = json!({
        "Arn": ticket.arn,
        "Account": ticket.account,
        "SessionName": ticket.session_name,
        "SessionSeconds": ticket.session_seconds,
        "Issuer": query.get("Issuer"),
        "Destination": destination,
    });
    let accept = call.head.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if accept.is_some_and(|kinds| kinds.contains("application/json")) {
        return Ok(page(StatusCode::OK, "application/json", shown.to_string()));
    }
    let text = format!(
        "<!doctype html><html><head><title>AWS console (stand-in)</title></head><body><h1>Signed in</h1>\
         <dl><dt>Identity</dt><dd id=\"arn\">{}</dd><dt>Account</dt><dd id=\"account\">{}</dd>\
         <dt>Session</dt><dd id=\"session\">{}</dd><dt>Destination</dt><dd id=\"destination\">{}</dd></dl></body></html>",
        escape(&ticket.arn),
        escape(&ticket.account),
        escape(&ticket.session_name),
        escape(destination)
    );
    Ok(page(StatusCode::OK, "text/html;charset=UTF-8", text))
}

/// The console of one of the partitions, over https.
fn is_console(destination: &str) -> bool {
    let Some(rest) = destination.strip_prefix("https://") else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    ["console.aws.amazon.com", "console.amazonaws.cn", "console.amazonaws-us-gov.com"].iter().any(
        |console| {
            host == *console || host.strip_suffix(console).is_some_and(|left| left.ends_with('.'))
        },
    )
}

fn page(status: StatusCode, kind: &'static str, text: String) -> Response<Body> {
    let mut answer = Response::new(full(text));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_console_is_a_destination() {
        for (destination, wanted) in [
            ("https://console.aws.amazon.com/dynamodb/home", true),
            ("https://eu-west-1.console.aws.amazon.com/", true),
            ("https://console.amazonaws-us-gov.com/", true),
            ("http://console.aws.amazon.com/", false),
            ("https://evilconsole.aws.amazon.com/", false),
            ("https://console.aws.amazon.com.example.org/", false),
            ("https://example.org/?console.aws.amazon.com", false),
            ("https://console.aws.amazon.com@example.org/", false),
        ] {
            assert_eq!(is_console(destination), wanted, "{destination}");
        }
    }
}
