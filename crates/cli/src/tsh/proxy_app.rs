//! `tsh proxy app`: a port on this machine that leads to a web or TCP app.
//!
//! Each local connection is one to the app's agent, whose other end is the app. Nothing is read here.

use std::net::Ipv4Addr;
use std::sync::Arc;

use access::{App, AppTraffic};
use api::profile::Rank;
use api::wire;
use clap::Args;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::agent_line;
use super::app_session::{self, SavedSession};
use super::context::{Context, Login};
use crate::failure::{Failure, OrFail as _};
use crate::moment;
use crate::output::Output;

/// Connections at a time; more wait in the kernel's queue.
const MOST_CONNECTIONS: usize = 256;
/// A saved session that ends sooner is replaced by a new one at the start.
const SHORTEST: std::time::Duration = std::time::Duration::from_secs(60);

/// Run a local port that leads to a web or TCP app
#[derive(Debug, Args)]
pub struct ProxyAppArgs {
    /// The app
    pub app: String,
    /// Port to listen on; any free one if left out
    #[arg(short, long)]
    pub port: Option<u16>,
}

/// Runs `tsh proxy app`.
///
/// # Errors
/// When there is no such app, the port is taken, or the cluster refuses.
pub async fn run(
    args: &ProxyAppArgs,
    context: &Context,
    output: &mut Output,
) -> Result<(), Failure> {
    let login = context.valid_login()?;
    let client = context.client(&login)?;
    let app = app_session::find_app(&client, &args.app).await?;
    let protocol = protocol(&app)?;
    let session = session(context, &login, &app, output).await?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port.unwrap_or(0)))
        .await
        .or_fail(format!("cannot listen on port {}", args.port.unwrap_or(0)))?;
    let port = listener.local_addr().or_fail("cannot listen")?.port();
    output.line(banner(&app, port))?;
    let line = Line { context: context.clone(), login, session, protocol };
    let interrupted = super::proxy_aws::until_interrupted();
    tokio::select! {
        () = serve(listener, Arc::new(line)) => Ok(()),
        ended = interrupted => ended.or_fail("could not wait for Ctrl-C"),
    }
}

fn protocol(app: &App) -> Result<&'static [u8], Failure> {
    match app.traffic() {
        AppTraffic::Web => Ok(wire::ALPN_APP_HTTP1),
        AppTraffic::Tcp => Ok(wire::ALPN_APP_TCP),
        AppTraffic::Aws => Err(Failure::new(format!("app \"{}\" is AWS", app.name()))
            .with_hint(format!("run `tsh proxy aws --app {}`", app.name()))),
        AppTraffic::Other => {
            Err(Failure::new(format!("app \"{}\" is of a kind that is not served", app.name())))
        }
    }
}

/// The saved session, or a new one.
async fn session(
    context: &Context,
    login: &Login,
    app: &App,
    output: &mut Output,
) -> Result<SavedSession, Failure> {
    let saved = app_session::saved(context, login, app.name())?;
    let lasts =
        |session: &SavedSession| moment::until(session.claims.expires, (context.now)()) > SHORTEST;
    match saved.filter(lasts) {
        Some(session) => Ok(session),
        None => {
            Box::pin(app_session::log_in(context, login, (app, None, Rank::Newest), output)).await
        }
    }
}

fn banner(app: &App, port: u16) -> String {
    let name = app.name();
    match app.traffic() {
        AppTraffic::Tcp => format!("Proxying connections to {name} on 127.0.0.1:{port}"),
        _ => format!("Proxying connections to {name} on http://127.0.0.1:{port}"),
    }
}

/// What every connection needs.
struct Line {
    context: Context,
    login: Login,
    session: SavedSession,
    protocol: &'static [u8],
}

async fn serve(listener: TcpListener, line: Arc<Line>) {
    let (tasks, places) = (TaskTracker::new(), Arc::new(Semaphore::new(MOST_CONNECTIONS)));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else { continue };
        let line = Arc::clone(&line);
        tasks.spawn(async move {
            let _place = place;
            if let Err(failure) = line.carry(stream).await {
                Output::of_process().warn(failure.text().unwrap_or_default());
            }
        });
    }
}

impl Line {
    async fn carry(&self, mut stream: TcpStream) -> Result<(), Failure> {
        stream.set_nodelay(true).or_fail("cannot set up the connection")?;
        let session = self.newest();
        let dialled = agent_line::dial(&self.context, &self.login, &session, self.protocol);
        let mut agent = dialled.await?;
        if let Err(error) = tokio::io::copy_bidirectional(&mut stream, &mut agent).await {
            debug!(%error, "a connection broke off");
        }
        Ok(())
    }

    /// The session that was begun with, or the one that the user has logged in to since.
    fn newest(&self) -> SavedSession {
        let app = &self.session.app;
        let saved = app_session::saved(&self.context, &self.login, app).ok().flatten();
        let is_newer = |saved: &SavedSession| saved.claims.expires > self.session.claims.expires;
        saved.filter(is_newer).unwrap_or_else(|| self.session.clone())
    }
}

#[cfg(test)]
mod tests {
    use access::AppName;

    use super::*;

    #[test]
    fn each_kind_of_app_has_its_protocol() {
        let app = |uri: &str| App::new(AppName::parse("x").unwrap(), uri);
        assert_eq!(protocol(&app("http://x")).unwrap(), wire::ALPN_APP_HTTP1);
        assert_eq!(protocol(&app("tcp://x:1")).unwrap(), wire::ALPN_APP_TCP);
        let aws = protocol(&app("https://console.aws.amazon.com")).unwrap_err();
        assert!(aws.text().unwrap().contains("tsh proxy aws --app x"));
        assert!(protocol(&app("udp://x:1")).is_err());
    }
}
