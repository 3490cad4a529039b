//! The subcommands of `teleport`, one file each.

mod app;
mod configure;
mod install;
mod start;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use api::error::Chain;
use clap::{CommandFactory as _, Parser, Subcommand};

/// Secure access to AWS APIs: Auth Service, Proxy Service and Application Service.
#[derive(Debug, Parser)]
#[command(name = "teleport", disable_version_flag = true, max_term_width = 100)]
pub struct Teleport {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the services that the configuration file enables.
    Start(start::Arguments),
    /// Start one app from the command line.
    #[command(subcommand)]
    App(app::Command),
    /// Write a configuration file, or check one with --test.
    Configure(configure::Arguments),
    /// Write files that the system needs to run the services.
    #[command(subcommand)]
    Install(install::Command),
    /// Print the version.
    Version,
    /// Print a completion script for a shell.
    Completion {
        /// bash, zsh, fish, elvish or powershell.
        shell: clap_complete::Shell,
    },
}

/// Runs the command line; errors go to stderr, misuse exits with 2, failure with 1.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Teleport::parse();
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "ERROR: {}", Chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Start(arguments) => start::run(arguments),
        Command::App(command) => app::run(command),
        Command::Configure(arguments) => configure::run(&arguments),
        Command::Install(command) => install::run(&command),
        Command::Version => print(&format!("{}\n", version_line())),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Teleport::command(), "teleport", &mut script);
            std::io::stdout().write_all(&script).context("could not write")
        }
    }
}

/// `Teleport v0.1.0 (Causeway)`.
#[must_use]
pub fn version_line() -> String {
    format!("Teleport v{} (Causeway)", env!("CARGO_PKG_VERSION"))
}

/// Writes to standard output; a closed pipe is no error.
fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("could not write to standard output")
        }
        _ => Ok(()),
    }
}
