//! Which of those at a host a request is for: by its signature, then its target, then its path.

use http::Method;
use http::header::HOST;
use http::request::Parts;

use super::candidates::Candidate;
use super::error::shown;
use super::{BadEndpoint, Endpoint};
use crate::host::Name;
use crate::query;
use crate::region::Region;
use crate::service::Service;
use crate::sigv4::{Algorithm, Scope};
use crate::table::operations::{Operation, Path};

/// What a request says of its service beside host and signature.
#[derive(Clone, Copy, Default)]
pub(super) struct Clues<'a> {
    pub(super) target: Option<&'a str>,
    pub(super) request: Option<&'a Parts>,
}

/// The one that host, scope and clues name together. `candidates` are not empty.
pub(super) fn settle(
    host: &Name,
    candidates: Vec<Candidate>,
    scope: Option<&Scope>,
    clues: &Clues<'_>,
) -> Result<Endpoint, BadEndpoint> {
    let text = || host.as_str().to_owned();
    let unknown = || BadEndpoint::NotAws { host: text() };
    let mut left = match scope {
        Some(scope) => agreeing(host, candidates, scope)?,
        None => candidates,
    };
    if let Some(target) = clues.target {
        let first = left.first().ok_or_else(unknown)?.service;
        left.retain(|found| found.service.owns_target(target));
        if left.is_empty() {
            let (service, target) = (first.name(), shown(target));
            return Err(BadEndpoint::TargetDisagrees { host: text(), service, target });
        }
    }
    let mut services: Vec<Service> = left.iter().map(|found| found.service).collect();
    services.dedup();
    if let (true, Some(request)) = (services.len() > 1, clues.request)
        && let Some(told) = tell_apart(&services, request)
    {
        left.retain(|found| found.service == told);
    }
    let found = left.into_iter().next().ok_or_else(unknown)?;
    Ok(Endpoint { host: host.as_str().into(), found })
}

/// Those that the credential scope is for.
fn agreeing(
    host: &Name,
    mut candidates: Vec<Candidate>,
    scope: &Scope,
) -> Result<Vec<Candidate>, BadEndpoint> {
    let Some(first) = candidates.first() else { return Ok(candidates) };
    let expected = first.signing_name;
    candidates.retain(|found| found.signing_name == scope.service());
    let Some(region) = candidates.first().map(|found| found.region.clone()) else {
        return Err(BadEndpoint::ServiceDisagrees {
            host: host.as_str().to_owned(),
            expected,
            signed: shown(scope.service()),
        });
    };
    let signed = Region::parse(scope.region()).ok();
    let left: Vec<Candidate> = candidates
        .into_iter()
        .filter_map(|found| in_region(found, scope, signed.as_ref()))
        .collect();
    if left.is_empty() {
        return Err(BadEndpoint::RegionDisagrees {
            host: host.as_str().to_owned(),
            expected: region,
            signed: shown(scope.region()),
        });
    }
    Ok(left)
}

/// A candidate whose region the scope covers; if it has none of its own, with the scope's.
fn in_region(found: Candidate, scope: &Scope, signed: Option<&Region>) -> Option<Candidate> {
    if scope.algorithm() == Algorithm::Ecdsa {
        return (found.every_region || scope.covers(found.region.as_str())).then_some(found);
    }
    if scope.region() == found.region.as_str() {
        return Some(found);
    }
    let region = signed.filter(|_| found.any_region)?;
    let same = region.partition() == found.region.partition();
    same.then(|| Candidate { region: region.clone(), ..found })
}

/// The one of several services whose operation a request is, as far as method and path tell.
pub(super) fn tell_apart(services: &[Service], request: &Parts) -> Option<Service> {
    let path = Path::of(request.uri.path());
    if let Some((target, _)) = rpc(&path) {
        return services.iter().copied().find(|service| service.row().target == target);
    }
    if services.contains(&Service::S3) && services.contains(&Service::S3_CONTROL) {
        let versioned = path.segments().next() == Some(S3_CONTROL_VERSION);
        let named = ["x-amz-account-id", "x-amz-outpost-id"];
        let is_control = versioned && named.iter().any(|name| request.headers.contains_key(*name));
        return Some(if is_control { Service::S3_CONTROL } else { Service::S3 });
    }
    let query = request.uri.query().unwrap_or_default();
    let mut best: Option<(Service, u32)> = None;
    for service in services {
        let found = Operation::by_path(service.row(), &request.method, &path, query);
        match found {
            Some((_, score)) if best.is_none_or(|(_, most)| score > most) => {
                best = Some((*service, score));
            }
            _ => {}
        }
    }
    let form = || {
        let is_form = path.segments().next().is_none()
            && [Method::POST, Method::GET].contains(&request.method);
        services.iter().copied().find(|service| is_form && service.row().speaks("qe"))
    };
    best.map(|(service, _)| service).or_else(form)
}

const S3_CONTROL_VERSION: &str = "v20180820";

/// Service and operation of `/service/S/operation/O`
/// (<https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html>).
pub(super) fn rpc<'a>(path: &'a Path<'_>) -> Option<(&'a str, &'a str)> {
    let mut segments = path.segments();
    let parts = [segments.next()?, segments.next()?, segments.next()?, segments.next()?];
    match (parts, segments.next()) {
        (["service", service, "operation", operation], None) => Some((service, operation)),
        _ => None,
    }
}

/// The request's one host.
pub(super) fn host_of(parts: &Parts) -> Result<&str, BadEndpoint> {
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
pub(super) fn target_of(parts: &Parts) -> Result<Option<&str>, BadEndpoint> {
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
