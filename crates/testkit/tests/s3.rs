//! S3 through both kinds of local proxy, in every way that clients sign and send bodies.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "a test that tells one story in one piece"
)]

use testkit::clients::{self, Road};
use testkit::cluster::Cluster;
use testkit::process::run;

#[test]
fn boto3_signs_and_sends_in_every_way_through_both_proxies() {
    let cluster = Cluster::start();
    let tsh = cluster.ready_tsh();
    let proxy = tsh.proxy_aws(&[]);
    let endpoint = tsh.proxy_aws(&["--endpoint-url"]);
    for (road, bucket) in
        [(Road::HttpsProxy(&proxy), "by-proxy"), (Road::EndpointUrl(&endpoint), "by-endpoint")]
    {
        let said = run(clients::python(road, "s3_modes.py", &[bucket]), "");
        assert!(said.ok().ends_with("ok\n"), "{bucket}: {} {}", said.stdout, said.stderr);
    }
}

#[test]
fn the_javascript_sdk_signs_and_sends_in_every_way() {
    let cluster = Cluster::start();
    let endpoint = cluster.ready_tsh().proxy_aws(&["--endpoint-url"]);
    let said = run(clients::node(Road::EndpointUrl(&endpoint), "s3_modes.mjs", &["by-js"]), "");
    assert!(said.ok().ends_with("ok\n"), "{} {}", said.stdout, said.stderr);
}

#[test]
fn the_aws_cli_uploads_and_downloads_files_through_both_proxies() {
    let cluster = Cluster::start();
    let tsh = cluster.ready_tsh();
    let file = cluster.folder().join("a file");
    std::fs::write(&file, vec![7; 20 << 20]).unwrap();
    let proxy = tsh.proxy_aws(&[]);
    let endpoint = tsh.proxy_aws(&["--endpoint-url"]);
    for (road, bucket) in
        [(Road::HttpsProxy(&proxy), "cli-proxy"), (Road::EndpointUrl(&endpoint), "cli-endpoint")]
    {
        let back = cluster.folder().join(format!("{bucket} back"));
        let (there, path) = (format!("s3://{bucket}/dir/a file+é"), file.display().to_string());
        for arguments in [
            &["s3", "mb", &format!("s3://{bucket}")][..],
            // In parts, 20 MB.
            &["s3", "cp", "--no-progress", &path, &there],
            &["s3", "cp", "--no-progress", &there, &back.display().to_string()],
            &["s3", "ls", &format!("s3://{bucket}/dir/")],
        ] {
            let said = run(clients::aws_cli(road, arguments), "");
            assert_eq!(said.code, 0, "{arguments:?}: {} {}", said.stdout, said.stderr);
        }
        assert!(std::fs::read(&back).unwrap() == std::fs::read(&file).unwrap(), "{bucket}");
    }
}

#[test]
fn sigv4a_goes_through_both_proxies_and_is_signed_again() {
    let cluster = Cluster::start();
    let tsh = cluster.ready_tsh();
    let proxy = tsh.proxy_aws(&[]);
    let endpoint = tsh.proxy_aws(&["--endpoint-url"]);
    for (road, bucket) in
        [(Road::HttpsProxy(&proxy), "by-proxy"), (Road::EndpointUrl(&endpoint), "by-endpoint")]
    {
        let said = run(clients::python(road, "sigv4a.py", &[bucket]), "");
        assert!(said.ok().ends_with("ok\n"), "{bucket}: {} {}", said.stdout, said.stderr);
    }
}
