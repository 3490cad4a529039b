//! `s3 ls`, `cp`, `mb`, `rm`: path style, one request each, bodies streamed.

use std::io::{Read as _, Write};
use std::path::Path;

use anyhow::Context as _;
use aws_lc_rs::digest;
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tokio::io::AsyncReadExt as _;

use super::Failure;
use super::command::Command;
use super::run::{Session, refused_in_xml, unfit};
use super::transport::Exchange;
use crate::answer::{Body, full};
use crate::sigv4::canonical::{Slash, encode};
use crate::sigv4::crypto::EMPTY_SHA256;

const PIECE: usize = 256 * 1024;

/// A bucket and a key, or a prefix.
#[derive(Debug, PartialEq, Eq)]
struct Place<'a> {
    bucket: &'a str,
    key: &'a str,
}

impl<'a> Place<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix("s3://")?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        (!bucket.is_empty()).then_some(Self { bucket, key })
    }

    fn path(&self) -> String {
        format!("/{}/{}", self.bucket, encode(self.key.as_bytes(), Slash::Keep))
    }
}

/// Runs one of the commands.
pub async fn run(
    session: &Session<'_>,
    command: &Command,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let places: Vec<&str> = command.places.iter().map(String::as_str).collect();
    match (command.verb.as_str(), places.as_slice()) {
        ("ls", []) => list_buckets(session, out).await,
        ("ls", [text]) => {
            let recursive = command.options.iter().any(|(name, _)| name == "recursive");
            let text =
                if text.starts_with("s3://") { (*text).to_owned() } else { format!("s3://{text}") };
            list(session, &place(&text)?, recursive, out).await
        }
        ("mb", [text]) => make_bucket(session, &place(text)?, out).await,
        ("rm", [text]) => {
            let place = place(text)?;
            plain(session, "DELETE", &place.path(), "DeleteObject").await?;
            say(out, &format!("delete: {text}"))
        }
        ("cp", [from, to]) => match (Place::read(from), Place::read(to)) {
            (None, Some(to)) => upload(session, Path::new(from), &to, out).await,
            (Some(from), None) => download(session, &from, Path::new(to), out).await,
            _ => Err(Failure::Usage("s3 cp copies between a file and s3://bucket/key".to_owned())),
        },
        _ => Err(Failure::Usage(
            "usage: awslite s3 ls [s3://b/p] | cp FROM TO | mb s3://b | rm s3://b/k".to_owned(),
        )),
    }
}

fn place(text: &str) -> Result<Place<'_>, Failure> {
    Place::read(text)
        .ok_or_else(|| Failure::Usage(format!("`{text}` is not of the form s3://bucket/key")))
}

fn say(out: &mut impl Write, line: &str) -> Result<(), Failure> {
    writeln!(out, "{line}").map_err(|error| Failure::File(error.into()))
}

async fn plain(
    session: &Session<'_>,
    method: &str,
    target: &str,
    operation: &str,
) -> Result<String, Failure> {
    let request = Request::builder().method(method).uri(format!("{}{target}", session.endpoint));
    let request = request.body(full(Bytes::new())).map_err(|error| unfit(&error))?;
    let exchange = session.call(request, EMPTY_SHA256, "s3").await?;
    finished(session, exchange, operation).await
}

async fn finished(
    session: &Session<'_>,
    exchange: Exchange,
    operation: &str,
) -> Result<String, Failure> {
    let (status, text) = session.text(exchange).await?;
    if status.is_success() { Ok(text) } else { Err(refused_in_xml(&text, status, operation)) }
}

async fn list_buckets(session: &Session<'_>, out: &mut impl Write) -> Result<(), Failure> {
    let text = plain(session, "GET", "/", "ListBuckets").await?;
    for [created, name] in rows(&text, "Bucket", ["CreationDate", "Name"])? {
        say(out, &format!("{} {name}", stamp(&created)))?;
    }
    Ok(())
}

async fn list(
    session: &Session<'_>,
    place: &Place<'_>,
    recursive: bool,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let delimiter = if recursive { "" } else { "&delimiter=%2F" };
    let mut token = String::new();
    loop {
        let prefix = encode(place.key.as_bytes(), Slash::Encode);
        let target = format!("/{}?list-type=2{delimiter}&prefix={prefix}{token}", place.bucket);
        let text = plain(session, "GET", &target, "ListObjectsV2").await?;
        for [prefix] in rows(&text, "CommonPrefixes", ["Prefix"])? {
            say(out, &format!("{:>30} {}", "PRE", base(&prefix, place.key, recursive)))?;
        }
        for [modified, size, key] in rows(&text, "Contents", ["LastModified", "Size", "Key"])? {
            say(
                out,
                &format!("{} {size:>10} {}", stamp(&modified), base(&key, place.key, recursive)),
            )?;
        }
        match rows(&text, "ListBucketResult", ["NextContinuationToken"])?.into_iter().next() {
            Some([next]) if !next.is_empty() => {
                token = format!("&continuation-token={}", encode(next.as_bytes(), Slash::Encode));
            }
            _ => return Ok(()),
        }
    }
}

fn base(key: &str, prefix: &str, recursive: bool) -> String {
    let cut = prefix.rfind('/').map_or(0, |at| at + 1);
    if recursive { key.to_owned() } else { key.get(cut..).unwrap_or(key).to_owned() }
}

