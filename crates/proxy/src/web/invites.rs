//! The pages of an invite or reset link: a password first, then a second factor.
//!
//! The link's token is the whole proof; it is never logged, and no page that shows something of it
//! is stored anywhere. Between the two steps the password stays in the proxy's memory for a few
//! minutes, under a cookie of its own: it never goes back to the browser. What the form says is
//! checked here for the person's sake and by the Auth Service for the cluster's.

use std::sync::Arc;
use std::time::Duration;

use api::types::invites::{Invite, InviteAcceptance, InviteKind, NewPasskey};
use api::types::login::Password;
use api::types::web_sessions::TokenHash;
use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use moka::future::Cache;
use serde::Deserialize;
use tracing::info;

use super::page::{self, Door};
use super::pages::{self, Frame, PASSWORD_MAX, PASSWORD_MIN};
use super::refusal::{Kind, Refusal};
use super::session::Token;
use super::sign_in::{in_words, proof_of};
use super::{Web, cookies, qr};

/// Longest token that is asked for.
const TOKEN_LIMIT: usize = 128;
/// How long the second step may take.
const STEP_LIFE: Duration = Duration::from_secs(15 * 60);
/// People between the two steps at once.
const STEPS: u64 = 1_000;

/// Passwords between the two steps.
pub(crate) struct SetUps(Cache<TokenHash, Arc<Chosen>>);

/// A password that was chosen for a link.
struct Chosen {
    link: String,
    password: Password,
}

impl Default for SetUps {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(STEPS).time_to_live(STEP_LIFE).build())
    }
}

/// The first step's form.
#[derive(Deserialize)]
pub(crate) struct Filled {
    password: Password,
    confirm: Password,
}

/// The second step's form.
#[derive(Deserialize)]
pub(crate) struct Proved {
    #[serde(default)]
    code: String,
    #[serde(default)]
    credential: String,
    #[serde(default)]
    enrolment: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    skip: String,
}

/// What brought the person to the first step again.
#[derive(Deserialize)]
pub(crate) struct Again {
    #[serde(default)]
    again: String,
}

/// What was wrong with the first step; empty at first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Mistakes {
    password: Option<String>,
    confirm: Option<String>,
    general: Option<String>,
}

#[derive(Template)]
#[template(path = "invite.html")]
struct InvitePage<'a> {
    frame: Frame,
    user: &'a str,
    is_reset: bool,
    expires: &'a str,
    has_factor: bool,
    mistakes: Mistakes,
}

#[derive(Template)]
#[template(path = "invite_factor.html")]
struct FactorPage<'a> {
    frame: Frame,
    user: &'a str,
    otp: Option<OtpPart<'a>>,
    passkey: Option<PasskeyPart>,
    is_optional: bool,
    mistake: Option<String>,
}

/// The authenticator app's part of the page.
pub(crate) struct OtpPart<'a> {
    pub(crate) qr: Option<qr::QrPath>,
    pub(crate) secret: String,
    pub(crate) url: &'a str,
}

/// The passkey's part of the page.
struct PasskeyPart {
    enrolment: String,
    options: String,
}

#[derive(Template)]
#[template(path = "accepted.html")]
struct AcceptedPage<'a> {
    frame: Frame,
    user: &'a str,
    /// As a shell takes it.
    quoted_user: &'a str,
    proxy: &'a str,
}

/// `GET /web/invite/{token}`.
pub(crate) async fn show(
    door: Door,
    Path(link): Path<String>,
    Query(again): Query<Again>,
) -> Result<Response, Refusal> {
    let invite = invite(&door, &link).await?;
    let mut mistakes = Mistakes::default();
    if !again.again.is_empty() {
        mistakes.general = Some("That took too long. Choose your password again.".to_owned());
    }
    Ok(first_step(&door, StatusCode::OK, &invite, mistakes))
}

