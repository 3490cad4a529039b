//! DynamoDB and DynamoDB Streams, by the engine of `dynoxide`, one for each account and region.
//!
//! The engine knows one account and one region of its own; the ARNs are rewritten both ways.

pub mod dispatch;
mod names;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use dynoxide::Database;
use dynoxide::streams::{LOCAL_ACCOUNT, LOCAL_REGION};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;

use crate::answer::{Body, Protocol, Refusal, json, refuse};
use crate::chance;
use crate::door::{Call, Cut, admit, let_in, mark};
use crate::journal::Entry;
use crate::sigv4::crypto::sha256_hex;
use crate::sigv4::{PathRule, Payload};
use crate::world::World;

/// DynamoDB's own limit for a request.
const BODY_LIMIT: usize = 16 * 1024 * 1024;

/// The engines, by account and region.
#[derive(Default)]
pub struct Engines {
    open: Mutex<BTreeMap<(String, String), Database>>,
    dir: Option<PathBuf>,
}

impl std::fmt::Debug for Engines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engines({:?})", self.dir)
    }
}

impl Engines {
    /// Engines that keep their tables in a directory, or in memory.
    pub fn new(dir: Option<PathBuf>) -> Self {
        Self { open: Mutex::default(), dir }
    }

    /// The engine of an account and a region; it is made when it is first asked for.
    pub fn of(&self, account: &str, region: &str) -> anyhow::Result<Database> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (account.to_owned(), region.to_owned());
        if let Some(engine) = open.get(&place) {
            return Ok(engine.clone());
        }
        let engine = match &self.dir {
            None => Database::memory()?,
            Some(dir) => {
                std::fs::create_dir_all(dir)
                    .with_context(|| format!("could not make {}", dir.display()))?;
                let file = dir.join(format!("{account}.{region}.sqlite"));
                Database::new(&file.to_string_lossy())?
            }
        };
        open.insert(place, engine.clone());
        Ok(engine)
    }

    /// Forgets all tables that are in memory.
    pub fn clear(&self) {
        if self.dir.is_none() {
            self.open.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }
}

/// Answers one request to DynamoDB or its streams.
pub async fn answer(world: &World, call: Call, entry: &mut Entry) -> Response<Body> {
    entry.request_id = chance::dynamodb_request_id();
    let id = entry.request_id.clone();
    match run(world, call, entry).await {
        Ok((body, cut)) => mark(json(StatusCode::OK, body, &id), cut),
        Err(Trouble::Refused(refusal)) => {
            entry.code.clone_from(&refusal.code);
            refuse(Protocol::Json, &refusal, &id)
        }
        Err(Trouble::Engine(status, body)) => {
            entry.code = code_of(&body);
            json(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST), body, &id)
        }
    }
}

