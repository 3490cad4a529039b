//! Every event type, and the append-only, hash-chained log.
//!
//! Three things live here: what can happen in a cluster ([`Event`]), the chain that shows whether the record of
//! it was altered ([`chain`]), and the entry that must be open before a call may leave ([`Entry`]).
//!
//! Nothing here does IO, reads a clock or draws a random number: those are arguments. And nothing here can carry
//! an item, a key, a body or a credential: no event has a field for one.

pub mod chain;
pub mod entry;
pub mod events;
pub mod facts;
mod redact;

pub use entry::{Closing, Entry, Record, Request};
pub use events::{Event, What};
pub use facts::{Facts, Verdict};
