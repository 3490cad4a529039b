//! Tests of what the service promises, through its own doors.

mod account;
mod doors;
mod hostile;
mod invites;
mod joining;
mod lists;
mod log_pages;
mod log_tail;
mod logging_in;
mod migrating;
mod passkey;
mod passkeys;
mod people;
mod preferences;
mod resources;
mod session_mfa;
mod sessions;
mod shelves;
mod store;
mod town;
mod watching;
mod web_sessions;
