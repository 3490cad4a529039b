//! The saved login: files under `~/.tsh`, laid out as the original lays them out.
//!
//! ```text
//! current-profile                                 host of the proxy in use
//! <proxy>.yaml                                    address, user, cluster
//! keys/<proxy>/<user>                             private key, never sent anywhere
//! keys/<proxy>/<user>-x509.pem                    user certificate
//! keys/<proxy>/cas/<cluster>.pem                  host authorities of the cluster
//! keys/<proxy>/<user>-app/<cluster>/<app>-x509.pem      app certificate
//! keys/<proxy>/<user>-app/<cluster>/<app>-localca.pem   what AWS_CA_BUNDLE points to
//! keys/<proxy>/<user>-app/<cluster>/<app>-localca.key   its key
//! ```
//! and what `sessions.rs` lists for several sessions at once.
//!
//! Every file is 0600 and written whole or not at all, every folder 0700.

use std::path::{Path, PathBuf};

use access::{AppName, ClusterName, UserName};
use pki::{AuthorityKind, CertPem, Credential, KeyPair, Trust};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::files::{self, FileError, Mode};
use crate::yaml::{self, YamlProblem};

mod sessions;

pub use sessions::{LocalProxyFiles, Rank};

/// What is wrong with a saved login.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The profile's own file is not what it should be.
    #[error(transparent)]
    Yaml(#[from] YamlProblem),
    /// A key, certificate or authority in the profile is unusable.
    #[error("{} is damaged; log in again", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: crate::error::Cause,
    },
    /// A file that must be there is not.
    #[error("{} is missing; log in again", path.display())]
    Missing {
        /// Which file.
        path: PathBuf,
    },
}

/// The folder of saved logins, `~/.tsh` or `TELEPORT_HOME`.
#[derive(Debug, Clone)]
pub struct Home {
    folder: PathBuf,
}

/// A saved login: where, who, which cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// `host:port` of the proxy.
    pub web_proxy_addr: String,
    /// Who.
    pub user: UserName,
    /// Which cluster.
    pub cluster: ClusterName,
    /// Whether the proxy's web certificate went unchecked at login.
    #[serde(default)]
    pub insecure: bool,
}

impl Profile {
    /// The proxy's host, without the port: the name of the profile.
    #[must_use]
    pub fn proxy_host(&self) -> &str {
        match self.web_proxy_addr.rsplit_once(':') {
            Some((host, _)) => host,
            None => &self.web_proxy_addr,
        }
    }
}

/// The files of one app of a login.
#[derive(Debug, Clone)]
pub struct AppFiles {
    /// App certificate.
    pub certificate: PathBuf,
    /// Certificate of the local authority (`AWS_CA_BUNDLE`).
    pub local_ca: PathBuf,
    /// Key of the local authority.
    pub local_ca_key: PathBuf,
}

impl Home {
    /// The logins under `folder`. No IO yet.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The login in use, if any.
    ///
    /// # Errors
    /// When a file is there and cannot be read.
    pub fn current(&self) -> Result<Option<Profile>, ProfileError> {
        match files::read_optional(&self.folder.join("current-profile"))? {
            Some(host) => self.profile(host.trim()),
            None => Ok(None),
        }
    }

    /// The login at one proxy, if any.
    ///
    /// # Errors
    /// When its file is there and cannot be read.
    pub fn profile(&self, proxy_host: &str) -> Result<Option<Profile>, ProfileError> {
        let path = self.folder.join(format!("{}.yaml", safe(proxy_host)));
        let Some(text) = files::read_optional(&path)? else { return Ok(None) };
        Ok(Some(yaml::read(&text, &path.display().to_string())?))
    }

