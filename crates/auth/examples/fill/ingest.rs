//! Entries as a busy agent sends them, and what the processor spends on each.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::Bytes;

use crate::events::Log;
use crate::town::Town;

/// Entries whose lines are written down before the clock runs.
const AHEAD: u64 = 50_000;
/// Ticks of `/proc/self/stat` in a second.
const TICKS: f64 = 100.0;

/// Sends the log in batches, one after another, and prints what it took; the sender's own share (TLS and HTTP) is in it.
pub(crate) async fn run(town: &Town, log: &Log, batch: u64, every: Duration) -> Result<()> {
    let agent = town.agent().await?;
    let (mut spent, mut waited, mut bytes) = (0.0, Vec::new(), 0);
    let started = Instant::now();
    for ahead in (0..log.entries).step_by(usize::try_from(AHEAD)?) {
        let end = (ahead + AHEAD).min(log.entries);
        let starts = (ahead..end).step_by(usize::try_from(batch)?);
        let batches: Vec<_> =
            starts.map(|first| Bytes::from(log.lines(first, batch.min(end - first)))).collect();
        let before = spent_so_far()?;
        for lines in batches {
            let since = Instant::now();
            bytes += lines.len();
            agent.store_audit(lines).await?;
            waited.push(since.elapsed());
            tokio::time::sleep(every.saturating_sub(since.elapsed())).await;
        }
        spent += spent_so_far()? - before;
    }
    waited.sort_unstable();
    let at = |part: usize| waited.get((waited.len() - 1) * part / 100).copied().unwrap_or_default();
    let entries = log.entries.max(1) as f64;
    println!(
        "{:.1} µs of processor an entry of {:.0} bytes; a batch of {batch}: p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms; {:.1} s",
        spent * 1e6 / entries,
        bytes as f64 / entries,
        at(50).as_secs_f64() * 1e3,
        at(99).as_secs_f64() * 1e3,
        at(100).as_secs_f64() * 1e3,
        started.elapsed().as_secs_f64(),
    );
    let status = std::fs::read_to_string("/proc/self/status")?;
    println!("{}", status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default());
    Ok(())
}

/// Seconds of processor that this process has used.
fn spent_so_far() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').context("no name in /proc/self/stat")?;
    let ticks = |place: usize| -> Result<f64> {
        Ok(fields.split_whitespace().nth(place).context("too few fields")?.parse()?)
    };
    Ok((ticks(11)? + ticks(12)?) / TICKS)
}
