//! Joining the cluster with a token, and the certificates of services in our own process.

use std::time::SystemTime;

use access::{HostClaims, HostId, SystemRole};
use api::types::join::{JoinReply, JoinRequest};
use api::wire;
use audit::events::InstanceJoin;
use pki::{PublicKey, Validity};

use crate::app_sessions::{chain_of, public_key};
use crate::caller::Caller;
use crate::cluster::Cluster;
use crate::events::masked;
use crate::refusal::Refusal;
use crate::tokens;

/// Longest node name.
const LONGEST_NAME: usize = 255;
/// Most further names.
const MOST_NAMES: usize = 32;
/// Names below this one are ours to give.
const INTERNAL: &str = ".causeway.internal";

/// Lets a host in that shows a token, and certifies its key.
pub(crate) async fn join(
    cluster: &Cluster,
    caller: &Caller,
    request: JoinRequest,
) -> Result<JoinReply, Refusal> {
    let stamp = cluster.stamp(cluster.now());
    let decided = admit(cluster, &request, stamp.now).await;
    let event = event(caller, &request, decided.as_ref().err());
    let key = match decided {
        Ok(key) => key,
        Err(Rejected(refusal)) => {
            // Strangers can fail as often as they like; the log takes in so many of them.
            if cluster.failures.take(stamp.now) {
                cluster.store.write(move |tx| tx.record(&stamp.event(event))).await?;
            }
            return Err(refusal);
        }
    };
    let applicant = Applicant {
        host_id: request.host_id,
        node_name: request.node_name,
        roles: request.roles,
        dns_names: request.dns_names,
    };
    let reply = certify(cluster, &applicant, &key, stamp.now)?;
    cluster.store.write(move |tx| tx.record(&stamp.event(event))).await?;
    Ok(reply)
}

/// A host that is let in.
#[derive(Debug, Clone)]
pub(crate) struct Applicant {
    /// Its id.
    pub(crate) host_id: HostId,
    /// Its name.
    pub(crate) node_name: String,
    /// What it will be.
    pub(crate) roles: Vec<SystemRole>,
    /// Further names for its certificate.
    pub(crate) dns_names: Vec<String>,
}

/// A service in our own process needs no token.
pub(crate) async fn local(
    cluster: &Cluster,
    applicant: Applicant,
    key: &PublicKey,
) -> Result<JoinReply, Refusal> {
    let stamp = cluster.stamp(cluster.now());
    valid_names(&applicant.node_name, &applicant.dns_names)?;
    let reply = certify(cluster, &applicant, key, stamp.now)?;
    let joined = InstanceJoin {
        host_id: applicant.host_id.to_string(),
        node_name: applicant.node_name,
        role: words(&applicant.roles),
        method: "local".to_owned(),
        token_name: String::new(),
        success: true,
        error: None,
        remote: None,
    };
    cluster.store.write(move |tx| tx.record(&stamp.event(joined))).await?;
    Ok(reply)
}

/// A certificate for a host, as long as its authority lives.
pub(crate) fn certify(
    cluster: &Cluster,
    applicant: &Applicant,
    key: &PublicKey,
    now: SystemTime,
) -> Result<JoinReply, Refusal> {
    let authority = &cluster.authorities.host;
    let validity = Validity { now, not_after: authority.not_after() };
    let certificate = issue(cluster, applicant, key, validity)?;
    Ok(JoinReply {
        certificate,
        trust: cluster.authorities.trust().clone(),
        cluster: cluster.name().clone(),
    })
}

/// A certificate for a host.
pub(crate) fn issue(
    cluster: &Cluster,
    applicant: &Applicant,
    key: &PublicKey,
    validity: Validity,
) -> Result<String, Refusal> {
    let claims = HostClaims {
        host_id: applicant.host_id.clone(),
        cluster: cluster.name().clone(),
        system_roles: applicant.roles.clone(),
        node_name: applicant.node_name.clone(),
    };
    let names = server_names(applicant);
    let issued = cluster.authorities.host.issue_host(&claims, key, &names, validity);
    let certificate = issued.map_err(|error| match error {
        pki::IssueError::BadName { .. } => Refusal::invalid(error.to_string()),
        error => Refusal::broken("issuing a host certificate", error),
    })?;
    Ok(chain_of(&certificate))
}

/// The names that each system role is reached by.
fn server_names(applicant: &Applicant) -> Vec<String> {
    let mut names = Vec::new();
    for role in &applicant.roles {
        match role {
            SystemRole::Auth => names.push(wire::AUTH_SERVER_NAME.to_owned()),
            SystemRole::Proxy => names.push(wire::PROXY_SERVER_NAME.to_owned()),
            SystemRole::App => {
                names.push(wire::APP_SERVER_WILDCARD.to_owned());
                names.push(format!("{}.agent{INTERNAL}", applicant.host_id));
            }
            SystemRole::Admin => {}
        }
    }
    let is_public = |role: &SystemRole| matches!(role, SystemRole::Auth | SystemRole::Proxy);
    if applicant.roles.iter().any(is_public) {
        names.extend(applicant.dns_names.iter().map(|name| host_of(name).to_owned()));
    }
    names
}

