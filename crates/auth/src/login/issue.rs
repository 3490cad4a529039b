//! The user certificate of a login.

use std::time::{Duration, SystemTime};

use access::Claims;
use access::resource::Finding;
use api::types::login::LoginReply;
use pki::PublicKey;

use super::attempt::Attempt;
use super::refused;
use crate::app_sessions::chain_of;
use crate::cluster::Cluster;
use crate::refusal::Refusal;

/// What is asked for.
pub(super) struct Asked {
    /// The key to certify.
    pub(super) key: PublicKey,
    /// The wanted life.
    pub(super) ttl_seconds: Option<u64>,
    /// The latest end.
    pub(super) ends: Option<SystemTime>,
    /// Whether a second factor was shown.
    pub(super) mfa: bool,
}

/// A certificate that has been made but not handed out.
pub(super) struct Issued {
    pub(super) claims: Claims,
    pub(super) reply: LoginReply,
}

pub(super) fn issue(
    cluster: &Cluster,
    attempt: &Attempt,
    asked: &Asked,
) -> Result<Issued, Refusal> {
    let Attempt { who, account, stamp } = attempt;
    let account = account.as_ref().ok_or_else(refused)?;
    let ttl = asked.ttl_seconds.map(Duration::from_secs);
    let ttl = ttl.unwrap_or(cluster.config.default_session_ttl);
    let left = asked.ends.map(|end| end.duration_since(stamp.now).unwrap_or_default());
    let login = access::login_claims(&access::LoginRequest {
        user: &account.user,
        roles: &account.roles,
        cluster: cluster.name(),
        now: stamp.now,
        ttl: Some(left.map_or(ttl, |left| left.min(ttl))),
        mfa: asked.mfa,
        login_ip: who.remote_addr.as_deref().and_then(|addr| addr.parse().ok()),
    })
    .map_err(|error| Refusal::denied(error.to_string()))?;
    let certificate = cluster
        .authorities
        .user
        .issue_user(&login.claims, &asked.key, stamp.now)
        .map_err(|error| Refusal::broken("issuing a certificate", error))?;
    let reply = LoginReply {
        user: login.claims.user.clone(),
        certificate: chain_of(&certificate),
        trust: cluster.authorities.trust().clone(),
        cluster: cluster.name().clone(),
        warnings: login.warnings.iter().map(Finding::to_string).collect(),
    };
    Ok(Issued { claims: login.claims, reply })
}
