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
use testkit::cluster::{Cluster, ROLE, clean, role_arn};
use testkit::process::{run, wait_until};

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

/// Config files by which the AWS CLI signs and sends bodies in other ways.
const CLI_MODES: [(&str, &str); 4] = [
    ("usual", "signature_version = s3v4"),
    ("hashed", "payload_signing_enabled = true\nrequest_checksum_calculation = when_required"),
    ("unsigned", "payload_signing_enabled = false\nrequest_checksum_calculation = when_required"),
    ("path", "addressing_style = path"),
];

#[test]
fn the_aws_cli_signs_and_sends_in_every_way_through_both_proxies() {
    let cluster = Cluster::start();
    let tsh = cluster.ready_tsh();
    for (mode, text) in CLI_MODES {
        let text = format!("[default]\ns3 =\n  {text}\n");
        std::fs::write(cluster.folder().join(mode), text).unwrap();
    }
    let file = cluster.folder().join("body");
    std::fs::write(&file, (0..200_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>())
        .unwrap();
    let body = file.display().to_string();
    let proxy = tsh.proxy_aws(&[]);
    let endpoint = tsh.proxy_aws(&["--endpoint-url"]);
    for (road, bucket) in
        [(Road::HttpsProxy(&proxy), "cli-proxy"), (Road::EndpointUrl(&endpoint), "cli-endpoint")]
    {
        let aws_by = |mode: &str, arguments: &[&str]| {
            let mut command = clients::aws_cli(road, arguments);
            command.env("AWS_CONFIG_FILE", cluster.folder().join(mode));
            let said = run(command, "");
            assert_eq!(said.code, 0, "{arguments:?}: {} {}", said.stdout, said.stderr);
            said.stdout.trim().to_owned()
        };
        let back = cluster.folder().join(format!("{bucket} body")).display().to_string();
        let aws = |arguments: &[&str]| aws_by("usual", arguments);
        let came_back = |key: &str| {
            let _ = aws(&["s3api", "get-object", "--bucket", bucket, "--key", key, &back]);
            assert!(std::fs::read(&back).unwrap() == std::fs::read(&file).unwrap(), "{key}");
        };
        let _ = aws(&["s3", "mb", &format!("s3://{bucket}")]);
        let put = ["s3api", "put-object", "--bucket", bucket, "--body", &body, "--key"];
        for (mode, _) in CLI_MODES {
            let _ = aws_by(mode, &[&put[..], &[mode]].concat());
            came_back(mode);
            let there = format!("s3://{bucket}/by cp {mode}");
            let _ = aws_by(mode, &["s3", "cp", "--no-progress", &body, &there]);
            came_back(&format!("by cp {mode}"));
        }
        for algorithm in ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"] {
            let _ = aws(&[&put[..], &[algorithm, "--checksum-algorithm", algorithm]].concat());
            came_back(algorithm);
        }
        for key in
            ["a//b", "a/../b", "./a", "a b+c", "a%2Fb", "\u{fc}n\u{ef}/\u{2603}", "q?x=1&y#z"]
        {
            let _ = aws(&[&put[..], &[key]].concat());
            came_back(key);
        }
        // From a pipe: its length is not known before.
        let piped = format!("s3://{bucket}/piped");
        let command = clients::aws_cli(road, &["s3", "cp", "-", &piped]);
        let _ = run(command, &"x".repeat(9 << 20)).ok();
        assert_eq!(aws(&["s3", "cp", &piped, "-"]).len(), 9 << 20);
        let object = format!("s3://{bucket}/a b+c");
        let url = aws(&["s3", "presign", &object]);
        assert!(fetched(road, &url) == std::fs::read(&file).unwrap());
    }
}

/// What a program that knows nothing of AWS gets at a URL.
fn fetched(road: Road<'_>, url: &str) -> Vec<u8> {
    let mut command = clean("curl");
    road.apply(&mut command);
    let (Road::HttpsProxy(local) | Road::EndpointUrl(local)) = road else { panic!("a proxy") };
    command.args(["-sS", "--fail-with-body", "--cacert", local.value("AWS_CA_BUNDLE"), url]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
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

/// More than the head of any request.
const HEAD: u64 = 16 << 10;

#[test]
fn a_large_upload_is_not_sent_where_aws_or_a_rule_refuses_it() {
    let cluster = Cluster::start();
    let tsh = cluster.ready_tsh();
    let proxy = tsh.proxy_aws(&[]);
    let endpoint = tsh.proxy_aws(&["--endpoint-url"]);
    let roads = [Road::HttpsProxy(&proxy), Road::EndpointUrl(&endpoint)];
    let _ = run(clients::aws_cli(roads[0], &["s3", "mb", "s3://large"]), "").ok();
    // How many bytes the client sends.
    let upload = |road: Road<'_>, expected: &str| {
        let said = run(clients::python(road, "expect.py", &["large", expected]), "");
        let line = said.ok().trim().to_owned();
        let read = line.strip_prefix(expected).unwrap_or_else(|| panic!("{line}")).trim();
        read.parse::<u64>().unwrap()
    };
    let arn = role_arn(ROLE);
    let may = |actions: &[&str]| serde_json::json!({ "arn": arn, "allow": actions });
    for road in roads {
        cluster.sandbox.tell("roles", &may(&[]));
        assert!(upload(road, "put") >= 50 << 20);
        cluster.sandbox.tell("roles", &may(&["s3:Get*"]));
        assert!(upload(road, "refused") < HEAD, "refused by AWS");
    }
    cluster.sandbox.tell("roles", &may(&[]));
    let deny = format!(
        "kind: role\nversion: v5\nmetadata:\n  name: aws-dynamodb-access\nspec:\n  allow:\n    app_labels:\n      '*': '*'\n    aws_role_arns: ['{arn}']\n  deny:\n    aws_role_arns: ['{arn}']\n"
    );
    let _ = cluster.tctl_with_input(&["create", "-f"], &deny).ok();
    wait_until("the rule at the agent", || {
        let said = run(clients::aws_cli(roads[0], &["s3", "ls"]), "");
        (said.code != 0).then_some(())
    });
    for road in roads {
        assert!(upload(road, "refused") < HEAD, "refused by a rule");
    }
}
