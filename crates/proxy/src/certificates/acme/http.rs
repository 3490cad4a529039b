//! HTTPS to the CA: the system's roots (`SSL_CERT_FILE` is honoured), bounded in time and size.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::ClientConfig;
use tokio::time::timeout;

/// How long one request may take, with its answer.
const DEADLINE: Duration = Duration::from_secs(30);
/// Largest answer, bytes. A chain has some 5 KiB.
const LARGEST: usize = 256 * 1024;

/// The client that the ACME library sends by.
#[derive(Clone)]
pub(crate) struct CaClient(Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>);

impl CaClient {
    /// With these TLS settings, which must not name protocols: the connector does.
    pub(crate) fn new(tls: &Arc<ClientConfig>) -> Self {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(ClientConfig::clone(tls))
            .https_only()
            .enable_http1()
            .build();
        Self(Client::builder(TokioExecutor::new()).build(connector))
    }
}

impl HttpClient for CaClient {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.0.clone();
        Box::pin(async move {
            let asking = async {
                let (parts, body) = client.request(request).await?.into_parts();
                let body = Limited::new(body, LARGEST).collect().await?.to_bytes();
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>((parts, body))
            };
            let asked =
                timeout(DEADLINE, asking).await.map_err(|late| Error::Other(late.into()))?;
            let (parts, body) = asked.map_err(Error::Other)?;
            Ok(BytesResponse::from(Response::from_parts(parts, Full::new(body))))
        })
    }
}
