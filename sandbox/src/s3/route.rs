//! From method, path and query to one of the operations of S3.

use crate::sigv4::Facts;
use crate::sigv4::canonical::{decode, pairs};

/// The operations that are here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "AWS's own names")]
pub enum Act {
    ListBuckets,
    CreateBucket,
    HeadBucket,
    DeleteBucket,
    GetBucketLocation,
    ListObjectsV2,
    ListMultipartUploads,
    DeleteObjects,
    PutObject,
    GetObject,
    HeadObject,
    DeleteObject,
    CopyObject,
    CreateMultipartUpload,
    UploadPart,
    CompleteMultipartUpload,
    AbortMultipartUpload,
    ListParts,
}

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// The bucket.
    pub bucket: Option<String>,
    /// The key, decoded.
    pub key: Option<String>,
}

impl Target {
    /// The target of a request; the bucket may stand in the host.
    pub fn of(facts: &Facts, in_host: Option<&str>) -> Self {
        let path = facts.path.strip_prefix('/').unwrap_or(&facts.path);
        let text = |raw: &str| {
            let text = String::from_utf8_lossy(&decode(raw)).into_owned();
            (!text.is_empty()).then_some(text)
        };
        match in_host {
            Some(bucket) => Self { bucket: Some(bucket.to_owned()), key: text(path) },
            None => {
                let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
                Self { bucket: text(bucket), key: text(key) }
            }
        }
    }
}

/// Parameters that choose another operation than the plain one.
const SUBRESOURCES: [&str; 24] = [
    "accelerate",
    "acl",
    "analytics",
    "attributes",
    "cors",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "tagging",
    "website",
];

impl Act {
    /// AWS's name of the operation.
    pub fn name(self) -> &'static str {
        match self {
            Self::ListBuckets => "ListBuckets",
            Self::CreateBucket => "CreateBucket",
            Self::HeadBucket => "HeadBucket",
            Self::DeleteBucket => "DeleteBucket",
            Self::GetBucketLocation => "GetBucketLocation",
            Self::ListObjectsV2 => "ListObjectsV2",
            Self::ListMultipartUploads => "ListMultipartUploads",
            Self::DeleteObjects => "DeleteObjects",
            Self::PutObject => "PutObject",
            Self::GetObject => "GetObject",
            Self::HeadObject => "HeadObject",
            Self::DeleteObject => "DeleteObject",
            Self::CopyObject => "CopyObject",
            Self::CreateMultipartUpload => "CreateMultipartUpload",
            Self::UploadPart => "UploadPart",
            Self::CompleteMultipartUpload => "CompleteMultipartUpload",
            Self::AbortMultipartUpload => "AbortMultipartUpload",
            Self::ListParts => "ListParts",
        }
    }

    /// The operation of a request, if it is one of those that are here.
    pub fn of(facts: &Facts, target: &Target) -> Option<Self> {
        let names: Vec<String> = pairs(&facts.query).into_iter().map(|(name, _)| name).collect();
        let has = |name: &str| names.iter().any(|given| given == name);
        if SUBRESOURCES.iter().any(|name| has(name))
            || has("versionId")
            || has("versions")
            || has("versioning")
        {
            return None;
        }
        let copies = facts.headers.contains_key("x-amz-copy-source");
        let method = facts.method.as_str();
        match (&target.bucket, &target.key) {
            (None, _) => (method == "GET").then_some(Self::ListBuckets),
            (Some(_), None) => match method {
                "PUT" => Some(Self::CreateBucket),
                "HEAD" => Some(Self::HeadBucket),
                "DELETE" => Some(Self::DeleteBucket),
                "GET" if has("location") => Some(Self::GetBucketLocation),
                "GET" if has("uploads") => Some(Self::ListMultipartUploads),
                "GET" if has("list-type") => Some(Self::ListObjectsV2),
                "POST" if has("delete") => Some(Self::DeleteObjects),
                _ => None,
            },
            (Some(_), Some(_)) => match (method, has("uploadId")) {
                ("PUT", true) if has("partNumber") && !copies => Some(Self::UploadPart),
                ("PUT", false) if copies => Some(Self::CopyObject),
                ("PUT", false) => Some(Self::PutObject),
                ("GET", true) => Some(Self::ListParts),
                ("GET", false) => Some(Self::GetObject),
                ("HEAD", false) => Some(Self::HeadObject),
                ("DELETE", true) => Some(Self::AbortMultipartUpload),
                ("DELETE", false) => Some(Self::DeleteObject),
                ("POST", true) => Some(Self::CompleteMultipartUpload),
                ("POST", false) if has("uploads") => Some(Self::CreateMultipartUpload),
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::sigv4::PathRule;

    fn read(method: &str, uri: &str, in_host: Option<&str>) -> (Option<Act>, Target) {
        let (head, ()) = Request::builder().method(method).uri(uri).body(()).unwrap().into_parts();
        let facts = Facts::of(&head, PathRule::Once);
        let target = Target::of(&facts, in_host);
        (Act::of(&facts, &target), target)
    }

    #[test]
    fn operations_are_told_by_method_path_and_query() {
        for (method, uri, wanted) in [
            ("GET", "/", Some(Act::ListBuckets)),
            ("PUT", "/photos", Some(Act::CreateBucket)),
            ("PUT", "/photos/", Some(Act::CreateBucket)),
            ("HEAD", "/photos", Some(Act::HeadBucket)),
            ("GET", "/photos?list-type=2&prefix=a", Some(Act::ListObjectsV2)),
            ("GET", "/photos?location", Some(Act::GetBucketLocation)),
            ("GET", "/photos?policy", None),
            ("PUT", "/photos/a/b", Some(Act::PutObject)),
            ("PUT", "/photos/a?partNumber=1&uploadId=x", Some(Act::UploadPart)),
            ("POST", "/photos/a?uploads", Some(Act::CreateMultipartUpload)),
            ("POST", "/photos/a?uploadId=x", Some(Act::CompleteMultipartUpload)),
            ("DELETE", "/photos/a?uploadId=x", Some(Act::AbortMultipartUpload)),
            ("GET", "/photos/a?acl", None),
            ("PATCH", "/photos/a", None),
        ] {
            assert_eq!(read(method, uri, None).0, wanted, "{method} {uri}");
        }
    }

    #[test]
    fn bucket_and_key_come_from_path_or_host() {
        let (_, target) = read("GET", "/photos/a%20b/%C3%BC", None);
        assert_eq!(
            target,
            Target { bucket: Some("photos".to_owned()), key: Some("a b/ü".to_owned()) }
        );
        let (_, target) = read("GET", "/photos/a", Some("other"));
        assert_eq!(
            target,
            Target { bucket: Some("other".to_owned()), key: Some("photos/a".to_owned()) }
        );
    }
}
