//! The chain of signatures in a streamed body: each covers the one before it, the first one the request's.

use std::fmt;
use std::sync::Arc;

use super::keys::{Keys, NoKey};
use super::payload::{hex64, sha256};
use super::scope::Scope;
use crate::calendar::Stamp;

/// A request's own signature, with what it was made from.
#[derive(Clone)]
pub struct Seed {
    stamp: Stamp,
    scope: Scope,
    signature: String,
}

impl Seed {
    pub(crate) fn new(stamp: Stamp, scope: Scope, signature: String) -> Self {
        Self { stamp, scope, signature }
    }

    #[cfg(test)]
    pub(crate) fn scope(&self) -> &Scope {
        &self.scope
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Seed({})", self.scope)
    }
}

/// The running end of a chain.
pub(crate) struct Chain {
    keys: Arc<Keys>,
    seed: Seed,
}

impl Chain {
    pub(crate) fn new(keys: Arc<Keys>, seed: Seed) -> Self {
        Self { keys, seed }
    }

    pub(crate) fn scope(&self) -> &Scope {
        &self.seed.scope
    }

    /// Signs what comes next: the part's name (`PAYLOAD`, `TRAILER`) and the lines that it adds.
    pub(crate) fn sign(&mut self, part: &str, lines: &str) -> Result<&str, NoKey> {
        let text = self.text(part, lines);
        self.seed.signature = self.keys.sign(&self.seed.scope, &text)?;
        Ok(&self.seed.signature)
    }

    /// Whether a signature is that of what comes next; if so, the chain goes on from it.
    #[must_use]
    pub(crate) fn verifies(&mut self, part: &str, lines: &str, signature: &str) -> bool {
        let text = self.text(part, lines);
        let fits = self.seed.scope.algorithm().is_signature(signature)
            && self.keys.verifies(&self.seed.scope, &text, signature);
        if fits {
            signature.clone_into(&mut self.seed.signature);
        }
        fits
    }

    /// From now on signatures are made at another time.
    pub(crate) fn at(&mut self, stamp: Stamp) {
        if stamp.date() != self.seed.scope.date() {
            self.seed.scope = self.seed.scope.on(stamp.date());
        }
        self.seed.stamp = stamp;
    }

    fn text(&self, part: &str, lines: &str) -> String {
        let Seed { stamp, scope, signature } = &self.seed;
        let name = scope.algorithm().of_part(part);
        format!("{name}\n{}\n{scope}\n{signature}\n{lines}", stamp.as_str())
    }
}

/// SHA-256 as lower-case hex.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&hex64(&sha256(bytes))).into_owned()
}
