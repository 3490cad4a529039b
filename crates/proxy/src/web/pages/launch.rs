//! Launching: into a web application on its own host, or into the AWS console.

use access::AppName;
use api::error::Chain;
use api::types::mfa::MfaProof;
use askama::Template;
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, header::USER_AGENT};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use tracing::warn;

use super::account::{Shown, factor_of};
use super::{Frame, Here, go, leave};
use crate::apps::{ConsoleLaunch, LaunchError, WebLaunch};
use crate::web::links;
use crate::web::page::{Filled, Page};
use crate::web::refusal::{Kind as Asker, Refusal};
use crate::web::sign_in::{Factor, in_words};

/// Where the browser is to go on to, as the app's host says.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Back {
    #[serde(default)]
    path: String,
    #[serde(default)]
    state: String,
}

#[derive(Template)]
#[template(path = "launch_factor.html")]
struct FactorPage {
    frame: Frame,
    what: String,
    factor: Factor,
    mistake: Option<String>,
}

/// `GET /web/launch/{host}`: straight on, or a second factor first.
pub(crate) async fn web(
    page: Page,
    headers: HeaderMap,
    Path(host): Path<String>,
    Query(back): Query<Back>,
) -> Result<Response, Refusal> {
    match launched(&page, &headers, (&host, &back), None).await {
        Ok(address) => Ok(go(&address)),
        Err(LaunchError::Auth(error)) if error.needs_mfa() => {
            ask_for_web(&page, (&host, &back), None).await
        }
        Err(error) => Err(refused(&error)),
    }
}

/// The form of the second factor.
#[derive(Deserialize)]
pub(crate) struct WebProved {
    #[serde(flatten)]
    back: Back,
    #[serde(flatten)]
    shown: Shown,
}

/// `POST /web/launch/{host}`: with a second factor.
pub(crate) async fn web_proved(
    page: Page,
    headers: HeaderMap,
    Path(host): Path<String>,
    Filled(WebProved { back, shown }): Filled<WebProved>,
) -> Result<Response, Refusal> {
    let proof = match shown.proof() {
        Ok(proof) => proof,
        Err(mistake) => {
            return ask_for_web(&page, (&host, &back), Some(mistake.to_owned())).await;
        }
    };
    match launched(&page, &headers, (&host, &back), proof).await {
        Ok(address) => Ok(leave(page.frame(Here::Apps), &address, &format!("Opening {host}"))),
        Err(LaunchError::Auth(error)) if is_wrong_factor(&error) => {
            ask_for_web(&page, (&host, &back), Some(in_words(&error))).await
        }
        Err(error) => Err(refused(&error)),
    }
}

async fn launched(
    page: &Page,
    headers: &HeaderMap,
    (host, back): (&str, &Back),
    proof: Option<MfaProof>,
) -> Result<String, LaunchError> {
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
    let launch = WebLaunch {
        host,
        path: if back.path.is_empty() { "/" } else { &back.path },
        state: Some(back.state.as_str()).filter(|state| !state.is_empty()),
        proof,
        remote_addr: Some(page.peer.to_string()),
        user_agent: agent.map(|agent| agent.chars().take(256).collect()),
    };
    page.web.apps.launch_web(&page.me, launch).await
}

async fn ask_for_web(
    page: &Page,
    (host, back): (&str, &Back),
    mistake: Option<String>,
) -> Result<Response, Refusal> {
    let action = format!("/web/launch/{}", links::part(host));
    let kept = vec![("path", back.path.clone()), ("state", back.state.clone())];
    ask(page, (&action, kept), host.to_owned(), mistake).await
}

/// The form of a role to launch.
#[derive(Deserialize)]
pub(crate) struct Role {
    role: String,
    #[serde(flatten)]
    shown: Shown,
}

/// `POST /web/launch/aws/{app}`: the AWS console as a role.
///
/// The address that AWS gives is handed to the browser and to nothing else.
pub(crate) async fn console(
    page: Page,
    Path(name): Path<String>,
    Filled(Role { role, shown }): Filled<Role>,
) -> Result<Response, Refusal> {
    let app = AppName::parse(&name).map_err(|error| Refusal::nothing(error.to_string()))?;
    let proof = match shown.proof() {
        Ok(proof) => proof,
        Err(mistake) => {
            return ask_for_console(&page, (&app, &role), Some(mistake.to_owned())).await;
        }
    };
    let has_proof = proof.is_some();
    let launch = ConsoleLaunch { app: &app, role: &role, proof, address: page.peer };
    match page.web.apps.launch_console(&page.me, launch).await {
        Ok(sign_in) => {
            Ok(leave(page.frame(Here::Apps), sign_in.expose_url(), "Opening the AWS console"))
        }
        Err(LaunchError::Auth(error)) if error.needs_mfa() && !has_proof => {
            ask_for_console(&page, (&app, &role), None).await
        }
        Err(LaunchError::Auth(error)) if has_proof && is_wrong_factor(&error) => {
            ask_for_console(&page, (&app, &role), Some(in_words(&error))).await
        }
        Err(error) => Err(refused(&error)),
    }
}

async fn ask_for_console(
    page: &Page,
    (app, role): (&AppName, &str),
    mistake: Option<String>,
) -> Result<Response, Refusal> {
    let action = format!("/web/launch/aws/{}", links::part(app.as_str()));
    let kept = vec![("role", role.to_owned())];
    ask(page, (&action, kept), format!("the AWS console as {role}"), mistake).await
}

async fn ask(
    page: &Page,
    (action, kept): (&str, Vec<(&'static str, String)>),
    what: String,
    mistake: Option<String>,
) -> Result<Response, Refusal> {
    let Some(mut factor) = factor_of(page, action, kept, "Launch").await? else {
        let words = "this launch needs a second factor, and you have none";
        return Err(Refusal::new(Asker::Page, StatusCode::CONFLICT, words)
            .with_hint("add one under Account, then launch again"));
    };
    factor.is_wrong = mistake.is_some();
    let status = mistake.as_ref().map_or(StatusCode::OK, |_| StatusCode::UNPROCESSABLE_ENTITY);
    let template = FactorPage { frame: page.frame(Here::Apps), what, factor, mistake };
    Ok(super::page(status, &template))
}

fn is_wrong_factor(error: &api::ApiError) -> bool {
    error.needs_mfa() || matches!(error.status(), Some(400 | 401))
}

fn refused(error: &LaunchError) -> Refusal {
    let page = |status, words: String| Refusal::new(Asker::Page, status, words);
    match error {
        LaunchError::Auth(error) => Refusal::of_auth(Asker::Page, error),
        LaunchError::NoSuchApp { .. } => page(StatusCode::NOT_FOUND, error.to_string())
            .with_hint("look for it among your applications, or ask an administrator for access"),
        LaunchError::Refused { message } => page(StatusCode::FORBIDDEN, message.clone()),
        LaunchError::Line(_) => {
            warn!(error = %Chain(error), "a launch found no agent");
            page(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
                .with_hint("try again in a moment; if it lasts, tell the administrator of this cluster that the application's agent is away")
        }
        LaunchError::SetUp(_) => {
            warn!(error = %Chain(error), "a launch failed");
            Refusal::broken()
        }
    }
}
