//! Is this request the user's own? Its host must be the one that was dialled,
//! and its signature must be made with the throwaway keys.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use aws::Service;
use aws::reply::Fault;
use aws::sigv4::{self, Authorization, Keys, PayloadHash, VerifyError};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST};
use http::request::Parts;
use http_body::Body as _;
use hyper::body::Incoming;

use super::body::{self, BodyError, REQUEST_LIMIT, Upload};
use super::key_ring::{KeyRing, LocalKey};

/// A body of at most this length is read and hashed even where its signed hash would let it stream.
const READ_ANYWAY: u64 = 64 * 1024;

/// What the client believes to be talking to.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// The AWS host that it named in CONNECT, lower case, without a port.
    Aws(Arc<str>),
    /// Us, as an endpoint URL, with what else clients may call us by.
    Endpoint(Arc<[String]>),
}

/// Why a request goes no further, in words for the SDK.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) fault: Fault,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(fault: Fault, message: impl Into<String>) -> Self {
        Self { fault, message: message.into() }
    }
}

/// A request that may go on.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Its body.
    pub(crate) upload: Upload,
    /// The body's hash, where we know it.
    pub(crate) hash: Option<[u8; 32]>,
    /// The service that it is signed for: for the shape of an error.
    pub(crate) service: Option<Service>,
    /// The pair of keys that it is signed with, and the app session behind it.
    pub(crate) key: LocalKey,
}

/// Checks host and signature, reading the body where its hash is needed.
pub(crate) async fn check(
    parts: &Parts,
    body: Incoming,
    place: &Place,
    (ring, now): (&dyn KeyRing, SystemTime),
) -> Result<Checked, Refusal> {
    check_host(parts, place)?;
    let key = key_of(parts, ring)?;
    let keys: &Keys = &key.keys;
    let declared = sigv4::declared_payload(parts)
        .map_err(|error| Refusal::new(Fault::Invalid, error.to_string()))?;
    let streams = match declared {
        None => false,
        Some(PayloadHash::Sha256(_)) => body.size_hint().exact().is_none_or(|n| n > READ_ANYWAY),
        Some(_) => true,
    };
    match declared {
        Some(payload) if streams => {
            let authorization = verify(parts, &payload, keys, now)?;
            let is_covered = authorization.is_presigned()
                || authorization.signed_headers().any(|name| name == "x-amz-content-sha256");
            if !is_covered {
                let message =
                    "x-amz-content-sha256 is in the request but not among the signed headers";
                return Err(Refusal::new(Fault::SignatureMismatch, message));
            }
            let service = service(parts, &authorization);
            Ok(Checked { upload: Upload::Stream(body), hash: None, service, key })
        }
        _ => {
            let bytes = read(body).await?;
            let payload = PayloadHash::of(&bytes);
            let authorization = verify(parts, &payload, keys, now)?;
            let hash = match payload {
                PayloadHash::Sha256(hash) => Some(hash),
                _ => None,
            };
            let service = service(parts, &authorization);
            Ok(Checked { upload: Upload::Whole(bytes), hash, service, key })
        }
    }
}

/// The pair of keys that the request says it is signed with.
fn key_of(parts: &Parts, ring: &dyn KeyRing) -> Result<LocalKey, Refusal> {
    let found = Authorization::of_request(parts).and_then(|authorization| {
        let id = authorization.access_key_id();
        ring.find(id).ok_or_else(|| VerifyError::UnknownKey(id.to_owned()))
    });
    found.map_err(|error| Refusal::new(error.fault(), error.to_string()))
}

fn service(parts: &Parts, authorization: &sigv4::Authorization) -> Option<Service> {
    let target = parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    Service::from_scope(authorization.scope().service(), target)
}

fn verify(
    parts: &Parts,
    payload: &PayloadHash,
    keys: &Keys,
    now: SystemTime,
) -> Result<sigv4::Authorization, Refusal> {
    sigv4::verify(parts, payload, keys, now)
        .map(|verified| verified.authorization)
        .map_err(|error| Refusal::new(error.fault(), error.to_string()))
}

async fn read(body: Incoming) -> Result<Bytes, Refusal> {
    body::collect(body, REQUEST_LIMIT).await.map_err(|error| {
        let fault = match &error {
            BodyError::TooLarge { .. } => Fault::TooLarge,
            BodyError::Broken(_) => Fault::Invalid,
        };
        Refusal::new(fault, error.to_string())
    })
}

