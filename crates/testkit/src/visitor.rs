//! Somebody who visits the pages without a browser: `curl` with a jar of cookies.

use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::cluster::{Cluster, clean};
use crate::process::run;
use crate::tsh::Account;

/// A visitor.
#[derive(Debug)]
pub struct Visitor {
    origin: String,
    jar: TempDir,
}

/// One answer, as it was measured.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// From the request's last byte to the answer's first.
    pub waited: Duration,
    /// Bytes of the body as sent.
    pub bytes: u64,
}

impl Visitor {
    /// One of this cluster's.
    #[must_use]
    pub fn of(cluster: &Cluster) -> Self {
        let origin = format!("https://{}", cluster.public_addr);
        Self { origin, jar: tempfile::tempdir().unwrap() }
    }

    /// Signs in; without a second factor.
    pub fn sign_in(&self, account: &Account) {
        let page = self.get("/web/login");
        let csrf = page.split("name=\"csrf\" value=\"").nth(1).unwrap();
        let csrf = csrf.split('"').next().unwrap();
        let fields = [("csrf", csrf), ("user", &account.name), ("password", &account.password)];
        let mut command = self.curl();
        for (name, value) in fields {
            command.arg("--data-urlencode").arg(format!("{name}={value}"));
        }
        command.arg("-L").arg(format!("{}/web/login", self.origin));
        let page = run(command, "");
        assert!(page.ok().contains("Sign out"), "not signed in: {}", page.stdout);
    }

    /// Reads a page.
    #[must_use]
    pub fn get(&self, path: &str) -> String {
        let mut command = self.curl();
        command.arg("-L").arg(format!("{}{path}", self.origin));
        run(command, "").ok().to_owned()
    }

    /// Reads a page many times on one connection.
    #[must_use]
    pub fn measure(&self, path: &str, times: usize) -> Vec<Measured> {
        let mut command = self.curl();
        command.args(["--compressed", "--write-out"]);
        command.arg(
            "%{stderr}%{http_code} %{time_pretransfer} %{time_starttransfer} %{size_download}\\n",
        );
        for _ in 0..times {
            command.args(["-o", "/dev/null"]).arg(format!("{}{path}", self.origin));
        }
        let said = run(command, "");
        let _ = said.ok();
        said.stderr.lines().map(|line| measured(path, line)).collect()
    }

    fn curl(&self) -> Command {
        let mut command = clean("curl");
        let jar = self.jar.path().join("cookies");
        command.args(["-sS", "-k", "--fail", "--noproxy", "*", "--connect-to", "::127.0.0.1:"]);
        command.arg("-b").arg(&jar).arg("-c").arg(&jar);
        command.arg("-H").arg(format!("Origin: {}", self.origin));
        command
    }
}

fn measured(path: &str, line: &str) -> Measured {
    let parts: Vec<&str> = line.split_whitespace().collect();
    let [status, sent, began, bytes] = parts[..] else { panic!("{path}: {line}") };
    assert_eq!(status, "200", "{path}");
    let seconds = |text: &str| Duration::from_secs_f64(text.parse().unwrap());
    Measured { waited: seconds(began).saturating_sub(seconds(sent)), bytes: bytes.parse().unwrap() }
}
