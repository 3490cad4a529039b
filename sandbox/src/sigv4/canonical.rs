//! The canonical form of a request: the text whose hash is signed.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use std::fmt::Write as _;

use http::HeaderMap;

/// How a service canonicalizes the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathRule {
    /// S3: the path as it is meant, encoded once.
    Once,
    /// Everybody else: dot segments resolved, and the path as sent encoded once more.
    Twice,
}

/// The parts of a request that a signature covers, but for its payload.
#[derive(Debug, Clone)]
pub struct Facts {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path as it was sent, still encoded.
    pub path: String,
    /// The query as it was sent, still encoded, without `?`.
    pub query: String,
    /// The headers as they came.
    pub headers: HeaderMap,
    /// The host as the client named it, with its port.
    pub host: String,
    /// How this service writes paths.
    pub path_rule: PathRule,
}

impl Facts {
    /// Reads the facts out of the head of a request.
    pub fn of(head: &http::request::Parts, path_rule: PathRule) -> Self {
        Self {
            method: head.method.as_str().to_owned(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            headers: head.headers.clone(),
            host: host_of(head),
            path_rule,
        }
    }

    /// The value of a header in canonical form: each value trimmed, runs of spaces made one,
    /// several values joined by commas. `None` when the request has no such header.
    pub fn canonical_header(&self, name: &str) -> Option<String> {
        if name == "host" {
            return Some(self.host.clone());
        }
        let mut values = self.headers.get_all(name).iter().peekable();
        values.peek()?;
        let texts: Vec<String> =
            values.map(|value| squeeze(&String::from_utf8_lossy(value.as_bytes()))).collect();
        Some(texts.join(","))
    }

    /// The one value of a header, as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The value of a query parameter, decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        pairs(&self.query).into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The canonical request: method, path, query, the signed headers and the payload's hash.
    pub fn canonical_request(&self, signed: &[String], payload_hash: &str) -> String {
        let mut text = String::with_capacity(512);
        let _ = writeln!(text, "{}", self.method);
        let _ = writeln!(text, "{}", canonical_path(&self.path, self.path_rule));
        let _ = writeln!(text, "{}", canonical_query(&self.query));
        for name in signed {
            let value = self.canonical_header(name).unwrap_or_default();
            let _ = writeln!(text, "{name}:{value}");
        }
        let _ = write!(text, "\n{}\n{payload_hash}", signed.join(";"));
        text
    }
}

/// The host that the client asked for: HTTP/2 carries it in the target, HTTP/1.1 in a header.
pub fn host_of(head: &http::request::Parts) -> String {
    let header = head.headers.get(http::header::HOST).and_then(|value| value.to_str().ok());
    let target = head.uri.authority().map(http::uri::Authority::as_str);
    header.or(target).unwrap_or_default().to_owned()
}

fn squeeze(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// The path in canonical form.
pub fn canonical_path(path: &str, rule: PathRule) -> String {
    let path = if path.is_empty() { "/" } else { path };
    match rule {
        PathRule::Once => encode(&decode(path), Slash::Keep),
        PathRule::Twice => encode(resolve_dots(path).as_bytes(), Slash::Keep),
    }
}

fn resolve_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    let slash = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    format!("/{}{slash}", kept.join("/"))
}

/// The query in canonical form: names and values encoded strictly, sorted, and without the
/// signature of the presigned form.
pub fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = raw_pairs(query)
        .map(|(name, value)| {
            (encode(&decode(name), Slash::Encode), encode(&decode(value), Slash::Encode))
        })
        .filter(|(name, _)| name != "X-Amz-Signature")
        .collect();
    pairs.sort();
    let texts: Vec<String> =
        pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    texts.join("&")
}

/// The parameters of a query, decoded, in their order.
pub fn pairs(query: &str) -> Vec<(String, String)> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    raw_pairs(query).map(|(name, value)| (text(decode(name)), text(decode(value)))).collect()
}

fn raw_pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| part.split_once('=').unwrap_or((part, "")))
}

/// What to do with a slash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slash {
    /// It separates segments.
    Keep,
    /// It is data.
    Encode,
}

/// Percent-encodes everything but the unreserved characters of RFC 3986.
pub fn encode(data: &[u8], slash: Slash) -> String {
    let mut text = String::with_capacity(data.len());
    for &byte in data {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        if plain || (byte == b'/' && slash == Slash::Keep) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// Undoes percent-encoding; what is no valid escape stays as it is.
pub fn decode(text: &str) -> Vec<u8> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let escape = (byte == b'%').then(|| (ahead.next(), ahead.next()));
        if let Some((Some(high), Some(low))) = escape
            && let (Some(high), Some(low)) = (nibble(high), nibble(low))
        {
            out.push(high * 16 + low);
            bytes = ahead;
        } else {
            out.push(byte);
        }
    }
    out
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_s3_are_encoded_once_and_others_twice() {
        for (path, once, twice) in [
            ("/", "/", "/"),
            ("", "/", "/"),
            ("/a%20b", "/a%20b", "/a%2520b"),
            ("/a/../b", "/a/../b", "/b"),
            ("/a//b", "/a//b", "/a/b"),
            ("/%C3%BC", "/%C3%BC", "/%25C3%25BC"),
            ("/a+b(c)", "/a%2Bb%28c%29", "/a%2Bb%28c%29"),
        ] {
            assert_eq!(canonical_path(path, PathRule::Once), once, "{path}");
            assert_eq!(canonical_path(path, PathRule::Twice), twice, "{path}");
        }
    }

    #[test]
    fn queries_are_sorted_and_strict() {
        for (query, wanted) in [
            ("", ""),
            ("b=2&a=1", "a=1&b=2"),
            ("acl", "acl="),
            ("a=2&a=1", "a=1&a=2"),
            ("k=a/b~c", "k=a%2Fb~c"),
            ("A=1&X-Amz-Signature=ab", "A=1"),
            ("p=100%", "p=100%25"),
        ] {
            assert_eq!(canonical_query(query), wanted, "{query}");
        }
    }

    #[test]
    fn broken_escapes_stay() {
        assert_eq!(decode("%zz%2"), b"%zz%2");
        assert_eq!(decode("%2F"), b"/");
    }
}
