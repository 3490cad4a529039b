//! The certificate of trials: made at the first start, kept in the `data_dir`, signed by itself.

use std::path::Path;
use std::time::{Duration, SystemTime};

use api::files::{self, Mode};
use pki::WebPair;
use tracing::info;

use super::files::{read_pair, unusable};
use crate::config::WebKeyPair;
use crate::service::StartError;

/// A kept certificate is made anew when it ends sooner than this.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * 24 * 3600);

/// The kept pair, or a new one when there is none, it is for another name or it ends soon.
pub(crate) fn kept_pair(
    data_dir: &Path,
    host: &str,
    now: SystemTime,
) -> Result<WebPair, StartError> {
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
    let hosts = [host, "localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut hosts = hosts.to_vec();
    hosts.dedup();
    let credential = pki::web::self_signed(&hosts, now)?;
    let pair = WebPair::from(&credential);
    files::private_folder(data_dir).map_err(|e| unusable(data_dir, e))?;
    write(&files.key_file, pair.key.expose(), Mode::Private)?;
    write(&files.cert_file, pair.cert.as_str(), Mode::Public)?;
    Ok(pair)
}

fn write(path: &Path, text: &str, mode: Mode) -> Result<(), StartError> {
    files::write(path, text.as_bytes(), mode).map_err(|e| unusable(path, e))
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    #[test]
    fn a_pair_is_kept_with_its_key_hidden() {
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
}
