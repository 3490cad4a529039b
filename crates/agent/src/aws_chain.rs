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
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
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

    fn read(path: PathBuf) -> Result<Self, BundleError> {
        let pem = match fs::read_to_string(&path) {
            Ok(pem) => pem,
            Err(source) => return Err(BundleError::Read { path, source }),
        };
        let mut certs = match CertPem::parse_bundle(&pem) {
            Ok(certs) => certs,
            Err(source) => return Err(BundleError::Parse { path, source }),
        };
        // What the TLS library refuses as a root would end the SDK's client in a panic.
        certs.retain(|cert| RootCertStore::empty().add(cert.leaf().clone()).is_ok());
        Ok(Self { certs })
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
pub(crate) async fn load(bundle: &Bundle, clock: Clock) -> SdkConfig {
    let timeouts = TimeoutConfig::builder().operation_timeout(OPERATION_TIMEOUT).build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(RegionProviderChain::first_try(region().await))
        .timeout_config(timeouts);
    if let Some(client) = http_client(bundle, proxies(), clock) {
        loader = loader.http_client(client);
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

/// `HTTPS_PROXY` and `NO_PROXY`. Plain HTTP, which is how metadata services are asked, never goes by a proxy.
#[expect(clippy::disallowed_methods, reason = "this is the AWS credential chain")]
fn proxies() -> Option<ProxyConfig> {
    let value = |upper: &str| {
        let found = std::env::var(upper.to_ascii_lowercase()).or_else(|_| std::env::var(upper));
        found.ok().filter(|value| !value.is_empty())
    };
    match ProxyConfig::https(value("HTTPS_PROXY")?) {
        Ok(proxies) => Some(proxies.no_proxy(value("NO_PROXY").unwrap_or_default())),
        Err(error) => {
            warn!(%error, "HTTPS_PROXY cannot be used with STS");
            None
        }
    }
}

/// The client of the SDK, where its own would not do: it knows nothing of `AWS_CA_BUNDLE` and `HTTPS_PROXY`, and takes
/// roots of the system for granted.
fn http_client(
    bundle: &Bundle,
    proxies: Option<ProxyConfig>,
    clock: Clock,
) -> Option<SharedHttpClient> {
    let system = WebTrust::System { extra: Vec::new() };
    let has_system = pki::web::web_client(&system, Vec::new(), clock).is_ok();
    if has_system && bundle.certs.is_empty() && proxies.is_none() {
        return None;
    }
    let builder = aws_smithy_http_client::Builder::new();
    if bundle.certs.is_empty() && !has_system {
        return Some(builder.build_http());
    }
    let mut store = TrustStore::empty().with_native_roots(has_system);
    for cert in &bundle.certs {
        store.add_pem_certificate(cert.as_str().as_bytes());
    }
    match TlsContext::builder().with_trust_store(store).build() {
        Ok(context) => Some(builder.build_with_connector_fn(move |settings, components| {
            let mut connector = Connector::builder();
            connector.set_connector_settings(settings.cloned());
            connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
            connector.set_proxy_config(proxies.clone());
            let tls = tls::Provider::Rustls(CryptoMode::AwsLc);
            connector.tls_provider(tls).tls_context(context.clone()).build()
        })),
        Err(error) => {
            warn!(%error, "AWS_CA_BUNDLE cannot be used with STS");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use pki::web::self_signed;

    use super::*;
    use crate::tests::tls_aws::Proxy;

    #[test]
    fn a_bundle_of_several_certificates_is_trusted_and_another_file_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bundle.pem");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_334_400);
        let cert = |host: &str| self_signed(&[host.to_owned()], now).unwrap();
        let (one, two) = (cert("a.example.com"), cert("b.example.com"));
        fs::write(&path, format!("{}\nwords\n{}", one.cert().as_str(), two.cert().as_str()))
            .unwrap();
        let bundle = Bundle::read(path.clone()).unwrap();
        assert_eq!(bundle.certs.len(), 2);
        assert!(http_client(&bundle, None, Clock::new(move || now)).is_some());
        assert!(bundle.tls(Clock::new(move || now)).is_ok());
        fs::write(&path, "words").unwrap();
        let error = Bundle::read(path).unwrap_err().to_string();
        assert!(error.contains("bundle.pem") && error.contains("AWS_CA_BUNDLE"), "{error}");
    }

    #[tokio::test]
    async fn sts_is_reached_by_the_proxy_of_the_environment() {
        let proxy = Proxy::start("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
        let clock = Clock::new(crate::tests::now);
        for (no_proxy, asked) in [("", true), ("amazonaws.com", false)] {
            proxy.asked.lock().unwrap().clear();
            let url = format!("http://user:secret@{}", proxy.address);
            let proxies = ProxyConfig::https(url).unwrap().no_proxy(no_proxy);
            let client = http_client(&Bundle::default(), Some(proxies), clock.clone());
            let config = aws_sdk_sts::Config::builder()
                .behavior_version(aws_sdk_sts::config::BehaviorVersion::latest())
                .region(Region::new("us-east-1"))
                .credentials_provider(aws_credential_types::Credentials::new(
                    "AKID", "secret", None, None, "test",
                ))
                .retry_config(aws_sdk_sts::config::retry::RetryConfig::disabled())
                .endpoint_url("https://sts.invalid.amazonaws.com")
                .http_client(client.unwrap());
            let sts = aws_sdk_sts::Client::from_conf(config.build());
            assert!(sts.get_caller_identity().send().await.is_err());
            let heads = proxy.asked.lock().unwrap().clone();
            let line = "CONNECT sts.invalid.amazonaws.com:443 HTTP/1.1\r\n";
            assert_eq!(heads.iter().any(|head| head.starts_with(line)), asked, "{heads:?}");
        }
    }
}
