//! A published conformance suite, test by test: the tests of DynamoDB of moto's source distribution, of which some 180
//! are marked by their authors as verified against AWS, give the same directly and through the cluster by both roads.
//!
//! Same is: passed, failed (with the exception's type, words and place) or skipped, and every call that a test makes has the
//! same status and the same answer. Against two stand-ins: the sandbox, which checks every signature, and moto's
//! server, with which nearly all of the tests pass. Failures that are the stand-in's own are the same by every road.
//! `clients/conformance/road.py` says how the tests are run and what is masked.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that tells one story in one piece, and counts what it ran"
)]

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use testkit::clients::{self, Road};
use testkit::cluster::{Cluster, Plan, clean};
use testkit::places;
use testkit::process::{Process, run, wait_until};

/// The account that the tests expect to find themselves in.
const ACCOUNT: &str = "123456789012";
/// Longest that one run of the suite may take.
const SECONDS: &str = "480";
/// Tests of which the end alone is compared, for what the stand-in answers differs from run to run, even directly.
/// moto's server exports and imports by a thread beside the answers; the sandbox's engine names either of two tables.
const END_ONLY: [&str; 3] = [
    "test_dynamodb_export_table.py",
    "test_dynamodb_import_table.py",
    "::test_batch_items_throws_exception_when_requesting_100_items_across_all_tables",
];

#[test]
fn the_suite_gives_the_same_through_the_cluster_with_the_sandbox() {
    let cluster = Cluster::start_with(&Plan { severity: "INFO", ..Plan::default() });
    let stand_in = StandIn {
        name: "sandbox",
        environment: cluster.sandbox.environment(),
        reset: format!("{}/_sandbox/reset", cluster.sandbox.url),
    };
    // Of 536 tests that make calls, the engine passes 373, 147 of them verified.
    stand_in.compare(&cluster, &Least { passed: 350, verified: 140 });
}

