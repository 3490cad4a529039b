//! The roads to apps beside AWS calls, through real processes: a browser's, curl's, a local port's, and the sign-in to the
//! AWS console from a terminal.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on must say so and stop"
)]

use std::process::Command;

use serde_json::{Value, json};
use testkit::browser::browse;
use testkit::cluster::{Cluster, PASSWORD, Plan, ROLE, clean, role_arn};
use testkit::places;
use testkit::process::{Process, run, wait_until};
use testkit::tsh::Tsh;

const HOST: &str = "proxy.causeway.test";
/// What is moved each way.
const MANY: u64 = 1 << 30;

/// A web app of the tests.
struct Echo {
    _process: Process,
    port: u16,
}

impl Echo {
    fn start(folder: &std::path::Path) -> Self {
        let program = places::root().join("crates/testkit/clients/echo_app.py");
        let mut command = clean("python3");
        command.arg(program);
        let mut process = Process::start("echo", command, folder);
        let port = process.wait_for("port", |process| {
            let output = process.output();
            output.trim().strip_prefix("port ")?.parse().ok()
        });
        Self { _process: process, port }
    }
}

/// A cluster with the app as `echo`, as `other`, and as the TCP app `bytes`.
fn cluster(echo: &Echo) -> Cluster {
    let port = echo.port;
    let app_service = format!(
        "  - name: echo\n    uri: http://127.0.0.1:{port}\n    rewrite:\n      headers: ['X-Fixed: always']\n  - name: other\n    uri: http://127.0.0.1:{port}\n  - name: bytes\n    uri: tcp://127.0.0.1:{port}\n"
    );
    let cluster = Cluster::start_with(&Plan { app_service, public_host: HOST, ..Plan::default() });
    cluster.create_role("aws-dynamodb-access", &[&role_arn(ROLE)]);
    cluster
}

fn port_of(cluster: &Cluster) -> &str {
    cluster.public_addr.rsplit_once(':').unwrap().1
}

#[test]
fn a_web_app_works_in_the_browser_and_for_its_own_user_only() {
    let folder = tempfile::tempdir().unwrap();
    let echo = Echo::start(folder.path());
    let cluster = cluster(&echo);
    let _ = cluster.user("alice", "access");
    let (open, locked) = (cluster.folder().join("open"), cluster.folder().join("locked"));
    let origin = |app: &str| format!("https://{app}.{}", cluster.public_addr);
    let settings = json!({
        "app": origin("echo"), "other": origin("other"), "name": "alice", "password": PASSWORD,
        "open": open, "locked": locked,
    });
    let found = std::thread::scope(|scope| {
        let browsing = scope.spawn(|| browse(&cluster, "web_app", settings));
        wait_until("the open socket", || (open.exists() || browsing.is_finished()).then_some(()));
        let _ = cluster.tctl(&["lock", "--user=alice"]).ok();
        std::fs::write(&locked, "").unwrap();
        browsing.join().unwrap()
    });
    assert!(found["after"].as_i64().unwrap() < 1_000, "{found}");
    let paths = |events: &[Value]| -> Vec<String> {
        events.iter().filter_map(|event| Some(event["path"].as_str()?.to_owned())).collect()
    };
    for path in ["/page", "/echo//b%2Fc", "/ws", "/events", "/form"] {
        wait_until(path, || {
            paths(&cluster.audit(&["--app", "echo"])).contains(&path.to_owned()).then_some(())
        });
    }
    let all = cluster.audit(&[]).iter().map(Value::to_string).collect::<String>();
    assert!(!all.contains("__Host-causeway") && !all.contains("eyJ"), "no cookie and no token");
}

/// The curl command for the app `echo`, as `tsh apps config` knows it.
fn curl(cluster: &Cluster, tsh: &Tsh, path: &str) -> Command {
    let config: Value =
        serde_json::from_str(tsh.run(&["apps", "config", "echo", "--format=json"]).ok()).unwrap();
    let field = |name: &str| config[name].as_str().unwrap().to_owned();
    let mut command = Command::new("curl");
    let resolve = format!("echo.{HOST}:{}:127.0.0.1", port_of(cluster));
    command.args(["-sS", "-k", "--path-as-is", "--noproxy", "*", "--resolve", &resolve]);
    command.args(["--cert", &field("cert"), "--key", &field("key")]);
    command.arg(format!("{}{path}", field("uri")));
    command
}

fn logged_in(cluster: &Cluster) -> Tsh {
    let account = cluster.user("alice", "access,aws-dynamodb-access");
    let tsh = cluster.tsh();
    let _ = tsh.login(&account).ok();
    let said = tsh.run(&["apps", "login", "echo"]);
    assert!(said.ok().contains("Example curl command"), "{}", said.stdout);
    tsh
}

