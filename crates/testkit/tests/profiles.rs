//! `tsh aws-profile`: tools with nothing else in their environment, and a config file that comes back as it was.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "a test that tells one story in one piece"
)]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use testkit::cluster::{Cluster, ROLE, clean, role_arn};
use testkit::places;
use testkit::process::{Said, run, wait_until};
use testkit::tsh::Tsh;

/// What a person's own file may look like: comments, odd spacing, mixed line ends, no newline at the end.
const FOREIGN: &[u8] = b"; my settings\r\n[default]\r\nregion=eu-west-1   \r\n\t\r\n\r\n[profile  mine ]\noutput   =   json\n# [profile aws-reader]\ns3 =\n  max_concurrent_requests = 20\n[sso-session x]\nsso_region = \xc3\xa4\n[services y]\ndynamodb =\n  endpoint_url = http://localhost:8000";

fn config(tsh: &Tsh) -> PathBuf {
    tsh.home().join(".aws/config")
}

/// A tool of the user with an empty environment but for the home.
fn tool(tsh: &Tsh, program: &str) -> Command {
    let mut command = clean(places::python_client(program));
    command.env("HOME", tsh.home()).current_dir(tsh.home());
    command
}

fn caller(tsh: &Tsh, profile: &str) -> Said {
    let mut command = tool(tsh, "aws");
    command.args(["--profile", profile, "sts", "get-caller-identity", "--query", "Arn"]);
    run(command, "")
}

/// The process that serves the profiles, if one does.
fn serving(tsh: &Tsh) -> Option<String> {
    let mut command = Command::new("find");
    command.arg(tsh.folder()).args(["-path", "*local-proxy/lock"]);
    let path = run(command, "").ok().trim().to_owned();
    let text = fs::read_to_string(path).ok()?;
    let pid = text.split_whitespace().next()?.to_owned();
    let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
    command.contains("serve").then_some(pid)
}

#[test]
fn tools_work_with_a_profile_alone_and_the_file_comes_back_byte_for_byte() {
    let cluster = Cluster::start();
    let (guide, writer) = (role_arn(ROLE), role_arn("writer"));
    cluster.create_role("aws-dynamodb-access", &[&guide, &writer]);
    let account = cluster.user("alice", "access,aws-dynamodb-access");
    let tsh = cluster.tsh();
    let _ = tsh.login(&account).ok();
    // A link into a folder of dotfiles, readable by a group.
    let real = tsh.home().join("dotfiles");
    fs::create_dir_all(&real).unwrap();
    fs::create_dir_all(tsh.home().join(".aws")).unwrap();
    let real = real.join("aws-config");
    fs::write(&real, FOREIGN).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("../dotfiles/aws-config", config(&tsh)).unwrap();

    let said = tsh.run(&["aws-profile", "write", "--all"]);
    assert!(said.ok().contains("aws --profile aws-"), "{}", said.stdout);
    assert!(serving(&tsh).is_none(), "nothing runs before keys are asked for");
    assert!(fs::read(&real).unwrap().starts_with(FOREIGN));
    assert!(caller(&tsh, "aws-writer").ok().contains("/writer/alice"));
    assert!(caller(&tsh, &format!("aws-{ROLE}")).ok().contains(&format!("/{ROLE}/alice")));
    let pid = serving(&tsh).expect("a proxy runs");
    let script = format!(
        "import boto3
one, two = (boto3.Session(profile_name=n) for n in ('aws-writer', 'aws-{ROLE}'))
s3 = one.client('s3')
s3.create_bucket(Bucket='by-profile')
s3.put_object(Bucket='by-profile', Key='a b/ä', Body=b'x' * 100_000)
assert len(two.client('s3').get_object(Bucket='by-profile', Key='a b/ä')['Body'].read()) == 100_000
assert '/writer/' in one.client('sts').get_caller_identity()['Arn']
print(two.client('dynamodb', region_name='eu-west-1').list_tables()['TableNames'])"
    );
    let mut command = tool(&tsh, "python3");
    command.args(["-c", &script]);
    let _ = run(command, "").ok();
    // One that died is started again when keys are asked for.
    let mut kill = Command::new("kill");
    kill.args(["-9", &pid]);
    let _ = run(kill, "").ok();
    assert!(caller(&tsh, "aws-writer").ok().contains("/writer/alice"));
    assert!(serving(&tsh).is_some_and(|new| new != pid));

    // What others write meanwhile stays, and a name of theirs is not taken.
    let mut command = tool(&tsh, "aws");
    command.args(["configure", "set", "region", "sa-east-1", "--profile", "theirs"]);
    let _ = run(command, "").ok();
    let choice = ["aws-profile", "write", "--app", "aws", "--aws-role", "writer", "--name"];
    let said = tsh.run(&[&choice[..], &["theirs"]].concat());
    assert!(said.code == 1 && said.stderr.contains("has not written"), "{}", said.stderr);
    let credentials = tsh.home().join(".aws/credentials");
    fs::write(&credentials, "[static]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\n").unwrap();
    let said = tsh.run(&[&choice[..], &["static"]].concat());
    assert!(said.code == 1 && said.stderr.contains("would use instead"), "{}", said.stderr);
    let listed = tsh.run(&["aws-profile", "ls", "--format", "json"]);
    let listed: Value = serde_json::from_str(listed.ok()).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");

    let _ = tsh.run(&["aws-profile", "rm", "aws-writer"]).ok();
    assert!(caller(&tsh, "aws-writer").code != 0);
    let _ = tsh.run(&["logout"]).ok();
    let left = fs::read(&real).unwrap();
    assert!(left.starts_with(FOREIGN), "{}", String::from_utf8_lossy(&left));
    let theirs = String::from_utf8_lossy(&left[FOREIGN.len()..]).into_owned();
    assert_eq!(theirs.trim(), "[profile theirs]\nregion = sa-east-1");
    assert!(fs::symlink_metadata(config(&tsh)).unwrap().is_symlink());
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    wait_until("the proxy's end", || serving(&tsh).is_none().then_some(()));
}

