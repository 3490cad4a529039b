//! The two calls of STS that nobody signs: `AssumeRoleWithWebIdentity` and `AssumeRoleWithSAML`.
//!
//! Nothing in them says for which app session they are, nor that the caller is the user. So they are taken where there is
//! one session only, from processes of this very user only. What their token is worth, AWS says.

use aws::Service;
use aws::endpoint::Endpoint;
use aws::reply::Fault;
use aws::sigv4::VerifyError;
use aws::sts::{BadAction, KeyGiving};
use bytes::Bytes;
use http::Method;
use http::request::Parts;
use http::uri::Authority;
use hyper::body::Incoming;

use super::body;
use super::check::{Checked, Place, Refusal, Told, body_refused};
use super::key_ring::KeyRing;
use super::peer::Ends;
use super::upload::Upload;

/// Most bytes of such a request: a SAML assertion has 100,000 characters at the most, each three when encoded.
const LIMIT: u64 = 512 * 1024;

/// Takes an unsigned request, if it is one of the two and there is no doubt whose it is.
pub(crate) async fn check(
    parts: &Parts,
    body: Incoming,
    (place, ends): (&Place, Ends),
    ring: &dyn KeyRing,
) -> Result<Checked, Refusal> {
    if !may_be(parts, place) {
        return Err(unsigned());
    }
    let bytes = body::collect(body, LIMIT).await.map_err(|error| body_refused(&error))?;
    let giving = read(parts, &bytes)?;
    ends.prove_ours().await.map_err(|why| refused(&why.to_string()))?;
    let key = ring.only().map_err(|why| refused(&why.to_string()))?;
    let host = match place {
        Place::Aws(_) => None,
        // The client has named neither host nor region.
        Place::Endpoint(_) => giving.host().and_then(|host| Authority::try_from(host).ok()),
    };
    let (upload, service) = (Upload::Whole(bytes), Some(Service::STS));
    Ok(Checked { upload, told: Told::Nothing, service, key, host })
}

/// Whether its head allows that it is one of them.
fn may_be(parts: &Parts, place: &Place) -> bool {
    let is_sts = match place {
        Place::Aws(host) => {
            Endpoint::from_host(host).is_ok_and(|endpoint| endpoint.service() == Service::STS)
        }
        Place::Endpoint(_) => true,
    };
    is_sts && parts.uri.path() == "/" && [Method::GET, Method::POST].contains(&parts.method)
}

fn read(parts: &Parts, body: &Bytes) -> Result<KeyGiving, Refusal> {
    match KeyGiving::of_unsigned(parts.uri.query(), body) {
        Ok(Some(giving)) => Ok(giving),
        Err(error @ (BadAction::Role | BadAction::Parameter { .. })) => {
            Err(Refusal::new(Fault::Invalid, error.to_string()))
        }
        Ok(None) | Err(_) => Err(unsigned()),
    }
}

/// As every other request without a signature.
fn unsigned() -> Refusal {
    Refusal::new(VerifyError::Missing.fault(), VerifyError::Missing.to_string())
}

fn refused(why: &str) -> Refusal {
    let message = format!("the request is not signed, so that nothing says whose it is, and {why}");
    Refusal::new(Fault::AccessDenied, message)
}
