//! Bucket, key and operation of an S3 request, best effort, for people and the audit.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html>.

use http::request::Parts;

use crate::query;

/// What an S3 request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The operation's name as in the API reference, or `Unknown`.
    pub operation: &'static str,
    /// The bucket.
    pub bucket: Option<String>,
    /// The object's key, percent-decoded.
    pub key: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Account,
    Bucket,
    Object,
}

use Level::{Account, Bucket, Object as Key};

/// Method, level and the query's parameters that tell the operation; the first that fits counts.
static BY_PARAMETER: &[(&str, Level, &str, &str)] = &[
    ("GET", Bucket, "list-type", "ListObjectsV2"),
    ("GET", Bucket, "versions", "ListObjectVersions"),
    ("GET", Bucket, "uploads", "ListMultipartUploads"),
    ("GET", Bucket, "location", "GetBucketLocation"),
    ("GET", Bucket, "session", "CreateSession"),
    ("POST", Bucket, "delete", "DeleteObjects"),
    ("GET", Bucket, "policyStatus", "GetBucketPolicyStatus"),
    ("GET", Bucket, "policy", "GetBucketPolicy"),
    ("PUT", Bucket, "policy", "PutBucketPolicy"),
    ("DELETE", Bucket, "policy", "DeleteBucketPolicy"),
    ("GET", Bucket, "acl", "GetBucketAcl"),
    ("PUT", Bucket, "acl", "PutBucketAcl"),
    ("GET", Bucket, "cors", "GetBucketCors"),
    ("PUT", Bucket, "cors", "PutBucketCors"),
    ("DELETE", Bucket, "cors", "DeleteBucketCors"),
    ("GET", Bucket, "tagging", "GetBucketTagging"),
    ("PUT", Bucket, "tagging", "PutBucketTagging"),
    ("DELETE", Bucket, "tagging", "DeleteBucketTagging"),
    ("GET", Bucket, "versioning", "GetBucketVersioning"),
    ("PUT", Bucket, "versioning", "PutBucketVersioning"),
    ("GET", Bucket, "lifecycle", "GetBucketLifecycleConfiguration"),
    ("PUT", Bucket, "lifecycle", "PutBucketLifecycleConfiguration"),
    ("DELETE", Bucket, "lifecycle", "DeleteBucketLifecycle"),
    ("GET", Bucket, "encryption", "GetBucketEncryption"),
    ("PUT", Bucket, "encryption", "PutBucketEncryption"),
    ("DELETE", Bucket, "encryption", "DeleteBucketEncryption"),
    ("GET", Bucket, "notification", "GetBucketNotificationConfiguration"),
    ("PUT", Bucket, "notification", "PutBucketNotificationConfiguration"),
    ("GET", Bucket, "logging", "GetBucketLogging"),
    ("PUT", Bucket, "logging", "PutBucketLogging"),
    ("GET", Bucket, "replication", "GetBucketReplication"),
    ("PUT", Bucket, "replication", "PutBucketReplication"),
    ("DELETE", Bucket, "replication", "DeleteBucketReplication"),
    ("GET", Bucket, "website", "GetBucketWebsite"),
    ("PUT", Bucket, "website", "PutBucketWebsite"),
    ("DELETE", Bucket, "website", "DeleteBucketWebsite"),
    ("GET", Bucket, "publicAccessBlock", "GetPublicAccessBlock"),
    ("PUT", Bucket, "publicAccessBlock", "PutPublicAccessBlock"),
    ("DELETE", Bucket, "publicAccessBlock", "DeletePublicAccessBlock"),
    ("GET", Bucket, "ownershipControls", "GetBucketOwnershipControls"),
    ("PUT", Bucket, "ownershipControls", "PutBucketOwnershipControls"),
    ("DELETE", Bucket, "ownershipControls", "DeleteBucketOwnershipControls"),
    ("GET", Bucket, "object-lock", "GetObjectLockConfiguration"),
    ("PUT", Bucket, "object-lock", "PutObjectLockConfiguration"),
    ("GET", Bucket, "analytics&id", "GetBucketAnalyticsConfiguration"),
    ("GET", Bucket, "analytics", "ListBucketAnalyticsConfigurations"),
    ("PUT", Bucket, "analytics", "PutBucketAnalyticsConfiguration"),
    ("DELETE", Bucket, "analytics", "DeleteBucketAnalyticsConfiguration"),
    ("GET", Bucket, "intelligent-tiering&id", "GetBucketIntelligentTieringConfiguration"),
    ("GET", Bucket, "intelligent-tiering", "ListBucketIntelligentTieringConfigurations"),
    ("PUT", Bucket, "intelligent-tiering", "PutBucketIntelligentTieringConfiguration"),
    ("DELETE", Bucket, "intelligent-tiering", "DeleteBucketIntelligentTieringConfiguration"),
    ("GET", Bucket, "inventory&id", "GetBucketInventoryConfiguration"),
    ("GET", Bucket, "inventory", "ListBucketInventoryConfigurations"),
    ("PUT", Bucket, "inventory", "PutBucketInventoryConfiguration"),
    ("DELETE", Bucket, "inventory", "DeleteBucketInventoryConfiguration"),
    ("GET", Bucket, "metrics&id", "GetBucketMetricsConfiguration"),
    ("GET", Bucket, "metrics", "ListBucketMetricsConfigurations"),
    ("PUT", Bucket, "metrics", "PutBucketMetricsConfiguration"),
    ("DELETE", Bucket, "metrics", "DeleteBucketMetricsConfiguration"),
    ("POST", Bucket, "metadataConfiguration", "CreateBucketMetadataConfiguration"),
    ("POST", Bucket, "metadataTable", "CreateBucketMetadataTableConfiguration"),
    ("GET", Bucket, "metadataConfiguration", "GetBucketMetadataConfiguration"),
    ("GET", Bucket, "metadataTable", "GetBucketMetadataTableConfiguration"),
    ("DELETE", Bucket, "metadataConfiguration", "DeleteBucketMetadataConfiguration"),
    ("DELETE", Bucket, "metadataTable", "DeleteBucketMetadataTableConfiguration"),
    ("PUT", Bucket, "metadataAnnotationTable", "UpdateBucketMetadataAnnotationTableConfiguration"),
    ("PUT", Bucket, "metadataInventoryTable", "UpdateBucketMetadataInventoryTableConfiguration"),
    ("PUT", Bucket, "metadataJournalTable", "UpdateBucketMetadataJournalTableConfiguration"),
    ("GET", Bucket, "abac", "GetBucketAbac"),
    ("GET", Bucket, "accelerate", "GetBucketAccelerateConfiguration"),
    ("GET", Bucket, "requestPayment", "GetBucketRequestPayment"),
    ("PUT", Bucket, "abac", "PutBucketAbac"),
    ("PUT", Bucket, "accelerate", "PutBucketAccelerateConfiguration"),
    ("PUT", Bucket, "requestPayment", "PutBucketRequestPayment"),
    ("GET", Key, "annotation&annotationName", "GetObjectAnnotation"),
    ("GET", Key, "annotation", "ListObjectAnnotations"),
    ("PUT", Key, "annotation", "PutObjectAnnotation"),
    ("DELETE", Key, "annotation", "DeleteObjectAnnotation"),
    ("PUT", Key, "encryption", "UpdateObjectEncryption"),
    ("POST", Key, "uploads", "CreateMultipartUpload"),
    ("PUT", Key, "partNumber", "UploadPart"),
    ("POST", Key, "uploadId", "CompleteMultipartUpload"),
    ("DELETE", Key, "uploadId", "AbortMultipartUpload"),
    ("GET", Key, "uploadId", "ListParts"),
    ("POST", Key, "select", "SelectObjectContent"),
    ("POST", Key, "restore", "RestoreObject"),
    ("GET", Key, "attributes", "GetObjectAttributes"),
    ("GET", Key, "acl", "GetObjectAcl"),
    ("PUT", Key, "acl", "PutObjectAcl"),
    ("GET", Key, "tagging", "GetObjectTagging"),
    ("PUT", Key, "tagging", "PutObjectTagging"),
    ("DELETE", Key, "tagging", "DeleteObjectTagging"),
    ("GET", Key, "retention", "GetObjectRetention"),
    ("PUT", Key, "retention", "PutObjectRetention"),
    ("GET", Key, "legal-hold", "GetObjectLegalHold"),
    ("PUT", Key, "legal-hold", "PutObjectLegalHold"),
    ("GET", Key, "torrent", "GetObjectTorrent"),
    ("PUT", Key, "renameObject", "RenameObject"),
];

