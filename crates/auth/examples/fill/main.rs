//! Fills the data folder of an Auth Service with as many users, apps and audit entries as asked for, by
//! the service's own doors, and measures what the pages ask of it.
//!
//!     cargo run --release -p auth --example fill -- --data-dir /var/tmp/full
//!     cargo run --release -p auth --example fill -- --data-dir /var/tmp/full --measure 300
//!     cargo run --release -p auth --example fill -- --data-dir /var/tmp/full --users 0 --entries 200000 --batch 450
//!
//! With `--batch` the entries come as a busy agent sends them, one batch of that size after another, and the
//! processor's time that each entry took is printed; `--every` is the time from one batch to the next, in
//! milliseconds (0: at once).
//!
//! The folder is then one that `teleport start` can use (`teleport.data_dir`, same cluster name). Agents'
//! records end after ten minutes, so a benchmark of a whole cluster starts an agent with the apps of
//! `apps.yaml`, which is written beside it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a tool for developers: what goes wrong is printed and ends it"
)]

mod events;
mod ingest;
mod measure;
mod town;

use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use anyhow::{Context as _, Result, bail};

/// What is asked for.
struct Args {
    data_dir: PathBuf,
    cluster: String,
    users: u32,
    apps: u32,
    entries: u64,
    measure: Option<u32>,
    batch: Option<u64>,
    every: u64,
}

impl Args {
    fn read() -> Result<Self> {
        let mut args = Self {
            data_dir: PathBuf::new(),
            cluster: "teleport.example.com".to_owned(),
            users: 5_000,
            apps: 500,
            entries: 1_000_000,
            measure: None,
            batch: None,
            every: 0,
        };
        let mut words = std::env::args().skip(1);
        while let Some(flag) = words.next() {
            let value = words.next().with_context(|| format!("{flag} takes a value"))?;
            match flag.as_str() {
                "--data-dir" => args.data_dir = PathBuf::from(value),
                "--cluster" => args.cluster = value,
                "--users" => args.users = value.parse()?,
                "--apps" => args.apps = value.parse()?,
                "--entries" => args.entries = value.parse()?,
                "--measure" => args.measure = Some(value.parse()?),
                "--batch" => args.batch = Some(value.parse()?),
                "--every" => args.every = value.parse()?,
                _ => bail!(
                    "unknown flag {flag}; expected --data-dir DIR, --cluster NAME, --users N, \
                     --apps N, --entries N, --batch N with --every MS, or --measure ROUNDS for a folder that is full"
                ),
            }
        }
        if args.data_dir.as_os_str().is_empty() {
            bail!("--data-dir is missing");
        }
        Ok(args)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::read()?;
    let started = Instant::now();
    let town = town::Town::start(&args.data_dir, &args.cluster).await?;
    println!("started in {:.1} s", started.elapsed().as_secs_f64());
    let outcome = match args.measure {
        Some(rounds) => measure::run(&town, rounds, args.apps).await,
        None => fill(&town, &args).await,
    };
    town.stop().await;
    outcome
}

async fn fill(town: &town::Town, args: &Args) -> Result<()> {
    let timed = |what: &str, count: u64, since: Instant| {
        let seconds = since.elapsed().as_secs_f64();
        println!("{count} {what} in {seconds:.1} s ({:.0} a second)", count as f64 / seconds);
    };
    let since = Instant::now();
    town.add_users(args.users).await?;
    timed("users", args.users.into(), since);
    let apps = town::apps(args.apps)?;
    let list = serde_json::json!({ "apps": apps.iter().map(town::as_setting).collect::<Vec<_>>() });
    std::fs::write(args.data_dir.join("apps.yaml"), serde_json::to_string_pretty(&list)?)?;
    let since = Instant::now();
    let (entries, users, apps) = (args.entries, args.users, args.apps);
    let log = events::Log { cluster: args.cluster.clone(), entries, users, apps, end: now() };
    match args.batch {
        Some(batch) => {
            let every = std::time::Duration::from_millis(args.every);
            ingest::run(town, &log, batch.max(1), every).await?;
        }
        None => town.add_entries(&log).await?,
    }
    timed("audit entries", args.entries, since);
    println!("apps for an agent (JSON is YAML): {}", args.data_dir.join("apps.yaml").display());
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "an edge: here the clock is read")]
fn now() -> SystemTime {
    SystemTime::now()
}
