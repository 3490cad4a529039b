//! The Auth Service: users, roles, tokens, authorities, sessions, the audit log.
//!
//! The only process of a cluster with a store and with the private keys of the
//! authorities. [`start`] gives a running service, [`Handle::stop`] ends it.
//! At the top level stand the rules, in `http` the doors (one a route: who may
//! come in, what is read, which rule is asked), in `store` the shelves (SQLite;
//! a state change and its audit event are one commit).
//!
//! It holds no AWS credential, decides nothing about AWS calls (agents do, from
//! the snapshot that `watch` gives them) and serves no browser.

mod account;
mod admin;
mod app_delegates;
mod app_servers;
mod app_sessions;
mod app_tokens;
mod apps;
mod audit;
mod authorities;
mod browser_codes;
mod caller;
mod ceremonies;
mod cluster;
mod config;
mod events;
mod expiry;
mod factors;
mod http;
mod invites;
mod join;
mod lockout;
mod locks;
mod login;
mod mfa;
mod otp;
mod overview;
mod pages;
mod passwords;
mod preference;
mod presets;
mod refusal;
mod relying_party;
mod resources;
mod roles;
mod service;
mod signing;
mod status;
mod store;
mod throttle;
mod tokens;
mod users;
mod watch;
mod web_certificates;
mod web_sessions;

#[cfg(test)]
mod tests;

pub use admin::{ADMIN_ADDRESS, ADMIN_CERTIFICATE, ADMIN_FOLDER, ADMIN_KEY, ADMIN_TRUST};
pub use config::{AuthConfig, BadStaticToken, Limits, Lockout, PasswordCost, StaticToken};
pub use refusal::Refusal;
pub use service::{Handle, StartError, start};
