//! The cluster as passkeys know it ([WebAuthn](https://www.w3.org/TR/webauthn-3/)): a host name
//! (the relying party's id) and the web origin of the proxy. Here passkeys are a second factor
//! beside a password: the user must be present, and is verified where the device can.

use std::net::IpAddr;

use access::UserName;
use aws_lc_rs::digest;
use serde_json::Value;
use url::Url;
use uuid::Uuid;
use webauthn_rs::prelude::{
    AuthenticationResult, PublicKeyCredential, RegisterPublicKeyCredential, SecurityKey,
    SecurityKeyAuthentication, SecurityKeyRegistration,
};
use webauthn_rs::{Webauthn, WebauthnBuilder};

use crate::cluster::Cluster;
use crate::mfa;
use crate::refusal::Refusal;

/// The relying party.
pub(crate) struct RelyingParty {
    webauthn: Webauthn,
    cluster: String,
}

/// Options for the browser, and what to hold against its answer.
pub(crate) struct Begun<T> {
    /// `{"publicKey": …}`.
    pub(crate) options: Value,
    /// Kept here.
    pub(crate) state: T,
}

impl RelyingParty {
    /// The cluster's, by its settings and by where its proxy is.
    pub(crate) fn of(cluster: &Cluster) -> Result<Self, Refusal> {
        let origin = origin(cluster)?;
        let rp_id = id_at(cluster, &origin)?;
        let name = cluster.name().as_str();
        let unfit = || {
            Refusal::conflict(format!(
                "passkeys cannot be used: webauthn.rp_id is `{rp_id}`, but the proxy is at {origin}"
            ))
            .hint("rp_id must be the proxy's public host or a parent domain of it")
        };
        let webauthn = WebauthnBuilder::new(&rp_id, &origin)
            .map_err(|_| unfit())?
            .rp_name(name)
            .timeout(mfa::LIFE)
            .build()
            .map_err(|_| unfit())?;
        Ok(Self { webauthn, cluster: name.to_owned() })
    }

    /// Begins the making of a passkey; devices that hold one of `old` are asked to refuse.
    pub(crate) fn begin_enrolment(
        &self,
        user: &UserName,
        old: &[SecurityKey],
    ) -> Result<Begun<SecurityKeyRegistration>, Refusal> {
        let exclude = old.iter().map(|key| key.cred_id().clone()).collect();
        let handle = self.handle_of(user);
        let (options, state) = self
            .webauthn
            .start_securitykey_registration(
                handle,
                user.as_str(),
                user.as_str(),
                Some(exclude),
                None,
                None,
            )
            .map_err(|error| Refusal::broken("beginning an enrolment", error))?;
        let mut options = serde_json::to_value(options)?;
        any_device(&mut options);
        Ok(Begun { options, state })
    }

    /// Finishes the making of a passkey.
    pub(crate) fn finish_enrolment(
        &self,
        state: &SecurityKeyRegistration,
        credential: Value,
    ) -> Result<SecurityKey, Refusal> {
        let answer: RegisterPublicKeyCredential =
            serde_json::from_value(credential).map_err(|_| not_a_credential())?;
        self.webauthn.finish_securitykey_registration(&answer, state).map_err(|error| {
            Refusal::invalid(format!("the passkey was not accepted: {error}"))
                .hint("begin again, on the page of this cluster's proxy")
        })
    }

    /// Begins a proof with one of the passkeys.
    pub(crate) fn begin_proof(
        &self,
        keys: &[SecurityKey],
    ) -> Result<Begun<SecurityKeyAuthentication>, Refusal> {
        let (options, state) = self
            .webauthn
            .start_securitykey_authentication(keys)
            .map_err(|error| Refusal::broken("beginning a proof", error))?;
        let mut options = serde_json::to_value(options)?;
        any_device(&mut options);
        Ok(Begun { options, state })
    }

    /// Checks a proof; `None` if it is not one.
    pub(crate) fn finish_proof(
        &self,
        state: &SecurityKeyAuthentication,
        credential: Value,
    ) -> Option<AuthenticationResult> {
        let answer: PublicKeyCredential = serde_json::from_value(credential).ok()?;
        self.webauthn.finish_securitykey_authentication(&answer, state).ok()
    }

    /// What authenticators file a user's passkey under. It tells nothing of the user.
    fn handle_of(&self, user: &UserName) -> Uuid {
        let text = format!("causeway user handle\0{}\0{user}", self.cluster);
        let digest = digest::digest(&digest::SHA256, text.as_bytes());
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
        Uuid::from_bytes(bytes)
    }
}

/// The id, where passkeys can be used.
pub(crate) fn id(cluster: &Cluster) -> Result<String, Refusal> {
    id_at(cluster, &origin(cluster)?)
}

/// `https://<public address of the proxy>`; the usual port is left out.
fn origin(cluster: &Cluster) -> Result<Url, Refusal> {
    let addr = cluster.known_proxy_addr().ok_or_else(|| {
        Refusal::conflict("passkeys cannot be used: it is not known yet where the proxy is")
            .hint("set proxy_service.public_addr, or wait for a proxy to start")
    })?;
    Url::parse(&format!("https://{addr}")).map_err(|error| {
        Refusal::conflict(format!(
            "passkeys cannot be used: the proxy's address is {addr}: {error}"
        ))
    })
}

fn id_at(cluster: &Cluster, origin: &Url) -> Result<String, Refusal> {
    let host = origin.host_str().unwrap_or_default();
    if host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        return Err(Refusal::conflict(format!(
            "passkeys cannot be used: browsers allow them for host names only, and users reach \
             this cluster at the address {host}"
        ))
        .hint("set proxy_service.public_addr to a host name, or use one-time codes"));
    }
    Ok(cluster.preference().rp_id.clone().unwrap_or_else(|| host.to_owned()))
}

/// Takes out the hints that make browsers ask for a security key only: any passkey will do.
/// And the wish that a device demand its PIN each time: some that have none would be of no use.
fn any_device(options: &mut Value) {
    let Some(options) = options.get_mut("publicKey").and_then(Value::as_object_mut) else { return };
    options.remove("hints");
    if let Some(extensions) = options.get_mut("extensions").and_then(Value::as_object_mut) {
        extensions.remove("credentialProtectionPolicy");
        extensions.remove("enforceCredentialProtectionPolicy");
        extensions.remove("uvm");
    }
}

fn not_a_credential() -> Refusal {
    Refusal::invalid("the credential is not what PublicKeyCredential.toJSON() gives")
}
