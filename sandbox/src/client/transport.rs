//! One request over one connection: directly or through an HTTPS proxy, plain or with TLS.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::uri::Authority;
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::environment::Environment;
use crate::answer::Body;

/// A proxy's answer to CONNECT is no longer than this.
const PROXY_HEAD: usize = 16 * 1024;

/// A connection that carries one request; it ends when it is dropped.
#[derive(Debug)]
pub struct Exchange {
    /// The answer.
    pub response: Response<Incoming>,
    /// Drives the connection as long as the body is read.
    pub driver: JoinSet<()>,
}

/// Sends a request to where its URI points.
pub async fn send(env: &Environment, request: Request<Body>) -> anyhow::Result<Exchange> {
    let uri = request.uri().clone();
    let host = uri.host().context("the endpoint has no host")?.trim_matches(['[', ']']).to_owned();
    let secure = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let proxy = env.https_proxy.as_ref().filter(|_| secure && !env.is_direct(&host));
    let stream = match proxy {
        Some(proxy) => through(proxy, &host, port).await?,
        None => TcpStream::connect((host.as_str(), port))
            .await
            .with_context(|| format!("could not reach {host}:{port}"))?,
    };
    let _ = stream.set_nodelay(true);
    let request = in_origin_form(request)?;
    if !secure {
        return talk(stream, request).await;
    }
    let name = ServerName::try_from(host.clone())
        .with_context(|| format!("`{host}` is no server name"))?;
    let tls = TlsConnector::from(Arc::new(tls_config(env)?));
    let stream =
        tls.connect(name, stream).await.with_context(|| format!("TLS with {host} failed"))?;
    talk(stream, request).await
}

/// HTTP/1.1 names only the path on its first line; the host stands in its header.
fn in_origin_form(mut request: Request<Body>) -> anyhow::Result<Request<Body>> {
    let target =
        request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
    *request.uri_mut() = target.parse::<Uri>().context("the request has no path")?;
    Ok(request)
}

async fn talk<S>(stream: S, request: Request<Body>) -> anyhow::Result<Exchange>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut driver = JoinSet::new();
    driver.spawn(async move {
        // What goes wrong here shows in the answer or its body.
        let _ = connection.await;
    });
    let response = sender.send_request(request).await.context("the connection broke off")?;
    Ok(Exchange { response, driver })
}

async fn through(proxy: &str, host: &str, port: u16) -> anyhow::Result<TcpStream> {
    let uri: Uri =
        if proxy.contains("://") { proxy.parse() } else { format!("http://{proxy}").parse() }
            .with_context(|| format!("HTTPS_PROXY `{proxy}` is no address"))?;
    if uri.scheme_str() != Some("http") {
        bail!("HTTPS_PROXY `{proxy}`: only http proxies are known here");
    }
    let authority = uri.authority().context("HTTPS_PROXY has no host")?;
    let place = (authority.host().trim_matches(['[', ']']), authority.port_u16().unwrap_or(80));
    let mut stream = TcpStream::connect(place)
        .await
        .with_context(|| format!("could not reach the proxy {authority}"))?;
    let login = login_of(authority);
    let ask = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{login}\r\n");
    stream.write_all(ask.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > PROXY_HEAD {
            bail!("the proxy's answer is too long");
        }
        head.push(stream.read_u8().await.context("the proxy closed the connection")?);
    }
    let text = String::from_utf8_lossy(&head);
    let status = text.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        bail!("the proxy said: {status}");
    }
    Ok(stream)
}

fn login_of(authority: &Authority) -> String {
    match authority.as_str().rsplit_once('@') {
        Some((login, _)) => {
            let login = crate::sigv4::canonical::decode(login);
            format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(login))
        }
        None => String::new(),
    }
}

fn tls_config(env: &Environment) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    match &env.ca_bundle {
        Some(path) => {
            let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect)
                .with_context(|| format!("could not read the CA bundle {path}"))?;
            roots.add_parsable_certificates(certificates);
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
