//! A passkey in software: what a browser and its authenticator would do, and what they would not.

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Present, verified, and (at creation) with the key attached.
const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const ATTACHED: u8 = 0x40;

/// A passkey. Its fields may be bent by hostile tests.
pub(super) struct Passkey {
    key: EcdsaKeyPair,
    id: Vec<u8>,
    rp_id: String,
    pub(super) origin: String,
    pub(super) counter: u32,
    pub(super) flags: u8,
}

impl Passkey {
    /// Makes one as `{"publicKey": creation options}` ask; gives what `toJSON()` would.
    pub(super) fn create(options: &Value) -> (Self, Value) {
        let options = &options["publicKey"];
        let rp_id = options["rp"]["id"].as_str().unwrap().to_owned();
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new());
        let key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.unwrap().as_ref());
        let id = crate::passwords::random::<32>().unwrap().to_vec();
        let origin = format!("https://{rp_id}");
        let flags = PRESENT | VERIFIED;
        let passkey = Self { key: key.unwrap(), id, rp_id, origin, counter: 0, flags };
        let credential = passkey.registered(options["challenge"].as_str().unwrap());
        (passkey, credential)
    }

    fn registered(&self, challenge: &str) -> Value {
        let mut data = self.data(self.flags | ATTACHED);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend(&self.id);
        data.extend(self.cose());
        // {"fmt": "none", "attStmt": {}, "authData": data}
        let mut object = vec![0xa3, 0x63];
        object.extend(b"fmt");
        object.push(0x64);
        object.extend(b"none");
        object.push(0x67);
        object.extend(b"attStmt");
        object.extend([0xa0, 0x68]);
        object.extend(b"authData");
        object.push(0x59);
        object.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        object.extend(&data);
        json!({
            "id": text(&self.id),
            "rawId": text(&self.id),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "response": {
                "attestationObject": text(&object),
                "clientDataJSON": text(&self.client("webauthn.create", challenge)),
                "transports": ["internal"],
                "authenticatorData": text(&data),
                "publicKeyAlgorithm": -7,
            },
            "clientExtensionResults": { "credProps": { "rk": false } },
        })
    }

    /// Answers `{"publicKey": request options}`; gives what `toJSON()` would.
    pub(super) fn answer(&mut self, options: &Value) -> Value {
        self.counter += 1;
        self.answer_with_same_counter(options)
    }

    /// As a copy of the passkey would that does not know of the last use.
    pub(super) fn answer_with_same_counter(&self, options: &Value) -> Value {
        let challenge = options["publicKey"]["challenge"].as_str().unwrap();
        let client = self.client("webauthn.get", challenge);
        let data = self.data(self.flags);
        let mut signed = data.clone();
        signed.extend(digest::digest(&digest::SHA256, &client).as_ref());
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        json!({
            "id": text(&self.id),
            "rawId": text(&self.id),
            "type": "public-key",
            "response": {
                "authenticatorData": text(&data),
                "clientDataJSON": text(&client),
                "signature": text(signature.as_ref()),
                "userHandle": null,
            },
            "clientExtensionResults": {},
        })
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        let mut data = digest::digest(&digest::SHA256, self.rp_id.as_bytes()).as_ref().to_vec();
        data.push(flags);
        data.extend(self.counter.to_be_bytes());
        data
    }

    fn client(&self, kind: &str, challenge: &str) -> Vec<u8> {
        let client = json!({
            "type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": false,
        });
        client.to_string().into_bytes()
    }

    /// `{1: 2, 3: -7, -1: 1, -2: x, -3: y}`.
    fn cose(&self) -> Vec<u8> {
        let point = self.key.public_key().as_ref();
        let (x, y) = point[1..].split_at(32);
        let mut key = vec![0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20];
        key.extend(x);
        key.extend([0x22, 0x58, 0x20]);
        key.extend(y);
        key
    }

    /// Says that nobody touched it.
    pub(super) fn without_presence(mut self) -> Self {
        self.flags &= !PRESENT;
        self
    }
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