#[test]
fn an_untouched_file_and_one_that_was_not_there_come_back() {
    let cluster = Cluster::start();
    let tsh = cluster.ready_tsh();
    // No file, no folder.
    let _ = tsh.run(&["aws-profile", "write"]).ok();
    assert_eq!(fs::metadata(config(&tsh)).unwrap().permissions().mode() & 0o777, 0o600);
    let _ = tsh.run(&["apps", "logout"]).ok();
    assert!(!config(&tsh).exists());
    let _ = tsh.run(&["apps", "login", "--aws-role", ROLE, "aws"]).ok();
    // What no tool can read is none of our business either.
    let wild = [FOREIGN, b"\n\xff\xfe\0[profile"].concat();
    fs::write(config(&tsh), &wild).unwrap();
    for round in ["one", "two", "one"] {
        let _ = tsh.run(&["aws-profile", "write", "--name", round]).ok();
    }
    let _ = tsh.run(&["aws-profile", "rm", "one"]).ok();
    let _ = tsh.run(&["logout"]).ok();
    assert_eq!(fs::read(config(&tsh)).unwrap(), wild);
    let said = tsh.run(&["aws-profile", "ls"]);
    assert!(said.code == 1 && said.stderr.contains("Not logged in"), "{}", said.stderr);
}

fn write_and_remove(tsh: &Tsh, writer: usize) {
    for round in 0..12 {
        let name = format!("p{writer}-{}", round % 3);
        let _ = tsh.run(&["aws-profile", "write", "--name", &name]).ok();
        if round % 2 == 1 {
            let _ = tsh.run(&["aws-profile", "rm", &name]).ok();
        }
    }
}

#[test]
fn two_tsh_at_once_never_corrupt_the_file() {
    let cluster = Cluster::start();
    let tsh = cluster.ready_tsh();
    fs::create_dir_all(tsh.home().join(".aws")).unwrap();
    fs::write(config(&tsh), FOREIGN).unwrap();
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let tsh = tsh.clone();
            std::thread::spawn(move || write_and_remove(&tsh, writer))
        })
        .collect();
    // Whoever reads meanwhile sees a whole file.
    let mut reads = 0;
    while writers.iter().any(|writer| !writer.is_finished()) {
        let text = fs::read(config(&tsh)).unwrap();
        assert!(text.starts_with(FOREIGN));
        let text = String::from_utf8_lossy(&text).into_owned();
        let count = |part: &str| text.matches(part).count();
        assert_eq!(count("# >>> tsh"), count("# <<< tsh"), "{text}");
        assert_eq!(count("# >>> tsh"), count("credential_process"), "{text}");
        reads += 1;
    }
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert!(reads > 10, "{reads}");
    let listed = tsh.run(&["aws-profile", "ls", "--format", "json"]);
    let listed: Value = serde_json::from_str(listed.ok()).unwrap();
    // Of each writer's three names, the last round of one (11) and of another (9) removed them; 10 wrote.
    assert_eq!(listed.as_array().unwrap().len(), 4, "{listed}");
    // Asked for keys by many tools at once, one proxy is started.
    let name = listed[0]["profile"].as_str().unwrap().to_owned();
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (tsh, name) = (tsh.clone(), name.clone());
            std::thread::spawn(move || caller(&tsh, &name))
        })
        .collect();
    for caller in callers {
        assert!(caller.join().unwrap().ok().contains("/alice"));
    }
    let _ = tsh.run(&["logout"]).ok();
    assert_eq!(fs::read(config(&tsh)).unwrap(), FOREIGN);
}

