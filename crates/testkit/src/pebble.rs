//! A certificate authority that speaks ACME: Debian's `pebble`, with its DNS stand-in, which says
//! 127.0.0.1 to every name.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::cluster::clean;
use crate::places;
use crate::process::{Process, run, wait_until};

/// A running CA.
#[derive(Debug)]
pub struct Pebble {
    /// The CA itself.
    pub process: Process,
    _names: Process,
    port: u16,
    management: u16,
    folder: PathBuf,
}

impl Pebble {
    /// Starts one that asks its questions at `tls_port` and certifies for `life`.
    #[must_use]
    pub fn start(folder: &Path, tls_port: u16, life: Duration) -> Self {
        let (port, management, dns) =
            (places::free_port(), places::free_port(), places::free_port());
        let (names_management, unused) = (places::free_port(), places::free_port());
        own_certificate(folder);
        let config = serde_json::json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": folder.join("ca-listener.pem"),
            "privateKey": folder.join("ca-listener.key"),
            "httpPort": unused,
            "tlsPort": tls_port,
            "certificateValidityPeriod": life.as_secs(),
        }});
        let file = folder.join("pebble.json");
        std::fs::write(&file, config.to_string()).unwrap();
        let mut names = clean("pebble-challtestsrv");
        names.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""]);
        names.arg("-dns01").arg(format!("127.0.0.1:{dns}"));
        names.arg("-management").arg(format!("127.0.0.1:{names_management}"));
        let names = Process::start("names", names, folder);
        let mut pebble = clean("pebble");
        pebble.arg("-config").arg(&file).arg("-dnsserver").arg(format!("127.0.0.1:{dns}"));
        pebble.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", "10");
        let process = Process::start("pebble", pebble, folder);
        let pebble = Self { process, _names: names, port, management, folder: folder.to_owned() };
        wait_until("the CA's directory", || {
            (run(pebble.curl(&pebble.directory()), "").code == 0).then_some(())
        });
        pebble
    }

    /// URL of its directory.
    #[must_use]
    pub fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.port)
    }

    /// The root that its own listener is trusted by: for `SSL_CERT_FILE`.
    #[must_use]
    pub fn listener_root(&self) -> PathBuf {
        self.folder.join("ca-listener-root.pem")
    }

    /// A file with the root of the certificates that it issues.
    #[must_use]
    pub fn issuing_root(&self) -> PathBuf {
        let said = run(self.curl(&format!("https://localhost:{}/roots/0", self.management)), "");
        let path = self.folder.join("issuing-root.pem");
        std::fs::write(&path, said.ok()).unwrap();
        path
    }

    fn curl(&self, url: &str) -> Command {
        let mut command = clean("curl");
        command.args(["-sS", "--fail", "--noproxy", "*", "--cacert"]);
        command.arg(self.listener_root()).arg(url);
        command
    }
}

/// Makes the certificate of its listener, with a root of its own.
fn own_certificate(folder: &Path) {
    #[allow(clippy::disallowed_methods, reason = "a test lives in the present")]
    let now = SystemTime::now();
    let ca = pki::LocalCa::generate("pebble", now, Duration::from_secs(24 * 3600)).unwrap();
    let leaf = ca.leaf(&["localhost".to_owned(), "127.0.0.1".to_owned()], now).unwrap();
    let chain = leaf.cert().followed_by(ca.cert());
    for (name, text) in [
        ("ca-listener.pem", chain.as_str()),
        ("ca-listener.key", leaf.key().secret_pem().expose()),
        ("ca-listener-root.pem", ca.cert().as_str()),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
    }
}
