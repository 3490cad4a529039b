//! One authenticated connection carrying many streams, both ends.
//!
//! HTTP/2 with the roles turned round: the agent dials and is the HTTP/2 server ([`far`]); the proxy is the client
//! ([`near`]) and opens each stream with CONNECT. Where the agent has dialled one ahead, a stream takes a connection of
//! its own instead ([`lane`]). The connection comes authenticated: this crate knows no identity and
//! no policy, and makes no connection and no task itself.

pub mod backoff;
mod channel;
mod drain;
mod error;
pub mod far;
mod keepalive;
pub mod lane;
pub mod near;
mod records;
mod settings;
mod splice;
mod stream;
mod wire;

pub use backoff::Backoff;
pub use channel::Channel;
pub use error::{OpenError, StreamError, TunnelError, refusal};
pub use far::{Far, FarHandle, Incoming, accept_on};
pub use lane::{LaneError, LaneHead};
pub use near::{End, Near, NearDriver, connect};
pub use records::Records;
pub use settings::{Keepalive, Settings, Windows};
pub use splice::{Traffic, join, splice};
pub use stream::Stream;