#[test]
fn any_program_runs_with_its_exit_code_and_its_signals() {
    let cluster = Cluster::start();
    let tsh = cluster.ready_tsh();
    let exec = |arguments: &[&str]| {
        let mut command = tsh.command(&["aws"]);
        command.args(arguments);
        run(command, "from stdin\n")
    };
    assert_eq!(exec(&["--exec", "sh", "--", "-c", "exit 42"]).code, 42);
    assert_eq!(exec(&["--exec", "sh", "--", "-c", "kill -KILL $$"]).code, 137);
    assert_eq!(exec(&["--exec", "cat", "--", "-"]).ok(), "from stdin\n");
    let said = exec(&["--exec", "sh", "--", "-c", "echo $HTTPS_PROXY $AWS_ENDPOINT_URL"]);
    assert!(said.ok().starts_with("http://127.0.0.1:"), "{}", said.stdout);
    let endpoint = exec(&[
        "--endpoint-url",
        "--exec",
        "sh",
        "--",
        "-c",
        "echo ${HTTPS_PROXY-none} $AWS_ENDPOINT_URL",
    ]);
    assert!(endpoint.ok().starts_with("none https://localhost:"), "{}", endpoint.stdout);
    // A termination, and a terminal that goes away, are the program's to hear of.
    for (signal, name) in [("TERM", "terminated"), ("HUP", "hung-up"), ("USR1", "user")] {
        let script = format!(
            "trap 'echo {name}; exit 7' {signal}; echo ready; while :; do sleep 0.05; done"
        );
        let command = tsh.command(&["aws", "--exec", "sh", "--", "-c", &script]);
        let mut process =
            testkit::process::Process::start(&format!("exec-{signal}"), command, tsh.home());
        process.wait_for("the program", |process| process.output().contains("ready").then_some(()));
        process.signal(signal);
        let status = process.wait();
        assert_eq!(status.code(), Some(7), "{signal}: {}", process.output());
        assert!(process.output().contains(name), "{}", process.output());
    }
}

#[test]
fn java_trusts_the_local_proxy_by_the_trust_store() {
    let java = |program: &str| run_if_there(program, &["-version"]);
    assert!(java("java") && java("keytool"), "install a JDK: this test needs java and keytool");
    let cluster = Cluster::start();
    let tsh = cluster.ready_tsh();
    let proxy = tsh.proxy_aws(&["--endpoint-url"]);
    let bundle = PathBuf::from(proxy.value("AWS_CA_BUNDLE"));
    drop(proxy);
    let java_proxy = start_java_proxy(&tsh);
    let store = bundle.with_extension("jks");
    assert_eq!(fs::metadata(&store).unwrap().permissions().mode() & 0o777, 0o600);
    let mut keytool = clean("keytool");
    keytool.args(["-list", "-storepass", "changeit", "-keystore"]).arg(&store);
    let listed = run(keytool, "");
    assert!(listed.ok().contains("causeway-local-0"), "{} {}", listed.stdout, listed.stderr);
    assert!(listed.stdout.contains("system-0"), "the machine's own roots are there too");
    // A request without a signature: TLS stands, and the proxy refuses in the service's words.
    let source = tsh.home().join("Ask.java");
    fs::write(&source, JAVA).unwrap();
    let mut command = clean("java");
    command.args(java_proxy.properties.iter()).arg(&source).env("HOME", tsh.home());
    let said = run(command, "");
    assert!(
        said.ok().contains("403") && said.stdout.contains("CN=local CA of app aws"),
        "{}",
        said.stdout
    );
}

const JAVA: &str = r#"
import java.net.*;
import javax.net.ssl.*;
import java.security.cert.X509Certificate;

public class Ask {
    public static void main(String[] args) throws Exception {
        URL url = new URL("https://sts.us-east-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15");
        HttpsURLConnection connection = (HttpsURLConnection) url.openConnection();
        System.out.println(connection.getResponseCode());
        X509Certificate leaf = (X509Certificate) connection.getServerCertificates()[0];
        System.out.println(leaf.getIssuerX500Principal().getName());
    }
}
"#;

fn run_if_there(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok()
}

struct JavaProxy {
    properties: Vec<String>,
    _process: testkit::process::Process,
}

fn start_java_proxy(tsh: &Tsh) -> JavaProxy {
    let command = tsh.command(&["proxy", "aws", "--format", "java"]);
    let mut process = testkit::process::Process::start("tsh-proxy-java", command, tsh.home());
    let properties = process.wait_for("properties", |process| {
        let output = process.output();
        let lines = output.lines().map(str::trim).filter(|line| line.starts_with("-D"));
        let properties: Vec<String> = lines.map(str::to_owned).collect();
        output.contains("AWS_SECRET_ACCESS_KEY=").then_some(properties)
    });
    JavaProxy { properties, _process: process }
}
