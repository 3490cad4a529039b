//! Requests to an endpoint URL of ours: the signature names service and region, the rest tells what the host is.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use http::request::Parts;

use super::choice::{self, Clues};
use super::error::shown;
use super::{BadEndpoint, Endpoint, known};
use crate::partition::Partition;
use crate::region::Region;
use crate::service::Service;
use crate::sigv4::{Algorithm, Scope};
use crate::table::operations::{Operation, Path};
use crate::table::{Reference, SigningRegion};

/// A host of this machine: where `--endpoint-url` points.
pub(super) struct Local<'a> {
    /// What stands before `.localhost`: a bucket.
    pub(super) front: Option<&'a str>,
}

impl<'a> Local<'a> {
    pub(super) fn of(host: &'a str) -> Option<Self> {
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
            return Some(Self { front: None });
        }
        let front = name.strip_suffix(".localhost").filter(|front| !front.is_empty())?;
        Some(Self { front: Some(front) })
    }
}

/// The endpoint that a request would go to if the client had been given no endpoint URL.
///
/// `front` is what the client put before our own host: a bucket, or a prefix that we know anyway.
pub(super) fn resolve(
    scope: &Scope,
    front: Option<&str>,
    clues: &Clues<'_>,
) -> Result<Endpoint, BadEndpoint> {
    let service = service(scope, clues)?;
    let region = region(scope)?;
    let (host, signed_for) = if service == Service::S3 {
        (s3_host(scope.service(), &region, front, clues), region.as_str())
    } else {
        host(service, &region, clues)?
    };
    let (name, mut candidates) = known(&host)?;
    // The table's own host: what it says of the region goes before what the client was set to.
    candidates
        .retain(|found| found.service == service && found.region.partition() == region.partition());
    candidates.sort_by_key(|found| found.region.as_str() != signed_for);
    if candidates.is_empty() {
        return Err(BadEndpoint::UnknownService { signing_name: shown(scope.service()) });
    }
    choice::settle(&name, candidates, None, &Clues::default())
}

fn region(scope: &Scope) -> Result<Region, BadEndpoint> {
    match (Region::parse(scope.region()), scope.algorithm()) {
        (Ok(region), _) => Ok(region),
        (Err(_), Algorithm::Ecdsa) => Ok(Region::default_of(Partition::Aws)),
        (Err(_), Algorithm::Hmac) => {
            Err(BadEndpoint::UnknownRegion { region: shown(scope.region()) })
        }
    }
}

/// The one service of those with this signing name that the request is for.
fn service(scope: &Scope, clues: &Clues<'_>) -> Result<Service, BadEndpoint> {
    let signing_name = || shown(scope.service());
    let has_host = |service: &Service| *service == Service::S3 || !service.row().groups.is_empty();
    let mut services: Vec<Service> =
        Service::signing_as(scope.service()).filter(has_host).collect();
    if services.is_empty() {
        return Err(BadEndpoint::UnknownService { signing_name: signing_name() });
    }
    if let Some(target) = clues.target {
        services.retain(|service| service.owns_target(target));
        let unknown =
            || BadEndpoint::UnknownTarget { signing_name: signing_name(), target: shown(target) };
        // Two services of Timestream have one target.
        let operation = target.rsplit('.').next().unwrap_or_default();
        let has = |service: &&Service| Operation::by_name(service.row(), operation).is_some();
        let told = services.iter().find(has).or(services.first());
        return told.copied().ok_or_else(unknown);
    }
    let told = match (services.as_slice(), clues.request) {
        ([only], _) => Some(*only),
        (several, Some(request)) => choice::tell_apart(several, request),
        // Nothing but the name: DynamoDB rather than its Streams.
        (several, None) => several.first().copied(),
    };
    told.or_else(|| together(&services)).ok_or_else(|| {
        let names: Vec<&str> = services.iter().map(|service| service.name()).collect();
        BadEndpoint::Ambiguous {
            signing_name: signing_name(),
            services: names.join(", "),
            request: clues.request.map(line_of).unwrap_or_default(),
        }
    })
}

/// The first, if it does not matter: all of them stand at the same host, or none takes a request without a target.
fn together(services: &[Service]) -> Option<Service> {
    let place = |service: &Service| service.row().groups.first()?.rule("", "");
    let (first, rest) = services.split_first()?;
    let at_one_place = rest.iter().all(|service| place(service) == place(first));
    let by_target = services.iter().all(|service| !service.row().speaks("rxqec"));
    (at_one_place || by_target).then_some(*first)
}

fn line_of(request: &Parts) -> String {
    shown(&format!("{} {}", request.method, request.uri.path()))
}

