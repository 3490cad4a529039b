//! The same calls, directly and through the cluster: byte-equal bodies, equal
//! status, equal `x-amzn-*` and `x-amz-*` headers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "a test that tells one story in one piece"
)]

use base64::Engine as _;
use regex::Regex;
use serde_json::Value;
use testkit::clients::{self, Road};
use testkit::cluster::Cluster;
use testkit::process::run;
use testkit::sandbox::Sandbox;

#[test]
fn two_hundred_calls_answer_the_same_directly_and_through_the_cluster() {
    // Two sandboxes, so that both runs begin with no table.
    let cluster = Cluster::start();
    let other = Cluster::start();
    let folder = tempfile::tempdir().unwrap();
    let direct = Sandbox::start(folder.path(), &[]);
    let environment = direct.environment();
    let expected = answers(Road::Direct(&environment));
    assert!(expected.len() >= 200, "{} calls", expected.len());
    let proxy = cluster.ready_tsh().proxy_aws(&[]);
    compare("HTTPS proxy", &expected, &answers(Road::HttpsProxy(&proxy)));
    let endpoint = other.ready_tsh().proxy_aws(&["--endpoint-url"]);
    compare("endpoint URL", &expected, &answers(Road::EndpointUrl(&endpoint)));
}

fn answers(road: Road<'_>) -> Vec<Value> {
    let said = run(clients::python(road, "corpus.py", &[]), "");
    said.ok().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn compare(road: &str, expected: &[Value], found: &[Value]) {
    assert_eq!(expected.len(), found.len(), "{road}");
    let masks = Masks::new();
    for (expected, found) in expected.iter().zip(found) {
        let what = format!("{road}: call {} {}", expected["number"], expected["operation"]);
        assert_eq!(expected["status"], found["status"], "{what}");
        let (body, masked) = masks.body(expected);
        let (other, _) = masks.body(found);
        assert_eq!(body, other, "{what}");
        assert_eq!(headers(expected, masked), headers(found, masked), "{what}");
    }
}

/// What differs between any two runs, even direct ones: ids and moments made by the server.
struct Masks {
    pattern: Regex,
}

impl Masks {
    fn new() -> Self {
        let pattern = r#""(TableId|CreationDateTime|LastUpdateToPayPerRequestDateTime|LatestStreamLabel|LatestStreamArn)":("[^"]*"|[0-9.eE+]+)"#;
        Self { pattern: Regex::new(pattern).unwrap() }
    }

    /// The body, and whether anything was masked in it.
    fn body(&self, answer: &Value) -> (String, bool) {
        let bytes =
            base64::engine::general_purpose::STANDARD.decode(answer["body"].as_str().unwrap());
        let text = String::from_utf8(bytes.unwrap()).unwrap();
        let masked = self.pattern.replace_all(&text, "\"$1\":masked").into_owned();
        let changed = masked != text;
        (masked, changed)
    }
}

/// Headers as name → value; the request id by its presence and shape, the checksum and
/// length by their presence where the body itself was masked.
fn headers(answer: &Value, masked: bool) -> Vec<(String, String)> {
    let headers = answer["headers"].as_object().unwrap();
    headers
        .iter()
        .map(|(name, value)| {
            let value = value.as_str().unwrap();
            let value = match name.as_str() {
                "x-amzn-requestid" => format!("{} characters", value.len()),
                "x-amz-crc32" | "content-length" if masked => "masked".to_owned(),
                _ => value.to_owned(),
            };
            (name.clone(), value)
        })
        .collect()
}
