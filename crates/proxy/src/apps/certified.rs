//! Programs that show an app certificate of their own (`curl --cert`): the handshake has proved that they hold its key.
//!
//! The proxy has no key to that certificate, so the Auth Service certifies one of the proxy's for the very same app
//! session, for web apps only. From there on it is the road of browsers.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use access::AppTraffic;
use api::error::Chain;
use api::types::app_delegates::AppDelegateRequest;
use pki::{CertPem, Credential, KeyPair, LiveCredential};
use rustls_pki_types::CertificateDer;
use tracing::{debug, warn};

use super::Apps;
use super::opened::OpenedApp;

impl Apps {
    /// Whether a certificate is asked for on connections to this host.
    pub(crate) fn asks_for_certificate(&self, host: &str) -> bool {
        self.at(host).is_some_and(|app| app.traffic() == AppTraffic::Web)
    }

    /// The session of the app certificate that a connection has shown, if it lives.
    pub(crate) async fn certified(&self, shown: &[CertificateDer<'_>]) -> Option<Arc<OpenedApp>> {
        let now = self.clock.now();
        let identity = match self.trust.identity_of(shown, now) {
            Ok(identity) => identity,
            Err(error) => {
                debug!(error = %Chain(&error), "a certificate was shown that is not one of a user");
                return None;
            }
        };
        let app = identity.user()?.app.as_ref().filter(|app| app.aws_role.is_none())?;
        let snapshot = self.snapshots.newest();
        let session = snapshot.session(&app.session, now).ok()?;
        if session.user != identity.user()?.user || session.app != app.name {
            return None;
        }
        let kept = self.delegated.get(&app.session).await;
        if let Some(kept) = kept.filter(|kept| kept.expires > now) {
            return Some(kept);
        }
        let certificate = CertPem::from_der(shown.first()?.as_ref()).ok()?;
        let opened = match self.delegate(&certificate).await {
            Ok(opened) => Arc::new(opened?),
            Err(error) => {
                warn!(error = %Chain(&error), "an app certificate could not be taken up");
                return None;
            }
        };
        self.delegated.insert(app.session.clone(), Arc::clone(&opened)).await;
        Some(opened)
    }

    async fn delegate(&self, shown: &CertPem) -> Result<Option<OpenedApp>, api::ApiError> {
        let Ok(key) = KeyPair::generate() else { return Ok(None) };
        let request = AppDelegateRequest {
            certificate: shown.as_str().to_owned(),
            public_key: key.public_pem(),
        };
        let reply = self.auth.delegate_app_session(&request).await?;
        let opened = || {
            let cert = CertPem::parse(&reply.certificate).ok()?;
            let credential = Credential::new(cert, key).ok()?;
            let claims = pki::unverified_claims(credential.cert()).ok()?;
            let app = claims.app?;
            Some(OpenedApp {
                web_session: None,
                app: app.name,
                host: app.public_addr,
                session: app.session,
                credential: LiveCredential::new(credential),
                expires: claims.expires,
                seen: AtomicI64::new(0),
            })
        };
        Ok(opened())
    }
}
