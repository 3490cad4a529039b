//! `tsh` asks a browser: to log in, or to prove a second factor.
//!
//! The page shows who asks. What is given is a code of one minute that is useless without the
//! secret that `tsh` kept, and it is given to this very machine only: to a port of the loopback.

use api::types::browser_codes::{BrowserCodeRequest, BrowserPurpose};
use askama::Template;
use axum::extract::Query;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde::Deserialize;

use super::account::{Shown, factor_of};
use super::{Frame, Here, leave};
use crate::web::links;
use crate::web::page::{Filled, Page};
use crate::web::refusal::{Kind as Asker, Refusal};
use crate::web::sign_in::{Factor, in_words};

/// What `tsh` asks, as it stands in the address.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    purpose: String,
    #[serde(default)]
    port: String,
    #[serde(default)]
    challenge: String,
    #[serde(default)]
    state: String,
}

/// The same, checked.
struct Request {
    purpose: BrowserPurpose,
    port: u16,
    challenge: String,
    state: String,
}

#[derive(Template)]
#[template(path = "tsh.html")]
struct TshPage {
    frame: Frame,
    is_login: bool,
    user: String,
    address: String,
    port: u16,
    kept: Vec<(&'static str, String)>,
    factor: Option<Factor>,
    mistake: Option<String>,
}

/// The form: what was asked, and the second factor.
#[derive(Deserialize)]
pub(crate) struct Approved {
    #[serde(default)]
    purpose: String,
    #[serde(default)]
    port: String,
    #[serde(default)]
    code_challenge: String,
    #[serde(default)]
    state: String,
    #[serde(flatten)]
    shown: Shown,
}

/// `GET /web/tsh`.
pub(crate) async fn show(page: Page, Query(asked): Query<Asked>) -> Result<Response, Refusal> {
    let request = check(&asked)?;
    draw(&page, &request, None).await
}

/// `POST /web/tsh`.
pub(crate) async fn approve(
    page: Page,
    Filled(form): Filled<Approved>,
) -> Result<Response, Refusal> {
    let asked = Asked {
        purpose: form.purpose,
        port: form.port,
        challenge: form.code_challenge,
        state: form.state,
    };
    let request = check(&asked)?;
    let proof = match form.shown.proof() {
        Ok(proof) => proof,
        Err(mistake) => return draw(&page, &request, Some(mistake.to_owned())).await,
    };
    if request.purpose == BrowserPurpose::Mfa && proof.is_none() {
        let mistake = "Show a second factor: that is what tsh asks for.".to_owned();
        return draw(&page, &request, Some(mistake)).await;
    }
    let wanted = BrowserCodeRequest {
        challenge: request.challenge.clone(),
        purpose: request.purpose,
        proof,
    };
    match page.me.client().browser_code(&wanted).await {
        Ok(code) => {
            let query = links::query(&[("code", &code.code), ("state", &request.state)]);
            let to = format!("http://127.0.0.1:{}/callback{query}", request.port);
            Ok(leave(page.frame(Here::Elsewhere), &to, "Handing over to tsh"))
        }
        Err(error) if matches!(error.status(), Some(400 | 401 | 403 | 422)) => {
            draw(&page, &request, Some(in_words(&error))).await
        }
        Err(error) => Err(Refusal::of_auth(Asker::Page, &error)),
    }
}

async fn draw(
    page: &Page,
    request: &Request,
    mistake: Option<String>,
) -> Result<Response, Refusal> {
    let is_login = request.purpose == BrowserPurpose::Login;
    let kept = vec![
        ("purpose", if is_login { "login".to_owned() } else { "mfa".to_owned() }),
        ("port", request.port.to_string()),
        ("code_challenge", request.challenge.clone()),
        ("state", request.state.clone()),
    ];
    let factor = if is_login {
        None
    } else {
        let factor = factor_of(page, "/web/tsh", kept.clone(), "Approve").await?;
        Some(factor.ok_or_else(no_factor)?)
    };
    let status = mistake.as_ref().map_or(StatusCode::OK, |_| StatusCode::UNPROCESSABLE_ENTITY);
    let template = TshPage {
        frame: page.frame(Here::Elsewhere),
        is_login,
        user: page.me.user().to_owned(),
        address: page.peer.to_string(),
        port: request.port,
        kept,
        factor,
        mistake,
    };
    Ok(super::page(status, &template))
}

fn no_factor() -> Refusal {
    Refusal::new(Asker::Page, StatusCode::CONFLICT, "you have no second factor to show")
        .with_hint("add one under Account, then run the command again")
}

fn check(asked: &Asked) -> Result<Request, Refusal> {
    let wrong = |what: &str| {
        Refusal::new(
            Asker::Page,
            StatusCode::BAD_REQUEST,
            format!("this link has no usable {what}"),
        )
        .with_hint("run the tsh command again; it opens this page with a link that is whole")
    };
    let purpose = match asked.purpose.as_str() {
        "login" => BrowserPurpose::Login,
        "mfa" => BrowserPurpose::Mfa,
        _ => return Err(wrong("purpose")),
    };
    let is_number = !asked.port.is_empty() && asked.port.bytes().all(|byte| byte.is_ascii_digit());
    let port = asked.port.parse::<u16>().ok().filter(|port| is_number && *port >= 1024);
    let port = port.ok_or_else(|| wrong("port"))?;
    let is_hash = URL_SAFE_NO_PAD.decode(&asked.challenge).is_ok_and(|bytes| bytes.len() == 32);
    if !is_hash {
        return Err(wrong("challenge"));
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_state = (16..=128).contains(&asked.state.len()) && asked.state.bytes().all(is_plain);
    if !is_state {
        return Err(wrong("state"));
    }
    Ok(Request { purpose, port, challenge: asked.challenge.clone(), state: asked.state.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Asked {
        Asked {
            purpose: "login".to_owned(),
            port: "34567".to_owned(),
            challenge: URL_SAFE_NO_PAD.encode([7; 32]),
            state: "0123456789abcdef".to_owned(),
        }
    }

    #[test]
    fn only_a_whole_link_is_shown() {
        check(&asked()).ok().unwrap();
        let bad = [
            Asked { purpose: "other".to_owned(), ..asked() },
            Asked { port: "80".to_owned(), ..asked() },
            Asked { port: "+34567".to_owned(), ..asked() },
            Asked { port: "1@evil.example".to_owned(), ..asked() },
            Asked { port: "99999".to_owned(), ..asked() },
            Asked { port: String::new(), ..asked() },
            Asked { challenge: "short".to_owned(), ..asked() },
            Asked { state: "a&b=cdefghijklmnopq".to_owned(), ..asked() },
            Asked { state: "short".to_owned(), ..asked() },
        ];
        for asked in bad {
            assert!(check(&asked).is_err(), "{asked:?}");
        }
    }
}
