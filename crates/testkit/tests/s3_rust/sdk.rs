//! The Rust SDK with what `tsh proxy aws` says, and what it makes of its bodies.
//!
//! The SDK signs its chunks only where it is told that the endpoint is plain HTTP, which the local proxies are not:
//! there it signs for `http:` and is sent to `https:` after, which is the same to every header that it signs.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{
    BehaviorVersion, ConfigBag, Credentials, Intercept, Region, RequestChecksumCalculation,
    RuntimeComponents, SharedHttpClient,
};
use aws_sdk_s3::error::BoxError;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use testkit::tsh::LocalProxy;

/// The SDK with what the printed instructions say.
pub(crate) fn client(
    local: &LocalProxy,
    signs: Signs,
    checksum: RequestChecksumCalculation,
    sent: Sent,
) -> Client {
    let key = |name: &str| local.value(name).to_owned();
    let keys = (key("AWS_ACCESS_KEY_ID"), key("AWS_SECRET_ACCESS_KEY"));
    let mut builder = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(keys.0, keys.1, None, None, "tsh"))
        .request_checksum_calculation(checksum)
        .interceptor(sent)
        .http_client(http(local));
    let scheme = match signs {
        Signs::ForHttps => "https",
        Signs::ForHttp => "http",
    };
    if local.value("HTTPS_PROXY").is_empty() {
        // The buckets' names under localhost resolve on some machines only.
        let endpoint = format!("{scheme}://localhost:{}", local.port);
        builder = builder.endpoint_url(endpoint).force_path_style(true);
    } else if scheme == "http" {
        builder = builder.endpoint_url("http://s3.us-east-1.amazonaws.com");
    }
    Client::from_conf(builder.build())
}

fn http(local: &LocalProxy) -> SharedHttpClient {
    let authority = std::fs::read(local.value("AWS_CA_BUNDLE")).unwrap();
    let trust = TrustStore::empty().with_pem_certificate(authority);
    let tls = TlsContext::builder().with_trust_store(trust).build().unwrap();
    let proxy = match local.value("HTTPS_PROXY") {
        "" => ProxyConfig::disabled(),
        address => ProxyConfig::https(address).unwrap(),
    };
    Builder::new().build_with_connector_fn(move |settings, _| {
        let mut connector = Connector::builder().proxy_config(proxy.clone());
        connector.set_connector_settings(settings.cloned());
        let connector = connector.tls_provider(Provider::Rustls(CryptoMode::AwsLc));
        connector.tls_context(tls.clone()).build()
    })
}

/// What the SDK takes the endpoint for when it signs.
#[derive(Clone, Copy)]
pub(crate) enum Signs {
    /// As it is.
    ForHttps,
    /// So it signs its chunks.
    ForHttp,
}

/// How the SDK sent its bodies: what it signed for the body, and where the checksum is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sent(Arc<Mutex<BTreeSet<String>>>);

impl Sent {
    /// What was sent since the last time.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap()).into_iter().collect()
    }
}

impl Intercept for Sent {
    fn name(&self) -> &'static str {
        "sent"
    }

    /// After signing.
    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        if request.method() == "PUT" {
            let mut kind = request.headers().get("x-amz-content-sha256").unwrap_or("presigned");
            if kind.len() == 64 {
                kind = "hash";
            }
            let checksum = request.headers().iter().map(|(name, _)| name);
            let mut checksum = checksum.filter(|name| name.starts_with("x-amz-checksum-"));
            let trailer = request.headers().get("x-amz-trailer");
            let checksum = trailer.or_else(|| checksum.next()).unwrap_or_default();
            self.0.lock().unwrap().insert(format!("{kind} {checksum}"));
        }
        if let Some(rest) = request.uri().strip_prefix("http:") {
            let uri = format!("https:{rest}");
            request.set_uri(uri)?;
        }
        Ok(())
    }
}
