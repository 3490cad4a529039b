//! Entry point of `teleport`.

use std::process::ExitCode;

/// Gives memory back where the C library's allocator keeps it (a password's hash alone takes 19 MiB for a moment).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    daemon::command::main()
}
