//! The certificate of the web pages: from files, or made once and kept.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use api::error::Chain;
use pki::{CertPem, Clock, LiveWeb, SecretPem, WebPair};
use tracing::{info, warn};

use crate::config::{ProxyConfig, WebCertificate, WebKeyPair};
use crate::service::StartError;

/// A kept certificate is made anew when it ends sooner than this.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Largest file that is read, bytes.
const FILE_LIMIT: u64 = 1024 * 1024;

/// How often the files are looked at, for renewed certificates.
const LOOK: Duration = Duration::from_secs(60);

/// The certificate that is shown, and the files that it came from.
pub(crate) struct WebCertificates {
    live: Arc<LiveWeb>,
    files: Vec<WebKeyPair>,
}

/// When each file was last written.
type Written = Vec<Option<SystemTime>>;

impl WebCertificates {
    /// Reads the configured pairs, or reads or makes the self-signed one.
    pub(crate) fn new(config: &ProxyConfig, clock: &Clock) -> Result<Self, StartError> {
        let pairs = pairs(config, clock)?;
        let files = match &config.web_certificate {
            WebCertificate::Files(files) => files.clone(),
            WebCertificate::SelfSigned { .. } => Vec::new(),
        };
        Ok(Self { live: LiveWeb::new(&pairs)?, files })
    }

    /// For the TLS settings.
    pub(crate) fn live(&self) -> Arc<LiveWeb> {
        Arc::clone(&self.live)
    }

    /// Shows renewed certificates without a restart, for ever. A pair that cannot be used is left aside.
    pub(crate) async fn keep_fresh(&self) {
        let mut seen = self.written();
        loop {
            tokio::time::sleep(LOOK).await;
            let written = self.written();
            if written == seen {
                continue;
            }
            match self.renew() {
                Ok(()) => info!("the web certificate was renewed"),
                // The next look tries again: perhaps only one of the two files is there yet.
                Err(error) => {
                    warn!(error = %Chain(&error), "the changed web certificate cannot be used");
                    continue;
                }
            }
            seen = written;
        }
    }

    fn written(&self) -> Written {
        let paths = self.files.iter().flat_map(|files| [&files.cert_file, &files.key_file]);
        paths.map(|path| fs::metadata(path).and_then(|facts| facts.modified()).ok()).collect()
    }

    fn renew(&self) -> Result<(), StartError> {
        let pairs = self.files.iter().map(read_pair).collect::<Result<Vec<_>, _>>()?;
        Ok(self.live.replace(&pairs)?)
    }
}

fn pairs(config: &ProxyConfig, clock: &Clock) -> Result<Vec<WebPair>, StartError> {
    match &config.web_certificate {
        WebCertificate::Files(files) => files.iter().map(read_pair).collect(),
        WebCertificate::SelfSigned { data_dir } => {
            let host = config.public_addr.host();
            let host = host.trim_start_matches('[').trim_end_matches(']');
            Ok(vec![kept_pair(data_dir, host, clock.now())?])
        }
    }
}

fn read_pair(files: &WebKeyPair) -> Result<WebPair, StartError> {
    let cert = read(&files.cert_file)?;
    let cert = CertPem::parse(&cert).map_err(|e| unusable(&files.cert_file, e))?;
    let key = SecretPem::new(read(&files.key_file)?);
    Ok(WebPair { cert, key })
}

fn kept_pair(data_dir: &Path, host: &str, now: SystemTime) -> Result<WebPair, StartError> {
    let files = WebKeyPair {
        key_file: data_dir.join("webproxy_key.pem"),
        cert_file: data_dir.join("webproxy_cert.pem"),
    };
    if files.cert_file.exists() && files.key_file.exists() {
        let pair = read_pair(&files)?;
        if still_serves(&pair, host, now) {
            return Ok(pair);
        }
        info!(host, "the kept web certificate is for another name or ends soon: making a new one");
    }
    warn!(
        host,
        "using a self-signed web certificate: browsers will warn, and tsh needs --insecure"
    );
    let hosts = [host, "localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut hosts = hosts.to_vec();
    hosts.dedup();
    let credential = pki::web::self_signed(&hosts, now)?;
    let pair = WebPair::from(&credential);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir)
        .map_err(|e| unusable(data_dir, e))?;
    write(&files.key_file, pair.key.expose(), 0o600)?;
    write(&files.cert_file, pair.cert.as_str(), 0o644)?;
    Ok(pair)
}

