//! Signing, the client's side: the same canonical form as the check's, the other way round.

use http::HeaderValue;
use http::request::Parts;
use jiff::Timestamp;

use super::environment::Credentials;
use crate::sigv4::canonical::{Facts, PathRule};
use crate::sigv4::claim::{Scheme, amz_date};
use crate::sigv4::crypto::{hmac_sha256, sha256_hex, signing_key};

/// What a signature is for.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The signing name.
    pub service: &'a str,
    /// The region.
    pub region: &'a str,
}

/// Signs a request. The headers `host` and, if wanted, `content-type` must be there already.
pub fn sign(
    head: &mut Parts,
    payload: &str,
    credentials: &Credentials,
    scope: Scope<'_>,
    now: Timestamp,
) {
    let date = amz_date(now);
    let day = date.get(..8).unwrap_or_default().to_owned();
    set(head, "x-amz-date", &date);
    if let Some(token) = &credentials.session_token {
        set(head, "x-amz-security-token", token);
    }
    let path_rule = if scope.service == "s3" { PathRule::Once } else { PathRule::Twice };
    if scope.service == "s3" {
        set(head, "x-amz-content-sha256", payload);
    }
    let facts = Facts::of(head, path_rule);
    let mut signed: Vec<String> = head
        .headers
        .keys()
        .map(|name| name.as_str().to_owned())
        .filter(|name| name == "host" || name == "content-type" || name.starts_with("x-amz-"))
        .collect();
    signed.sort();
    signed.dedup();
    let canonical = facts.canonical_request(&signed, payload);
    let within = format!("{day}/{}/{}/aws4_request", scope.region, scope.service);
    let scheme = Scheme::Symmetric.name();
    let text = format!("{scheme}\n{date}\n{within}\n{}", sha256_hex(canonical.as_bytes()));
    let key = signing_key(&credentials.secret_access_key, &day, scope.region, scope.service);
    let signature = hex::encode(hmac_sha256(&key, text.as_bytes()));
    let authorization = format!(
        "{scheme} Credential={}/{within}, SignedHeaders={}, Signature={signature}",
        credentials.access_key_id,
        signed.join(";")
    );
    set(head, "authorization", &authorization);
}

fn set(head: &mut Parts, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        head.headers.insert(name, value);
    }
}
