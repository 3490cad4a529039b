//! Generated requests, with `aws-sigv4` as the oracle.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::SignableBody;
use http::Request;
use proptest::prelude::*;

use super::{Oracle, arrived, keys, keys_with, oracle, without_authority};
use crate::endpoint::Endpoint;
use crate::sigv4::{Authorization, Destination, PayloadHash, sign, verify};

#[derive(Debug, Clone)]
struct Generated {
    method: &'static str,
    host: (&'static str, &'static str, &'static str),
    path: String,
    query: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
    seconds: u64,
    token: Option<String>,
}

fn generated() -> impl Strategy<Value = Generated> {
    let hosts = prop::sample::select(vec![
        ("dynamodb.us-east-1.amazonaws.com", "dynamodb", "us-east-1"),
        ("streams.dynamodb.eu-west-1.amazonaws.com", "dynamodb", "eu-west-1"),
        ("sts.cn-north-1.amazonaws.com.cn", "sts", "cn-north-1"),
        ("iam.amazonaws.com", "iam", "us-east-1"),
        ("s3.eu-central-1.amazonaws.com", "s3", "eu-central-1"),
        ("my.bucket.s3.us-gov-west-1.amazonaws.com", "s3", "us-gov-west-1"),
    ]);
    let headers = prop::collection::btree_map(
        "(x-amz-[a-z]{1,8}|x-[a-z]{1,8}|content-type|range|if-match|user-agent)",
        "[ a-zA-Z0-9=;,/\"*+._-]{0,30}",
        0..6,
    );
    (
        prop::sample::select(vec!["GET", "PUT", "POST", "DELETE", "HEAD"]),
        hosts,
        "(/([a-zA-Z0-9._~-]|%2[0-9A-F]|%C3%A9){0,8}){1,4}",
        prop::collection::vec(
            "[a-zA-Z0-9._~!$'()*+,;:@/-]{1,5}(=([a-zA-Z0-9._~+-]|%2[0-9A-F]){0,6})?",
            0..5,
        ),
        headers,
        prop::collection::vec(any::<u8>(), 0..300),
        0..4_000_000_000_u64,
        prop::option::of("[a-zA-Z0-9+/=]{1,900}"),
    )
        .prop_map(|(method, host, path, query, headers, body, seconds, token)| {
            let query = query.join("&");
            Generated { method, host, path, query, headers, body, seconds, token }
        })
}

impl Generated {
    fn target(&self) -> String {
        let mark = if self.query.is_empty() { "" } else { "?" };
        format!("{}{mark}{}", self.path, self.query)
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.seconds)
    }

    fn oracle(&self, headers: Vec<(String, String)>) -> Oracle<'_> {
        Oracle {
            method: self.method,
            uri: format!("https://{}{}", self.host.0, self.target()),
            headers,
            body: SignableBody::Bytes(&self.body),
            service: self.host.1,
            region: self.host.2,
        }
    }
}

proptest! {
    #[test]
    fn verify_accepts_what_the_oracle_signs(request in generated()) {
        prop_assume!(!request.headers.keys().any(|name| is_special(name)));
        let headers = request.headers.clone().into_iter().collect();
        let parts = arrived(&request.oracle(headers), request.now());
        let verdict = verify(&parts, &PayloadHash::of(&request.body), &keys(), request.now());
        prop_assert!(verdict.is_ok(), "{verdict:?}");
    }

    #[test]
    fn sign_gives_the_oracles_signature(request in generated()) {
        prop_assume!(!request.headers.keys().any(|name| is_special(name)));
        let mut built = Request::builder().method(request.method).uri(request.target());
        for (name, value) in &request.headers {
            built = built.header(name, value.trim());
        }
        let parts = built.body(()).unwrap().into_parts().0;
        let destination = Destination::aws(Endpoint::from_host(request.host.0).unwrap());
        let payload = PayloadHash::of(&request.body);
        let token = request.token.as_deref();
        let signed = sign(parts, &payload, &destination, &keys_with(token), request.now()).unwrap();

        // The oracle gets what we signed, without what it adds itself.
        let authorization = Authorization::parse(signed.headers()["authorization"].to_str().unwrap()).unwrap();
        let own = ["host", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"];
        let headers = authorization.signed_headers().filter(|name| !own.contains(name));
        let headers = headers.map(|name| (name.to_owned(), signed.headers()[name].to_str().unwrap().to_owned()));
        let expected = oracle(&request.oracle(headers.collect()), request.now(), token);
        for (name, value) in expected {
            prop_assert_eq!(signed.headers()[&name].to_str().unwrap(), value, "{}", name);
        }
        let arrived = without_authority(signed.into_parts());
        prop_assert!(verify(&arrived, &payload, &keys_with(token), request.now()).is_ok());
    }
}

/// Headers with a meaning to the signature itself.
fn is_special(name: &str) -> bool {
    ["x-amz-date", "x-amz-target", "x-amz-security-token", "x-amz-content-sha256"].contains(&name)
}
