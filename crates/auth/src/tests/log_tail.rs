//! The newest entries of the log, which its index gets later: nobody can tell them from the rest.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use api::types::audit::{AuditOutcome, AuditQuery};
use audit::events::{DynamoDbRequest, Outcome, RequestFields};
use audit::{Event, What};
use bytes::Bytes;
use rusqlite::{Connection, OpenFlags};
use uuid::Uuid;

use super::town::{Hands, Town, cluster_name};
use crate::store::{Prepared, Requests, Store, Terms};
use crate::watch::Hub;

const OUTCOMES: [Outcome; 3] = [Outcome::Answered, Outcome::Refused, Outcome::Failed];

/// The request of a number: users, operations, tables and outcomes take turns.
fn request(number: usize) -> Event {
    let fields = RequestFields {
        user: ["alice", "bob"][number % 2].to_owned(),
        sid: format!("session-{}", number % 3),
        server_id: "agent-1".to_owned(),
        app_name: "aws".to_owned(),
        aws_service: "dynamodb".to_owned(),
        operation: Some(["PutItem", "Scan", "Query"][number % 3].to_owned()),
        tables: vec![format!("table-{}", number % 5)],
        outcome: OUTCOMES[number % 3],
        status_code: Some(200),
        ..RequestFields::default()
    };
    let now = Hands::new().now() + Duration::from_secs(number as u64);
    let what = What::from(DynamoDbRequest(fields));
    Event::new(Uuid::from_u128(number as u128 + 1), now, cluster_name().as_str(), what)
}

fn lines(numbers: impl Iterator<Item = usize>) -> Bytes {
    let lines: Vec<_> = numbers.map(|number| request(number).to_json().unwrap()).collect();
    Bytes::from(lines.join("\n"))
}

fn queries() -> Vec<AuditQuery> {
    type Change = fn(&mut AuditQuery);
    let changes: [Change; 12] = [
        |_| {},
        |q| q.user = Some("alice".into()),
        |q| q.user = Some("carol".into()),
        |q| q.session = Some("session-1".into()),
        |q| q.operation = Some("dynamodb:scan".into()),
        |q| q.table = Some("table-4".into()),
        |q| q.outcome = Some(AuditOutcome::Denied),
        |q| q.text = Some("bob query".into()),
        |q| q.text = Some("tab* put*".into()),
        |q| q.text = Some("tables*".into()),
        |q| (q.from, q.outcome) = (Some(request(7).time), Some(AuditOutcome::Ok)),
        |q| (q.to, q.user) = (Some(request(25).time), Some("bob".into())),
    ];
    let query = |change: Change| {
        let mut query = AuditQuery { limit: Some(100), ..AuditQuery::default() };
        change(&mut query);
        query
    };
    changes.into_iter().map(query).collect()
}

