//! Splicing a connection with a stream.

#![allow(clippy::unwrap_used, reason = "in a test a failure is a panic, in its helpers too")]

mod common;

use std::io::ErrorKind;
use std::time::Duration;

use common::{echo, ignore, pattern, tunnel};
use http::StatusCode;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tunnel::{Settings, Traffic, refusal, splice};

const IDLE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn bytes_and_ends_pass_both_ways() {
    let tunnel = tunnel(&Settings::default(), echo).await;
    let (client, mut connection) = duplex(10_000);
    let mut stream = tunnel.open();
    let mut traffic = Traffic::default();
    let bytes = pattern(900_000);
    let (mut reader, mut writer) = tokio::io::split(client);
    let write = async {
        writer.write_all(&bytes).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let mut back = Vec::new();
    let (outcome, (), _) =
        tokio::join!(splice(&mut connection, &mut stream, IDLE, &mut traffic), write, async {
            reader.read_to_end(&mut back).await.unwrap()
        },);
    outcome.unwrap();
    assert_eq!(back, bytes);
    let all = 900_000;
    assert_eq!(traffic, Traffic { sent: all, received: all });
}

#[tokio::test]
async fn each_small_message_passes_at_once() {
    let tunnel = tunnel(&Settings::default(), echo).await;
    let (mut client, mut connection) = duplex(10_000);
    let mut stream = tunnel.open();
    let mut traffic = Traffic::default();
    let talk = async {
        for _ in 0..100 {
            client.write_all(b"ping").await.unwrap();
            let mut four = [0; 4];
            client.read_exact(&mut four).await.unwrap();
        }
        client.shutdown().await.unwrap();
    };
    let (outcome, ()) =
        tokio::join!(splice(&mut connection, &mut stream, IDLE, &mut traffic), talk);
    outcome.unwrap();
}

#[tokio::test]
async fn an_early_answer_arrives_whole_though_the_question_is_cut_short() {
    let size = 700_000;
    let tunnel = tunnel(&Settings::default(), move |incoming| async move {
        let mut stream = incoming.accept().unwrap();
        stream.read_u8().await.unwrap();
        stream.write_all(&pattern(size)).await.unwrap();
        stream.shutdown().await.unwrap();
    })
    .await;
    let (client, mut connection) = duplex(10_000);
    let mut stream = tunnel.open();
    let mut traffic = Traffic::default();
    let (mut reader, mut writer) = tokio::io::split(client);
    let endless = async {
        let bytes = pattern(50_000);
        while writer.write_all(&bytes).await.is_ok() {}
    };
    let mut answer = Vec::new();
    let splicing = async {
        splice(&mut connection, &mut stream, IDLE, &mut traffic).await.unwrap();
        drop(connection);
    };
    tokio::join!(splicing, endless, async { reader.read_to_end(&mut answer).await.unwrap() });
    assert_eq!(answer, pattern(size));
}

#[tokio::test]
async fn a_refused_stream_fails_the_splice_with_its_words() {
    let tunnel = tunnel(&Settings::default(), |incoming| async move {
        incoming.refuse(StatusCode::BAD_GATEWAY, "cannot reach it");
    })
    .await;
    let (_client, mut connection) = duplex(100);
    let mut stream = tunnel.open();
    let mut traffic = Traffic::default();
    let error = splice(&mut connection, &mut stream, IDLE, &mut traffic).await.unwrap_err();
    assert_eq!(refusal(&error).unwrap().1, "cannot reach it");
}

#[tokio::test(start_paused = true)]
async fn a_splice_where_nothing_moves_ends() {
    let tunnel = tunnel(&Settings::default(), ignore).await;
    let (_client, mut connection) = duplex(100);
    let mut stream = tunnel.open();
    let mut traffic = Traffic::default();
    let begun = tokio::time::Instant::now();
    let error = splice(&mut connection, &mut stream, IDLE, &mut traffic).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(begun.elapsed(), IDLE);
}

#[tokio::test(start_paused = true)]
async fn a_splice_where_something_moves_now_and_then_goes_on() {
    let tunnel = tunnel(&Settings::default(), echo).await;
    let (mut client, mut connection) = duplex(100);
    let mut stream = tunnel.open();
    let mut traffic = Traffic::default();
    let talk = async {
        for _ in 0..10 {
            tokio::time::sleep(IDLE - Duration::from_secs(1)).await;
            client.write_all(b"x").await.unwrap();
            client.read_u8().await.unwrap();
        }
        client.shutdown().await.unwrap();
    };
    let (outcome, ()) =
        tokio::join!(splice(&mut connection, &mut stream, IDLE, &mut traffic), talk);
    outcome.unwrap();
    assert_eq!(traffic.sent, 10);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]
    #[test]
    fn spliced_bytes_arrive_in_order(chunks in proptest::collection::vec(1_usize..90_000, 1..12), pipe in 1_usize..5_000) {
        let whole = pattern(chunks.iter().sum());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let back = runtime.block_on(async {
            let tunnel = tunnel(&Settings::default(), echo).await;
            let (client, mut connection) = duplex(pipe);
            let mut stream = tunnel.open();
            let mut traffic = Traffic::default();
            let (mut reader, mut writer) = tokio::io::split(client);
            let mut rest = whole.clone();
            let write = async {
                for chunk in &chunks {
                    writer.write_all(&rest.split_to(*chunk)).await.unwrap();
                }
                writer.shutdown().await.unwrap();
            };
            let mut back = Vec::new();
            let read = async { reader.read_to_end(&mut back).await.unwrap() };
            let (outcome, (), _) = tokio::join!(splice(&mut connection, &mut stream, IDLE, &mut traffic), write, read);
            outcome.unwrap();
            back
        });
        prop_assert!(back == whole);
    }
}