/// The host of the request's operation in this region, and the region that its requests are signed for.
fn host<'a>(
    service: Service,
    region: &'a Region,
    clues: &Clues<'_>,
) -> Result<(String, &'a str), BadEndpoint> {
    let row = service.row();
    let unknown = || BadEndpoint::UnknownService { signing_name: row.signing_name.to_owned() };
    let group = operation(service, clues).map_or(0, |operation| operation.group);
    let group = row.groups.get(group).or_else(|| row.groups.first()).ok_or_else(unknown)?;
    let partition = region.partition();
    let rule = group.rule(partition.id(), region.as_str()).ok_or_else(unknown)?;
    let rule = Reference::read(rule);
    let template = rule.service;
    let mut host = prefix(service, group.prefix, clues)?;
    for (index, label) in template.split('.').enumerate() {
        if index > 0 {
            host.push('.');
        }
        match label {
            "{R}" => host.push_str(region.as_str()),
            "{G}" => host.push_str(partition.default_region()),
            "{S}" => host.push_str(partition.dns_suffix()),
            "{D}" => host.push_str(partition.dual_stack_suffix()),
            "{A}" => write_account(&mut host, clues).ok_or_else(unknown)?,
            label => host.push_str(label),
        }
    }
    let signed_for = match rule.region {
        Some(SigningRegion::Fixed(region)) => region,
        None if template.contains("{R}") => region.as_str(),
        None | Some(SigningRegion::Global) => partition.default_region(),
    };
    Ok((host, signed_for))
}

/// The operation, as far as target or path tell it.
fn operation(service: Service, clues: &Clues<'_>) -> Option<Operation> {
    let row = service.row();
    if let Some((_, name)) = clues.target.and_then(|target| target.split_once('.')) {
        return Operation::by_name(row, name);
    }
    let request = clues.request?;
    let path = Path::of(request.uri.path());
    if let Some((_, name)) = choice::rpc(&path) {
        return Operation::by_name(row, name);
    }
    let query = request.uri.query().unwrap_or_default();
    Operation::by_path(row, &request.method, &path, query).map(|(operation, _)| operation)
}

/// A group's prefix, with `{header}` filled in.
fn prefix(
    service: Service,
    prefix: &'static str,
    clues: &Clues<'_>,
) -> Result<String, BadEndpoint> {
    let Some((before, (header, behind))) =
        prefix.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
    else {
        return Ok(prefix.to_owned());
    };
    let missing = || BadEndpoint::NoHeader { service: service.name(), header };
    let request = clues.request.ok_or_else(missing)?;
    let mut values = request.headers.get_all(header).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(missing()) };
    let value = value.to_str().map_err(|_| missing())?;
    let is_label = (1..=63).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_label.then(|| format!("{before}{value}{behind}")).ok_or_else(missing)
}

/// The account of the ARN in the path: where `CloudFront` keeps key-value stores.
fn write_account(host: &mut String, clues: &Clues<'_>) -> Option<()> {
    let path = Path::of(clues.request?.uri.path());
    let arn = path.segments().find(|segment| segment.starts_with("arn:"))?;
    let account = arn.split(':').nth(4)?;
    let account = crate::arn::AccountId::parse(account).ok()?;
    write!(host, "{account}").ok()
}

/// S3's hosts by signing name; a bucket that the client put before our host goes before S3's.
fn s3_host(signing_name: &str, region: &Region, front: Option<&str>, clues: &Clues<'_>) -> String {
    let suffix = region.partition().dns_suffix();
    let label = match signing_name {
        "s3-object-lambda" => {
            let header =
                clues.request.and_then(|request| request.headers.get("x-amz-request-route"));
            let route = header.and_then(|value| value.to_str().ok());
            let front = route.or(front).map(|front| format!("{front}.")).unwrap_or_default();
            return format!("{front}s3-object-lambda.{region}.{suffix}");
        }
        "s3-outposts" => "s3-outposts",
        "s3express" => match front.and_then(zone_of) {
            Some(zone) => {
                return format!("{}.s3express-{zone}.{region}.{suffix}", front.unwrap_or_default());
            }
            None => "s3express-control",
        },
        _ => "s3",
    };
    match front {
        Some(front) => format!("{front}.{label}.{region}.{suffix}"),
        None => format!("{label}.{region}.{suffix}"),
    }
}

/// The availability zone in a directory bucket's name: `<name>--<zone>--x-s3`
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/directory-bucket-naming-rules.html>).
fn zone_of(bucket: &str) -> Option<&str> {
    let (_, zone) = bucket.strip_suffix("--x-s3")?.rsplit_once("--")?;
    Some(zone)
}
