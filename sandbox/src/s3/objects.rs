//! Objects: put, get with ranges and conditions, head, delete, copy.

use std::collections::BTreeMap;
use std::io::SeekFrom;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::answer::{Body, Refusal, escape, full, rest, text_value};
use crate::sigv4::canonical::decode;

use super::shelf::{Blob, Object, ObjectFacts, no_such_bucket};
use super::{Request, http_date, intake, iso};

/// Reads from files are this large.
const PIECE: u64 = 256 * 1024;

/// Headers that are kept with an object and come back with it.
const KEPT: [&str; 6] = [
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
];

/// The headers of a request that its object keeps.
pub(super) fn kept_headers(request: &Request<'_>) -> BTreeMap<String, String> {
    let mut kept = BTreeMap::new();
    for (name, value) in &request.facts.headers {
        let name = name.as_str();
        if !KEPT.contains(&name) && !name.starts_with("x-amz-meta-") {
            continue;
        }
        let mut text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        if name == "content-encoding" {
            // The framing of the upload is not a property of the object.
            let left: Vec<&str> =
                text.split(',').map(str::trim).filter(|one| *one != "aws-chunked").collect();
            text = left.join(",");
        }
        if !text.is_empty() {
            kept.insert(name.to_owned(), text);
        }
    }
    kept.entry("content-type".to_owned()).or_insert_with(|| "binary/octet-stream".to_owned());
    kept
}

pub(super) async fn put(request: &Request<'_>, body: Incoming) -> Result<Response<Body>, Refusal> {
    let bucket = request.bucket()?;
    check_key(request.key())?;
    let received = intake::large(request, body).await?;
    let etag = hex::encode(received.md5);
    let facts = ObjectFacts {
        etag: etag.clone(),
        modified: request.world.now(),
        headers: kept_headers(request),
        checksum: received.checksum.clone(),
    };
    let object = Object { pieces: vec![received.blob], facts };
    let only_new = request.facts.header("if-none-match") == Some("*");
    store(request, (bucket, request.key()), object, only_new)?;
    let mut answer = request.bare(StatusCode::OK);
    answer.headers_mut().insert(header::ETAG, text_value(&format!("\"{etag}\"")));
    add_checksum(&mut answer, received.checksum.as_ref());
    Ok(answer)
}

/// Puts an object into its bucket; the one before it goes.
pub(super) fn store(
    request: &Request<'_>,
    (bucket, key): (&str, &str),
    object: Object,
    only_new: bool,
) -> Result<(), Refusal> {
    request.shelf.change(|held| {
        let home = held.buckets.get_mut(bucket).ok_or_else(|| no_such_bucket(bucket))?;
        if only_new && home.objects.contains_key(key) {
            object.discard();
            return Err(precondition("If-None-Match"));
        }
        if let Some(before) = home.objects.insert(key.to_owned(), object) {
            before.discard();
        }
        Ok(())
    })
}

fn check_key(key: &str) -> Result<(), Refusal> {
    if key.len() > 1024 {
        return Err(Refusal::new(400, "KeyTooLongError", "Your key is too long"));
    }
    Ok(())
}

fn find(request: &Request<'_>) -> Result<Object, Refusal> {
    let (bucket, key) = (request.bucket()?, request.key());
    let found = request.shelf.read(|held| held.buckets.get(bucket)?.objects.get(key).cloned());
    found.ok_or_else(|| {
        Refusal::new(404, "NoSuchKey", "The specified key does not exist.").with("Key", key)
    })
}

pub(super) fn get(request: &Request<'_>) -> Result<Response<Body>, Refusal> {
    let object = find(request)?;
    if let Some(answer) = condition(request, &object)? {
        return Ok(answer);
    }
    let whole = object.length();
    let range = match request.facts.header("range") {
        None => None,
        Some(text) => read_range(text, whole)?,
    };
    let (start, length) = range.unwrap_or((0, whole));
    let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let body = if request.facts.method == "HEAD" {
        full(Bytes::new())
    } else {
        stream(object.pieces.clone(), start, length)
    };
    let mut answer = rest(status, body, request.request_id);
    describe(&mut answer, &object, length);
    let headers = answer.headers_mut();
    if range.is_some() {
        let text = format!("bytes {start}-{}/{whole}", start + length - 1);
        headers.insert(header::CONTENT_RANGE, text_value(&text));
    } else if request
        .facts
        .header("x-amz-checksum-mode")
        .is_some_and(|mode| mode.eq_ignore_ascii_case("enabled"))
    {
        add_checksum(&mut answer, object.facts.checksum.as_ref());
    }
    Ok(answer)
}

