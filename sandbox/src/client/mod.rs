//! `awslite`: a very small signing client with the AWS CLI's command shape, for machines that do
//! not have the AWS CLI.
//!
//! It knows any DynamoDB and DynamoDB Streams operation, `sts`, and the plainest of `s3`. It does
//! not know profiles, paging, `--query` or output formats other than JSON.

pub mod command;
pub mod environment;
pub mod run;
pub mod s3;
pub mod shorthand;
pub mod sign;
pub mod transport;

use thiserror::Error;

/// Why a command did not end well.
#[derive(Debug, Error)]
pub enum Failure {
    /// The command makes no sense.
    #[error("{0}")]
    Usage(String),
    /// There are no credentials, or no region.
    #[error("{0}")]
    Setup(String),
    /// The other end could not be reached, or broke off.
    #[error("Could not connect to the endpoint URL: \"{url}\"\n{cause:#}")]
    Connect {
        /// What was to be reached.
        url: String,
        /// Why not.
        cause: anyhow::Error,
    },
    /// AWS, or whoever stands in its way, said no.
    #[error("An error occurred ({code}) when calling the {operation} operation: {message}")]
    Refused {
        /// The error code.
        code: String,
        /// What was called.
        operation: String,
        /// What it said.
        message: String,
    },
    /// A file could not be read or written.
    #[error("{0:#}")]
    File(anyhow::Error),
}

impl Failure {
    /// The exit code that the AWS CLI has for the same.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 252,
            Self::Setup(_) => 253,
            Self::Refused { .. } => 254,
            Self::Connect { .. } | Self::File(_) => 255,
        }
    }
}
