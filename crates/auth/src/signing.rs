//! The keys that sign apps' tokens: RSA, because RS256 is what every program that reads such tokens knows.
//!
//! Made when first needed and kept in the store; the newest signs, all of them are shown.

use std::time::SystemTime;

use api::types::app_tokens::{Jwk, JwkSet};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use pki::SecretPem;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::refusal::Refusal;
use crate::store::Store;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----\n";
const END: &str = "-----END PRIVATE KEY-----\n";

/// The keys, ready to sign with.
pub(crate) struct Signing {
    newest: EncodingKey,
    keys: JwkSet,
    kid: String,
}

impl Signing {
    /// Loads the keys, or makes the first.
    pub(crate) async fn open(store: &Store, now: SystemTime) -> Result<Self, Refusal> {
        let mut stored = store.read(|reader| reader.signing_keys()).await?;
        if stored.is_empty() {
            let making = tokio::task::spawn_blocking(generate);
            let key = making.await.map_err(|e| Refusal::broken("making a signing key", e))??;
            let kid = public(&key)?.kid;
            let kept = key.clone();
            store.write(move |tx| tx.keep_signing_key(&kid, &kept, now)).await?;
            stored.push(key);
        }
        Self::of(&stored)
    }

    fn of(stored: &[SecretPem]) -> Result<Self, Refusal> {
        let keys = stored.iter().map(public).collect::<Result<Vec<_>, _>>()?;
        let (Some(newest), Some(first)) = (stored.first(), keys.first()) else {
            return Err(Refusal::broken("the signing keys", "there are none"));
        };
        let newest = EncodingKey::from_rsa_pem(newest.expose().as_bytes())
            .map_err(|error| Refusal::broken("loading a signing key", error))?;
        Ok(Self { newest, kid: first.kid.clone(), keys: JwkSet { keys } })
    }

    /// The public keys.
    pub(crate) fn keys(&self) -> &JwkSet {
        &self.keys
    }

    /// A token that says these claims.
    pub(crate) fn sign<C: Serialize>(&self, claims: &C) -> Result<String, Refusal> {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::RS256) };
        jsonwebtoken::encode(&header, claims, &self.newest)
            .map_err(|error| Refusal::broken("signing an app's token", error))
    }
}

fn generate() -> Result<SecretPem, Refusal> {
    let broken = |error| Refusal::broken("making a signing key", error);
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|error| broken(error.to_string()))?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|error| broken(error.to_string()))?;
    let text = Zeroizing::new(STANDARD.encode(der.as_ref()));
    let mut pem = String::with_capacity(BEGIN.len() + END.len() + text.len() + text.len() / 64 + 1);
    pem.push_str(BEGIN);
    for (place, letter) in text.chars().enumerate() {
        if place > 0 && place % 64 == 0 {
            pem.push('\n');
        }
        pem.push(letter);
    }
    pem.push('\n');
    pem.push_str(END);
    Ok(SecretPem::new(pem))
}

/// The public half, named by its thumbprint ([RFC 7638](https://www.rfc-editor.org/rfc/rfc7638)).
fn public(key: &SecretPem) -> Result<Jwk, Refusal> {
    let broken = |error: String| Refusal::broken("reading a signing key", error);
    let text: Zeroizing<String> =
        Zeroizing::new(key.expose().lines().filter(|line| !line.starts_with("-----")).collect());
    let der = Zeroizing::new(STANDARD.decode(text.as_bytes()).map_err(|e| broken(e.to_string()))?);
    let pair = KeyPair::from_pkcs8(&der).map_err(|error| broken(error.to_string()))?;
    let public = pair.public_key();
    let n = URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero());
    let e = URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero());
    let print = digest(&SHA256, format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#).as_bytes());
    Ok(Jwk {
        kty: "RSA".to_owned(),
        alg: "RS256".to_owned(),
        usage: "sig".to_owned(),
        kid: URL_SAFE_NO_PAD.encode(print),
        n,
        e,
    })
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation, decode};

    use super::*;

    #[test]
    fn a_token_verifies_with_the_key_that_it_names_and_with_no_other() {
        let (one, other) = (generate().unwrap(), generate().unwrap());
        let signing = Signing::of(&[one.clone(), other]).unwrap();
        let token =
            signing.sign(&serde_json::json!({"sub": "alice", "exp": 4_102_444_800_u64})).unwrap();
        let header = jsonwebtoken::decode_header(&token).unwrap();
        let keys = &signing.keys().keys;
        assert_eq!(header.kid.as_deref(), Some(keys[0].kid.as_str()));
        let check = |key: &Jwk| {
            let key = DecodingKey::from_rsa_components(&key.n, &key.e).unwrap();
            decode::<serde_json::Value>(&token, &key, &Validation::new(Algorithm::RS256))
        };
        assert_eq!(check(&keys[0]).unwrap().claims["sub"], "alice");
        assert!(check(&keys[1]).is_err());
    }
}
