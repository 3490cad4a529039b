//! How long the pages take on a full cluster: 5,000 users, 500 apps, a million audit entries.
//!
//!     make bench-pages
//!
//! The folder that is named (default `target/full`) is filled first if it is empty, which takes some
//! minutes. Printed for each page: the time from the request's last byte to the answer's first, on a
//! kept connection over TLS, at the median and at the 95th of 100, and the bytes of the page.
#![allow(
    clippy::print_stdout,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a program for developers"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::cluster::{Cluster, Plan};
use testkit::places;
use testkit::visitor::Visitor;

const ROUNDS: usize = 100;

fn main() {
    let named = std::env::args().nth(1).map(PathBuf::from);
    let full = named.unwrap_or_else(|| places::target().join("full"));
    fill(&full);
    let cluster = Cluster::start_with(&Plan {
        public_host: "proxy.causeway.test",
        data_dir: Some(full.clone()),
        app_service: apps(&full),
        severity: "WARN",
        ..Plan::default()
    });
    let name = format!("bench-{}", std::process::id());
    let admin = cluster.user(&name, "editor,auditor,access");
    let visitor = Visitor::of(&cluster);
    visitor.sign_in(&admin);
    println!("| page | p50, ms | p95, ms | KB |\n|---|---|---|---|");
    for path in pages(&visitor) {
        let _ = visitor.measure(&path, 5);
        let mut measured = visitor.measure(&path, ROUNDS);
        measured.sort_by_key(|one| one.waited);
        let ms = |at: usize| measured[at].waited.as_secs_f64() * 1000.0;
        let kilobytes = measured[0].bytes as f64 / 1024.0;
        println!(
            "| `{path}` | {:.1} | {:.1} | {kilobytes:.0} |",
            ms(ROUNDS / 2),
            ms(ROUNDS * 95 / 100)
        );
    }
    let _ = cluster.tctl(&["users", "rm", &name]);
}

fn fill(full: &Path) {
    if full.join("auth").exists() {
        return;
    }
    let program = places::target().join("release/examples/fill");
    let status = Command::new(&program).arg("--data-dir").arg(full).status();
    assert!(status.is_ok_and(|status| status.success()), "{} failed", program.display());
}

/// The apps for the agent, as lines of its settings.
fn apps(full: &Path) -> String {
    let text = std::fs::read_to_string(full.join("apps.yaml")).unwrap();
    let list: serde_json::Value = serde_json::from_str(&text).unwrap();
    let apps = list["apps"].as_array().unwrap();
    apps.iter().map(|app| format!("  - {app}\n")).collect()
}

fn pages(visitor: &Visitor) -> Vec<String> {
    // The first that a list leads to; exports and filters have a query.
    let first = |list: &str, prefix: &str| {
        let page = visitor.get(list);
        let start = format!("href=\"{prefix}");
        let parts = page.split(&start).skip(1);
        let mut names = parts.map(|rest| rest.split('"').next().unwrap().to_owned());
        let is_name = |name: &String| !name.contains('?');
        names.find(is_name).map(|name| format!("{prefix}{name}"))
    };
    let mut pages: Vec<String> = [
        "/web/apps",
        "/web/apps?search=prod",
        "/web/apps/aws",
        "/web/account",
        "/web/overview",
        "/web/users",
        "/web/users?search=77",
        "/web/users/new",
        "/web/roles",
        "/web/tokens",
        "/web/agents",
        "/web/locks",
        "/web/audit",
        "/web/audit?outcome=denied",
        "/web/audit?operation=PutItem",
        "/web/audit?text=orders",
        "/web/audit?user=nobody",
    ]
    .map(str::to_owned)
    .into();
    pages.extend(first("/web/agents", "/web/agents/"));
    pages.extend(first("/web/audit", "/web/audit/"));
    pages
}
