//! Large bodies stream: 200 MB each way, with bounded memory in every process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "a test that tells one story in one piece"
)]

use std::io::Write as _;

use testkit::clients::{self, Road};
use testkit::cluster::Cluster;
use testkit::process::run;

const SIZE: usize = 200 * 1024 * 1024;
const LIMIT: u64 = 100 * 1024 * 1024;

#[test]
fn two_hundred_megabytes_go_both_ways_with_bounded_memory() {
    let cluster = Cluster::start();
    let tsh = cluster.ready_tsh();
    cluster.server.forget_peak();
    let file = cluster.folder().join("large");
    let mut out = std::io::BufWriter::new(std::fs::File::create(&file).unwrap());
    for n in 0..SIZE / 8 {
        out.write_all(&(n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes()).unwrap();
    }
    out.flush().unwrap();
    for (bucket, options) in
        [("by-proxy", [].as_slice()), ("by-endpoint", ["--endpoint-url"].as_slice())]
    {
        let proxy = tsh.proxy_aws(options);
        let road =
            if options.is_empty() { Road::HttpsProxy(&proxy) } else { Road::EndpointUrl(&proxy) };
        let program =
            clients::python(road, "large_object.py", &[bucket, &file.display().to_string()]);
        let said = run(program, "");
        assert!(said.ok().ends_with("ok\n"), "{} {}", said.stdout, said.stderr);
        let agent = cluster.agent.as_ref().unwrap();
        for (name, peak) in [
            ("agent", agent.resident_peak()),
            ("proxy", cluster.server.resident_peak()),
            ("tsh", proxy.process.resident_peak()),
        ] {
            assert!(peak > 0 && peak < LIMIT, "{name} had {} MB resident", peak / 1024 / 1024);
        }
    }
}