/// `POST /web/invite/{token}`.
pub(crate) async fn choose(
    door: Door,
    Path(link): Path<String>,
    page::Filled(filled): page::Filled<Filled>,
) -> Result<Response, Refusal> {
    let invite = invite(&door, &link).await?;
    if let Err(mistakes) = check(&invite, &filled) {
        return Ok(first_step(&door, StatusCode::UNPROCESSABLE_ENTITY, &invite, mistakes));
    }
    if invite.otp.is_none() && invite.webauthn.is_none() {
        let acceptance = acceptance(&door, filled.password);
        return accept(&door, &link, &invite, acceptance).await;
    }
    let token = Token::draw().map_err(|_| Refusal::broken())?;
    let chosen = Chosen { link: link.clone(), password: filled.password };
    door.web.set_ups.0.insert(token.hash(), Arc::new(chosen)).await;
    let mut response = pages::go(&format!("{}/factor", address(&link)));
    let seconds = Some(STEP_LIFE.as_secs());
    cookies::set(response.headers_mut(), cookies::SET_UP, token.expose(), seconds);
    Ok(response)
}

/// `GET /web/invite/{token}/factor`.
pub(crate) async fn show_factor(
    door: Door,
    Path(link): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let invite = invite(&door, &link).await?;
    if door.web.chosen(&headers, &link).await.is_none() {
        return Ok(pages::go(&format!("{}?again=1", address(&link))));
    }
    Ok(second_step(&door, StatusCode::OK, &invite, None))
}

/// `POST /web/invite/{token}/factor`.
pub(crate) async fn prove(
    door: Door,
    Path(link): Path<String>,
    headers: HeaderMap,
    page::Filled(proved): page::Filled<Proved>,
) -> Result<Response, Refusal> {
    let invite = invite(&door, &link).await?;
    let Some(chosen) = door.web.chosen(&headers, &link).await else {
        return Ok(pages::go(&format!("{}?again=1", address(&link))));
    };
    let mut acceptance = acceptance(&door, chosen.password.clone());
    if proved.skip.is_empty() || !invite.otp_optional {
        match shown(&proved) {
            Ok((otp, webauthn)) => {
                acceptance.otp = otp;
                acceptance.webauthn = webauthn;
            }
            Err(mistake) => {
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                return Ok(second_step(&door, status, &invite, Some(mistake.to_owned())));
            }
        }
    }
    accept(&door, &link, &invite, acceptance).await
}

impl Web {
    /// The password that this browser chose for that link.
    async fn chosen(&self, headers: &HeaderMap, link: &str) -> Option<Arc<Chosen>> {
        let token = cookies::read(headers, cookies::SET_UP).and_then(Token::parse)?;
        self.set_ups.0.get(&token.hash()).await.filter(|chosen| chosen.link == link)
    }
}

async fn invite(door: &Door, link: &str) -> Result<Invite, Refusal> {
    door.web.invites.admit(door.peer).map_err(|wait| Refusal::too_often(Kind::Page, wait))?;
    let is_token = !link.is_empty()
        && link.len() <= TOKEN_LIMIT
        && link.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if !is_token {
        return Err(spent());
    }
    door.web.auth.invite(link).await.map_err(|error| no_link(&error))
}

async fn accept(
    door: &Door,
    link: &str,
    invite: &Invite,
    acceptance: InviteAcceptance,
) -> Result<Response, Refusal> {
    let has_factor = acceptance.otp.is_some() || acceptance.webauthn.is_some();
    match door.web.auth.accept_invite(link, &acceptance).await {
        Ok(accepted) => {
            info!(user = %accepted.user, peer = %door.peer, "invite accepted");
            let template = AcceptedPage {
                frame: door.frame(),
                user: accepted.user.as_str(),
                quoted_user: &pages::quoted(accepted.user.as_str()),
                proxy: &door.web.public_addr.to_string(),
            };
            let mut response = pages::page(StatusCode::OK, &template);
            cookies::clear(response.headers_mut(), cookies::SET_UP);
            Ok(response)
        }
        Err(error) => match error.status() {
            Some(404 | 410) | None | Some(500..) => Err(no_link(&error)),
            Some(status) => {
                let words = in_words(&error);
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
                // Words about the password belong to the first step.
                if has_factor && !error.to_string().to_lowercase().contains("password") {
                    return Ok(second_step(door, status, invite, Some(words)));
                }
                let mistakes = Mistakes { password: Some(words), ..Mistakes::default() };
                Ok(first_step(door, status, invite, mistakes))
            }
        },
    }
}

