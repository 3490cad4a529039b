//! `tsh completion`: a completion script for a shell. `tctl` uses it too.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::failure::{Failure, OrFail as _};
use crate::output::Output;

/// Print a completion script for a shell
#[derive(Debug, Args)]
pub struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: CompletedShell,
}

/// Shells that are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum CompletedShell {
    /// GNU Bash.
    Bash,
    /// Z shell.
    Zsh,
    /// Fish.
    Fish,
}

/// Runs `completion` for a command line.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(
    args: &CompletionArgs,
    mut command: Command,
    output: &mut Output,
) -> Result<(), Failure> {
    let shell = match args.shell {
        CompletedShell::Bash => Shell::Bash,
        CompletedShell::Zsh => Shell::Zsh,
        CompletedShell::Fish => Shell::Fish,
    };
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    output.text(String::from_utf8(script).or_fail("the script is not text")?)
}
