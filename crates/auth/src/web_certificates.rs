//! The shelf of web certificates: for the proxy's public host and each enrolled app's subdomain of it,
//! and for no other name. One proxy orders at a time; all of them share what it got.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use access::{App, AppName, HostId};
use api::types::web_certificates::{
    AcmeAccount, AcmeAnswer, Lease, LeaseRequest, WebCertificate, WebCertificateListed,
};
use pki::{CertPem, SecretPem, WebPair};

use crate::cluster::Cluster;
use crate::events::{end_of, timestamp};
use crate::refusal::Refusal;
use crate::store::Reader;

/// Longest lease, seconds.
const LONGEST_LEASE: u32 = 3_600;
/// How long an answer to a challenge is kept.
const ANSWER_LIFE: Duration = Duration::from_secs(600);
/// Longest chain, account or key, bytes.
const LONGEST_TEXT: usize = 64 * 1_024;
/// Longest URL of a directory, bytes.
const LONGEST_URL: usize = 1_024;

/// A name for which a certificate may be ordered. Only [`enrolled`] makes one.
struct Enrolled(String);

/// The names of the certificates, when they end, and whether they are still wanted.
pub(crate) async fn list(cluster: &Cluster) -> Result<Vec<WebCertificateListed>, Refusal> {
    let (host, now) = (cluster.known_proxy_host(), cluster.now());
    let listed = move |reader: &Reader<'_>| {
        let apps = enrolled_apps(reader, now)?;
        let is_enrolled =
            |name: &str| host.as_deref().is_some_and(|host| is_name_of(name, host, &apps));
        let names = reader.web_certificate_names()?.into_iter();
        Ok(names
            .map(|(name, not_after)| WebCertificateListed {
                is_enrolled: is_enrolled(&name),
                not_after: timestamp(not_after),
                name,
            })
            .collect())
    };
    cluster.store.read(listed).await
}

/// A certificate with its key.
pub(crate) async fn get(cluster: &Cluster, name: String) -> Result<WebCertificate, Refusal> {
    let Enrolled(name) = enrolled(cluster, &name).await?;
    let found = {
        let name = name.clone();
        cluster.store.read(move |reader| reader.web_certificate(&name)).await?
    };
    found.ok_or_else(|| Refusal::missing(format!("there is no certificate for {name}")))
}

/// Keeps a certificate that the holder of the lease has got.
pub(crate) async fn put(
    cluster: &Cluster,
    host: &HostId,
    name: String,
    mut certificate: WebCertificate,
) -> Result<(), Refusal> {
    if certificate.name != name {
        return Err(Refusal::invalid("the path and the body name different hosts"));
    }
    let Enrolled(name) = enrolled(cluster, &name).await?;
    let not_after = checked(&name, &certificate.certificate, certificate.key.expose())?;
    let (now, host) = (cluster.now(), host.clone());
    if not_after <= now {
        return Err(Refusal::invalid(format!("the certificate for {name} has ended")));
    }
    certificate.name = name;
    cluster
        .store
        .write(move |tx| {
            let name = certificate.name.as_str();
            holds_lease(tx, name, &host, now)?;
            let old = tx.web_certificate(name)?.and_then(|old| old.not_after);
            if old.is_some_and(|old| SystemTime::from(old) > not_after) {
                let sooner = "the certificate ends sooner than the one that is there";
                return Err(Refusal::invalid(sooner));
            }
            tx.keep_web_certificate(&certificate, not_after)?;
            tx.drop_web_lease(name)
        })
        .await
}

/// Takes a certificate from the shelf; its name need not be enrolled any more.
pub(crate) async fn delete(cluster: &Cluster, name: String) -> Result<(), Refusal> {
    cluster
        .store
        .write(move |tx| {
            let there = tx.drop_web_certificate(&name)?;
            let missing = || Refusal::missing(format!("there is no certificate for {name}"));
            there.then_some(()).ok_or_else(missing)
        })
        .await
}

