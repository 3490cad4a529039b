//! One parsed value that yields host, service, region and partition together.
//!
//! A host is matched on its parsed labels and exact suffixes, never by substring, and what is dialled is the value that
//! was checked. Hosts that are not in the table of services are refused, whatever their suffix.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use http::header::HOST;
use http::request::Parts;
use thiserror::Error;

use crate::arn::AccountId;
use crate::host::{HostFault, Name};
use crate::partition::Partition;
use crate::query;
use crate::region::Region;
use crate::service::{Global, Service};
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
        let bad = |fault| BadEndpoint::Host { host: shown(host), fault };
        let name = Name::parse_with_port(host).map_err(bad)?;
        let split = Split::of(&name)
            .ok_or_else(|| BadEndpoint::NotAws { host: name.as_str().to_owned() })?;
        let known = split.regular().or_else(|| split.s3());
        known.ok_or_else(|| BadEndpoint::Unknown { host: name.as_str().to_owned() })
    }

    /// The endpoint that a credential scope and `X-Amz-Target` name, for requests whose own host is ours
    /// (`--endpoint-url https://localhost:PORT`).
    ///
    /// # Errors
    /// [`BadEndpoint::UnknownService`], [`BadEndpoint::UnknownTarget`] or [`BadEndpoint::UnknownRegion`].
    pub fn from_scope(scope: &Scope, target: Option<&str>) -> Result<Self, BadEndpoint> {
        let signing_name = || scope.service().to_owned();
        let Some(service) = Service::from_scope(scope.service(), target) else {
            let known = Service::from_scope(scope.service(), None).is_some();
            return Err(match target.filter(|_| known) {
                Some(target) => BadEndpoint::UnknownTarget {
                    signing_name: signing_name(),
                    target: shown(target),
                },
                None => BadEndpoint::UnknownService { signing_name: signing_name() },
            });
        };
        let unknown_region = || BadEndpoint::UnknownRegion { region: shown(scope.region()) };
        let region = Region::parse(scope.region()).map_err(|_| unknown_region())?;
        let suffix = region.partition().dns_suffix();
        let row = service.row();
        let host = match row.prefixes.first() {
            Some(prefix) => format!("{prefix}.{region}.{suffix}"),
            None => {
                let stands_there = |global: &&Global| global.region == region.as_str();
                let global = row.globals.iter().find(stands_there).ok_or_else(unknown_region)?;
                format!("{}.{suffix}", global.label)
            }
        };
        Self::from_host(&host)?.with_scope(scope)
    }

    /// The one endpoint of a request: from its host, or, where the host is this machine's
    /// (`localhost`, `*.localhost`, a loopback address), from scope and target.
    ///
    /// The host is the URI's authority and the `Host` header; if both are there they must be equal.
    /// `X-Forwarded-Host` is never looked at.
    ///
    /// # Errors
    /// As [`Endpoint::from_host`], [`Endpoint::from_scope`] and [`Endpoint::with_scope`], and
    /// [`BadEndpoint::TargetDisagrees`] if `X-Amz-Target` is another service's.
    pub fn of_request(parts: &Parts, scope: Option<&Scope>) -> Result<Self, BadEndpoint> {
        let host = host_of(parts)?;
        let target = target_of(parts)?;
        let Some(local) = Local::of(host) else {
            let endpoint = Self::from_host(host)?.with_target(target)?;
            return match scope {
                Some(scope) => endpoint.with_scope(scope),
                None => Ok(endpoint),
            };
        };
        let scope = scope.ok_or(BadEndpoint::NoScope)?;
        let endpoint = Self::from_scope(scope, target)?.with_target(target)?;
        match local.bucket.filter(|_| endpoint.service == Service::S3) {
            Some(bucket) => {
                Self::from_host(&format!("{bucket}.{}", endpoint.host))?.with_scope(scope)
            }
            None => Ok(endpoint),
        }
    }

    /// Checks that host and credential scope agree on service and region, and settles the region of hosts that
    /// name none (`s3.amazonaws.com` takes a signature for any region of its partition).
    ///
    /// # Errors
    /// [`BadEndpoint::ServiceDisagrees`] or [`BadEndpoint::RegionDisagrees`].
    pub fn with_scope(self, scope: &Scope) -> Result<Self, BadEndpoint> {
        let expected = self.service.signing_name();
        if expected != scope.service() {
            return Err(BadEndpoint::ServiceDisagrees {
                host: self.host.to_string(),
                expected,
                signed: shown(scope.service()),
            });
        }
        if scope.covers(self.region.as_str()) {
            return Ok(self);
        }
        match Region::parse(scope.region()) {
            Ok(region) if self.any_region && region.partition() == self.partition() => {
                Ok(Self { region, ..self })
            }
            Ok(_) | Err(_) => Err(BadEndpoint::RegionDisagrees {
                host: self.host.to_string(),
                expected: self.region,
                signed: shown(scope.region()),
            }),
        }
    }

    fn with_target(self, target: Option<&str>) -> Result<Self, BadEndpoint> {
        match target {
            Some(target) if !self.service.owns_target(target) => {
                Err(BadEndpoint::TargetDisagrees {
                    host: self.host.to_string(),
                    service: self.service.name(),
                    target: shown(target),
                })
            }
            _ => Ok(self),
        }
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

/// Whether a CONNECT target is AWS's: any host under a partition's suffixes, on parsed labels.
///
/// Takes the host with or without a port; another port than 443 is not AWS's.
pub fn is_aws_host(host: &str) -> bool {
    Name::parse_with_port(host).is_ok_and(|name| Split::of(&name).is_some())
}

/// A host, split at a partition's suffix.
struct Split<'a> {
    host: &'a str,
    /// What stands before the suffix; not empty.
    front: &'a str,
    suffix: &'static str,
}

