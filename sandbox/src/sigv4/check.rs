//! The check itself: from a request and the keys that exist to a verified principal.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::canonical::Facts;
use super::claim::{Claim, Form, Scheme, amz_date};
use super::crypto::{SigningKey, same, sha256_hex};
use super::fault::{Fault, Mismatch};
use crate::keys::{Keys, Principal};

/// How far the clocks of client and server may be apart.
pub const CLOCK_MARGIN: SignedDuration = SignedDuration::from_mins(5);

/// What the endpoint expects to find in the scope.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// The signing name, when the endpoint tells it.
    pub service: Option<String>,
    /// The region, when the endpoint tells it.
    pub region: Option<String>,
}

/// What is known of the payload when the signature is checked.
#[derive(Debug, Clone, Copy)]
pub enum Payload<'a> {
    /// All of it is here, and this is its SHA-256 in hex.
    Here(&'a str),
    /// It is still to come (S3): the header's word counts and is checked when it has come.
    ToCome,
}

/// A signature that fits, and what is needed to check what follows it.
#[derive(Debug, Clone)]
pub struct Verified {
    /// Who signed.
    pub principal: Arc<Principal>,
    /// The claim, now believed.
    pub claim: Claim,
    /// The key that signs the chunks of a streamed payload.
    pub signing_key: SigningKey,
    /// `x-amz-content-sha256`, or what stands for it.
    pub payload: String,
}

/// Checks the signature of a request.
pub fn check(
    facts: &Facts,
    expected: &Expected,
    payload: Payload<'_>,
    keys: &Keys,
    now: Timestamp,
) -> Result<Verified, Fault> {
    let claim = Claim::read(facts)?;
    scope_fits(&claim, expected)?;
    let principal = known(&claim, keys, now)?;
    time_fits(&claim, now)?;
    all_signed(&claim, facts)?;
    let payload = payload_hash(&claim, facts, payload)?;
    let key = SigningKey::of(&claim, &principal.secret_access_key);
    let canonical_request = facts.canonical_request(&claim.signed_headers, &payload);
    let string_to_sign = format!(
        "{}\n{}\n{}\n{}",
        claim.scheme.name(),
        claim.date,
        claim.scope(),
        sha256_hex(canonical_request.as_bytes())
    );
    if !key.made(&string_to_sign, &claim.signature) {
        return Err(Fault::Mismatch(Box::new(Mismatch {
            access_key_id: claim.access_key_id,
            canonical_request,
            string_to_sign,
            provided: claim.signature,
        })));
    }
    Ok(Verified { principal, claim, signing_key: key, payload })
}

fn scope_fits(claim: &Claim, expected: &Expected) -> Result<(), Fault> {
    if let Some(wanted) = expected.service.as_ref().filter(|wanted| **wanted != claim.service) {
        return Err(Fault::Service { given: claim.service.clone(), wanted: wanted.clone() });
    }
    let covers = |wanted: &&String| match claim.scheme {
        Scheme::Symmetric => **wanted == claim.region,
        Scheme::Asymmetric => claim
            .region
            .split(',')
            .any(|region| region.trim() == "*" || region.trim() == wanted.as_str()),
    };
    if let Some(wanted) = expected.region.as_ref().filter(|wanted| !covers(wanted)) {
        return Err(Fault::Region { given: claim.region.clone(), wanted: wanted.clone() });
    }
    if !claim.date.starts_with(&claim.day) || claim.day.len() != 8 {
        return Err(Fault::Day { scope: claim.day.clone(), date: claim.date.clone() });
    }
    Ok(())
}

fn known(claim: &Claim, keys: &Keys, now: Timestamp) -> Result<Arc<Principal>, Fault> {
    let id = &claim.access_key_id;
    let principal = keys.find(id).ok_or_else(|| Fault::UnknownKey(id.clone()))?;
    match (&principal.session, &claim.token) {
        (None, None) => {}
        (Some(session), Some(token)) if same(&session.token, token) => {
            if session.expires <= now {
                return Err(Fault::SessionExpired(id.clone()));
            }
        }
        _ => return Err(Fault::Token(id.clone())),
    }
    Ok(principal)
}

fn time_fits(claim: &Claim, now: Timestamp) -> Result<(), Fault> {
    let (date, here) = (claim.date.clone(), amz_date(now));
    let newest = now.saturating_add(CLOCK_MARGIN).unwrap_or(now);
    if claim.at > newest {
        return Err(Fault::TooNew { date, limit: amz_date(newest), now: here });
    }
    match claim.form {
        Form::Query { seconds } => {
            let end =
                claim.at.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(claim.at);
            if end < now {
                return Err(Fault::PresignedExpired(amz_date(end)));
            }
        }
        Form::Header => {
            let oldest = now.saturating_sub(CLOCK_MARGIN).unwrap_or(now);
            if claim.at < oldest {
                return Err(Fault::TooOld { date, limit: amz_date(oldest), now: here });
            }
        }
    }
    Ok(())
}

/// The host, and every `x-amz-` header that came, must be under the signature: whoever stands
/// between client and server could add one otherwise.
fn all_signed(claim: &Claim, facts: &Facts) -> Result<(), Fault> {
    let is_signed = |name: &str| claim.signed_headers.iter().any(|signed| signed == name);
    let mut unsigned: Vec<String> = Vec::new();
    if !is_signed("host") {
        unsigned.push("host".to_owned());
    }
    for name in facts.headers.keys().map(http::HeaderName::as_str) {
        // In the query form the payload's hash may come as a header that nobody signed; its
        // word is checked against the signature all the same.
        let exempt = name == "x-amz-content-sha256" && claim.form != Form::Header;
        if name.starts_with("x-amz-") && !is_signed(name) && !exempt {
            unsigned.push(name.to_owned());
        }
    }
    let absent = claim.signed_headers.iter().find(|name| facts.canonical_header(name).is_none());
    if let Some(absent) = absent {
        return Err(Fault::Malformed(format!(
            "'{absent}' is named in SignedHeaders and not in the request"
        )));
    }
    if unsigned.is_empty() { Ok(()) } else { Err(Fault::Unsigned(unsigned)) }
}

fn payload_hash(claim: &Claim, facts: &Facts, payload: Payload<'_>) -> Result<String, Fault> {
    let claimed = facts.header("x-amz-content-sha256");
    match (payload, claim.form, claimed) {
        (Payload::Here(computed), _, Some(claimed)) if claimed != computed => {
            Err(Fault::Payload { claimed: claimed.to_owned(), computed: computed.to_owned() })
        }
        (Payload::Here(computed), _, _) => Ok(computed.to_owned()),
        (Payload::ToCome, Form::Query { .. }, None) => Ok("UNSIGNED-PAYLOAD".to_owned()),
        (Payload::ToCome, _, Some(claimed)) => Ok(claimed.to_owned()),
        (Payload::ToCome, Form::Header, None) => Err(Fault::NoPayloadHash),
    }
}
