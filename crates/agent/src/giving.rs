//! Calls of STS that give keys, on their way out and back: asked for no longer than the app session lasts, and answered
//! with keys of ours in the place of AWS's.
//!
//! An answer that may hold keys and cannot be read is withheld.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use access::{AnswerUse, Grant};
use api::wire::{HEADER_DERIVED, KEYS_OF_OURS};
use aws::sts::{BadAnswer, KeyGiving, LONGEST_ANSWER, is_without_keys};
use aws::{Call, RoleArn};
use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::time::timeout;

use crate::assume::SHORTEST;
use crate::body::{AwsBody, RequestBody};
use crate::derived::{Derived, DerivedKeys, NotKept};
use crate::refusal::Refusal;

const READ_DEADLINE: Duration = Duration::from_secs(60);

/// What has to be known when the answer comes.
pub(crate) struct Expected {
    grant: Grant,
    asked: Option<RoleArn>,
    by: Option<Arc<Derived>>,
}

impl Expected {
    /// Of a call whose answer holds keys.
    pub(crate) fn of(grant: &Grant, call: &Call, by: Option<&Arc<Derived>>) -> Option<Self> {
        (grant.answer() == AnswerUse::KeysOfOurs).then(|| Self {
            grant: grant.clone(),
            asked: call.key_giving().and_then(KeyGiving::role).cloned(),
            by: by.cloned(),
        })
    }

    /// Keeps the keys, and puts ours in their place. An error that AWS answers is passed on.
    pub(crate) async fn keep(
        self,
        store: &DerivedKeys,
        reply: Response<AwsBody>,
    ) -> Result<Response<AwsBody>, NotKept> {
        let (mut head, body) = reply.into_parts();
        let bytes = read(body).await?;
        let body = match head.status {
            StatusCode::OK => {
                let Self { grant, asked, by } = &self;
                let ours = store.keep((grant, asked.as_ref()), by.as_deref(), &bytes)?;
                head.headers.insert(HEADER_DERIVED, HeaderValue::from_static(KEYS_OF_OURS));
                Bytes::from(ours)
            }
            status if status.is_client_error() || status.is_server_error() => {
                Some(bytes).filter(|bytes| is_without_keys(bytes)).ok_or(NotKept::Other)?
            }
            _ => return Err(NotKept::Other),
        };
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        Ok(Response::from_parts(head, AwsBody::Whole(body)))
    }
}

/// Makes the call ask for keys that last no longer than `until`, and for an answer that can be read.
pub(crate) fn within(
    (parts, body): (&mut Parts, RequestBody),
    giving: &KeyGiving,
    (now, until): (SystemTime, SystemTime),
) -> Result<RequestBody, Refusal> {
    let left = until.duration_since(now).unwrap_or_default();
    if left < SHORTEST {
        return Err(Refusal::TooShortForKeys { left: left.as_secs() });
    }
    // As JSON, or compressed, it would have to be withheld.
    parts.headers.remove(ACCEPT);
    parts.headers.remove(ACCEPT_ENCODING);
    if giving.lasts() <= left {
        return Ok(body);
    }
    let bad = |why| Refusal::BadRequest { why };
    let form = body.bytes().and_then(|bytes| std::str::from_utf8(bytes).ok());
    let form = form.ok_or_else(|| bad("its body is no form"))?;
    let query = parts.uri.query().unwrap_or_default();
    let (query, form) = giving.lasting(left.as_secs(), query, form);
    parts.uri = with_query(&parts.uri, &query).ok_or_else(|| bad("its query is none"))?;
    match form.is_empty() {
        true => parts.headers.remove(CONTENT_LENGTH),
        false => parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(form.len())),
    };
    Ok(body.replaced(Bytes::from(form)))
}

fn with_query(uri: &Uri, query: &str) -> Option<Uri> {
    let mark = if query.is_empty() { "" } else { "?" };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query =
        Some(PathAndQuery::try_from(format!("{}{mark}{query}", uri.path())).ok()?);
    Uri::from_parts(parts).ok()
}

async fn read(body: AwsBody) -> Result<Bytes, NotKept> {
    match timeout(READ_DEADLINE, Limited::new(body, LONGEST_ANSWER).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BadAnswer::TooLong.into()),
        Ok(Err(error)) => Err(NotKept::Broken(error)),
        Err(late) => Err(NotKept::Broken(late.into())),
    }
}
