//! Child processes: their output in files, ended when dropped.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// Longest that anything is waited for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running child process.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its output in `<folder>/<name>.log` (appended).
    #[must_use]
    pub fn start(name: &str, mut command: Command, folder: &Path) -> Self {
        let log = folder.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let child = command.spawn().unwrap_or_else(|e| panic!("could not start {name}: {e}"));
        Self { name: name.to_owned(), child, log }
    }

    /// Process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote so far.
    #[must_use]
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits until `found` gives something, or fails with the process's output.
    pub fn wait_for<T>(&mut self, what: &str, mut found: impl FnMut(&Self) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = found(self) {
                return found;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("{} ended ({status}) before {what}:\n{}", self.name, self.output());
            }
            assert!(
                start.elapsed() < PATIENCE,
                "{}: no {what} after {PATIENCE:?}:\n{}",
                self.name,
                self.output()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the process ends by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "{} does not end:\n{}", self.name, self.output());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends a signal (`TERM`, `INT`, `KILL`).
    pub fn signal(&self, signal: &str) {
        let sent =
            Command::new("kill").arg(format!("-{signal}")).arg(self.id().to_string()).status();
        assert!(sent.unwrap().success(), "could not signal {}", self.name);
    }

    /// Ends it as a crash would (SIGKILL) and waits.
    pub fn crash(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Resident memory in bytes, as the system sees it now.
    #[must_use]
    pub fn resident(&self) -> u64 {
        status_field(self.id(), "VmRSS:")
    }

    /// Begins to count the most resident memory anew, so that what came before (the hashing of passwords, which takes
    /// memory on purpose) is none of it. See proc(5), `clear_refs`.
    pub fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.id()), "5").unwrap();
    }

    /// The most resident memory that it ever had, or has had since [`Self::forget_peak`], in bytes; without the pages of
    /// the program's own file, which are large in a build for debugging and can be dropped at any time.
    #[must_use]
    pub fn resident_peak(&self) -> u64 {
        status_field(self.id(), "VmHWM:").saturating_sub(status_field(self.id(), "RssFile:"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.crash();
    }
}

fn status_field(id: u32, field: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap_or(0) * 1024
}

/// What a finished command said.
#[derive(Debug, Clone)]
pub struct Said {
    /// The command, for messages.
    pub command: String,
    /// Exit code; -1 when ended by a signal.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Said {
    /// Fails unless the command succeeded; gives its standard output.
    #[must_use = "the output is what the test is about"]
    pub fn ok(&self) -> &str {
        assert_eq!(
            self.code, 0,
            "{}\nstdout: {}\nstderr: {}",
            self.command, self.stdout, self.stderr
        );
        &self.stdout
    }

    /// Fails unless the command failed; gives its standard error.
    #[must_use = "the output is what the test is about"]
    pub fn failed(&self) -> &str {
        assert_ne!(self.code, 0, "{} succeeded\nstdout: {}", self.command, self.stdout);
        &self.stderr
    }
}

/// Runs a command to its end, with `input` on its standard input.
pub fn run(mut command: Command, input: &str) -> Said {
    let shown = format!("{command:?}");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("could not start {shown}: {e}"));
    // A command that does not read its input closes the pipe: not a failure of the test.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output: Output = child.wait_with_output().unwrap();
    Said {
        command: shown,
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Waits until `found` gives something.
pub fn wait_until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "no {what} after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
