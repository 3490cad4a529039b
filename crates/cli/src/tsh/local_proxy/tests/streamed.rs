//! Bodies whose parts are signed, and HTTP/2.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::net::TcpStream;

use super::client::{self, AnyBody, Call, by_proxy, connect};
use super::{Bench, DYNAMODB};

const S3: &str = "s3.us-east-1.amazonaws.com";
const CRC32C: &str = "x-amz-checksum-crc32c";

/// A body of signed chunks as the SDK makes it, cut into many pieces.
struct Chunks {
    call: Call,
    data: Vec<u8>,
    trailer: Option<&'static str>,
}

impl Chunks {
    fn new(length: usize, trailer: Option<&'static str>) -> Self {
        let kind = match trailer {
            None => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            Some(_) => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        };
        let mut call = Call::put_object(S3, kind);
        call.headers.push(("x-amz-decoded-content-length", length.to_string()));
        if trailer.is_some() {
            call.headers.push(("x-amz-trailer", CRC32C.to_owned()));
        }
        let data = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
        Self { call, data, trailer }
    }

    /// The head, and the body in chunks of 8 KiB.
    fn signed(&self, bench: &Bench) -> (http::request::Builder, Vec<u8>) {
        let (id, secret) = (bench.keys.access_key_id(), bench.keys.secret_access_key());
        let head = self.call.signed(id, secret);
        let authorization = head.headers_ref().unwrap()["authorization"].to_str().unwrap();
        let mut last = authorization.rsplit_once("Signature=").unwrap().1.to_owned();
        let identity = Credentials::new(id, secret, None, None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name("s3")
            .time(self.call.time)
            .settings(())
            .build()
            .unwrap();
        let mut out = Vec::new();
        for chunk in self.data.chunks(8192).chain([&[][..]]) {
            let bytes = Bytes::copy_from_slice(chunk);
            last = v4::sign_chunk(&bytes, &last, &params).unwrap().into_parts().1;
            out.extend(format!("{:x};chunk-signature={last}\r\n", chunk.len()).as_bytes());
            if !chunk.is_empty() {
                out.extend([chunk, b"\r\n"].concat());
            }
        }
        if let Some(value) = self.trailer {
            let mut headers = aws_smithy_runtime_api::http::Headers::new();
            headers.insert(CRC32C, value.to_owned());
            last = v4::sign_trailer(&headers, &last, &params).unwrap().into_parts().1;
            out.extend(
                format!("{CRC32C}:{value}\r\nx-amz-trailer-signature:{last}\r\n").as_bytes(),
            );
        }
        out.extend(b"\r\n");
        (head, out)
    }
}

fn in_pieces(body: &[u8]) -> AnyBody {
    let pieces: Vec<Bytes> = body.chunks(1000).map(Bytes::copy_from_slice).collect();
    let frames = futures_util::stream::iter(pieces.into_iter().map(|piece| Ok(Frame::data(piece))));
    BodyExt::boxed(StreamBody::new(frames))
}

fn request(bench: &Bench, chunks: &Chunks) -> Request<AnyBody> {
    let (head, body) = chunks.signed(bench);
    head.header("content-length", body.len()).body(in_pieces(&body)).unwrap()
}

#[tokio::test]
async fn signed_chunks_reach_the_agent_as_plain_data_with_what_follows_them() {
    let bench = Bench::https().await;
    let mut sender = by_proxy(&bench, S3).await;
    for (length, trailer) in
        [(0, None), (20_000, None), (0, Some("AAAAAA==")), (50_000, Some("sOO8/Q=="))]
    {
        let chunks = Chunks::new(length, trailer);
        let reply = sender.send_request(request(&bench, &chunks)).await.unwrap();
        assert_eq!(reply.status(), 200);
        assert_eq!(client::text(reply).await, format!("{{\"length\":{length}}}"));
        let seen = bench.agent.seen().pop().unwrap();
        assert_eq!(seen.body, chunks.data);
        assert_eq!(seen.headers["x-causeway-body"], "decoded");
        assert_eq!(seen.headers["content-length"], length.to_string());
        let told = seen.trailers.unwrap();
        assert_eq!(told.get(CRC32C).map(|value| value.to_str().unwrap()), trailer);
    }
}

#[tokio::test]
async fn a_changed_chunk_is_refused_and_the_agent_sees_no_end() {
    let bench = Bench::https().await;
    // In the data of a chunk, in a chunk's signature, and in the signature of what follows the body.
    for from_end in [11_000, 250, 10] {
        let chunks = Chunks::new(20_000, Some("sOO8/Q=="));
        let (head, mut body) = chunks.signed(&bench);
        let at = body.len() - from_end;
        body[at] ^= 1;
        let request = head.header("content-length", body.len()).body(in_pieces(&body)).unwrap();
        let mut sender = by_proxy(&bench, S3).await;
        let reply = sender.send_request(request).await.unwrap();
        assert_eq!(reply.status(), 403);
        let text = client::text(reply).await;
        assert!(
            text.contains("SignatureDoesNotMatch") && text.contains("part of the body"),
            "{text}"
        );
    }
    wait_for(|| bench.agent.seen().len() == 3).await;
    assert!(bench.agent.seen().iter().all(|seen| seen.trailers.is_none()));
}

/// The agent's stand-in notes a request when its body has ended, in whatever way.
async fn wait_for(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_body_that_is_cut_short_or_goes_on_is_refused() {
    let bench = Bench::https().await;
    let good = Chunks::new(20_000, None);
    let (_, body) = good.signed(&bench);
    let more = [&body[..], b"0;x\r\n"].concat();
    for body in [&body[..body.len() - 2], &body[..9000], &more] {
        let (head, _) = good.signed(&bench);
        let request = head.header("content-length", body.len()).body(in_pieces(body)).unwrap();
        let mut sender = by_proxy(&bench, S3).await;
        let reply = sender.send_request(request).await.unwrap();
        assert_eq!(reply.status(), 400);
        assert!(client::text(reply).await.contains("InvalidRequest"));
    }
    wait_for(|| bench.agent.seen().len() == 3).await;
    assert!(bench.agent.seen().iter().all(|seen| seen.trailers.is_none()));
}

#[tokio::test]
async fn chunks_of_another_length_than_announced_are_refused() {
    let bench = Bench::https().await;
    for announced in [19_999, 20_001] {
        let mut chunks = Chunks::new(20_000, None);
        chunks.call.headers[0].1 = announced.to_string();
        let mut sender = by_proxy(&bench, S3).await;
        let reply = sender.send_request(request(&bench, &chunks)).await.unwrap();
        assert_eq!(reply.status(), 400);
        assert!(client::text(reply).await.contains("Decoded-Content-Length"));
    }
}

#[tokio::test]
async fn a_client_may_speak_http_2() {
    let bench = Bench::endpoint().await;
    let stream = TcpStream::connect(bench.proxy.address()).await.unwrap();
    let mut sender = client::http_2(&bench, "localhost", stream).await;
    let host = format!("localhost:{}", bench.proxy.address().port());
    let mut request = Call::list_tables(&host).request(&bench);
    request.headers_mut().remove("host");
    *request.uri_mut() = format!("https://{host}/").parse().unwrap();
    let reply = sender.send_request(request).await.unwrap();
    assert_eq!(reply.status(), 200);
    let seen = bench.agent.seen().pop().unwrap();
    assert_eq!((seen.uri, seen.body.len()), (format!("https://{host}/"), 12));
    assert_eq!(seen.headers["x-causeway-http"], "2");
}

#[tokio::test]
async fn http_2_is_offered_where_services_stream_both_ways_and_else_to_those_who_have_nothing_else()
{
    let bench = Bench::https().await;
    for (host, offers, chosen) in [
        (DYNAMODB, &["h2", "http/1.1"][..], "http/1.1"),
        (DYNAMODB, &["h2"], "h2"),
        ("transcribestreaming.us-east-1.amazonaws.com", &["http/1.1", "h2"], "h2"),
        ("bedrock-runtime.us-east-1.amazonaws.com", &["h2", "http/1.1"], "h2"),
        ("111122223333.control-kinesis.us-east-1.amazonaws.com", &["h2", "http/1.1"], "h2"),
    ] {
        let head = format!("CONNECT {host}:443 HTTP/1.1\r\n\r\n");
        let (_, stream) = connect(bench.proxy.address(), &head).await;
        let offers = offers.iter().map(|offer| offer.as_bytes().to_vec()).collect();
        assert_eq!(client::chosen(&bench, host, stream, offers).await, chosen, "{host}");
    }
}