#[test]
fn the_suite_gives_the_same_through_the_cluster_with_moto() {
    let folder = tempfile::tempdir().unwrap();
    let port = places::free_port();
    let url = format!("http://127.0.0.1:{port}");
    let _moto = start_moto(port, &url, folder.path());
    let environment: Vec<(String, String)> = [
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("AWS_ACCESS_KEY_ID", "agent"),
        ("AWS_SECRET_ACCESS_KEY", "agent"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    let plan = Plan { agent_environment: environment.clone(), severity: "INFO", ..Plan::default() };
    let cluster = Cluster::start_with(&plan);
    let stand_in = StandIn { name: "moto", environment, reset: format!("{url}/moto-api/reset") };
    stand_in.compare(&cluster, &Least { passed: 520, verified: 175 });
}

/// How many tests must have made calls and passed directly, so that nothing is green by running nothing.
struct Least {
    passed: usize,
    verified: usize,
}

struct StandIn {
    name: &'static str,
    environment: Vec<(String, String)>,
    reset: String,
}

impl StandIn {
    fn compare(&self, cluster: &Cluster, least: &Least) {
        let role = format!("arn:aws:iam::{ACCOUNT}:role/conformance");
        cluster.create_role("conformance", &[&role]);
        let account = cluster.user("alice", "access,conformance");
        let tsh = cluster.tsh();
        let _ = tsh.login(&account).ok();
        let _ = tsh.run(&["apps", "login", "--aws-role", &role, "aws"]).ok();

        let direct = self.assume(&role);
        let expected = self.run(Road::Direct(&direct), "directly", cluster.folder());
        let counts = Counts::of(&expected);
        println!("{}: directly: {counts:?}", self.name);
        assert!(counts.passed >= least.passed, "{counts:?}");
        assert!(counts.verified >= least.verified, "{counts:?}");
        {
            let proxy = tsh.proxy_aws(&["--endpoint-url"]);
            let found = self.run(Road::EndpointUrl(&proxy), "endpoint", cluster.folder());
            self.same("endpoint URL", &expected, &found);
        }
        let proxy = tsh.proxy_aws(&[]);
        let found = self.run(Road::HttpsProxy(&proxy), "proxy", cluster.folder());
        self.same("HTTPS proxy", &expected, &found);
    }

    /// The stand-in's own environment, as the same role and session name that the cluster uses.
    fn assume(&self, role: &str) -> Vec<(String, String)> {
        let words = [
            "sts",
            "assume-role",
            "--role-session-name",
            "alice",
            "--output",
            "json",
            "--role-arn",
        ];
        let command =
            clients::aws_cli(Road::Direct(&self.environment), &[&words[..], &[role]].concat());
        let answer: Value = serde_json::from_str(run(command, "").ok()).unwrap();
        let keys = [
            ("AWS_ACCESS_KEY_ID", "AccessKeyId"),
            ("AWS_SECRET_ACCESS_KEY", "SecretAccessKey"),
            ("AWS_SESSION_TOKEN", "SessionToken"),
        ];
        let mut environment = self.environment.clone();
        environment.retain(|(name, _)| keys.iter().all(|(key, _)| name != key));
        environment.extend(keys.map(|(name, field)| {
            (name.to_owned(), answer["Credentials"][field].as_str().unwrap().to_owned())
        }));
        environment
    }

    /// One run of the suite: a line for each test, in order.
    fn run(&self, road: Road<'_>, name: &str, folder: &Path) -> Vec<Value> {
        let out = folder.join(format!("conformance-{name}.jsonl"));
        let mut command = clean(places::python_client("python3"));
        command.args(["-m", "pytest", "-p", "road", "-p", "no:cacheprovider", "-q", "--tb=no"]);
        // What pytest makes of an assertion is cut at a length, which moments change.
        command.arg("--assert=plain");
        command.args(["--no-summary", "tests/test_dynamodb", "tests/test_dynamodbstreams"]);
        command.current_dir(places::target().join("clients/conformance"));
        road.apply(&mut command);
        let plugin = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/conformance");
        command.env("PYTHONPATH", plugin).env("PYTHONDONTWRITEBYTECODE", "1");
        command.env("PYTHONHASHSEED", "0").env("TEST_SERVER_MODE", "true");
        command.env("AWS_CONFIG_FILE", "/dev/null");
        command.env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
        command.env("CONFORMANCE_OUT", &out).env("CONFORMANCE_RESET", &self.reset);
        command.env("CONFORMANCE_SECONDS", SECONDS);
        let started = std::time::Instant::now();
        let said = run(command, "");
        // 1 says that some tests failed, which is for the comparison to judge.
        assert!(said.code == 0 || said.code == 1, "{}\n{}", said.stdout, said.stderr);
        let last = said.stdout.lines().last().unwrap_or_default();
        println!("{}: {name}: {last} ({:?})", self.name, started.elapsed());
        let text = std::fs::read_to_string(&out).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn same(&self, road: &str, expected: &[Value], found: &[Value]) {
        let mut differing = Vec::new();
        for (expected, found) in expected.iter().zip(found) {
            differing.extend(difference(expected, found));
        }
        assert_eq!(expected.len(), found.len(), "{}: {road}", self.name);
        assert!(
            differing.is_empty(),
            "{}: {road}: {} tests differ\n{}",
            self.name,
            differing.len(),
            differing.join("\n")
        );
    }
}

/// What a run has, of the tests that made at least one call.
#[derive(Debug, Default)]
#[expect(dead_code, reason = "shown")]
struct Counts {
    tests: usize,
    without_calls: usize,
    calls: usize,
    passed: usize,
    /// Of `passed`, those that the suite's authors ran against AWS.
    verified: usize,
    failed: usize,
    skipped: usize,
}

impl Counts {
    fn of(lines: &[Value]) -> Self {
        let mut counts = Self { tests: lines.len(), ..Self::default() };
        for line in lines {
            let calls = line["calls"].as_array().unwrap().len();
            counts.calls += calls;
            match text(line, "outcome") {
                _ if calls == 0 => counts.without_calls += 1,
                "passed" => {
                    counts.passed += 1;
                    counts.verified += usize::from(line["verified"] == true);
                }
                "skipped" => counts.skipped += 1,
                _ => counts.failed += 1,
            }
        }
        counts
    }
}

/// What is unlike in two runs of one test.
fn difference(expected: &Value, found: &Value) -> Option<String> {
    let name = text(expected, "test");
    for field in ["test", "outcome", "error"] {
        if expected[field] != found[field] {
            return Some(format!("{name}: {field}\n  {}\n  {}", expected[field], found[field]));
        }
    }
    if END_ONLY.iter().any(|part| name.contains(part)) {
        return None;
    }
    let (expected, found) =
        (expected["calls"].as_array().unwrap(), found["calls"].as_array().unwrap());
    for (expected, found) in expected.iter().zip(found) {
        if expected != found {
            return Some(format!("{name}: a call\n  {expected}\n  {found}"));
        }
    }
    (expected.len() != found.len())
        .then(|| format!("{name}: {} calls and {}", expected.len(), found.len()))
}

fn text<'a>(line: &'a Value, field: &str) -> &'a str {
    line[field].as_str().unwrap()
}

/// moto's server, which takes any signature.
fn start_moto(port: u16, url: &str, folder: &Path) -> Process {
    let mut command = clean(places::python_client("moto_server"));
    command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).env("MOTO_ACCOUNT_ID", ACCOUNT);
    let process = Process::start("moto", command, folder);
    wait_until("moto", || {
        let mut command = Command::new("curl");
        command.args(["-s", "--fail", "--noproxy", "*", &format!("{url}/moto-api/")]);
        (run(command, "").code == 0).then_some(())
    });
    process
}
