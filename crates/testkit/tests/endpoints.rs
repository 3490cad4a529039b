//! For every operation of every service of the SDK: what it builds for AWS, and for an endpoint URL, resolves to the
//! host, signing name and region that the SDK itself resolves to; in every region, with FIPS and dual-stack on and off.
//!
//! `crates/testkit/clients/endpoint_cases.py` asks the SDK; what differs is listed in `endpoint_exceptions.txt`, each
//! with its reason, and a line there that nothing needs fails the test, too.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on must say so and stop, and one that counts should tell"
)]

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::LazyLock;
use std::thread;

use aws::sigv4::Scope;
use aws::{CallHead, Endpoint, Region};
use http::header::HOST;
use http::request::Parts;
use http::{HeaderValue, Request};
use serde_json::Value;
use testkit::places;

/// Host, signing name, region; `*` where SigV4A signs for every region.
type Answer = (String, String, String);

/// A group of operations: one resolution of the SDK's for each region and variant.
struct Group {
    default: Vec<Place>,
    /// By region, what is signed for an endpoint URL.
    local: BTreeMap<String, Scope>,
}

/// Where the SDK goes in one region and variant; what is the same in several stands here once.
struct Place {
    /// `eu-west-1`, or with a variant `eu-west-1/fd`.
    names: Vec<String>,
    answer: Answer,
    host: HeaderValue,
    scope: Scope,
}

impl Group {
    fn read(group: &Value) -> Self {
        let mut default: Vec<Place> = Vec::new();
        for (name, answer) in group["default"].as_object().unwrap() {
            let answer = (text(&answer[0]), text(&answer[1]), text(&answer[2]));
            match default.iter_mut().find(|place| place.answer == answer) {
                Some(place) => place.names.push(name.clone()),
                None => default.push(Place {
                    names: vec![name.clone()],
                    host: HeaderValue::from_str(&answer.0).unwrap(),
                    scope: scope(&answer.1, &answer.2),
                    answer,
                }),
            }
        }
        let local = group["local"].as_object().unwrap().iter();
        let local = local.map(|(region, signed)| {
            (region.clone(), scope(signed[0].as_str().unwrap(), signed[1].as_str().unwrap()))
        });
        Self { default, local: local.collect() }
    }
}

/// What is wrong with an operation, by service, partition and operation; and how often.
type Faults = BTreeMap<(String, String, String), (usize, String)>;

static CASES: LazyLock<Vec<Value>> = LazyLock::new(cases);
static EXCEPTIONS: &str = include_str!("endpoint_exceptions.txt");

#[test]
fn the_table_is_what_the_installed_sdk_says() {
    let (package, version) = aws::service::source_of_facts();
    let installed = python(&["-c", "import botocore; print(botocore.__version__)"]);
    let installed = String::from_utf8(installed.stdout).unwrap();
    assert_eq!(package, "botocore");
    assert_eq!(
        version,
        installed.trim(),
        "run {} scripts/endpoints.py",
        places::python_client("python").display()
    );
    let script = places::root().join("scripts/endpoints.py");
    let check = python(&[script.to_str().unwrap(), "--check"]);
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
}

#[test]
fn a_host_tells_what_the_sdk_means_by_it() {
    let (faults, seen) = each_operation(|group, operation, note| {
        let mut parts = request(operation);
        for place in &group.default {
            parts.headers.insert(HOST, place.host.clone());
            let found = Endpoint::of_request(&parts, Some(&place.scope));
            note(&place.names, compare(found, &place.answer));
        }
    });
    println!("through the proxy: {seen:?}");
    assert!(
        seen.operations > 19_000 && seen.services > 430 && seen.requests > 3_000_000,
        "{seen:?}"
    );
    only_listed("https", faults);
}

#[test]
fn an_endpoint_url_leads_where_the_sdk_would_go() {
    let (faults, seen) = each_operation(|group, operation, note| {
        let local = &operation["local"];
        let mut parts = request(local);
        let host = local["host"].as_str().unwrap();
        parts.headers.insert(HOST, HeaderValue::from_str(host).unwrap());
        // The client signs for its endpoint URL as it would without knowing AWS's.
        for (region, scope) in &group.local {
            let place = group.default.iter().find(|place| place.names.contains(region));
            if let Some(place) = place {
                let found = Endpoint::of_request(&parts, Some(scope));
                note(std::slice::from_ref(region), compare(found, &by_path(&place.answer)));
            }
        }
    });
    println!("by endpoint URL: {seen:?}");
    assert!(seen.operations > 19_000 && seen.services > 430 && seen.requests > 900_000, "{seen:?}");
    only_listed("url", faults);
}

