//! Signing in: the password first, then the second factor; and signing out.
//!
//! Between the two steps a cookie of five minutes holds what the Auth Service asked for. It proves
//! nothing: the challenge it names is kept, counted and used up by the Auth Service.

use api::types::login::{ChallengeLogin, LoginChallenge, LoginChallengeRequest, Password};
use api::types::mfa::MfaProof;
use askama::Template;
use axum::extract::Query;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode};
use pki::{Credential, KeyPair};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::{info, warn};

use super::as_user::{self, not_begun};
use super::page::{Door, Filled};
use super::pages::{self, Frame, as_sentence};
use super::refusal::{Kind, Refusal};
use super::{cookies, links};

/// How long the second step may take: as long as the Auth Service keeps the challenge, seconds.
const STEP_LIFE: u64 = 300;
/// Longest cookie that browsers keep, with some room.
const STEP_LIMIT: usize = 3_800;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    frame: Frame,
    next: &'a str,
    user: &'a str,
    mistake: Option<String>,
    hint: Option<String>,
    proxy: &'a str,
    is_local: bool,
}

#[derive(Template)]
#[template(path = "sign_in_factor.html")]
struct FactorPage<'a> {
    frame: Frame,
    user: &'a str,
    factor: Factor,
    mistake: Option<String>,
}

/// The forms that ask for a second factor; they stand on several pages.
#[derive(Debug, Default)]
pub(crate) struct Factor {
    pub(crate) action: String,
    pub(crate) otp: bool,
    /// What the browser asks the passkey, as JSON.
    pub(crate) passkey: Option<String>,
    /// Fields that go along.
    pub(crate) kept: Vec<(&'static str, String)>,
    pub(crate) is_wrong: bool,
    /// On the button of the code's form.
    pub(crate) button: &'static str,
}

/// Where to go afterwards, and what brought the visitor here.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    next: String,
    #[serde(default)]
    done: String,
}

/// The first step's form.
#[derive(Deserialize)]
pub(crate) struct Named {
    user: String,
    password: Password,
    #[serde(default)]
    next: String,
}

/// The second step's form: one of the two.
#[derive(Deserialize)]
pub(crate) struct Proved {
    #[serde(default)]
    code: String,
    #[serde(default)]
    credential: String,
}

/// What the cookie between the steps holds.
#[derive(Serialize, Deserialize)]
struct Step {
    challenge: String,
    user: String,
    otp: bool,
    webauthn: Option<Value>,
    next: String,
}

/// `GET /web/login`.
pub(crate) async fn show(
    door: Door,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Result<Response, Refusal> {
    let next = links::own(&asked.next).unwrap_or(links::HOME);
    // Whoever is signed in already is not asked again.
    if door.web.signed_in(&headers).await?.is_some() {
        return Ok(pages::go(next));
    }
    let done = match asked.done.as_str() {
        "signed-out" => Some("You are signed out."),
        "set-up" => Some("You are set up. Sign in with your new password."),
        "password" => Some("Your password is changed. Sign in with the new one."),
        "too-late" => Some("That took too long. Begin again."),
        _ => None,
    };
    Ok(first_step(&door, (next, ""), None, done).await)
}

/// `POST /web/login`.
pub(crate) async fn name(door: Door, Filled(named): Filled<Named>) -> Result<Response, Refusal> {
    door.web.logins.admit(door.peer).map_err(|wait| Refusal::too_often(Kind::Page, wait))?;
    let next = links::own(&named.next).unwrap_or(links::HOME);
    let request = LoginChallengeRequest {
        user: named.user.trim().to_owned(),
        password: named.password,
        remote_addr: door.browser.remote_addr.clone(),
        user_agent: door.browser.user_agent.clone(),
    };
    let challenge = match door.web.auth.begin_login(&request).await {
        Ok(challenge) => challenge,
        Err(error) if matches!(error.status(), Some(400 | 401 | 403)) => {
            return Ok(first_step(&door, (next, &request.user), Some(&error), None).await);
        }
        Err(error) => return Err(Refusal::of_auth(Kind::Page, &error)),
    };
    let step = Step::new(challenge, request.user, next);
    if !step.needs_factor() {
        return finish(&door, &step, None).await;
    }
    let mut response = pages::go("/web/login/factor");
    cookies::set(response.headers_mut(), cookies::SIGN_IN, &step.sealed()?, Some(STEP_LIFE));
    Ok(response)
}

/// `GET /web/login/factor`.
pub(crate) async fn show_factor(door: Door, headers: HeaderMap) -> Response {
    match Step::read(&headers) {
        Some(step) => second_step(&door, &step, StatusCode::OK, None),
        None => pages::go("/web/login"),
    }
}

/// `POST /web/login/factor`.
pub(crate) async fn prove(
    door: Door,
    headers: HeaderMap,
    Filled(proved): Filled<Proved>,
) -> Result<Response, Refusal> {
    door.web.logins.admit(door.peer).map_err(|wait| Refusal::too_often(Kind::Page, wait))?;
    let Some(step) = Step::read(&headers) else { return Ok(begin_again("too-late")) };
    match proof_of(&step.challenge, &proved.code, &proved.credential) {
        Ok(proof) => finish(&door, &step, Some(proof)).await,
        Err(mistake) => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            Ok(second_step(&door, &step, status, Some(mistake.to_owned())))
        }
    }
}

