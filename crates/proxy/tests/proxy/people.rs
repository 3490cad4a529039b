//! The stand-in's part for people: logins in two steps, web sessions, and answers that tests set.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use access::{Claims, Traits, UserName};
use api::error::ErrorBody;
use api::routes;
use api::types::login::{
    ChallengeLogin, LoginChallenge, LoginChallengeRequest, LoginForm, LoginReply,
};
use api::types::mfa::MfaProof;
use api::types::watch::{Change, Item, Key};
use api::types::web_sessions::{
    WebSession, WebSessionFound, WebSessionId, WebSessionLookup, WebSessionNow, WebSessionRequest,
};
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, post, put};
use axum::{Extension, Json, Router};
use http::{Method, StatusCode, Uri};
use jiff::Timestamp;
use pki::PublicKey;
use serde_json::Value;

use crate::cluster::Authorities;
use crate::stand_in::{CODE, StandIn};

/// The password of everybody.
pub(crate) const PASSWORD: &str = "correct horse battery";
/// How long a browser's session lives here.
const LIFE: Duration = Duration::from_secs(8 * 3600);

/// Who asks, by certificate.
#[derive(Debug, Clone)]
pub(crate) struct Asker(pub(crate) Option<String>);

/// A request that was answered as a test said.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) what: String,
    pub(crate) by: Option<String>,
    pub(crate) body: Value,
}

/// What the stand-in knows of people.
pub(crate) struct People {
    authorities: Arc<Authorities>,
    pub(crate) sessions: Mutex<HashMap<WebSessionId, (WebSessionRequest, WebSession)>>,
    answers: Mutex<HashMap<String, (StatusCode, Value)>>,
    asked: Mutex<Vec<Asked>>,
    challenges: Mutex<HashMap<String, String>>,
    pub(crate) needs_factor: Mutex<bool>,
    pub(crate) roles_allow: Mutex<Vec<String>>,
}

impl People {
    pub(crate) fn new(authorities: &Arc<Authorities>) -> Self {
        Self {
            authorities: Arc::clone(authorities),
            sessions: Mutex::default(),
            answers: Mutex::default(),
            asked: Mutex::default(),
            challenges: Mutex::default(),
            needs_factor: Mutex::new(true),
            roles_allow: Mutex::default(),
        }
    }

    fn session(&self, id: &WebSessionId) -> Option<WebSession> {
        self.sessions.lock().unwrap().get(id).map(|(_, session)| session.clone())
    }
}

impl StandIn {
    /// Answers `GET /v1/…` (without the query) with this from now on.
    pub(crate) fn answer(&self, what: &str, body: Value) {
        self.answer_with(what, StatusCode::OK, body);
    }

    pub(crate) fn answer_with(&self, what: &str, status: StatusCode, body: Value) {
        self.people.answers.lock().unwrap().insert(what.to_owned(), (status, body));
    }

    /// What was asked and answered so, and asked in vain.
    pub(crate) fn asked(&self, what: &str) -> Vec<Asked> {
        let asked = self.people.asked.lock().unwrap();
        asked.iter().filter(|asked| asked.what.starts_with(what)).cloned().collect()
    }

    /// Ends a web session, as if from elsewhere.
    pub(crate) fn end_web_session(&self, id: &WebSessionId) {
        self.people.sessions.lock().unwrap().remove(id);
        self.tell(Change::Delete(Key::WebSession(id.clone())));
    }

    /// The ids of all web sessions.
    pub(crate) fn web_sessions(&self) -> Vec<WebSessionId> {
        self.people.sessions.lock().unwrap().keys().cloned().collect()
    }
}

type Shared = State<Arc<StandIn>>;

pub(crate) fn routes(router: Router<Arc<StandIn>>) -> Router<Arc<StandIn>> {
    router
        .route(routes::LOGIN_CHALLENGES, post(begin))
        .route(routes::WEB_SESSIONS, post(open).get(answered))
        .route(routes::WEB_SESSION_LOOKUP, post(find))
        .route(routes::WEB_SESSION_SEEN, put(saw))
        .route(routes::WEB_SESSION, delete(end))
        .fallback(answered)
}

async fn begin(State(auth): Shared, Json(request): Json<LoginChallengeRequest>) -> Response {
    if request.password.expose() != PASSWORD {
        return refused(StatusCode::UNAUTHORIZED, "invalid username, password or second factor");
    }
    let id = format!("challenge-{}", auth.people.challenges.lock().unwrap().len());
    auth.people.challenges.lock().unwrap().insert(id.clone(), request.user);
    let needs_factor = *auth.people.needs_factor.lock().unwrap();
    let webauthn = Some(serde_json::json!({"publicKey": {"challenge": "AAAA"}}));
    Json(LoginChallenge { id, needs_factor, otp: needs_factor, webauthn }).into_response()
}

