//! The files of a login's app sessions: one certificate for each app and role, the key book, the
//! local proxy's own folder.
//!
//! ```text
//! keys/<proxy>/<user>-app/<cluster>/<app>-x509.pem           the session that was logged in to last
//! keys/<proxy>/<user>-app/<cluster>/roles/<app>/<slot>.pem   each session of an AWS role
//! keys/<proxy>/<user>-app/<cluster>/keys.json                what each local key pair stands for
//! keys/<proxy>/<user>-app/<cluster>/local-proxy/             of the proxy that serves several apps
//! ```

use std::path::{Path, PathBuf};

use access::AppName;

use super::{Home, Profile, ProfileError, safe};
use crate::files::{self, Mode};

/// Which of an app's certificates a new one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// The one that is meant when none is named.
    Newest,
    /// One beside the newest.
    Beside,
}

/// The files of the local proxy that serves all of a login's sessions.
#[derive(Debug, Clone)]
pub struct LocalProxyFiles {
    /// The folder.
    pub folder: PathBuf,
    /// Certificate of its local authority.
    pub ca: PathBuf,
    /// Key of its local authority.
    pub ca_key: PathBuf,
    /// The port that profiles in the AWS config file point to.
    pub port: PathBuf,
    /// Held locked by the one proxy that serves profiles.
    pub lock: PathBuf,
    /// What that proxy says when it cannot go on.
    pub log: PathBuf,
    /// AWS config files that hold profiles of this login.
    pub profiles: PathBuf,
}

impl Home {
    /// The folder that the logins are under.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Saves an app certificate; `slot` names the AWS role's place among the app's sessions.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save_session(
        &self,
        profile: &Profile,
        (app, slot): (&AppName, Option<&str>),
        certificate: &str,
        rank: Rank,
    ) -> Result<(), ProfileError> {
        if let Some(slot) = slot {
            let path = self.role_certificate(profile, app, slot);
            if let Some(folder) = path.parent() {
                files::private_folder(folder)?;
            }
            files::write(&path, certificate.as_bytes(), Mode::Private)?;
        }
        if slot.is_none() || rank == Rank::Newest {
            self.save_app(profile, app, certificate)?;
        }
        Ok(())
    }

    /// Where the certificate of an app's session for one AWS role is.
    #[must_use]
    pub fn role_certificate(&self, profile: &Profile, app: &AppName, slot: &str) -> PathBuf {
        self.roles_folder(profile, app).join(format!("{}.pem", safe(slot)))
    }

    /// Certificates of every saved session of an app: those of its AWS roles, then the newest.
    #[must_use]
    pub fn certificates(&self, profile: &Profile, app: &AppName) -> Vec<PathBuf> {
        let mut paths = pem_files(&self.roles_folder(profile, app));
        let newest = self.app_files(profile, app).certificate;
        if newest.exists() {
            paths.push(newest);
        }
        paths
    }

    /// Removes every app certificate of a login and leaves the rest.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn forget_sessions(&self, profile: &Profile) -> Result<(), ProfileError> {
        for app in self.apps(profile)? {
            files::remove(&self.app_files(profile, &app).certificate)?;
            files::remove_folder(&self.roles_folder(profile, &app))?;
        }
        Ok(())
    }

    /// Where the key book is.
    #[must_use]
    pub fn key_book_path(&self, profile: &Profile) -> PathBuf {
        self.apps_folder(profile).join("keys.json")
    }

    /// Where the files are of the local proxy that serves all of a login's sessions.
    #[must_use]
    pub fn local_proxy_files(&self, profile: &Profile) -> LocalProxyFiles {
        let folder = self.apps_folder(profile).join("local-proxy");
        let file = |name: &str| folder.join(name);
        LocalProxyFiles {
            ca: file("localca.pem"),
            ca_key: file("localca.key"),
            port: file("port"),
            lock: file("lock"),
            log: file("log"),
            profiles: file("profiles.json"),
            folder,
        }
    }

    pub(super) fn apps_with_roles(&self, profile: &Profile) -> Vec<AppName> {
        let Ok(entries) = std::fs::read_dir(self.apps_folder(profile).join("roles")) else {
            return Vec::new();
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let apps = names.filter_map(|name| AppName::parse(&name).ok());
        apps.filter(|app| !pem_files(&self.roles_folder(profile, app)).is_empty()).collect()
    }

    pub(super) fn roles_folder(&self, profile: &Profile, app: &AppName) -> PathBuf {
        self.apps_folder(profile).join("roles").join(app.as_str())
    }
}

/// The `.pem` files of a folder, by name; none when there is no folder.
fn pem_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|kind| kind == "pem")).collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use access::{ClusterName, UserName};

    use super::*;

    #[test]
    fn a_second_role_is_kept_beside_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        let profile = Profile {
            web_proxy_addr: "proxy.example.com:443".to_owned(),
            user: UserName::parse("alice").unwrap(),
            cluster: ClusterName::parse("example.com").unwrap(),
            insecure: false,
        };
        let (aws, web) = (AppName::parse("aws").unwrap(), AppName::parse("web").unwrap());
        home.save_session(&profile, (&aws, Some("1-reader")), "reader", Rank::Newest).unwrap();
        home.save_session(&profile, (&aws, Some("1-writer")), "writer", Rank::Newest).unwrap();
        home.save_session(&profile, (&aws, Some("1-reader")), "renewed", Rank::Beside).unwrap();
        home.save_session(&profile, (&web, None), "web", Rank::Beside).unwrap();
        assert_eq!(home.apps(&profile).unwrap(), [aws.clone(), web.clone()]);
        let read = |paths: Vec<PathBuf>| -> Vec<String> {
            paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
        };
        assert_eq!(read(home.certificates(&profile, &aws)), ["renewed", "writer", "writer"]);
        assert_eq!(read(home.certificates(&profile, &web)), ["web"]);
        home.remove_app(&profile, &aws).unwrap();
        assert_eq!(home.apps(&profile).unwrap(), [web]);
        home.forget_sessions(&profile).unwrap();
        assert!(home.apps(&profile).unwrap().is_empty());
    }
}
