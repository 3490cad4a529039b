//! A stand-in for the Auth Service: its wire, and answers that tests set.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use access::SystemRole;
use api::error::ErrorBody;
use api::routes;
use api::types::invites::{Invite, InviteAcceptance, InviteAccepted, InviteKind, OtpEnrolment};
use api::types::join::{JoinReply, JoinRequest};
use api::types::login::{LoginReply, LoginRequest};
use api::types::ping::{Ping, PingAuth, PingProxy, SecondFactor};
use api::types::watch::Change;
use api::wire;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use pki::{Accept, LiveTrust, Peers, ServerTls, Trust};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::cluster::Authorities;

/// The only token that works.
pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// The only code that is right.
pub(crate) const CODE: &str = "123456";

/// The stand-in.
pub(crate) struct StandIn {
    pub(crate) addr: SocketAddr,
    changes: watch::Sender<Vec<Change>>,
    pub(crate) logins: Mutex<Vec<LoginRequest>>,
    pub(crate) accepted: Mutex<Vec<InviteAcceptance>>,
    pub(crate) invite: Mutex<Option<Invite>>,
    trust: Trust,
    tasks: Mutex<JoinSet<()>>,
}

impl StandIn {
    pub(crate) async fn start(authorities: &Authorities) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let auth = Arc::new(Self {
            addr: listener.local_addr().unwrap(),
            changes: watch::Sender::new(vec![]),
            logins: Mutex::default(),
            accepted: Mutex::default(),
            invite: Mutex::new(Some(invite(InviteKind::Invite))),
            trust: authorities.trust(),
            tasks: Mutex::default(),
        });
        let tls = pki::tls::server(ServerTls {
            credential: authorities.host(SystemRole::Auth, "auth-1"),
            trust: LiveTrust::new(authorities.trust()),
            peers: Peers::Optional(Accept::UsersAndHosts),
            alpn: vec![wire::ALPN_AUTH.to_vec()],
            clock: authorities.clock.clock(),
        })
        .unwrap();
        let app = Router::new()
            .route(routes::WATCH, get(follow))
            .route(routes::PING, get(ping))
            .route(routes::LOGIN, post(login))
            .route(routes::JOIN, post(join))
            .route(routes::INVITE, get(show).post(accept))
            .with_state(Arc::clone(&auth));
        auth.tasks.lock().unwrap().spawn(serve(listener, TlsAcceptor::from(tls), app));
        auth
    }

    /// Tells all watchers, now and later.
    pub(crate) fn tell(&self, change: Change) {
        self.changes.send_modify(|changes| changes.push(change));
    }

    /// Breaks off everything and listens no more.
    pub(crate) async fn vanish(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap());
        tasks.shutdown().await;
    }
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, app: Router) {
    let mut connections = JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        let (tls, app) = (tls.clone(), app.clone());
        connections.spawn(async move {
            let Ok(tls) = tls.accept(tcp).await else { return };
            let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(tls), TowerToHyperService::new(app))
                .await;
        });
    }
}

pub(crate) fn invite(kind: InviteKind) -> Invite {
    Invite {
        user: "alice".parse().unwrap(),
        kind,
        expires: "2027-01-15T09:00:00Z".parse().unwrap(),
        otp: Some(OtpEnrolment {
            url: "otpauth://totp/test.example.com:alice?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Causeway&algorithm=SHA1&digits=6&period=30".to_owned(),
            secret: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP".to_owned(),
        }),
        webauthn: None,
        otp_optional: false,
    }
}

type Shared = State<Arc<StandIn>>;

async fn follow(State(auth): Shared) -> Response {
    let changes = auth.changes.subscribe();
    let lines = futures_util::stream::unfold((changes, None), |(mut changes, sent)| async move {
        let sent = match sent {
            None => 0,
            Some(sent) => {
                changes.wait_for(|all| all.len() > sent).await.ok()?;
                sent
            }
        };
        let mut lines = String::new();
        let all = changes.borrow_and_update().clone();
        for change in &all[sent..] {
            lines.push_str(&serde_json::to_string(change).unwrap());
            lines.push('\n');
        }
        if sent == 0 {
            lines.push_str(&serde_json::to_string(&Change::Ready).unwrap());
            lines.push('\n');
        }
        Some((Ok::<_, std::io::Error>(lines), (changes, Some(all.len()))))
    });
    axum::body::Body::from_stream(lines).into_response()
}

async fn ping() -> Json<Ping> {
    Json(Ping {
        auth: PingAuth {
            kind: "local".to_owned(),
            second_factor: SecondFactor::Otp,
            webauthn: None,
            allow_local_auth: true,
            default_session_ttl_seconds: 43_200,
        },
        proxy: PingProxy { public_addr: String::new(), tls_routing_enabled: false },
        server_version: "9.9.9".to_owned(),
        min_client_version: "0.1.0".to_owned(),
        cluster_name: "test.example.com".parse().unwrap(),
    })
}

async fn login(State(auth): Shared, Json(request): Json<LoginRequest>) -> Response {
    auth.logins.lock().unwrap().push(request.clone());
    if request.password.expose() != "correct horse battery" {
        let words = ErrorBody::new("invalid user name, password or code", None);
        return (StatusCode::UNAUTHORIZED, Json(words)).into_response();
    }
    Json(LoginReply {
        user: request.user.parse().unwrap(),
        certificate: "certificate".to_owned(),
        trust: auth.trust.clone(),
        cluster: "test.example.com".parse().unwrap(),
        warnings: vec![],
    })
    .into_response()
}

async fn join(State(auth): Shared, Json(_): Json<JoinRequest>) -> Json<JoinReply> {
    Json(JoinReply {
        certificate: "certificate".to_owned(),
        trust: auth.trust.clone(),
        cluster: "test.example.com".parse().unwrap(),
    })
}

async fn show(State(auth): Shared, Path(token): Path<String>) -> Response {
    match auth.invite.lock().unwrap().clone() {
        Some(invite) if token == TOKEN => Json(invite).into_response(),
        _ => no_such_link(),
    }
}

async fn accept(
    State(auth): Shared,
    Path(token): Path<String>,
    Json(acceptance): Json<InviteAcceptance>,
) -> Response {
    let Some(invite) = auth.invite.lock().unwrap().clone().filter(|_| token == TOKEN) else {
        return no_such_link();
    };
    if acceptance.otp.as_deref().is_some_and(|code| code != CODE) {
        let words = ErrorBody::new("the code is wrong or too old", None);
        return (StatusCode::BAD_REQUEST, Json(words)).into_response();
    }
    auth.accepted.lock().unwrap().push(acceptance);
    *auth.invite.lock().unwrap() = None;
    Json(InviteAccepted { user: invite.user }).into_response()
}

fn no_such_link() -> Response {
    (StatusCode::NOT_FOUND, Json(ErrorBody::new("no such invite", None))).into_response()
}
