//! Uploads in signed chunks: verified beside the user, signed again by the agent, checked by the sandbox's own code.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that tells one story in one piece, and says how fast it was"
)]

use testkit::clients::{self, Road};
use testkit::cluster::Cluster;
use testkit::process::run;

const MEMORY: u64 = 100 << 20;

/// Uploads so many MB in each mode, and looks at every process's memory.
fn upload(megabytes: u32, modes: &[&str]) {
    let cluster = Cluster::start();
    let tsh = cluster.ready_tsh();
    cluster.server.forget_peak();
    let proxy = tsh.proxy_aws(&[]);
    let endpoint = tsh.proxy_aws(&["--endpoint-url"]);
    for (road, local, bucket) in [
        (Road::HttpsProxy(&proxy), &proxy, "by-proxy"),
        (Road::EndpointUrl(&endpoint), &endpoint, "by-endpoint"),
    ] {
        for mode in modes {
            let arguments = [bucket, &megabytes.to_string(), mode];
            let said = run(clients::python(road, "signed_chunks.py", &arguments), "");
            assert!(said.ok().ends_with("ok\n"), "{mode}: {} {}", said.stdout, said.stderr);
            println!("{bucket}: {mode}: {}", said.stdout.trim_end().replace('\n', "; "));
        }
        let agent = cluster.agent.as_ref().unwrap();
        for (name, peak) in [
            ("agent", agent.resident_peak()),
            ("proxy", cluster.server.resident_peak()),
            ("tsh", local.process.resident_peak()),
        ] {
            println!("{bucket}: {name} had {} MB resident", peak >> 20);
            assert!(peak > 0 && peak < MEMORY, "{name} had {} MB resident", peak >> 20);
        }
    }
}

#[test]
fn signed_chunks_are_stored_whole_and_a_changed_one_is_not_stored() {
    upload(3, &["plain", "trailer", "bad"]);
}

#[test]
fn three_hundred_megabytes_in_signed_chunks_take_little_memory() {
    upload(300, &["trailer"]);
}

#[test]
#[ignore = "five gigabytes each way take minutes: cargo nextest run -p testkit --test chunks --run-ignored all five"]
fn five_gigabytes_in_signed_chunks_take_little_memory() {
    upload(5 * 1024, &["plain"]);
}
