//! What the spool costs a call. Not a test of speed (machines differ), so it only runs when asked:
//! `cargo test --release -p agent --lib spool::speed -- --ignored --nocapture --test-threads 1`.
//!
//! The directory is that of `TMPDIR`: on a memory disk the figures mean nothing.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use api::error::ApiError;
use audit::events::{Outcome, RequestFields};
use audit::{Closing, Entry, Event, Request, What};
use bytes::Bytes;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::ship::Sink;
use super::*;

/// An Auth Service that takes everything at once.
struct Taker;

impl Sink for Taker {
    async fn store(&self, _lines: Bytes) -> Result<(), ApiError> {
        Ok(())
    }
}

/// An event as large as those of real calls.
fn event() -> Event {
    let role = "arn:aws:iam::123456789012:role/reader-of-music";
    let fields = RequestFields {
        user: "alice@example.com".to_owned(),
        sid: "f".repeat(64),
        app_name: "aws".to_owned(),
        app_uri: "https://console.aws.amazon.com".to_owned(),
        app_public_addr: "aws.teleport.example.com".to_owned(),
        method: "POST".to_owned(),
        path: "/".to_owned(),
        aws_region: "us-east-1".to_owned(),
        aws_service: "dynamodb".to_owned(),
        aws_host: "dynamodb.us-east-1.amazonaws.com".to_owned(),
        aws_role_arn: Some(role.to_owned()),
        aws_role_session_name: Some("alice@example.com".to_owned()),
        operation: Some("Query".to_owned()),
        tables: vec!["Music".to_owned()],
        indexes: vec!["Music/ByArtist".to_owned()],
        decision: "allowed".to_owned(),
        server_id: Uuid::from_u128(9).to_string(),
        ..RequestFields::default()
    };
    let time = UNIX_EPOCH + Duration::from_secs(1_795_334_400);
    Event::new(Uuid::now_v7(), time, "teleport.example.com", What::request(fields))
}

fn open_in(dir: &Path) -> Arc<Spool> {
    Arc::new(Spool::open(SpoolSettings::new(dir.join("spool"))).unwrap())
}

fn answer(entry: Entry<Spool>) {
    let closing = Closing {
        status_code: Some(200),
        aws_request_id: Some("VVAP2L4LEIGGMMSRF9MHL20HQBVV4KQNSO5AEMVJF66Q9ASUAAJG".to_owned()),
        duration: Duration::from_millis(12),
        bytes_in: 300,
        bytes_out: 420,
        ..Closing::default()
    };
    entry.close(Outcome::Answered, closing);
}

/// One call: what it waited for the disk.
async fn call(spool: &Arc<Spool>) -> Duration {
    let request = Request::new(event()).unwrap();
    let start = Instant::now();
    let entry = request.open(Arc::clone(spool)).unwrap();
    spool.durable(entry.opened()).await.unwrap();
    let waited = start.elapsed();
    answer(entry);
    waited
}

/// Of this process so far, all threads together.
fn cpu() -> Duration {
    let of = |task: std::io::Result<std::fs::DirEntry>| {
        let stat = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        stat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
    };
    std::fs::read_dir("/proc/self/task").unwrap().filter_map(of).sum()
}

fn part(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() - 1) * percent / 100]
}

async fn calls_until(end: Instant, spool: Arc<Spool>, pause: Duration) -> Vec<Duration> {
    let mut waits = Vec::new();
    while Instant::now() < end {
        waits.push(call(&spool).await);
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    waits
}

/// So many tasks call for some seconds while everything is shipped.
async fn measure(tasks: usize, pause: Duration) {
    let dir = TempDir::new().unwrap();
    let spool = open_in(dir.path());
    let stop = CancellationToken::new();
    let mut shipping = JoinSet::new();
    shipping.spawn(ship(Arc::clone(&spool), Taker, stop.clone()));
    let (start, before) = (Instant::now(), cpu());
    let end = start + Duration::from_secs(6);
    let mut running = JoinSet::new();
    for _ in 0..tasks {
        running.spawn(calls_until(end, Arc::clone(&spool), pause));
    }
    let mut waits: Vec<Duration> = running.join_all().await.concat();
    let (took, used) = (start.elapsed(), cpu() - before);
    stop.cancel();
    shipping.join_all().await;
    spool.stop();
    waits.sort();
    let count = u32::try_from(waits.len()).unwrap();
    println!(
        "{tasks:>3} tasks: {:>6.0} calls/s, durable after p50 {:?} p90 {:?} p99 {:?} max {:?}, cpu a call {:?}",
        f64::from(count) / took.as_secs_f64(),
        part(&waits, 50),
        part(&waits, 90),
        part(&waits, 99),
        part(&waits, 100),
        used / count,
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, to be read by people"]
async fn calls() {
    for _ in 0..3 {
        measure(1, Duration::from_millis(1)).await;
    }
    for _ in 0..3 {
        measure(64, Duration::ZERO).await;
    }
}

#[test]
#[ignore = "a measurement, to be read by people"]
fn steps() {
    let dir = TempDir::new().unwrap();
    let spool = open_in(dir.path());
    let event = event();
    best("serialize", || drop(black_box(black_box(&event).to_json())));
    best("encode", || {
        drop(black_box(line::encoded(Kind::Closed, black_box(&event), |record| record.len())))
    });
    let record = line::encoded(Kind::Closed, &event, <[u8]>::to_vec).unwrap();
    println!("a record has {} bytes", record.len());
    let line = &record[1..record.len() - 1];
    best("decode", || {
        black_box(line::decode(black_box(line)));
    });
    best("write", || drop(black_box(spool.shared.append(black_box(&record)))));
    spool.stop();
}

/// The best of ten batches, which is the least disturbed one.
fn best(name: &str, mut act: impl FnMut()) {
    const ROUNDS: u32 = 500;
    let mut shortest = Duration::MAX;
    for _ in 0..10 {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            act();
        }
        shortest = shortest.min(start.elapsed() / ROUNDS);
    }
    println!("{name:<32} {shortest:?}");
}
