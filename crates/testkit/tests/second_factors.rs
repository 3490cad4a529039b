//! Second factors at the terminal, and logging in by the browser, against real processes. Where a passkey
//! is needed the browser is Chromium; else its part is played by curl.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that tells one story in one piece"
)]

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use serde_json::json;
use testkit::browser::browse;
use testkit::cluster::{Cluster, PASSWORD, Plan, ROLE, role_arn};
use testkit::process::{Said, run, wait_until};
use testkit::tsh::{Account, Tsh, code_at};

/// A command whose output is read while it runs.
struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    fn start(mut command: Command, log: PathBuf) -> Self {
        let file = File::create(&log).unwrap();
        command.stdin(Stdio::piped()).stdout(file.try_clone().unwrap()).stderr(file);
        Self { child: command.spawn().unwrap(), log }
    }

    /// What stands between two texts of its output, as soon as it is there.
    fn between(&self, before: &str, after: &str) -> String {
        wait_until(before, || {
            let text = std::fs::read_to_string(&self.log).unwrap();
            let (_, rest) = text.split_once(before)?;
            rest.split_once(after).map(|(found, _)| found.trim().to_owned())
        })
    }

    fn type_line(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn end(mut self) -> (bool, String) {
        drop(self.child.stdin.take());
        let is_ok = self.child.wait().unwrap().success();
        (is_ok, std::fs::read_to_string(&self.log).unwrap())
    }
}

