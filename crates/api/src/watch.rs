//! Following the Auth Service's changes: a full list, then each change.
//!
//! [`Watch::next`] yields one [`Change`] at a time; an error or an end means
//! that the follower must start over with a new [`Watch`], from a full list.

use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::client::Client;
use crate::error::ApiError;
use crate::http::Place;
use crate::types::watch::Change;

/// Longest silence of a living watch: the Auth Service sends a beat every 10 seconds.
pub const SILENCE_LIMIT: Duration = Duration::from_secs(25);
/// Longest line, bytes.
const LINE_LIMIT: usize = 8 * 1024 * 1024;

/// An open watch.
pub struct Watch {
    address: String,
    body: Incoming,
    buffer: BytesMut,
}

impl Watch {
    /// Opens a watch.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses.
    pub async fn open(client: &Client) -> Result<Self, ApiError> {
        let reply = client.watch().await?;
        let address = client.address().to_owned();
        Ok(Self { address, body: reply.into_body(), buffer: BytesMut::new() })
    }

    /// The next change. [`Change::Beat`] is passed on too: it says that the
    /// snapshot is fresh.
    ///
    /// # Errors
    /// When the watch ended, fell silent or cannot be read: open a new one.
    pub async fn next(&mut self) -> Result<Change, ApiError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end);
                self.buffer.advance(1);
                return serde_json::from_slice(&line).map_err(|e| self.place().bad_reply(e));
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), ApiError> {
        if self.buffer.len() > LINE_LIMIT {
            return Err(self.place().bad_reply("a line is longer than 8 MiB"));
        }
        let frame = match timeout(SILENCE_LIMIT, self.body.frame()).await {
            Err(late) => return Err(self.place().interrupted(late)),
            Ok(None) => return Err(self.place().interrupted("the watch was closed")),
            Ok(Some(Err(error))) => return Err(self.place().interrupted(error)),
            Ok(Some(Ok(frame))) => frame,
        };
        if let Ok(data) = frame.into_data() {
            self.buffer.extend_from_slice(&data);
        }
        Ok(())
    }

    fn place(&self) -> Place<'_> {
        Place { address: &self.address, what: "GET /v1/watch" }
    }
}
