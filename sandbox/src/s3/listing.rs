//! Listings: objects with prefix, delimiter and pages; uploads; parts.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use http::Response;

use crate::answer::{Body, Refusal, escape};
use crate::sigv4::canonical::{Slash, encode};

use super::multipart::{etag_of, find};
use super::shelf::{Bucket, no_such_bucket};
use super::{Request, iso};

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// What `ListObjectsV2` was asked for.
struct Question {
    prefix: String,
    delimiter: String,
    after: String,
    most: usize,
    encoded: bool,
}

/// One page of a listing.
#[derive(Default)]
struct Page {
    keys: Vec<String>,
    prefixes: BTreeSet<String>,
    last: String,
    more: bool,
}

impl Question {
    fn read(request: &Request<'_>) -> Result<Self, Refusal> {
        let one = |name: &str| request.facts.parameter(name).unwrap_or_default();
        let most = match one("max-keys").as_str() {
            "" => 1000,
            text => text.parse::<usize>().map_err(|_| {
                Refusal::new(
                    400,
                    "InvalidArgument",
                    "Provided max-keys not an integer or within integer range",
                )
            })?,
        };
        let after = match request.facts.parameter("continuation-token") {
            None => one("start-after"),
            Some(token) => {
                let text = URL_SAFE.decode(token).ok().and_then(|raw| String::from_utf8(raw).ok());
                text.ok_or_else(|| {
                    Refusal::new(
                        400,
                        "InvalidArgument",
                        "The continuation token provided is incorrect",
                    )
                })?
            }
        };
        Ok(Self {
            prefix: one("prefix"),
            delimiter: one("delimiter"),
            after,
            most: most.min(1000),
            encoded: one("encoding-type") == "url",
        })
    }

    fn page(&self, bucket: &Bucket) -> Page {
        let mut page = Page::default();
        for key in bucket.objects.keys().filter(|key| key.starts_with(&self.prefix)) {
            let name = self.name_of(key);
            // A prefix that was the last of a page stands for all keys below it.
            if name.as_str() <= self.after.as_str() || page.prefixes.contains(&name) {
                continue;
            }
            if page.keys.len() + page.prefixes.len() == self.most {
                page.more = self.most > 0;
                break;
            }
            page.last.clone_from(&name);
            if name == *key {
                page.keys.push(name);
            } else {
                page.prefixes.insert(name);
            }
        }
        page
    }

    /// The key itself, or the common prefix that it is listed under.
    fn name_of(&self, key: &str) -> String {
        let rest = key.get(self.prefix.len()..).unwrap_or_default();
        match rest.find(&self.delimiter).filter(|_| !self.delimiter.is_empty()) {
            Some(at) => {
                format!("{}{}{}", self.prefix, rest.get(..at).unwrap_or_default(), self.delimiter)
            }
            None => key.to_owned(),
        }
    }

    fn show(&self, text: &str) -> String {
        if self.encoded { encode(text.as_bytes(), Slash::Keep) } else { escape(text) }
    }
}

pub(super) fn objects(request: &Request<'_>) -> Result<Response<Body>, Refusal> {
    let name = request.bucket()?;
    let question = Question::read(request)?;
    let text = request.shelf.read(|held| {
        let bucket = held.buckets.get(name).ok_or_else(|| no_such_bucket(name))?;
        Ok(list_result(name, bucket, &question))
    })?;
    Ok(request.xml(&text))
}

fn list_result(name: &str, bucket: &Bucket, question: &Question) -> String {
    let page = question.page(bucket);
    let contents: String = page
        .keys
        .iter()
        .filter_map(|key| Some((key, bucket.objects.get(key)?)))
        .map(|(key, object)| {
            format!(
                "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>&quot;{}&quot;</ETag><Size>{}</Size>\
                 <StorageClass>STANDARD</StorageClass></Contents>",
                question.show(key),
                iso(object.facts.modified),
                object.facts.etag,
                object.length()
            )
        })
        .collect();
    let prefixes: String = page
        .prefixes
        .iter()
        .map(|prefix| {
            format!("<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", question.show(prefix))
        })
        .collect();
    let next = if page.more {
        format!("<NextContinuationToken>{}</NextContinuationToken>", URL_SAFE.encode(&page.last))
    } else {
        String::new()
    };
    let delimiter = if question.delimiter.is_empty() {
        String::new()
    } else {
        format!("<Delimiter>{}</Delimiter>", question.show(&question.delimiter))
    };
    let encoding = if question.encoded { "<EncodingType>url</EncodingType>" } else { "" };
    format!(
        "<ListBucketResult xmlns=\"{NAMESPACE}\"><Name>{name}</Name><Prefix>{}</Prefix>{delimiter}<MaxKeys>{}</MaxKeys>\
         {encoding}<KeyCount>{}</KeyCount><IsTruncated>{}</IsTruncated>{next}{contents}{prefixes}</ListBucketResult>",
        question.show(&question.prefix),
        question.most,
        page.keys.len() + page.prefixes.len(),
        page.more
    )
}

pub(super) fn uploads(request: &Request<'_>) -> Result<Response<Body>, Refusal> {
    let name = request.bucket()?;
    let uploads: String = request.shelf.read(|held| {
        let own = held.uploads.iter().filter(|(_, upload)| upload.bucket == name);
        own.map(|(id, upload)| {
            format!(
                "<Upload><Key>{}</Key><UploadId>{id}</UploadId><Initiated>{}</Initiated></Upload>",
                escape(&upload.key),
                iso(upload.started)
            )
        })
        .collect()
    });
    Ok(request.xml(&format!(
        "<ListMultipartUploadsResult xmlns=\"{NAMESPACE}\"><Bucket>{name}</Bucket><IsTruncated>false</IsTruncated>{uploads}\
         </ListMultipartUploadsResult>"
    )))
}

pub(super) fn parts(request: &Request<'_>) -> Result<Response<Body>, Refusal> {
    let name = request.bucket()?;
    let (id, upload) = find(request)?;
    let parts: String = upload
        .parts
        .iter()
        .map(|(number, part)| {
            format!(
                "<Part><PartNumber>{number}</PartNumber><LastModified>{}</LastModified><ETag>&quot;{}&quot;</ETag><Size>{}</Size></Part>",
                iso(part.modified),
                etag_of(part),
                part.blob.length
            )
        })
        .collect();
    Ok(request.xml(&format!(
        "<ListPartsResult xmlns=\"{NAMESPACE}\"><Bucket>{name}</Bucket><Key>{}</Key><UploadId>{id}</UploadId>\
         <IsTruncated>false</IsTruncated>{parts}</ListPartsResult>",
        escape(&upload.key)
    )))
}