impl<'a> Split<'a> {
    fn of(name: &'a Name) -> Option<Self> {
        let suffixes = Partition::all()
            .flat_map(|partition| [partition.dns_suffix(), partition.dual_stack_suffix()]);
        suffixes
            .filter_map(|suffix| {
                name.before(suffix).map(|front| Self { host: name.as_str(), front, suffix })
            })
            .next()
    }

    /// `<prefix>.<region>`, `<account>.<prefix>.<region>` and the global endpoints of the table.
    fn regular(&self) -> Option<Endpoint> {
        let (account, behind_account) = match self.front.split_once('.') {
            Some((first, rest)) => (AccountId::parse(first).ok(), rest),
            None => (None, ""),
        };
        // The hosts of S3 have a grammar of their own.
        Service::all().filter(|service| *service != Service::S3).find_map(|service| {
            let row = service.row();
            let plain =
                row.prefixes.iter().find_map(|prefix| self.region(behind(self.front, prefix)?));
            if let Some(region) = plain {
                return Some(self.endpoint(service, region));
            }
            let numbered = row
                .account_prefixes
                .iter()
                .find_map(|prefix| self.region(behind(behind_account, prefix)?));
            if let (Some(_), Some(region)) = (account, numbered) {
                return Some(Endpoint { account, ..self.endpoint(service, region) });
            }
            self.global(service, self.front)
        })
    }

