//! Request and reply types between our processes, one file a noun.

pub mod app_servers;
pub mod app_sessions;
pub mod audit;
pub mod invites;
pub mod join;
pub mod login;
pub mod ping;
pub mod status;
pub mod tokens;
pub mod users;
pub mod watch;
