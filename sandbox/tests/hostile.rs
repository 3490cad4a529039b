//! Whatever arrives, the readers answer or refuse: they do not panic, and they do not grow.

use std::sync::Arc;

use http::Request;
use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};
use sandbox::endpoint::Endpoint;
use sandbox::keys;
use sandbox::sigv4::canonical::{Slash, canonical_path, canonical_query, decode, encode};
use sandbox::sigv4::chunks::{Decoder, Framing};
use sandbox::sigv4::crypto::SigningKey;
use sandbox::sigv4::{Claim, Facts, Form, PathRule, Scheme, Verified};

fn verified() -> Verified {
    Verified {
        principal: Arc::new(keys::generate("111122223333", "x")),
        claim: Claim {
            form: Form::Header,
            scheme: Scheme::Symmetric,
            access_key_id: String::new(),
            day: "20130524".to_owned(),
            region: "us-east-1".to_owned(),
            service: "s3".to_owned(),
            signed_headers: Vec::new(),
            signature: String::new(),
            date: "20130524T000000Z".to_owned(),
            at: jiff::Timestamp::UNIX_EPOCH,
            token: None,
        },
        signing_key: SigningKey::Symmetric(Vec::new()),
        payload: String::new(),
    }
}

fn framing() -> impl Strategy<Value = Framing> {
    prop::sample::select(vec![
        Framing::UnsignedWithTrailer,
        Framing::Signed,
        Framing::SignedWithTrailer,
    ])
}

proptest! {
    #[test]
    fn encoding_is_undone_by_decoding(data in any::<Vec<u8>>()) {
        prop_assert_eq!(decode(&encode(&data, Slash::Encode)), data);
    }

    #[test]
    fn canonical_forms_are_their_own_canonical_form(text in "[ -~]{0,60}") {
        let query = canonical_query(&text);
        prop_assert_eq!(canonical_query(&query), query);
        let path = canonical_path(&text, PathRule::Once);
        prop_assert_eq!(canonical_path(&path, PathRule::Once), path);
    }

    #[test]
    fn hosts_never_trouble_the_reader(host in "[a-z0-9.:\\[\\]-]{0,60}") {
        if let Some(endpoint) = Endpoint::of(&host, &[]) {
            prop_assert!(endpoint.service.is_some() || host.contains("localhost") || host.contains(|c: char| c.is_ascii_digit() || c == ':'));
        }
    }

    #[test]
    fn authorizations_never_trouble_the_reader(text in "(AWS4-HMAC-SHA256 )?[ -~]{0,200}") {
        let request = Request::get("/").header("authorization", text).header("x-amz-date", "20130524T000000Z");
        if let Ok(request) = request.body(()) {
            let (head, ()) = request.into_parts();
            let _ = Claim::read(&Facts::of(&head, PathRule::Twice));
        }
    }

    #[test]
    fn chunks_never_give_more_than_came(body in any::<Vec<u8>>(), framing in framing()) {
        let mut out = Vec::new();
        let _ = Decoder::new(framing, &verified()).feed(&body, &mut out);
        prop_assert!(out.len() <= body.len());
    }

    #[test]
    fn good_chunks_come_out_whole_however_they_are_cut(
        data in prop::collection::vec(any::<u8>(), 1..300),
        step in 1usize..50,
    ) {
        let mut body = format!("{:x}\r\n", data.len()).into_bytes();
        body.extend(&data);
        body.extend(b"\r\n0\r\n\r\n");
        let mut decoder = Decoder::new(Framing::UnsignedWithTrailer, &verified());
        let mut out = Vec::new();
        for piece in body.chunks(step) {
            prop_assert!(decoder.feed(piece, &mut out).is_ok());
        }
        prop_assert!(decoder.finish().is_ok());
        prop_assert_eq!(out, data);
    }
}