    /// The hosts of S3, path style and virtual-hosted, read from the right
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html>,
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/dual-stack-endpoints.html>).
    fn s3(&self) -> Option<Endpoint> {
        let labels: Vec<&str> = self.front.split('.').collect();
        let is_s3 = |label: &str| label == "s3" || label == "s3-fips";
        let (bucket, endpoint) = match labels.as_slice() {
            [bucket @ .., s3, "dualstack", region] if is_s3(s3) => (bucket, self.s3_in(region)?),
            [bucket @ .., s3, region] if is_s3(s3) && self.region(region).is_some() => {
                (bucket, self.s3_in(region)?)
            }
            [bucket, "s3-accelerate"] | [bucket, "s3-accelerate", "dualstack"] => {
                (std::slice::from_ref(bucket), self.global(Service::S3, "s3")?)
            }
            [bucket @ .., last] => (bucket, self.s3_last(last)?),
            [] => return None,
        };
        if bucket.is_empty() {
            return Some(endpoint);
        }
        let bucket = bucket.join(".");
        let named = (3..=63).contains(&bucket.len());
        named.then(|| Endpoint { bucket: Some(bucket.into()), ..endpoint })
    }

    /// `s3`, `s3-external-1`, and the legacy `s3-<region>` and `s3-fips-<region>`.
    fn s3_last(&self, label: &str) -> Option<Endpoint> {
        let legacy = label.strip_prefix("s3-fips-").or_else(|| label.strip_prefix("s3-"));
        let endpoint = legacy.and_then(|region| self.s3_in(region));
        endpoint.or_else(|| self.global(Service::S3, label))
    }

    fn s3_in(&self, region: &str) -> Option<Endpoint> {
        let region = self.region(region)?;
        let plain = region.partition().dns_suffix() == self.suffix;
        plain.then(|| self.endpoint(Service::S3, region))
    }

    fn global(&self, service: Service, label: &str) -> Option<Endpoint> {
        let fits = |global: &&Global| {
            global.label == label && global.partition.dns_suffix() == self.suffix
        };
        let global = service.row().globals.iter().find(fits)?;
        let endpoint = self.endpoint(service, Region::parse(global.region).ok()?);
        Some(Endpoint { any_region: global.any_region, ..endpoint })
    }

    /// A region whose partition has this suffix.
    fn region(&self, text: &str) -> Option<Region> {
        let region = Region::parse(text).ok()?;
        let partition = region.partition();
        [partition.dns_suffix(), partition.dual_stack_suffix()]
            .contains(&self.suffix)
            .then_some(region)
    }

    fn endpoint(&self, service: Service, region: Region) -> Endpoint {
        Endpoint {
            host: self.host.into(),
            service,
            region,
            bucket: None,
            account: None,
            any_region: false,
        }
    }
}

/// What stands behind `prefix.`.
fn behind<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    text.strip_prefix(prefix)?.strip_prefix('.')
}

/// A host of this machine: where `--endpoint-url` points.
struct Local<'a> {
    /// What stands before `.localhost`.
    bucket: Option<&'a str>,
}

impl<'a> Local<'a> {
    fn of(host: &'a str) -> Option<Self> {
        let has_port = |port: &str| {
            !port.is_empty() && port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit())
        };
        let name = match host.rsplit_once(':') {
            Some((name, port)) if has_port(port) => name,
            Some(_) if !host.ends_with(']') => return None,
            _ => host,
        };
        let bracketed = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let loopback_v6 = bracketed
            .and_then(|text| text.parse::<Ipv6Addr>().ok())
            .is_some_and(|ip| ip.is_loopback());
        let loopback_v4 = name.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback());
        if loopback_v6 || loopback_v4 || name.eq_ignore_ascii_case("localhost") {
            return Some(Self { bucket: None });
        }
        let bucket = name.strip_suffix(".localhost").filter(|bucket| !bucket.is_empty())?;
        Some(Self { bucket: Some(bucket) })
    }
}

/// The request's one host.
fn host_of(parts: &Parts) -> Result<&str, BadEndpoint> {
    let mut headers = parts.headers.get_all(HOST).iter();
    let (header, second) = (headers.next(), headers.next());
    let header = header.map(|value| value.to_str()).transpose().map_err(|_| BadEndpoint::NoHost)?;
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    match (header, second, authority) {
        (Some(host), None, None) | (None, _, Some(host)) => Ok(host),
        (Some(host), None, Some(authority)) if host.eq_ignore_ascii_case(authority) => Ok(host),
        _ => Err(BadEndpoint::NoHost),
    }
}

/// The request's one `X-Amz-Target`, or none. In the query it has no place.
fn target_of(parts: &Parts) -> Result<Option<&str>, BadEndpoint> {
    let mut pairs = query::pairs(parts.uri.query().unwrap_or_default());
    if pairs.any(|pair| pair.is_named("x-amz-target")) {
        return Err(BadEndpoint::BadTarget);
    }
    let mut values = parts.headers.get_all("x-amz-target").iter();
    match (values.next().map(|value| value.to_str()), values.next()) {
        (None, _) => Ok(None),
        (Some(Ok(text)), None) => Ok(Some(text)),
        _ => Err(BadEndpoint::BadTarget),
    }
}