#[test]
fn operations_have_the_sdks_names() {
    let (faults, seen) = each_operation(|group, operation, note| {
        let Some(place) = group.default.first() else { return };
        let mut parts = request(operation);
        parts.headers.insert(HOST, place.host.clone());
        let head = CallHead::parse(&parts);
        if head.as_ref().is_ok_and(|head| head.needs_body(&parts)) {
            // The name stands in the body; `aws` has its own tests of that.
            return;
        }
        let wanted = operation["name"].as_str().unwrap();
        let fault = match head.and_then(|head| head.with_body(&parts, None)) {
            Ok(call) if call.operation() == wanted => None,
            Ok(call) => Some(format!("{:?} at {}", call.operation(), parts.uri)),
            Err(error) => Some(error.to_string()),
        };
        note(&place.names[..1], fault);
    });
    println!("names: {seen:?}");
    assert!(seen.requests > 16_000, "{seen:?}");
    only_listed("name", faults);
}

/// What was gone through.
#[derive(Debug, Default)]
struct Seen {
    services: usize,
    operations: usize,
    requests: usize,
    /// Not signed with SigV4.
    unsigned: usize,
}

/// Takes the places that were looked at, and what is wrong there.
type Note<'a> = dyn FnMut(&[String], Option<String>) + 'a;

