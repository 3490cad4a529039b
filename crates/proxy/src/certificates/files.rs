//! `https_keypairs`: certificates from files, shown anew when the files change.
//!
//! At the start a pair that cannot be used is an error. Later the old one stays in its place, and the
//! others are renewed all the same.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use api::error::Chain;
use pki::{CertPem, Clock, LiveWeb, SecretPem, WebPair};
use tracing::{info, warn};

use crate::config::WebKeyPair;
use crate::service::StartError;

/// Largest file that is read, bytes.
const FILE_LIMIT: u64 = 1024 * 1024;

/// The pairs that are shown, and the files that they came from.
pub(crate) struct Files {
    live: Arc<LiveWeb>,
    reload: Option<Duration>,
    clock: Clock,
    paths: Vec<WebKeyPair>,
}

/// What tells one content of a pair's files from another without reading them. Links are followed,
/// so that a certificate that is renewed by turning a link is seen too.
type Mark = [Option<(u64, u64, i64, i64)>; 2];

/// One pair at the last look.
struct Seen {
    mark: Mark,
    pair: WebPair,
}

impl Files {
    /// Reads the pairs. There is at least one.
    pub(crate) fn new(
        paths: &[WebKeyPair],
        reload: Option<Duration>,
        clock: Clock,
    ) -> Result<Self, StartError> {
        let pairs = paths.iter().map(read_pair).collect::<Result<Vec<_>, _>>()?;
        for (paths, pair) in paths.iter().zip(&pairs) {
            warn_of_dates(paths, pair, clock.now());
        }
        Ok(Self { live: LiveWeb::new(&pairs)?, reload, clock, paths: paths.to_vec() })
    }

    /// What is shown.
    pub(crate) fn live(&self) -> &LiveWeb {
        &self.live
    }

    /// Looks at the files for ever.
    pub(crate) async fn keep_fresh(&self) {
        let Some(every) = self.reload else { return std::future::pending().await };
        let Ok(mut seen) = self.first_look() else { return std::future::pending().await };
        loop {
            tokio::time::sleep(every).await;
            self.look(&mut seen);
        }
    }

    fn first_look(&self) -> Result<Vec<Seen>, StartError> {
        // Marked before they are read: what changes in between is read again at the next look.
        let seen = |paths| Ok(Seen { mark: mark(paths), pair: read_pair(paths)? });
        let seen = self.paths.iter().map(seen).collect::<Result<Vec<_>, StartError>>()?;
        self.show(&seen);
        Ok(seen)
    }

    fn look(&self, seen: &mut [Seen]) {
        let mut is_changed = false;
        for (paths, seen) in self.paths.iter().zip(seen.iter_mut()) {
            let mark = mark(paths);
            if mark == seen.mark {
                continue;
            }
            seen.mark = mark;
            let path = paths.cert_file.display();
            match read_pair(paths) {
                Ok(pair) => {
                    warn_of_dates(paths, &pair, self.clock.now());
                    info!(%path, "the web certificate was renewed");
                    seen.pair = pair;
                    is_changed = true;
                }
                // Perhaps only one of the two files is there yet: the other will change the mark.
                Err(error) => {
                    warn!(%path, error = %Chain(&error), "the changed web certificate cannot be used; the old one stays");
                }
            }
        }
        if is_changed {
            self.show(seen);
        }
    }

    fn show(&self, seen: &[Seen]) {
        let pairs: Vec<WebPair> = seen.iter().map(|seen| seen.pair.clone()).collect();
        if let Err(error) = self.live.replace(&pairs) {
            warn!(error = %Chain(&error), "the web certificates cannot be shown; the old ones stay");
        }
    }
}

/// Reads a pair and checks that its halves belong together.
pub(crate) fn read_pair(files: &WebKeyPair) -> Result<WebPair, StartError> {
    let cert = read(&files.cert_file)?;
    let cert = CertPem::parse(&cert).map_err(|e| unusable(&files.cert_file, e))?;
    let key = SecretPem::new(read(&files.key_file)?);
    let pair = WebPair { cert, key };
    pair.certified().map_err(|e| unusable(&files.key_file, e))?;
    Ok(pair)
}