/// Lets one proxy order a certificate.
pub(crate) async fn lease(
    cluster: &Cluster,
    host: &HostId,
    name: String,
    request: LeaseRequest,
) -> Result<Lease, Refusal> {
    if !(1..=LONGEST_LEASE).contains(&request.seconds) {
        return Err(Refusal::invalid(format!("seconds must be 1 to {LONGEST_LEASE}")));
    }
    let Enrolled(name) = enrolled(cluster, &name).await?;
    let (now, host) = (cluster.now(), host.clone());
    let until = end_of(now, Duration::from_secs(request.seconds.into())).unwrap_or(now);
    cluster
        .store
        .write(move |tx| {
            if let Some((holder, until)) = tx.web_lease(&name, now)?
                && holder != host.as_str()
            {
                return Ok(Lease { is_granted: false, until: timestamp(until) });
            }
            tx.keep_web_lease(&name, &host, until)?;
            Ok(Lease { is_granted: true, until: timestamp(until) })
        })
        .await
}

/// The account at a certificate authority.
pub(crate) async fn account(cluster: &Cluster, directory: String) -> Result<AcmeAccount, Refusal> {
    let found = cluster.store.read(move |reader| reader.acme_account(&directory)).await?;
    found.ok_or_else(|| Refusal::missing("there is no account at this certificate authority"))
}

/// Keeps an account unless there is one; gives the one that counts.
pub(crate) async fn put_account(
    cluster: &Cluster,
    account: AcmeAccount,
) -> Result<AcmeAccount, Refusal> {
    let is_url = account.directory.starts_with("https://");
    if !is_url || account.directory.len() > LONGEST_URL {
        return Err(Refusal::invalid("the directory of a certificate authority is an https URL"));
    }
    bounded(account.credentials.expose())?;
    cluster
        .store
        .write(move |tx| {
            tx.found_acme_account(&account)?;
            Ok(tx.acme_account(&account.directory)?.unwrap_or(account))
        })
        .await
}

/// The answer to a challenge under way.
pub(crate) async fn answer(cluster: &Cluster, name: String) -> Result<AcmeAnswer, Refusal> {
    let Enrolled(name) = enrolled(cluster, &name).await?;
    let now = cluster.now();
    let found = cluster.store.read(move |reader| reader.acme_answer(&name, now)).await?;
    found.ok_or_else(|| Refusal::missing("no challenge is under way for this name"))
}

/// Keeps the answer to a challenge of the holder of the lease.
pub(crate) async fn put_answer(
    cluster: &Cluster,
    host: &HostId,
    name: String,
    mut answer: AcmeAnswer,
) -> Result<(), Refusal> {
    if answer.name != name {
        return Err(Refusal::invalid("the path and the body name different hosts"));
    }
    let Enrolled(name) = enrolled(cluster, &name).await?;
    checked(&name, &answer.certificate, answer.key.expose())?;
    answer.name = name;
    let (now, host) = (cluster.now(), host.clone());
    let expires = end_of(now, ANSWER_LIFE).unwrap_or(now);
    cluster
        .store
        .write(move |tx| {
            holds_lease(tx, &answer.name, &host, now)?;
            tx.keep_acme_answer(&answer, now, expires)
        })
        .await
}

/// A challenge is over.
pub(crate) async fn delete_answer(cluster: &Cluster, name: String) -> Result<(), Refusal> {
    let Enrolled(name) = enrolled(cluster, &name).await?;
    cluster.store.write(move |tx| tx.drop_acme_answer(&name)).await
}

/// Host names know no case, and the store shall hold each once.
async fn enrolled(cluster: &Cluster, name: &str) -> Result<Enrolled, Refusal> {
    let (name, now) = (name.to_ascii_lowercase(), cluster.now());
    let Some(host) = cluster.known_proxy_host() else {
        return Err(Refusal::denied("the cluster does not know its public address yet")
            .hint("set proxy_service.public_addr in teleport.yaml"));
    };
    let asked = name.clone();
    let check =
        move |reader: &Reader<'_>| Ok(is_name_of(&asked, &host, &enrolled_apps(reader, now)?));
    if cluster.store.read(check).await? {
        return Ok(Enrolled(name));
    }
    Err(Refusal::denied("the name is neither the proxy's public host nor an enrolled app's")
        .hint("certificates are ordered for the public address and for the hosts of enrolled apps"))
}

