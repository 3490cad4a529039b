//! The landing page, and the pages of an invite or reset link.
//!
//! The link's token is the whole proof; it is never logged, and no page that
//! shows something of it is stored anywhere. What the form says is checked here
//! for the person's sake and by the Auth Service for the cluster's.

use std::sync::Arc;

use api::types::invites::{Invite, InviteAcceptance, InviteKind};
use api::types::login::Password;
use axum::extract::rejection::FormRejection;
use axum::extract::{FromRequest as _, Path, Request};
use axum::response::Response;
use axum::{Extension, Form};
use http::StatusCode;
use serde::Deserialize;
use tracing::info;

use super::pages::{self, Accepted, Frame, InvitePage, Landing, Mistakes, OtpPart};
use super::refusal::{Kind, Refusal};
use super::{Peer, Web, origin, qr};

/// Longest token that is asked for.
const TOKEN_LIMIT: usize = 128;

/// What the form sends.
#[derive(Deserialize)]
struct Filled {
    password: Password,
    confirm: Password,
    #[serde(default)]
    code: String,
}

/// `GET /web`.
pub(crate) async fn landing(Extension(web): Extension<Arc<Web>>) -> Response {
    let template = Landing {
        frame: Frame::new(),
        cluster: web.cluster.as_str(),
        proxy: &web.public_addr.to_string(),
        version: env!("CARGO_PKG_VERSION"),
    };
    pages::page(StatusCode::OK, &template)
}

/// `GET /web/invite/{token}`.
pub(crate) async fn show(
    Extension(web): Extension<Arc<Web>>,
    Extension(Peer(peer)): Extension<Peer>,
    Path(token): Path<String>,
) -> Result<Response, Refusal> {
    web.invites.admit(peer).map_err(|wait| Refusal::too_often(Kind::Page, wait))?;
    let invite = web.invite(&token).await?;
    Ok(web.form(StatusCode::OK, &invite, Mistakes::default(), None))
}