fn describe(answer: &mut Response<Body>, object: &Object, length: u64) {
    let headers = answer.headers_mut();
    for (name, value) in &object.facts.headers {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value.as_bytes()))
        {
            headers.insert(name, value);
        }
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::ETAG, text_value(&format!("\"{}\"", object.facts.etag)));
    headers.insert(header::LAST_MODIFIED, text_value(&http_date(object.facts.modified)));
}

fn add_checksum(answer: &mut Response<Body>, checksum: Option<&(String, String)>) {
    let Some((name, value)) = checksum else { return };
    if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
        answer.headers_mut().insert(name, text_value(value));
        answer.headers_mut().insert("x-amz-checksum-type", HeaderValue::from_static("FULL_OBJECT"));
    }
}

/// `If-Match` and `If-None-Match`.
fn condition(request: &Request<'_>, object: &Object) -> Result<Option<Response<Body>>, Refusal> {
    let matches = |text: &str| {
        text.split(',')
            .any(|one| one.trim() == "*" || one.trim().trim_matches('"') == object.facts.etag)
    };
    if request.facts.header("if-match").is_some_and(|text| !matches(text)) {
        return Err(precondition("If-Match"));
    }
    if request.facts.header("if-none-match").is_some_and(matches) {
        let mut answer = request.bare(StatusCode::NOT_MODIFIED);
        answer
            .headers_mut()
            .insert(header::ETAG, text_value(&format!("\"{}\"", object.facts.etag)));
        return Ok(Some(answer));
    }
    Ok(None)
}

fn precondition(which: &str) -> Refusal {
    Refusal::new(
        412,
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold",
    )
    .with("Condition", which)
}

/// One range of bytes as start and length. What is not understood counts as no range, as HTTP
/// wants it.
fn read_range(text: &str, whole: u64) -> Result<Option<(u64, u64)>, Refusal> {
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|spec| spec.split_once('-'))
    else {
        return Ok(None);
    };
    let refused = || {
        Refusal::new(416, "InvalidRange", "The requested range is not satisfiable")
            .with("RangeRequested", text)
            .with("ActualObjectSize", whole.to_string())
    };
    let (start, end) = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(start), Ok(end)) if start <= end => (start, end.saturating_add(1).min(whole)),
        (Ok(start), Err(_)) if last.is_empty() => (start, whole),
        (Err(_), Ok(count)) if first.is_empty() && count > 0 => {
            (whole.saturating_sub(count), whole)
        }
        _ => return Ok(None),
    };
    if start >= end { Err(refused()) } else { Ok(Some((start, end - start))) }
}

/// A position in a list of pieces.
struct Reader {
    pieces: std::vec::IntoIter<Arc<Blob>>,
    open: Option<(tokio::fs::File, Arc<Blob>, u64)>,
    skip: u64,
    left: u64,
}

impl Reader {
    async fn next(&mut self) -> Option<std::io::Result<Bytes>> {
        if self.left == 0 {
            return None;
        }
        match self.read().await {
            Ok(data) => {
                self.left -= data.len() as u64;
                Some(Ok(data))
            }
            Err(error) => {
                self.left = 0;
                Some(Err(error))
            }
        }
    }

    async fn read(&mut self) -> std::io::Result<Bytes> {
        let (mut file, blob, rest) = match self.open.take() {
            Some(open) => open,
            None => self.open_next().await?,
        };
        let want = PIECE.min(rest).min(self.left);
        let mut data = vec![0; usize::try_from(want).unwrap_or_default()];
        file.read_exact(&mut data).await?;
        if rest > want {
            self.open = Some((file, blob, rest - want));
        }
        Ok(data.into())
    }

    async fn open_next(&mut self) -> std::io::Result<(tokio::fs::File, Arc<Blob>, u64)> {
        loop {
            let blob = self.pieces.next().ok_or(std::io::ErrorKind::UnexpectedEof)?;
            if blob.length <= self.skip {
                self.skip -= blob.length;
                continue;
            }
            let mut file = tokio::fs::File::open(&blob.path).await?;
            file.set_max_buf_size(usize::try_from(PIECE).unwrap_or_default());
            file.seek(SeekFrom::Start(self.skip)).await?;
            let rest = blob.length - self.skip;
            self.skip = 0;
            return Ok((file, blob, rest));
        }
    }
}

