//! A client as AWS tools are: by CONNECT or straight, TLS that trusts the local authority,
//! requests signed by the SDK's own signer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::client::conn::http2::SendRequest as Http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use pki::{Clock, WebTrust};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Bench;
use crate::edge;

pub(super) type AnyBody = BoxBody<Bytes, std::io::Error>;

pub(super) fn whole(text: &str) -> AnyBody {
    Full::new(Bytes::copy_from_slice(text.as_bytes())).map_err(|never| match never {}).boxed()
}

/// What is to be signed and sent.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: &'static str,
    pub(super) host: String,
    pub(super) path: String,
    pub(super) service: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
    pub(super) signing: Signing,
    pub(super) time: SystemTime,
}

/// How the body is covered.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Signing {
    /// Its hash is in the signature only (DynamoDB).
    Hash,
    /// `x-amz-content-sha256` is a signed header of this value (S3).
    Declared(String),
}

impl Call {
    pub(super) fn list_tables(host: &str) -> Self {
        Self {
            method: "POST",
            host: host.to_owned(),
            path: "/".to_owned(),
            service: "dynamodb",
            headers: vec![
                ("x-amz-target", "DynamoDB_20120810.ListTables".to_owned()),
                ("content-type", "application/x-amz-json-1.0".to_owned()),
            ],
            body: "{\"Limit\":10}".to_owned(),
            signing: Signing::Hash,
            time: edge::now(),
        }
    }

    pub(super) fn put_object(host: &str, declared: &str) -> Self {
        Self {
            method: "PUT",
            host: host.to_owned(),
            path: "/bucket/key".to_owned(),
            service: "s3",
            headers: Vec::new(),
            body: String::new(),
            signing: Signing::Declared(declared.to_owned()),
            time: edge::now(),
        }
    }

    /// The signed head; the body is added by the caller.
    pub(super) fn signed(&self, access_key: &str, secret: &str) -> http::request::Builder {
        let identity = Credentials::new(access_key, secret, None, None, "test").into();
        let mut settings = SigningSettings::default();
        let mut signed_headers = self.headers.clone();
        let body = match &self.signing {
            Signing::Hash => SignableBody::Bytes(self.body.as_bytes()),
            Signing::Declared(hash) => {
                settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
                signed_headers.push(("x-amz-content-sha256", hash.clone()));
                SignableBody::Precomputed(hash.clone())
            }
        };
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name(self.service)
            .time(self.time)
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let uri = format!("https://{}{}", self.host, self.path);
        let headers = signed_headers.iter().map(|(name, value)| (*name, value.as_str()));
        let signable = SignableRequest::new(self.method, uri.as_str(), headers, body).unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        let mut request =
            Request::builder().method(self.method).uri(&self.path).header("host", &self.host);
        for (name, value) in &signed_headers {
            request = request.header(*name, value);
        }
        for (name, value) in instructions.headers() {
            request = request.header(name, value);
        }
        request
    }

    pub(super) fn request(&self, bench: &Bench) -> Request<AnyBody> {
        let (id, secret) = (bench.keys.access_key_id(), bench.keys.secret_access_key());
        self.signed(id, secret).body(whole(&self.body)).unwrap()
    }
}

/// Says CONNECT and gives the answer's first line with the open stream.
pub(super) async fn connect(proxy: SocketAddr, head: &str) -> (String, TcpStream) {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => answer.push(byte),
            Err(_) => break,
        }
    }
    let text = String::from_utf8(answer).unwrap();
    (text.lines().next().unwrap_or_default().to_owned(), stream)
}

pub(super) async fn by_proxy(bench: &Bench, host: &str) -> SendRequest<AnyBody> {
    http_1(tls(bench, host).await).await
}

/// TLS with a host by CONNECT.
pub(super) async fn tls(bench: &Bench, host: &str) -> TlsStream<TcpStream> {
    let head = format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n");
    let (answer, stream) = connect(bench.address, &head).await;
    assert_eq!(answer, "HTTP/1.1 200 Connection established");
    tls_over(bench, host, stream).await
}

/// The protocol that is chosen of those offered.
pub(super) async fn chosen(
    bench: &Bench,
    name: &str,
    stream: TcpStream,
    offers: Vec<Vec<u8>>,
) -> String {
    let trust = WebTrust::System { extra: vec![bench.ca.cert().clone()] };
    let clock = Clock::from(edge::now as fn() -> SystemTime);
    let tls = pki::web::web_client(&trust, offers, clock).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = TlsConnector::from(Arc::clone(&tls)).connect(name, stream).await.unwrap();
    let chosen = stream.get_ref().1.alpn_protocol().unwrap_or_default();
    String::from_utf8(chosen.to_vec()).unwrap()
}

/// HTTP/2 with what answers under a name.
pub(super) async fn http_2(bench: &Bench, name: &str, stream: TcpStream) -> Http2<AnyBody> {
    let trust = WebTrust::System { extra: vec![bench.ca.cert().clone()] };
    let clock = Clock::from(edge::now as fn() -> SystemTime);
    let tls = pki::web::web_client(&trust, vec![b"h2".to_vec()], clock).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = TlsConnector::from(Arc::clone(&tls)).connect(name, stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio_util::task::TaskTracker::new().spawn(connection);
    sender
}

pub(super) async fn over_tls(bench: &Bench, name: &str, stream: TcpStream) -> SendRequest<AnyBody> {
    http_1(tls_over(bench, name, stream).await).await
}

async fn tls_over(bench: &Bench, name: &str, stream: TcpStream) -> TlsStream<TcpStream> {
    let trust = WebTrust::System { extra: vec![bench.ca.cert().clone()] };
    let clock = Clock::from(edge::now as fn() -> SystemTime);
    let tls = pki::web::web_client(&trust, vec![b"http/1.1".to_vec()], clock).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::clone(&tls)).connect(name, stream).await.unwrap()
}

async fn http_1(stream: TlsStream<TcpStream>) -> SendRequest<AnyBody> {
    let (sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio_util::task::TaskTracker::new().spawn(connection);
    sender
}

pub(super) async fn text(reply: Response<Incoming>) -> String {
    let bytes = reply.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}
