//! A real browser on a cluster: Chromium, driven by the scripts in `clients/browser`.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use serde_json::{Value, json};

use crate::cluster::{Cluster, clean};
use crate::places;
use crate::process::run;

/// Runs `clients/browser/<script>.mjs` on the cluster and gives what it found.
///
/// `settings` are for the script, beside the cluster's address and certificate.
///
/// # Panics
/// With the script's words and what the pages showed, when it fails.
#[must_use]
pub fn browse(cluster: &Cluster, script: &str, settings: Value) -> Value {
    let scripts = Scripts::copy();
    let mut command = clean("node");
    command.arg(scripts.0.join(format!("{script}.mjs"))).current_dir(&scripts.0);
    if let Some(chromium) = std::env::var_os("CHROMIUM") {
        command.env("CHROMIUM", chromium);
    }
    let said = run(command, &all_settings(cluster, settings).to_string());
    assert_eq!(said.code, 0, "{script} failed:\n{}", said.stderr);
    serde_json::from_str(said.stdout.trim())
        .unwrap_or_else(|e| panic!("{script} printed no JSON ({e}): {}", said.stdout))
}

fn all_settings(cluster: &Cluster, settings: Value) -> Value {
    let host = cluster.public_addr.rsplit_once(':').unwrap().0;
    let mut all = json!({
        "origin": format!("https://{}", cluster.public_addr),
        "host": host,
        "port": cluster.public_addr.rsplit_once(':').unwrap().1.parse::<u16>().unwrap(),
        "spki": spki(&cluster.folder().join("server/webproxy_cert.pem")),
    });
    let Value::Object(more) = settings else { panic!("settings are an object") };
    all.as_object_mut().unwrap().extend(more);
    all
}

/// The hash by which Chromium is told to trust the proxy's self-signed certificate.
fn spki(certificate: &Path) -> String {
    let text = std::fs::read_to_string(certificate).unwrap();
    let pin = pki::CertPem::parse(&text).unwrap().facts().unwrap().pin.to_string();
    let hash = hex::decode(pin.strip_prefix("sha256:").unwrap()).unwrap();
    base64::engine::general_purpose::STANDARD.encode(hash)
}

/// A copy of the scripts beside the node modules that they import; of its own, for tests run at once.
struct Scripts(PathBuf);

impl Scripts {
    fn copy() -> Self {
        let name = format!("browser-{}-{}", std::process::id(), places::free_port());
        let folder = places::node_clients().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/browser");
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
        }
        Self(folder)
    }
}

impl Drop for Scripts {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
