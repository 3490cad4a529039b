//! An upstream for the bulk part of the benchmark: over TLS, a GET is answered
//! with as many bytes as the path says (`/bucket/1000000`), a PUT is read and forgotten.
//!
//! Arguments: address, certificate file, key file.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a measuring tool: what does not work must stop it"
)]

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

const PART: usize = 128 * 1024;

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().collect();
    let chain = CertificateDer::pem_file_iter(&words[2]).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(&words[3]).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(&words[1]).await.unwrap();
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let acceptor = acceptor.clone();
        tokio::spawn(serve(tcp, acceptor));
    }
}

async fn serve(tcp: TcpStream, acceptor: TlsAcceptor) {
    let Ok(tls) = acceptor.accept(tcp).await else { return };
    let connection = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(tls), service_fn(answer));
    // A client that goes away is its own affair.
    let _ = connection.await;
}

async fn answer(
    mut request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    if request.method() != Method::GET {
        while let Some(Ok(_)) = request.body_mut().frame().await {}
        return Ok(sized(0));
    }
    let size = request.uri().path().rsplit('/').next().and_then(|text| text.parse().ok());
    Ok(sized(size.unwrap_or(0)))
}

fn sized(size: usize) -> Response<BoxBody<Bytes, Infallible>> {
    let part = Bytes::from(vec![7; PART]);
    let parts = (0..size.div_ceil(PART)).map(move |number| {
        let left = size - number * PART;
        Ok::<_, Infallible>(Frame::data(part.slice(..left.min(PART))))
    });
    let body = StreamBody::new(futures_util::stream::iter(parts));
    let mut reply = Response::new(BodyExt::boxed(body));
    reply.headers_mut().insert("content-length", size.into());
    reply
}
