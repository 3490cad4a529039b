//! The road of one connection to a TCP app: decide, open an entry, connect, pass bytes, close the entry.

use std::sync::Arc;
use std::time::Duration;

use access::{App, AppTraffic};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::app_use::{AppUse, Visitor};
use crate::bytes_between::{Passage, pass};
use crate::config::SyncWhen;
use crate::record::{Answer, OpenEntry, Recorder, Visit};
use crate::refusal::Refusal;
use crate::web_app::AppError;

const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// What the road leads past.
pub(crate) struct TcpApps {
    pub(crate) app_use: AppUse,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) sync: SyncWhen,
    pub(crate) stop: CancellationToken,
}

impl TcpApps {
    /// Serves one connection to its end. One that is refused is closed: there are no words in bytes.
    pub(crate) async fn serve(
        &self,
        visitor: &Visitor,
        client: impl AsyncRead + AsyncWrite + Unpin,
    ) {
        let mut visit =
            Visit::of_app(&visitor.identity, ("CONNECT", "", ""), self.app_use.clock.now());
        let opened = self.open(&mut visit, visitor).await;
        let (entry, app) = match opened {
            Ok(opened) => opened,
            Err(refusal) => {
                self.recorder.refused(&mut visit, refusal);
                return;
            }
        };
        let passage = Passage { sent: entry.bytes_in_counter(), received: Arc::default() };
        let denied = self.app_use.until_denied(&visitor.identity, AppTraffic::Tcp);
        let ended = tokio::select! {
            ended = pass(client, app, &passage) => ended.err(),
            () = denied => Some("cut: the app may not be used any more".to_owned()),
            () = self.stop.cancelled() => Some("cut: the agent stops".to_owned()),
        };
        entry.answered(&Answer::with_status(200), passage.received(), ended);
    }

    async fn open(
        &self,
        visit: &mut Visit,
        visitor: &Visitor,
    ) -> Result<(OpenEntry, TcpStream), Refusal> {
        let (_, app) = self.app_use.decide(visit, &visitor.identity, AppTraffic::Tcp)?;
        let target = target(&app)?;
        visit.to(&target);
        let entry = self.recorder.open_counting(visit, Arc::default())?;
        match self.connect(&entry, &app, &target).await {
            Ok(stream) => Ok((entry, stream)),
            Err(refusal) => {
                entry.failed(&refusal);
                Err(refusal)
            }
        }
    }

    async fn connect(
        &self,
        entry: &OpenEntry,
        app: &App,
        target: &str,
    ) -> Result<TcpStream, Refusal> {
        if self.sync == SyncWhen::BeforeCall {
            self.recorder.durable(entry).await?;
        }
        let connecting = async {
            let stream = TcpStream::connect(target).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        let failed =
            |source| AppError::Connect { app: app.name().clone(), host: target.to_owned(), source };
        let stream: Result<TcpStream, std::io::Error> =
            timeout(CONNECT_DEADLINE, connecting).await.map_err(|late| failed(late.into()))?;
        let stream = stream.map_err(|error| failed(error.into()))?;
        self.recorder.durable(entry).await?;
        Ok(stream)
    }
}

/// `host:port`, as the app's URI says it.
fn target(app: &App) -> Result<String, AppError> {
    let uri = app.uri();
    let text = uri.split_once("://").map_or("", |(_, rest)| rest).trim_end_matches('/');
    let authority = text.parse::<http::uri::Authority>().ok();
    let is_whole = |authority: &http::uri::Authority| {
        authority.port_u16().is_some() && !authority.as_str().contains('@')
    };
    authority
        .filter(is_whole)
        .map(|authority| authority.to_string())
        .ok_or_else(|| AppError::BadUri { app: app.name().clone() })
}

#[cfg(test)]
mod tests {
    use access::AppName;

    use super::*;

    #[test]
    fn a_target_has_a_host_and_a_port() {
        let target = |uri: &str| target(&App::new(AppName::parse("db").unwrap(), uri)).ok();
        assert_eq!(target("tcp://db.internal:5432").as_deref(), Some("db.internal:5432"));
        assert_eq!(target("tcp://[::1]:5432/").as_deref(), Some("[::1]:5432"));
        for bad in ["tcp://db.internal", "tcp://", "tcp://a@b:1", "tcp://a:1/path", "tcp://a:99999"]
        {
            assert_eq!(target(bad), None, "{bad}");
        }
    }
}
