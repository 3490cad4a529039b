//! Signs a request anew, with keys that the client never sees.

use std::borrow::Cow;
use std::fmt;
use std::time::SystemTime;

use http::header::{AUTHORIZATION, HOST};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use thiserror::Error;

use super::algorithm::Algorithm;
use super::authorization::Authorization;
use super::canonical::Canonical;
use super::chain::Seed;
use super::keys::{BadToken, Keys, NoKey};
use super::payload::{CONTENT_SHA256, PayloadHash, is_s3};
use super::presigned;
use super::scope::Scope;
use crate::calendar::Stamp;
use crate::endpoint::Endpoint;
use crate::query;

/// Where a request is sent: its endpoint over https, or the address that a setting names for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    endpoint: Endpoint,
    redirect: Option<Redirect>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Redirect {
    scheme: Scheme,
    authority: Authority,
    /// The path in front, without a slash at its end.
    base: String,
}

/// The address of a setting such as `AWS_ENDPOINT_URL` is not usable.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("endpoint URL {rule}; expected one such as `http://127.0.0.1:8000`")]
pub struct BadDestination {
    rule: &'static str,
}

impl Destination {
    /// The endpoint itself: https, port 443.
    pub fn aws(endpoint: Endpoint) -> Self {
        Self { endpoint, redirect: None }
    }

    /// The address that the operator's own setting names (an emulator, a VPC endpoint): http or https, any port, with
    /// a path in front if it has one. Never made from what a client sent.
    ///
    /// A bucket in the endpoint's host becomes the first segment of the path.
    ///
    /// # Errors
    /// [`BadDestination`] if it is no http or https URL with a host, or has user info, a query or a fragment.
    pub fn redirected(endpoint: Endpoint, url: &str) -> Result<Self, BadDestination> {
        let bad = |rule| Err(BadDestination { rule });
        let Ok(uri) = url.parse::<Uri>() else {
            return bad("is not a URL");
        };
        if uri.query().is_some() || url.contains('#') {
            return bad("has a query or a fragment");
        }
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return bad("has no scheme or no host");
        };
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return bad("is neither http nor https");
        }
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return bad("holds user info, or no host");
        }
        let base = parts
            .path_and_query
            .as_ref()
            .map_or("", PathAndQuery::path)
            .trim_end_matches('/')
            .to_owned();
        Ok(Self { endpoint, redirect: Some(Redirect { scheme, authority, base }) })
    }

    /// The endpoint that the request is signed for.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Whether a setting sends it elsewhere than to AWS's own host.
    pub fn is_redirected(&self) -> bool {
        self.redirect.is_some()
    }

    /// Scheme and authority to dial.
    fn origin(&self) -> Result<(Scheme, Authority), SignError> {
        match &self.redirect {
            Some(redirect) => Ok((redirect.scheme.clone(), redirect.authority.clone())),
            None => {
                let authority =
                    Authority::try_from(self.endpoint.host()).map_err(|_| SignError::Uri)?;
                Ok((Scheme::HTTPS, authority))
            }
        }
    }

    /// What stands before the request's own path.
    fn front(&self) -> Option<String> {
        let redirect = self.redirect.as_ref()?;
        match self.endpoint.bucket() {
            Some(bucket) => Some(format!("{}/{bucket}", redirect.base)),
            None => Some(redirect.base.clone()),
        }
    }
}

/// Why a request cannot be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignError {
    /// The session token or access key holds a character that no header takes.
    #[error("the credentials hold a character that cannot be sent")]
    Credentials,
    /// The parts do not make a URI.
    #[error("the request's path and query do not make a URI")]
    Uri,
    /// The time is before 1970 or after 9999.
    #[error("the time is out of range")]
    Time,
    /// No key for SigV4A.
    #[error("no key for SigV4A can be derived from the credentials")]
    Key,
}

/// A signed request, ready to send. Nothing can alter it; it can only be taken apart by the one who sends it.
///
/// Its URI is absolute, its version HTTP/1.1 (the client that sends it may choose another), its extensions are gone.
pub struct Signed {
    parts: Parts,
    seed: Seed,
}

impl Signed {
    /// Where it goes: absolute.
    pub fn uri(&self) -> &Uri {
        &self.parts.uri
    }

    /// Its method.
    pub fn method(&self) -> &Method {
        &self.parts.method
    }

    /// Its headers, with the signature.
    pub fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// What the signatures in a streamed body go on from.
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    /// Gives it to the sender.
    pub fn into_parts(self) -> Parts {
        self.parts
    }
}

impl fmt::Debug for Signed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Signed")
            .field("method", self.method())
            .field("uri", self.uri())
            .finish_non_exhaustive()
    }
}