#[test]
fn curl_uses_a_web_app_with_its_certificate_and_streams_without_growing() {
    let folder = tempfile::tempdir().unwrap();
    let echo = Echo::start(folder.path());
    let cluster = cluster(&echo);
    let tsh = logged_in(&cluster);
    let mut ask = curl(&cluster, &tsh, "/a//b/../c%2Fd?x=1+2");
    ask.args(["-H", "X_Fixed: forged"]);
    let said: Value = serde_json::from_str(run(ask, "").ok()).unwrap();
    assert_eq!(said["target"], "/a//b/../c%2Fd?x=1+2");
    let headers = said["headers"].to_string();
    assert!(headers.contains("[\"x-fixed\",\"always\"]") && !headers.contains("forged"));
    // Another app's host, and the pages, take no such certificate.
    for host in [format!("other.{HOST}"), format!("aws.{HOST}"), HOST.to_owned()] {
        let mut command = curl(&cluster, &tsh, "/");
        let port = port_of(&cluster);
        command.args([
            "-H",
            &format!("Host: {host}:{port}"),
            "-w",
            "%{http_code}",
            "-o",
            "/dev/null",
        ]);
        let code = run(command, "").stdout;
        assert!(code == "421" || code == "404", "{host}: {code}");
    }
    let before = peak(&cluster);
    let mut download = curl(&cluster, &tsh, &format!("/big?bytes={MANY}"));
    download.args(["-o", "/dev/null", "-w", "%{size_download}"]);
    assert_eq!(run(download, "").ok(), MANY.to_string());
    let zeros = cluster.folder().join("zeros");
    std::fs::File::create(&zeros).unwrap().set_len(MANY).unwrap();
    let mut upload = curl(&cluster, &tsh, "/upload");
    upload.arg("-T").arg(&zeros);
    let said: Value = serde_json::from_str(run(upload, "").ok()).unwrap();
    assert_eq!(said["bytes"], MANY);
    let grown = peak(&cluster) - before;
    assert!(grown < 64 << 20, "proxy and agent grew by {} MiB", grown >> 20);
    // Logged out, the certificate opens nothing.
    let shown = curl(&cluster, &tsh, "/");
    let _ = tsh.run(&["apps", "logout", "echo"]).ok();
    assert_ne!(run(shown, "").code, 0);
}

fn peak(cluster: &Cluster) -> u64 {
    cluster.server.resident_peak() + cluster.agent.as_ref().unwrap().resident_peak()
}

#[test]
fn the_aws_console_opens_from_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let echo = Echo::start(folder.path());
    let cluster = cluster(&echo);
    let tsh = logged_in(&cluster);
    let said = tsh.run(&["apps", "launch", "aws", "--aws-role", ROLE, "--browser=none"]);
    let url = said.ok().trim().to_owned();
    assert!(url.starts_with(&format!("{}/federation?Action=login&", cluster.sandbox.url)));
    let mut command = Command::new("curl");
    command.args(["-sS", "--fail", "--noproxy", "*", "-H", "Accept: application/json", &url]);
    let signed_in: Value = serde_json::from_str(run(command, "").ok()).unwrap();
    assert_eq!(signed_in["Arn"], format!("arn:aws:sts::111122223333:assumed-role/{ROLE}/alice"));
    assert_eq!(signed_in["SessionName"], "alice");
    assert_eq!(signed_in["Destination"], "https://console.aws.amazon.com/home/home");
    let seconds = signed_in["SessionSeconds"].as_i64().unwrap();
    assert!((41_000..=43_200).contains(&seconds), "{seconds}");
    let event = cluster.wait_audit("the sign-in", |event| event["operation"] == "ConsoleSignIn");
    assert_eq!((&event["user"], &event["outcome"]), (&json!("alice"), &json!("answered")));
    let token = url.rsplit_once("SigninToken=").unwrap().1.to_owned();
    let logs = [cluster.server.output(), cluster.agent.as_ref().unwrap().output()].concat();
    let events = cluster.audit(&[]).iter().map(Value::to_string).collect::<String>();
    assert!(!logs.contains(&token) && !events.contains(&token), "the token is kept somewhere");
    let web = tsh.run(&["apps", "launch", "echo", "--browser=none"]);
    // By the name under which this user knows the proxy.
    assert_eq!(web.ok().trim(), format!("https://echo.{}", cluster.proxy));
    let refused = tsh.run(&["apps", "launch", "aws", "--aws-role", "NoSuchRole", "--browser=none"]);
    assert!(refused.failed().contains("NoSuchRole"));
}

#[test]
fn a_local_port_leads_to_web_and_tcp_apps() {
    let folder = tempfile::tempdir().unwrap();
    let echo = Echo::start(folder.path());
    let cluster = cluster(&echo);
    let tsh = logged_in(&cluster);
    for app in ["echo", "bytes"] {
        let port = places::free_port().to_string();
        let command = tsh.command(&["proxy", "app", app, "--port", &port]);
        let mut proxy = Process::start(&format!("proxy-{app}"), command, cluster.folder());
        proxy.wait_for("banner", |proxy| proxy.output().contains("Proxying").then_some(()));
        let url = format!("http://127.0.0.1:{port}/x//y?z=1");
        let mut ask = Command::new("curl");
        ask.args(["-sS", "--fail", "--path-as-is", "--noproxy", "*", &url]);
        let said: Value = serde_json::from_str(run(ask, "").ok()).unwrap();
        assert_eq!(said["target"], "/x//y?z=1", "{app}");
        // A name that a foreign page has given to this machine.
        let mut rebound = Command::new("curl");
        rebound.args([
            "-sS",
            "--noproxy",
            "*",
            "-H",
            "Host: evil.causeway.test",
            "-w",
            "%{http_code}",
            "-o",
            "/dev/null",
            &url,
        ]);
        let code = run(rebound, "").stdout;
        assert_eq!(code, if app == "echo" { "400" } else { "200" }, "{app}");
    }
    let refused = tsh.run(&["proxy", "app", "aws"]);
    assert!(refused.failed().contains("tsh proxy aws --app aws"));
    let _ = cluster.wait_audit("the TCP connection", |event| {
        event["method"] == "CONNECT" && event["app_name"] == "bytes"
    });
}
