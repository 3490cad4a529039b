//! The store: all or nothing, durable, append-only, one process at a time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use access::{Role, RoleName};
use api::types::audit::AuditQuery;
use audit::events::RoleCreated;
use rusqlite::Connection;

use super::town::{Hands, Town, config};
use crate::StartError;
use crate::events::Stamp;
use crate::refusal::Refusal;
use crate::store::{Store, Tx};
use crate::watch::Hub;

fn open(dir: &Path) -> Store {
    Store::open(dir, Arc::new(Hub::new(16))).unwrap()
}

fn stamp() -> Stamp {
    Stamp { now: Hands::new().now(), cluster: super::town::cluster_name() }
}

fn add_role(tx: &mut Tx<'_>, name: &str) -> Result<(), Refusal> {
    tx.insert(&mut Role::new(RoleName::parse(name).unwrap()))?;
    tx.record(&stamp().event(RoleCreated { user: "test".into(), name: name.into() }))
}

async fn counts(store: &Store) -> (usize, usize) {
    store
        .read(|reader| {
            let entries = reader.audit(&AuditQuery::default(), 1_000)?;
            Ok((reader.list::<Role>()?.len(), entries.len()))
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn a_refused_write_leaves_neither_state_nor_event_while_its_neighbours_stand() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let writes = (0..100).map(|number| {
        store.write(move |tx| {
            add_role(tx, &format!("role-{number}"))?;
            (number % 3 != 0).then_some(()).ok_or_else(|| Refusal::invalid("no"))
        })
    });
    let outcomes = futures_util::future::join_all(writes).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 66);
    assert_eq!(counts(&store).await, (66, 66));
}

#[tokio::test]
async fn a_panicking_write_is_undone_and_the_store_lives_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let panicked = store
        .write(|tx| {
            add_role(tx, "lost")?;
            if true {
                panic!("on purpose");
            }
            Ok(())
        })
        .await;
    assert!(panicked.is_err());
    store.write(|tx| add_role(tx, "kept")).await.unwrap();
    assert_eq!(counts(&store).await, (1, 1));
}

/// Copies the files as a power cut would leave them, from inside a running write.
fn photograph(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("auth")).unwrap();
    for name in ["store.sqlite", "store.sqlite-wal"] {
        std::fs::copy(from.join("auth").join(name), to.join("auth").join(name)).unwrap();
    }
}

#[tokio::test]
async fn what_was_answered_survives_a_power_cut_and_what_was_not_leaves_no_half() {
    let (dir, during, after) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(dir.path());
    store.write(|tx| add_role(tx, "first")).await.unwrap();
    let (from, to) = (dir.path().to_owned(), during.path().to_owned());
    store
        .write(move |tx| {
            add_role(tx, "second")?;
            photograph(&from, &to);
            Ok(())
        })
        .await
        .unwrap();
    photograph(dir.path(), after.path());
    assert_eq!(counts(&open(during.path())).await, (1, 1));
    let after = open(after.path());
    assert_eq!(counts(&after).await, (2, 2));
    after.write(|tx| add_role(tx, "third")).await.unwrap();
    let chain = after.read(|reader| reader.chain(0, 100)).await.unwrap();
    assert_eq!(audit::chain::verify(&chain).unwrap().records, 3);
}

