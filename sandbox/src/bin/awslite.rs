//! `awslite`: see `sandbox::client`.

use std::io::Write as _;
use std::process::ExitCode;

use sandbox::client::command::Command;
use sandbox::client::environment::Environment;
use sandbox::client::run::run;

fn main() -> ExitCode {
    let outcome = Command::read(std::env::args().skip(1)).and_then(|command| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| sandbox::client::Failure::File(error.into()))?;
        runtime.block_on(run(&command, environment(), &mut std::io::stdout().lock()))
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // As the AWS CLI does it: an empty line first.
            let _ = writeln!(std::io::stderr(), "\n{failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the command line's one place that reads the environment"
)]
fn environment() -> Environment {
    Environment::read(|name| std::env::var(name).ok())
}
