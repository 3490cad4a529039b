//! A browser's token, and the user certificate that is sealed under it.
//!
//! The cookie is 32 random bytes. The Auth Service keeps its SHA-256 and the certificate with its
//! key, sealed with AES-256-GCM under a key that HKDF-SHA256 derives from the token. So neither the
//! store nor a stolen hash opens a session, and any proxy resumes one from the cookie alone.

use api::types::web_sessions::TokenHash;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::{digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pki::Credential;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::{Zeroize as _, Zeroizing};

/// What the derived key is for.
const INFO: &[u8] = b"causeway web session";
/// Length of a token, bytes.
const TOKEN_LEN: usize = 32;

/// What a browser's cookie holds.
pub(crate) struct Token(Zeroizing<String>);

/// Why something could not be sealed or opened.
#[derive(Debug, Error)]
pub(crate) enum SealError {
    /// The crypto library has no random bytes, or refuses.
    #[error("could not seal the session")]
    Sealing,
    /// Not what was sealed under this token.
    #[error("the session cannot be opened with this token")]
    Opening,
    /// What was sealed is no certificate with its key.
    #[error("the session holds no usable certificate")]
    Content,
}

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Content {
    certificate: String,
    key: Zeroizing<String>,
}

impl Token {
    /// A new one, drawn at random.
    pub(crate) fn draw() -> Result<Self, SealError> {
        random_text().map(Self)
    }

    /// The token in a cookie; `None` if it cannot be one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        decoded(text)?;
        Some(Self(Zeroizing::new(text.to_owned())))
    }

    /// As the cookie holds it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// What the Auth Service knows it by: the SHA-256 of its text.
    pub(crate) fn hash(&self) -> TokenHash {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, self.0.as_bytes()).as_ref());
        TokenHash::new(hash)
    }

    /// Seals a certificate with its key.
    pub(crate) fn seal(&self, credential: &Credential) -> Result<String, SealError> {
        let content = Content {
            certificate: credential.cert().as_str().to_owned(),
            key: Zeroizing::new(credential.key().secret_pem().expose().to_owned()),
        };
        let mut bytes = serde_json::to_vec(&content).map_err(|_| SealError::Sealing)?;
        let nonce = self
            .key()?
            .seal_in_place_append_tag(Aad::empty(), &mut bytes)
            .map_err(|_| SealError::Sealing)?;
        let sealed = [nonce.as_ref().as_slice(), &bytes].concat();
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens what was sealed under this token.
    pub(crate) fn open(&self, sealed: &str) -> Result<Credential, SealError> {
        let mut bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| SealError::Opening)?;
        let (nonce, rest) = bytes.split_first_chunk_mut::<NONCE_LEN>().ok_or(SealError::Opening)?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain =
            self.key()?.open_in_place(nonce, Aad::empty(), rest).map_err(|_| SealError::Opening)?;
        let content = serde_json::from_slice::<Content>(plain);
        plain.zeroize();
        let content = content.map_err(|_| SealError::Content)?;
        Credential::from_pem(&content.certificate, &content.key).map_err(|_| SealError::Content)
    }

    fn key(&self) -> Result<RandomizedNonceKey, SealError> {
        let token = Zeroizing::new(decoded(&self.0).ok_or(SealError::Opening)?);
        let mut key = Zeroizing::new([0; 32]);
        Salt::new(HKDF_SHA256, &[])
            .extract(token.as_ref())
            .expand(&[INFO], KeyLen)
            .and_then(|okm| okm.fill(key.as_mut()))
            .map_err(|_| SealError::Sealing)?;
        RandomizedNonceKey::new(&AES_256_GCM, key.as_ref()).map_err(|_| SealError::Sealing)
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token([secret])")
    }
}

/// Tells HKDF how long the key is.
struct KeyLen;

impl KeyType for KeyLen {
    fn len(&self) -> usize {
        32
    }
}

/// 32 random bytes as text for a cookie or a form.
pub(crate) fn random_text() -> Result<Zeroizing<String>, SealError> {
    let mut bytes = Zeroizing::new([0; TOKEN_LEN]);
    rand::fill(bytes.as_mut()).map_err(|_| SealError::Sealing)?;
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_ref())))
}

/// Whether a text has the form of [`random_text`].
pub(crate) fn is_random_text(text: &str) -> bool {
    decoded(text).is_some()
}

fn decoded(text: &str) -> Option<[u8; TOKEN_LEN]> {
    let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
    <[u8; TOKEN_LEN]>::try_from(bytes.as_slice()).ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn credential() -> Credential {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        pki::web::self_signed(&["alice.example.com".to_owned()], now).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_with_its_token_alone() {
        let (mine, other) = (Token::draw().unwrap(), Token::draw().unwrap());
        let credential = credential();
        let sealed = mine.seal(&credential).unwrap();
        assert_eq!(mine.open(&sealed).unwrap().cert().as_str(), credential.cert().as_str());
        let again = Token::parse(mine.expose()).unwrap();
        again.open(&sealed).unwrap();
        assert!(matches!(other.open(&sealed), Err(SealError::Opening)));
    }

    #[test]
    fn a_changed_byte_is_noticed_wherever_it_stands() {
        let token = Token::draw().unwrap();
        let sealed = token.seal(&credential()).unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
        for place in [0, NONCE_LEN, bytes.len() / 2, bytes.len() - 1] {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert!(token.open(&URL_SAFE_NO_PAD.encode(changed)).is_err(), "{place}");
        }
        for rubbish in ["", "x", "AAAA", "not base64!"] {
            assert!(token.open(rubbish).is_err(), "{rubbish}");
        }
    }

    #[test]
    fn neither_seal_nor_words_show_the_key_or_the_token() {
        let token = Token::draw().unwrap();
        let sealed = token.seal(&credential()).unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("PRIVATE"));
        assert!(!format!("{token:?}").contains(token.expose()));
        assert_ne!(sealed, token.seal(&credential()).unwrap());
    }

    #[test]
    fn only_32_bytes_are_a_token() {
        for text in ["", "x", &"a".repeat(44), &"a".repeat(42), "é", &"=".repeat(43)] {
            assert!(Token::parse(text).is_none(), "{text}");
        }
    }
}