fn stamp(iso: &str) -> String {
    iso.split('.').next().unwrap_or_default().replace('T', " ")
}

/// The texts of some children of all elements of a name.
fn rows<const N: usize>(
    text: &str,
    element: &str,
    children: [&str; N],
) -> Result<Vec<[String; N]>, Failure> {
    let document = roxmltree::Document::parse(text).map_err(|error| Failure::File(error.into()))?;
    let nodes = document.descendants().filter(|node| node.tag_name().name() == element);
    let child = |node: roxmltree::Node<'_, '_>, name: &str| {
        let found = node.children().find(|child| child.tag_name().name() == name);
        found.and_then(|child| child.text()).unwrap_or_default().to_owned()
    };
    Ok(nodes.map(|node| children.map(|name| child(node, name))).collect())
}

async fn make_bucket(
    session: &Session<'_>,
    place: &Place<'_>,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let body = match session.region.as_str() {
        "us-east-1" => String::new(),
        region => format!(
            "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>{region}\
             </LocationConstraint></CreateBucketConfiguration>"
        ),
    };
    let payload = crate::sigv4::crypto::sha256_hex(body.as_bytes());
    let request = Request::put(format!("{}/{}", session.endpoint, place.bucket)).body(full(body));
    let exchange = session.call(request.map_err(|error| unfit(&error))?, &payload, "s3").await?;
    finished(session, exchange, "CreateBucket").await?;
    say(out, &format!("make_bucket: {}", place.bucket))
}

async fn upload(
    session: &Session<'_>,
    from: &Path,
    to: &Place<'_>,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let name = from.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let key = if to.key.is_empty() || to.key.ends_with('/') {
        format!("{}{name}", to.key)
    } else {
        to.key.to_owned()
    };
    let place = Place { bucket: to.bucket, key: &key };
    let (payload, length) = hash_file(from).map_err(Failure::File)?;
    let file = tokio::fs::File::open(from).await.map_err(|error| Failure::File(error.into()))?;
    let request = Request::put(format!("{}{}", session.endpoint, place.path()))
        .header(header::CONTENT_LENGTH, length)
        .body(stream(file))
        .map_err(|error| unfit(&error))?;
    let exchange = session.call(request, &payload, "s3").await?;
    finished(session, exchange, "PutObject").await?;
    say(out, &format!("upload: {} to s3://{}/{key}", from.display(), to.bucket))
}

/// The payload's hash stands in the head of the request, so the file is read twice.
fn hash_file(path: &Path) -> anyhow::Result<(String, u64)> {
    let mut file =
        std::fs::File::open(path).with_context(|| format!("could not open {}", path.display()))?;
    let mut hash = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; PIECE];
    let mut length = 0;
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok((hex::encode(hash.finish()), length));
        }
        hash.update(buffer.get(..count).unwrap_or_default());
        length += count as u64;
    }
}

fn stream(file: tokio::fs::File) -> Body {
    let frames = futures_util::stream::unfold(file, |mut file| async move {
        let mut data = Vec::with_capacity(PIECE);
        match file.read_buf(&mut data).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(Frame::data(Bytes::from(data))), file)),
            Err(error) => Some((Err(error), file)),
        }
    });
    StreamBody::new(frames).boxed_unsync()
}

async fn download(
    session: &Session<'_>,
    from: &Place<'_>,
    to: &Path,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let request =
        Request::get(format!("{}{}", session.endpoint, from.path())).body(full(Bytes::new()));
    let exchange =
        session.call(request.map_err(|error| unfit(&error))?, EMPTY_SHA256, "s3").await?;
    if !exchange.response.status().is_success() {
        finished(session, exchange, "GetObject").await?;
        return Ok(());
    }
    let Exchange { response, driver } = exchange;
    // Ends with this function, and not before the body has been read.
    let _driver = driver;
    let mut body = response.into_body();
    if to.as_os_str() == "-" {
        return write_body(&mut body, out, session).await;
    }
    let name = from.key.rsplit('/').next().unwrap_or_default();
    let path = if to.is_dir() { to.join(name) } else { to.to_owned() };
    let mut file = std::fs::File::create(&path)
        .with_context(|| format!("could not write {}", path.display()))
        .map_err(Failure::File)?;
    write_body(&mut body, &mut file, session).await?;
    say(out, &format!("download: s3://{}/{} to {}", from.bucket, from.key, path.display()))
}

async fn write_body(
    body: &mut hyper::body::Incoming,
    out: &mut impl Write,
    session: &Session<'_>,
) -> Result<(), Failure> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failure::Connect {
            url: session.endpoint.clone(),
            cause: error.into(),
        })?;
        if let Ok(data) = frame.into_data() {
            out.write_all(&data).map_err(|error| Failure::File(error.into()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bucket_and_key() {
        assert_eq!(Place::read("s3://b"), Some(Place { bucket: "b", key: "" }));
        assert_eq!(Place::read("s3://b/k/l"), Some(Place { bucket: "b", key: "k/l" }));
        assert_eq!(Place::read("b/k"), None);
        assert_eq!(Place::read("s3:///k"), None);
        assert_eq!(Place::read("s3://b/a b").unwrap().path(), "/b/a%20b");
    }
}