fn stream(pieces: Vec<Arc<Blob>>, start: u64, length: u64) -> Body {
    let reader = Reader { pieces: pieces.into_iter(), open: None, skip: start, left: length };
    let frames = futures_util::stream::unfold(reader, |mut reader| async move {
        let data = reader.next().await?;
        Some((data.map(Frame::data), reader))
    });
    StreamBody::new(frames).boxed_unsync()
}

pub(super) fn delete(request: &Request<'_>) -> Result<Response<Body>, Refusal> {
    let bucket = request.bucket()?;
    remove(request, bucket, request.key())?;
    Ok(request.bare(StatusCode::NO_CONTENT))
}

fn remove(request: &Request<'_>, bucket: &str, key: &str) -> Result<(), Refusal> {
    request.shelf.change(|held| {
        let home = held.buckets.get_mut(bucket).ok_or_else(|| no_such_bucket(bucket))?;
        if let Some(object) = home.objects.remove(key) {
            object.discard();
        }
        Ok(())
    })
}

pub(super) fn delete_many(request: &Request<'_>, body: &[u8]) -> Result<Response<Body>, Refusal> {
    let bucket = request.bucket()?;
    let text = std::str::from_utf8(body).unwrap_or_default();
    let document = roxmltree::Document::parse(text).map_err(|_| {
        Refusal::new(400, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")
    })?;
    let keys: Vec<&str> = document
        .descendants()
        .filter(|node| node.has_tag_name("Key") || node.tag_name().name() == "Key")
        .filter_map(|node| node.text())
        .collect();
    let quiet = document
        .descendants()
        .any(|node| node.tag_name().name() == "Quiet" && node.text() == Some("true"));
    let mut told = String::new();
    for key in keys {
        remove(request, bucket, key)?;
        if !quiet {
            told.push_str(&format!("<Deleted><Key>{}</Key></Deleted>", escape(key)));
        }
    }
    Ok(request.xml(&format!(
        "<DeleteResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{told}</DeleteResult>"
    )))
}

pub(super) fn copy(request: &Request<'_>) -> Result<Response<Body>, Refusal> {
    let bucket = request.bucket()?;
    let source = request.facts.header("x-amz-copy-source").unwrap_or_default();
    let source = String::from_utf8_lossy(&decode(source)).into_owned();
    let invalid = || {
        Refusal::new(
            400,
            "InvalidArgument",
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
        )
    };
    let (from, key) = source.trim_start_matches('/').split_once('/').ok_or_else(invalid)?;
    request.shelf.reach(
        from,
        &request.verified.principal.account,
        &request.verified.claim.region,
    )?;
    let found = request.shelf.read(|held| held.buckets.get(from)?.objects.get(key).cloned());
    let found = found.ok_or_else(|| {
        Refusal::new(404, "NoSuchKey", "The specified key does not exist.").with("Key", key)
    })?;
    let failed = |error: std::io::Error| Refusal::new(500, "InternalError", error.to_string());
    let mut pieces = Vec::new();
    for piece in &found.pieces {
        let path = request.shelf.new_path();
        // The contents never change, so a second name for the file is a copy of it.
        std::fs::hard_link(&piece.path, &path).map_err(failed)?;
        pieces.push(Blob::new(path, piece.length));
    }
    let mut facts = ObjectFacts { modified: request.world.now(), ..found.facts };
    if request.facts.header("x-amz-metadata-directive") == Some("REPLACE") {
        facts.headers = kept_headers(request);
    }
    let told = format!(
        "<CopyObjectResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LastModified>{}</LastModified>\
         <ETag>&quot;{}&quot;</ETag></CopyObjectResult>",
        iso(facts.modified),
        facts.etag
    );
    store(request, (bucket, request.key()), Object { pieces, facts }, false)?;
    Ok(request.xml(&told))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_http_has_them() {
        for (text, wanted) in [
            ("bytes=0-9", Some((0, 10))),
            ("bytes=90-", Some((90, 10))),
            ("bytes=-10", Some((90, 10))),
            ("bytes=-1000", Some((0, 100))),
            ("bytes=50-1000", Some((50, 50))),
            ("bytes=9-0", None),
            ("lines=0-1", None),
            ("bytes=a-b", None),
        ] {
            assert_eq!(read_range(text, 100).unwrap(), wanted, "{text}");
        }
        assert!(read_range("bytes=100-", 100).is_err());
        assert!(read_range("bytes=0-0", 0).is_err());
    }
}