/// `POST /web/logout`.
pub(crate) async fn leave(door: Door, headers: HeaderMap) -> Result<Response, Refusal> {
    if let Some(token) = as_user::token_of(&headers)
        && let Some(signed_in) = door.web.signed_in(&headers).await?
    {
        let ended = door.web.browsers.end(&token, &signed_in).await;
        ended.map_err(|error| Refusal::of_auth(Kind::Page, &error))?;
        info!(user = signed_in.user(), session = %signed_in.id(), "web session ended");
    }
    Ok(begin_again("signed-out"))
}

fn begin_again(why: &str) -> Response {
    let mut response = pages::go(&format!("/web/login{}", links::query(&[("done", why)])));
    cookies::clear(response.headers_mut(), cookies::SESSION);
    cookies::clear(response.headers_mut(), cookies::SIGN_IN);
    response
}

/// Makes the key pair, has it certified, begins the session.
async fn finish(door: &Door, step: &Step, proof: Option<MfaProof>) -> Result<Response, Refusal> {
    let key = KeyPair::generate().map_err(|error| {
        warn!(%error, "no key pair for a browser");
        Refusal::broken()
    })?;
    let request = ChallengeLogin {
        challenge: step.challenge.clone(),
        proof,
        public_key: key.public_pem(),
        ttl_seconds: None,
        remote_addr: door.browser.remote_addr.clone(),
        user_agent: door.browser.user_agent.clone(),
    };
    let reply = match door.web.auth.finish_login(&request).await {
        Ok(reply) => reply,
        Err(error) if matches!(error.status(), Some(404 | 410)) => {
            return Ok(begin_again("too-late"));
        }
        Err(error) if matches!(error.status(), Some(400 | 401)) && step.needs_factor() => {
            let mistake = in_words(&error);
            return Ok(second_step(door, step, StatusCode::UNAUTHORIZED, Some(mistake)));
        }
        Err(error) => return Err(Refusal::of_auth(Kind::Page, &error)),
    };
    let credential = Credential::from_pem(&reply.certificate, key.secret_pem().expose());
    let credential = credential.map_err(|error| {
        warn!(%error, "the certificate for a browser cannot be used");
        Refusal::broken()
    })?;
    let begun = door.web.browsers.begin(credential, door.browser.clone()).await;
    let token = begun.map_err(|error| not_begun(&error))?;
    info!(user = %reply.user, peer = %door.peer, "user signed in");
    let mut response = pages::go(links::own(&step.next).unwrap_or(links::HOME));
    cookies::set(response.headers_mut(), cookies::SESSION, token.expose(), None);
    cookies::clear(response.headers_mut(), cookies::SIGN_IN);
    Ok(response)
}

async fn first_step(
    door: &Door,
    (next, user): (&str, &str),
    error: Option<&api::ApiError>,
    done: Option<&'static str>,
) -> Response {
    let offers = door.web.newest_ping().await.ok();
    let template = SignInPage {
        frame: door.frame().saying(done),
        next: if next == links::HOME { "" } else { next },
        user,
        mistake: error.map(|error| as_sentence(&error.to_string())),
        hint: error.and_then(api::ApiError::hint).map(as_sentence),
        proxy: &door.web.public_addr.to_string(),
        is_local: offers.is_none_or(|ping| ping.auth.allow_local_auth),
    };
    let status = error.map_or(StatusCode::OK, |_| StatusCode::UNAUTHORIZED);
    pages::page(status, &template)
}