/// `POST /web/invite/{token}`.
pub(crate) async fn accept(
    Extension(web): Extension<Arc<Web>>,
    Extension(Peer(peer)): Extension<Peer>,
    Path(token): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    web.invites.admit(peer).map_err(|wait| Refusal::too_often(Kind::Page, wait))?;
    if !origin::is_own(&request, &web.public_addr) {
        return Err(Refusal::new(
            Kind::Page,
            StatusCode::FORBIDDEN,
            "the form was sent from another site",
        )
        .with_hint("open the link that you were given and fill in the form there"));
    }
    let form = Form::<Filled>::from_request(request, &()).await;
    let Form(filled) = form.map_err(|rejection| unreadable(&rejection))?;
    let invite = web.invite(&token).await?;
    let acceptance = match check(&invite, &filled) {
        Ok(acceptance) => acceptance,
        Err(mistakes) => {
            return Ok(web.form(
                StatusCode::UNPROCESSABLE_ENTITY,
                &invite,
                mistakes,
                Some(&filled),
            ));
        }
    };
    match web.auth.accept_invite(&token, &acceptance).await {
        Ok(accepted) => {
            info!(user = %accepted.user, %peer, "invite accepted");
            let template = Accepted {
                frame: Frame::new(),
                cluster: web.cluster.as_str(),
                user: accepted.user.as_str(),
                quoted_user: &pages::quoted(accepted.user.as_str()),
                proxy: &web.public_addr.to_string(),
            };
            Ok(pages::page(StatusCode::OK, &template))
        }
        Err(error) => match error.status() {
            Some(404 | 410) | None | Some(500..) => Err(no_link(&error)),
            Some(status) => {
                let mistakes = refused(&error, acceptance.otp.is_some());
                let status =
                    StatusCode::from_u16(status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
                Ok(web.form(status, &invite, mistakes, Some(&filled)))
            }
        },
    }
}

impl Web {
    async fn invite(&self, token: &str) -> Result<Invite, Refusal> {
        let is_token = !token.is_empty()
            && token.len() <= TOKEN_LIMIT
            && token
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if !is_token {
            return Err(spent());
        }
        self.auth.invite(token).await.map_err(|error| no_link(&error))
    }

    fn form(
        &self,
        status: StatusCode,
        invite: &Invite,
        mistakes: Mistakes,
        filled: Option<&Filled>,
    ) -> Response {
        let otp = invite.otp.as_ref().map(|otp| OtpPart {
            qr: qr::draw(&otp.url),
            secret: pages::in_groups(&otp.secret),
            url: &otp.url,
            is_optional: invite.otp_optional,
        });
        // A password that was right need not be typed again because the code was wrong.
        let is_right = mistakes.password.is_none() && mistakes.confirm.is_none();
        let password = filled.filter(|_| is_right).map_or("", |filled| filled.password.expose());
        let template = InvitePage {
            frame: Frame::new(),
            cluster: self.cluster.as_str(),
            user: invite.user.as_str(),
            is_reset: invite.kind == InviteKind::Reset,
            expires: &invite.expires.strftime("%-d %B %Y, %H:%M UTC").to_string(),
            otp,
            mistakes,
            password,
        };
        pages::page(status, &template)
    }
}

/// What the person got wrong, or what goes to the Auth Service.
fn check(invite: &Invite, filled: &Filled) -> Result<InviteAcceptance, Mistakes> {
    let mut mistakes = Mistakes::default();
    let password = filled.password.expose();
    if password.chars().count() < pages::PASSWORD_MIN {
        mistakes.password =
            Some(format!("The password needs at least {} characters.", pages::PASSWORD_MIN));
    } else if password.len() > pages::PASSWORD_MAX {
        mistakes.password =
            Some(format!("The password may have at most {} bytes.", pages::PASSWORD_MAX));
    } else if password.eq_ignore_ascii_case(invite.user.as_str()) {
        mistakes.password = Some("The password may not be your user name.".to_owned());
    } else if filled.confirm != filled.password {
        mistakes.confirm = Some("The two passwords differ. Type the same one twice.".to_owned());
    }
    let otp = match code_of(invite, &filled.code) {
        Ok(otp) => otp,
        Err(mistake) => {
            mistakes.code = Some(mistake);
            None
        }
    };
    if !mistakes.is_none() {
        return Err(mistakes);
    }
    Ok(InviteAcceptance {
        password: filled.password.clone(),
        otp,
        webauthn: None,
        remote_addr: None,
    })
}

fn code_of(invite: &Invite, typed: &str) -> Result<Option<String>, String> {
    if invite.otp.is_none() {
        return Ok(None);
    }
    let code: String = typed.chars().filter(|letter| !letter.is_whitespace()).collect();
    if code.is_empty() && invite.otp_optional {
        return Ok(None);
    }
    if code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Some(code));
    }
    Err("Type the 6 digits that your authenticator app shows.".to_owned())
}

/// Puts the Auth Service's words beside the field they are about.
fn refused(error: &api::ApiError, has_code: bool) -> Mistakes {
    let words = pages::as_sentence(&error.to_string());
    let words = match error.hint() {
        Some(hint) => format!("{words} {}", pages::as_sentence(hint)),
        None => words,
    };
    let about = words.to_lowercase();
    let mut mistakes = Mistakes::default();
    if has_code && ["code", "otp", "second factor"].iter().any(|word| about.contains(word)) {
        mistakes.code = Some(words);
    } else if about.contains("password") {
        mistakes.password = Some(words);
    } else {
        mistakes.general = Some(words);
    }
    mistakes
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

fn unreadable(rejection: &FormRejection) -> Refusal {
    Refusal::new(Kind::Page, rejection.status(), "the form is incomplete or too large")
        .with_hint("open the link again and fill in all fields")
}
