//! The edges of the commands: the clock and the environment.

use std::time::SystemTime;

/// The clock of both commands.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a command line is an edge: here the clock is read")]
pub fn now() -> SystemTime {
    SystemTime::now()
}

/// An environment variable that is set and not empty.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "a command line is an edge: here the environment is read"
)]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether an environment variable says yes.
#[must_use]
pub fn is_set(name: &str) -> bool {
    variable(name).is_some_and(|value| {
        matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on")
    })
}

/// Writes logs to stderr with `-d`; without it they go nowhere. Talk is printed, never logged.
pub fn log_if(is_debug: bool) {
    if !is_debug {
        return;
    }
    let filter = variable("RUST_LOG").unwrap_or_else(|| "info,cli=debug,api=debug".to_owned());
    // A second call in one process (tests) changes nothing.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .try_init();
}
