//! What holds for every login and session of the cluster: as `auth_service.authentication` of
//! `teleport.yaml` says, where no `cluster_auth_preference` was stored that says otherwise.

use std::net::IpAddr;

use access::resource::RequireMfa;
use api::resource::{Kind, PutMode, PutOutcome};
use api::types::auth_preference::{
    AUTH_PREFERENCE_NAME, AuthPreferenceSpec, AuthType, ClusterAuthPreference, ORIGIN_LABEL,
    WebauthnPreference,
};
use api::types::ping::SecondFactor;
use api::types::watch::{Item, PreferenceNow};
use audit::events::AuthPreferenceUpdate;

use crate::caller::Actor;
use crate::cluster::Cluster;
use crate::config::AuthConfig;
use crate::refusal::Refusal;
use crate::store::{Tx, not_found};

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

    /// The same with what was stored laid over it.
    pub(crate) fn overlaid(self, spec: &AuthPreferenceSpec) -> Self {
        let rp_id = spec.webauthn.as_ref().and_then(|webauthn| webauthn.rp_id.clone());
        Self {
            second_factor: spec.second_factor.unwrap_or(self.second_factor),
            rp_id: rp_id.or(self.rp_id),
            require_session_mfa: spec.require_session_mfa.unwrap_or(self.require_session_mfa),
            local_auth: spec.allow_local_auth.unwrap_or(self.local_auth),
        }
    }

    /// What services enforce of it.
    pub(crate) fn now(&self) -> PreferenceNow {
        PreferenceNow { require_session_mfa: self.require_session_mfa }
    }

    fn spec(&self) -> AuthPreferenceSpec {
        AuthPreferenceSpec {
            kind: Some(AuthType::Local),
            second_factor: Some(self.second_factor),
            webauthn: self.rp_id.clone().map(|rp_id| WebauthnPreference { rp_id: Some(rp_id) }),
            require_session_mfa: Some(self.require_session_mfa),
            allow_local_auth: Some(self.local_auth),
        }
    }

    fn event(&self, actor: &Actor) -> AuthPreferenceUpdate {
        AuthPreferenceUpdate {
            user: actor.name(),
            second_factor: self.second_factor.as_str().to_owned(),
            require_session_mfa: self.require_session_mfa != RequireMfa::No,
            allow_local_auth: self.local_auth,
        }
    }
}

/// What admins are shown: what holds, with the envelope of what was stored.
pub(crate) fn shown(
    cluster: &Cluster,
    stored: Option<ClusterAuthPreference>,
) -> ClusterAuthPreference {
    let spec = cluster.preference().spec();
    match stored {
        Some(stored) => ClusterAuthPreference { spec, ..stored },
        None => {
            let mut shown = ClusterAuthPreference::new(spec);
            let origin = (ORIGIN_LABEL.to_owned(), "config-file".to_owned());
            shown.metadata.labels.extend([origin]);
            shown
        }
    }
}

/// Says what is wrong with a preference.
pub(crate) fn valid(cluster: &Cluster, given: &ClusterAuthPreference) -> Result<(), Refusal> {
    let invalid = |why: String| Err(Refusal::invalid(format!("cluster_auth_preference: {why}")));
    if given.metadata.name != AUTH_PREFERENCE_NAME {
        return invalid(format!("metadata.name must be {AUTH_PREFERENCE_NAME}"));
    }
    if given.metadata.expires.is_some() {
        return invalid("metadata.expires: it cannot end by itself".to_owned());
    }
    let wanted = Preference::of(&cluster.config).overlaid(&given.spec);
    match wanted.require_session_mfa {
        RequireMfa::Yes if wanted.second_factor == SecondFactor::Off => {
            return invalid(
                "spec.require_session_mfa is on, but spec.second_factor is off: nobody could open an app"
                    .to_owned(),
            );
        }
        RequireMfa::HardwareKey | RequireMfa::HardwareKeyTouch => {
            return invalid(
                "spec.require_session_mfa: keys in hardware cannot be told apart here; expected yes or no"
                    .to_owned(),
            );
        }
        RequireMfa::Yes | RequireMfa::No => {}
    }
    let host = cluster.known_proxy_host();
    let at = |host: &str| host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    if wanted.second_factor == SecondFactor::Webauthn
        && let Some(host) = host.as_deref().filter(|host| at(host))
    {
        return invalid(format!(
            "spec.second_factor is webauthn, but users reach this cluster at the address {host}, \
             and browsers allow passkeys for host names only"
        ));
    }
    if let (Some(rp_id), Some(host)) = (&wanted.rp_id, &host)
        && host != rp_id
        && !host.ends_with(&format!(".{rp_id}"))
    {
        return invalid(format!(
            "spec.webauthn.rp_id is `{rp_id}`, but users reach this cluster at `{host}`; expected \
             `{host}` or a parent domain of it"
        ));
    }
    Ok(())
}

/// Stores it.
pub(crate) fn put(
    tx: &mut Tx<'_>,
    (actor, defaults): (&Actor, Preference),
    mut given: ClusterAuthPreference,
    mode: PutMode,
) -> Result<PutOutcome, Refusal> {
    given.metadata.labels.remove(ORIGIN_LABEL);
    let old = tx.find::<ClusterAuthPreference>(AUTH_PREFERENCE_NAME)?;
    let outcome = match (old.filter(|_| mode != PutMode::Create), mode) {
        // What `tctl get` showed had no revision as long as nothing was stored.
        (None, _) => {
            tx.insert(&mut given)?;
            PutOutcome::Created
        }
        (Some(old), mode) => {
            let expected = match mode {
                PutMode::Update => given.metadata.revision.clone(),
                _ => old.metadata.revision,
            };
            tx.replace(&mut given, expected.as_deref())?;
            PutOutcome::Updated
        }
    };
    let preference = defaults.overlaid(&given.spec);
    tx.record(&actor.stamp().event(preference.event(actor)))?;
    tx.put(Item::Preference(preference.now()));
    Ok(outcome)
}

/// Goes back to the settings of the process.
pub(crate) fn delete(
    tx: &mut Tx<'_>,
    (actor, defaults): (&Actor, Preference),
    name: &str,
) -> Result<(), Refusal> {
    if tx.find::<ClusterAuthPreference>(name)?.is_none() {
        return Err(not_found(Kind::ClusterAuthPreference, name));
    }
    tx.remove::<ClusterAuthPreference>(name)?;
    tx.record(&actor.stamp().event(defaults.event(actor)))?;
    tx.put(Item::Preference(defaults.now()));
    Ok(())
}