/// A request that goes out without a signature, ready to send. Nothing can alter it.
///
/// As with [`Signed`] its URI is absolute, its version HTTP/1.1, its extensions are gone.
pub struct Unsigned {
    parts: Parts,
}

impl Unsigned {
    /// Where it goes: absolute.
    pub fn uri(&self) -> &Uri {
        &self.parts.uri
    }

    /// Its headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// Gives it to the sender.
    pub fn into_parts(self) -> Parts {
        self.parts
    }
}

impl fmt::Debug for Unsigned {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its query may hold a token.
        let (method, host) = (&self.parts.method, self.parts.uri.authority());
        out.debug_struct("Unsigned")
            .field("method", method)
            .field("host", &host)
            .finish_non_exhaustive()
    }
}

/// Makes a request ready that nobody signs, as `AssumeRoleWithWebIdentity` of STS is: what [`sign`] drops is dropped, and
/// no credentials of anybody are added.
///
/// # Errors
/// [`SignError::Uri`].
pub fn without_signature(
    mut parts: Parts,
    destination: &Destination,
) -> Result<Unsigned, SignError> {
    readdress(&mut parts, destination)?;
    Ok(Unsigned { parts })
}

/// Makes a client's request one of ours to `destination`, before anything is signed.
fn readdress(parts: &mut Parts, destination: &Destination) -> Result<(), SignError> {
    parts.uri = address(&parts.uri, &mut parts.headers, destination)?;
    drop_headers(&mut parts.headers);
    parts.headers.insert(HOST, host_header(&parts.uri)?);
    parts.version = Version::HTTP_11;
    parts.extensions = Extensions::new();
    Ok(())
}

/// Signs a request anew.
///
/// Dropped: the client's own authorization (header or presigned query), hop-by-hop headers, `X-Forwarded-*` and other
/// forwarding headers, cookies. Added: `Host`, `X-Amz-Date`, the session token and, for S3, `X-Amz-Content-Sha256`.
/// Signed: `Host`, every `x-amz-*` header, `Content-Type`, and what the client had signed of the rest. Headers that a
/// presigned query carries for the service (`x-amz-acl=…`) become headers again. What the client signed by SigV4A is
/// signed by SigV4A again, for the same set of regions.
///
/// # Errors
/// [`SignError`].
pub fn sign(
    mut parts: Parts,
    payload: &PayloadHash,
    destination: &Destination,
    keys: &Keys,
    now: SystemTime,
) -> Result<Signed, SignError> {
    let stamp = Stamp::of(now).ok_or(SignError::Time)?;
    let client = Authorization::of_request(&parts).ok();
    let signing_name = destination.endpoint.signing_name();
    let declared = is_s3(signing_name)
        || parts.headers.contains_key(CONTENT_SHA256)
        || *payload == PayloadHash::Unsigned;

    readdress(&mut parts, destination)?;
    let headers = &mut parts.headers;
    headers.insert(DATE, HeaderValue::from_str(stamp.as_str()).map_err(|_| SignError::Time)?);
    if let Some(token) = keys.token().map_err(|BadToken| SignError::Credentials)? {
        headers.insert(TOKEN, token);
    }
    if declared {
        let mut text = Vec::with_capacity(64);
        payload.write(&mut text);
        let value = HeaderValue::from_maybe_shared(text).map_err(|_| SignError::Credentials)?;
        headers.insert(HeaderName::from_static(CONTENT_SHA256), value);
    }

    let scope = scope(&destination.endpoint, client.as_ref(), &stamp);
    let (value, signature) = authorize(&parts, *payload, client.as_ref(), &scope, (keys, &stamp))?;
    parts.headers.insert(AUTHORIZATION, value);
    Ok(Signed { parts, seed: Seed::new(stamp, scope, signature) })
}