/// Without a telling parameter.
static PLAIN: &[(&str, Level, &str)] = &[
    ("GET", Account, "ListBuckets"),
    ("GET", Bucket, "ListObjects"),
    ("HEAD", Bucket, "HeadBucket"),
    ("PUT", Bucket, "CreateBucket"),
    ("DELETE", Bucket, "DeleteBucket"),
    ("POST", Bucket, "PostObject"),
    ("GET", Key, "GetObject"),
    ("HEAD", Key, "HeadObject"),
    ("PUT", Key, "PutObject"),
    ("DELETE", Key, "DeleteObject"),
    ("OPTIONS", Key, "OptionsObject"),
];

/// Reads method, path, query and the copy-source header. `bucket` is the one that the host names, if it names one.
pub fn read(parts: &Parts, bucket: Option<&str>) -> Object {
    let path = parts.uri.path();
    let path = path.strip_prefix('/').unwrap_or(path);
    let (bucket, key) = match bucket {
        Some(bucket) => (Some(bucket.to_owned()), path),
        None => {
            let (first, rest) = path.split_once('/').unwrap_or((path, ""));
            (Some(query::decode_path(first)).filter(|name| !name.is_empty()), rest)
        }
    };
    if bucket.as_deref() == Some(RESPONSE) {
        return Object { operation: RESPONSE, bucket: None, key: None };
    }
    let key = (!key.is_empty()).then(|| query::decode_path(key));
    let level = match (&bucket, &key) {
        (_, Some(_)) => Key,
        (Some(_), None) => Bucket,
        (None, None) => Account,
    };
    Object { operation: operation(parts, level), bucket, key }
}

