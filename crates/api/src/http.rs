//! Small pieces of HTTP that both clients here share.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::Response;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

use crate::error::{ApiError, ErrorBody, ErrorText};

/// Longest a call may take, from dialling to the last byte of the reply.
pub const CALL_DEADLINE: Duration = Duration::from_secs(30);
/// Largest reply that is read into memory, bytes.
pub const REPLY_LIMIT: usize = 64 * 1024 * 1024;

/// A whole request body.
pub type Body = Full<Bytes>;

/// Where a call went, for its errors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) address: &'a str,
    pub(crate) what: &'a str,
}

impl Place<'_> {
    pub(crate) fn interrupted(self, source: impl Into<crate::error::Cause>) -> ApiError {
        ApiError::Interrupted {
            address: self.address.to_owned(),
            what: self.what.to_owned(),
            source: source.into(),
        }
    }

    pub(crate) fn bad_reply(self, source: impl Into<crate::error::Cause>) -> ApiError {
        ApiError::BadReply {
            address: self.address.to_owned(),
            what: self.what.to_owned(),
            source: source.into(),
        }
    }
}

/// Reads a reply: the JSON value of a success, or the words of a refusal.
pub(crate) async fn read<T: DeserializeOwned>(
    place: Place<'_>,
    reply: Response<Incoming>,
) -> Result<T, ApiError> {
    let reply = refused(place, reply).await?;
    let bytes = collect(place, reply.into_body()).await?;
    let bytes: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
    serde_json::from_slice(bytes).map_err(|e| place.bad_reply(e))
}

/// Turns a reply with a failing status into the refusal that it is.
pub(crate) async fn refused(
    place: Place<'_>,
    reply: Response<Incoming>,
) -> Result<Response<Incoming>, ApiError> {
    let status = reply.status();
    if status.is_success() {
        return Ok(reply);
    }
    let bytes = collect(place, reply.into_body()).await?;
    let text = match serde_json::from_slice::<ErrorBody>(&bytes) {
        Ok(body) => body.error,
        Err(_) => ErrorBody::new(format!("{} answered {status}", place.address), None).error,
    };
    let ErrorText { message, hint, code } = text;
    Err(ApiError::Refused { status: status.as_u16(), message, hint, code })
}

async fn collect(place: Place<'_>, mut body: Incoming) -> Result<Bytes, ApiError> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| place.interrupted(e))?;
        if let Ok(data) = frame.into_data() {
            if bytes.len().saturating_add(data.len()) > REPLY_LIMIT {
                return Err(place.bad_reply("the reply is larger than 64 MiB"));
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes.freeze())
}
