//! `kill -9` at random moments under load: no answer without its audit entry,
//! an unbroken chain, clients that go on by themselves.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "a test that tells one story in one piece"
)]

use std::collections::HashSet;
use std::time::{Duration, Instant};

use testkit::clients::{self, Road};
use testkit::cluster::{Cluster, Plan};
use testkit::process::Process;

const ROUNDS: u32 = 20;
/// Longest that a client may go without an answer after a kill.
const RECOVERY: Duration = Duration::from_secs(20);

#[test]
fn every_answered_call_is_in_the_audit_log_whatever_is_killed() {
    let plan = Plan { severity: "INFO", ..Plan::default() };
    let mut cluster = Cluster::start_with(&plan);
    let tsh = cluster.ready_tsh();
    let proxy = tsh.proxy_aws(&[]);
    let mut load = Process::start(
        "load",
        clients::python(Road::HttpsProxy(&proxy), "load.py", &[]),
        cluster.folder(),
    );
    load.wait_for("first answers", |load| (answered(load).len() > 20).then_some(()));
    let mut chance = 0x2545_F491_4F6C_DD1D_u64 ^ u64::from(std::process::id());
    for round in 0..ROUNDS {
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        std::thread::sleep(Duration::from_millis(50 + chance % 400));
        if chance.is_multiple_of(2) {
            cluster.agent.as_mut().unwrap().crash();
            cluster.restart_agent(&plan);
        } else {
            cluster.restart_server();
        }
        let before = answered(&load).len();
        let start = Instant::now();
        load.wait_for("answers after the kill", |load| {
            assert!(
                start.elapsed() < RECOVERY,
                "round {round}: no answer {RECOVERY:?} after the kill"
            );
            (answered(load).len() > before + 5).then_some(())
        });
    }
    load.signal("TERM");
    assert!(load.wait().success(), "{}", load.output());
    let answered = answered(&load);
    assert!(answered.len() > 200, "only {} calls were answered", answered.len());

    // The agent ships what it has; then each answered call is there.
    let missing = testkit::process::wait_until("all entries", || {
        let known = request_ids(&cluster);
        let missing: Vec<&String> = answered.iter().filter(|id| !known.contains(*id)).collect();
        // An entry without outcome (agent killed between answer and record) has no request id.
        let unknown = unknown_outcomes(&cluster);
        (missing.len() <= unknown).then_some(missing.len())
    });
    let unknown = unknown_outcomes(&cluster);
    assert!(
        missing <= unknown,
        "{missing} answered calls have no entry ({unknown} entries of unknown outcome)"
    );
    let said = cluster.tctl(&["audit", "verify"]);
    let _ = said.ok();
}

/// AWS request ids of the calls that the load program saw answered.
fn answered(load: &Process) -> HashSet<String> {
    let output = load.output();
    output.lines().filter_map(|line| line.strip_prefix("answered ")).map(str::to_owned).collect()
}

fn all_requests(cluster: &Cluster) -> Vec<serde_json::Value> {
    let mut found = Vec::new();
    let mut after = 0;
    loop {
        let page = cluster.audit(&["--after", &after.to_string()]);
        let Some(last) = page.last() else { return found };
        after = last["seq"].as_u64().unwrap();
        found.extend(page);
    }
}

fn request_ids(cluster: &Cluster) -> HashSet<String> {
    let events = all_requests(cluster);
    events
        .iter()
        .filter_map(|event| Some(event.get("aws_request_id")?.as_str()?.to_owned()))
        .collect()
}

fn unknown_outcomes(cluster: &Cluster) -> usize {
    all_requests(cluster).iter().filter(|event| event["outcome"] == "unknown").count()
}
