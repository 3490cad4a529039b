//! The user's own account: who one is, the password, second factors, what is open and how to end it.

use access::{AppSession, AppSessionId};
use api::ApiError;
use api::types::app_sessions::AppSessionQuery;
use api::types::login::Password;
use api::types::mfa::{MfaChallenge, MfaDevice, MfaKind, MfaProof, PasswordChange};
use api::types::web_sessions::{WebSession, WebSessionId};
use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use super::{Frame, Here, Moment, go};
use crate::web::invites::password_mistake;
use crate::web::page::{Filled, Page};
use crate::web::refusal::{Kind, Refusal};
use crate::web::sign_in::{Factor, in_words, proof_of};

/// What was done just now.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Done {
    #[serde(default)]
    done: String,
}

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    frame: Frame,
    user: String,
    roles: Vec<String>,
    since: Moment,
    until: Moment,
    until_left: String,
    traits: Vec<(String, String)>,
    devices: Vec<DeviceLine>,
    browsers: Vec<BrowserLine>,
    apps: Vec<AppLine>,
}

struct DeviceLine {
    id: String,
    name: String,
    kind: &'static str,
    icon: &'static str,
    added: Moment,
    used: String,
}

struct BrowserLine {
    id: String,
    browser: String,
    agent: String,
    address: String,
    began: Moment,
    seen: String,
    is_this: bool,
    is_app: bool,
}

struct AppLine {
    id: String,
    app: String,
    role: String,
    left: String,
}

/// `GET /web/account`.
pub(crate) async fn show(page: Page, Query(done): Query<Done>) -> Result<Response, Refusal> {
    let client = page.me.client();
    let query = AppSessionQuery { all: false };
    let (devices, browsers, apps) =
        tokio::join!(client.mfa_devices(), client.web_sessions(), client.app_sessions(query));
    let refused = |error: ApiError| Refusal::of_auth(Kind::Page, &error);
    let (devices, browsers, apps) =
        (devices.map_err(refused)?, browsers.map_err(refused)?, apps.map_err(refused)?);
    let now = page.me.now();
    let claims = page.me.claims();
    let until = Moment(page.me.session().expires);
    let template = AccountPage {
        frame: page.frame(Here::Account).saying(said(&done.done)),
        user: page.me.user().to_owned(),
        roles: claims
            .map(|claims| claims.roles.iter().map(ToString::to_string).collect())
            .unwrap_or_default(),
        since: Moment(page.me.session().created),
        until,
        until_left: until.left(now),
        traits: claims.map(traits).unwrap_or_default(),
        devices: devices.into_iter().map(|device| DeviceLine::of(device, now)).collect(),
        browsers: browsers
            .into_iter()
            .map(|session| BrowserLine::of(session, page.me.id(), now))
            .collect(),
        apps: apps.into_iter().map(|session| AppLine::of(session, now)).collect(),
    };
    Ok(super::page(StatusCode::OK, &template))
}

fn said(done: &str) -> Option<&'static str> {
    match done {
        "password" => Some("Your password is changed. Your other sessions have ended."),
        "added" => Some("The second factor is added. You can use it from now on."),
        "removed" => Some("The second factor is removed."),
        "ended" => Some("The session has ended."),
        _ => None,
    }
}

fn traits(claims: &access::Claims) -> Vec<(String, String)> {
    let filled = claims.traits.iter().filter(|(_, values)| !values.is_empty());
    filled.map(|(name, values)| (name.to_string(), values.join(", "))).collect()
}

impl DeviceLine {
    fn of(device: MfaDevice, now: std::time::SystemTime) -> Self {
        let (kind, icon) = match device.kind {
            MfaKind::Totp => ("Authenticator app", "phone"),
            MfaKind::Webauthn => ("Passkey or security key", "passkey"),
        };
        let used = device.last_used.map(|at| Moment(at).ago(now));
        let used = used.unwrap_or_else(|| "never".to_owned());
        Self { id: device.id, name: device.name, kind, icon, added: Moment(device.added), used }
    }
}

impl BrowserLine {
    fn of(session: WebSession, own: &WebSessionId, now: std::time::SystemTime) -> Self {
        let agent = session.user_agent.unwrap_or_default();
        Self {
            is_this: session.id == *own,
            is_app: session.app_session.is_some(),
            id: session.id.to_string(),
            browser: browser_of(&agent).to_owned(),
            agent,
            address: session.remote_addr.unwrap_or_default(),
            began: Moment(session.created),
            seen: Moment(session.last_seen).ago(now),
        }
    }
}

impl AppLine {
    fn of(session: AppSession, now: std::time::SystemTime) -> Self {
        Self {
            id: session.id.to_string(),
            app: session.app.to_string(),
            role: session.aws_role.map(|role| role.to_string()).unwrap_or_default(),
            left: Moment::from(session.expires).left(now),
        }
    }
}

/// The browser that a name of a browser most likely means.
fn browser_of(agent: &str) -> &'static str {
    let known = [
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Chromium/", "Chromium"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ];
    known.iter().find(|(mark, _)| agent.contains(mark)).map_or("Another browser", |(_, name)| name)
}

