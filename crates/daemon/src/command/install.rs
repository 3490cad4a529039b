//! `teleport install systemd`: a unit file for the services.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use api::files::{self, Mode};
use clap::{Args, Subcommand};

/// Files that the system needs.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write a systemd unit file.
    Systemd(Arguments),
}

/// Write a systemd unit file.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// File with environment variables for the services.
    #[arg(long, default_value = "/etc/default/teleport")]
    env_file: PathBuf,
    /// Where the services write their process id.
    #[arg(long, default_value = "/run/teleport.pid")]
    pid_file: PathBuf,
    /// Most open files.
    #[arg(long, default_value_t = 524_288)]
    fd_limit: u32,
    /// The teleport program [default: this one].
    #[arg(long, value_name = "FILE")]
    teleport_path: Option<PathBuf>,
    /// Where to write: stdout, a path, or file:///path.
    #[arg(short, long, default_value = "stdout")]
    output: String,
}

pub(super) fn run(command: &Command) -> anyhow::Result<()> {
    let Command::Systemd(arguments) = command;
    let program = match &arguments.teleport_path {
        Some(path) => path.clone(),
        None => std::env::current_exe().context("could not find out this program's own path")?,
    };
    let unit = unit(arguments, &program);
    match arguments.output.as_str() {
        "stdout" | "" => super::print(&unit),
        other => {
            let path = other.strip_prefix("file://").unwrap_or(other);
            Ok(files::write(Path::new(path), unit.as_bytes(), Mode::Public)?)
        }
    }
}

fn unit(arguments: &Arguments, program: &Path) -> String {
    format!(
        "[Unit]\n\
         Description=Teleport Service\n\
         After=network.target\n\
         \n\
         [Service]\n\
         Type=simple\n\
         Restart=on-failure\n\
         EnvironmentFile=-{env}\n\
         ExecStart={program} start --config /etc/teleport.yaml --pid-file={pid}\n\
         PIDFile={pid}\n\
         LimitNOFILE={files}\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n",
        env = arguments.env_file.display(),
        program = program.display(),
        pid = arguments.pid_file.display(),
        files = arguments.fd_limit,
    )
}
