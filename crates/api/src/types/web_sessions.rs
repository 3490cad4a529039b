//! Web sessions: what a proxy keeps of a browser that is signed in.
//!
//! The cookie's token is known to the browser alone. The Auth Service keeps its SHA-256 and a
//! certificate with its key that the proxy sealed under the token; it can open neither.

use access::{AppSessionId, UserName};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Most bytes of [`WebSessionRequest::sealed`].
pub const SEALED_LIMIT: usize = 64 * 1024;

/// The id of a web session: 32 lower-case hex digits. It opens nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct WebSessionId(String);

impl WebSessionId {
    /// The id made of 16 random bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(hex::encode(bytes))
    }

    /// Parses an id; `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_hex(text, 32).then(|| Self(text.to_owned()))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for WebSessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

impl<'de> Deserialize<'de> for WebSessionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not the id of a web session"))
    }
}

/// SHA-256 of a cookie's token (the text of the cookie), 64 hex digits on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash.
    #[must_use]
    pub fn new(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenHash")
    }
}

impl Serialize for TokenHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for TokenHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut hash = [0; 32];
        hex::decode_to_slice(&text, &mut hash)
            .map_err(|_| serde::de::Error::custom("not a SHA-256 in hex"))?;
        Ok(Self(hash))
    }
}

/// Opens a web session. Sent by the proxy with the *user's* certificate, so that the session's
/// user and end are those of the certificate.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebSessionRequest {
    /// SHA-256 of the cookie's token.
    pub token_hash: TokenHash,
    /// Certificate and key, sealed under the token; at most [`SEALED_LIMIT`] bytes of text.
    pub sealed: String,
    /// The browser's address as the proxy saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_addr: Option<String>,
    /// The browser, as it names itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// For the session of a web app: its app session, which must be the user's. They end together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_session: Option<AppSessionId>,
    /// The session that this one was opened from, and ends with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<WebSessionId>,
}

impl std::fmt::Debug for WebSessionRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WebSessionRequest {{ app_session: {:?}, .. }}", self.app_session)
    }
}

/// A web session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebSession {
    /// Its id.
    pub id: WebSessionId,
    /// Whose.
    pub user: UserName,
    /// When it began.
    pub created: Timestamp,
    /// When it ends at the latest.
    pub expires: Timestamp,
    /// When it was last used, to the minute.
    pub last_seen: Timestamp,
    /// After so long without use it ends. Proxies say that it is used at least three times in
    /// that time, and no more often than once a minute unless they must.
    #[serde(default)]
    pub idle_timeout_seconds: u64,
    /// The browser's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_addr: Option<String>,
    /// The browser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// For the session of a web app: its app session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_session: Option<AppSessionId>,
    /// The session that this one ends with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<WebSessionId>,
}

/// Looks a session up by its cookie. Proxies only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebSessionLookup {
    /// SHA-256 of the cookie's token.
    pub token_hash: TokenHash,
}

/// A session that was looked up.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebSessionFound {
    /// The session.
    pub session: WebSession,
    /// As the proxy sealed it.
    pub sealed: String,
}

impl std::fmt::Debug for WebSessionFound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WebSessionFound {{ session: {:?}, .. }}", self.session)
    }
}

/// What proxies are told of a live session by the watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebSessionNow {
    /// Its id.
    pub id: WebSessionId,
    /// SHA-256 of the cookie's token.
    pub token_hash: TokenHash,
    /// Whose.
    pub user: UserName,
    /// When it ends at the latest.
    pub expires: Timestamp,
    /// The session that this one ends with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<WebSessionId>,
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_hashes_are_read_strictly() {
        let id = WebSessionId::from_bytes([7; 16]);
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(serde_json::from_str::<WebSessionId>(&json).unwrap(), id);
        for bad in
            ["", "xyz", "0123456789ABCDEF0123456789ABCDEF", "../../../../etc/passwd0000000000"]
        {
            assert_eq!(WebSessionId::parse(bad), None, "{bad}");
        }
        let hash = TokenHash::new([1; 32]);
        let json = serde_json::to_string(&hash).unwrap();
        assert_eq!(serde_json::from_str::<TokenHash>(&json).unwrap(), hash);
        assert!(serde_json::from_str::<TokenHash>("\"0101\"").is_err());
        assert!(!format!("{hash:?}").contains("01"));
    }
}
