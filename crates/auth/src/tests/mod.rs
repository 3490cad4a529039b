//! Tests of what the service promises, through its own doors.

mod doors;
mod hostile;
mod invites;
mod joining;
mod logging_in;
mod resources;
mod sessions;
mod store;
mod town;
mod watching;
