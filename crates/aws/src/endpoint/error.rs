//! Why a request has no endpoint.

use thiserror::Error;

use crate::host::HostFault;
use crate::partition::Partition;
use crate::region::Region;

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
    /// The host is AWS's, but not an endpoint that we know.
    #[error(
        "`{host}` is in the domain of AWS (partition {partition}{}), but is no endpoint of an AWS service that is known here",
        Of(region)
    )]
    Unknown {
        /// The host.
        host: String,
        /// Whose domain it is in.
        partition: Partition,
        /// The region that it names.
        region: Option<Region>,
    },
    /// No host at all, or two different ones.
    #[error("the request names no host, or two different hosts")]
    NoHost,
    /// The host is this machine's and the request is unsigned, so that nothing names a service.
    #[error(
        "the request is not signed, and only the signature of a request to an endpoint URL names its service and region"
    )]
    NoScope,
    /// The scope names a service that we do not know, or one whose hosts have to be named.
    #[error(
        "no endpoint of a service that signs as `{signing_name}` is known by that name alone; name its host, through the HTTPS proxy"
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
    /// Several services with different hosts share the signing name, and the request is no known operation of any.
    #[error(
        "{services} sign as `{signing_name}`, and `{request}` is a known operation of none of them; name the host, through the HTTPS proxy"
    )]
    Ambiguous {
        /// From the credential scope.
        signing_name: String,
        /// The services.
        services: String,
        /// Method and path, shortened and escaped.
        request: String,
    },
    /// A part of the host comes from a header, and the header is not there, or is no part of a host.
    #[error(
        "the host of this {service} request begins with the value of the header {header}, which is missing or is no part of a host name"
    )]
    NoHeader {
        /// The service.
        service: &'static str,
        /// The header.
        header: &'static str,
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
    /// `X-Amz-Target` twice, in the query, or not plain text.
    #[error("X-Amz-Target is there twice, in the query, or is not plain text")]
    BadTarget,
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

/// `, region R`, or nothing.
struct Of<'a>(&'a Option<Region>);

impl std::fmt::Display for Of<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(region) => write!(out, ", region {region}"),
            None => Ok(()),
        }
    }
}

/// A stranger's text, fit for a message.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(128).flat_map(char::escape_default).collect()
}
