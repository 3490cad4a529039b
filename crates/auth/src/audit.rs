//! The audit log: taking in what agents and proxies saw, searching, checking the chain.

use std::time::Duration;

use ::audit::chain::{Broken, Chained, Head, Verifier};
use ::audit::{Event, What};
use access::{HostClaims, SystemRole};
use api::types::audit::{
    AuditEntry, AuditPage, AuditQuery, AuditRow, AuditStored, AuditVerified, BrokenAt,
};
use bytes::Bytes;
use tokio::time::timeout_at;
use uuid::Uuid;

use crate::cluster::Cluster;
use crate::refusal::Refusal;
use crate::store::{Bounds, Prepared, Stored, Terms, Tx};

/// Entries of a search unless asked otherwise, at most in a page, and at most in a list.
const PAGE: u32 = 500;
const LARGEST_PAGE: u32 = 500;
const LARGEST_LIST: u32 = 10_000;
/// Entries that the search for one page looks at. What is left is for the next page.
const LOOKED_AT: usize = 5_000;
/// How long a page may be waited for, seconds: less than any deadline on the way.
const LONGEST_WAIT: u32 = 25;
/// Pause before a waiting search looks again, so that a busy cluster does not keep it looking.
const GATHERING: Duration = Duration::from_millis(100);
/// Entries of the chain that are checked in one read.
const STRETCH: u32 = 5_000;
/// Entries from which on a batch is written in a transaction of its own.
const LARGE: usize = 100;
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
    let is_large = batch.len() > LARGE;
    let append = move |tx: &mut Tx<'_>| {
        let mut stored = AuditStored { stored: 0, known: 0 };
        for entry in batch {
            match tx.append(entry)? {
                Stored::New => stored.stored += 1,
                Stored::Known => stored.known += 1,
            }
        }
        Ok(stored)
    };
    if is_large {
        cluster.store.write_alone(append).await
    } else {
        cluster.store.write(append).await
    }
}

/// Finds entries, oldest first.
pub(crate) async fn search(cluster: &Cluster, query: AuditQuery) -> Result<Vec<AuditRow>, Refusal> {
    let limit = limit(&query, LARGEST_LIST)?;
    if query.wait_seconds.is_some() {
        return Err(Refusal::invalid("a list cannot be waited for; ask for a page"));
    }
    cluster.store.read(move |reader| reader.audit(&query, limit)).await
}

/// A page of the log; waits for one that is to come, if asked to.
pub(crate) async fn page(cluster: &Cluster, query: AuditQuery) -> Result<AuditPage, Refusal> {
    let rows = usize::try_from(limit(&query, LARGEST_PAGE)?).unwrap_or(usize::MAX);
    let bounds = Bounds { rows, looked_at: LOOKED_AT.max(rows) };
    let wait = query.wait_seconds.unwrap_or(0);
    if wait > LONGEST_WAIT || (wait > 0 && query.after.is_none()) {
        let rule = format!("wait_seconds must be 0 to {LONGEST_WAIT} and takes `after`");
        return Err(Refusal::invalid(rule));
    }
    if wait == 0 {
        return cluster.store.read(move |reader| reader.audit_page(&query, bounds)).await;
    }
    let place = cluster.followers.try_acquire();
    let _place = place.map_err(|_| Refusal::busy("too many follow the audit log; try again"))?;
    follow(cluster, query, bounds, Duration::from_secs(wait.into())).await
}

async fn follow(
    cluster: &Cluster,
    mut query: AuditQuery,
    bounds: Bounds,
    wait: Duration,
) -> Result<AuditPage, Refusal> {
    let mut heads = cluster.store.audit_heads();
    let deadline = tokio::time::Instant::now() + wait;
    loop {
        heads.mark_unchanged();
        let asked = query.clone();
        let page = cluster.store.read(move |reader| reader.audit_page(&asked, bounds)).await?;
        if !page.rows.is_empty() {
            return Ok(page);
        }
        query.after = Some(page.newest);
        if page.has_more {
            continue;
        }
        let next = async {
            let grown = heads.changed().await;
            tokio::time::sleep(GATHERING).await;
            grown
        };
        tokio::select! {
            grown = timeout_at(deadline, next) => match grown {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Ok(page),
            },
            () = cluster.stopping.cancelled() => return Ok(page),
        }
    }
}

fn limit(query: &AuditQuery, largest: u32) -> Result<u32, Refusal> {
    match query.limit.unwrap_or(PAGE) {
        limit if (1..=largest).contains(&limit) => Ok(limit),
        _ => Err(Refusal::invalid(format!("limit must be 1 to {largest}"))),
    }
}

/// One entry, by its number or its uid.
pub(crate) async fn entry(cluster: &Cluster, id: String) -> Result<AuditEntry, Refusal> {
    let missing = || Refusal::missing("the audit log has no such entry");
    let found = match (id.parse::<u64>(), Uuid::try_parse(&id)) {
        (Ok(seq), _) => cluster.store.read(move |reader| reader.audit_entry(seq)).await?,
        (Err(_), Ok(uid)) => cluster.store.read(move |reader| reader.audit_entry_of(uid)).await?,
        (Err(_), Err(_)) => {
            return Err(Refusal::invalid("an entry is named by its number or its uid"));
        }
    };
    let entry = found.ok_or_else(missing)?;
    let before = Head { seq: entry.seq.saturating_sub(1), hash: entry.prev };
    let holds = Verifier::after(before).check(&entry).is_ok();
    Ok(AuditEntry {
        seq: entry.seq,
        prev: entry.prev.to_string(),
        hash: entry.hash.to_string(),
        holds,
        event: serde_json::from_str(&entry.event_json)?,
    })
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
    let (mut batch, mut terms) = (Vec::new(), Terms::default());
    for (number, line) in lines.filter(|(_, line)| !line.is_empty()) {
        let at = |why: String| Refusal::invalid(format!("line {}: {why}", number + 1));
        if batch.len() >= MOST_ENTRIES {
            return Err(Refusal::too_large(format!("a batch may hold {MOST_ENTRIES} entries")));
        }
        let event = Event::from_json(line).map_err(|error| at(format!("not an event: {error}")))?;
        may_report(host, &event).map_err(at)?;
        batch.push(Prepared::of(&event, &mut terms)?);
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
