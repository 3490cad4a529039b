//! Times each question that pages ask, over TLS on the loopback, one at a time.

use std::time::{Duration, Instant};

use anyhow::Result;
use api::resource::Kind;
use api::types::audit::{AuditOutcome, AuditQuery};
use api::types::overview::OverviewQuery;
use api::types::pages::PageQuery;
use api::{ApiError, Client};
use jiff::{SignedDuration, Timestamp};

use crate::events::user_name;
use crate::town::{Town, apps};

/// Rows of a page, as the web shows them.
const ROWS: u32 = 50;

/// Asks everything `rounds` times and prints a table.
pub(crate) async fn run(town: &Town, rounds: u32, app_count: u32) -> Result<()> {
    town.announce(apps(app_count)?).await?;
    let client = town.admin()?;
    println!("| question | found | p50, ms | p99, ms | longest, ms |\n|---|---|---|---|---|");
    for (name, query) in audit_queries() {
        let ask = async || client.audit_page(&query).await.map(|page| page.rows.len() as u64);
        row(name, rounds, ask).await?;
    }
    deep(&client, rounds).await?;
    for (name, minutes) in [("overview, an hour", 60), ("overview, 31 days", 44_640)] {
        let query = OverviewQuery { minutes: Some(minutes) };
        let ask = async || client.overview(&query).await.map(|overview| overview.counts.users);
        row(name, rounds, ask).await?;
    }
    lists(&client, rounds).await
}

async fn deep(client: &Client, rounds: u32) -> Result<()> {
    let end = client.audit_page(&AuditQuery::default()).await?.newest;
    for (name, part) in [("page in the middle of the log", 2), ("page near its beginning", 100)] {
        let query = AuditQuery { before: Some(end / part), ..page(|_| {}) };
        let ask = async || client.audit_page(&query).await.map(|page| page.rows.len() as u64);
        row(name, rounds, ask).await?;
    }
    let query = AuditQuery {
        before: Some(end / 2),
        ..page(|query| query.outcome = Some(AuditOutcome::Denied))
    };
    let ask = async || client.audit_page(&query).await.map(|page| page.rows.len() as u64);
    row("denied, in the middle of the log", rounds, ask).await?;
    let ask = async || client.audit_entry(&(end / 3).to_string()).await.map(|entry| entry.seq);
    row("one entry", rounds, ask).await
}

async fn lists(client: &Client, rounds: u32) -> Result<()> {
    let query = |search: &str| PageQuery {
        search: Some(search.to_owned()),
        after: None,
        limit: Some(ROWS),
    };
    for (name, kind, search) in [
        ("users", Kind::User, ""),
        ("users, search `team-4`", Kind::User, "team-4"),
        ("users, search that finds none", Kind::User, "nobody-of-that-name"),
        ("roles", Kind::Role, ""),
    ] {
        let query = query(search);
        let ask = async || client.resource_page(kind, &query).await.map(|page| page.total);
        row(name, rounds, ask).await?;
    }
    for (name, search) in [("apps", ""), ("apps, search `production`", "production")] {
        let query = query(search);
        let ask = async || client.app_page(&query).await.map(|page| page.total);
        row(name, rounds, ask).await?;
    }
    Ok(())
}

fn page(change: impl FnOnce(&mut AuditQuery)) -> AuditQuery {
    let mut query = AuditQuery { limit: Some(ROWS), ..AuditQuery::default() };
    change(&mut query);
    query
}

fn audit_queries() -> Vec<(&'static str, AuditQuery)> {
    let text = |text: &str| Some(text.to_owned());
    let now = Timestamp::try_from(crate::now()).unwrap_or(Timestamp::UNIX_EPOCH);
    let days_ago = |days: i64| now.checked_sub(SignedDuration::from_hours(24 * days)).ok();
    vec![
        ("newest page", page(|_| {})),
        ("newest 500", AuditQuery { limit: Some(500), ..page(|_| {}) }),
        ("user", page(|q| q.user = text(&user_name(17)))),
        ("user with few entries", page(|q| q.user = text(&user_name(4_990)))),
        ("user that does not exist", page(|q| q.user = text("nobody"))),
        ("app", page(|q| q.app = text("app-017"))),
        ("AWS role, by name", page(|q| q.role = text("Role17"))),
        ("operation", page(|q| q.operation = text("PutItem"))),
        ("table", page(|q| q.table = text("table-017"))),
        ("denied", page(|q| q.outcome = Some(AuditOutcome::Denied))),
        (
            "user, table and outcome",
            page(|q| {
                q.user = text(&user_name(17));
                q.table = text("table-017");
                q.outcome = Some(AuditOutcome::Ok);
            }),
        ),
        (
            "operation, table and denied",
            page(|q| {
                q.operation = text("Scan");
                q.table = text("table-100");
                q.outcome = Some(AuditOutcome::Denied);
            }),
        ),
        ("a day of two weeks ago", page(|q| (q.from, q.to) = (days_ago(15), days_ago(14)))),
        (
            "that day, one user",
            page(|q| {
                (q.from, q.to, q.user) = (days_ago(15), days_ago(14), text(&user_name(17)));
            }),
        ),
        ("words `connect endpoint`", page(|q| q.text = text("connect endpoint"))),
        ("beginning of a word `transactw*`", page(|q| q.text = text("transactw*"))),
        ("beginning in every entry `dyn*`", page(|q| q.text = text("dyn*"))),
        ("a word that stands nowhere", page(|q| q.text = text("zebra"))),
    ]
}

async fn row(name: &str, rounds: u32, ask: impl AsyncFn() -> Result<u64, ApiError>) -> Result<()> {
    let mut found = 0;
    let mut times = Vec::new();
    for _ in 0..rounds.max(1) {
        let since = Instant::now();
        found = ask().await?;
        times.push(since.elapsed());
    }
    times.sort_unstable();
    let at = |part: usize| times.get((times.len() - 1) * part / 100).copied().unwrap_or_default();
    let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
    println!("| {name} | {found} | {:.2} | {:.2} | {:.2} |", ms(at(50)), ms(at(99)), ms(at(100)));
    Ok(())
}
