//! Is this request the user's own? Its host must be the one that was dialled,
//! and its signature must be made with the throwaway keys.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use aws::Service;
use aws::reply::Fault;
use aws::sigv4::chunked::{self, Announced};
use aws::sigv4::{self, Authorization, PayloadHash, Seed, VerifyError, events};
use bytes::Bytes;
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, HOST};
use http::request::Parts;
use http::uri::Authority;
use http_body::Body as _;
use hyper::body::Incoming;

use super::body::{self, BodyError};
use super::key_ring::{KeyRing, LocalKey};
use super::peer::Ends;
use super::stand_in;
use super::upload::{Form, Stream, Upload};

/// A body of at most this length is read and hashed even where its signed hash would let it stream.
const READ_ANYWAY: u64 = 64 * 1024;
/// Most bytes that are read of a request that is decided on by its body: DynamoDB takes 16 MB, STS and IAM less.
const SMALL_LIMIT: u64 = 16 << 20;
/// Most bytes that are read of any other request whose hash no header tells: Lambda takes code of 50 MB, in Base64.
const LARGE_LIMIT: u64 = 80 << 20;

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
pub struct Refusal {
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
    /// What the agent has to be told of the body.
    pub(crate) told: Told,
    /// The service that it is signed for: for the shape of an error.
    pub(crate) service: Option<Service>,
    /// The pair of keys that it is signed with, and the app session behind it.
    pub(crate) key: LocalKey,
    /// The host that it is for, where neither the client nor its signature says it.
    pub(crate) host: Option<Authority>,
}

/// What the agent cannot see in the request itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// Nothing.
    Nothing,
    /// What the signature says about the body, though no header does.
    Payload(PayloadHash),
    /// The body was in signed chunks, and comes as plain data of this length.
    Decoded(u64),
}

/// Checks host and signature, reading the body where its hash is needed.
pub(crate) async fn check(
    parts: &Parts,
    body: Incoming,
    (place, ends): (&Place, Ends),
    (ring, now): (&dyn KeyRing, fn() -> SystemTime),
) -> Result<Checked, Refusal> {
    check_host(parts, place)?;
    let authorization = match Authorization::of_request(parts) {
        Err(VerifyError::Missing) => {
            return Box::pin(stand_in::check(parts, body, (place, ends), ring)).await;
        }
        found => found.map_err(refused)?,
    };
    let key = key_of(parts, &authorization, ring).map_err(refused)?;
    let request = Signed { parts, authorization, key, now };
    let declared = sigv4::declared_payload(parts)
        .map_err(|error| Refusal::new(Fault::Invalid, error.to_string()))?;
    let is_large = || body.size_hint().exact().is_none_or(|length| length > READ_ANYWAY);
    match declared {
        Some(PayloadHash::Sha256(_)) if !is_large() => request.read(body).await,
        Some(payload) => request.stream(body, payload),
        // A few operations have unsigned bodies and do not say so.
        None if is_large() && request.verify(PayloadHash::Unsigned).is_ok() => {
            let checked = request.stream(body, PayloadHash::Unsigned)?;
            Ok(Checked { told: Told::Payload(PayloadHash::Unsigned), ..checked })
        }
        None => request.read(body).await,
    }
}

/// A request with the keys that it says it is signed with.
struct Signed<'a> {
    parts: &'a Parts,
    authorization: Authorization,
    key: LocalKey,
    now: fn() -> SystemTime,
}

