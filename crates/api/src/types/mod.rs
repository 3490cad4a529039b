//! Request and reply types between our processes, one file a noun.

pub mod app_delegates;
pub mod app_servers;
pub mod app_sessions;
pub mod app_tokens;
pub mod audit;
pub mod auth_preference;
pub mod browser_codes;
pub mod console;
pub mod invites;
pub mod join;
pub mod login;
pub mod mfa;
pub mod overview;
pub mod pages;
pub mod ping;
pub mod secret;
pub mod status;
pub mod tokens;
pub mod users;
pub mod watch;
pub mod web_certificates;
pub mod web_sessions;
