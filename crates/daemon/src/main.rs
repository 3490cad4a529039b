//! Entry point of `teleport`.

use std::process::ExitCode;

fn main() -> ExitCode {
    daemon::command::main()
}
