//! The local authority that AWS tools trust: of one app, or of the proxy that serves all of a login's apps.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use access::AppName;
use api::files::{self, Mode};
use pki::LocalCa;

use super::context::{Context, Login};
use crate::failure::{Failure, OrFail as _};

/// A fresh authority lasts this long, so that keystores which hold it stay valid over many app sessions.
const LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// Where an authority is kept, and what it is called.
#[derive(Debug, Clone)]
pub struct Place {
    /// What its certificate says that it is of.
    of: String,
    /// Its certificate: what AWS tools are pointed to.
    pub cert: PathBuf,
    /// Its key.
    key: PathBuf,
}

impl Place {
    /// Of one app.
    #[must_use]
    pub fn of_app(context: &Context, login: &Login, app: &AppName) -> Self {
        let files = context.home.app_files(&login.profile, app);
        Self { of: app.to_string(), cert: files.local_ca, key: files.local_ca_key }
    }

    /// Of all the login's apps.
    #[must_use]
    pub fn of_login(context: &Context, login: &Login) -> Self {
        let files = context.home.local_proxy_files(&login.profile);
        Self {
            of: format!("all apps of {}", login.profile.user),
            cert: files.ca,
            key: files.ca_key,
        }
    }

    /// The saved authority while it lasts until then, or a new one.
    ///
    /// # Errors
    /// When a new one cannot be made or saved.
    pub fn authority(&self, now: SystemTime, until: SystemTime) -> Result<LocalCa, Failure> {
        let cert = files::read_optional(&self.cert)?;
        let key = files::read_optional(&self.key)?;
        // A pair that does not fit (two commands started at once) is made anew.
        let kept = cert.zip(key).and_then(|(cert, key)| LocalCa::from_pem(&cert, &key).ok());
        if let Some(kept) = kept.filter(|ca| ca.not_after() >= until) {
            return Ok(kept);
        }
        let ca = LocalCa::generate(&self.of, now, LIFETIME)
            .or_fail("could not make the local certificate authority")?;
        self.write(&ca)?;
        Ok(ca)
    }

    /// Puts the authority of a running proxy back where tools look for it, if a logout has removed it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn restore(&self, ca: &LocalCa) -> Result<(), Failure> {
        if self.cert.exists() {
            return Ok(());
        }
        self.write(ca)
    }

    fn write(&self, ca: &LocalCa) -> Result<(), Failure> {
        if let Some(folder) = self.cert.parent() {
            files::private_folder(folder)?;
        }
        files::write(&self.key, ca.secret_pem().expose().as_bytes(), Mode::Private)?;
        files::write(&self.cert, ca.cert().as_str().as_bytes(), Mode::Private)?;
        Ok(())
    }
}
