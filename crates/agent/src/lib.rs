//! The Application Service: authorizes, assumes the IAM role, re-signs, forwards, audits.
//!
//! It runs beside AWS credentials, dials out to every proxy and waits for streams. Each stream is
//! TLS with the user's own certificate; each request on it walks the one road of [`call`]:
//! parse, decide, open an audit entry, assume the role, sign, forward, close the entry.
//! Web apps have their own road in [`web_app`], TCP apps in [`tcp_app`], and the sign-in to the AWS
//! console in [`console`]; all with the same rules, record and refusals.
//!
//! What keeps that road short is prepared beside it: [`policy`] keeps the snapshot that decides,
//! [`heartbeat`] says which apps are served, [`tunnels`] keeps the way in open, and [`spool`] keeps
//! every audit entry on disk until the Auth Service has it.
//!
//! AWS credentials stay in this crate: they reach no reply, log line, event or error.

mod app_use;
mod assume;
mod aws_chain;
mod body;
mod bytes_between;
mod call;
mod chance;
mod client;
pub mod config;
mod console;
mod derived;
mod expect;
mod forward;
mod giving;
mod heartbeat;
mod lanes;
mod outgoing;
mod policy;
mod record;
mod refusal;
mod server;
pub mod service;
pub mod spool;
mod tcp_app;
#[cfg(test)]
mod tests;
mod told;
mod tunnels;
mod upstream;
mod web_app;
mod workers;

pub use config::{AgentConfig, Deps, Selector, SpoolSettings, SyncWhen};
pub use service::{Handle, StartError, start};
