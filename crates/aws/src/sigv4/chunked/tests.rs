//! The manual's example, the SDK's signer, and rubbish.

use std::sync::Arc;

use aws_credential_types::Credentials as OracleCredentials;
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request};
use proptest::prelude::*;

use super::{Announced, CHUNK_SIZE, ChunkError, Decoder, Encoder};
use crate::calendar::Stamp;
use crate::sigv4::{Algorithm, Credentials, Keys, Scope, Seed, Trailer};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
/// Of the manual's example.
const SEED: &str = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
/// Of the manual's example with a header behind the body.
const TRAILER_SEED: &str = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e";

fn keys() -> Arc<Keys> {
    Arc::new(Keys::new(Credentials {
        access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
        secret_access_key: SECRET.into(),
        session_token: None,
    }))
}

fn seed(algorithm: Algorithm, signature: &str) -> Seed {
    let scope = match algorithm {
        Algorithm::Hmac => Scope::parse("20130524/us-east-1/s3/aws4_request"),
        Algorithm::Ecdsa => Scope::parse_regionless("20130524/s3/aws4_request", "*"),
    };
    Seed::new(Stamp::parse("20130524T000000Z").unwrap(), scope.unwrap(), signature.to_owned())
}

fn announced(length: u64, trailers: &[&'static str]) -> Announced {
    let names = trailers.iter().map(|name| HeaderName::from_static(name)).collect::<Vec<_>>();
    Announced { length, trailers: (!names.is_empty()).then_some(names) }
}

type Decoded = (Vec<u8>, HeaderMap);

fn decode_with(mut decoder: Decoder, pieces: &[&[u8]]) -> Result<Decoded, ChunkError> {
    let mut out = Vec::new();
    for piece in pieces {
        decoder.push(Bytes::copy_from_slice(piece), &mut out)?;
    }
    let trailers = decoder.finish()?;
    Ok((out.concat(), trailers))
}

fn decode(
    body: &[u8],
    step: usize,
    announced: Announced,
    seed: Seed,
) -> Result<Decoded, ChunkError> {
    let pieces: Vec<&[u8]> = body.chunks(step).collect();
    decode_with(Decoder::new(keys(), seed, announced), &pieces)
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html>, "Example: PUT object".
fn example() -> Vec<u8> {
    [
        b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n".to_vec(),
        vec![b'a'; 65_536],
        b"\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n".to_vec(),
        vec![b'a'; 1024],
        b"\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n".to_vec(),
    ]
    .concat()
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html>, the example there, whose
/// last signature is that of the AWS Common Runtime's tests (the page has another one).
fn example_with_trailer() -> Vec<u8> {
    [
        b"10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n".to_vec(),
        vec![b'a'; 65_536],
        b"\r\n400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n".to_vec(),
        vec![b'a'; 1024],
        b"\r\n0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n".to_vec(),
        b"x-amz-checksum-crc32c:sOO8/Q==\r\n\
          x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
            .to_vec(),
    ]
    .concat()
}

const CRC32C: &str = "x-amz-checksum-crc32c";

#[test]
fn the_manuals_examples_are_accepted_in_pieces_of_any_size() {
    for step in [1, 7, 4096, 1 << 20] {
        let (data, trailers) =
            decode(&example(), step, announced(66_560, &[]), seed(Algorithm::Hmac, SEED)).unwrap();
        assert_eq!((data.len(), trailers.len()), (66_560, 0));
        let seed = seed(Algorithm::Hmac, TRAILER_SEED);
        let announced = announced(66_560, &[CRC32C]);
        let (data, trailers) = decode(&example_with_trailer(), step, announced, seed).unwrap();
        assert_eq!((data.len(), trailers[CRC32C].as_bytes()), (66_560, &b"sOO8/Q=="[..]));
    }
}

fn encode(mut encoder: Encoder, data: &[u8], trailers: &HeaderMap) -> Result<Vec<u8>, ChunkError> {
    let mut out = Vec::new();
    for chunk in data.chunks(CHUNK_SIZE) {
        // In two pieces, as it may come.
        let (left, right) = chunk.split_at(chunk.len() / 2);
        let pieces = [Bytes::copy_from_slice(left), Bytes::copy_from_slice(right)];
        out.extend_from_slice(&encoder.chunk(&pieces)?);
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(&encoder.end(trailers)?);
    Ok(out)
}

#[test]
fn the_manuals_examples_are_what_we_write() {
    let data = vec![b'a'; 66_560];
    let encoder = Encoder::new(keys(), seed(Algorithm::Hmac, SEED), announced(66_560, &[]));
    assert_eq!(encoder.length(), Some(66_824));
    assert_eq!(encode(encoder, &data, &HeaderMap::new()).unwrap(), example());

    let mut trailers = HeaderMap::new();
    trailers.insert(CRC32C, "sOO8/Q==".parse().unwrap());
    let seed = seed(Algorithm::Hmac, TRAILER_SEED);
    let encoder = Encoder::new(keys(), seed, announced(66_560, &[CRC32C]));
    let length = encoder.length();
    let written = encode(encoder, &data, &trailers).unwrap();
    assert_eq!(written, example_with_trailer());
    assert_eq!(length, Some(written.len() as u64));
}

/// A header behind the body for each name, with a value of its length.
fn checksums(names: &[&'static str]) -> HeaderMap {
    let value = |name: &str| "A".repeat(if name.ends_with("sha256") { 44 } else { 8 });
    let header = |name| (HeaderName::from_static(name), value(name).parse().unwrap());
    names.iter().copied().map(header).collect()
}

fn the_length_is_known(algorithm: Algorithm, length: usize, names: &[&'static str]) {
    let signature = keys().sign(seed(algorithm, "").scope(), "the request").unwrap();
    let announced = announced(length as u64, names);
    let encoder = Encoder::new(keys(), seed(algorithm, &signature), announced.clone());
    let told = encoder.length();
    let body = encode(encoder, &vec![7; length], &checksums(names)).unwrap();
    assert_eq!(told, Some(body.len() as u64), "{algorithm:?} {length} {names:?}");
    let (data, read) = decode(&body, 1000, announced, seed(algorithm, &signature)).unwrap();
    assert_eq!((data.len(), read), (length, checksums(names)));
}

#[test]
fn lengths_are_known_beforehand_for_both_algorithms() {
    let size = CHUNK_SIZE;
    for algorithm in [Algorithm::Hmac, Algorithm::Ecdsa] {
        for length in [0, 1, size - 1, size, size + 1, 3 * size, 3 * size + 12_345] {
            the_length_is_known(algorithm, length, &[]);
            the_length_is_known(algorithm, length, &["x-amz-checksum-sha256"]);
            the_length_is_known(algorithm, length, &["x-amz-checksum-crc32", CRC32C]);
        }
    }
    let odd = Encoder::new(keys(), seed(Algorithm::Hmac, SEED), announced(5, &["x-amz-meta"]));
    assert_eq!(odd.length(), None);
}

#[test]
fn what_is_not_as_announced_is_not_completed() {
    let encoder =
        |length| Encoder::new(keys(), seed(Algorithm::Hmac, SEED), announced(length, &[CRC32C]));
    let mut trailers = HeaderMap::new();
    assert_eq!(encode(encoder(5), b"abcde", &trailers), Err(ChunkError::Trailers));
    trailers.insert(CRC32C, "AAAAAA==".parse().unwrap());
    assert!(encode(encoder(5), b"abcde", &trailers).is_ok());
    let wrong = Err(ChunkError::Length { announced: 5 });
    assert_eq!(encode(encoder(5), b"abcd", &trailers), wrong);
    assert_eq!(encode(encoder(5), b"abcdef", &trailers), wrong);
    trailers.insert(CRC32C, "AAAAAAA==".parse().unwrap());
    assert_eq!(encode(encoder(5), b"abcde", &trailers), Err(ChunkError::Trailers));
    trailers.insert(CRC32C, "AAAAAA==".parse().unwrap());
    trailers.insert("x-amz-meta-more", "1".parse().unwrap());
    assert_eq!(encode(encoder(5), b"abcde", &trailers), Err(ChunkError::Trailers));
}

#[test]
fn every_changed_byte_and_every_cut_is_noticed() {
    let data = b"0123456789";
    let mut trailers = HeaderMap::new();
    trailers.insert(CRC32C, "AAAAAA==".parse().unwrap());
    for algorithm in [Algorithm::Hmac, Algorithm::Ecdsa] {
        let signature = keys().sign(seed(algorithm, "").scope(), "the request").unwrap();
        let announced = announced(10, &[CRC32C]);
        let encoder = Encoder::new(keys(), seed(algorithm, &signature), announced.clone());
        let body = encode(encoder, data, &trailers).unwrap();
        let check = |body: &[u8]| decode(body, 64, announced.clone(), seed(algorithm, &signature));
        assert!(check(&body).is_ok());
        for end in 0..body.len() {
            assert_eq!(check(&body[..end]), Err(ChunkError::Cut), "{end}");
        }
        assert!(check(&[&body[..], b"x"].concat()).is_err());
        for at in 0..body.len() * 8 {
            let mut turned = body.clone();
            turned[at / 8] ^= 1 << (at % 8);
            match check(&turned) {
                Err(_) => {}
                // Upper or lower case of a header's name, a line that ends in LF alone, and padding mean the same.
                Ok(read) => assert_eq!(read, (data.to_vec(), trailers.clone()), "bit {at}"),
            }
        }
    }
}

#[test]
fn chunks_out_of_order_or_of_another_request_are_refused() {
    let body = example();
    // A chunk's head has a size, 81 bytes of signature and CRLF; CRLF follows its data.
    let (first, second) = (5 + 81 + 2 + 65_536 + 2, 3 + 81 + 2 + 1024 + 2);
    assert!(body[first..].starts_with(b"400;") && body[first + second..].starts_with(b"0;"));
    let swapped = [&body[first..first + second], &body[..first], &body[first + second..]].concat();
    let check = |body: &[u8], signature: &str| {
        decode(body, 999, announced(66_560, &[]), seed(Algorithm::Hmac, signature))
    };
    assert_eq!(check(&swapped, SEED), Err(ChunkError::Mismatch));
    assert_eq!(check(&body, TRAILER_SEED), Err(ChunkError::Mismatch));
}

#[test]
fn rubbish_is_refused_by_name() {
    let zeros = "0".repeat(64);
    for body in [
        "5\r\nabcde\r\n".to_owned(),
        format!("5;chunk-signature={zeros}\nabcde"),
        format!("+5;chunk-signature={zeros}\r\n"),
        format!("0x5;chunk-signature={zeros}\r\n"),
        format!("11111111111111111;chunk-signature={zeros}\r\n"),
        format!("ffffffffffffffff;chunk-signature={zeros}\r\n"),
        format!("b;chunk-signature={zeros}\r\n"),
        format!("0;chunk-signature={zeros}\r\n\r\n"),
        "x".repeat(300),
    ] {
        let decoded = decode(body.as_bytes(), 3, announced(10, &[]), seed(Algorithm::Hmac, SEED));
        assert!(!matches!(decoded, Ok(_) | Err(ChunkError::Cut)), "{body}: {decoded:?}");
    }
}

#[test]
fn what_is_announced_is_read_strictly() {
    let read = |headers: &[(&str, &str)], trailer| {
        let mut request = Request::put("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Announced::of_request(&request.body(()).unwrap().into_parts().0, trailer)
    };
    let length = ("x-amz-decoded-content-length", "5");
    assert_eq!(read(&[length], Trailer::Absent), Ok(announced(5, &[])));
    let named = read(&[length, ("x-amz-trailer", CRC32C)], Trailer::Present);
    assert_eq!(named, Ok(announced(5, &[CRC32C])));
    for value in ["", "+5", "5 ", "-1", "99999999999999999999"] {
        let read = read(&[("x-amz-decoded-content-length", value)], Trailer::Absent);
        assert_eq!(read, Err(ChunkError::NoLength), "{value}");
    }
    assert_eq!(read(&[length, length], Trailer::Absent), Err(ChunkError::NoLength));
    for value in ["", "a b", "x,x", "x-amz-trailer-signature", "x-amz-decoded-content-length"] {
        let read = read(&[length, ("x-amz-trailer", value)], Trailer::Present);
        assert_eq!(read, Err(ChunkError::Trailers), "{value}");
    }
    assert_eq!(read(&[length], Trailer::Present), Err(ChunkError::Trailers));
}

/// A body as the SDK signs it: chunks of any size.
fn by_oracle(chunks: &[Vec<u8>], trailer: Option<&str>) -> Vec<u8> {
    let identity =
        OracleCredentials::new("AKIAIOSFODNN7EXAMPLE", SECRET, None, None, "test").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("s3")
        .time(Stamp::parse("20130524T000000Z").unwrap().time())
        .settings(())
        .build()
        .unwrap();
    let (mut out, mut last) = (Vec::new(), SEED.to_owned());
    for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()).chain([&Vec::new()]) {
        let chunk = Bytes::copy_from_slice(chunk);
        last = v4::sign_chunk(&chunk, &last, &params).unwrap().into_parts().1;
        out.extend_from_slice(format!("{:x};chunk-signature={last}\r\n", chunk.len()).as_bytes());
        if !chunk.is_empty() {
            out.extend_from_slice(&chunk);
            out.extend_from_slice(b"\r\n");
        }
    }
    if let Some(value) = trailer {
        let mut headers = aws_smithy_runtime_api::http::Headers::new();
        headers.insert(CRC32C, value.to_owned());
        last = v4::sign_trailer(&headers, &last, &params).unwrap().into_parts().1;
        out.extend_from_slice(
            format!("{CRC32C}:{value}\r\nx-amz-trailer-signature:{last}\r\n").as_bytes(),
        );
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Where a body is cut into pieces.
fn split<'a>(body: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut % (body.len() + 1)).collect();
    at.extend([0, body.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn what_the_sdk_signs_is_read_however_it_is_cut(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..5),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
        trailer in prop::option::of("[A-Za-z0-9+/]{6}=="),
    ) {
        let body = by_oracle(&chunks, trailer.as_deref());
        let data = chunks.concat();
        let names: &[&'static str] = if trailer.is_some() { &[CRC32C] } else { &[] };
        let announced = announced(data.len() as u64, names);
        let decoder = Decoder::new(keys(), seed(Algorithm::Hmac, SEED), announced);
        let (read, trailers) = decode_with(decoder, &split(&body, &cuts)).unwrap();
        prop_assert_eq!(read, data);
        let value = trailers.get(CRC32C).map(|value| value.to_str().unwrap());
        prop_assert_eq!(value, trailer.as_deref());
    }

    #[test]
    fn no_bytes_panic_and_little_is_kept(
        pieces in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..100),
                "[0-9a-f]{0,3};chunk-signature=[0-9a-f*]{0,70}(\r\n)?".prop_map(String::into_bytes),
                Just(b"\r\n".to_vec()),
            ],
            0..20,
        ),
    ) {
        let mut decoder =
            Decoder::new(keys(), seed(Algorithm::Hmac, SEED), announced(10, &[CRC32C]));
        for piece in pieces {
            let mut out = Vec::new();
            let given = piece.len();
            let read = decoder.push(piece.into(), &mut out);
            prop_assert!(out.concat().len() <= given);
            prop_assert!(decoder.kept() <= 1024);
            if read.is_err() {
                break;
            }
        }
    }
}
