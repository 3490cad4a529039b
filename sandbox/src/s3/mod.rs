//! A small S3: buckets, objects, ranges, listings and multipart uploads, path style and virtual
//! host. Bodies go to files as they come and are never held in memory.
//!
//! No versions, no ACLs, no policies, no lifecycle: what is not here answers `NotImplemented`.

pub mod buckets;
pub mod checksum;
pub mod intake;
pub mod listing;
pub mod multipart;
pub mod objects;
pub mod route;
pub mod shelf;

pub use shelf::Shelf;

use http::{HeaderValue, Method, Response, StatusCode, header};

use crate::answer::{Body, Protocol, Refusal, full, refuse, rest};
use crate::chance;
use crate::door::{Call, admit, let_in, mark};
use crate::journal::Entry;
use crate::sigv4::{Facts, PathRule, Payload, Verified};
use crate::world::World;
use route::{Act, Target};

/// A request to S3 whose signature holds.
struct Request<'a> {
    shelf: &'a Shelf,
    target: &'a Target,
    facts: &'a Facts,
    verified: &'a Verified,
    world: &'a World,
    request_id: &'a str,
}

impl Request<'_> {
    /// An answer with XML in it.
    fn xml(&self, text: &str) -> Response<Body> {
        let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{text}");
        let mut answer = rest(StatusCode::OK, full(text), self.request_id);
        answer
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        answer
    }

    /// An answer without a body.
    fn bare(&self, status: StatusCode) -> Response<Body> {
        rest(status, full(bytes::Bytes::new()), self.request_id)
    }

    /// The bucket of the request, if the caller may touch it.
    fn bucket(&self) -> Result<&str, Refusal> {
        let name = self.target.bucket.as_deref().unwrap_or_default();
        self.shelf.reach(name, &self.verified.principal.account, &self.verified.claim.region)?;
        Ok(name)
    }

    /// The key of the request.
    fn key(&self) -> &str {
        self.target.key.as_deref().unwrap_or_default()
    }
}

/// Answers one request to S3.
pub async fn answer(world: &World, call: Call, entry: &mut Entry) -> Response<Body> {
    entry.request_id = chance::s3_request_id();
    let id = entry.request_id.clone();
    let head_only = call.head.method == Method::HEAD;
    let answer = run(world, call, entry).await.unwrap_or_else(|refusal| {
        entry.code.clone_from(&refusal.code);
        refused(&refusal, &id)
    });
    if head_only { answer.map(|_| full(bytes::Bytes::new())) } else { answer }
}

fn refused(refusal: &Refusal, id: &str) -> Response<Body> {
    let mut answer = refuse(Protocol::Rest, refusal, id);
    let region = refusal.details.iter().find(|(name, _)| *name == "Region");
    if let Some((_, region)) = region {
        answer.headers_mut().insert("x-amz-bucket-region", crate::answer::text_value(region));
    }
    answer
}

async fn run(world: &World, call: Call, entry: &mut Entry) -> Result<Response<Body>, Refusal> {
    let facts = Facts::of(&call.head, PathRule::Once);
    let target = Target::of(&facts, call.endpoint.bucket.as_deref());
    let act = Act::of(&facts, &target);
    entry.operation = act.map(Act::name).unwrap_or_default().to_owned();
    let verified = let_in(world, &facts, (&call.endpoint, Payload::ToCome, Protocol::Rest), entry)?;
    let act = act.ok_or_else(|| {
        Refusal::new(
            501,
            "NotImplemented",
            "A header or a parameter you provided implies functionality that is not implemented",
        )
    })?;
    let cut = admit(world, &verified.principal, ("s3", act.name(), Protocol::Rest), entry).await?;
    let request = Request {
        shelf: &world.objects,
        target: &target,
        facts: &facts,
        verified: &verified,
        world,
        request_id: &entry.request_id,
    };
    let answer = match act {
        Act::PutObject => objects::put(&request, call.body).await?,
        Act::UploadPart => multipart::upload_part(&request, call.body).await?,
        _ => {
            let body = intake::small(&request, call.body).await?;
            with_small_body(&request, act, &body)?
        }
    };
    Ok(mark(answer, cut))
}

fn with_small_body(
    request: &Request<'_>,
    act: Act,
    body: &[u8],
) -> Result<Response<Body>, Refusal> {
    match act {
        Act::ListBuckets => Ok(buckets::list(request)),
        Act::CreateBucket => buckets::create(request, body),
        Act::HeadBucket => buckets::head(request),
        Act::DeleteBucket => buckets::delete(request),
        Act::GetBucketLocation => buckets::location(request),
        Act::ListObjectsV2 => listing::objects(request),
        Act::ListMultipartUploads => listing::uploads(request),
        Act::DeleteObjects => objects::delete_many(request, body),
        Act::GetObject | Act::HeadObject => objects::get(request),
        Act::DeleteObject => objects::delete(request),
        Act::CopyObject => objects::copy(request),
        Act::CreateMultipartUpload => multipart::create(request),
        Act::CompleteMultipartUpload => multipart::complete(request, body),
        Act::AbortMultipartUpload => multipart::abort(request),
        Act::ListParts => listing::parts(request),
        Act::PutObject | Act::UploadPart => {
            Err(Refusal::new(500, "InternalError", "an upload lost its body"))
        }
    }
}

/// A time as S3's XML has it.
fn iso(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

/// A time as HTTP has it.
fn http_date(at: jiff::Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