fn now() -> u64 {
    UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// Waits for the next step of one-time codes: each is good once.
fn next_step() {
    let left = 30 - now() % 30;
    std::thread::sleep(Duration::from_secs(left));
}

fn with_code(tsh: &Tsh, arguments: &[&str], code: &str) -> Said {
    run(tsh.command(arguments), &format!("{code}\n"))
}

#[test]
fn a_session_that_needs_a_factor_asks_for_it_and_devices_come_and_go_at_the_terminal() {
    let cluster = Cluster::start_with(&Plan {
        second_factor: "otp",
        authentication: "    require_session_mfa: yes\n".to_owned(),
        ..Plan::default()
    });
    cluster.create_role("aws-dynamodb-access", &[&role_arn(ROLE)]);
    let account = cluster.user("alice", "access,aws-dynamodb-access");
    let tsh = cluster.tsh();
    let _ = tsh.login(&account).ok();
    let listed = tsh.run(&["mfa", "ls"]).ok().to_owned();
    assert!(listed.contains("TOTP") && listed.starts_with("Name"), "{listed}");

    // Without an answer, and with a wrong one, there is no session.
    let said = run(tsh.command(&["apps", "login", "aws"]), "");
    assert!(said.failed().contains("MFA is required to access Application \"aws\""), "{said:?}");
    let _ = with_code(&tsh, &["apps", "login", "aws"], "000000").failed();

    let secret = add_device(&tsh, &account, cluster.folder());
    let listed: Vec<serde_json::Value> =
        serde_json::from_str(tsh.run(&["mfa", "ls", "--format=json"]).ok()).unwrap();
    assert_eq!(listed.len(), 2, "{listed:?}");

    next_step();
    let said = with_code(&tsh, &["apps", "login", "aws"], &code_at(&secret, now()));
    assert!(said.ok().starts_with("Logged into AWS app aws."), "{said:?}");
    assert!(said.stderr.contains("Enter your OTP token:"), "{said:?}");
    let _ = tsh.aws(&["dynamodb", "list-tables"]).ok();
    let request = cluster.wait_audit("a request", |event| event["operation"] == "ListTables");
    assert_eq!(request["with_mfa"], true, "{request}");

    // `tsh aws --app` asks in the same way.
    let _ = tsh.run(&["apps", "logout", "aws"]).ok();
    next_step();
    let code = code_at(&secret, now());
    let said = with_code(&tsh, &["aws", "--app", "aws", "--exec", "true"], &code);
    assert_eq!(said.code, 0, "{said:?}");

    next_step();
    let said = with_code(&tsh, &["mfa", "rm", "tablet"], &code_at(&secret, now()));
    assert_eq!(said.ok(), "MFA device \"tablet\" removed.\n");
    let said = tsh.run(&["mfa", "rm", "tablet"]);
    assert!(said.failed().contains("device \"tablet\" not found"), "{said:?}");
    next_step();
    let said = with_code(&tsh, &["mfa", "rm", "otp"], &account.code(0).unwrap());
    assert!(!said.failed().contains("removed"), "the last one stays: {said:?}");
    assert_eq!(cluster.audit(&["--event", "mfa.add"]).len(), 2);
    assert_eq!(cluster.audit(&["--event", "mfa.delete"]).len(), 1);
}

/// Adds the device `tablet` at the terminal; gives its secret.
fn add_device(tsh: &Tsh, account: &Account, folder: &Path) -> String {
    next_step();
    let command = tsh.command(&["mfa", "add", "--type=totp", "--name=tablet"]);
    let mut adding = Running::start(command, folder.join("mfa-add.log"));
    adding.type_line(&account.code(0).unwrap());
    let secret = adding.between("Secret key:", "\n");
    adding.type_line("000000");
    adding.type_line(&code_at(&secret, now() - 30));
    let (is_ok, text) = adding.end();
    assert!(is_ok && text.contains("MFA device \"tablet\" added."), "{text}");
    assert!(text.contains("█") && text.contains("otpauth://totp/"), "{text}");
    assert!(text.contains("WARNING:"), "a mistyped code can be typed again: {text}");
    secret
}

#[test]
fn a_passkey_is_added_from_the_terminal_in_the_browser() {
    let cluster = Cluster::without_agent(&Plan {
        second_factor: "optional",
        public_host: "proxy.causeway.test",
        ..Plan::default()
    });
    let account = cluster.user("alice", "access");
    let tsh = cluster.tsh();
    let _ = tsh.login(&account).ok();
    let words = ["mfa", "add", "--type=webauthn", "--name=laptop", "--browser=none"];
    let adding = Running::start(tsh.command(&words), cluster.folder().join("mfa-add.log"));
    let page = format!("https://{}", adding.between("\n  https://", "\n"));
    let settings = json!({
        "name": "alice", "password": PASSWORD, "secret": account.otp_secret, "page": page, "device": "laptop",
    });
    // One code signs in at the page, and the next one shows who adds the passkey.
    next_step();
    let _ = browse(&cluster, "add_passkey", settings);
    let (is_ok, text) = adding.end();
    assert!(is_ok && text.contains("MFA device \"laptop\" added."), "{text}");
    let listed = tsh.run(&["mfa", "ls"]).ok().to_owned();
    assert!(listed.contains("laptop") && listed.contains("WEBAUTHN"), "{listed}");
}

/// A browser that is signed in: curl with cookies.
struct Browser {
    jar: PathBuf,
    origin: String,
}

impl Browser {
    fn sign_in(cluster: &Cluster, user: &str) -> Self {
        let jar = cluster.folder().join(format!("{user}.jar"));
        let browser = Self { jar, origin: format!("https://{}", cluster.proxy) };
        let page = browser.get(&format!("{}/web/login", browser.origin));
        let fields = [
            ("csrf", field(&page, "csrf")),
            ("user", user.to_owned()),
            ("password", PASSWORD.to_owned()),
        ];
        let _ = browser.post(&format!("{}/web/login", browser.origin), &fields);
        browser
    }

    fn get(&self, address: &str) -> String {
        self.curl(address, &[])
    }

    fn post(&self, address: &str, fields: &[(&str, String)]) -> String {
        let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let fields = fields.iter().flat_map(|field| ["--data-urlencode", field.as_str()]);
        self.curl(address, &fields.collect::<Vec<_>>())
    }

    fn curl(&self, address: &str, more: &[&str]) -> String {
        let jar = self.jar.to_str().unwrap();
        let origin = format!("Origin: {}", self.origin);
        let mut command = Command::new("curl");
        command.args(["-sS", "-k", "-i", "--noproxy", "*", "-b", jar, "-c", jar, "-H", &origin]);
        command.args(more).arg(address);
        run(command, "").ok().to_owned()
    }

    /// Opens the page that `tsh` asked for and approves; gives where the browser is sent then.
    fn approve(&self, address: &str) -> String {
        let page = self.get(address);
        assert!(page.contains("Approve"), "{page}");
        let names = ["csrf", "purpose", "port", "code_challenge", "state"];
        let fields: Vec<_> = names.iter().map(|name| (*name, field(&page, name))).collect();
        let page = self.post(&format!("{}/web/tsh", self.origin), &fields);
        let (_, rest) = page.split_once("url=").unwrap_or_else(|| panic!("not sent back: {page}"));
        rest.lines().next().unwrap().trim().to_owned()
    }
}

fn field(page: &str, name: &str) -> String {
    let (_, rest) = page
        .split_once(&format!("name=\"{name}\" value=\""))
        .unwrap_or_else(|| panic!("no field {name}: {page}"));
    rest.split('"').next().unwrap().to_owned()
}

fn log_in_by_browser(cluster: &Cluster, tsh: &Tsh, user: Option<&str>) -> Running {
    let proxy = format!("--proxy={}", cluster.proxy);
    let mut arguments = vec!["login", "--insecure", "--auth=browser", "--browser=none", &proxy];
    let user = user.map(|user| format!("--user={user}"));
    arguments.extend(user.as_deref());
    Running::start(tsh.command(&arguments), tsh.home().join("login.log"))
}

#[test]
fn a_browser_that_is_signed_in_lets_tsh_log_in() {
    let cluster = Cluster::without_agent(&Plan::default());
    let _ = cluster.user("alice", "access");
    let browser = Browser::sign_in(&cluster, "alice");
    let tsh = cluster.tsh();
    let running = log_in_by_browser(&cluster, &tsh, None);
    let address = format!("https://{}", running.between("\n  https://", "\n"));
    assert!(address.contains("purpose=login"), "{address}");
    let callback = browser.approve(&address);
    assert!(
        callback.starts_with("http://127.0.0.1:") && callback.contains("/callback?"),
        "{callback}"
    );

    // A forged answer is turned away, and does not keep the right one from coming.
    let forged = callback.replace("state=", "state=x");
    assert!(browser.get(&forged).contains("400 Bad Request"), "{forged}");
    let other_host = {
        let mut command = Command::new("curl");
        command.args(["-sS", "-i", "--noproxy", "*", "-H", "Host: evil.example.com", &callback]);
        run(command, "").ok().to_owned()
    };
    assert!(other_host.contains("400 Bad Request"), "{other_host}");
    let done = browser.get(&callback);
    assert!(done.contains("200 OK") && done.contains("You can close this window"), "{done}");
    let (is_ok, text) = running.end();
    assert!(is_ok && text.contains("Logged in as:") && text.contains("alice"), "{text}");
    let status = tsh.run(&["status", "--format=json"]);
    assert!(status.ok().contains("\"username\": \"alice\""), "{status:?}");

    // Somebody else than was asked for.
    let running = log_in_by_browser(&cluster, &cluster.tsh(), Some("bob"));
    let address = format!("https://{}", running.between("\n  https://", "\n"));
    let _ = browser.get(&browser.approve(&address));
    let (is_ok, text) = running.end();
    assert!(!is_ok && text.contains("signed in as alice, not as bob"), "{text}");
}
