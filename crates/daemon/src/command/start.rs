//! `teleport start`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use crate::config;
use crate::settings::{Overrides, Settings};

/// Default place of the configuration file.
const DEFAULT_FILE: &str = "/etc/teleport.yaml";

/// Start the services that the configuration file enables.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Configuration file [default: /etc/teleport.yaml].
    #[arg(short = 'c', long = "config", value_name = "FILE", env = "TELEPORT_CONFIG_FILE")]
    pub(super) config: Option<PathBuf>,
    /// Log at debug level.
    #[arg(short = 'd', long)]
    pub(super) debug: bool,
    /// Services to run, comma-separated: auth, proxy, app. Replaces the file's `enabled` keys.
    #[arg(short = 'r', long, value_name = "ROLES")]
    pub(super) roles: Option<String>,
    /// Join token, or the absolute path of a file with it.
    #[arg(long, value_name = "TOKEN")]
    pub(super) token: Option<String>,
    /// Address of the Auth Service, host:port.
    #[arg(long, value_name = "ADDR")]
    pub(super) auth_server: Option<String>,
    /// Pin of the cluster's CA, sha256:<hex>; may be repeated.
    #[arg(long, value_name = "PIN")]
    pub(super) ca_pin: Vec<String>,
    /// Name of this host.
    #[arg(long, value_name = "NAME")]
    pub(super) nodename: Option<String>,
    /// Where to serve health and metrics, host:port.
    #[arg(long, value_name = "ADDR")]
    pub(super) diag_addr: Option<String>,
    /// Where to write the process id.
    #[arg(long, value_name = "FILE")]
    pub(super) pid_file: Option<PathBuf>,
    /// Do not check the proxy's web certificate when joining. For trials only.
    #[arg(long)]
    pub(super) insecure: bool,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let insecure = arguments.insecure;
    let settings = settings(&arguments)?;
    super::super::run(settings, insecure).context("the services could not run")
}

fn settings(arguments: &Arguments) -> anyhow::Result<Settings> {
    let file = arguments.config.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    let text =
        api::files::read(&file).context("no configuration; write one with `teleport configure`")?;
    let overrides = Overrides {
        roles: arguments.roles.clone().map(|roles| vec![roles]),
        token: arguments.token.clone(),
        auth_server: arguments.auth_server.clone(),
        ca_pins: arguments.ca_pin.clone(),
        nodename: arguments.nodename.clone(),
        diag_addr: arguments.diag_addr.clone(),
        pid_file: arguments.pid_file.clone(),
        debug: arguments.debug,
    };
    Ok(config::read(&text, &file.display().to_string(), &overrides)?)
}