/// Asks of every signed operation.
fn each_operation(ask: impl Fn(&Group, &Value, &mut Note<'_>) + Sync) -> (Faults, Seen) {
    let workers = thread::available_parallelism().map_or(2, usize::from);
    let ask = &ask;
    let parts: Vec<(Faults, Seen)> = thread::scope(|scope| {
        let one = move |worker: usize| {
            let (mut faults, mut seen) = (Faults::new(), Seen::default());
            let share = CASES.iter().skip(worker).step_by(workers);
            share.for_each(|service| go_through(service, ask, (&mut faults, &mut seen)));
            (faults, seen)
        };
        let share = |worker: usize| scope.spawn(move || one(worker));
        let workers: Vec<_> = (0..workers).map(share).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let (mut faults, mut total) = (Faults::new(), Seen::default());
    for (found, seen) in parts {
        faults.extend(found);
        total.services += seen.services;
        total.operations += seen.operations;
        total.requests += seen.requests;
        total.unsigned += seen.unsigned;
    }
    (faults, total)
}

fn go_through(
    service: &Value,
    ask: &impl Fn(&Group, &Value, &mut Note<'_>),
    (faults, seen): (&mut Faults, &mut Seen),
) {
    let id = service["service"].as_str().unwrap();
    seen.services += 1;
    let groups: Vec<Group> =
        service["groups"].as_array().unwrap().iter().map(Group::read).collect();
    for operation in service["operations"].as_array().unwrap() {
        if operation["scope"].is_null() {
            seen.unsigned += 1;
            continue;
        }
        seen.operations += 1;
        let group = &groups[usize::try_from(operation["group"].as_u64().unwrap()).unwrap()];
        ask(group, operation, &mut |places, fault| {
            seen.requests += places.len();
            let Some(fault) = fault else { return };
            for place in places {
                let region = place.split('/').next().unwrap();
                let partition = Region::parse(region).unwrap().partition().to_string();
                let key = (id.to_owned(), partition, text(&operation["name"]));
                let entry = faults.entry(key).or_insert_with(|| (0, format!("{place}: {fault}")));
                entry.0 += 1;
            }
        });
    }
}

/// Whether what was found is what the SDK says.
fn compare(found: Result<Endpoint, impl std::fmt::Display>, answer: &Answer) -> Option<String> {
    let (host, name, region) = answer;
    match found {
        Ok(found)
            if found.host() == host
                && found.signing_name() == name
                && (found.region().as_str() == region
                    || (region == "*" && found.is_multi_region())) =>
        {
            None
        }
        Ok(found) => Some(format!("{found:?} as {}, not {answer:?}", found.signing_name())),
        Err(error) => Some(format!("{error}; not {answer:?}")),
    }
}

/// Against an endpoint URL a client writes the bucket into the path, and so it is sent on; and where botocore would still
/// take S3's global host in us-east-1, the regional one is taken, as newer SDKs do.
fn by_path((host, name, region): &Answer) -> Answer {
    let host = host.strip_prefix("my-bucket.").unwrap_or(host);
    let host = if host == "s3.amazonaws.com" { "s3.us-east-1.amazonaws.com" } else { host };
    (host.to_owned(), name.clone(), region.clone())
}

/// Fails on what is not listed, and on what is listed in vain.
fn only_listed(way: &'static str, faults: Faults) {
    let mut needed = BTreeSet::new();
    // One of each service and partition is shown.
    let mut unlisted: BTreeMap<(&str, &str), String> = BTreeMap::new();
    for ((service, partition, operation), (count, fault)) in &faults {
        let fits = |line: &&str| {
            let fields: Vec<&str> = line.split_whitespace().take(4).collect();
            let [kind, of, place, what] = fields[..] else { return false };
            let is = |said: &str, meant: &str| said == "*" || said == meant;
            kind == way && of == service && is(place, partition) && is(what, operation)
        };
        match EXCEPTIONS.lines().find(fits) {
            Some(line) => {
                needed.insert(line);
            }
            None => {
                let line =
                    || format!("{way} {service} {partition} {operation}  {count} times: {fault}");
                unlisted.entry((service, partition)).or_insert_with(line);
            }
        }
    }
    println!("{way}: {} exceptions cover {} operations", needed.len(), faults.len());
    let shown: Vec<&str> = unlisted.values().map(String::as_str).collect();
    assert!(unlisted.is_empty(), "{} are not listed:\n{}", unlisted.len(), shown.join("\n"));
    let listed = EXCEPTIONS.lines().filter(|line| line.split_whitespace().next() == Some(way));
    for line in listed {
        assert!(needed.contains(line), "nothing needs this exception any more: {line}");
    }
}

fn scope(name: &str, region: &str) -> Scope {
    match region {
        "*" => Scope::parse_regionless(&format!("20300101/{name}/aws4_request"), "*").unwrap(),
        region => Scope::parse(&format!("20300101/{region}/{name}/aws4_request")).unwrap(),
    }
}

fn request(case: &Value) -> Parts {
    let mut request = Request::builder()
        .method(case["method"].as_str().unwrap())
        .uri(case["path"].as_str().unwrap());
    for (name, value) in case["headers"].as_object().unwrap() {
        request = request.header(name, value.as_str().unwrap());
    }
    request.body(()).unwrap().into_parts().0
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// One line for each service, made anew when the program or the SDK has changed.
fn cases() -> Vec<Value> {
    let program = places::root().join("crates/testkit/clients/endpoint_cases.py");
    let mut hasher = DefaultHasher::new();
    fs::read(&program).unwrap().hash(&mut hasher);
    python(&["-c", "import botocore; print(botocore.__version__)"]).stdout.hash(&mut hasher);
    let folder = places::target().join(format!("endpoint-cases-{:016x}", hasher.finish()));
    let workers = thread::available_parallelism().map_or(2, usize::from);
    let file = |part: usize| folder.join(format!("{part}-of-{workers}.json"));
    fs::create_dir_all(&folder).unwrap();
    // Each test is a process of its own.
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    if !(0..workers).all(|part| file(part).exists()) {
        let started: Vec<(Child, PathBuf, PathBuf)> = (0..workers)
            .map(|part| {
                let draft = folder.join(format!("{part}-of-{workers}.draft"));
                let mut command = clean("python");
                command.arg(&program).arg(part.to_string()).arg(workers.to_string());
                command.stdout(File::create(&draft).unwrap());
                (command.spawn().unwrap(), draft, file(part))
            })
            .collect();
        for (mut child, draft, whole) in started {
            assert!(child.wait().unwrap().success(), "endpoint_cases.py failed");
            fs::rename(draft, whole).unwrap();
        }
    }
    drop(lock);
    let texts = (0..workers).map(|part| fs::read_to_string(file(part)).unwrap());
    texts.flat_map(|text| text.lines().map(read).collect::<Vec<_>>()).collect()
}

fn read(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}

fn python(arguments: &[&str]) -> std::process::Output {
    clean("python").args(arguments).output().unwrap()
}

/// Knows no configuration of the user's, and asks no network.
fn clean(program: &str) -> Command {
    let mut command = Command::new(places::python_client(program));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    command
}