/// `POST /web/account/browsers/{id}/end`.
pub(crate) async fn end_browser(page: Page, Path(id): Path<String>) -> Result<Response, Refusal> {
    let id = WebSessionId::parse(&id).ok_or_else(unknown_session)?;
    ended(page.me.client().end_web_session(&id).await)
}

/// `POST /web/account/apps/{id}/end`.
pub(crate) async fn end_app(page: Page, Path(id): Path<String>) -> Result<Response, Refusal> {
    let id = AppSessionId::parse(&id).map_err(|_| unknown_session())?;
    ended(page.me.client().end_app_session(&id).await)
}

fn ended(result: Result<(), ApiError>) -> Result<Response, Refusal> {
    match result {
        Err(error) if error.status() != Some(404) => Err(Refusal::of_auth(Kind::Page, &error)),
        _ => Ok(go("/web/account?done=ended")),
    }
}

fn unknown_session() -> Refusal {
    Refusal::nothing("there is no such session").with_hint("look at your account for what is open")
}

#[derive(Template)]
#[template(path = "password.html")]
struct PasswordPage {
    frame: Frame,
    user: String,
    factor: Option<Factor>,
    /// The field that is wrong, if one is, and how.
    at: &'static str,
    words: String,
}

/// The form of a new password.
#[derive(Deserialize)]
pub(crate) struct NewPassword {
    old: Password,
    password: Password,
    confirm: Password,
    #[serde(flatten)]
    shown: Shown,
}

/// `GET /web/account/password`.
pub(crate) async fn show_password(page: Page) -> Result<Response, Refusal> {
    password_form(&page, None).await
}

/// `POST /web/account/password`.
pub(crate) async fn set_password(
    page: Page,
    Filled(new): Filled<NewPassword>,
) -> Result<Response, Refusal> {
    let user = page.me.user();
    if let Some(mistake) = password_mistake(&new.password, user) {
        return password_form(&page, Some(("password", mistake))).await;
    }
    if new.confirm != new.password {
        let mistake = "The two passwords differ. Type the same one twice.".to_owned();
        return password_form(&page, Some(("confirm", mistake))).await;
    }
    let proof = match new.shown.proof() {
        Ok(proof) => proof,
        Err(mistake) => return password_form(&page, Some(("code", mistake.to_owned()))).await,
    };
    let keep_session = Some(page.me.id().clone());
    let change = PasswordChange { old: new.old, new: new.password, proof, keep_session };
    match page.me.client().change_password(&change).await {
        Ok(()) => Ok(go("/web/account?done=password")),
        Err(error) if matches!(error.status(), Some(400 | 401 | 403 | 422)) => {
            let field = if error.needs_mfa() || error.to_string().contains("code") {
                "code"
            } else {
                "old"
            };
            password_form(&page, Some((field, in_words(&error)))).await
        }
        Err(error) => Err(Refusal::of_auth(Kind::Page, &error)),
    }
}

async fn password_form(
    page: &Page,
    mistake: Option<(&'static str, String)>,
) -> Result<Response, Refusal> {
    let factor = factor_of(page, "", Vec::new(), "").await?;
    let status = mistake.as_ref().map_or(StatusCode::OK, |_| StatusCode::UNPROCESSABLE_ENTITY);
    let (at, words) = mistake.unwrap_or_default();
    let user = page.me.user().to_owned();
    let template = PasswordPage { frame: page.frame(Here::Account), user, factor, at, words };
    Ok(super::page(status, &template))
}

/// What may be shown as a second factor, as forms; `None` for somebody without one.
pub(crate) async fn factor_of(
    page: &Page,
    action: &str,
    kept: Vec<(&'static str, String)>,
    button: &'static str,
) -> Result<Option<Factor>, Refusal> {
    match page.me.client().mfa_challenge().await {
        Ok(MfaChallenge { id, otp, webauthn }) => {
            let mut kept = kept;
            kept.push(("challenge", id));
            Ok(Some(Factor {
                action: action.to_owned(),
                otp,
                passkey: webauthn.map(|options| options.to_string()),
                kept,
                is_wrong: false,
                button,
            }))
        }
        Err(error) if matches!(error.status(), Some(400 | 403 | 404 | 409)) => Ok(None),
        Err(error) => Err(Refusal::of_auth(Kind::Page, &error)),
    }
}

/// What the forms of [`Factor`] send.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Shown {
    #[serde(default)]
    pub(crate) challenge: String,
    #[serde(default)]
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) credential: String,
}

impl Shown {
    /// The proof; `None` where nothing was shown.
    pub(crate) fn proof(&self) -> Result<Option<MfaProof>, &'static str> {
        if self.code.trim().is_empty() && self.credential.is_empty() {
            return Ok(None);
        }
        proof_of(&self.challenge, &self.code, &self.credential).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_told_apart() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36";
        for (agent, name) in [
            (chrome, "Chrome"),
            (&format!("{chrome} Edg/140.0"), "Edge"),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox"),
            (
                "Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 Version/18.0 Mobile Safari/604.1",
                "Safari",
            ),
            ("", "Another browser"),
        ] {
            assert_eq!(browser_of(agent), name, "{agent}");
        }
    }
}
