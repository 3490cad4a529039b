//! Temporary keys in an answer of STS: they are the agent's, not AWS's, and are learnt before the client gets them.

use std::sync::Arc;

use api::error::Chain;
use api::wire::{HEADER_DERIVED, KEYS_OF_OURS};
use aws::Service;
use aws::reply::Fault;
use aws::sts::KeysAnswer;
use http::HeaderMap;

use super::body::Body;
use super::check::Refusal;
use super::key_ring::{Given, KeyRing};

/// Takes keys out of an answer that the agent has marked as holding some, so that what is signed with them is known.
pub(crate) async fn learn(
    (ring, access_key_id): (&Arc<dyn KeyRing>, String),
    service: Option<Service>,
    (head, body): (&mut HeaderMap, &Body),
) -> Result<(), Refusal> {
    let is_marked = head.remove(HEADER_DERIVED).is_some_and(|value| value == KEYS_OF_OURS);
    if !is_marked || service != Some(Service::STS) {
        return Ok(());
    }
    let given = match body {
        Body::Whole(Some(bytes)) => KeysAnswer::parse(bytes)
            .map(|answer| Given { credentials: answer.credentials(), expires: answer.expires() }),
        _ => return Err(broken("it did not come whole")),
    };
    let given = given.map_err(|error| broken(&error.to_string()))?;
    let ring = Arc::clone(ring);
    let learning = tokio::task::spawn_blocking(move || ring.learn(&access_key_id, given)).await;
    match learning {
        Ok(Ok(())) => Ok(()),
        Ok(Err(failure)) => Err(broken(&failure.to_string())),
        Err(error) => Err(broken(&Chain(&error).to_string())),
    }
}

fn broken(why: &str) -> Refusal {
    Refusal::new(Fault::Internal, format!("the temporary keys in the answer cannot be used: {why}"))
}
