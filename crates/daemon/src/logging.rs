//! Logs for operators, as `teleport.log` and `RUST_LOG` ask.

use std::fs::OpenOptions;
use std::sync::Mutex;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::settings::{LogOutput, LogSettings};

/// Starts logging. `RUST_LOG` goes before the severity of the file.
pub(crate) fn start(settings: &LogSettings) -> anyhow::Result<()> {
    let default = format!("{},h2=warn,hyper=warn,rustls=warn", settings.severity);
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let writer = match &settings.output {
        LogOutput::Stderr => BoxMakeWriter::new(std::io::stderr),
        LogOutput::Stdout => BoxMakeWriter::new(std::io::stdout),
        LogOutput::File(path) => {
            let file = OpenOptions::new()
                .append(true)
                .create(true)
                .open(path)
                .with_context(|| format!("could not open the log file {}", path.display()))?;
            BoxMakeWriter::new(Mutex::new(file))
        }
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let colour = settings.output == LogOutput::Stderr
        && std::io::IsTerminal::is_terminal(&std::io::stderr());
    if settings.json {
        builder.json().flatten_event(true).init();
    } else {
        builder.with_ansi(colour).init();
    }
    Ok(())
}
