//! Streams carry bytes in order, end in halves, are reset and refused.

#![allow(clippy::unwrap_used, reason = "in a test a failure is a panic, in its helpers too")]

mod common;

use std::io::ErrorKind;

use common::{echo, exchange, pattern, tunnel};
use http::{HeaderMap, HeaderValue, StatusCode};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tunnel::{Settings, Windows, refusal};

#[tokio::test]
async fn many_streams_carry_their_own_bytes() {
    let tunnel = tunnel(&Settings::default(), echo).await;
    let mut clients = JoinSet::new();
    for number in 0..300_usize {
        let stream = tunnel.open();
        clients.spawn(async move {
            let bytes = format!("stream {number} ").repeat(number);
            let back = exchange(stream, bytes.as_bytes()).await.unwrap();
            assert_eq!(back, bytes.as_bytes());
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    assert_eq!(tunnel.near.streams(), 0);
}

#[tokio::test]
async fn target_and_headers_arrive() {
    let (seen, mut targets) = mpsc::channel(1);
    let tunnel = tunnel(&Settings::default(), move |incoming| {
        let seen = seen.clone();
        async move {
            let session = incoming.headers().get("session").cloned();
            seen.send((incoming.target().to_owned(), session)).await.unwrap();
            echo(incoming).await;
        }
    })
    .await;
    let mut headers = HeaderMap::new();
    headers.insert("session", HeaderValue::from_static("s1"));
    let stream = tunnel.near.open("dynamo.example:443", headers).unwrap();
    let (target, session) = targets.recv().await.unwrap();
    assert_eq!(target, "dynamo.example:443");
    assert_eq!(session.unwrap(), "s1");
    exchange(stream, b"x").await.unwrap();
}

#[tokio::test]
async fn bytes_go_out_before_the_far_end_has_accepted() {
    let (go, mut wait) = mpsc::channel::<tunnel::Incoming>(1);
    let tunnel = tunnel(&Settings::default(), move |incoming| {
        let go = go.clone();
        async move { go.send(incoming).await.unwrap() }
    })
    .await;
    let mut stream = tunnel.open();
    stream.write_all(b"early").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut accepted = wait.recv().await.unwrap().accept().unwrap();
    let mut text = String::new();
    accepted.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "early");
}

#[tokio::test]
async fn each_direction_ends_on_its_own() {
    let tunnel = tunnel(&Settings::default(), |incoming| async move {
        let mut stream = incoming.accept().unwrap();
        let mut asked = String::new();
        stream.read_to_string(&mut asked).await.unwrap();
        stream.write_all(format!("answer to {asked}").as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    })
    .await;
    let mut stream = tunnel.open();
    stream.write_all(b"question").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "answer to question");
    let error = stream.write_all(b"more").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn an_answer_arrives_whole_though_its_writer_left_at_once() {
    let size = 700_000;
    let tunnel = tunnel(&Settings::default(), move |incoming| async move {
        let mut stream = incoming.accept().unwrap();
        stream.write_all(&pattern(size)).await.unwrap();
        stream.shutdown().await.unwrap();
    })
    .await;
    let mut stream = tunnel.open();
    stream.accepted_by_peer().await.unwrap();
    let error = loop {
        if let Err(error) = stream.write_all(b"unread").await {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, pattern(size));
}

#[tokio::test]
async fn a_dropped_stream_is_reset_for_the_peer() {
    let (tell, mut told) = mpsc::channel(1);
    let tunnel = tunnel(&Settings::default(), move |incoming| {
        let tell = tell.clone();
        async move {
            let mut stream = incoming.accept().unwrap();
            let outcome = stream.read_to_end(&mut Vec::new()).await;
            tell.send(outcome.unwrap_err().kind()).await.unwrap();
        }
    })
    .await;
    let mut stream = tunnel.open();
    stream.write_all(b"half a sentence").await.unwrap();
    stream.accepted_by_peer().await.unwrap();
    drop(stream);
    assert_eq!(told.recv().await.unwrap(), ErrorKind::ConnectionReset);
    exchange_works(&tunnel).await;
}

#[tokio::test]
async fn a_refusal_reaches_reader_and_writer_with_its_words() {
    let tunnel = tunnel(&Settings::default(), |incoming| async move {
        incoming.refuse(StatusCode::NOT_FOUND, "no app `x`\r\nhere");
    })
    .await;
    let mut stream = tunnel.open();
    let error = stream.read_u8().await.unwrap_err();
    let (status, reason) = refusal(&error).unwrap();
    assert_eq!((status, reason), (StatusCode::NOT_FOUND, "no app `x`here"));
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);

    let mut stream = tunnel.open();
    let error = loop {
        if let Err(error) = stream.write_all(&pattern(100_000)).await {
            break error;
        }
    };
    assert!(refusal(&error).is_some(), "{error}");
}

#[tokio::test]
async fn thousands_of_cancelled_streams_do_not_end_the_tunnel() {
    let tunnel = tunnel(&Settings::default(), |incoming| async move {
        let Ok(mut stream) = incoming.accept() else { return };
        let _ = stream.write_all(&pattern(20_000)).await;
        let _ = stream.shutdown().await;
    })
    .await;
    for round in 0..3000 {
        let mut stream = tunnel.open();
        if round % 2 == 0 {
            stream.read_u8().await.unwrap();
        }
    }
    let mut stream = tunnel.open();
    let mut whole = Vec::new();
    stream.read_to_end(&mut whole).await.unwrap();
    assert_eq!(whole, pattern(20_000));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn bytes_arrive_in_order_whatever_the_chunks_and_windows(
        chunks in proptest::collection::vec(1_usize..40_000, 1..20),
        window in 1_u32..70_000,
        send_buffer in 1_usize..70_000,
    ) {
        let settings = Settings {
            windows: Windows { stream: window, connection: 70_000, send_buffer },
            ..Settings::default()
        };
        let whole = pattern(chunks.iter().sum());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let back = runtime.block_on(async {
            let tunnel = tunnel(&settings, echo).await;
            let (mut reader, mut writer) = tokio::io::split(tunnel.open());
            let mut rest = whole.clone();
            let write = async {
                for chunk in &chunks {
                    writer.write_all(&rest.split_to(*chunk)).await.unwrap();
                }
                writer.shutdown().await.unwrap();
            };
            let mut back = Vec::new();
            let read = async { reader.read_to_end(&mut back).await.unwrap() };
            tokio::join!(write, read);
            back
        });
        prop_assert!(back == whole);
    }
}

async fn exchange_works(tunnel: &common::Tunnel) {
    let mut stream = tunnel.open();
    stream.accepted_by_peer().await.unwrap();
}
