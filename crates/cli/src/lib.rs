//! The `tsh` and `tctl` commands: one file a command, one place that prints.
//!
//! No rule is decided here: the Auth Service and the agents decide.

pub mod edge;
pub mod failure;
pub mod format;
pub mod moment;
pub mod output;
pub mod prompt;
mod run;
pub mod table;
pub mod tctl;
pub mod tsh;

pub(crate) use run::block_on;