pub(crate) async fn login(State(auth): Shared, Json(form): Json<LoginForm>) -> Response {
    match form {
        LoginForm::Password(request) => crate::stand_in::login(&auth, request),
        LoginForm::Challenge(request) => finish(&auth, &request),
        LoginForm::Browser(_) => refused(StatusCode::UNAUTHORIZED, "no such code"),
    }
}

fn finish(auth: &StandIn, request: &ChallengeLogin) -> Response {
    let Some(user) = auth.people.challenges.lock().unwrap().get(&request.challenge).cloned() else {
        return refused(StatusCode::NOT_FOUND, "no such challenge");
    };
    let is_right = match &request.proof {
        Some(MfaProof::Otp { code }) => code == CODE,
        Some(MfaProof::Webauthn { credential, .. }) => credential["id"] == "right",
        Some(MfaProof::Browser { .. }) => false,
        None => !*auth.people.needs_factor.lock().unwrap(),
    };
    if !is_right {
        return refused(StatusCode::UNAUTHORIZED, "invalid username, password or second factor");
    }
    let authorities = &auth.people.authorities;
    let now = authorities.clock.now();
    let claims = Claims {
        user: UserName::parse(&user).unwrap(),
        cluster: authorities.name.clone(),
        roles: vec!["all".parse().unwrap()],
        traits: Traits::new(),
        allowed_aws_roles: auth.people.roles_allow.lock().unwrap().clone(),
        app: None,
        issued_at: now,
        expires: now + LIFE,
        mfa: true,
        login_ip: None,
    };
    let key = PublicKey::from_pem(&request.public_key).unwrap();
    let certificate = authorities.user.issue_user(&claims, &key, now).unwrap();
    Json(LoginReply {
        user: claims.user,
        certificate: certificate.as_str().to_owned(),
        trust: authorities.trust(),
        cluster: authorities.name.clone(),
        warnings: vec![],
    })
    .into_response()
}

async fn open(
    State(auth): Shared,
    Extension(Asker(asker)): Extension<Asker>,
    Json(request): Json<WebSessionRequest>,
) -> Response {
    let Some(user) = asker else { return refused(StatusCode::FORBIDDEN, "no user") };
    let now = Timestamp::try_from(auth.people.authorities.clock.now()).unwrap();
    let number = u8::try_from(auth.people.sessions.lock().unwrap().len()).unwrap();
    let session = WebSession {
        id: WebSessionId::from_bytes([number + 1; 16]),
        user: user.parse().unwrap(),
        created: now,
        expires: now + LIFE,
        last_seen: now,
        idle_timeout_seconds: 1800,
        remote_addr: request.remote_addr.clone(),
        user_agent: request.user_agent.clone(),
        app_session: request.app_session.clone(),
        parent: request.parent.clone(),
    };
    let told = WebSessionNow {
        id: session.id.clone(),
        token_hash: request.token_hash,
        user: session.user.clone(),
        expires: session.expires,
        parent: None,
    };
    auth.people.sessions.lock().unwrap().insert(session.id.clone(), (request, session.clone()));
    auth.tell(Change::Put(Item::WebSession(Box::new(told))));
    Json(session).into_response()
}

async fn find(State(auth): Shared, Json(lookup): Json<WebSessionLookup>) -> Response {
    let sessions = auth.people.sessions.lock().unwrap();
    let found = sessions.values().find(|(request, _)| request.token_hash == lookup.token_hash);
    match found {
        Some((request, session)) => {
            Json(WebSessionFound { session: session.clone(), sealed: request.sealed.clone() })
                .into_response()
        }
        None => refused(StatusCode::NOT_FOUND, "no such session"),
    }
}

async fn saw(State(auth): Shared, Path(id): Path<WebSessionId>) -> Response {
    match auth.people.session(&id) {
        Some(_) => Json(()).into_response(),
        None => refused(StatusCode::NOT_FOUND, "no such session"),
    }
}

async fn end(
    State(auth): Shared,
    Extension(Asker(asker)): Extension<Asker>,
    Path(id): Path<WebSessionId>,
) -> Response {
    match auth.people.session(&id) {
        Some(session) if asker.as_deref() == Some(session.user.as_str()) => {
            auth.end_web_session(&id);
            Json(()).into_response()
        }
        _ => refused(StatusCode::NOT_FOUND, "no such session"),
    }
}

async fn answered(
    State(auth): Shared,
    Extension(Asker(by)): Extension<Asker>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> Response {
    let plain = format!("{method} {}", uri.path());
    let what = match uri.query() {
        Some(query) => format!("{plain}?{query}"),
        None => plain.clone(),
    };
    let body = serde_json::from_slice(&body).unwrap_or_default();
    auth.people.asked.lock().unwrap().push(Asked { what, by, body });
    match auth.people.answers.lock().unwrap().get(&plain) {
        Some((status, body)) => (*status, Json(body.clone())).into_response(),
        None => refused(StatusCode::NOT_FOUND, "the stand-in has no answer"),
    }
}

fn refused(status: StatusCode, words: &str) -> Response {
    (status, Json(ErrorBody::new(words, None))).into_response()
}