pub(crate) fn unusable(
    path: &Path,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StartError {
    StartError::File { path: path.to_owned(), source: source.into() }
}

fn warn_of_dates(files: &WebKeyPair, pair: &WebPair, now: SystemTime) {
    let path = files.cert_file.display();
    match pair.cert.facts() {
        Ok(facts) if facts.not_after <= now => warn!(%path, "the web certificate has expired"),
        Ok(facts) if facts.not_before > now => warn!(%path, "the web certificate is not valid yet"),
        _ => {}
    }
}

fn mark(files: &WebKeyPair) -> Mark {
    let facts = |file: Metadata| (file.ino(), file.len(), file.mtime(), file.mtime_nsec());
    [&files.cert_file, &files.key_file].map(|path| fs::metadata(path).ok().map(facts))
}

fn read(path: &Path) -> Result<String, StartError> {
    let size = fs::metadata(path).map_err(|e| unusable(path, e))?.len();
    if size > FILE_LIMIT {
        return Err(unusable(path, "larger than 1 MiB"));
    }
    fs::read_to_string(path).map_err(|e| unusable(path, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn pair(host: &str) -> WebPair {
        WebPair::from(&pki::web::self_signed(&[host.to_owned()], now()).unwrap())
    }

    fn put(dir: &Path, name: &str, host: &str) -> WebKeyPair {
        let pair = pair(host);
        let files = WebKeyPair {
            key_file: dir.join(format!("{name}.key")),
            cert_file: dir.join(format!("{name}.pem")),
        };
        // As renewing programs do: written beside, then renamed.
        for (path, text) in
            [(&files.key_file, pair.key.expose()), (&files.cert_file, pair.cert.as_str())]
        {
            api::files::write(path, text.as_bytes(), api::files::Mode::Private).unwrap();
        }
        files
    }

    fn started(paths: &[WebKeyPair]) -> (Files, Vec<Seen>) {
        let files = Files::new(paths, None, Clock::new(now)).unwrap();
        let seen = files.first_look().unwrap();
        (files, seen)
    }

    fn names(files: &Files, host: &str) -> bool {
        files.live().naming(host).is_some()
    }

    #[test]
    fn renewed_files_are_shown_and_broken_ones_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let paths = [put(dir.path(), "a", "one.example.com"), put(dir.path(), "b", "b.example")];
        let (files, mut seen) = started(&paths);
        put(dir.path(), "a", "two.example.com");
        files.look(&mut seen);
        assert!(names(&files, "two.example.com") && !names(&files, "one.example.com"));
        // A certificate of another key: the old pair stays, the other pair is renewed.
        fs::write(&paths[0].cert_file, pair("three.example.com").cert.as_str()).unwrap();
        put(dir.path(), "b", "c.example");
        files.look(&mut seen);
        assert!(names(&files, "two.example.com") && names(&files, "c.example"));
        for rubbish in ["", "rubbish"] {
            fs::write(&paths[0].cert_file, rubbish).unwrap();
            files.look(&mut seen);
            assert!(names(&files, "two.example.com"), "{rubbish:?}");
        }
        fs::remove_file(&paths[0].cert_file).unwrap();
        files.look(&mut seen);
        assert!(names(&files, "two.example.com"), "removed");
        put(dir.path(), "a", "four.example.com");
        files.look(&mut seen);
        assert!(names(&files, "four.example.com"), "mended");
    }

    #[test]
    fn a_turned_link_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("live");
        for name in ["one", "two"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            put(&dir.path().join(name), "tls", &format!("{name}.example.com"));
        }
        std::os::unix::fs::symlink("one", &link).unwrap();
        let paths = WebKeyPair { key_file: link.join("tls.key"), cert_file: link.join("tls.pem") };
        let (files, mut seen) = started(std::slice::from_ref(&paths));
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink("two", &link).unwrap();
        files.look(&mut seen);
        assert!(names(&files, "two.example.com"));
    }

    #[test]
    fn a_pair_is_found_by_name_and_by_wildcard() {
        let dir = tempfile::tempdir().unwrap();
        let paths = [put(dir.path(), "a", "a.example.com"), put(dir.path(), "b", "b.example.com")];
        let (files, _) = started(&paths);
        let first = files.live().first().unwrap();
        let shows = |host: &str| files.live().naming(host).map(|found| found.cert == first.cert);
        assert_eq!(shows("a.example.com"), Some(true));
        assert_eq!(shows("grafana.A.example.com"), Some(true));
        assert_eq!(shows("grafana.b.example.com"), Some(false));
        assert_eq!(shows("x.grafana.b.example.com"), None, "a wildcard is for one label");
        assert_eq!(shows("example.com"), None);
    }

    #[test]
    fn a_pair_that_does_not_match_is_an_error_at_the_start_and_names_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let paths = put(dir.path(), "a", "a.example.com");
        fs::write(&paths.cert_file, pair("a.example.com").cert.as_str()).unwrap();
        let Err(error) = Files::new(&[paths], None, Clock::new(now)) else { panic!("accepted") };
        assert!(error.to_string().contains("a.key"), "{error}");
    }

    async fn shown(files: &Files, name: &str) {
        while !names(files, name) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn the_files_are_looked_at_by_themselves() {
        let dir = tempfile::tempdir().unwrap();
        let paths = put(dir.path(), "a", "one.example.com");
        let every = Some(Duration::from_millis(10));
        let files = Files::new(std::slice::from_ref(&paths), every, Clock::new(now)).unwrap();
        let changing = async {
            put(dir.path(), "a", "two.example.com");
            shown(&files, "two.example.com").await;
        };
        tokio::select! {
            () = files.keep_fresh() => {}
            () = changing => {}
            () = tokio::time::sleep(Duration::from_secs(10)) => panic!("never shown"),
        }
    }
}
