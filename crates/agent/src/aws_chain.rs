//! The agent's own AWS settings, found the way every AWS SDK finds them: credentials, region and endpoints from the
//! environment, the shared files, web identity, container or instance.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_config::default_provider::region::DefaultRegionChain;
use aws_config::meta::region::RegionProviderChain;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore};
use pki::{CertError, CertPem, Clock, TlsError, WebTrust};
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tokio::time::timeout;
use tracing::{debug, warn};

/// Asking the instance for its region must not hold up a start elsewhere.
const REGION_DEADLINE: Duration = Duration::from_secs(2);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(30);

/// Why `AWS_CA_BUNDLE` cannot be used.
#[derive(Debug, Error)]
pub enum BundleError {
    /// The file cannot be read.
    #[error("could not read {} (AWS_CA_BUNDLE)", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It holds something else.
    #[error("{} (AWS_CA_BUNDLE) holds no certificates", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        source: CertError,
    },
}

/// The certificates of `AWS_CA_BUNDLE`, trusted beside the system's.
#[derive(Debug, Default)]
pub(crate) struct Bundle {
    pem: Option<String>,
    certs: Vec<CertPem>,
}

impl Bundle {
    /// Reads the file that `AWS_CA_BUNDLE` names, if it names one.
    pub(crate) fn from_environment() -> Result<Self, BundleError> {
        match std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()) {
            None => Ok(Self::default()),
            Some(path) => Self::read(path.into()),
        }
    }

    /// TLS of the SDK's own client.
    fn context(&self) -> Option<TlsContext> {
        let store =
            TrustStore::empty().with_native_roots(true).with_pem_certificate(self.pem.as_deref()?);
        let context = TlsContext::builder().with_trust_store(store).build();
        context.inspect_err(|error| warn!(%error, "AWS_CA_BUNDLE cannot be used with STS")).ok()
    }

    fn read(path: PathBuf) -> Result<Self, BundleError> {
        let pem = match fs::read_to_string(&path) {
            Ok(pem) => pem,
            Err(source) => return Err(BundleError::Read { path, source }),
        };
        match CertPem::parse_bundle(&pem) {
            Ok(certs) => Ok(Self { pem: Some(pem), certs }),
            Err(source) => Err(BundleError::Parse { path, source }),
        }
    }

    /// TLS towards AWS.
    pub(crate) fn tls(&self, clock: Clock) -> Result<Arc<ClientConfig>, TlsError> {
        let trust = WebTrust::System { extra: self.certs.clone() };
        match pki::web::web_client(&trust, Vec::new(), clock) {
            Err(TlsError::NoRoots) => {
                // With plain http endpoints of the operator's own this is no fault.
                warn!(
                    "no trusted certificate authorities found; TLS with AWS will fail (see SSL_CERT_FILE)"
                );
                trust_nobody()
            }
            other => other,
        }
    }
}

fn trust_nobody() -> Result<Arc<ClientConfig>, TlsError> {
    let config = ClientConfig::builder_with_provider(pki::provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Settings)?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Reads the usual chain. Credentials are fetched when first needed.
pub(crate) async fn load(bundle: &Bundle) -> SdkConfig {
    let timeouts = TimeoutConfig::builder().operation_timeout(OPERATION_TIMEOUT).build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(RegionProviderChain::first_try(region().await))
        .timeout_config(timeouts);
    // The SDK's own client knows nothing of AWS_CA_BUNDLE.
    if let Some(context) = bundle.context() {
        let provider = tls::Provider::Rustls(CryptoMode::AwsLc);
        let builder = aws_smithy_http_client::Builder::new().tls_provider(provider);
        loader = loader.http_client(builder.tls_context(context).build_https());
    }
    loader.load().await
}

async fn region() -> Option<Region> {
    let chain = DefaultRegionChain::builder().build();
    match timeout(REGION_DEADLINE, chain.region()).await {
        Ok(region) => region,
        Err(_) => {
            debug!("no region in the settings, and no instance that knows one");
            None
        }
    }
}