#[tokio::test]
async fn the_log_cannot_be_changed_by_statements_and_tells_when_it_was_changed_beneath() {
    let town = Town::start().await;
    town.enrol("alice", &["access"]).await;
    let verified = town.admin().verify_audit().await.unwrap();
    assert!(verified.broken.is_none() && verified.entries >= 5, "{verified:?}");
    town.handle.stop(Duration::from_secs(5)).await;
    let file = town.dir.path().join("auth/store.sqlite");
    let connection = Connection::open(&file).unwrap();
    for statement in [
        "UPDATE audit SET json = replace(json, 'alice', 'mallory')",
        "DELETE FROM audit WHERE seq = 3",
        "DELETE FROM audit",
        "INSERT INTO audit SELECT seq + 100, prev, hash, randomblob(16), time, event, code, user, app, session, tables, json FROM audit WHERE seq = 1",
        "INSERT OR REPLACE INTO audit SELECT seq, prev, hash, randomblob(16), time, event, code, user, app, session, tables, '{}' FROM audit WHERE seq = 1",
    ] {
        let error = connection.execute_batch(statement).unwrap_err();
        assert!(error.to_string().contains("append-only"), "{statement}: {error}");
    }
    connection.execute_batch("DROP TRIGGER audit_is_not_changed").unwrap();
    connection
        .execute_batch(
            "UPDATE audit SET json = replace(json, 'alice', 'mallory') WHERE event = 'user.create'",
        )
        .unwrap();
    drop(connection);
    let town = town.restart_with(|_| {}).await;
    let verified = town.admin().verify_audit().await.unwrap();
    let broken = verified.broken.unwrap();
    assert_eq!(broken.reason, "its text does not match its hash");
    assert_eq!(verified.entries + 1, broken.seq);
}

#[tokio::test]
async fn a_second_process_on_the_same_folder_is_refused() {
    let town = Town::start().await;
    let second = crate::start(config(town.dir.path()), town.hands.clock()).await.unwrap_err();
    let words = api::error::Chain(&second).to_string();
    assert!(words.contains("another Auth Service is using"), "{words}");
    let town = town.restart_with(|_| {}).await;
    town.admin().status().await.unwrap();
}

#[tokio::test]
async fn the_cluster_keeps_its_name_and_its_authorities() {
    let town = Town::start().await;
    let pins = town.handle.ca_pins();
    let town = town.restart_with(|_| {}).await;
    assert_eq!(town.handle.ca_pins(), pins);
    let status = town.admin().status().await.unwrap();
    assert_eq!((status.cluster.as_str(), &status.ca_pins), ("teleport.example.com", &pins));
    assert_eq!(status.authorities.len(), 2);
    town.handle.stop(Duration::from_secs(5)).await;
    let mut other = config(town.dir.path());
    other.cluster_name = access::ClusterName::parse("other.example.com").unwrap();
    let error = crate::start(other, town.hands.clock()).await.unwrap_err();
    let StartError::Refused(refusal) = error else { panic!("{error:?}") };
    assert_eq!(
        refusal.to_string(),
        "the store belongs to cluster teleport.example.com, not to other.example.com"
    );
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).close().await;
    let connection = Connection::open(dir.path().join("auth/store.sqlite")).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let error = Store::open(dir.path(), Arc::new(Hub::new(16))).unwrap_err();
    assert!(error.to_string().contains("schema 99"), "{error}");
}

#[tokio::test]
async fn pages_of_the_log_follow_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for number in 0..25 {
        store.write(move |tx| add_role(tx, &format!("role-{number}"))).await.unwrap();
    }
    let page = |after| async move { AuditQuery { after, ..AuditQuery::default() } };
    let newest = page(None).await;
    let rows = store.read(move |reader| reader.audit(&newest, 10)).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<_>>(), (16..=25).collect::<Vec<_>>());
    let mut seen = Vec::new();
    loop {
        let query = page(Some(seen.last().copied().unwrap_or(0))).await;
        let rows = store.read(move |reader| reader.audit(&query, 10)).await.unwrap();
        if rows.is_empty() {
            break;
        }
        seen.extend(rows.iter().map(|row| row.seq));
    }
    assert_eq!(seen, (1..=25).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stopped_service_takes_no_more_writes_and_health_tells() {
    let town = Town::start().await;
    town.handle.health().await.unwrap();
    assert!(town.handle.is_healthy());
    town.handle.stop(Duration::from_secs(5)).await;
    assert!(town.handle.health().await.is_err());
}
