//! Launch codes: how the session that was opened on the proxy's own host gets to the app's host.
//!
//! A code is sealed under the state, 32 random bytes that only the browser's cookie on the app's host and the
//! address of the launch hold. So any proxy can open it, nobody can without that very browser's cookie, and
//! what another browser or user was given is worth nothing here. It lives 30 seconds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

const INFO: &[u8] = b"causeway launch code";
const LIFE: Duration = Duration::from_secs(30);

/// What a code carries.
#[derive(Serialize, Deserialize)]
pub(super) struct Code {
    /// The app cookie's token.
    pub(super) token: Zeroizing<String>,
    /// For which host.
    pub(super) host: String,
    /// The path and query to go on to.
    pub(super) path: String,
    /// Seconds since 1970.
    expires: u64,
}

impl Code {
    /// A new one.
    pub(super) fn new(token: &str, host: &str, path: &str, now: SystemTime) -> Self {
        let token = Zeroizing::new(token.to_owned());
        let expires = seconds(now) + LIFE.as_secs();
        Self { token, host: host.to_owned(), path: path.to_owned(), expires }
    }

    /// Seals it under a state.
    pub(super) fn seal(&self, state: &str) -> Option<String> {
        let mut bytes = serde_json::to_vec(self).ok()?;
        let aad = Aad::from(self.host.as_bytes());
        let nonce = key(state)?.seal_in_place_append_tag(aad, &mut bytes).ok()?;
        Some(URL_SAFE_NO_PAD.encode([nonce.as_ref().as_slice(), &bytes].concat()))
    }

    /// Opens one that was sealed under this state, for this host, less than 30 seconds ago.
    pub(super) fn open(text: &str, state: &str, host: &str, now: SystemTime) -> Option<Self> {
        let mut bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        let (nonce, rest) = bytes.split_first_chunk_mut::<NONCE_LEN>()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = key(state)?.open_in_place(nonce, Aad::from(host.as_bytes()), rest).ok()?;
        let code: Self = serde_json::from_slice(plain).ok()?;
        (code.host == host && seconds(now) < code.expires).then_some(code)
    }
}

/// Whether a text may be the path of an address of ours: from the root on, and nothing but a path.
pub(super) fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

fn key(state: &str) -> Option<RandomizedNonceKey> {
    let state = Zeroizing::new(URL_SAFE_NO_PAD.decode(state).ok()?);
    if state.len() != 32 {
        return None;
    }
    let mut key = Zeroizing::new([0; 32]);
    Salt::new(HKDF_SHA256, &[])
        .extract(&state)
        .expand(&[INFO], KeyLen)
        .and_then(|okm| okm.fill(key.as_mut()))
        .ok()?;
    RandomizedNonceKey::new(&AES_256_GCM, key.as_ref()).ok()
}

/// Tells HKDF how long the key is.
struct KeyLen;

impl KeyType for KeyLen {
    fn len(&self) -> usize {
        32
    }
}

fn seconds(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(byte: u8) -> String {
        URL_SAFE_NO_PAD.encode([byte; 32])
    }

    #[test]
    fn a_code_is_good_for_its_browser_its_host_and_half_a_minute() {
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let code = Code::new("token", "grafana.example.com", "//x?y=1", now);
        let sealed = code.seal(&state(1)).unwrap();
        let open = |state: &str, host: &str, later: u64| {
            Code::open(&sealed, state, host, now + Duration::from_secs(later))
        };
        let opened = open(&state(1), "grafana.example.com", 29).unwrap();
        assert_eq!((opened.token.as_str(), opened.path.as_str()), ("token", "//x?y=1"));
        assert!(open(&state(2), "grafana.example.com", 1).is_none(), "another browser");
        assert!(open(&state(1), "other.example.com", 1).is_none(), "another app");
        assert!(open(&state(1), "grafana.example.com", 30).is_none(), "too late");
        assert!(open("", "grafana.example.com", 1).is_none());
        assert!(!sealed.contains("token") && code.seal("short").is_none());
        let mut changed = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
        changed[20] ^= 1;
        let changed = URL_SAFE_NO_PAD.encode(changed);
        assert!(Code::open(&changed, &state(1), "grafana.example.com", now).is_none());
    }

    #[test]
    fn only_a_path_is_gone_on_to() {
        for good in ["/", "/a?b=c", "//evil.example", "/a%2F..//b"] {
            assert!(is_path(good), "{good}");
        }
        for bad in ["", "a", "https://evil.example/", "/\\evil.example", "/a b", "/a\r\nb", "/é"] {
            assert!(!is_path(bad), "{bad}");
        }
    }
}
