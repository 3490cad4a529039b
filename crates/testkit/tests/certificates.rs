//! Web certificates with the real binaries: ordered from a real ACME server, or from files that change.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on must say so and stop"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use testkit::cluster::{Cluster, Plan, clean};
use testkit::pebble::Pebble;
use testkit::places;
use testkit::process::{Said, run, wait_until};

const HOST: &str = "proxy.causeway.test";

/// Asks the proxy under a name that only this command resolves.
fn ask(cluster: &Cluster, host: &str, root: &Path) -> Said {
    let port = cluster.public_addr.rsplit(':').next().unwrap();
    let mut command = clean("curl");
    command.args(["-sS", "--noproxy", "*", "--max-time", "30", "--output", "/dev/null"]);
    command.args(["--write-out", "%{http_code} %{ssl_verify_result}", "--cacert"]).arg(root);
    command.arg("--resolve").arg(format!("{host}:{port}:127.0.0.1"));
    command.arg(format!("https://{host}:{port}/webapi/ping"));
    run(command, "")
}

/// Serial number and names of the certificate that is shown for a name.
fn shown(cluster: &Cluster, host: &str) -> String {
    let port = cluster.public_addr.rsplit(':').next().unwrap();
    let script = format!(
        "openssl s_client -connect 127.0.0.1:{port} -servername {host} </dev/null 2>/dev/null \
         | openssl x509 -noout -serial -ext subjectAltName -issuer"
    );
    let mut command = clean("bash");
    command.args(["-c", &script]);
    run(command, "").stdout
}

fn acme_plan(folder: &Path, life: Duration) -> (Pebble, Plan) {
    let web = places::free_port();
    let pebble = Pebble::start(folder, web, life);
    let root = pebble.listener_root().display().to_string();
    let plan = Plan {
        public_host: HOST,
        web_port: Some(web),
        proxy_service: format!(
            "  acme:\n    enabled: yes\n    email: admin@causeway.test\n    uri: {}\n",
            pebble.directory()
        ),
        server_environment: vec![("SSL_CERT_FILE".to_owned(), root)],
        app_service: "  - name: grafana\n    uri: http://127.0.0.1:9\n  \
                      - name: wiki\n    uri: http://127.0.0.1:9\n    public_addr: wiki.causeway.test\n"
            .to_owned(),
        ..Plan::default()
    };
    (pebble, plan)
}

#[test]
fn a_ca_certifies_the_public_host_and_enrolled_apps_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (pebble, plan) = acme_plan(folder.path(), Duration::from_secs(90 * 24 * 3600));
    let mut cluster = Cluster::start_with(&plan);
    let root = pebble.issuing_root();
    wait_until("a certificate for the public host", || {
        (ask(&cluster, HOST, &root).code == 0).then_some(())
    });
    let app = format!("grafana.{HOST}");
    for host in [&app, "wiki.causeway.test"] {
        assert!(!pebble.process.output().contains(host), "{host} was ordered before it was used");
        let first = ask(&cluster, host, &root);
        assert_eq!(first.code, 0, "{host}: {first:?}\n{}", cluster.server.output());
        assert!(shown(&cluster, host).contains(&format!("DNS:{host}\n")), "that name alone");
    }
    let foreign = [format!("other.{HOST}"), format!("a.{app}"), "other.causeway.test".to_owned()];
    for host in &foreign {
        let said = ask(&cluster, host, &root);
        assert_eq!(said.code, 60, "{host} is shown no certificate for it: {said:?}");
        assert!(!pebble.process.output().contains(host.as_str()), "{host} was ordered");
    }
    let before = shown(&cluster, &app);
    cluster.restart_server();
    cluster.wait_server();
    wait_until("the certificates after a restart", || {
        (ask(&cluster, &app, &root).code == 0).then_some(())
    });
    assert_eq!(shown(&cluster, &app), before, "kept, not ordered anew");
    let log = cluster.server.output();
    assert!(!log.contains("PRIVATE KEY"), "a key in the log");
}

#[test]
fn short_certificates_are_renewed_ahead_of_time() {
    let folder = tempfile::tempdir().unwrap();
    let (pebble, plan) = acme_plan(folder.path(), Duration::from_secs(30));
    let cluster = Cluster::without_agent(&plan);
    let root = pebble.issuing_root();
    let first = wait_until("a certificate", || {
        (ask(&cluster, HOST, &root).code == 0).then(|| shown(&cluster, HOST))
    });
    let mut last = first;
    for renewal in 0..2 {
        last = wait_until("a renewed certificate", || {
            let said = ask(&cluster, HOST, &root);
            assert_eq!(said.code, 0, "renewal {renewal}: {said:?}\n{}", cluster.server.output());
            let now = shown(&cluster, HOST);
            (now != last).then_some(now)
        });
    }
}

#[test]
fn a_ca_that_cannot_be_reached_leaves_the_proxy_working() {
    let folder = tempfile::tempdir().unwrap();
    let (mut pebble, plan) = acme_plan(folder.path(), Duration::from_secs(90 * 24 * 3600));
    pebble.process.crash();
    let cluster = Cluster::start_with(&plan);
    let mut command: Command = clean("curl");
    command.args(["-sk", "--noproxy", "*", "--max-time", "40"]);
    command.arg(format!("https://{}/webapi/ping", cluster.proxy));
    assert_eq!(run(command, "").code, 0);
    wait_until("a word in the log", || {
        cluster.server.output().contains("could not order a web certificate").then_some(())
    });
    let app =
        ask(&cluster, &format!("grafana.{HOST}"), &folder.path().join("ca-listener-root.pem"));
    assert_eq!(app.code, 35, "an app's name without a certificate is refused: {app:?}");
}

fn put(folder: &Path, name: &str, host: &str) -> (PathBuf, PathBuf) {
    let now =
        std::time::SystemTime::UNIX_EPOCH + std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let made = pki::web::self_signed(&[host.to_owned()], now).unwrap();
    let (cert, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    std::fs::write(&key, made.key().secret_pem().expose()).unwrap();
    std::fs::write(&cert, made.cert().as_str()).unwrap();
    (cert, key)
}

#[test]
fn files_are_picked_by_name_and_reloaded_when_they_change() {
    let folder = tempfile::tempdir().unwrap();
    let (one, one_key) = put(folder.path(), "one", "one.causeway.test");
    let (two, two_key) = put(folder.path(), "two", "two.causeway.test");
    let pair = |cert: &Path, key: &Path| {
        format!("  - cert_file: {}\n    key_file: {}\n", cert.display(), key.display())
    };
    let plan = Plan {
        public_host: "one.causeway.test",
        proxy_service: format!(
            "  https_keypairs_reload_interval: 200ms\n  https_keypairs:\n{}{}",
            pair(&one, &one_key),
            pair(&two, &two_key)
        ),
        ..Plan::default()
    };
    let cluster = Cluster::without_agent(&plan);
    assert!(shown(&cluster, "one.causeway.test").contains("one.causeway.test"));
    assert!(shown(&cluster, "grafana.two.causeway.test").contains("*.two.causeway.test"));
    assert!(shown(&cluster, "three.causeway.test").contains("DNS:one.causeway.test"));
    put(folder.path(), "two", "three.causeway.test");
    wait_until("the renewed pair", || {
        shown(&cluster, "three.causeway.test").contains("DNS:three.causeway.test").then_some(())
    });
    std::fs::write(&two, "rubbish").unwrap();
    wait_until("a word in the log", || {
        cluster.server.output().contains("the old one stays").then_some(())
    });
    assert!(shown(&cluster, "three.causeway.test").contains("DNS:three.causeway.test"));
}
