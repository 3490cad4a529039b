//! One connection to an app's agent, through the proxy, that ends at the agent: for what is no AWS call.

use std::time::Duration;

use api::wire;
use pki::LiveCredential;
use rustls::AlertDescription;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::app_session::SavedSession;
use super::context::{Context, Login};
use crate::failure::{Failure, OrFail as _};

/// How long one may take, TCP and TLS together.
const DEADLINE: Duration = Duration::from_secs(10);

/// Dials the agent that serves the session's app, with one of [`wire::APP_PROTOCOLS`].
///
/// # Errors
/// When the proxy cannot be reached, the session has ended, or no agent serves the app.
pub async fn dial(
    context: &Context,
    login: &Login,
    session: &SavedSession,
    protocol: &[u8],
) -> Result<TlsStream<TcpStream>, Failure> {
    let id = session.claims.app.as_ref().map(|app| wire::app_server_name(&app.session));
    let id = id.ok_or_else(|| Failure::new("the certificate is for no app session"))?;
    let name = ServerName::try_from(id).or_fail("the app session has no server name")?;
    let credential = LiveCredential::new(session.credential.clone());
    let tls = TlsConnector::from(context.tls(login, &credential, protocol)?);
    let address = login.profile.web_proxy_addr.as_str();
    let dialling = async {
        let tcp = TcpStream::connect(address)
            .await
            .or_fail(format!("cannot connect to the proxy at {address}"))?;
        tcp.set_nodelay(true).or_fail("cannot set up the connection")?;
        tls.connect(name, tcp).await.map_err(|error| refused(&error, session))
    };
    match timeout(DEADLINE, dialling).await {
        Ok(dialled) => dialled,
        Err(_) => Err(Failure::new(format!("the proxy at {address} did not answer in time"))),
    }
}

fn refused(error: &std::io::Error, session: &SavedSession) -> Failure {
    let app = &session.app;
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::AlertReceived(AlertDescription::UnrecognisedName)) => {
            Failure::new(format!("the session with app \"{app}\" has ended"))
                .with_hint(format!("run `tsh apps login {app}`"))
        }
        Some(rustls::Error::InvalidCertificate(_)) => Failure::caused_by(
            "the other end could not prove to be an agent of the cluster",
            error.to_string(),
        ),
        _ => Failure::caused_by(
            format!("no agent that serves app \"{app}\" took the connection"),
            error.to_string(),
        ),
    }
}
