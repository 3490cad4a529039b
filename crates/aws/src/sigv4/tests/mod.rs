//! Both directions against AWS's published vectors, against `aws-sigv4` as an oracle, and against tampering.

mod asymmetric;
mod many;
mod oracle;
mod signing;
mod tampering;
mod vectors;
mod verifying;

use std::collections::BTreeMap;
use std::time::SystemTime;

use aws_credential_types::Credentials as OracleCredentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode,
};
use aws_sigv4::sign::v4;
use http::Request;
use http::request::Parts;
use serde::Deserialize;

use super::{Credentials, Destination, Keys, PayloadHash, sign};
use crate::calendar::Stamp;
use crate::endpoint::Endpoint;

const ACCESS_KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn keys() -> Keys {
    keys_with(None)
}

fn keys_with(token: Option<&str>) -> Keys {
    Keys::new(Credentials {
        access_key_id: ACCESS_KEY.to_owned(),
        secret_access_key: SECRET.into(),
        session_token: token.map(Into::into),
    })
}

fn at(stamp: &str) -> SystemTime {
    Stamp::parse(stamp).unwrap().time()
}

fn now() -> SystemTime {
    at("20150830T123600Z")
}

#[derive(Deserialize)]
struct Vector {
    context: Context,
    header_signed_request: String,
    header_canonical_request: String,
    header_string_to_sign: String,
    query_signed_request: String,
    query_canonical_request: String,
    query_string_to_sign: String,
}

#[derive(Deserialize)]
struct Context {
    normalize: bool,
    #[serde(default)]
    omit_session_token: bool,
}

/// A request as text, split but not yet judged.
struct Raw<'a> {
    method: &'a str,
    path: &'a str,
    query: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    body: &'a str,
}

fn vectors() -> BTreeMap<String, Vector> {
    serde_json::from_str(include_str!("../../../tests/vectors/sigv4.json")).unwrap()
}

fn raw(text: &str) -> Raw<'_> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end_matches('\n'), ""));
    let mut lines = head.lines();
    let (method, rest) = lines.next().unwrap().split_once(' ').unwrap();
    let target = rest.rsplit_once(' ').unwrap().0;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = lines.map(|line| line.split_once(':').unwrap()).collect();
    Raw { method, path, query, headers, body }
}

impl Raw<'_> {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).unwrap().1
    }

    /// None if hyper would not let this request in.
    fn parts(&self) -> Option<Parts> {
        let mark = if self.query.is_empty() { "" } else { "?" };
        let mut request = Request::builder()
            .method(self.method)
            .uri(format!("{}{mark}{}", self.path, self.query));
        for (name, value) in &self.headers {
            request = request.header(*name, value.trim());
        }
        Some(request.body(()).ok()?.into_parts().0)
    }
}

/// Signs as an SDK would, by the oracle.
fn oracle(request: &Oracle<'_>, now: SystemTime, token: Option<&str>) -> Vec<(String, String)> {
    let credentials =
        OracleCredentials::new(ACCESS_KEY, SECRET, token.map(str::to_owned), None, "test");
    let identity = credentials.into();
    let mut settings = SigningSettings::default();
    settings.excluded_headers = None;
    if request.service == "s3" {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(request.region)
        .name(request.service)
        .time(now)
        .settings(settings)
        .build()
        .unwrap();
    let headers = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let signable =
        SignableRequest::new(request.method, request.uri.clone(), headers, request.body.clone())
            .unwrap();
    let (instructions, _) =
        aws_sigv4::http_request::sign(signable, &params.into()).unwrap().into_parts();
    instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

struct Oracle<'a> {
    method: &'a str,
    uri: String,
    headers: Vec<(String, String)>,
    body: SignableBody<'a>,
    service: &'a str,
    region: &'a str,
}

/// The request as it would arrive, signed by the oracle.
fn arrived(request: &Oracle<'_>, now: SystemTime) -> Parts {
    let uri: http::Uri = request.uri.parse().unwrap();
    let mut built = Request::builder()
        .method(request.method)
        .uri(uri.path_and_query().unwrap().as_str())
        .header("host", uri.authority().unwrap().as_str());
    for (name, value) in request.headers.iter().cloned().chain(oracle(request, now, None)) {
        built = built.header(name, value);
    }
    built.body(()).unwrap().into_parts().0
}

fn dynamodb_request(body: &[u8]) -> Parts {
    let request = Request::post("/")
        .header("host", "dynamodb.us-east-1.amazonaws.com")
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", "DynamoDB_20120810.GetItem");
    let parts = request.body(()).unwrap().into_parts().0;
    let endpoint = Endpoint::from_host("dynamodb.us-east-1.amazonaws.com").unwrap();
    let signed = sign(parts, &PayloadHash::of(body), &Destination::aws(endpoint), &keys(), now());
    let mut parts = signed.unwrap().into_parts();
    parts.uri = "/".parse().unwrap();
    parts
}

/// As it arrives at a server.
fn without_authority(mut parts: Parts) -> Parts {
    parts.uri = parts.uri.path_and_query().unwrap().as_str().parse().unwrap();
    parts
}