enum Trouble {
    Refused(Refusal),
    Engine(u16, String),
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

async fn run(
    world: &World,
    call: Call,
    entry: &mut Entry,
) -> Result<(String, Option<Cut>), Trouble> {
    let operation = operation_of(&call.head.headers);
    if let Some(operation) = &operation {
        entry.operation.clone_from(operation);
    }
    let body = read_body(call.body).await?;
    let hash = sha256_hex(&body);
    let facts = crate::sigv4::Facts::of(&call.head, PathRule::Twice);
    let verified =
        let_in(world, &facts, (&call.endpoint, Payload::Here(&hash), Protocol::Json), entry)?;
    let unknown = || Refusal::new(400, "UnknownOperationException", "");
    if call.head.method != http::Method::POST || facts.path != "/" {
        return Err(unknown().into());
    }
    let operation = operation.ok_or_else(unknown)?;
    let cut =
        admit(world, &verified.principal, ("dynamodb", &operation, Protocol::Json), entry).await?;
    let body = std::str::from_utf8(&body)
        .ok()
        .filter(|body| is_json(body))
        .ok_or_else(|| Refusal::new(400, "SerializationException", ""))?;
    let account =
        call.endpoint.account.as_ref().filter(|account| **account != verified.principal.account);
    if account.is_some() {
        return Err(Refusal::new(
            400,
            "AccessDeniedException",
            "The endpoint belongs to another account",
        )
        .into());
    }
    let place = Place::new(&verified.principal.account, &verified.claim.region);
    let engine = world.tables.of(&place.account, &place.region);
    let engine =
        engine.map_err(|error| Refusal::new(500, "InternalServerError", format!("{error:#}")))?;
    let body = names::plain(body, &place)?;
    let outcome = dispatch::run(&engine, &operation, &place.inward(&operation, &body));
    match outcome.ok_or_else(unknown)? {
        Ok(answer) => Ok((place.outward(&operation, answer), cut)),
        Err(error) => {
            let (status, text) = dispatch::on_the_wire(&operation, error);
            Err(Trouble::Engine(status, text.replace(&place.engine_prefix(), &place.prefix)))
        }
    }
}

async fn read_body(body: Incoming) -> Result<bytes::Bytes, Refusal> {
    let read = Limited::new(body, BODY_LIMIT).collect().await;
    read.map(http_body_util::Collected::to_bytes).map_err(|_| {
        Refusal::new(
            413,
            "RequestEntityTooLargeException",
            "The request is larger than 16 MB, or broke off",
        )
    })
}

/// The operation of the `X-Amz-Target` header, when its prefix and its name belong together.
fn operation_of(headers: &HeaderMap) -> Option<String> {
    let target = headers.get("x-amz-target")?.to_str().ok()?;
    let (prefix, operation) = target.split_once('.')?;
    let of_streams = match prefix {
        "DynamoDB_20120810" => false,
        "DynamoDBStreams_20120810" => true,
        _ => return None,
    };
    (dispatch::is_of_streams(operation) == of_streams).then(|| operation.to_owned())
}

fn is_json(body: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok()
}

fn code_of(body: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let kind = value.get("__type").and_then(serde_json::Value::as_str).unwrap_or_default();
    kind.rsplit('#').next().unwrap_or_default().to_owned()
}

/// An account and a region, and how its ARNs begin.
struct Place {
    account: String,
    region: String,
    prefix: String,
}

impl Place {
    fn new(account: &str, region: &str) -> Self {
        let partition = match region {
            cn if cn.starts_with("cn-") => "aws-cn",
            gov if gov.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        };
        let prefix = format!("arn:{partition}:dynamodb:{region}:{account}:");
        Self { account: account.to_owned(), region: region.to_owned(), prefix }
    }

    fn engine_prefix(&self) -> String {
        format!("arn:aws:dynamodb:{LOCAL_REGION}:{LOCAL_ACCOUNT}:")
    }

    /// ARNs of here become the engine's. Calls about items are left alone: what looks like an
    /// ARN may be data there.
    fn inward(&self, operation: &str, body: &str) -> String {
        if names_arns(operation) {
            body.replace(&self.prefix, &self.engine_prefix())
        } else {
            body.to_owned()
        }
    }

    fn outward(&self, operation: &str, answer: String) -> String {
        let answer = if names_arns(operation) {
            answer.replace(&self.engine_prefix(), &self.prefix)
        } else {
            answer
        };
        if operation != "GetRecords" {
            return answer;
        }
        // Attributes are objects, so a bare text under this name is the record's own.
        answer.replace(
            &format!(r#""awsRegion":"{LOCAL_REGION}""#),
            &format!(r#""awsRegion":"{}""#, self.region),
        )
    }
}

fn names_arns(operation: &str) -> bool {
    dispatch::is_of_streams(operation)
        || matches!(
            operation,
            "CreateTable"
                | "DeleteTable"
                | "DescribeTable"
                | "UpdateTable"
                | "DescribeTimeToLive"
                | "UpdateTimeToLive"
                | "TagResource"
                | "UntagResource"
                | "ListTagsOfResource"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_and_tables_are_told_apart_by_their_target() {
        for (target, wanted) in [
            ("DynamoDB_20120810.PutItem", Some("PutItem")),
            ("DynamoDBStreams_20120810.GetRecords", Some("GetRecords")),
            ("DynamoDB_20120810.GetRecords", None),
            ("DynamoDBStreams_20120810.PutItem", None),
            ("Other_1.PutItem", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("x-amz-target", target.parse().unwrap());
            assert_eq!(operation_of(&headers).as_deref(), wanted, "{target}");
        }
    }

    #[test]
    fn arns_are_of_the_callers_account_and_region() {
        let place = Place::new("111122223333", "cn-north-1");
        let answer = format!(r#"{{"TableArn":"{}table/t"}}"#, place.engine_prefix());
        assert_eq!(
            place.outward("DescribeTable", answer),
            r#"{"TableArn":"arn:aws-cn:dynamodb:cn-north-1:111122223333:table/t"}"#
        );
    }
}
