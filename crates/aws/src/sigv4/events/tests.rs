//! The SDK's signer, cuts, changes, and rubbish.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials as OracleCredentials;
use aws_sigv4::event_stream::{SigningParams, sign_empty_message, sign_message};
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::Bytes;
use proptest::prelude::*;

use super::{EventError, Signer, Verifier};
use crate::calendar::Stamp;
use crate::sigv4::{Credentials, Keys, Scope, Seed};

const SEED: &str = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
const ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

fn keys() -> Arc<Keys> {
    Arc::new(Keys::new(Credentials {
        access_key_id: ID.to_owned(),
        secret_access_key: SECRET.into(),
        session_token: None,
    }))
}

/// Just before midnight, so that a stream goes over the change of the day.
fn start() -> SystemTime {
    Stamp::parse("20130524T235950Z").unwrap().time()
}

fn seed() -> Seed {
    let scope = Scope::parse("20130524/us-east-1/transcribe/aws4_request").unwrap();
    Seed::new(Stamp::parse("20130524T235950Z").unwrap(), scope, SEED.to_owned())
}

/// A stream as the SDK signs it: a message every ten seconds, then the empty one.
fn by_oracle(payloads: &[Vec<u8>]) -> Vec<u8> {
    let identity = OracleCredentials::new(ID, SECRET, None, None, "test").into();
    let (mut out, mut last) = (Vec::new(), SEED.to_owned());
    for (number, payload) in payloads.iter().map(Some).chain([None]).enumerate() {
        let time = start() + Duration::from_secs(10 * number as u64);
        let params: SigningParams<'_> = aws_sigv4::sign::v4::SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name("transcribe")
            .time(time)
            .settings(())
            .build()
            .unwrap();
        let signed = match payload {
            Some(payload) => {
                let message = Message::new(payload.clone()).add_header(Header::new(
                    ":event-type",
                    HeaderValue::String("AudioEvent".into()),
                ));
                sign_message(&message, &last, &params).unwrap()
            }
            None => sign_empty_message(&last, &params).unwrap(),
        };
        let (message, signature) = signed.into_parts();
        aws_smithy_eventstream::frame::write_message_to(&message, &mut out).unwrap();
        last = signature;
    }
    out
}

fn verify(pieces: &[&[u8]]) -> Result<Vec<u8>, EventError> {
    let (mut verifier, mut out) = (Verifier::new(keys(), seed()), Vec::new());
    for piece in pieces {
        verifier.push(piece, start(), &mut out)?;
    }
    verifier.finish()?;
    Ok(out.concat())
}

#[test]
fn what_the_sdk_signs_passes_unchanged() {
    let stream = by_oracle(&[b"one".to_vec(), Vec::new(), vec![7; 70_000]]);
    for step in [1, 13, 4096, 1 << 20] {
        let pieces: Vec<&[u8]> = stream.chunks(step).collect();
        assert_eq!(verify(&pieces).unwrap(), stream);
    }
}

#[test]
fn what_we_sign_is_what_the_sdk_would() {
    // Signed by other keys and at another time, the payloads are the same.
    let stream = by_oracle(&[b"one".to_vec(), b"two".to_vec()]);
    let (mut signer, mut out) = (Signer::new(keys(), seed()), Vec::new());
    let mut at = start();
    let mut verifier = Verifier::new(keys(), seed());
    for piece in stream.chunks(50) {
        let mut signed = Vec::new();
        signer.push(piece, at, &mut signed).unwrap();
        // Each is out as soon as it is complete, and right.
        verifier.push(&signed.concat(), at, &mut out).unwrap();
        at += Duration::from_secs(4);
    }
    signer.finish().unwrap();
    verifier.finish().unwrap();
    assert_eq!(out.len(), 3);
    for message in out {
        let mut bytes = message;
        aws_smithy_eventstream::frame::read_message_from(&mut bytes).unwrap();
    }
}

#[test]
fn every_changed_bit_and_every_cut_is_noticed() {
    let stream = by_oracle(&[b"payload".to_vec()]);
    assert!(verify(&[&stream]).is_ok());
    for bit in 0..stream.len() * 8 {
        let mut turned = stream.clone();
        turned[bit / 8] ^= 1 << (bit % 8);
        assert!(verify(&[&turned]).is_err(), "bit {bit}");
    }
    let whole: Vec<usize> =
        (0..stream.len()).filter(|end| verify(&[&stream[..*end]]).is_ok()).collect();
    // Only at the borders of messages.
    assert_eq!(whole.len(), 2);
}

#[test]
fn a_message_with_right_checksums_and_a_wrong_signature_is_refused() {
    let stream = by_oracle(&[b"one".to_vec(), b"two".to_vec()]);
    let first = u32::from_be_bytes(stream[..4].try_into().unwrap()) as usize;
    // The second message without the first.
    assert_eq!(verify(&[&stream[first..]]), Err(EventError::Mismatch));
    let forged = super::frame::write(1_369_439_990_000, &[0; 32], b"x").unwrap();
    assert_eq!(verify(&[&forged]), Err(EventError::Mismatch));
    let late = super::frame::write(1_369_000_000_000, &[0; 32], b"x").unwrap();
    assert_eq!(verify(&[&late]), Err(EventError::Skewed));
}

#[test]
fn a_length_is_believed_only_within_bounds() {
    let mut prelude = [(17_u32 << 20).to_be_bytes(), 0_u32.to_be_bytes()].concat();
    prelude.extend(super::frame::crc32(&prelude).to_be_bytes());
    assert!(matches!(verify(&[&prelude]), Err(EventError::Malformed(_))));
    let (mut signer, mut out) = (Signer::new(keys(), seed()), Vec::<Bytes>::new());
    assert!(signer.push(&prelude, start(), &mut out).is_err());
}

#[test]
fn the_checksum_is_the_standard_one() {
    assert_eq!(super::frame::crc32(b"123456789"), 0xCBF4_3926);
}

proptest! {
    #[test]
    fn any_stream_passes_however_it_is_cut(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..4),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let stream = by_oracle(&payloads);
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
        at.extend([0, stream.len()]);
        at.sort_unstable();
        let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
        prop_assert_eq!(verify(&pieces).unwrap(), stream);
    }

    #[test]
    fn no_bytes_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..10)) {
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let _ = verify(&pieces);
    }

    #[test]
    fn no_headers_panic(headers in prop::collection::vec(any::<u8>(), 0..128), payload in any::<[u8; 9]>()) {
        let length = u32::try_from(16 + headers.len() + payload.len()).unwrap();
        let mut bytes = [length, u32::try_from(headers.len()).unwrap()].map(u32::to_be_bytes).concat();
        bytes.extend(super::frame::crc32(&bytes).to_be_bytes());
        bytes.extend(&headers);
        bytes.extend(payload);
        bytes.extend(super::frame::crc32(&bytes).to_be_bytes());
        prop_assert!(verify(&[&bytes]).is_err());
    }
}
