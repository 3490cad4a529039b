//! Adding and removing the user's second factors.

use api::types::mfa::{
    DeviceRemoval, DeviceRequest, Enrolment, EnrolmentRequest, MfaDevice, MfaKind,
};
use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use super::account::{Shown, factor_of};
use super::{Frame, Here, go, in_groups};
use crate::web::invites::OtpPart;
use crate::web::page::{Filled, Page};
use crate::web::qr;
use crate::web::refusal::{Kind, Refusal};
use crate::web::sign_in::{Factor, in_words};

#[derive(Template)]
#[template(path = "factor_new.html")]
struct NewPage {
    frame: Frame,
    factor: Option<Factor>,
    name: String,
    is_totp: bool,
    offers_otp: bool,
    offers_passkey: bool,
    at: &'static str,
    words: String,
}

/// What is to be added.
#[derive(Default, Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    name: String,
    #[serde(default)]
    kind: String,
    #[serde(flatten)]
    shown: Shown,
}

/// `GET /web/account/factors/new`.
pub(crate) async fn show_new(page: Page) -> Result<Response, Refusal> {
    new_form(&page, &Wanted::default(), None).await
}

/// `POST /web/account/factors/new`: begins the enrolment.
pub(crate) async fn begin(page: Page, Filled(wanted): Filled<Wanted>) -> Result<Response, Refusal> {
    let name = wanted.name.trim();
    if name.is_empty() {
        let words = "Give it a name, so that you can tell it from others.".to_owned();
        return new_form(&page, &wanted, Some(("name", words))).await;
    }
    let proof = match wanted.shown.proof() {
        Ok(proof) => proof,
        Err(words) => return new_form(&page, &wanted, Some(("code", words.to_owned()))).await,
    };
    let kind = if wanted.kind == "totp" { MfaKind::Totp } else { MfaKind::Webauthn };
    let request = EnrolmentRequest { kind, name: name.to_owned(), proof };
    match page.me.client().begin_enrolment(&request).await {
        Ok(enrolment) => Ok(finish_form(&page, &enrolment, name)),
        Err(error) if matches!(error.status(), Some(400..=422)) => {
            let about_name = error.to_string().contains("name");
            let at = if about_name && !error.needs_mfa() { "name" } else { "code" };
            new_form(&page, &wanted, Some((at, in_words(&error)))).await
        }
        Err(error) => Err(Refusal::of_auth(Kind::Page, &error)),
    }
}

async fn new_form(
    page: &Page,
    wanted: &Wanted,
    mistake: Option<(&'static str, String)>,
) -> Result<Response, Refusal> {
    let offers = page.web.newest_ping().await?.auth.second_factor;
    let factor = factor_of(page, "", Vec::new(), "").await?;
    let status = mistake.as_ref().map_or(StatusCode::OK, |_| StatusCode::UNPROCESSABLE_ENTITY);
    let (at, words) = mistake.unwrap_or_default();
    let template = NewPage {
        frame: page.frame(Here::Account),
        factor,
        name: wanted.name.clone(),
        is_totp: wanted.kind == "totp" || !offers.allows_webauthn(),
        offers_otp: offers.allows_otp(),
        offers_passkey: offers.allows_webauthn(),
        at,
        words,
    };
    Ok(super::page(status, &template))
}

#[derive(Template)]
#[template(path = "factor_finish.html")]
struct FinishPage<'a> {
    frame: Frame,
    enrolment: &'a str,
    name: &'a str,
    otp: Option<OtpPart<'a>>,
    passkey: Option<String>,
    mistake: Option<String>,
}

fn finish_form(page: &Page, enrolment: &Enrolment, name: &str) -> Response {
    let template = FinishPage {
        frame: page.frame(Here::Account),
        enrolment: &enrolment.id,
        name,
        otp: enrolment.totp.as_ref().map(|otp| OtpPart {
            qr: qr::draw(&otp.url),
            secret: in_groups(&otp.secret),
            url: &otp.url,
        }),
        passkey: enrolment.webauthn.as_ref().map(ToString::to_string),
        mistake: None,
    };
    super::page(StatusCode::OK, &template)
}

