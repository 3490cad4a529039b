//! One parsed value that yields host, service, region and partition together.
//!
//! A host is matched on its parsed labels and exact suffixes, never by substring, and what is dialled is the value that
//! was checked. Hosts that are not in the table are refused, whatever their suffix.

mod candidates;
mod choice;
mod error;
mod local;
mod s3_hosts;

use std::fmt;
use std::sync::Arc;

use http::request::Parts;

pub use error::BadEndpoint;

use crate::arn::AccountId;
use crate::host::Name;
use crate::partition::Partition;
use crate::region::Region;
use crate::service::Service;
use crate::sigv4::Scope;

use candidates::Candidate;
use choice::Clues;
use error::shown;
use local::Local;

/// An endpoint of a service. Made by parsing only; cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    host: Arc<str>,
    found: Candidate,
}

impl Endpoint {
    /// Parses a host, with or without `:443`, in any case, with or without one trailing dot.
    ///
    /// Several services may stand at one host (RDS and DocumentDB, say), and a host without a region may be in two
    /// partitions; then this is the first of them, and [`Endpoint::of_request`] knows better.
    ///
    /// # Errors
    /// [`BadEndpoint::Host`] if it is no DNS name, [`BadEndpoint::NotAws`] if it is in no partition's domain,
    /// [`BadEndpoint::Unknown`] if the table has no such endpoint.
    pub fn from_host(host: &str) -> Result<Self, BadEndpoint> {
        let (name, candidates) = known(host)?;
        choice::settle(&name, candidates, None, &Clues::default())
    }

    /// The endpoint that a credential scope and `X-Amz-Target` name, for requests whose own host is ours
    /// (`--endpoint-url https://localhost:PORT`).
    ///
    /// The scope's region is the client's; the endpoint's is the one that the service's requests are signed for, which is
    /// another one for services that stand in one place of their partition.
    ///
    /// # Errors
    /// [`BadEndpoint::UnknownService`], [`BadEndpoint::UnknownTarget`], [`BadEndpoint::UnknownRegion`] or
    /// [`BadEndpoint::Ambiguous`].
    pub fn from_scope(scope: &Scope, target: Option<&str>) -> Result<Self, BadEndpoint> {
        local::resolve(scope, None, &Clues { target, request: None })
    }

    /// The one endpoint of a request: from its host, or, where the host is this machine's
    /// (`localhost`, `*.localhost`, a loopback address), from scope, target, method and path.
    ///
    /// The host is the URI's authority and the `Host` header; if both are there they must be equal.
    /// `X-Forwarded-Host` is never looked at.
    ///
    /// # Errors
    /// As [`Endpoint::from_host`], [`Endpoint::from_scope`] and [`Endpoint::with_scope`], and
    /// [`BadEndpoint::TargetDisagrees`] if `X-Amz-Target` is another service's.
    pub fn of_request(parts: &Parts, scope: Option<&Scope>) -> Result<Self, BadEndpoint> {
        let host = choice::host_of(parts)?;
        let target = choice::target_of(parts)?;
        let clues = Clues { target, request: Some(parts) };
        match Local::of(host) {
            Some(local) => {
                let scope = scope.ok_or(BadEndpoint::NoScope)?;
                local::resolve(scope, local.front, &clues)
            }
            None => {
                let (name, candidates) = known(host)?;
                choice::settle(&name, candidates, scope, &clues)
            }
        }
    }

    /// Checks that host and credential scope agree on service and region, and settles the region of hosts that
    /// name none (`s3.amazonaws.com` takes a signature for any region of its partition).
    ///
    /// # Errors
    /// [`BadEndpoint::ServiceDisagrees`] or [`BadEndpoint::RegionDisagrees`].
    pub fn with_scope(self, scope: &Scope) -> Result<Self, BadEndpoint> {
        let (name, mut candidates) = known(&self.host)?;
        candidates.sort_by_key(|candidate| candidate.service != self.found.service);
        choice::settle(&name, candidates, Some(scope), &Clues::default())
    }

    /// The host to dial: lower case, no port, no trailing dot.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The service.
    pub fn service(&self) -> Service {
        self.found.service
    }

    /// The fourth part of the credential scope that this endpoint takes: mostly the service's, but `s3-outposts` at S3
    /// on Outposts, `s3express` at directory buckets, and so on.
    pub fn signing_name(&self) -> &'static str {
        self.found.signing_name
    }

    /// The region that requests are signed for.
    pub fn region(&self) -> &Region {
        &self.found.region
    }

    /// The partition.
    pub fn partition(&self) -> Partition {
        self.found.region.partition()
    }

    /// Whether it stands in several regions at once, so that SDKs sign for all of them by SigV4A (multi-region access
    /// points, EventBridge's global endpoints, `CloudFront` key-value stores).
    pub fn is_multi_region(&self) -> bool {
        self.found.every_region
    }

    /// The S3 bucket or access point, if the host names one (virtual-hosted style).
    pub fn bucket(&self) -> Option<&str> {
        self.found.bucket.as_deref()
    }

    /// The account, if the host names one (`123456789012.ddb.us-east-1.amazonaws.com`).
    pub fn account(&self) -> Option<AccountId> {
        self.found.account
    }
}

/// A host's name, and who may stand there; at least one.
fn known(host: &str) -> Result<(Name, Vec<Candidate>), BadEndpoint> {
    let bad = |fault| BadEndpoint::Host { host: shown(host), fault };
    let name = Name::parse_with_port(host).map_err(bad)?;
    let candidates = candidates::at(&name);
    if !candidates.is_empty() {
        return Ok((name, candidates));
    }
    let host = name.as_str().to_owned();
    Err(match candidates::domain_of(&name) {
        Some(partition) => {
            BadEndpoint::Unknown { region: candidates::region_in(&name), partition, host }
        }
        None => BadEndpoint::NotAws { host },
    })
}

/// Whether a CONNECT target is AWS's: any host in a partition's domains, or one that the table knows elsewhere
/// (`*.lambda-url.<region>.on.aws`), on parsed labels.
///
/// Takes the host with or without a port; another port than 443 is not AWS's.
pub fn is_aws_host(host: &str) -> bool {
    Name::parse_with_port(host).is_ok_and(|name| {
        let signs = |found: &Candidate| found.service != Service::SIGN_IN;
        candidates::domain_of(&name).is_some() || candidates::at(&name).iter().any(signs)
    })
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.host)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Endpoint({} {} {})", self.host, self.service(), self.region())
    }
}

#[cfg(test)]
mod tests;
