//! One parsed value that yields host, service, region and partition together.
//!
//! A host is matched on its parsed labels and exact suffixes, never by substring, and what is dialled is the value that
//! was checked. Hosts that are not in the table of services are refused, whatever their suffix.

use std::fmt;
use std::sync::Arc;

use http::request::Parts;
use thiserror::Error;

use crate::arn::AccountId;
use crate::host::{HostFault, Name};
use crate::partition::Partition;
use crate::region::Region;
use crate::service::Service;
use crate::sigv4::Scope;

/// An endpoint of a service that we serve. Made by parsing only; cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    host: Arc<str>,
    service: Service,
    region: Region,
    bucket: Option<Arc<str>>,
    account: Option<AccountId>,
    /// The host names no region, and the service takes a signature for any region of the partition.
    any_region: bool,
}

impl Endpoint {
    /// Parses a host, with or without `:443`, in any case, with or without one trailing dot.
    ///
    /// # Errors
    /// [`BadEndpoint::Host`] if it is no DNS name, [`BadEndpoint::NotAws`] if it ends in no partition's suffix,
    /// [`BadEndpoint::Unknown`] if the table of services has no such endpoint.
    pub fn from_host(host: &str) -> Result<Self, BadEndpoint> {
        let _ = host;
        unimplemented!()
    }

    /// The endpoint that a credential scope and `X-Amz-Target` name, for requests whose own host is ours
    /// (`--endpoint-url https://localhost:PORT`).
    ///
    /// # Errors
    /// [`BadEndpoint::UnknownService`] or [`BadEndpoint::UnknownTarget`].
    pub fn from_scope(scope: &Scope, target: Option<&str>) -> Result<Self, BadEndpoint> {
        let _ = (scope, target);
        unimplemented!()
    }

    /// The one endpoint of a request: from its host, or, where the host is this machine's
    /// (`localhost`, `*.localhost`, a loopback address), from scope and target.
    ///
    /// The host is the URI's authority and the `Host` header; if both are there they must be equal.
    /// `X-Forwarded-Host` is never looked at.
    ///
    /// # Errors
    /// As [`Endpoint::from_host`], [`Endpoint::from_scope`] and [`Endpoint::with_scope`].
    pub fn of_request(parts: &Parts, scope: Option<&Scope>) -> Result<Self, BadEndpoint> {
        let _ = (parts, scope);
        unimplemented!()
    }

    /// Checks that host and credential scope agree on service and region, and settles the region of hosts that
    /// name none (`s3.amazonaws.com` takes a signature for any region of its partition).
    ///
    /// # Errors
    /// [`BadEndpoint::ServiceDisagrees`] or [`BadEndpoint::RegionDisagrees`].
    pub fn with_scope(self, scope: &Scope) -> Result<Self, BadEndpoint> {
        let _ = scope;
        unimplemented!()
    }

    /// The host to dial: lower case, no port, no trailing dot.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The service.
    pub fn service(&self) -> Service {
        self.service
    }

    /// The region that requests are signed for.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// The partition.
    pub fn partition(&self) -> Partition {
        self.region.partition()
    }

    /// The S3 bucket, if the host names one (virtual-hosted style).
    pub fn bucket(&self) -> Option<&str> {
        self.bucket.as_deref()
    }

    /// The account, if the host names one (`123456789012.ddb.us-east-1.amazonaws.com`).
    pub fn account(&self) -> Option<AccountId> {
        self.account
    }
}

/// Why a request has no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadEndpoint {
    /// The host is not a DNS name.
    #[error("`{host}` is not a host name of AWS: {fault}")]
    Host {
        /// As it came, shortened and escaped.
        host: String,
        /// What is wrong.
        fault: HostFault,
    },
    /// The host is under none of AWS's suffixes.
    #[error("`{host}` is not a host of AWS")]
    NotAws {
        /// The host.
        host: String,
    },
    /// The host is AWS's, but not an endpoint of a service that we serve.
    #[error(
        "`{host}` is not an endpoint of a service that is served here (DynamoDB, DynamoDB Streams, S3, STS, IAM)"
    )]
    Unknown {
        /// The host.
        host: String,
    },
    /// No host at all, or two different ones.
    #[error("the request names no host, or two different hosts")]
    NoHost,
    /// The host is this machine's and the request is unsigned, so that nothing names a service.
    #[error(
        "the request is not signed, and only the signature of a request to an endpoint URL names its service and region"
    )]
    NoScope,
    /// The scope names a service that we do not serve.
    #[error(
        "service `{signing_name}` is not served here (DynamoDB, DynamoDB Streams, S3, STS, IAM)"
    )]
    UnknownService {
        /// From the credential scope.
        signing_name: String,
    },
    /// `X-Amz-Target` belongs to none of the services with this signing name.
    #[error("X-Amz-Target `{target}` belongs to no service that signs as `{signing_name}`")]
    UnknownTarget {
        /// From the credential scope.
        signing_name: String,
        /// The header.
        target: String,
    },
    /// The scope's region is no region.
    #[error("region `{region}` of the credential scope is not an AWS region")]
    UnknownRegion {
        /// From the credential scope.
        region: String,
    },
    /// Host and credential scope name different services.
    #[error(
        "host `{host}` is an endpoint of `{expected}`, but the request is signed for `{signed}`"
    )]
    ServiceDisagrees {
        /// The host.
        host: String,
        /// The host's signing name.
        expected: &'static str,
        /// The scope's.
        signed: String,
    },
    /// Host and credential scope name different regions.
    #[error("host `{host}` is in `{expected}`, but the request is signed for `{signed}`")]
    RegionDisagrees {
        /// The host.
        host: String,
        /// The host's region.
        expected: Region,
        /// The scope's.
        signed: String,
    },
    /// Host and `X-Amz-Target` name different services.
    #[error("host `{host}` is an endpoint of {service}, but X-Amz-Target is `{target}`")]
    TargetDisagrees {
        /// The host.
        host: String,
        /// The host's service, for people.
        service: &'static str,
        /// The header.
        target: String,
    },
}

/// Whether a CONNECT target is AWS's: any host under a partition's suffixes, on parsed labels.
///
/// Takes the host with or without a port; another port than 443 is not AWS's.
pub fn is_aws_host(host: &str) -> bool {
    let _ = host;
    unimplemented!()
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.host)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Endpoint({} {} {})", self.host, self.service, self.region)
    }
}