fn check_host(parts: &Parts, place: &Place) -> Result<(), Refusal> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Refusal::new(Fault::Invalid, "the request must have exactly one Host header"));
    };
    let host = host.to_str().unwrap_or_default();
    if parts.uri.authority().is_some_and(|authority| authority.as_str() != host) {
        return Err(Refusal::new(Fault::Invalid, "the request names two different hosts"));
    }
    if parts.headers.get_all(CONTENT_LENGTH).iter().count() > 1 {
        return Err(Refusal::new(Fault::Invalid, "the request has two lengths"));
    }
    let fits = match place {
        Place::Aws(dialled) => {
            let name = host.strip_suffix(":443").unwrap_or(host);
            name.strip_suffix('.').unwrap_or(name).eq_ignore_ascii_case(dialled)
        }
        Place::Endpoint(names) => {
            let bare = bare(host);
            is_local(host) || names.iter().any(|name| name.eq_ignore_ascii_case(bare))
        }
    };
    if fits {
        return Ok(());
    }
    let message = match place {
        Place::Aws(dialled) => format!(
            "the request's Host `{}` is not the host that the connection was made to, `{dialled}`",
            shown(host)
        ),
        Place::Endpoint(_) => format!(
            "this is an endpoint URL on localhost; the request's Host `{}` is not \
             (where it is reached by other names, give them with --listen-name)",
            shown(host)
        ),
    };
    Err(Refusal::new(Fault::AccessDenied, message))
}

/// A Host without its port and brackets.
fn bare(host: &str) -> &str {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name)
}

/// Whether a Host is this machine's: `localhost`, a name under it, or a loopback address.
fn is_local(host: &str) -> bool {
    let bare = bare(host);
    let lower = bare.to_ascii_lowercase();
    lower == "localhost"
        || lower.ends_with(".localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn shown(host: &str) -> String {
    host.chars().take(80).filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(uri: &str, hosts: &[&str]) -> Parts {
        let mut request = http::Request::post(uri);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn only_the_dialled_host_may_be_named() {
        let place = Place::Aws("dynamodb.us-east-1.amazonaws.com".into());
        for (hosts, fits) in [
            (&["dynamodb.us-east-1.amazonaws.com"][..], true),
            (&["DynamoDB.us-east-1.amazonaws.com:443"][..], true),
            (&["dynamodb.us-east-1.amazonaws.com."][..], true),
            (&["s3.amazonaws.com"][..], false),
            (&["dynamodb.us-east-1.amazonaws.com:80"][..], false),
            (&["attacker.example.com://dynamodb.us-east-1.amazonaws.com"][..], false),
            (&["x@dynamodb.us-east-1.amazonaws.com"][..], false),
            (&[][..], false),
            (&["dynamodb.us-east-1.amazonaws.com", "s3.amazonaws.com"][..], false),
        ] {
            assert_eq!(check_host(&parts("/", hosts), &place).is_ok(), fits, "{hosts:?}");
        }
    }

    #[test]
    fn an_absolute_target_must_name_the_same_host() {
        let place = Place::Aws("s3.amazonaws.com".into());
        let host = &["s3.amazonaws.com"];
        assert!(check_host(&parts("https://s3.amazonaws.com/", host), &place).is_ok());
        assert!(check_host(&parts("https://evil.example.org/", host), &place).is_err());
    }

    #[test]
    fn an_endpoint_url_may_have_further_names() {
        let names = ["host.docker.internal".to_owned(), "172.17.0.1".to_owned()];
        let place = Place::Endpoint(names.to_vec().into());
        for (host, fits) in [
            ("localhost:8443", true),
            ("host.docker.internal:8443", true),
            ("HOST.docker.internal", true),
            ("172.17.0.1:8443", true),
            ("172.17.0.2:8443", false),
            ("x.host.docker.internal:8443", false),
        ] {
            assert_eq!(check_host(&parts("/", &[host]), &place).is_ok(), fits, "{host}");
        }
    }

    #[test]
    fn an_endpoint_url_is_local() {
        for (host, local) in [
            ("localhost", true),
            ("localhost:23457", true),
            ("LOCALHOST:23457", true),
            ("bucket.localhost:23457", true),
            ("127.0.0.1:23457", true),
            ("[::1]:23457", true),
            ("evil.example.org:23457", false),
            ("localhost.example.org", false),
            ("notlocalhost", false),
            ("10.0.0.1:23457", false),
            ("", false),
        ] {
            assert_eq!(is_local(host), local, "{host}");
        }
    }
}