    /// Every login, by proxy.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn profiles(&self) -> Result<Vec<Profile>, ProfileError> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Ok(Vec::new()) };
        let mut hosts: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter_map(|name| name.strip_suffix(".yaml").map(str::to_owned))
            .collect();
        hosts.sort();
        let found = hosts.iter().map(|host| self.profile(host));
        found.filter_map(Result::transpose).collect()
    }

    /// Saves a login and makes it the one in use.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(
        &self,
        profile: &Profile,
        key: &KeyPair,
        certificate: &str,
        trust: &Trust,
    ) -> Result<(), ProfileError> {
        let keys = self.keys_folder(profile);
        files::private_folder(&keys.join("cas"))?;
        files::write(&self.key_path(profile), key.secret_pem().expose().as_bytes(), Mode::Private)?;
        files::write(&self.certificate_path(profile), certificate.as_bytes(), Mode::Private)?;
        let authorities: String =
            trust.authorities(AuthorityKind::Host).iter().map(CertPem::as_str).collect();
        files::write(&self.cas_path(profile), authorities.as_bytes(), Mode::Private)?;
        let path = self.folder.join(format!("{}.yaml", safe(profile.proxy_host())));
        let text = yaml::write(profile)
            .map_err(|e| ProfileError::Damaged { path: path.clone(), source: e.into() })?;
        files::write(&path, text.as_bytes(), Mode::Private)?;
        self.select(profile)
    }

    /// Makes a saved login the one in use.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn select(&self, profile: &Profile) -> Result<(), ProfileError> {
        let current = self.folder.join("current-profile");
        Ok(files::write(&current, safe(profile.proxy_host()).as_bytes(), Mode::Private)?)
    }

    /// Removes a login: its keys, certificates and app files.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn remove(&self, profile: &Profile) -> Result<(), ProfileError> {
        files::remove(&self.key_path(profile))?;
        files::remove(&self.certificate_path(profile))?;
        files::remove_folder(&self.apps_root(profile))?;
        let host = safe(profile.proxy_host());
        files::remove(&self.folder.join(format!("{host}.yaml")))?;
        let current = self.folder.join("current-profile");
        if files::read_optional(&current)?.is_some_and(|name| name.trim() == host) {
            files::remove(&current)?;
        }
        Ok(())
    }

    /// Key and certificate of a login.
    ///
    /// # Errors
    /// When they are missing or damaged.
    pub fn credential(&self, profile: &Profile) -> Result<Credential, ProfileError> {
        self.credential_with(profile, &self.certificate_path(profile))
    }

    /// The login's key with the certificate in a file.
    ///
    /// # Errors
    /// When they are missing or damaged.
    pub fn credential_with(
        &self,
        profile: &Profile,
        path: &Path,
    ) -> Result<Credential, ProfileError> {
        let key = required(&self.key_path(profile))?;
        let certificate = required(path)?;
        Credential::from_pem(&certificate, &key)
            .map_err(|e| ProfileError::Damaged { path: path.to_owned(), source: e.into() })
    }

    /// Whom the login trusts: the cluster's host authorities.
    ///
    /// # Errors
    /// When they are missing or damaged.
    pub fn trust(&self, profile: &Profile) -> Result<Trust, ProfileError> {
        let path = self.cas_path(profile);
        let text = required(&path)?;
        let damaged =
            |source: crate::error::Cause| ProfileError::Damaged { path: path.clone(), source };
        let hosts = CertPem::parse_bundle(&text).map_err(|e| damaged(e.into()))?;
        Trust::new(profile.cluster.clone(), Vec::new(), hosts).map_err(|e| damaged(e.into()))
    }

    /// Apps that the login has a certificate for, by name.
    ///
    /// # Errors
    /// Never today; a folder that is not there is no login.
    pub fn apps(&self, profile: &Profile) -> Result<Vec<AppName>, ProfileError> {
        let Ok(entries) = std::fs::read_dir(self.apps_folder(profile)) else {
            return Ok(Vec::new());
        };
        let beside = self.apps_with_roles(profile);
        let mut apps: Vec<AppName> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter_map(|name| AppName::parse(name.strip_suffix("-x509.pem")?).ok())
            .chain(beside)
            .collect();
        apps.sort();
        apps.dedup();
        Ok(apps)
    }

    /// Saves an app certificate.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save_app(
        &self,
        profile: &Profile,
        app: &AppName,
        certificate: &str,
    ) -> Result<(), ProfileError> {
        files::private_folder(&self.apps_folder(profile))?;
        let path = self.app_files(profile, app).certificate;
        Ok(files::write(&path, certificate.as_bytes(), Mode::Private)?)
    }

    /// Removes an app's certificates and local authority.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn remove_app(&self, profile: &Profile, app: &AppName) -> Result<(), ProfileError> {
        let files = self.app_files(profile, app);
        files::remove(&files.certificate)?;
        files::remove_folder(&self.roles_folder(profile, app))?;
        files::remove(&files.local_ca)?;
        Ok(files::remove(&files.local_ca_key)?)
    }

    /// Where an app's files are.
    #[must_use]
    pub fn app_files(&self, profile: &Profile, app: &AppName) -> AppFiles {
        let folder = self.apps_folder(profile);
        AppFiles {
            certificate: folder.join(format!("{app}-x509.pem")),
            local_ca: folder.join(format!("{app}-localca.pem")),
            local_ca_key: folder.join(format!("{app}-localca.key")),
        }
    }

    /// Where the private key is.
    #[must_use]
    pub fn key_path(&self, profile: &Profile) -> PathBuf {
        self.keys_folder(profile).join(safe(profile.user.as_str()))
    }

    /// Where the user certificate is.
    #[must_use]
    pub fn certificate_path(&self, profile: &Profile) -> PathBuf {
        self.keys_folder(profile).join(format!("{}-x509.pem", safe(profile.user.as_str())))
    }

    /// Where the cluster's host authorities are.
    #[must_use]
    pub fn cas_path(&self, profile: &Profile) -> PathBuf {
        self.keys_folder(profile)
            .join("cas")
            .join(format!("{}.pem", safe(profile.cluster.as_str())))
    }

    fn keys_folder(&self, profile: &Profile) -> PathBuf {
        self.folder.join("keys").join(safe(profile.proxy_host()))
    }

    fn apps_root(&self, profile: &Profile) -> PathBuf {
        self.keys_folder(profile).join(format!("{}-app", safe(profile.user.as_str())))
    }

    fn apps_folder(&self, profile: &Profile) -> PathBuf {
        self.apps_root(profile).join(safe(profile.cluster.as_str()))
    }
}

fn required(path: &Path) -> Result<String, ProfileError> {
    files::read_optional(path)?.ok_or_else(|| ProfileError::Missing { path: path.to_owned() })
}

/// A name as one path segment: no separators, no leading dot.
fn safe(name: &str) -> String {
    let text: String =
        name.chars().map(|c| if matches!(c, '/' | '\\' | '\0') { '_' } else { c }).collect();
    match text.strip_prefix('.') {
        Some(rest) => format!("_{rest}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_never_leave_their_folder() {
        for (name, expected) in
            [("alice@example.com", "alice@example.com"), ("../../etc", "_._.._etc"), (".x", "_x")]
        {
            let segment = safe(name);
            assert!(!segment.contains('/') && !segment.starts_with('.'), "{segment}");
            if !name.starts_with("..") {
                assert_eq!(segment, expected);
            }
        }
    }
}
