//! The two programs: over TLS, started and stopped as the product's tests will do it.
#![allow(clippy::unwrap_used, reason = "test code beside the tests themselves")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

struct Running {
    child: Child,
    url: String,
}

impl Running {
    fn start(dir: &Path, extra: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sandbox"))
            .args(["serve", "--listen", "127.0.0.1:0", "--keys-out"])
            .arg(dir.join("keys.env"))
            .args(extra)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().rsplit(' ').next().unwrap().to_owned();
        Self { child, url }
    }

    fn awslite(&self, dir: &Path, args: &[&str]) -> Output {
        let keys = std::fs::read_to_string(dir.join("keys.env")).unwrap();
        let variables = keys.lines().filter_map(|line| line.split_once('='));
        Command::new(env!("CARGO_BIN_EXE_awslite"))
            .env_clear()
            .envs(variables)
            .env("AWS_ENDPOINT_URL", &self.url)
            .env("AWS_CA_BUNDLE", dir.join("ca.pem"))
            .args(args)
            .output()
            .unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn awslite_talks_to_a_sandbox_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    let running = Running::start(dir.path(), &["--tls", "--ca-out", ca.to_str().unwrap()]);
    assert!(running.url.starts_with("https://127.0.0.1:"));
    let lite = |args: &[&str]| running.awslite(dir.path(), args);
    let create = lite(&[
        "dynamodb",
        "create-table",
        "--table-name",
        "Music",
        "--attribute-definitions",
        "AttributeName=Artist,AttributeType=S",
        "--key-schema",
        "AttributeName=Artist,KeyType=HASH",
        "--billing-mode",
        "PAY_PER_REQUEST",
    ]);
    assert!(text(&create).contains("arn:aws:dynamodb:us-east-1:111122223333:table/Music"));
    let put = lite(&[
        "dynamodb",
        "put-item",
        "--table-name",
        "Music",
        "--item",
        r#"{"Artist":{"S":"x"}}"#,
    ]);
    assert_eq!(text(&put), "");
    let query = lite(&[
        "dynamodb",
        "query",
        "--table-name",
        "Music",
        "--key-condition-expression",
        "Artist = :a",
        "--expression-attribute-values",
        r#"{":a":{"S":"x"}}"#,
    ]);
    let found: serde_json::Value = serde_json::from_str(&text(&query)).unwrap();
    assert_eq!(found["Items"][0]["Artist"]["S"], "x");
    assert!(text(&lite(&["sts", "get-caller-identity"])).contains("user/agent"));
    let file = dir.path().join("file");
    std::fs::write(&file, vec![7; 1_000_000]).unwrap();
    assert_eq!(text(&lite(&["s3", "mb", "s3://photos"])), "make_bucket: photos\n");
    text(&lite(&["s3", "cp", file.to_str().unwrap(), "s3://photos/a/file"]));
    assert!(text(&lite(&["s3", "ls", "s3://photos"])).contains("PRE a/"));
    let copy = dir.path().join("copy");
    text(&lite(&["s3", "cp", "s3://photos/a/file", copy.to_str().unwrap()]));
    assert_eq!(std::fs::read(copy).unwrap(), vec![7; 1_000_000]);
    let refused = lite(&["dynamodb", "describe-table", "--table-name", "Nothing"]);
    assert_eq!(refused.status.code(), Some(254));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.starts_with("\nAn error occurred (ResourceNotFoundException) when calling the DescribeTable operation: "), "{said}");
}

#[test]
fn sandbox_stops_in_order_on_sigterm() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::start(dir.path(), &[]);
    let term =
        Command::new("kill").args(["-TERM", &running.child.id().to_string()]).status().unwrap();
    assert!(term.success());
    assert!(running.child.wait().unwrap().success());
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path(), &["--tls"]);
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(dir.path().join("ca.pem"), other.cert.pem()).unwrap();
    let output = running.awslite(dir.path(), &["dynamodb", "list-tables"]);
    assert_eq!(output.status.code(), Some(255));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("Could not connect to the endpoint URL")
    );
}
