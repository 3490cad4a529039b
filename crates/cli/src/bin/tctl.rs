//! The `tctl` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::tctl::main()
}