/// A path of S3 Object Lambda, and no bucket's name: those are lower case.
const RESPONSE: &str = "WriteGetObjectResponse";

fn operation(parts: &Parts, level: Level) -> &'static str {
    let method = parts.method.as_str();
    let has = |name: &str| {
        query::pairs(parts.uri.query().unwrap_or_default()).any(|pair| pair.is_named(name))
    };
    let told = BY_PARAMETER
        .iter()
        .find(|(m, l, told, _)| *m == method && *l == level && told.split('&').all(has));
    let plain = PLAIN.iter().find(|(m, l, _)| *m == method && *l == level);
    let name = told.map(|row| row.3).or(plain.map(|row| row.2)).unwrap_or("Unknown");
    let copies = parts.headers.contains_key("x-amz-copy-source") || has("x-amz-copy-source");
    match name {
        "PutObject" if copies => "CopyObject",
        "UploadPart" if copies => "UploadPartCopy",
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::read;

    #[test]
    fn method_path_and_query_tell_the_operation() {
        for (method, uri, host_bucket, operation, bucket, key) in [
            ("GET", "/", None, "ListBuckets", None, None),
            ("GET", "/?x-id=ListBuckets", None, "ListBuckets", None, None),
            ("GET", "/b?list-type=2&prefix=x", None, "ListObjectsV2", Some("b"), None),
            ("GET", "/b/?list-type=2", None, "ListObjectsV2", Some("b"), None),
            ("GET", "/b", None, "ListObjects", Some("b"), None),
            ("GET", "/?location", Some("b.c"), "GetBucketLocation", Some("b.c"), None),
            ("PUT", "/b", None, "CreateBucket", Some("b"), None),
            ("HEAD", "/b", None, "HeadBucket", Some("b"), None),
            ("POST", "/b?delete", None, "DeleteObjects", Some("b"), None),
            ("GET", "/b?metrics", None, "ListBucketMetricsConfigurations", Some("b"), None),
            ("GET", "/b?metrics&id=x", None, "GetBucketMetricsConfiguration", Some("b"), None),
            ("POST", "/WriteGetObjectResponse", None, "WriteGetObjectResponse", None, None),
            ("GET", "/?session", Some("b"), "CreateSession", Some("b"), None),
            ("GET", "/b/a/b%20c", None, "GetObject", Some("b"), Some("a/b c")),
            ("GET", "/a//b/../c", Some("b"), "GetObject", Some("b"), Some("a//b/../c")),
            ("HEAD", "/b/k", None, "HeadObject", Some("b"), Some("k")),
            ("PUT", "/b/k?x-id=PutObject", None, "PutObject", Some("b"), Some("k")),
            ("POST", "/b/k?uploads", None, "CreateMultipartUpload", Some("b"), Some("k")),
            ("PUT", "/b/k?partNumber=1&uploadId=u", None, "UploadPart", Some("b"), Some("k")),
            ("POST", "/b/k?uploadId=u", None, "CompleteMultipartUpload", Some("b"), Some("k")),
            ("DELETE", "/b/k?uploadId=u", None, "AbortMultipartUpload", Some("b"), Some("k")),
            ("DELETE", "/b/k", None, "DeleteObject", Some("b"), Some("k")),
            ("PUT", "/b/k?X-Amz-Copy-Source=c%2Fk", None, "CopyObject", Some("b"), Some("k")),
            ("PATCH", "/b/k", None, "Unknown", Some("b"), Some("k")),
        ] {
            let parts = Request::builder().method(method).uri(uri).body(()).unwrap().into_parts().0;
            let found = read(&parts, host_bucket);
            assert_eq!(
                (found.operation, found.bucket.as_deref(), found.key.as_deref()),
                (operation, bucket, key),
                "{method} {uri}"
            );
        }
    }

    #[test]
    fn a_copy_is_told_by_its_header() {
        let request =
            Request::put("/b/k?partNumber=1&uploadId=u").header("x-amz-copy-source", "c/k");
        let parts = request.body(()).unwrap().into_parts().0;
        assert_eq!(read(&parts, None).operation, "UploadPartCopy");
    }
}
