//! How a service gets its identity: from the Auth Service in the same process,
//! from an earlier start, or by joining with the token.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use access::SystemRole;
use api::error::Chain;
use api::join::{self, Applicant, Door, HostFolder, HostIdentity, JoinError};
use api::web::WebClient;
use api::{Client, wire};
use pki::web::WebTrust;
use pki::{ClientTls, Clock, LiveCredential, LiveTrust, Pin, TrustedServers};
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::split_port;
use crate::settings::Join;

/// Longest pause between two tries to join.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Why a service has no identity.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// Nothing says how to join.
    #[error(
        "this host has not joined a cluster yet and no token is given; set teleport.join_params.token_name"
    )]
    NoToken,
    /// The token file gives none.
    #[error(transparent)]
    TokenFile(#[from] join::TokenFileError),
    /// No address to join at.
    #[error("no address to join the cluster at; set teleport.{key}")]
    NoAddress {
        /// The missing key.
        key: &'static str,
    },
    /// A pin is needed where the Auth Service is joined directly.
    #[error("teleport.ca_pin is needed to join the Auth Service directly; `tctl status` prints it")]
    NoPin,
    /// A pin that is none.
    #[error("teleport.ca_pin `{pin}` is not a pin; expected sha256:<64 hex digits>")]
    BadPin {
        /// As written.
        pin: String,
    },
    /// TLS settings do not fit together.
    #[error("the TLS settings cannot be used")]
    Tls(#[from] pki::TlsError),
    /// The clients cannot be set up, or the saved identity is unusable.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The API client cannot be set up.
    #[error(transparent)]
    Api(#[from] api::ApiError),
    /// A stop was asked for meanwhile.
    #[error("stopped before the cluster was joined")]
    Stopped,
}

/// What a service needs to speak with the others of its cluster.
#[derive(Debug, Clone)]
pub(crate) struct Membership {
    pub(crate) identity: HostIdentity,
    pub(crate) credential: Arc<LiveCredential>,
    pub(crate) trust: Arc<LiveTrust>,
}

impl Membership {
    pub(crate) fn new(identity: HostIdentity) -> Self {
        let credential = LiveCredential::new(identity.credential.clone());
        let trust = LiveTrust::new(identity.trust.clone());
        Self { identity, credential, trust }
    }

    /// A client of the Auth Service at `address`, or behind the proxy there.
    pub(crate) fn auth_client(
        &self,
        address: &str,
        clock: &Clock,
    ) -> Result<Client, IdentityError> {
        let tls = pki::tls::client(ClientTls {
            credential: Some(Arc::clone(&self.credential)),
            servers: TrustedServers::Cluster(Arc::clone(&self.trust)),
            alpn: vec![wire::ALPN_AUTH.to_vec()],
            clock: clock.clone(),
        })?;
        Ok(Client::new(address, tls)?)
    }
}

/// What is asked for in `membership`.
pub(crate) struct Application<'a> {
    pub(crate) role: SystemRole,
    pub(crate) node_name: &'a str,
    pub(crate) dns_names: Vec<String>,
    pub(crate) join: &'a Join,
    pub(crate) insecure: bool,
}

/// The identity of an earlier start, or a new one by the token. A refused token is tried
/// again with growing pauses: an admin may still add it.
pub(crate) async fn membership(
    folder: &HostFolder,
    application: &Application<'_>,
    clock: &Clock,
    stop: &CancellationToken,
) -> Result<Membership, IdentityError> {
    if let Some(identity) = folder.load(application.role)?
        && is_current(&identity, clock.now())
    {
        info!(role = %application.role, cluster = %identity.cluster, "identity of an earlier start");
        return Ok(Membership::new(identity));
    }
    let door = door(application, clock)?;
    let applicant = Applicant {
        role: application.role,
        node_name: application.node_name.to_owned(),
        dns_names: application.dns_names.clone(),
    };
    let mut pause = Duration::from_secs(1);
    loop {
        let tried = try_join(folder, &door, &applicant, application.join).await;
        match tried {
            Ok(identity) => {
                info!(role = %application.role, cluster = %identity.cluster, "joined the cluster");
                return Ok(Membership::new(identity));
            }
            Err(IdentityError::Join(error @ JoinError::Refused(_))) => {
                let hint = hint(&error);
                warn!(role = %application.role, error = %Chain(&error), hint, retry_in = ?pause, "could not join");
            }
            Err(error) => return Err(error),
        }
        tokio::select! {
            () = tokio::time::sleep(jittered(pause)) => {}
            () = stop.cancelled() => return Err(IdentityError::Stopped),
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn try_join(
    folder: &HostFolder,
    door: &Door,
    applicant: &Applicant,
    by: &Join,
) -> Result<HostIdentity, IdentityError> {
    let name = by.token.as_deref().ok_or(IdentityError::NoToken)?;
    // Read anew for each try: an admin may put a fresh token into the file meanwhile.
    let token = join::read_token(name)?;
    Ok(join::join(folder, door, applicant, &token).await?)
}

fn is_current(identity: &HostIdentity, now: SystemTime) -> bool {
    identity.credential.cert().facts().is_ok_and(|facts| facts.not_after > now)
}

fn hint(error: &JoinError) -> String {
    match error {
        JoinError::Refused(refused) => refused.hint().unwrap_or_default().to_owned(),
        _ => String::new(),
    }
}

/// Up to a quarter less or more, so that many hosts do not knock at once.
fn jittered(pause: Duration) -> Duration {
    let random = random_byte();
    pause.mul_f64(0.75 + f64::from(random) / 510.0)
}

fn random_byte() -> u8 {
    let mut byte = [0];
    match aws_lc_rs::rand::fill(&mut byte) {
        Ok(()) => byte[0],
        Err(_) => 127,
    }
}

fn door(application: &Application<'_>, clock: &Clock) -> Result<Door, IdentityError> {
    match (&application.join.proxy_server, &application.join.auth_server) {
        (Some(proxy), _) => {
            let (host, port) = split_port(proxy);
            let port = port.and_then(|port| port.parse().ok()).unwrap_or(crate::config::PROXY_PORT);
            let trust = if application.insecure {
                WebTrust::DangerouslyAnybody
            } else {
                WebTrust::System { extra: Vec::new() }
            };
            let tls = pki::web::web_client(&trust, vec![b"http/1.1".to_vec()], clock.clone())?;
            Ok(Door::Proxy(WebClient::new(host, port, tls)))
        }
        (None, Some(auth)) => {
            let tls = pki::tls::client(ClientTls {
                credential: None,
                servers: TrustedServers::Pinned(pins(application.join)?),
                alpn: vec![wire::ALPN_AUTH.to_vec()],
                clock: clock.clone(),
            })?;
            Ok(Door::Auth(Client::new(auth, tls)?))
        }
        (None, None) => Err(IdentityError::NoAddress { key: "proxy_server" }),
    }
}

fn pins(join: &Join) -> Result<Vec<Pin>, IdentityError> {
    if join.ca_pins.is_empty() {
        return Err(IdentityError::NoPin);
    }
    let read =
        |pin: &String| Pin::parse(pin).map_err(|_| IdentityError::BadPin { pin: pin.clone() });
    join.ca_pins.iter().map(read).collect()
}