/// Up to which entry the index goes, and the number of the last.
fn indexed(dir: &Path) -> (i64, i64) {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let file = Connection::open_with_flags(dir.join("auth/store.sqlite"), flags).unwrap();
    let sql = "SELECT (SELECT seq FROM audit_indexed), (SELECT max(seq) FROM audit)";
    file.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

async fn until_indexed(dir: &Path) {
    let waiting = async {
        loop {
            let (end, last) = indexed(dir);
            if end == last {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap();
}

async fn all_found(town: &Town) -> Vec<Vec<u64>> {
    let mut found = Vec::new();
    for query in queries() {
        let page = town.admin().audit_page(&query).await.unwrap();
        assert_eq!(page.older, None, "{query:?}");
        found.push(page.rows.iter().map(|row| row.seq).collect());
    }
    found
}

/// Reads the log in pages of `limit`, back and forth, and gives what both found.
async fn in_pages(town: &Town, query: &AuditQuery, limit: u32) -> Vec<u64> {
    let (mut back, mut forwards) = (Vec::new(), Vec::new());
    let mut asked = AuditQuery { limit: Some(limit), ..query.clone() };
    loop {
        let page = town.admin().audit_page(&asked).await.unwrap();
        back.extend(page.rows.iter().map(|row| row.seq));
        let Some(older) = page.older else { break };
        asked.before = Some(older);
    }
    let mut asked = AuditQuery { limit: Some(limit), after: Some(0), ..query.clone() };
    loop {
        let page = town.admin().audit_page(&asked).await.unwrap();
        forwards.extend(page.rows.iter().map(|row| row.seq));
        asked.after = Some(page.newest);
        if !page.has_more {
            break;
        }
    }
    forwards.reverse();
    assert_eq!(back, forwards, "{query:?}");
    back
}

#[tokio::test]
async fn a_search_finds_the_same_before_and_after_the_index_has_the_entries() {
    let town = Town::start().await;
    let agent = town.agent("agent-1").await;
    until_indexed(town.dir.path()).await;
    agent.store_audit(lines(0..15)).await.unwrap();
    until_indexed(town.dir.path()).await;
    agent.store_audit(lines(15..30)).await.unwrap();
    let before = all_found(&town).await;
    // The tail waits a second: at least the first of these questions met it.
    let mut paged = Vec::new();
    for query in queries() {
        paged.push(in_pages(&town, &query, 4).await);
    }
    until_indexed(town.dir.path()).await;
    assert_eq!(before, all_found(&town).await);
    assert_eq!(before, paged);
    let found: Vec<usize> = before.iter().skip(1).map(Vec::len).collect();
    assert_eq!(found, [15, 0, 10, 10, 6, 10, 5, 10, 0, 7, 12]);
}

/// The same on the shelf itself, where it is certain that nothing is in the index yet.
#[tokio::test]
async fn what_is_stored_is_found_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Arc::new(Hub::new(16))).unwrap();
    append(&store, 0..30).await;
    let mut found = Vec::new();
    for query in queries().into_iter().skip(1) {
        found.push(store.read(move |reader| Ok(reader.audit(&query, 100)?.len())).await.unwrap());
    }
    assert_eq!(found, [15, 0, 10, 10, 6, 10, 5, 10, 0, 7, 12]);
    let troubles = crate::store::Bounds { rows: 100, looked_at: 100 };
    let from = request(0).time;
    let troubles = store.read(move |reader| reader.troubles(from, troubles)).await.unwrap();
    assert_eq!(troubles.len(), 20);
}

async fn append(store: &Store, numbers: std::ops::Range<usize>) {
    let append = move |tx: &mut crate::store::Tx<'_>| {
        for number in numbers {
            tx.append(Prepared::of(&request(number), &mut Terms::default())?)?;
        }
        Ok(())
    };
    store.write(append).await.unwrap();
}

#[tokio::test]
async fn a_power_cut_before_the_index_has_the_entries_loses_and_repeats_nothing() {
    let (dir, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::open(dir.path(), Arc::new(Hub::new(16))).unwrap();
    append(&store, 0..30).await;
    std::fs::create_dir_all(cut.path().join("auth")).unwrap();
    for name in ["store.sqlite", "store.sqlite-wal"] {
        std::fs::copy(dir.path().join("auth").join(name), cut.path().join("auth").join(name))
            .unwrap();
    }
    assert_eq!(indexed(cut.path()), (0, 30), "the cut came before the index");
    let store = Store::open(cut.path(), Arc::new(Hub::new(16))).unwrap();
    assert_eq!(indexed(cut.path()), (30, 30));
    let query = AuditQuery { text: Some("bob query".into()), ..AuditQuery::default() };
    let found = store.read(move |reader| reader.audit(&query, 100)).await.unwrap();
    assert_eq!(found.len(), 5);
    assert_eq!(requests(&store).await, (10, 10, 10));
}

/// How many requests the store has counted: done, denied, failed.
async fn requests(store: &Store) -> (u64, u64, u64) {
    let minute = request(0).time.as_second().div_euclid(60) * 60;
    let asked = Requests { first: minute, step: 60, steps: 10 };
    let steps = store.read(move |reader| reader.requests(asked)).await.unwrap();
    steps
        .iter()
        .fold((0, 0, 0), |sum, step| (sum.0 + step.ok, sum.1 + step.denied, sum.2 + step.failed))
}

#[tokio::test]
async fn a_full_portion_is_indexed_with_the_commit_that_fills_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Arc::new(Hub::new(16))).unwrap();
    append(&store, 0..30).await;
    append(&store, 30..5_000).await;
    assert_eq!(indexed(dir.path()), (5_000, 5_000));
    append(&store, 4_990..5_010).await;
    let query = AuditQuery { table: Some("table-0".into()), ..AuditQuery::default() };
    let found = store.read(move |reader| reader.audit(&query, 10_000)).await.unwrap();
    assert_eq!(found.len(), 1_002);
    store.close().await;
    assert_eq!(indexed(dir.path()), (5_010, 5_010), "closing leaves nothing for the next start");
}

#[tokio::test]
async fn a_store_that_indexed_each_entry_at_once_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Arc::new(Hub::new(16))).unwrap();
    append(&store, 0..30).await;
    store.close().await;
    let file = Connection::open(dir.path().join("auth/store.sqlite")).unwrap();
    file.execute_batch("ALTER TABLE audit_indexed DROP COLUMN counted; PRAGMA user_version = 4;")
        .unwrap();
    drop((file, store));
    let store = Store::open(dir.path(), Arc::new(Hub::new(16))).unwrap();
    append(&store, 30..33).await;
    let query = AuditQuery { user: Some("alice".into()), ..AuditQuery::default() };
    let found = store.read(move |reader| reader.audit(&query, 100)).await.unwrap();
    assert_eq!(found.len(), 17);
    assert_eq!(requests(&store).await, (11, 11, 11), "nothing is counted twice");
}