fn first_step(door: &Door, status: StatusCode, invite: &Invite, mistakes: Mistakes) -> Response {
    let template = InvitePage {
        frame: door.frame(),
        user: invite.user.as_str(),
        is_reset: invite.kind == InviteKind::Reset,
        expires: &invite.expires.strftime("%-d %B %Y, %H:%M UTC").to_string(),
        has_factor: invite.otp.is_some() || invite.webauthn.is_some(),
        mistakes,
    };
    pages::page(status, &template)
}

fn second_step(
    door: &Door,
    status: StatusCode,
    invite: &Invite,
    mistake: Option<String>,
) -> Response {
    let template = FactorPage {
        frame: door.frame(),
        user: invite.user.as_str(),
        otp: invite.otp.as_ref().map(|otp| OtpPart {
            qr: qr::draw(&otp.url),
            secret: pages::in_groups(&otp.secret),
            url: &otp.url,
        }),
        passkey: invite.webauthn.as_ref().map(|offer| PasskeyPart {
            enrolment: offer.enrolment.clone(),
            options: offer.options.to_string(),
        }),
        is_optional: invite.otp_optional,
        mistake,
    };
    pages::page(status, &template)
}

/// What the person got wrong.
fn check(invite: &Invite, filled: &Filled) -> Result<(), Mistakes> {
    let password = password_mistake(&filled.password, invite.user.as_str());
    let mut mistakes = Mistakes { password, ..Mistakes::default() };
    if mistakes.password.is_none() && filled.confirm != filled.password {
        mistakes.confirm = Some("The two passwords differ. Type the same one twice.".to_owned());
    }
    if mistakes == Mistakes::default() { Ok(()) } else { Err(mistakes) }
}

/// What is wrong with a new password of that user.
pub(crate) fn password_mistake(password: &Password, user: &str) -> Option<String> {
    let password = password.expose();
    if password.chars().count() < PASSWORD_MIN {
        Some(format!("The password needs at least {PASSWORD_MIN} characters."))
    } else if password.len() > PASSWORD_MAX {
        Some(format!("The password may have at most {PASSWORD_MAX} bytes."))
    } else if password.eq_ignore_ascii_case(user) {
        Some("The password may not be your user name.".to_owned())
    } else {
        None
    }
}

/// A code or a passkey.
fn shown(proved: &Proved) -> Result<(Option<String>, Option<NewPasskey>), &'static str> {
    use api::types::mfa::MfaProof;
    match proof_of(&proved.enrolment, &proved.code, &proved.credential)? {
        MfaProof::Otp { code } => Ok((Some(code), None)),
        MfaProof::Webauthn { challenge, credential } => {
            let name = Some(proved.name.trim().to_owned()).filter(|name| !name.is_empty());
            Ok((None, Some(NewPasskey { enrolment: challenge, name, credential })))
        }
        MfaProof::Browser { .. } => Err("Use a code or a passkey."),
    }
}

fn acceptance(door: &Door, password: Password) -> InviteAcceptance {
    let remote_addr = door.browser.remote_addr.clone();
    InviteAcceptance { password, otp: None, webauthn: None, remote_addr }
}

fn address(link: &str) -> String {
    api::routes::fill(api::routes::WEB_INVITE, link)
}

fn no_link(error: &api::ApiError) -> Refusal {
    match error.status() {
        Some(400 | 404 | 410) => spent(),
        _ => Refusal::of_auth(Kind::Page, error),
    }
}

fn spent() -> Refusal {
    Refusal::new(
        Kind::Page,
        StatusCode::GONE,
        "it has been used, has expired, or was not copied as a whole",
    )
    .with_hint("ask an administrator of this cluster for a new one: they run `tctl users reset` with your user name")
}
