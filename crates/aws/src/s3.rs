//! Bucket, key and operation of an S3 request, best effort, for people and the audit.

use http::Method;

/// What an S3 request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The operation's name as in the API reference, or the method if unknown.
    pub operation: &'static str,
    /// The bucket.
    pub bucket: Option<String>,
    /// The object's key, percent-decoded.
    pub key: Option<String>,
}

/// Reads method, path and query. `bucket` is the one that the host names, if it names one.
pub fn read(method: &Method, path: &str, query: Option<&str>, bucket: Option<&str>) -> Object {
    let _ = (method, path, query, bucket);
    unimplemented!()
}