fn still_serves(pair: &WebPair, host: &str, now: SystemTime) -> bool {
    pair.cert.facts().is_ok_and(|facts| {
        let names_it = match host.parse::<std::net::IpAddr>() {
            Ok(address) => facts.addresses.contains(&address),
            Err(_) => facts.dns_names.iter().any(|name| name.eq_ignore_ascii_case(host)),
        };
        names_it && facts.not_after > now + RENEW_BEFORE
    })
}

fn read(path: &Path) -> Result<String, StartError> {
    let size = fs::metadata(path).map_err(|e| unusable(path, e))?.len();
    if size > FILE_LIMIT {
        return Err(unusable(path, "larger than 1 MiB"));
    }
    fs::read_to_string(path).map_err(|e| unusable(path, e))
}

/// Writes beside and renames, so that no half file is ever found.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), StartError> {
    let mut beside = PathBuf::from(path).into_os_string();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let writing = || {
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    writing().map_err(|e| unusable(path, e))
}

fn unusable(
    path: &Path,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StartError {
    StartError::File { path: path.to_owned(), source: source.into() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    #[test]
    fn a_self_signed_pair_is_kept_with_its_key_hidden() {
        let dir = tempfile::tempdir().unwrap();
        let first = kept_pair(dir.path(), "proxy.example.com", now()).unwrap();
        let mode = fs::metadata(dir.path().join("webproxy_key.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = kept_pair(dir.path(), "proxy.example.com", now()).unwrap();
        assert_eq!(first.cert.as_str(), again.cert.as_str());
    }

    #[test]
    fn a_kept_pair_is_made_anew_for_another_name_or_near_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let first = kept_pair(dir.path(), "proxy.example.com", now()).unwrap();
        let renamed = kept_pair(dir.path(), "192.0.2.7", now()).unwrap();
        assert_ne!(first.cert.as_str(), renamed.cert.as_str());
        let later = now() + Duration::from_secs(3640 * 24 * 3600);
        let renewed = kept_pair(dir.path(), "192.0.2.7", later).unwrap();
        assert_ne!(renamed.cert.as_str(), renewed.cert.as_str());
    }

    #[test]
    fn a_broken_file_is_named_and_never_replaced_silently() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("webproxy_key.pem"), "x").unwrap();
        fs::write(dir.path().join("webproxy_cert.pem"), "x").unwrap();
        let error = kept_pair(dir.path(), "proxy.example.com", now()).unwrap_err();
        assert!(error.to_string().contains("webproxy_cert.pem"), "{error}");
    }

    fn put(dir: &Path, host: &str) -> WebKeyPair {
        let pair = WebPair::from(&pki::web::self_signed(&[host.to_owned()], now()).unwrap());
        let files = WebKeyPair { key_file: dir.join("key.pem"), cert_file: dir.join("cert.pem") };
        write(&files.key_file, pair.key.expose(), 0o600).unwrap();
        write(&files.cert_file, pair.cert.as_str(), 0o644).unwrap();
        files
    }

    #[test]
    fn renewed_files_are_shown_and_broken_ones_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let files = put(dir.path(), "one.example.com");
        let live = LiveWeb::new(&[read_pair(&files).unwrap()]).unwrap();
        let certificates = WebCertificates { live, files: vec![files.clone()] };
        put(dir.path(), "two.example.com");
        certificates.renew().unwrap();
        assert!(format!("{:?}", certificates.live).contains("two.example.com"));
        let other = pki::web::self_signed(&["three.example.com".to_owned()], now()).unwrap();
        fs::write(&files.cert_file, other.cert().as_str()).unwrap();
        certificates.renew().unwrap_err();
        assert!(format!("{:?}", certificates.live).contains("two.example.com"));
    }
}
