//! What holds for every login and session of the cluster: as `auth_service.authentication` of
//! `teleport.yaml` says, unless a `cluster_auth_preference` was stored.

use access::resource::RequireMfa;
use api::types::ping::SecondFactor;
use api::types::watch::PreferenceNow;

use crate::config::AuthConfig;

/// What holds now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Preference {
    /// Whether users need a second factor, and which.
    pub(crate) second_factor: SecondFactor,
    /// The relying party's id of passkeys; the proxy's public host if `None`.
    pub(crate) rp_id: Option<String>,
    /// Whether each app session needs a second factor of its own.
    pub(crate) require_session_mfa: RequireMfa,
    /// Whether users log in with passwords.
    pub(crate) local_auth: bool,
}

impl Preference {
    /// As the settings of the process say.
    pub(crate) fn of(config: &AuthConfig) -> Self {
        Self {
            second_factor: config.second_factor,
            rp_id: config.webauthn_rp_id.clone(),
            require_session_mfa: config.require_session_mfa,
            local_auth: config.local_auth,
        }
    }

    /// What services enforce of it.
    pub(crate) fn now(&self) -> PreferenceNow {
        PreferenceNow { require_session_mfa: self.require_session_mfa }
    }
}
