//! A user at a terminal: an account, and a `tsh` with a home of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use totp_rs::{Algorithm, Totp};

use crate::cluster::clean;
use crate::places;
use crate::process::{Process, Said, run};

/// A user who can log in.
#[derive(Debug, Clone)]
pub struct Account {
    /// Name.
    pub name: String,
    /// Password.
    pub password: String,
    /// Secret of the second factor (Base32), if one was enrolled.
    pub otp_secret: Option<String>,
}

impl Account {
    /// Opens an invite link as a browser does and sets the password.
    #[must_use]
    pub fn accept(name: &str, link: &str, password: &str) -> Self {
        let browser = tempfile::tempdir().unwrap();
        let jar = browser.path().join("cookies");
        let open = |address: &str, fields: &[(&str, &str)]| {
            let jar = jar.to_str().unwrap();
            let fields: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let origin = format!("Origin: {}", link.split("/web/").next().unwrap());
            let mut arguments = vec!["-L", "-b", jar, "-c", jar, "-H", &origin, address];
            arguments.extend(fields.iter().flat_map(|field| ["--data-urlencode", field.as_str()]));
            curl(&arguments).ok().to_owned()
        };
        let form = open(link, &[]);
        let csrf = csrf_in(&form);
        let fields = [("csrf", csrf.as_str()), ("password", password), ("confirm", password)];
        let mut page = open(link, &fields);
        let otp_secret = secret_in(&page);
        let account = Self { name: name.to_owned(), password: password.to_owned(), otp_secret };
        // The code of the step before: a code is good once, and the login comes next.
        if let Some(code) = account.code(-1) {
            page = open(&format!("{link}/factor"), &[("csrf", &csrf), ("code", &code)]);
        }
        assert!(page.contains("tsh login"), "the invite was not accepted: {page}");
        account
    }

    /// The code of the second factor, so many steps of 30 seconds from now. One step
    /// of skew is accepted, and each code is good once.
    #[must_use]
    pub fn code(&self, steps: i64) -> Option<String> {
        let secret = self.otp_secret.as_ref()?;
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        Some(code_at(secret, now.saturating_add_signed(steps * 30)))
    }
}

/// The code of a second factor at a moment (seconds since 1970).
#[must_use]
pub fn code_at(secret: &str, seconds: u64) -> String {
    let bytes = totp_rs::Secret::try_from_base32(secret).unwrap();
    totp(bytes).generate(seconds).to_string()
}

fn totp(secret: totp_rs::Secret) -> Totp {
    totp_rs::Builder::new().with_algorithm(Algorithm::SHA1).with_secret(secret).build().unwrap()
}

fn curl(arguments: &[&str]) -> Said {
    let mut command = Command::new("curl");
    command.args(["-sS", "-k", "--fail-with-body", "--noproxy", "*"]);
    // Whatever the proxy is called, it is on this machine.
    command.args(["--connect-to", "::127.0.0.1:"]).args(arguments);
    run(command, "")
}

/// Finds the token of the page's forms.
fn csrf_in(page: &str) -> String {
    let rest =
        page.split("name=\"csrf\" value=\"").nth(1).unwrap_or_else(|| panic!("no form: {page}"));
    rest.split('"').next().unwrap().to_owned()
}

/// Finds the Base32 secret that the page shows to type by hand.
fn secret_in(page: &str) -> Option<String> {
    let pattern = regex::Regex::new(r"[A-Z2-7]{4}(?:[ A-Z2-7]{4,}){3,}|[A-Z2-7]{16,64}").unwrap();
    let found = pattern.find(page)?;
    Some(found.as_str().replace(' ', ""))
}

/// A `tsh` with a home of its own.
#[derive(Debug, Clone)]
pub struct Tsh {
    home: PathBuf,
    proxy: String,
}

impl Tsh {
    /// A user with this home, at this proxy (`host:port`).
    #[must_use]
    pub fn new(home: PathBuf, proxy: String) -> Self {
        Self { home, proxy }
    }

    /// Its `~/.tsh`.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.home.join(".tsh")
    }

    /// Its home.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// A command of this user.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = clean(places::binary("tsh"));
        command.args(arguments).env("HOME", &self.home).current_dir(&self.home);
        command.env("AWS_REGION", "us-east-1").env("AWS_DEFAULT_REGION", "us-east-1");
        command
    }

    /// A shell of this user with our programs and the AWS CLI on its path.
    #[must_use]
    pub fn shell(&self, script: &str) -> Command {
        let programs = places::binary("tsh");
        let mut command = clean("bash");
        command.args(["-euo", "pipefail", "-c", script]);
        command
            .env("PATH", format!("{}:{}", programs.parent().unwrap().display(), path_with_aws()));
        command.env("HOME", &self.home).current_dir(&self.home);
        command.env("AWS_REGION", "us-east-1").env("AWS_DEFAULT_REGION", "us-east-1");
        command
    }

    /// Runs `tsh`.
    pub fn run(&self, arguments: &[&str]) -> Said {
        run(self.command(arguments), "")
    }

    /// Logs in with password and, if there is one, code.
    pub fn login(&self, account: &Account) -> Said {
        let code = account.code(0).unwrap_or_default();
        self.login_with(&account.name, &account.password, &code)
    }

    /// Logs in with what is typed.
    pub fn login_with(&self, user: &str, password: &str, code: &str) -> Said {
        let command = self.command(&[
            "login",
            "--insecure",
            &format!("--proxy={}", self.proxy),
            &format!("--user={user}"),
        ]);
        run(command, &format!("{password}\n{code}\n"))
    }

    /// Runs `tsh aws …` with the AWS CLI of the test clients.
    pub fn aws(&self, arguments: &[&str]) -> Said {
        let mut command = self.command(&["aws"]);
        command.args(arguments).env("PATH", path_with_aws());
        run(command, "")
    }

    /// Starts `tsh proxy aws` on a port and waits until it serves.
    #[must_use]
    pub fn proxy_aws(&self, arguments: &[&str]) -> LocalProxy {
        let port = places::free_port();
        let mut command = self.command(&["proxy", "aws", "--format=text", "-p", &port.to_string()]);
        command.args(arguments);
        let name = format!("tsh-proxy-{port}");
        let mut process = Process::start(&name, command, &self.home);
        let environment = process.wait_for("credentials", |process| {
            let output = process.output();
            let pairs: Vec<(String, String)> = output
                .lines()
                .filter_map(|line| line.trim().split_once('='))
                .filter(|(key, _)| key.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect();
            let complete = pairs.iter().any(|(key, _)| key == "AWS_CA_BUNDLE");
            let has_proxy = pairs.iter().any(|(key, _)| key == "HTTPS_PROXY");
            (complete && (has_proxy || output.contains("endpoint URL at"))).then_some(pairs)
        });
        LocalProxy { process, port, environment }
    }
}

/// `PATH` with the test clients' AWS CLI first.
#[must_use]
pub fn path_with_aws() -> String {
    let own = places::python_client("aws");
    let rest = std::env::var_os("PATH").unwrap_or_default();
    format!("{}:{}", own.parent().unwrap().display(), rest.to_string_lossy())
}

/// A running `tsh proxy aws`.
#[derive(Debug)]
pub struct LocalProxy {
    /// The process.
    pub process: Process,
    /// Its port.
    pub port: u16,
    /// What it told to set.
    pub environment: Vec<(String, String)>,
}

impl LocalProxy {
    /// One of the printed variables.
    #[must_use]
    pub fn value(&self, name: &str) -> &str {
        self.environment.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}