/// The host of `host`, `host:port` or `[v6]:port`.
fn host_of(addr: &str) -> &str {
    if addr.parse::<std::net::IpAddr>().is_ok() {
        return addr;
    }
    let host = match addr.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => addr,
    };
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Why a host was not let in: what it is told.
struct Rejected(Refusal);

impl From<Refusal> for Rejected {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

async fn admit(
    cluster: &Cluster,
    request: &JoinRequest,
    now: SystemTime,
) -> Result<PublicKey, Rejected> {
    let secret = request.token.clone();
    let fixed = cluster.config.static_tokens.clone();
    let (allowed, living) = {
        let host = request.host_id.clone();
        let look = move |reader: &crate::store::Reader<'_>| {
            let allowed = tokens::presented(reader, &fixed, &secret, now)?;
            Ok((allowed, reader.server(&host, now)?.is_some()))
        };
        cluster.store.read(look).await?
    };
    let Some(allowed) = allowed else {
        let unknown = Refusal::denied("the token is not known or has expired");
        return Err(Rejected(unknown.hint("make a new one with tctl tokens add")));
    };
    if request.roles.is_empty() {
        return Err(Rejected(Refusal::invalid("a host must join as something, e.g. App")));
    }
    if let Some(role) = request.roles.iter().find(|role| !allowed.contains(role)) {
        let narrow = Refusal::denied(format!("the token does not allow role {role}"));
        return Err(Rejected(narrow.hint(format!("it allows {}", words(&allowed)))));
    }
    if living && request.roles.contains(&SystemRole::App) {
        let taken = format!("host id {} belongs to an agent that is online", request.host_id);
        let hint =
            "stop that agent, or remove host_uuid from this host's data_dir to join as a new host";
        return Err(Rejected(Refusal::conflict(taken).hint(hint)));
    }
    valid_names(&request.node_name, &request.dns_names)?;
    Ok(public_key(&request.public_key)?)
}

fn valid_names(node_name: &str, dns_names: &[String]) -> Result<(), Refusal> {
    if node_name.len() > LONGEST_NAME || node_name.chars().any(char::is_control) {
        return Err(Refusal::invalid(format!(
            "nodename is longer than {LONGEST_NAME} bytes or holds control characters"
        )));
    }
    if dns_names.len() > MOST_NAMES {
        return Err(Refusal::invalid(format!("a host may ask for at most {MOST_NAMES} names")));
    }
    let internal = |name: &&String| {
        let name = host_of(name).trim_end_matches('.').to_ascii_lowercase();
        name.ends_with(INTERNAL) || name == INTERNAL.trim_start_matches('.')
    };
    match dns_names.iter().find(internal) {
        Some(name) => Err(Refusal::denied(format!("{name} is a name of the cluster's own"))),
        None => Ok(()),
    }
}

fn event(caller: &Caller, request: &JoinRequest, rejected: Option<&Rejected>) -> InstanceJoin {
    InstanceJoin {
        host_id: request.host_id.to_string(),
        node_name: request.node_name.chars().take(LONGEST_NAME).collect(),
        role: words(&request.roles),
        method: "token".to_owned(),
        token_name: masked(&request.token.chars().take(LONGEST_NAME).collect::<String>()),
        success: rejected.is_none(),
        error: rejected.map(|Rejected(refusal)| refusal.to_string()),
        remote: Some(caller.remote()),
    }
}

fn words(roles: &[SystemRole]) -> String {
    roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_cut_out_of_an_address() {
        for (addr, host) in [
            ("proxy.example.com", "proxy.example.com"),
            ("proxy.example.com:443", "proxy.example.com"),
            ("127.0.0.1:3080", "127.0.0.1"),
            ("[::1]:3080", "::1"),
            ("::1", "::1"),
            ("*.example.com", "*.example.com"),
        ] {
            assert_eq!(host_of(addr), host, "{addr}");
        }
    }

    #[test]
    fn names_of_the_cluster_cannot_be_asked_for() {
        for name in [
            "auth.causeway.internal",
            "AUTH.causeway.internal.",
            "auth.causeway.internal:443",
            "*.causeway.internal",
            "x.app.causeway.internal",
            "causeway.internal",
        ] {
            assert!(valid_names("n", &[name.to_owned()]).is_err(), "{name}");
        }
        assert!(valid_names("n", &["proxy.example.com:443".to_owned()]).is_ok());
    }
}
