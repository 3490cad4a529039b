//! The AWS stand-in as a child process.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::places;
use crate::process::{Process, run};

/// The account that the sandbox's roles belong to.
pub const ACCOUNT: &str = "111122223333";

/// A running sandbox.
#[derive(Debug)]
pub struct Sandbox {
    /// The process.
    pub process: Process,
    /// `http://127.0.0.1:port`.
    pub url: String,
    keys: PathBuf,
}

impl Sandbox {
    /// Starts a sandbox with its files in `folder` and any further arguments.
    #[must_use]
    pub fn start(folder: &Path, arguments: &[&str]) -> Self {
        let keys = folder.join("aws-keys.env");
        let mut command = Command::new(places::sandbox_binary("sandbox"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--account", ACCOUNT]);
        command.arg("--keys-out").arg(&keys).args(arguments);
        // What it keeps goes with the folder: it is ended by a signal and cleans nothing up.
        command.env("TMPDIR", folder);
        let mut process = Process::start("sandbox", command, folder);
        let url = process.wait_for("address", |process| {
            let output = process.output();
            let start = output.find("http")?;
            let rest = output.get(start..)?;
            let end = rest.find(|c: char| c.is_whitespace() || c == '"')?;
            Some(rest.get(..end)?.trim_end_matches('/').to_owned())
        });
        Self { process, url, keys }
    }

    /// The environment that an AWS client (or the agent) needs to use the sandbox directly.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let text = std::fs::read_to_string(&self.keys).unwrap();
        let mut pairs: Vec<(String, String)> = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.trim_start_matches("export ").to_owned(), value.to_owned()))
            .collect();
        pairs.push(("AWS_ENDPOINT_URL".to_owned(), self.url.clone()));
        pairs
    }

    /// Asks the control API; `path` is e.g. `secrets`.
    #[must_use]
    pub fn control(&self, path: &str) -> serde_json::Value {
        let mut command = Command::new("curl");
        command
            .args(["-sS", "--fail", "-k", "--noproxy", "*"])
            .arg(format!("{}/_sandbox/{path}", self.url));
        serde_json::from_str(run(command, "").ok()).unwrap()
    }

    /// Posts to the control API, e.g. `fault`.
    pub fn tell(&self, path: &str, body: &serde_json::Value) {
        let mut command = Command::new("curl");
        command.args([
            "-sS",
            "--fail",
            "-k",
            "--noproxy",
            "*",
            "-H",
            "content-type: application/json",
            "--data",
        ]);
        command.arg(body.to_string()).arg(format!("{}/_sandbox/{path}", self.url));
        let _ = run(command, "").ok();
    }
}
