//! The `teleport` command: settings, start, stop.
//!
//! `config` reads `teleport.yaml`, `start` brings the services up in their
//! order and down again, `diag` serves health and metrics, `command` holds one
//! file a subcommand. What the services do is theirs.

mod cluster;
pub mod command;
pub mod config;
mod diag;
mod logging;
pub mod settings;
mod start;
mod written;

pub use start::{StartError, run};
