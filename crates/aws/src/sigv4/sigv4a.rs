//! SigV4A: the P-256 key that is derived from a pair of AWS keys, and signatures made with it.
//!
//! The derivation is NIST SP 800-108 in counter mode over HMAC-SHA256, with candidates thrown away by FIPS 186-4 B.4.2,
//! as AWS's SDKs do it (<https://github.com/awslabs/aws-c-auth>, `key_derivation.c`).

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
    ParsedPublicKey,
};
use zeroize::Zeroizing;

use super::algorithm::Algorithm;

/// The order of P-256 less two (SP 800-186, 3.2.1.3), big endian.
const ORDER_LESS_TWO: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x4f,
];
/// An RFC 5915 private key up to the number itself, and what names the curve behind it.
const DER_FRONT: [u8; 7] = [0x30, 0x31, 0x02, 0x01, 0x01, 0x04, 0x20];
const DER_BACK: [u8; 12] = [0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// A derived key pair.
pub(crate) struct EcdsaKeys {
    pair: EcdsaKeyPair,
    public: ParsedPublicKey,
}

impl EcdsaKeys {
    /// Derives the pair. `None` never happens for keys of less than 64 KB; were it to, nothing would verify.
    pub(crate) fn derive(access_key_id: &str, secret_access_key: &str) -> Option<Self> {
        let private = private_key(access_key_id, secret_access_key)?;
        let der = Zeroizing::new([&DER_FRONT[..], &private[..], &DER_BACK[..]].concat());
        let pair =
            EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, &der).ok()?;
        let public =
            ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, pair.public_key().as_ref()).ok()?;
        Some(Self { pair, public })
    }

    /// The signature of a text, DER in lower-case hex; each is another.
    pub(crate) fn sign(&self, text: &[u8]) -> Option<String> {
        self.pair
            .sign(&SystemRandom::new(), text)
            .ok()
            .map(|signature| hex::encode(signature.as_ref()))
    }

    /// Whether this key made a signature.
    pub(crate) fn verifies(&self, text: &[u8], signature: &str) -> bool {
        hex::decode(signature)
            .is_ok_and(|signature| self.public.verify_sig(text, &signature).is_ok())
    }

    #[cfg(test)]
    pub(crate) fn public_key(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }
}

fn private_key(access_key_id: &str, secret_access_key: &str) -> Option<Zeroizing<[u8; 32]>> {
    let start = Zeroizing::new(format!("AWS4A{secret_access_key}"));
    let key = hmac::Key::new(hmac::HMAC_SHA256, start.as_bytes());
    (1..=254_u8).find_map(|counter| {
        let mut input = Zeroizing::new(1_u32.to_be_bytes().to_vec());
        input.extend_from_slice(Algorithm::Ecdsa.name().as_bytes());
        input.push(0);
        input.extend_from_slice(access_key_id.as_bytes());
        input.push(counter);
        input.extend_from_slice(&256_u32.to_be_bytes());
        let candidate: [u8; 32] = hmac::sign(&key, &input).as_ref().try_into().ok()?;
        next_number(Zeroizing::new(candidate))
    })
}

/// One more than the candidate, if that is a private key.
fn next_number(mut candidate: Zeroizing<[u8; 32]>) -> Option<Zeroizing<[u8; 32]>> {
    if !is_at_most_limit(&candidate) {
        return None;
    }
    let mut carry = 1;
    for byte in candidate.iter_mut().rev() {
        let sum = u16::from(*byte) + carry;
        let [high, low] = sum.to_be_bytes();
        *byte = low;
        carry = u16::from(high);
    }
    Some(candidate)
}

/// Compares big-endian numbers without branching on their digits: the borrow of `limit - number`.
fn is_at_most_limit(number: &[u8; 32]) -> bool {
    let mut borrow = 0_i16;
    for (limit, digit) in ORDER_LESS_TWO.iter().rev().zip(number.iter().rev()) {
        borrow = (i16::from(*limit) - i16::from(*digit) + borrow) >> 8;
    }
    borrow == 0
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::{EcdsaKeys, ORDER_LESS_TWO, next_number, private_key};

    #[test]
    fn derived_keys_are_the_published_ones() {
        let (id, secret) = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let keys = EcdsaKeys::derive(id, secret).unwrap();
        assert_eq!(
            hex::encode(keys.public_key()),
            "04b6618f6a65740a99e650b33b6b4b5bd0d43b176d721a3edfea7e7d2d56d936b1\
             865ed22a7eadc9c5cb9d2cbaca1b3699139fedc5043dc6661864218330c8e518"
        );
        let signature = keys.sign(b"text").unwrap();
        assert!(keys.verifies(b"text", &signature));
        assert!(!keys.verifies(b"test", &signature));
        let other = EcdsaKeys::derive(id, "other").unwrap();
        assert!(!other.verifies(b"text", &signature));
        for signature in ["", "00", "zz", &"00".repeat(70)] {
            assert!(!keys.verifies(b"text", signature));
        }
    }

    #[test]
    fn derivation_agrees_with_the_sdk_for_any_keys() {
        for number in 0..200 {
            let (id, secret) = (format!("AKID{number}"), format!("secret{}", number * 7919));
            let theirs = aws_sigv4::sign::v4a::generate_signing_key(&id, &secret);
            assert_eq!(private_key(&id, &secret).unwrap().as_ref(), theirs.as_ref());
        }
    }

    #[test]
    fn candidates_beyond_the_order_are_thrown_away() {
        let mut limit = ORDER_LESS_TWO;
        assert!(next_number(Zeroizing::new(limit)).is_some());
        limit[31] += 1;
        assert!(next_number(Zeroizing::new(limit)).is_none());
        assert!(next_number(Zeroizing::new([0xff; 32])).is_none());
        let mut small = [0; 32];
        small[31] = 0xff;
        assert_eq!(next_number(Zeroizing::new(small)).unwrap()[30..], [1, 0]);
    }
}
