//! Multipart uploads. Parts stay the files they came as: the object is a list of them.

use http::{Response, StatusCode, header};
use hyper::body::Incoming;

use crate::answer::{Body, Refusal, escape, text_value};
use crate::chance;

use super::objects::{kept_headers, store};
use super::shelf::{Object, ObjectFacts, Part, Upload};
use super::{Request, intake};

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// All parts but the last have at least 5 MiB.
const LEAST_PART: u64 = 5 * 1024 * 1024;

pub(super) fn create(request: &Request<'_>) -> Result<Response<Body>, Refusal> {
    let bucket = request.bucket()?;
    let id = chance::name();
    let upload = Upload {
        bucket: bucket.to_owned(),
        key: request.key().to_owned(),
        headers: kept_headers(request),
        started: request.world.now(),
        parts: std::collections::BTreeMap::new(),
    };
    request.shelf.change(|held| {
        held.uploads.insert(id.clone(), upload);
        Ok(())
    })?;
    let mut answer = request.xml(&format!(
        "<InitiateMultipartUploadResult xmlns=\"{NAMESPACE}\"><Bucket>{bucket}</Bucket><Key>{}</Key>\
         <UploadId>{id}</UploadId></InitiateMultipartUploadResult>",
        escape(request.key())
    ));
    for name in ["x-amz-checksum-algorithm", "x-amz-checksum-type"] {
        if let Some(value) = request.facts.header(name) {
            answer.headers_mut().insert(name, text_value(value));
        }
    }
    Ok(answer)
}

/// The upload that a request names.
pub(super) fn find(request: &Request<'_>) -> Result<(String, Upload), Refusal> {
    let bucket = request.bucket()?;
    let id = request.facts.parameter("uploadId").unwrap_or_default();
    let found = request.shelf.read(|held| held.uploads.get(&id).cloned());
    let upload = found.filter(|upload| upload.bucket == bucket && upload.key == request.key());
    Ok((id, upload.ok_or_else(no_such_upload)?))
}

fn no_such_upload() -> Refusal {
    let text = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.";
    Refusal::new(404, "NoSuchUpload", text)
}

/// The ETag of a part.
pub(super) fn etag_of(part: &Part) -> String {
    hex::encode(part.md5)
}

pub(super) async fn upload_part(
    request: &Request<'_>,
    body: Incoming,
) -> Result<Response<Body>, Refusal> {
    let (id, _) = find(request)?;
    let number = request.facts.parameter("partNumber").and_then(|text| text.parse::<u32>().ok());
    let number = number.filter(|number| (1..=10_000).contains(number)).ok_or_else(|| {
        Refusal::new(
            400,
            "InvalidArgument",
            "Part number must be an integer between 1 and 10000, inclusive",
        )
    })?;
    let received = intake::large(request, body).await?;
    let part = Part { blob: received.blob, md5: received.md5, modified: request.world.now() };
    let etag = etag_of(&part);
    request.shelf.change(|held| {
        let Some(upload) = held.uploads.get_mut(&id) else {
            part.blob.discard();
            return Err(no_such_upload());
        };
        if let Some(before) = upload.parts.insert(number, part) {
            before.blob.discard();
        }
        Ok(())
    })?;
    let mut answer = request.bare(StatusCode::OK);
    answer.headers_mut().insert(header::ETAG, text_value(&format!("\"{etag}\"")));
    if let Some((name, value)) = received.checksum
        && let Ok(name) = http::HeaderName::from_bytes(name.as_bytes())
    {
        answer.headers_mut().insert(name, text_value(&value));
    }
    Ok(answer)
}

pub(super) fn complete(request: &Request<'_>, body: &[u8]) -> Result<Response<Body>, Refusal> {
    let (id, upload) = find(request)?;
    let chosen = choose(body, &upload)?;
    let mut sum = md5::Context::new();
    for part in &chosen {
        sum.consume(part.md5);
    }
    let etag = format!("{}-{}", hex::encode(sum.compute().0), chosen.len());
    let facts = ObjectFacts {
        etag: etag.clone(),
        modified: request.world.now(),
        headers: upload.headers.clone(),
        checksum: None,
    };
    let object = Object { pieces: chosen.iter().map(|part| part.blob.clone()).collect(), facts };
    store(request, (&upload.bucket, &upload.key), object.clone(), false)?;
    request.shelf.change(|held| {
        if let Some(upload) = held.uploads.remove(&id) {
            let used = |part: &Part| object.pieces.iter().any(|piece| piece.path == part.blob.path);
            upload.parts.values().filter(|part| !used(part)).for_each(|part| part.blob.discard());
        }
        Ok(())
    })?;
    Ok(request.xml(&format!(
        "<CompleteMultipartUploadResult xmlns=\"{NAMESPACE}\"><Location>/{}/{}</Location><Bucket>{}</Bucket><Key>{}</Key>\
         <ETag>&quot;{etag}&quot;</ETag></CompleteMultipartUploadResult>",
        upload.bucket,
        escape(&upload.key),
        upload.bucket,
        escape(&upload.key)
    )))
}

/// The parts that the request lists, checked against those that came.
fn choose(body: &[u8], upload: &Upload) -> Result<Vec<Part>, Refusal> {
    let malformed = || {
        Refusal::new(
            400,
            "MalformedXML",
            "The XML you provided was not well-formed or did not validate against our published schema",
        )
    };
    let text = std::str::from_utf8(body).map_err(|_| malformed())?;
    let document = roxmltree::Document::parse(text).map_err(|_| malformed())?;
    let mut chosen = Vec::new();
    let mut last = 0;
    for node in document.descendants().filter(|node| node.tag_name().name() == "Part") {
        let child = |name: &str| {
            node.children()
                .find(|child| child.tag_name().name() == name)
                .and_then(|child| child.text())
        };
        let number: u32 =
            child("PartNumber").and_then(|text| text.parse().ok()).ok_or_else(malformed)?;
        let etag = child("ETag").ok_or_else(malformed)?.trim_matches('"');
        if number <= last {
            let text = "The list of parts was not in ascending order. Parts must be ordered by part number.";
            return Err(Refusal::new(400, "InvalidPartOrder", text));
        }
        last = number;
        let part = upload.parts.get(&number).filter(|part| etag_of(part) == etag).ok_or_else(|| {
            let text = "One or more of the specified parts could not be found. The part may not have been uploaded, \
                or the specified entity tag may not match the part's entity tag.";
            Refusal::new(400, "InvalidPart", text).with("PartNumber", number.to_string())
        })?;
        chosen.push(part.clone());
    }
    let all_but_last = chosen.split_last().map(|(_, others)| others).ok_or_else(malformed)?;
    if all_but_last.iter().any(|part| part.blob.length < LEAST_PART) {
        let text = "Your proposed upload is smaller than the minimum allowed size";
        return Err(Refusal::new(400, "EntityTooSmall", text));
    }
    Ok(chosen)
}

pub(super) fn abort(request: &Request<'_>) -> Result<Response<Body>, Refusal> {
    let (id, _) = find(request)?;
    request.shelf.change(|held| {
        if let Some(upload) = held.uploads.remove(&id) {
            upload.parts.values().for_each(|part| part.blob.discard());
        }
        Ok(())
    })?;
    Ok(request.bare(StatusCode::NO_CONTENT))
}
