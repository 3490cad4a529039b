//! The canonical request, for both directions.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>, "Create a
//! canonical request"; for S3 <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>.

use std::borrow::Cow;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};

use super::payload::{PayloadHash, hex64, is_s3, sha256};
use super::scope::Scope;
use crate::calendar::Stamp;
use crate::query;

/// How a service treats paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathStyle {
    /// S3: the path segment by segment as it is, with what no client should have left unencoded encoded.
    AsIs,
    /// Everything else: dot segments and double slashes removed, then encoded once more.
    Normalized,
}

impl PathStyle {
    /// The style of the service with this signing name.
    pub(crate) fn of(signing_name: &str) -> Self {
        if is_s3(signing_name) { Self::AsIs } else { Self::Normalized }
    }
}

/// What is signed. `host` stands for the `Host` header.
pub(crate) struct Canonical<'a> {
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) style: PathStyle,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) host: &'a [u8],
    /// Lower case, sorted, separated by semicolons.
    pub(crate) signed_headers: &'a str,
    pub(crate) payload: PayloadHash,
}

impl<'a> Canonical<'a> {
    /// Of a request, with what else is signed of it.
    pub(crate) fn of(
        parts: &'a Parts,
        scope: &Scope,
        (host, signed_headers): (&'a [u8], &'a str),
        payload: PayloadHash,
    ) -> Self {
        Self {
            method: &parts.method,
            path: parts.uri.path(),
            query: parts.uri.query().unwrap_or_default(),
            style: PathStyle::of(scope.service()),
            headers: &parts.headers,
            host,
            signed_headers,
            payload,
        }
    }

    /// The canonical request.
    pub(crate) fn request(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        out.extend_from_slice(self.method.as_str().as_bytes());
        out.push(b'\n');
        out.extend_from_slice(canonical_path(self.path, self.style).as_bytes());
        out.push(b'\n');
        write_query(self.query, &mut out);
        out.push(b'\n');
        for name in self.signed_headers.split(';') {
            self.write_header(name, &mut out);
        }
        out.push(b'\n');
        out.extend_from_slice(self.signed_headers.as_bytes());
        out.push(b'\n');
        self.payload.write(&mut out);
        out
    }

    /// The string to sign: algorithm, time, scope and the hash of the canonical request.
    pub(crate) fn string_to_sign(&self, stamp: &Stamp, scope: &Scope) -> String {
        let hash = hex64(&sha256(&self.request()));
        // Hex is ASCII, so the default is never used.
        let hash = std::str::from_utf8(&hash).unwrap_or_default();
        let algorithm = scope.algorithm().name();
        format!("{algorithm}\n{}\n{scope}\n{hash}", stamp.as_str())
    }

    fn write_header(&self, name: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        let mut values = self.headers.get_all(name).iter().map(HeaderValue::as_bytes);
        let first = if name == "host" { self.host } else { values.next().unwrap_or_default() };
        write_value(first, out);
        for value in values.filter(|_| name != "host") {
            out.push(b',');
            write_value(value, out);
        }
        out.push(b'\n');
    }
}

/// Trims spaces at both ends and makes one of several in a row.
fn write_value(value: &[u8], out: &mut Vec<u8>) {
    let at_an_end = value.first() == Some(&b' ') || value.last() == Some(&b' ');
    if !at_an_end && !value.windows(2).any(|pair| pair == b"  ") {
        out.extend_from_slice(value);
        return;
    }
    let mut pending = false;
    let mut started = false;
    for byte in value {
        if *byte == b' ' {
            pending = started;
            continue;
        }
        if pending {
            out.push(b' ');
            pending = false;
        }
        out.push(*byte);
        started = true;
    }
}

fn canonical_path(path: &str, style: PathStyle) -> Cow<'_, str> {
    match style {
        _ if path.is_empty() || path == "/" => Cow::Borrowed("/"),
        PathStyle::AsIs => query::encode_rest_of_path(path),
        PathStyle::Normalized if !path.contains("/.") && !path.contains("//") => {
            query::encode_path(path)
        }
        PathStyle::Normalized => {
            Cow::Owned(query::encode_path(&without_dot_segments(path)).into_owned())
        }
    }
}

/// RFC 3986 section 5.2.4, and double slashes removed.
fn without_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    let directory = ["/", "/.", "/.."].iter().any(|end| path.ends_with(end));
    let mut out = format!("/{}", kept.join("/"));
    if directory && !out.ends_with('/') {
        out.push('/');
    }
    out
}

/// Sorted by encoded name, then by encoded value; a presigned request's signature is left out.
fn write_query(text: &str, out: &mut Vec<u8>) {
    if text.is_empty() {
        return;
    }
    let mut pairs: Vec<(String, String)> = query::pairs(text)
        .filter(|pair| pair.name.as_ref() != b"X-Amz-Signature")
        .map(|pair| {
            (query::encode(&pair.name).into_owned(), query::encode(&pair.value).into_owned())
        })
        .collect();
    pairs.sort_unstable();
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            out.push(b'&');
        }
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        out.extend_from_slice(value.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::{PathStyle, canonical_path, write_query, write_value};

    #[test]
    fn paths_follow_the_service() {
        for (path, normalized) in [
            ("", "/"),
            ("/", "/"),
            ("//", "/"),
            ("/./", "/"),
            ("/example/..", "/"),
            ("/example1/example2/../..", "/"),
            ("/a//b/", "/a/b/"),
            ("/a/./b", "/a/b"),
            ("/a/.b/c.", "/a/.b/c."),
            ("/../a", "/a"),
            ("/a%20b", "/a%2520b"),
            ("/a=b:c", "/a%3Db%3Ac"),
        ] {
            assert_eq!(canonical_path(path, PathStyle::Normalized), normalized, "{path}");
        }
        for (path, as_is) in [
            ("", "/"),
            ("//a//../b/%2F%2f/%25", "//a//../b/%2F%2f/%25"),
            ("/a+b=(c)", "/a%2Bb%3D%28c%29"),
        ] {
            assert_eq!(canonical_path(path, PathStyle::AsIs), as_is, "{path}");
        }
    }

    #[test]
    fn queries_are_sorted_after_encoding() {
        for (query, expected) in [
            ("", ""),
            ("b=2&a=1", "a=1&b=2"),
            ("a=2&a=1&a", "a=&a=1&a=2"),
            ("a=%7E&b=%2f+", "a=~&b=%2F%20"),
            ("X-Amz-Signature=abc&list-type=2", "list-type=2"),
            ("uploads", "uploads="),
            ("a-=1&a=2", "a=2&a-=1"),
        ] {
            let mut out = Vec::new();
            write_query(query, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{query}");
        }
    }

    #[test]
    fn values_lose_needless_spaces() {
        for (value, expected) in [
            ("  a   b  c ", "a b c"),
            ("", ""),
            ("   ", ""),
            ("\"a  b\"", "\"a b\""),
            ("a\t b", "a\t b"),
        ] {
            let mut out = Vec::new();
            write_value(value.as_bytes(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{value}");
        }
    }
}
