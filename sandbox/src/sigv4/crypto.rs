//! The two primitives that SigV4 needs, and the chain that makes a signing key.

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use aws_lc_rs::{digest, hmac};

use super::claim::{Claim, Scheme};

/// SHA-256 of nothing, in hex.
pub const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// SHA-256 of `data`, in lower-case hex.
pub fn sha256_hex(data: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, data))
}

/// HMAC-SHA-256 of `data` under `key`.
pub fn hmac_sha256(key: &[u8], data: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, data).as_ref().to_vec()
}

/// The key that signs everything of one day, region and service.
pub fn signing_key(secret: &str, date: &str, region: &str, service: &str) -> Vec<u8> {
    let seed = format!("AWS4{secret}");
    let day = hmac_sha256(seed.as_bytes(), date.as_bytes());
    let place = hmac_sha256(&day, region.as_bytes());
    let what = hmac_sha256(&place, service.as_bytes());
    hmac_sha256(&what, b"aws4_request")
}

/// What a pair of AWS keys signs with.
#[derive(Debug, Clone)]
pub enum SigningKey {
    /// SigV4: the secret of one day, region and service.
    Symmetric(Vec<u8>),
    /// SigV4A: the public point of the derived key; empty when there is none, and then nothing fits.
    Asymmetric(Vec<u8>),
}

impl SigningKey {
    /// The key that a claim says to be signed with.
    pub fn of(claim: &Claim, secret: &str) -> Self {
        match claim.scheme {
            Scheme::Symmetric => {
                Self::Symmetric(signing_key(secret, &claim.day, &claim.region, &claim.service))
            }
            Scheme::Asymmetric => {
                Self::Asymmetric(public_point(&claim.access_key_id, secret).unwrap_or_default())
            }
        }
    }

    /// Whether it has made a signature. Padding behind it is left out.
    pub fn made(&self, text: &str, signature: &str) -> bool {
        match self {
            Self::Symmetric(key) => {
                same(&hex::encode(hmac_sha256(key, text.as_bytes())), signature)
            }
            Self::Asymmetric(point) => {
                hex::decode(signature.trim_end_matches('*')).is_ok_and(|signature| {
                    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point);
                    key.verify(text.as_bytes(), &signature).is_ok()
                })
            }
        }
    }
}

/// The public half of the P-256 key that SigV4A derives from a pair of keys: HMACs in counter mode,
/// until one is a number below the curve's order less one; and one more than that.
fn public_point(access_key_id: &str, secret: &str) -> Option<Vec<u8>> {
    for counter in 1..=254_u8 {
        let mut input = vec![0, 0, 0, 1];
        input.extend(b"AWS4-ECDSA-P256-SHA256\0");
        input.extend(access_key_id.as_bytes());
        input.extend([counter, 0, 0, 1, 0]);
        let mut number = hmac_sha256(format!("AWS4A{secret}").as_bytes(), &input);
        for byte in number.iter_mut().rev() {
            let (sum, overflown) = byte.overflowing_add(1);
            *byte = sum;
            if !overflown {
                break;
            }
        }
        // The library refuses zero, and the order and what is above it.
        if let Ok(key) = PrivateKey::from_private_key(&ECDH_P256, &number) {
            return key.compute_public_key().ok().map(|point| point.as_ref().to_vec());
        }
    }
    None
}

/// Compares two texts without telling by its duration where they differ.
pub fn same(one: &str, other: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_key_is_the_one_of_the_aws_manual() {
        let key =
            signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830", "us-east-1", "iam");
        assert_eq!(
            hex::encode(key),
            "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"
        );
    }

    #[test]
    fn public_point_is_the_one_of_the_published_vectors() {
        let point =
            public_point("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY").unwrap();
        assert_eq!(
            hex::encode(point),
            "04b6618f6a65740a99e650b33b6b4b5bd0d43b176d721a3edfea7e7d2d56d936b1\
             865ed22a7eadc9c5cb9d2cbaca1b3699139fedc5043dc6661864218330c8e518"
        );
    }

    #[test]
    fn empty_hash_is_the_hash_of_nothing() {
        assert_eq!(sha256_hex(b""), EMPTY_SHA256);
    }
}
