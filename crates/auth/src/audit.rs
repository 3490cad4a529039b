//! The audit log: taking in what agents and proxies saw, searching, checking the chain.

use ::audit::chain::{Broken, Chained, Head, Verifier};
use ::audit::{Event, What};
use access::{HostClaims, SystemRole};
use api::types::audit::{AuditQuery, AuditRow, AuditStored, AuditVerified, BrokenAt};
use bytes::Bytes;

use crate::cluster::Cluster;
use crate::refusal::Refusal;
use crate::store::{Prepared, Stored};

/// Entries of a search unless asked otherwise, and at most.
const PAGE: u32 = 500;
const LARGEST_PAGE: u32 = 10_000;
/// Entries of the chain that are checked in one read.
const STRETCH: u32 = 5_000;
/// Most entries of one batch.
const MOST_ENTRIES: usize = 50_000;

/// Takes a batch in: all of it or nothing. Entries that are there already are counted, not stored again.
pub(crate) async fn store(
    cluster: &Cluster,
    host: &HostClaims,
    lines: Bytes,
) -> Result<AuditStored, Refusal> {
    let host = host.clone();
    let reading = tokio::task::spawn_blocking(move || prepared(&host, &lines));
    let batch = reading.await.map_err(|error| Refusal::broken("reading a batch", error))??;
    cluster
        .store
        .write(move |tx| {
            let mut stored = AuditStored { stored: 0, known: 0 };
            for entry in batch {
                match tx.append(entry)? {
                    Stored::New => stored.stored += 1,
                    Stored::Known => stored.known += 1,
                }
            }
            Ok(stored)
        })
        .await
}

/// Finds entries.
pub(crate) async fn search(cluster: &Cluster, query: AuditQuery) -> Result<Vec<AuditRow>, Refusal> {
    let limit = query.limit.unwrap_or(PAGE);
    if limit == 0 || limit > LARGEST_PAGE {
        return Err(Refusal::invalid(format!("limit must be 1 to {LARGEST_PAGE}")));
    }
    cluster.store.read(move |reader| reader.audit(&query, limit)).await
}

/// Checks the whole chain, a stretch at a time.
pub(crate) async fn verify(cluster: &Cluster) -> Result<AuditVerified, Refusal> {
    let (mut verifier, mut head, mut entries) = (Verifier::after(Head::EMPTY), Head::EMPTY, 0);
    loop {
        let after = head.seq;
        let stretch = cluster.store.read(move |reader| reader.chain(after, STRETCH)).await?;
        if stretch.is_empty() {
            return Ok(AuditVerified { entries, head: head.hash.to_string(), broken: None });
        }
        let checking = tokio::task::spawn_blocking(move || check(verifier, head, &stretch));
        let checked = checking.await.map_err(|e| Refusal::broken("checking the chain", e))?;
        (verifier, head) = (checked.verifier, checked.head);
        entries += checked.entries;
        if let Some(broken) = checked.broken {
            let broken = Some(BrokenAt { seq: broken.seq, reason: broken.why.to_string() });
            return Ok(AuditVerified { entries, head: head.hash.to_string(), broken });
        }
    }
}

/// How far a stretch held.
struct Checked {
    verifier: Verifier,
    head: Head,
    entries: u64,
    broken: Option<Broken>,
}

fn check(mut verifier: Verifier, mut head: Head, stretch: &[Chained]) -> Checked {
    let mut entries = 0;
    for entry in stretch {
        if let Err(broken) = verifier.check(entry) {
            return Checked { verifier, head, entries, broken: Some(broken) };
        }
        head = entry.head();
        entries += 1;
    }
    Checked { verifier, head, entries, broken: None }
}

fn prepared(host: &HostClaims, lines: &Bytes) -> Result<Vec<Prepared>, Refusal> {
    let lines = lines.split(|byte| *byte == b'\n').enumerate();
    let mut batch = Vec::new();
    for (number, line) in lines.filter(|(_, line)| !line.is_empty()) {
        let at = |why: String| Refusal::invalid(format!("line {}: {why}", number + 1));
        if batch.len() >= MOST_ENTRIES {
            return Err(Refusal::too_large(format!("a batch may hold {MOST_ENTRIES} entries")));
        }
        let event: Event =
            serde_json::from_slice(line).map_err(|error| at(format!("not an event: {error}")))?;
        may_report(host, &event).map_err(at)?;
        batch.push(Prepared::of(&event)?);
    }
    Ok(batch)
}

/// A service reports what it saw itself, and only of the kinds that its role can see.
fn may_report(host: &HostClaims, event: &Event) -> Result<(), String> {
    if event.cluster_name != host.cluster.as_str() {
        return Err(format!("the event is of cluster {}", event.cluster_name));
    }
    let is_agent = host.system_roles.contains(&SystemRole::App);
    match (&event.what, event.what.as_request()) {
        (_, Some(fields)) if is_agent && fields.server_id == host.host_id.as_str() => Ok(()),
        (_, Some(fields)) if is_agent => {
            Err(format!("host {} may not report for host {}", host.host_id, fields.server_id))
        }
        (What::AuthFailure(_), _) => Ok(()),
        _ => Err(format!("a service may not report the event {}", event.name())),
    }
}
