//! A picture of each kind of certificate: what reviewers read when a certificate changes.

#![allow(clippy::unwrap_used, reason = "in a test a failure is a panic")]

mod common;

use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use common::{Cluster, HOUR, SERVER, now};
use pki::{CertPem, LocalCa};
use x509_parser::prelude::*;

#[test]
fn user_authority() {
    let cluster = Cluster::new();
    insta::assert_snapshot!(picture(cluster.user.cert(), cluster.user.cert()));
}

#[test]
fn host_authority() {
    let cluster = Cluster::new();
    insta::assert_snapshot!(picture(cluster.host.cert(), cluster.host.cert()));
}

#[test]
fn user() {
    let cluster = Cluster::new();
    insta::assert_snapshot!(picture(cluster.user_credential().cert(), cluster.user.cert()));
}

#[test]
fn host() {
    let cluster = Cluster::new();
    let host = cluster.host_credential(&[SERVER, "*.app.causeway.internal", "192.0.2.7"]);
    insta::assert_snapshot!(picture(host.cert(), cluster.host.cert()));
}

#[test]
fn self_signed_web() {
    let hosts = ["example.com", "192.0.2.7", "localhost"].map(str::to_owned);
    let web = pki::web::self_signed(&hosts, now()).unwrap();
    insta::assert_snapshot!(picture(web.cert(), web.cert()));
}

#[test]
fn local_authority() {
    let ca = LocalCa::generate("aws", now(), 12 * HOUR).unwrap();
    insta::assert_snapshot!(picture(ca.cert(), ca.cert()));
}

#[test]
fn local_leaf() {
    let ca = LocalCa::generate("aws", now(), 12 * HOUR).unwrap();
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    insta::assert_snapshot!(picture(ca.leaf(&names, now()).unwrap().cert(), ca.cert()));
}

/// Everything in a certificate but what chance made.
fn picture(cert: &CertPem, issuer: &CertPem) -> String {
    let (_, issuer) = X509Certificate::from_der(issuer.leaf()).unwrap();
    let (_, cert) = X509Certificate::from_der(cert.leaf()).unwrap();
    let mut text = String::new();
    let serial_bits = cert.raw_serial().len() * 8;
    assert!((100..=136).contains(&serial_bits), "{serial_bits}");
    assert!(cert.raw_serial().first() < Some(&0x80), "a serial number is positive");
    cert.verify_signature(Some(issuer.public_key())).unwrap();
    writeln!(text, "version {}, serial 128 random bits", cert.version().0 + 1).unwrap();
    writeln!(text, "subject    {}", cert.subject()).unwrap();
    writeln!(text, "issuer     {}", cert.issuer()).unwrap();
    writeln!(text, "not before {}", moment(cert.validity().not_before)).unwrap();
    writeln!(text, "not after  {}", moment(cert.validity().not_after)).unwrap();
    writeln!(text, "key        {}", algorithm(&cert.public_key().algorithm)).unwrap();
    writeln!(text, "signature  {}", algorithm(&cert.signature_algorithm)).unwrap();
    for extension in cert.extensions() {
        let critical = if extension.critical { ", critical" } else { "" };
        writeln!(text, "{}{critical}", extension_name(extension)).unwrap();
        for line in body(extension, &issuer).lines() {
            writeln!(text, "    {line}").unwrap();
        }
    }
    text
}

fn moment(time: ASN1Time) -> String {
    let at = UNIX_EPOCH + Duration::from_secs(time.timestamp().try_into().unwrap());
    match at.duration_since(now()) {
        Ok(after) => format!("{time} (now + {} s)", after.as_secs()),
        Err(before) => format!("{time} (now - {} s)", before.duration().as_secs()),
    }
}

fn algorithm(algorithm: &AlgorithmIdentifier<'_>) -> String {
    let parameters = algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
    format!("{} {}", algorithm.algorithm, parameters.map(|oid| oid.to_string()).unwrap_or_default())
}

fn extension_name(extension: &X509Extension<'_>) -> String {
    let name = format!("{:?}", extension.parsed_extension());
    let name = name.split(['(', ' ']).next().unwrap_or_default();
    format!("{name} ({})", extension.oid)
}

fn body(extension: &X509Extension<'_>, issuer: &X509Certificate<'_>) -> String {
    match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => {
            let matches = id.key_identifier.as_ref().map(|id| id.0) == Some(key_id(issuer));
            format!("the issuer's key identifier: {matches}")
        }
        ParsedExtension::SubjectKeyIdentifier(id) => format!("{} bytes", id.0.len()),
        ParsedExtension::BasicConstraints(basic) => {
            format!("authority: {}, path length: {:?}", basic.ca, basic.path_len_constraint)
        }
        ParsedExtension::KeyUsage(usage) => usage.to_string(),
        ParsedExtension::ExtendedKeyUsage(usage) => {
            assert!(usage.other.is_empty() && !usage.any && !usage.code_signing);
            format!("client: {}, server: {}", usage.client_auth, usage.server_auth)
        }
        ParsedExtension::SubjectAlternativeName(names) => {
            names.general_names.iter().map(|name| format!("{name}\n")).collect()
        }
        ParsedExtension::UnsupportedExtension { .. } => identity(extension.value),
        other => format!("{other:?}"),
    }
}

fn identity(der: &[u8]) -> String {
    let (rest, text) = x509_parser::asn1_rs::Utf8String::from_der(der).unwrap();
    assert!(rest.is_empty());
    let json: serde_json::Value = serde_json::from_str(&text.string()).unwrap();
    serde_json::to_string_pretty(&json).unwrap()
}

fn key_id<'a>(cert: &X509Certificate<'a>) -> &'a [u8] {
    cert.extensions()
        .iter()
        .find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
            _ => None,
        })
        .unwrap()
}