/// The endpoint's own; by the algorithm that the client chose.
fn scope(endpoint: &Endpoint, client: Option<&Authorization>, stamp: &Stamp) -> Scope {
    let signing_name = endpoint.signing_name();
    match client.map(Authorization::scope) {
        Some(scope) if scope.algorithm() == Algorithm::Ecdsa => {
            Scope::new(Algorithm::Ecdsa, [stamp.date(), scope.region(), signing_name])
        }
        _ => {
            let region = endpoint.region().as_str();
            Scope::new(Algorithm::Hmac, [stamp.date(), region, signing_name])
        }
    }
}

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// The value of the new `Authorization` header, and the signature in it.
fn authorize(
    parts: &Parts,
    payload: PayloadHash,
    client: Option<&Authorization>,
    scope: &Scope,
    (keys, stamp): (&Keys, &Stamp),
) -> Result<(HeaderValue, String), SignError> {
    let names = names_to_sign(&parts.headers, client);
    let host = parts.headers.get(HOST).map(HeaderValue::as_bytes).unwrap_or_default();
    let canonical = Canonical::of(parts, scope, (host, &names), payload);
    let string_to_sign = canonical.string_to_sign(stamp, scope);
    let signature = keys.sign(scope, &string_to_sign).map_err(|NoKey| SignError::Key)?;
    let algorithm = scope.algorithm().name();
    let access_key_id = keys.access_key_id();
    let text = format!(
        "{algorithm} Credential={access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    );
    let mut value = HeaderValue::from_maybe_shared(text).map_err(|_| SignError::Credentials)?;
    value.set_sensitive(true);
    Ok((value, signature))
}

/// Lower case, sorted, joined by semicolons.
fn names_to_sign(headers: &HeaderMap, client: Option<&Authorization>) -> String {
    let signed_by_client = |name: &str| {
        client.is_some_and(|client| client.signed_headers().any(|signed| signed == name))
    };
    let must = |name: &str| name == "host" || name == "content-type" || name.starts_with("x-amz-");
    // The sender writes the length anew.
    let may = |name: &str| name != "content-length" && signed_by_client(name);
    let mut names: Vec<&str> =
        headers.keys().map(HeaderName::as_str).filter(|name| must(name) || may(name)).collect();
    names.sort_unstable();
    names.join(";")
}

/// The absolute URI, without the client's presigned authorization.
fn address(
    uri: &Uri,
    headers: &mut HeaderMap,
    destination: &Destination,
) -> Result<Uri, SignError> {
    let query = uri.query().unwrap_or_default();
    let kept = if presigned::is_presigned(query) {
        Cow::Owned(unpack(query, headers))
    } else {
        Cow::Borrowed(query)
    };
    let path_and_query = match (destination.front(), uri.path_and_query()) {
        (None, Some(same)) if matches!(kept, Cow::Borrowed(_)) => same.clone(),
        (front, _) => {
            let (front, path) = (front.unwrap_or_default(), uri.path());
            let mark = if kept.is_empty() { "" } else { "?" };
            PathAndQuery::try_from(format!("{front}{path}{mark}{kept}"))
                .map_err(|_| SignError::Uri)?
        }
    };
    let (scheme, authority) = destination.origin()?;
    let built =
        Uri::builder().scheme(scheme).authority(authority).path_and_query(path_and_query).build();
    built.map_err(|_| SignError::Uri)
}

/// Takes the authorization out of a presigned query, and makes headers again of the headers that were hoisted into it.
fn unpack(query: &str, headers: &mut HeaderMap) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for pair in query::pairs(query) {
        if presigned::is_authorization(&pair) || pair.is_named(CONTENT_SHA256) {
            continue;
        }
        let hoisted = pair.name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case(b"x-amz-"));
        let header = (HeaderName::from_bytes(&pair.name), HeaderValue::from_bytes(&pair.value));
        match header {
            (Ok(name), Ok(value)) if hoisted => {
                headers.entry(name).or_insert(value);
            }
            _ => kept.push(pair.raw),
        }
    }
    kept.join("&")
}

/// The authority without the scheme's own port, as every client writes it.
fn host_header(uri: &Uri) -> Result<HeaderValue, SignError> {
    let authority = uri.authority().ok_or(SignError::Uri)?.as_str();
    let own_port = if uri.scheme() == Some(&Scheme::HTTP) { ":80" } else { ":443" };
    let host = authority.strip_suffix(own_port).unwrap_or(authority);
    HeaderValue::from_str(host).map_err(|_| SignError::Uri)
}

/// Drops what is the client's own, and what must not travel past this hop
/// (RFC 9110 section 7.6.1, <https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1>).
fn drop_headers(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all("connection")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name: &HeaderName| !is_content(name.as_str()))
        .collect();
    let dropped: Vec<HeaderName> =
        headers.keys().filter(|name| is_dropped(name.as_str())).cloned().collect();
    for name in dropped.into_iter().chain(named) {
        headers.remove(name);
    }
}

/// What the call was decided on never leaves at the client's word (`Connection: x-amz-copy-source`).
fn is_content(name: &str) -> bool {
    name.starts_with("x-amz-") || name.starts_with("content-")
}

fn is_dropped(name: &str) -> bool {
    let own = [
        "authorization",
        "x-amz-date",
        "x-amz-security-token",
        "x-amz-content-sha256",
        "date",
        "host",
        "cookie",
    ];
    let hop = [
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "expect",
        "http2-settings",
    ];
    let forwarding = ["forwarded", "via", "x-real-ip"];
    let listed = own.contains(&name) || hop.contains(&name) || forwarding.contains(&name);
    listed || name.starts_with("x-forwarded-") || name.starts_with("proxy-")
}
