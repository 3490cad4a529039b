//! Web applications on hosts of their own, in a real browser: one of the tests' own, and JupyterLab.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on must say so and stop"
)]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::browser::browse;
use testkit::cluster::{Cluster, PASSWORD, Plan, clean};
use testkit::places;
use testkit::process::{Process, run, wait_until};

const HOST: &str = "proxy.causeway.test";
/// What is moved each way.
const BULK: u64 = 1_000_000_000;
/// What a process may grow by meanwhile.
const GROWTH: u64 = 64 * 1024 * 1024;

fn cluster_with(app: &str, port: u16) -> Cluster {
    let cluster = Cluster::start_with(&Plan {
        public_host: HOST,
        app_service: format!("  - name: {app}\n    uri: http://127.0.0.1:{port}/\n"),
        severity: "INFO",
        ..Plan::default()
    });
    for name in ["alice", "bob"] {
        let _ = cluster.user(name, "access");
    }
    cluster
}

fn origin(cluster: &Cluster, app: &str) -> String {
    format!("https://{app}.{}", cluster.public_addr)
}

/// The app of the tests, and a cluster that serves it.
fn own_app() -> (Process, Cluster, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let port = places::free_port();
    let mut command = clean("python3");
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/app_server.py");
    command.arg(program).arg(port.to_string());
    let process = Process::start("app", command, folder.path());
    wait_for_answer(&format!("http://127.0.0.1:{port}/headers"));
    (process, cluster_with("dumper", port), folder)
}

fn wait_for_answer(url: &str) {
    wait_until("the app", || {
        let mut command = clean("curl");
        command.args(["-s", "--fail", "-o", "/dev/null", "--noproxy", "*", url]);
        (run(command, "").code == 0).then_some(())
    });
}

#[test]
fn only_its_own_users_launch_opens_an_app_and_leads_nowhere_else() {
    let (_app, cluster, _folder) = own_app();
    let person = |name: &str| json!({"name": name, "password": PASSWORD});
    let settings = json!({
        "alice": person("alice"), "bob": person("bob"),
        "app": origin(&cluster, "dumper"), "unknown": origin(&cluster, "nothing"),
    });
    let _ = browse(&cluster, "app_attacks", settings);
}

#[test]
fn a_user_of_an_app_who_is_locked_is_cut_within_a_second() {
    let (_app, cluster, _folder) = own_app();
    let (signed_in, locked) = (cluster.folder().join("signed-in"), cluster.folder().join("locked"));
    let settings = json!({
        "name": "alice", "password": PASSWORD, "signedIn": signed_in, "locked": locked,
        "app": origin(&cluster, "dumper"),
    });
    let found = std::thread::scope(|scope| {
        let browsing = scope.spawn(|| browse(&cluster, "locked", settings));
        wait_until("the sign-in", || (signed_in.exists() || browsing.is_finished()).then_some(()));
        let _ = cluster.tctl(&["lock", "--user=alice"]).ok();
        std::fs::write(&locked, "").unwrap();
        browsing.join().unwrap()
    });
    assert!(found["asked"].as_u64().unwrap() > 0, "{found}");
    assert!(found["after"].as_u64().unwrap() < 1_000, "{found}");
}

#[test]
fn a_gigabyte_each_way_grows_no_process() {
    let (_app, cluster, _folder) = own_app();
    let app = origin(&cluster, "dumper");
    let settings = json!({"name": "alice", "password": PASSWORD, "app": app});
    let found = browse(&cluster, "app_cookie", settings);
    assert_eq!(found["events"], json!(["0", "1", "2"]), "server-sent events");
    let cookie = format!("Cookie: {}", found["cookie"].as_str().unwrap());
    let processes = [&cluster.server, cluster.agent.as_ref().unwrap()];
    let before = processes.map(Process::resident);
    let start = Instant::now();
    let mut down = Command::new("bash");
    let curl =
        format!("curl -sS -k --fail --noproxy '*' --connect-to '::127.0.0.1:' -H '{cookie}'");
    down.args(["-c", &format!("{curl} {app}/download/{BULK} | wc -c")]);
    assert_eq!(run(down, "").ok().trim(), BULK.to_string());
    let mut up = Command::new("bash");
    up.args(["-c", &format!("head -c {BULK} /dev/zero | {curl} -T - {app}/upload")]);
    let counted: serde_json::Value = serde_json::from_str(run(up, "").ok()).unwrap();
    assert_eq!(counted["count"], BULK);
    for (process, before) in processes.iter().zip(before) {
        let peak = process.resident_peak();
        assert!(peak < before + GROWTH, "from {before} to {peak} bytes in {:?}", start.elapsed());
    }
}

#[test]
fn jupyterlab_works_behind_its_subdomain() {
    let folder = tempfile::tempdir().unwrap();
    let port = places::free_port();
    let secret = "only the notebook knows";
    let mut hash = clean(places::python_client("python3"));
    let words = format!("from jupyter_server.auth import passwd; print(passwd({secret:?}))");
    hash.args(["-c", &words]);
    let hash = run(hash, "").ok().trim().to_owned();
    let mut command = clean(places::python_client("jupyter-lab"));
    command.args(["--no-browser", "--allow-root", "--ip=127.0.0.1"]);
    command.arg(format!("--port={port}")).arg("--ServerApp.port_retries=0");
    command.arg(format!("--PasswordIdentityProvider.hashed_password={hash}"));
    command.arg("--ServerApp.allow_remote_access=True");
    command.arg(format!("--ServerApp.root_dir={}", folder.path().display()));
    command.env("HOME", folder.path()).current_dir(folder.path());
    let _jupyter = Process::start("jupyter", command, folder.path());
    wait_for_answer(&format!("http://127.0.0.1:{port}/login"));
    let cluster = cluster_with("jupyter", port);
    let settings = json!({
        "name": "alice", "password": PASSWORD,
        "app": origin(&cluster, "jupyter"), "appPassword": secret,
    });
    let start = Instant::now();
    let found = browse(&cluster, "third_party_app", settings);
    assert_eq!(found["failed"], json!([]), "every asset and call is answered");
    assert!(start.elapsed() < Duration::from_secs(120));
}