fn second_step(door: &Door, step: &Step, status: StatusCode, mistake: Option<String>) -> Response {
    let factor = Factor {
        action: "/web/login/factor".to_owned(),
        otp: step.otp,
        passkey: step.webauthn.as_ref().map(ToString::to_string),
        kept: Vec::new(),
        is_wrong: mistake.is_some(),
        button: "Sign in",
    };
    let template = FactorPage { frame: door.frame(), user: &step.user, factor, mistake };
    pages::page(status, &template)
}

/// What a form proves; it is one code or one passkey's answer.
pub(crate) fn proof_of(
    challenge: &str,
    code: &str,
    credential: &str,
) -> Result<MfaProof, &'static str> {
    if !credential.is_empty() {
        let credential = serde_json::from_str(credential)
            .map_err(|_| "The browser sent no usable answer of the passkey. Try again.")?;
        return Ok(MfaProof::Webauthn { challenge: challenge.to_owned(), credential });
    }
    let code: String = code.chars().filter(|letter| !letter.is_whitespace()).collect();
    if code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(MfaProof::Otp { code });
    }
    Err("Type the 6 digits that your authenticator app shows.")
}

/// The Auth Service's words, with the remedy.
pub(crate) fn in_words(error: &api::ApiError) -> String {
    let words = as_sentence(&error.to_string());
    match error.hint() {
        Some(hint) => format!("{words} {}", as_sentence(hint)),
        None => words,
    }
}

impl Step {
    fn new(challenge: LoginChallenge, user: String, next: &str) -> Self {
        let LoginChallenge { id, needs_factor, otp, webauthn } = challenge;
        let (otp, webauthn) = if needs_factor { (otp, webauthn) } else { (false, None) };
        // A factor is needed and there is none: the Auth Service refuses, whatever is typed.
        let otp = otp || (needs_factor && webauthn.is_none());
        Self { challenge: id, user, otp, webauthn, next: next.to_owned() }
    }

    fn needs_factor(&self) -> bool {
        self.otp || self.webauthn.is_some()
    }

    fn sealed(&self) -> Result<String, Refusal> {
        let text = serde_json::to_vec(self).map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
        text.ok().filter(|text| text.len() <= STEP_LIMIT).ok_or_else(|| {
            warn!(user = self.user, "the offer of passkeys is too large for a cookie");
            Refusal::new(
                Kind::Page,
                StatusCode::CONFLICT,
                "you have too many passkeys to choose from",
            )
            .with_hint("remove some of them: `tsh mfa ls` and `tsh mfa rm` work without this page")
        })
    }

    fn read(headers: &HeaderMap) -> Option<Self> {
        let text = cookies::read(headers, cookies::SIGN_IN)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_proves_one_thing() {
        assert_eq!(proof_of("c", "123 456", ""), Ok(MfaProof::Otp { code: "123456".to_owned() }));
        let credential = serde_json::json!({"id": "x"});
        let proof = MfaProof::Webauthn { challenge: "c".to_owned(), credential };
        assert_eq!(proof_of("c", "", "{\"id\":\"x\"}"), Ok(proof));
        for (code, credential) in [("", ""), ("12345", ""), ("12345x", ""), ("123456", "{")] {
            assert!(proof_of("c", code, credential).is_err(), "{code} {credential}");
        }
    }

    #[test]
    fn the_step_goes_through_its_cookie() {
        let offer = LoginChallenge {
            id: "id".to_owned(),
            needs_factor: true,
            otp: false,
            webauthn: Some(serde_json::json!({"publicKey": {"challenge": "x"}})),
        };
        let step = Step::new(offer, "alice".to_owned(), "/web/audit");
        let line = format!("{}={}", cookies::SIGN_IN, step.sealed().unwrap());
        let headers = HeaderMap::from_iter([(
            http::header::COOKIE,
            http::HeaderValue::from_str(&line).unwrap(),
        )]);
        let read = Step::read(&headers).unwrap();
        assert_eq!((read.user.as_str(), read.next.as_str()), ("alice", "/web/audit"));
        assert!(read.needs_factor() && !read.otp);
    }

    #[test]
    fn whoever_lacks_a_needed_factor_still_comes_to_the_second_step() {
        let offer =
            LoginChallenge { id: "id".to_owned(), needs_factor: true, otp: false, webauthn: None };
        assert!(Step::new(offer, "alice".to_owned(), "").needs_factor());
    }
}
