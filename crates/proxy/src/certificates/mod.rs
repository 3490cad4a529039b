//! The certificates that browsers and `tsh` see: those of `https_keypairs` first, then those
//! ordered by ACME, and a self-signed one where there is nothing else.

mod acme;
mod files;
mod self_signed;

use std::sync::Arc;

use pki::{Clock, LiveWeb};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::{info, warn};

use self::acme::Acme;
pub(crate) use self::acme::NoAnswer;
use self::files::Files;
use crate::config::{ProxyConfig, WebCertificate};
use crate::service::StartError;
use crate::snapshot::Snapshots;

/// An enrolled app's host has no certificate: its order is under way still, or failed.
#[derive(Debug, Error)]
#[error("there is no certificate for `{name}` yet")]
pub(crate) struct NoCertificate {
    name: String,
}

/// What is shown to whom.
pub(crate) struct Certificates {
    files: Option<Files>,
    acme: Option<Acme>,
    /// Where there are no files.
    self_signed: Option<Arc<LiveWeb>>,
}

impl Certificates {
    /// Reads or makes what is needed from the first moment.
    pub(crate) fn new(
        config: &ProxyConfig,
        clock: &Clock,
        snapshots: Arc<Snapshots>,
        auth: api::Client,
    ) -> Result<Self, StartError> {
        let WebCertificate { files: paths, reload, acme, data_dir } = &config.web_certificate;
        let host = config.public_addr.host();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let files = match paths.as_slice() {
            [] => None,
            paths => Some(Files::new(paths, *reload, clock.clone())?),
        };
        let self_signed = match files {
            Some(_) => None,
            None => Some(LiveWeb::new(&[self_signed::kept_pair(data_dir, host, clock.now())?])?),
        };
        let acme = acme.as_ref().map(|settings| {
            info!(host, directory = %settings.directory, "web certificates are ordered by ACME");
            Acme::new(settings.clone(), host, snapshots, auth, clock.clone())
        });
        if files.is_none() && acme.is_none() {
            warn!(
                host,
                "using a self-signed web certificate: browsers will warn, and tsh needs --insecure"
            );
        }
        Ok(Self { files, acme, self_signed })
    }

    /// Shows renewed certificates without a restart, for ever.
    pub(crate) async fn keep_fresh(&self) {
        let files = async {
            match &self.files {
                Some(files) => files.keep_fresh().await,
                None => std::future::pending().await,
            }
        };
        let acme = async {
            match &self.acme {
                Some(acme) => acme.run().await,
                None => std::future::pending().await,
            }
        };
        tokio::join!(files, acme);
    }

    /// Waits, for a bounded time, while a certificate for the name is ordered. An app's name
    /// without one is refused rather than shown under another name's certificate.
    pub(crate) async fn ready(&self, name: Option<&str>) -> Result<(), NoCertificate> {
        let (Some(name), Some(acme)) = (name, &self.acme) else { return Ok(()) };
        if self.of_files(name).is_some() || acme.is_ready(name).await {
            return Ok(());
        }
        Err(NoCertificate { name: name.to_owned() })
    }

    /// Answers a CA that asks for a name, on a connection that offers `acme-tls/1` alone.
    pub(crate) async fn answer(
        &self,
        io: impl AsyncRead + AsyncWrite + Unpin,
        name: &str,
    ) -> Result<(), NoAnswer> {
        match &self.acme {
            Some(acme) => acme.answer(io, name).await,
            None => Err(NoAnswer::NotAsked { name: name.to_owned() }),
        }
    }

    fn of_files(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.files.as_ref()?.live().naming(name)
    }

    fn choose(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let named = |name: &str| {
            let ordered = || self.acme.as_ref()?.certificate(name);
            self.of_files(name).or_else(ordered)
        };
        let own = || self.acme.as_ref()?.own_certificate();
        let first = || self.files.as_ref()?.live().first();
        let made = || self.self_signed.as_ref()?.first();
        name.and_then(named).or_else(first).or_else(own).or_else(made)
    }
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Certificates")
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name())
    }
}
