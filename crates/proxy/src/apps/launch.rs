//! What the pages call to let a browser into an app: a session with a web app, or a sign-in to the AWS console.

use std::net::IpAddr;
use std::sync::Arc;

use access::{AppName, AppTraffic};
use api::error::{Chain, ErrorBody};
use api::types::app_sessions::{AppSessionReply, AppSessionRequest};
use api::types::console::ConsoleSignIn;
use api::types::mfa::MfaProof;
use api::types::web_sessions::WebSessionRequest;
use api::{ApiError, wire};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use pki::{CertPem, Credential, KeyPair, LiveCredential};
use thiserror::Error;
use tracing::{info, warn};

use super::Apps;
use super::code::{Code, is_path};
use super::line::{Line, LineError};
use crate::web::{SignedIn, Token, is_random_text};

/// Largest answer of an agent's own door, bytes.
const LIMIT: usize = 64 * 1024;
/// Longest path that a launch leads back to.
const PATH_LIMIT: usize = 8 * 1024;

/// A launch of a web app.
#[derive(Debug)]
pub(crate) struct WebLaunch<'a> {
    /// The app's host, as the address of the launch names it.
    pub(crate) host: &'a str,
    /// Where to go on to there: path and query. What is no path is the root.
    pub(crate) path: &'a str,
    /// The state of the app's host; without one the launch begins there.
    pub(crate) state: Option<&'a str>,
    /// A second factor, where one is needed.
    pub(crate) proof: Option<MfaProof>,
    /// For the list of sessions.
    pub(crate) remote_addr: Option<String>,
    /// For the list of sessions.
    pub(crate) user_agent: Option<String>,
}

/// A launch of the AWS console.
#[derive(Debug)]
pub(crate) struct ConsoleLaunch<'a> {
    /// The AWS app.
    pub(crate) app: &'a AppName,
    /// The AWS role, ARN or name.
    pub(crate) role: &'a str,
    /// A second factor, where one is needed.
    pub(crate) proof: Option<MfaProof>,
    /// The browser's address.
    pub(crate) address: IpAddr,
}

