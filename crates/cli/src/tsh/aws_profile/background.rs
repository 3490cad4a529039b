//! The proxy behind the profiles' endpoint URL: one a login, started when keys are asked for, ended when they are no
//! longer used.
//!
//! Whether it runs is told by a lock that it holds, which the kernel lets go of however it ends. The lock's file says
//! which process it is and where it listens. Another program on its port can do no harm: tools check its certificate
//! against the login's local authority before they send anything.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use api::files::{self, Mode};
use api::profile::LocalProxyFiles;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::failure::{Failure, OrFail as _};
use crate::tsh::context::{Context, Login};

/// How long it may take to start, or to end.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(20);
/// Where its port is chosen from: below the range that systems take ports for outgoing connections from.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// The proxy of a login.
#[derive(Debug)]
pub struct Background {
    files: LocalProxyFiles,
    home: PathBuf,
    proxy_host: String,
}

/// What the proxy says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Running {
    pid: i32,
    port: u16,
}

/// Says that this process is the proxy, as long as it is kept.
#[derive(Debug)]
pub struct Held {
    lock: File,
    path: PathBuf,
}

impl Background {
    /// The proxy of a login. No IO yet.
    #[must_use]
    pub fn of(context: &Context, login: &Login) -> Self {
        Self {
            files: context.home.local_proxy_files(&login.profile),
            home: context.home.folder().to_owned(),
            proxy_host: login.profile.proxy_host().to_owned(),
        }
    }

    /// The port of the endpoint URL: the wanted one, or the one chosen before, or a free one, which is kept.
    /// A proxy that runs on another ends.
    ///
    /// # Errors
    /// When it cannot be kept, or no port is free.
    pub async fn port(&self, wanted: Option<u16>) -> Result<u16, Failure> {
        let known = self.known_port()?;
        let port = match (wanted.filter(|port| *port != 0), known) {
            (Some(wanted), _) => wanted,
            (None, Some(known)) => known,
            (None, None) => free_port()?,
        };
        if known != Some(port) {
            self.end().await?;
            files::private_folder(&self.files.folder)?;
            files::write(&self.files.port, port.to_string().as_bytes(), Mode::Private)?;
        }
        Ok(port)
    }

    fn known_port(&self) -> Result<Option<u16>, Failure> {
        let text = files::read_optional(&self.files.port)?;
        Ok(text.and_then(|text| text.trim().parse().ok()).filter(|port| *port != 0))
    }

    /// The port that was chosen.
    ///
    /// # Errors
    /// When none was.
    pub fn chosen_port(&self) -> Result<u16, Failure> {
        self.known_port()?.ok_or_else(|| {
            Failure::new("the profile's port is not known any more")
                .with_hint("run `tsh aws-profile write` again")
        })
    }

    /// Makes this process the proxy; `None` when another is.
    ///
    /// # Errors
    /// When the lock's file cannot be used.
    pub async fn hold(&self) -> Result<Option<Held>, Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(held) = self.try_hold()? {
                return Ok(Some(held));
            }
            // Held by the proxy, or for a moment by a process that looks whether it is.
            if self.running().is_some() || Instant::now() >= deadline {
                return Ok(None);
            }
            sleep(LOOK).await;
        }
    }

    fn try_hold(&self) -> Result<Option<Held>, Failure> {
        files::private_folder(&self.files.folder)?;
        let path = self.files.lock.clone();
        let fail = format!("could not lock {}", path.display());
        let file = self.open_lock().or_fail(fail.clone())?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0).or_fail(fail)?;
                Ok(Some(Held { lock: file, path }))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(Failure::caused_by(fail, error)),
        }
    }

    fn open_lock(&self) -> std::io::Result<File> {
        OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(&self.files.lock)
    }

    /// The proxy that runs, if one does.
    fn running(&self) -> Option<Running> {
        let mut file = File::open(&self.files.lock).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => {}
            _ => return None,
        }
        let mut text = String::new();
        file.read_to_string(&mut text).ok()?;
        let (pid, port) = text.trim().split_once(' ')?;
        Some(Running { pid: pid.parse().ok()?, port: port.parse().ok()? })
    }

    fn serves(&self, port: u16) -> bool {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        self.running().is_some_and(|running| running.port == port)
            && TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
    }

    /// Starts the proxy if it does not run, and waits until it serves.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(&self) -> Result<(), Failure> {
        let port = self.chosen_port()?;
        if self.serves(port) {
            return Ok(());
        }
        let mut child = self.spawn()?;
        let deadline = Instant::now() + PATIENCE;
        let mut has_ended = false;
        loop {
            if self.serves(port) {
                return Ok(());
            }
            // Where two start it at once, one ends, and the other's serves both.
            has_ended |= !matches!(child.try_wait(), Ok(None));
            let another_runs = has_ended && self.try_hold()?.is_none();
            if Instant::now() >= deadline || (has_ended && !another_runs) {
                return Err(self.did_not_start(port));
            }
            sleep(LOOK).await;
        }
    }

    fn did_not_start(&self, port: u16) -> Failure {
        let log = files::read_optional(&self.files.log).ok().flatten().unwrap_or_default();
        let reason = log.lines().find_map(|line| line.strip_prefix("ERROR: "));
        let message = match reason {
            Some(reason) => format!("the proxy of the AWS profiles did not start: {reason}"),
            None => format!("the proxy of the AWS profiles did not start on port {port}"),
        };
        Failure::new(message).with_hint(
            "if another program has the port, run `tsh aws-profile write --port` with another",
        )
    }

    fn spawn(&self) -> Result<Child, Failure> {
        let fail = "could not start the proxy of the AWS profiles";
        let program = std::env::current_exe().or_fail(fail)?;
        files::private_folder(&self.files.folder)?;
        let mut options = OpenOptions::new();
        options.create(true).write(true).truncate(true).mode(0o600);
        let log = options.open(&self.files.log).or_fail(fail)?;
        let home = std::path::absolute(&self.home).or_fail(fail)?;
        Command::new(program)
            .arg(format!("--proxy={}", self.proxy_host))
            .args(["aws-profile", "serve"])
            .env("TELEPORT_HOME", &home)
            .env_remove("TELEPORT_AWS_ACCESS_KEY_ID")
            .env_remove("TELEPORT_AWS_SECRET_ACCESS_KEY")
            .env_remove("TELEPORT_USER")
            .current_dir(&home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .or_fail(fail)
    }

    /// Ends the proxy, if it runs.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn end(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while let Some(running) = self.running() {
            if let Some(pid) = rustix::process::Pid::from_raw(running.pid) {
                // It may have ended meanwhile.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
            if Instant::now() >= deadline {
                return Err(Failure::new("the proxy of the AWS profiles does not end"));
            }
            sleep(LOOK).await;
        }
        Ok(())
    }
}

impl Held {
    /// Says that this process serves on a port.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn serves_on(&self, port: u16) -> Result<(), Failure> {
        use std::io::Write as _;
        let text = format!("{} {port}\n", std::process::id());
        (&self.lock)
            .write_all(text.as_bytes())
            .or_fail(format!("could not write {}", self.path.display()))
    }
}

/// A port that nobody listens on now.
fn free_port() -> Result<u16, Failure> {
    let count = PORTS.end - PORTS.start;
    for _ in 0..100 {
        let random = u16::try_from(Uuid::new_v4().as_u128() % u128::from(count)).unwrap_or(0);
        let port = PORTS.start + random;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(Failure::new("no port is free on this machine").with_hint("name one with --port"))
}