/// Whether a name is the host's own, or that of an app: right below it, or its own public address.
fn is_name_of(name: &str, host: &str, apps: &Apps) -> bool {
    if host.parse::<std::net::IpAddr>().is_ok() || !host.contains('.') {
        // No public authority certifies an address or a bare name.
        return false;
    }
    let host = host.to_ascii_lowercase();
    if name == host {
        return true;
    }
    let label = name.strip_suffix(&host).and_then(|rest| rest.strip_suffix('.'));
    let below = label.and_then(|label| AppName::parse(label).ok());
    below.is_some_and(|app| apps.names.contains(&app)) || apps.addresses.contains(name)
}

/// The enrolled apps, as far as names of hosts go. One with an address of its own has no other.
#[derive(Default)]
struct Apps {
    names: BTreeSet<AppName>,
    addresses: BTreeSet<String>,
}

/// The apps that agents announce, and those that are resources.
fn enrolled_apps(reader: &Reader<'_>, now: SystemTime) -> Result<Apps, Refusal> {
    let announced = reader.servers(now)?.into_iter().flat_map(|server| server.apps);
    let kept = reader.list::<App>()?.into_iter().filter(|app| !app.metadata.is_expired(now));
    let mut apps = Apps::default();
    for app in announced.chain(kept) {
        match app.spec.public_addr {
            Some(address) => _ = apps.addresses.insert(address.to_ascii_lowercase()),
            None => _ = apps.names.insert(app.metadata.name),
        }
    }
    Ok(apps)
}

fn holds_lease(
    reader: &Reader<'_>,
    name: &str,
    host: &HostId,
    now: SystemTime,
) -> Result<(), Refusal> {
    match reader.web_lease(name, now)? {
        Some((holder, _)) if holder == host.as_str() => Ok(()),
        _ => Err(Refusal::conflict(format!("host {host} does not hold the lease for {name}"))
            .hint("ask for the lease first; another proxy may be ordering")),
    }
}

/// Whether a chain is for a name and fits its key; tells when its leaf ends.
fn checked(name: &str, certificate: &str, key: &str) -> Result<SystemTime, Refusal> {
    bounded(certificate)?;
    bounded(key)?;
    let bad = |why: String| Refusal::invalid(format!("the certificate for {name}: {why}"));
    let cert = CertPem::parse(certificate).map_err(|error| bad(error.to_string()))?;
    let facts = cert.facts().map_err(|error| bad(error.to_string()))?;
    if !facts.dns_names.iter().any(|dns| dns.eq_ignore_ascii_case(name)) {
        return Err(bad("it is for another name".to_owned()));
    }
    let pair = WebPair { cert, key: SecretPem::new(key.to_owned()) };
    pair.certified().map_err(|error| bad(error.to_string()))?;
    Ok(facts.not_after)
}

fn bounded(text: &str) -> Result<(), Refusal> {
    if text.len() <= LONGEST_TEXT {
        return Ok(());
    }
    Err(Refusal::too_large(format!("more than {LONGEST_TEXT} bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_host_and_apps_right_below_it_are_names() {
        let apps = Apps {
            names: BTreeSet::from([AppName::parse("grafana").unwrap()]),
            addresses: BTreeSet::from(["wiki.example.org".to_owned()]),
        };
        let is = |name: &str| is_name_of(name, "Example.com", &apps);
        for name in ["example.com", "grafana.example.com", "wiki.example.org"] {
            assert!(is(name), "{name}");
        }
        for name in [
            "",
            ".example.com",
            "other.example.com",
            "wiki.example.com",
            "x.wiki.example.org",
            "grafana.example.com.",
            "a.grafana.example.com",
            "grafana.a.example.com",
            "grafanaexample.com",
            "grafana.example.com.evil.org",
            "*.example.com",
            "grafana",
            "com",
        ] {
            assert!(!is(name), "{name}");
        }
        for host in ["127.0.0.1", "::1", "localhost"] {
            assert!(!is_name_of(host, host, &apps), "{host}");
        }
    }
}
