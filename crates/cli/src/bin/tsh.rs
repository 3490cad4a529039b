//! The `tsh` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::tsh::main()
}
