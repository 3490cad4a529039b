//! The local proxy beside the user: a listener on this machine's loopback that
//! ends the AWS tools' TLS, checks their signatures against throwaway keys and
//! sends their requests on to the app's agent.
//!
//! It decides nothing about who may do what (the agent does), and it holds no
//! AWS credentials.

mod body;
mod check;
mod connect;
mod dial;
mod forward;
mod given;
mod key_ring;
mod keys;
mod listen;
mod pass_through;
mod peer;
mod session;
mod stand_in;
mod upload;

pub use dial::{DialError, Road, RoadError, Route};
pub use forward::Desk;
pub use key_ring::{Given, KeyRing, LocalKey, NotOne};
pub use keys::{BadKeys, ThrowawayKeys};
pub use listen::{LocalProxy, Mode, Settings, StartError};
pub use pass_through::{NoProxy, Upstream, UpstreamError};
pub use session::SessionState;

#[cfg(test)]
mod tests;