/// Why nothing was launched.
#[derive(Debug, Error)]
pub(crate) enum LaunchError {
    /// The Auth Service refuses, or wants a second factor ([`ApiError::needs_mfa`]), or cannot be asked.
    #[error(transparent)]
    Auth(#[from] ApiError),
    /// No web app answers at that host.
    #[error("no web application answers at {host}")]
    NoSuchApp {
        /// The host.
        host: String,
    },
    /// The agent, or AWS by its mouth, refuses.
    #[error("{message}")]
    Refused {
        /// Its words.
        message: String,
    },
    /// The agent cannot be reached.
    #[error("the application's agent cannot be reached")]
    Line(#[from] LineError),
    /// Something of ours.
    #[error("the session could not be set up")]
    SetUp(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl LaunchError {
    fn set_up(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::SetUp(error.into())
    }
}

impl Apps {
    /// Opens a session with a web app, and gives the address at which the browser takes it up. It is good once, for this
    /// browser, for 30 seconds.
    pub(crate) async fn launch_web(
        &self,
        signed_in: &SignedIn,
        launch: WebLaunch<'_>,
    ) -> Result<String, LaunchError> {
        let host = launch.host.to_ascii_lowercase();
        let nobody = || LaunchError::NoSuchApp { host: host.clone() };
        let app = self.at(&host).filter(|app| app.traffic() == AppTraffic::Web);
        let app = app.ok_or_else(nobody)?;
        let path = Some(launch.path).filter(|path| is_path(path) && path.len() <= PATH_LIMIT);
        let (origin, path) = (self.origin_of(&host), path.unwrap_or("/"));
        // Without a state the browser fetches one where it is needed: at the app's host.
        let Some(state) = launch.state.filter(|state| is_random_text(state)) else {
            return Ok(format!("{origin}{path}"));
        };
        let (credential, reply) =
            open_session(signed_in, (app.name(), None), launch.proof.clone()).await?;
        let kept = self.keep(signed_in, &launch, (&credential, &reply)).await;
        let token = match kept {
            Ok(token) => token,
            Err(error) => {
                end_session(signed_in, &reply).await;
                return Err(error);
            }
        };
        info!(user = signed_in.user(), app = %app.name(), "web app launched");
        let code = Code::new(token.expose(), &host, path, self.clock.now()).seal(state);
        let code = code.ok_or_else(|| LaunchError::set_up("the code could not be sealed"))?;
        Ok(format!("{origin}{}?code={code}&state={state}", super::browser::TAKE_UP))
    }

    /// Signs the user in to the AWS console, in an app session that ends with this.
    pub(crate) async fn launch_console(
        &self,
        signed_in: &SignedIn,
        launch: ConsoleLaunch<'_>,
    ) -> Result<ConsoleSignIn, LaunchError> {
        let role = Some(launch.role.to_owned());
        let (credential, reply) = open_session(signed_in, (launch.app, role), launch.proof).await?;
        let line = Line {
            session: reply.session.id.clone(),
            app: launch.app.clone(),
            credential: LiveCredential::new(credential),
            address: launch.address,
        };
        let asked = self.ask_console(&line).await;
        end_session(signed_in, &reply).await;
        if asked.is_ok() {
            info!(user = signed_in.user(), app = %launch.app, "AWS console launched");
        }
        asked
    }

    async fn ask_console(&self, line: &Line) -> Result<ConsoleSignIn, LaunchError> {
        let mut sender = self.lines.single::<Empty<Bytes>>(line, wire::ALPN_APP_CONSOLE).await?;
        let request = Request::post(wire::CONSOLE_PATH)
            .header(header::HOST, line.app.as_str())
            .body(Empty::new())
            .map_err(LaunchError::set_up)?;
        let reply = sender.send_request(request).await.map_err(LineError::Http)?;
        let status = reply.status();
        let body = Limited::new(reply.into_body(), LIMIT).collect().await;
        let body = body.map_err(|_| LineError::Ended)?.to_bytes();
        if status.is_success() {
            let unusable = || LaunchError::set_up("the agent answered with something else");
            return serde_json::from_slice(&body).map_err(|_| unusable());
        }
        let words = serde_json::from_slice::<ErrorBody>(&body).ok();
        let message = words.map(|words| words.error.message);
        let message = message.unwrap_or_else(|| "the agent refused without saying why".to_owned());
        Err(LaunchError::Refused { message })
    }

    /// Keeps the session under a cookie's token.
    async fn keep(
        &self,
        signed_in: &SignedIn,
        launch: &WebLaunch<'_>,
        (credential, reply): (&Credential, &AppSessionReply),
    ) -> Result<Token, LaunchError> {
        let token = Token::draw().map_err(LaunchError::set_up)?;
        let request = WebSessionRequest {
            token_hash: token.hash(),
            sealed: token.seal(credential).map_err(LaunchError::set_up)?,
            remote_addr: launch.remote_addr.clone(),
            user_agent: launch.user_agent.clone(),
            app_session: Some(reply.session.id.clone()),
            parent: Some(signed_in.id().clone()),
        };
        signed_in.client().open_web_session(&request).await?;
        Ok(token)
    }

    /// `https://host`, with the port where it is not the usual one.
    pub(super) fn origin_of(&self, host: &str) -> String {
        format!("https://{}", self.authority_of(host))
    }
}

/// Opens an app session for a key of the proxy's own, as the user.
async fn open_session(
    signed_in: &SignedIn,
    (app, aws_role): (&AppName, Option<String>),
    proof: Option<MfaProof>,
) -> Result<(Credential, AppSessionReply), LaunchError> {
    let key = KeyPair::generate().map_err(LaunchError::set_up)?;
    let request =
        AppSessionRequest { app: app.clone(), aws_role, public_key: key.public_pem(), proof };
    let reply = signed_in.client().open_app_session(&request).await?;
    let cert = CertPem::parse(&reply.certificate).map_err(LaunchError::set_up)?;
    let credential = Credential::new(cert, key).map_err(LaunchError::set_up)?;
    Ok((credential, reply))
}

async fn end_session(signed_in: &SignedIn, reply: &AppSessionReply) {
    // One that cannot be ended expires.
    if let Err(error) = signed_in.client().end_app_session(&reply.session.id).await {
        warn!(error = %Chain(&error), "an app session could not be ended");
    }
}

/// Failures of a connection that several wait for.
impl From<Arc<LineError>> for LaunchError {
    fn from(error: Arc<LineError>) -> Self {
        Self::SetUp(Box::new(error))
    }
}