/// The last form of an enrolment.
#[derive(Deserialize)]
pub(crate) struct Finished {
    enrolment: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    credential: String,
}

/// `POST /web/account/factors`: finishes the enrolment.
pub(crate) async fn finish(
    page: Page,
    Filled(last): Filled<Finished>,
) -> Result<Response, Refusal> {
    let code: String = last.code.chars().filter(|letter| !letter.is_whitespace()).collect();
    let credential = serde_json::from_str(&last.credential).ok();
    let request = DeviceRequest {
        enrolment: last.enrolment.clone(),
        code: Some(code).filter(|code| !code.is_empty()),
        credential,
    };
    match page.me.client().finish_enrolment(&request).await {
        Ok(_) => Ok(go("/web/account?done=added")),
        // The app has the account already: another code may be right.
        Err(error)
            if matches!(error.status(), Some(400 | 401 | 403 | 422)) && request.code.is_some() =>
        {
            let template = FinishPage {
                frame: page.frame(Here::Account),
                enrolment: &last.enrolment,
                name: &last.name,
                otp: None,
                passkey: None,
                mistake: Some(in_words(&error)),
            };
            Ok(super::page(StatusCode::UNPROCESSABLE_ENTITY, &template))
        }
        Err(error) => Err(Refusal::of_auth(Kind::Page, &error)),
    }
}

#[derive(Template)]
#[template(path = "factor_remove.html")]
struct RemovePage {
    frame: Frame,
    device: MfaDevice,
    factor: Option<Factor>,
    at: &'static str,
    words: String,
}

/// `GET /web/account/factors/{id}/remove`.
pub(crate) async fn show_remove(page: Page, Path(id): Path<String>) -> Result<Response, Refusal> {
    remove_form(&page, &id, None).await
}

/// `POST /web/account/factors/{id}/remove`.
pub(crate) async fn remove(
    page: Page,
    Path(id): Path<String>,
    Filled(shown): Filled<Shown>,
) -> Result<Response, Refusal> {
    let proof = match shown.proof() {
        Ok(Some(proof)) => proof,
        Ok(None) => {
            let words = "Type a code, or use a passkey.".to_owned();
            return remove_form(&page, &id, Some(words)).await;
        }
        Err(words) => return remove_form(&page, &id, Some(words.to_owned())).await,
    };
    match page.me.client().remove_mfa_device(&id, &DeviceRemoval { proof }).await {
        Ok(()) => Ok(go("/web/account?done=removed")),
        Err(error) if matches!(error.status(), Some(400 | 401 | 403 | 409 | 422)) => {
            remove_form(&page, &id, Some(in_words(&error))).await
        }
        Err(error) => Err(Refusal::of_auth(Kind::Page, &error)),
    }
}

async fn remove_form(page: &Page, id: &str, mistake: Option<String>) -> Result<Response, Refusal> {
    let devices = page.me.client().mfa_devices().await;
    let devices = devices.map_err(|error| Refusal::of_auth(Kind::Page, &error))?;
    let device = devices.into_iter().find(|device| device.id == id).ok_or_else(|| {
        Refusal::nothing("you have no such second factor")
            .with_hint("look at your account for those that you have")
    })?;
    let status = mistake.as_ref().map_or(StatusCode::OK, |_| StatusCode::UNPROCESSABLE_ENTITY);
    let at = if mistake.is_some() { "code" } else { "" };
    let template = RemovePage {
        frame: page.frame(Here::Account),
        device,
        factor: factor_of(page, "", Vec::new(), "").await?,
        at,
        words: mistake.unwrap_or_default(),
    };
    Ok(super::page(status, &template))
}