/// A stranger's text, fit for a message.
fn shown(text: &str) -> String {
    text.chars().take(128).flat_map(char::escape_default).collect()
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

#[cfg(test)]
mod tests {
    use http::Request;
    use http::request::Parts;
    use proptest::prelude::*;

    use super::{BadEndpoint, Endpoint, is_aws_host};
    use crate::partition::Partition;
    use crate::service::Service;
    use crate::sigv4::Scope;

    /// Hosts that must never be taken for AWS's.
    const HOSTILE: &[&str] = &[
        "",
        ".",
        "..",
        "amazonaws.com",
        ".amazonaws.com",
        "api.aws",
        "attacker.example.com://s3.amazonaws.com",
        "https://s3.amazonaws.com",
        "//s3.amazonaws.com",
        "evil-amazonaws.com.example.org",
        "evil-amazonaws.com",
        "dynamodb.us-east-1.evil-amazonaws.com",
        "dynamodb.us-east-1.amazonaws.com.example.org",
        "dynamodb.us-east-1.amazonaws.com.evil",
        "dynamodb.us-east-1.amazonaws.comm",
        "dynamodb.us-east-1.xamazonaws.com",
        "s3.amazonaws.com@evil.com",
        "evil.com@s3.amazonaws.com",
        "user:pass@s3.amazonaws.com",
        "s3.amazonaws.com:8443",
        "s3.amazonaws.com:80",
        "s3.amazonaws.com:",
        "s3.amazonaws.com:443:443",
        "s3.amazonaws.com:443@evil.com",
        "s3.amazonaws.com:0x1bb",
        "s3.amazonaws.com/..",
        "s3.amazonaws.com/",
        "evil.com/s3.amazonaws.com",
        "evil.com?s3.amazonaws.com",
        "evil.com#s3.amazonaws.com",
        "evil.com\\s3.amazonaws.com",
        "evil.com%2fs3.amazonaws.com",
        "evil.com%00.s3.amazonaws.com",
        "evil.com\0.s3.amazonaws.com",
        "evil.com\r\nHost: s3.amazonaws.com",
        "evil.com s3.amazonaws.com",
        " s3.amazonaws.com",
        "s3.amazonaws.com ",
        "s3.amazonaws.com\t",
        "s3.amazonaws.com..",
        "s3..amazonaws.com",
        "..s3.amazonaws.com",
        "s3.amazonaws%2ecom",
        "s3.amazonaws\u{3002}com",
        "s3.amazonaws\u{ff0e}com",
        "s3.\u{ff41}mazonaws.com",
        "s3.\u{430}mazonaws.com",
        "s3.amazonaws.c\u{43e}m",
        "s3.amazonaw\u{17f}.com",
        "\u{212a}3.amazonaws.com",
        "s3.amazonaws.com\u{200b}",
        "xn--s3-.amazonaws.com.xn--p1ai",
        "-s3.amazonaws.com",
        "s3-.amazonaws.com",
        "*.amazonaws.com",
        "[::1]",
        "[::ffff:127.0.0.1]:443",
        "127.0.0.1",
        "169.254.169.254",
        "localhost",
        "s3.amazonaws.com,evil.com",
        "s3.amazonaws.com;evil.com",
        "s3.amazonaws.com&evil.com",
    ];

    /// AWS's hosts that are no endpoints of the services that we serve.
    const OTHER: &[&str] = &[
        "awscli.amazonaws.com",
        "lambda.us-east-1.amazonaws.com",
        "evil.dynamodb.us-east-1.amazonaws.com",
        "dynamodb.us-east-1.evil.amazonaws.com",
        "dynamodb.evil.amazonaws.com",
        "dynamodb.amazonaws.com",
        "dynamodb.cn-north-1.amazonaws.com",
        "dynamodb.us-east-1.amazonaws.com.cn",
        "dynamodb.us-gov-west-1.amazonaws.com.cn",
        "12345678901.ddb.us-east-1.amazonaws.com",
        "1234567890123.ddb.us-east-1.amazonaws.com",
        "ddb.us-east-1.amazonaws.com",
        "sts.us-east-1.s3-control.amazonaws.com",
        "sts.amazonaws.com.cn",
        "sts.api.aws",
        "123456789012.s3-control.us-east-1.amazonaws.com",
        "name-123456789012.s3-accesspoint.us-east-1.amazonaws.com",
        "bucket.s3-website-us-east-1.amazonaws.com",
        "bucket.s3-website.eu-central-1.amazonaws.com",
        "bucket--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com",
        "bucket.vpce-1a2b.s3.us-east-1.vpce.amazonaws.com",
        "a.b.s3-accelerate.amazonaws.com",
        "s3-accelerate.amazonaws.com",
        "s3.us-east-1.api.aws",
        "ab.s3.amazonaws.com",
        "s3.dualstack.amazonaws.com.cn",
    ];

    fn scope(service: &str, region: &str) -> Scope {
        Scope::parse(&format!("20150830/{region}/{service}/aws4_request")).unwrap()
    }

    #[test]
    fn known_hosts_yield_service_region_and_partition_together() {
        for (host, service, region) in [
            ("dynamodb.us-east-1.amazonaws.com", Service::DYNAMODB, "us-east-1"),
            ("DynamoDB.EU-West-1.AmazonAWS.com:443", Service::DYNAMODB, "eu-west-1"),
            ("dynamodb.us-east-1.amazonaws.com.", Service::DYNAMODB, "us-east-1"),
            ("dynamodb.cn-north-1.amazonaws.com.cn", Service::DYNAMODB, "cn-north-1"),
            ("dynamodb.us-east-1.api.aws", Service::DYNAMODB, "us-east-1"),
            ("dynamodb-fips.us-gov-west-1.amazonaws.com", Service::DYNAMODB, "us-gov-west-1"),
            ("dynamodb.us-iso-east-1.c2s.ic.gov", Service::DYNAMODB, "us-iso-east-1"),
            ("dynamodb.eusc-de-east-1.amazonaws.eu", Service::DYNAMODB, "eusc-de-east-1"),
            ("123456789012.ddb.us-east-1.amazonaws.com", Service::DYNAMODB, "us-east-1"),
            ("123456789012.ddb.us-east-1.api.aws", Service::DYNAMODB, "us-east-1"),
            (
                "123456789012.streams-ddb.us-east-1.amazonaws.com",
                Service::DYNAMODB_STREAMS,
                "us-east-1",
            ),
            (
                "123456789012.streams-ddb-fips.us-east-1.amazonaws.com",
                Service::DYNAMODB_STREAMS,
                "us-east-1",
            ),
            ("123456789012.search-ddb.us-east-1.api.aws", Service::DYNAMODB, "us-east-1"),
            ("search-dynamodb.eu-west-1.amazonaws.com", Service::DYNAMODB, "eu-west-1"),
            ("streams.dynamodb.us-east-1.amazonaws.com", Service::DYNAMODB_STREAMS, "us-east-1"),
            (
                "streams.dynamodb-fips.us-east-2.amazonaws.com",
                Service::DYNAMODB_STREAMS,
                "us-east-2",
            ),
            ("streams-dynamodb.us-east-1.api.aws", Service::DYNAMODB_STREAMS, "us-east-1"),
            ("sts.amazonaws.com", Service::STS, "us-east-1"),
            ("sts.us-gov-east-1.amazonaws.com", Service::STS, "us-gov-east-1"),
            ("sts.ap-southeast-2.api.aws", Service::STS, "ap-southeast-2"),
            ("sts.cn-northwest-1.amazonaws.com.cn", Service::STS, "cn-northwest-1"),
            ("iam.amazonaws.com", Service::IAM, "us-east-1"),
            ("iam.us-gov.amazonaws.com", Service::IAM, "us-gov-west-1"),
            ("iam.cn-north-1.amazonaws.com.cn", Service::IAM, "cn-north-1"),
        ] {
            let endpoint = Endpoint::from_host(host).unwrap();
            assert_eq!(
                (endpoint.service(), endpoint.region().as_str()),
                (service, region),
                "{host}"
            );
            assert!(is_aws_host(host), "{host}");
        }
        let endpoint = Endpoint::from_host("123456789012.ddb.us-east-1.amazonaws.com").unwrap();
        assert_eq!(endpoint.account().unwrap().as_str(), "123456789012");
    }

    #[test]
    fn hosts_of_s3_name_bucket_and_region() {
        for (host, bucket, region) in [
            ("s3.amazonaws.com", None, "us-east-1"),
            ("s3.eu-west-1.amazonaws.com", None, "eu-west-1"),
            ("s3-eu-west-1.amazonaws.com", None, "eu-west-1"),
            ("s3-fips-us-gov-west-1.amazonaws.com", None, "us-gov-west-1"),
            ("s3-fips.us-east-1.amazonaws.com", None, "us-east-1"),
            ("s3.dualstack.eu-west-1.amazonaws.com", None, "eu-west-1"),
            ("s3-fips.dualstack.us-east-1.amazonaws.com", None, "us-east-1"),
            ("s3-external-1.amazonaws.com", None, "us-east-1"),
            ("s3.cn-north-1.amazonaws.com.cn", None, "cn-north-1"),
            ("bucket.s3.amazonaws.com", Some("bucket"), "us-east-1"),
            ("my.dotted.bucket.s3.eu-west-1.amazonaws.com", Some("my.dotted.bucket"), "eu-west-1"),
            ("bucket.s3-eu-west-1.amazonaws.com", Some("bucket"), "eu-west-1"),
            ("a.bucket.s3.dualstack.eu-west-1.amazonaws.com", Some("a.bucket"), "eu-west-1"),
            ("foo.s3.s3.eu-west-1.amazonaws.com", Some("foo.s3"), "eu-west-1"),
            ("s3.us-west-2.s3.amazonaws.com", Some("s3.us-west-2"), "us-east-1"),
            ("bucket.s3-accelerate.amazonaws.com", Some("bucket"), "us-east-1"),
            ("bucket.s3-accelerate.dualstack.amazonaws.com", Some("bucket"), "us-east-1"),
        ] {
            let endpoint = Endpoint::from_host(host).unwrap();
            assert_eq!(endpoint.service(), Service::S3, "{host}");
            assert_eq!((endpoint.bucket(), endpoint.region().as_str()), (bucket, region), "{host}");
        }
    }

    #[test]
    fn hostile_hosts_are_not_aws() {
        let long = format!("{}.s3.amazonaws.com", "a.".repeat(150));
        let long_label = format!("{}.s3.amazonaws.com", "a".repeat(64));
        for host in HOSTILE.iter().copied().chain([long.as_str(), long_label.as_str()]) {
            assert!(Endpoint::from_host(host).is_err(), "{host:?}");
            assert!(!is_aws_host(host), "{host:?}");
        }
    }

    #[test]
    fn hosts_outside_the_table_are_refused() {
        for host in OTHER {
            assert!(
                matches!(Endpoint::from_host(host), Err(BadEndpoint::Unknown { .. })),
                "{host}"
            );
            assert!(is_aws_host(host), "{host}");
        }
    }

    #[test]
    fn host_and_scope_must_agree() {
        let agree = |host: &str, service: &str, region: &str| {
            Endpoint::from_host(host).unwrap().with_scope(&scope(service, region))
        };
        for (host, service, region) in [
            ("dynamodb.us-east-1.amazonaws.com", "dynamodb", "us-east-1"),
            ("streams.dynamodb.us-east-1.amazonaws.com", "dynamodb", "us-east-1"),
            ("s3.amazonaws.com", "s3", "eu-west-1"),
            ("bucket.s3.amazonaws.com", "s3", "ap-south-1"),
            ("bucket.s3-accelerate.amazonaws.com", "s3", "ap-south-1"),
            ("sts.amazonaws.com", "sts", "us-east-1"),
        ] {
            assert_eq!(agree(host, service, region).unwrap().region().as_str(), region, "{host}");
        }
        for (host, service, region) in [
            ("dynamodb.us-east-1.amazonaws.com", "s3", "us-east-1"),
            ("sts.us-east-1.amazonaws.com", "dynamodb", "us-east-1"),
        ] {
            let error = agree(host, service, region).unwrap_err();
            assert!(matches!(error, BadEndpoint::ServiceDisagrees { .. }), "{host}");
        }
        for (host, service, region) in [
            ("dynamodb.us-east-1.amazonaws.com", "dynamodb", "us-west-2"),
            ("s3.eu-west-1.amazonaws.com", "s3", "us-east-1"),
            ("s3.amazonaws.com", "s3", "cn-north-1"),
            ("s3.amazonaws.com", "s3", "us-gov-west-1"),
            ("s3.amazonaws.com", "s3", "mars-east-1"),
            ("s3-external-1.amazonaws.com", "s3", "eu-west-1"),
            ("sts.amazonaws.com", "sts", "eu-west-1"),
        ] {
            let error = agree(host, service, region).unwrap_err();
            assert!(matches!(error, BadEndpoint::RegionDisagrees { .. }), "{host}");
        }
        let error = agree("dynamodb.us-east-1.amazonaws.com", "dynamodb", "us-west-2").unwrap_err();
        assert_eq!(
            error.to_string(),
            "host `dynamodb.us-east-1.amazonaws.com` is in `us-east-1`, but the request is signed for `us-west-2`"
        );
    }

    #[test]
    fn scope_and_target_name_an_endpoint() {
        for (service, region, target, host) in [
            (
                "dynamodb",
                "us-east-1",
                Some("DynamoDB_20120810.GetItem"),
                "dynamodb.us-east-1.amazonaws.com",
            ),
            (
                "dynamodb",
                "us-east-1",
                Some("DynamoDBStreams_20120810.ListStreams"),
                "streams.dynamodb.us-east-1.amazonaws.com",
            ),
            ("dynamodb", "cn-north-1", None, "dynamodb.cn-north-1.amazonaws.com.cn"),
            ("s3", "us-gov-west-1", None, "s3.us-gov-west-1.amazonaws.com"),
            ("sts", "eu-west-1", None, "sts.eu-west-1.amazonaws.com"),
            ("iam", "us-east-1", None, "iam.amazonaws.com"),
            ("iam", "us-gov-west-1", None, "iam.us-gov.amazonaws.com"),
        ] {
            assert_eq!(Endpoint::from_scope(&scope(service, region), target).unwrap().host(), host);
        }
        let refused = |service, region, target| {
            Endpoint::from_scope(&scope(service, region), target).unwrap_err()
        };
        assert!(matches!(refused("lambda", "us-east-1", None), BadEndpoint::UnknownService { .. }));
        assert!(matches!(
            refused("dynamodb", "us-east-1", Some("Evil.X")),
            BadEndpoint::UnknownTarget { .. }
        ));
        assert!(matches!(
            refused("sts", "us-east-1", Some("Evil.X")),
            BadEndpoint::UnknownTarget { .. }
        ));
        assert!(matches!(refused("dynamodb", "local", None), BadEndpoint::UnknownRegion { .. }));
        assert!(matches!(refused("iam", "eu-west-1", None), BadEndpoint::UnknownRegion { .. }));
    }

    fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::post(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_request_has_one_endpoint() {
        let dynamodb = scope("dynamodb", "us-east-1");
        let s3 = scope("s3", "us-east-1");
        let streams = ("x-amz-target", "DynamoDBStreams_20120810.ListStreams");
        let real = "dynamodb.us-east-1.amazonaws.com";
        for (uri, headers, scope, expected) in [
            ("/", vec![("host", real)], &dynamodb, real),
            ("https://dynamodb.us-east-1.amazonaws.com/", vec![], &dynamodb, real),
            ("https://dynamodb.us-east-1.amazonaws.com/", vec![("host", real)], &dynamodb, real),
            ("/", vec![("host", real), ("x-forwarded-host", "evil.com")], &dynamodb, real),
            ("/", vec![("host", "localhost:4000")], &dynamodb, real),
            ("/", vec![("host", "127.0.0.1:4000")], &dynamodb, real),
            ("/", vec![("host", "[::1]:4000")], &dynamodb, real),
            ("/", vec![("host", "[::1]")], &dynamodb, real),
            (
                "/",
                vec![("host", "LOCALHOST"), streams],
                &dynamodb,
                "streams.dynamodb.us-east-1.amazonaws.com",
            ),
            (
                "/k",
                vec![("host", "my.bucket.localhost:4000")],
                &s3,
                "my.bucket.s3.us-east-1.amazonaws.com",
            ),
            ("/b/k", vec![("host", "localhost:4000")], &s3, "s3.us-east-1.amazonaws.com"),
        ] {
            let endpoint = Endpoint::of_request(&parts(uri, &headers), Some(scope)).unwrap();
            assert_eq!(endpoint.host(), expected, "{uri} {headers:?}");
        }
    }

    #[test]
    fn requests_with_another_or_no_host_have_none() {
        let dynamodb = scope("dynamodb", "us-east-1");
        let streams = ("x-amz-target", "DynamoDBStreams_20120810.ListStreams");
        let real = "dynamodb.us-east-1.amazonaws.com";
        for (uri, headers) in [
            ("/", vec![]),
            ("/", vec![("host", real), ("host", real)]),
            ("https://s3.amazonaws.com/", vec![("host", real)]),
            ("/", vec![("host", "evil.com")]),
            ("/", vec![("host", "evil.com"), ("x-forwarded-host", real)]),
            ("/", vec![("host", "attacker.example.com://s3.amazonaws.com")]),
            ("/", vec![("host", "localhost.evil.com")]),
            ("/", vec![("host", "127.0.0.1.evil.com")]),
            ("/", vec![("host", "localhost:evil")]),
            ("/", vec![("host", real), streams]),
            ("/?X-Amz-%54arget=DynamoDB_20120810.GetItem", vec![("host", real)]),
            (
                "/",
                vec![
                    ("host", real),
                    ("x-amz-target", "AWSSecurityTokenServiceV20110615.AssumeRole"),
                ],
            ),
            ("/", vec![("host", "localhost"), ("x-amz-target", "Evil.X")]),
            (
                "/",
                vec![
                    ("host", real),
                    ("x-amz-target", "DynamoDB_20120810.A"),
                    ("x-amz-target", "DynamoDB_20120810.B"),
                ],
            ),
        ] {
            assert!(
                Endpoint::of_request(&parts(uri, &headers), Some(&dynamodb)).is_err(),
                "{uri} {headers:?}"
            );
        }
        let unsigned = Endpoint::of_request(&parts("/", &[("host", "localhost")]), None);
        assert_eq!(unsigned, Err(BadEndpoint::NoScope));
        let sts_by_json = parts(
            "/",
            &[
                ("host", "sts.amazonaws.com"),
                ("x-amz-target", "AWSSecurityTokenServiceV20110615.AssumeRole"),
            ],
        );
        assert!(matches!(
            Endpoint::of_request(&sts_by_json, None),
            Err(BadEndpoint::TargetDisagrees { .. })
        ));
    }

    fn under_a_suffix(host: &str) -> bool {
        let mut suffixes = Partition::all()
            .flat_map(|partition| [partition.dns_suffix(), partition.dual_stack_suffix()]);
        suffixes.any(|suffix| host.ends_with(&format!(".{suffix}")))
    }

    fn check(host: &str) -> Result<(), TestCaseError> {
        if let Ok(endpoint) = Endpoint::from_host(host) {
            prop_assert!(under_a_suffix(endpoint.host()));
            prop_assert!(endpoint.host().bytes().all(|byte| byte.is_ascii_lowercase()
                || byte.is_ascii_digit()
                || b".-".contains(&byte)));
            prop_assert!(is_aws_host(host));
            prop_assert_eq!(Endpoint::from_host(endpoint.host()), Ok(endpoint));
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn what_is_accepted_ends_in_a_suffix_and_parses_again(text in "\\PC{0,60}") {
            check(&text)?;
        }

        #[test]
        fn what_looks_like_an_endpoint_too(
            front in "([a-zA-Z0-9.:@/%_-]{0,12}\\.)?(dynamodb|streams\\.dynamodb|s3|s3-fips|sts|s3-us-east-1|123456789012\\.ddb|s3\\.dualstack|iam)",
            middle in "(\\.|\\.us-east-1\\.|\\.cn-north-1\\.|\\.eu-isoe-west-1\\.|\\.[a-z0-9-]{1,10}\\.)",
            suffix in "(amazonaws\\.com|amazonaws\\.com\\.cn|api\\.aws|cloud\\.adc-e\\.uk|[a-z]{1,5}amazonaws\\.com)",
            end in "(|\\.|:443|:80|/|@evil\\.com|\\.evil\\.com|%2e|#)",
        ) {
            check(&format!("{front}{middle}{suffix}{end}"))?;
        }
    }
}
