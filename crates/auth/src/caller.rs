//! Who calls, and the proof that a rule let the caller act.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use access::{Claims, HostClaims, Identity, SystemRole, UserName};

use crate::events::Stamp;
use crate::refusal::Refusal;

/// The other end of a connection: an identity from its certificate, or a stranger.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    identity: Option<Arc<Identity>>,
    remote: SocketAddr,
}

impl Caller {
    pub(crate) fn new(identity: Option<Identity>, remote: SocketAddr) -> Self {
        Self { identity: identity.map(Arc::new), remote }
    }

    /// Its address as we see it; behind a proxy, the proxy's.
    pub(crate) fn remote(&self) -> String {
        self.remote.ip().to_string()
    }

    /// Whether it showed no certificate.
    pub(crate) fn is_stranger(&self) -> bool {
        self.identity.is_none()
    }

    /// Whether it is a service with this role.
    pub(crate) fn is(&self, role: SystemRole) -> bool {
        self.identity.as_ref().is_some_and(|identity| identity.has_system_role(role))
    }

    /// Who it is, if its certificate has not ended since the connection began.
    pub(crate) fn identity(&self, now: SystemTime) -> Result<&Identity, Refusal> {
        let Some(identity) = &self.identity else {
            let unknown = Refusal::unknown("a client certificate of this cluster is needed");
            return Err(unknown.hint("log in with tsh login, or join the cluster with a token"));
        };
        if identity.expires() <= now {
            let ended = format!("the certificate of {} has expired", identity.subject());
            return Err(Refusal::unknown(ended).hint("log in again with tsh login"));
        }
        Ok(identity)
    }

    /// The host, if it has one of these system roles.
    pub(crate) fn service(
        &self,
        roles: &[SystemRole],
        now: SystemTime,
    ) -> Result<&HostClaims, Refusal> {
        let identity = self.identity(now)?;
        let host = identity.host().filter(|_| roles.iter().any(|r| identity.has_system_role(*r)));
        host.ok_or_else(|| {
            let wanted: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
            Refusal::denied(format!(
                "{} may not do this: it is for services with the role {}",
                identity.subject(),
                wanted.join(" or ")
            ))
        })
    }

    /// The person, if the certificate is one of a login: a certificate for an app opens that app only.
    pub(crate) fn person(&self, now: SystemTime) -> Result<&Claims, Refusal> {
        let identity = self.identity(now)?;
        let subject = identity.subject();
        let Some(claims) = identity.user() else {
            return Err(Refusal::denied(format!("{subject} may not do this: it is for users")));
        };
        if let Some(app) = &claims.app {
            let narrow =
                format!("{subject} may not do this with a certificate for app {}", app.name);
            return Err(Refusal::denied(narrow).hint("use the certificate of tsh login"));
        }
        Ok(claims)
    }

    /// Who may work on the cluster's own resources, if rules allow it: people, and `tctl` on our own
    /// host. Other services get what they need by the watch.
    pub(crate) fn operator(&self, now: SystemTime) -> Result<&Identity, Refusal> {
        let identity = self.member(now)?;
        if identity.host().is_some() {
            self.service(&[SystemRole::Admin], now)?;
        }
        Ok(identity)
    }

    /// Anybody with a certificate but for those of apps.
    pub(crate) fn member(&self, now: SystemTime) -> Result<&Identity, Refusal> {
        let identity = self.identity(now)?;
        if identity.user().is_some() {
            self.person(now)?;
        }
        Ok(identity)
    }

    /// Its user name, or its host id, for the audit log; `None` for a stranger.
    pub(crate) fn name(&self) -> Option<String> {
        self.identity.as_deref().map(name_of)
    }
}

/// A user's name, or `<host id>.<cluster>` as the original writes a host.
pub(crate) fn name_of(identity: &Identity) -> String {
    match identity.user() {
        Some(claims) => claims.user.to_string(),
        None => format!("{}.{}", identity.subject(), identity.cluster()),
    }
}

/// Proof that the caller may do what is being done, with the time and the name for its event.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    name: String,
    user: Option<UserName>,
    stamp: Stamp,
}

impl Actor {
    /// The caller, whom a rule let in. Called by [`crate::cluster::Cluster::authorize`] alone.
    pub(super) fn admitted(identity: &Identity, stamp: Stamp) -> Self {
        let user = identity.user().map(|claims| claims.user.clone());
        Self { name: name_of(identity), user, stamp }
    }

    /// The Auth Service itself.
    pub(crate) fn system(stamp: Stamp) -> Self {
        Self { name: "system".to_owned(), user: None, stamp }
    }

    /// For events.
    pub(crate) fn name(&self) -> String {
        self.name.clone()
    }

    /// The user, unless it is `tctl` on our own host.
    pub(crate) fn user(&self) -> Option<&UserName> {
        self.user.as_ref()
    }

    /// For events.
    pub(crate) fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// When the request was taken up.
    pub(crate) fn now(&self) -> SystemTime {
        self.stamp.now
    }
}