impl Signed<'_> {
    fn verify(&self, payload: PayloadHash) -> Result<Seed, VerifyError> {
        self.authorization.verify(self.parts, &payload, &self.key.keys, (self.now)())
    }

    /// Lets the body stream, checked by what the signature says about it.
    fn stream(self, body: Incoming, payload: PayloadHash) -> Result<Checked, Refusal> {
        let seed = self.verify(payload).map_err(refused)?;
        let keys = Arc::clone(&self.key.keys);
        let (form, told) = match payload {
            PayloadHash::SignedChunks(_, trailer) => {
                let announced = Announced::of_request(self.parts, trailer)
                    .map_err(|error| Refusal::new(error.fault(), error.to_string()))?;
                let told = Told::Decoded(announced.length());
                (Form::Chunks(Box::new(chunked::Decoder::new(keys, seed, announced))), told)
            }
            PayloadHash::Events => (Form::Events(events::Verifier::new(keys, seed)), Told::Nothing),
            _ => (Form::Plain, Told::Nothing),
        };
        let upload = Upload::Stream(Box::new(Stream::new(self.parts, body, form, self.now)));
        let service = self.service();
        Ok(Checked { upload, told, service, key: self.key, host: None })
    }

    /// Reads the body and hashes it.
    async fn read(self, body: Incoming) -> Result<Checked, Refusal> {
        let bytes = read(body, self.limit()).await?;
        let hash = PayloadHash::of(&bytes);
        let (payload, verified) = match self.verify(hash) {
            Err(VerifyError::Mismatch) => {
                let unsigned = self.verify(PayloadHash::Unsigned);
                (PayloadHash::Unsigned, unsigned.map_err(|_| VerifyError::Mismatch))
            }
            verdict => (hash, verdict),
        };
        verified.map_err(refused)?;
        let service = self.service();
        let told = Told::Payload(payload);
        Ok(Checked { upload: Upload::Whole(bytes), told, service, key: self.key, host: None })
    }

    fn service(&self) -> Option<Service> {
        let target = self.parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok());
        Service::from_scope(self.authorization.scope().service(), target)
    }

    /// How much of a body is read: what the service takes at most, where its requests are decided on by their bodies.
    fn limit(&self) -> u64 {
        let is_small = ["dynamodb", "sts", "iam"].contains(&self.authorization.scope().service());
        if is_small { SMALL_LIMIT } else { LARGE_LIMIT }
    }
}

fn refused(error: VerifyError) -> Refusal {
    Refusal::new(error.fault(), error.to_string())
}

/// The pair of keys that the request says it is signed with.
fn key_of(
    parts: &Parts,
    authorization: &Authorization,
    ring: &dyn KeyRing,
) -> Result<LocalKey, VerifyError> {
    let id = authorization.access_key_id();
    let is_whole = |key: &LocalKey| {
        // Temporary keys are three things, and the token is one of them.
        key.derived.as_ref().is_none_or(|token| sigv4::carries_token(parts, token.expose()))
    };
    ring.find(id).filter(is_whole).ok_or_else(|| VerifyError::UnknownKey(id.to_owned()))
}

async fn read(body: Incoming, limit: u64) -> Result<Bytes, Refusal> {
    body::collect(body, limit).await.map_err(|error| {
        let refusal = body_refused(&error);
        match error {
            BodyError::TooLarge { .. } => {
                let hint =
                    "have the client send x-amz-content-sha256, so that it need not be read first";
                Refusal { message: format!("{}; {hint}", refusal.message), ..refusal }
            }
            BodyError::Broken(_) => refusal,
        }
    })
}

/// Why a body could not be read.
pub(crate) fn body_refused(error: &BodyError) -> Refusal {
    let fault = match error {
        BodyError::TooLarge { .. } => Fault::TooLarge,
        BodyError::Broken(_) => Fault::Invalid,
    };
    Refusal::new(fault, error.to_string())
}

/// The `Host` header, or in HTTP/2 `:authority`; if both are there they must be equal.
pub(crate) fn host_of(parts: &Parts) -> Option<&str> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    match (hosts.next().map(HeaderValue::to_str), hosts.next(), authority) {
        (Some(Ok(host)), None, None) => Some(host),
        (Some(Ok(host)), None, Some(authority)) if host == authority => Some(host),
        (None, _, authority) => authority,
        _ => None,
    }
}

fn check_host(parts: &Parts, place: &Place) -> Result<(), Refusal> {
    let host = host_of(parts)
        .ok_or_else(|| Refusal::new(Fault::Invalid, "the request must name exactly one host"))?;
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
