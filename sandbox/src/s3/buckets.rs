//! Buckets: list, create, head, delete.

use http::{HeaderValue, Response, StatusCode, header};

use crate::answer::{Body, Refusal, escape, text_value};

use super::shelf::{Bucket, no_such_bucket};
use super::{Request, iso};

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

pub(super) fn list(request: &Request<'_>) -> Response<Body> {
    let account = &request.verified.principal.account;
    let buckets: String = request.shelf.read(|held| {
        let own = held.buckets.iter().filter(|(_, bucket)| bucket.account == *account);
        own.map(|(name, bucket)| {
            format!(
                "<Bucket><Name>{}</Name><CreationDate>{}</CreationDate><BucketRegion>{}</BucketRegion></Bucket>",
                escape(name),
                iso(bucket.created),
                bucket.region
            )
        })
        .collect()
    });
    request.xml(&format!(
        "<ListAllMyBucketsResult xmlns=\"{NAMESPACE}\"><Owner><ID>{account}</ID></Owner>\
         <Buckets>{buckets}</Buckets></ListAllMyBucketsResult>"
    ))
}

pub(super) fn create(request: &Request<'_>, body: &[u8]) -> Result<Response<Body>, Refusal> {
    let name = request.target.bucket.as_deref().unwrap_or_default();
    if !is_bucket_name(name) {
        return Err(Refusal::new(400, "InvalidBucketName", "The specified bucket is not valid.")
            .with("BucketName", name));
    }
    let signed_for = &request.verified.claim.region;
    let region = match constraint(body)? {
        None if signed_for == "us-east-1" => signed_for.clone(),
        Some(region) if region == *signed_for && region != "us-east-1" => region,
        found => {
            let text = format!(
                "The {} location constraint is incompatible for the region specific endpoint this request was sent to.",
                found.as_deref().unwrap_or("unspecified")
            );
            return Err(Refusal::new(400, "IllegalLocationConstraintException", text));
        }
    };
    let account = request.verified.principal.account.clone();
    let created = request.world.now();
    request.shelf.change(|held| {
        match held.buckets.get(name) {
            Some(bucket) if bucket.account != account => {
                return Err(Refusal::new(409, "BucketAlreadyExists", "The requested bucket name is not available."));
            }
            Some(_) if region != "us-east-1" => {
                let text = "Your previous request to create the named bucket succeeded and you already own it.";
                return Err(Refusal::new(409, "BucketAlreadyOwnedByYou", text).with("BucketName", name));
            }
            // In us-east-1 creating one's own bucket again is no error.
            Some(_) => {}
            None => {
                let objects = std::collections::BTreeMap::new();
                held.buckets.insert(name.to_owned(), Bucket { account, region, created, objects });
            }
        }
        Ok(())
    })?;
    let mut answer = request.bare(StatusCode::OK);
    answer.headers_mut().insert(header::LOCATION, text_value(&format!("/{name}")));
    Ok(answer)
}

fn constraint(body: &[u8]) -> Result<Option<String>, Refusal> {
    if body.is_empty() {
        return Ok(None);
    }
    let text = std::str::from_utf8(body).unwrap_or_default();
    let document = roxmltree::Document::parse(text).map_err(|_| {
        Refusal::new(400, "MalformedXML", "The XML you provided was not well-formed")
    })?;
    let found = document.descendants().find(|node| node.tag_name().name() == "LocationConstraint");
    Ok(found.and_then(|node| node.text()).filter(|text| !text.is_empty()).map(str::to_owned))
}

/// AWS's rules for names, as far as they are about letters.
fn is_bucket_name(name: &str) -> bool {
    let plain = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.')
    };
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    (3..=63).contains(&name.len())
        && name.bytes().all(plain)
        && edge(name.bytes().next())
        && edge(name.bytes().next_back())
        && !name.contains("..")
        && name.parse::<std::net::Ipv4Addr>().is_err()
}

pub(super) fn head(request: &Request<'_>) -> Result<Response<Body>, Refusal> {
    request.bucket()?;
    let mut answer = request.bare(StatusCode::OK);
    answer.headers_mut().insert("x-amz-bucket-region", text_value(&request.verified.claim.region));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    Ok(answer)
}

pub(super) fn location(request: &Request<'_>) -> Result<Response<Body>, Refusal> {
    request.bucket()?;
    let region = &request.verified.claim.region;
    let text = if region == "us-east-1" { "" } else { region };
    Ok(request
        .xml(&format!("<LocationConstraint xmlns=\"{NAMESPACE}\">{text}</LocationConstraint>")))
}

pub(super) fn delete(request: &Request<'_>) -> Result<Response<Body>, Refusal> {
    let name = request.bucket()?;
    request.shelf.change(|held| {
        let bucket = held.buckets.get(name).ok_or_else(|| no_such_bucket(name))?;
        if !bucket.objects.is_empty() {
            return Err(Refusal::new(
                409,
                "BucketNotEmpty",
                "The bucket you tried to delete is not empty",
            )
            .with("BucketName", name));
        }
        held.buckets.remove(name);
        Ok(())
    })?;
    Ok(request.bare(StatusCode::NO_CONTENT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_follow_the_rules() {
        for (name, wanted) in [
            ("photos", true),
            ("my.photos-1", true),
            ("ab", false),
            ("Photos", false),
            ("a_b", false),
            ("-ab", false),
            ("a..b", false),
            ("192.168.0.1", false),
            ("_sandbox", false),
        ] {
            assert_eq!(is_bucket_name(name), wanted, "{name}");
        }
    }
}
