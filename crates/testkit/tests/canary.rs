//! AWS credentials never leave the agent: after a tour through everything, the
//! sandbox's secrets are in no reply, log, event, error, file or environment.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "a test that tells one story in one piece"
)]

use testkit::canary;
use testkit::clients::{self, Road};
use testkit::cluster::{Cluster, Plan, role_arn};
use testkit::process::run;

#[test]
fn no_aws_secret_is_seen_outside_the_agent() {
    // TRACE: what is not even logged there is not logged.
    let cluster = Cluster::start_with(&Plan { severity: "TRACE", ..Plan::default() });
    let tsh = cluster.ready_tsh();
    let proxy = tsh.proxy_aws(&[]);
    let endpoint = tsh.proxy_aws(&["--endpoint-url"]);
    let mut seen = String::new();
    for said in [
        run(clients::python(Road::HttpsProxy(&proxy), "boto3_tour.py", &["canary", "streams"]), ""),
        run(
            clients::python(
                Road::EndpointUrl(&endpoint),
                "boto3_tour.py",
                &["canary-two", "streams"],
            ),
            "",
        ),
        tsh.aws(&["dynamodb", "list-tables", "--debug"]),
        tsh.aws(&["dynamodb", "scan", "--table-name", "absent"]),
        tsh.aws(&["sts", "assume-role", "--role-arn", &role_arn("x"), "--role-session-name", "x"]),
        tsh.aws(&["sts", "get-session-token"]),
        tsh.run(&["aws", "--exec", "env", "--"]),
        tsh.run(&["apps", "config", "aws", "--format", "json"]),
        cluster.tctl(&["get", "all"]),
        cluster.tctl(&["audit", "ls", "--format", "json", "--limit", "10000"]),
    ] {
        seen.push_str(&said.stdout);
        seen.push_str(&said.stderr);
    }
    // Failures of AWS itself: STS refuses, the network is cut.
    cluster.sandbox.tell("fault", &serde_json::json!({ "throttle": 2 }));
    let said = tsh.aws(&["dynamodb", "list-tables"]);
    seen.push_str(&said.stderr);

    let agent = cluster.agent.as_ref().unwrap();
    for id in [cluster.server.id(), proxy.process.id(), endpoint.process.id()] {
        seen.push_str(&String::from_utf8_lossy(
            &std::fs::read(format!("/proc/{id}/environ")).unwrap(),
        ));
        seen.push_str(&String::from_utf8_lossy(
            &std::fs::read(format!("/proc/{id}/cmdline")).unwrap(),
        ));
    }
    seen.push_str(&String::from_utf8_lossy(
        &std::fs::read(format!("/proc/{}/cmdline", agent.id())).unwrap(),
    ));

    canary::assert_unseen(&cluster, seen.as_bytes());
}
