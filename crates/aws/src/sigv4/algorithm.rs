//! The two algorithms that AWS signs with.

/// How a request is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// SigV4, `AWS4-HMAC-SHA256`: good for one region.
    Hmac,
    /// SigV4A, `AWS4-ECDSA-P256-SHA256`: good for a set of regions.
    Ecdsa,
}

impl Algorithm {
    /// Its name in `Authorization` and in what is signed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hmac => "AWS4-HMAC-SHA256",
            Self::Ecdsa => "AWS4-ECDSA-P256-SHA256",
        }
    }

    /// The algorithm with this name.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        [Self::Hmac, Self::Ecdsa].into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// How a header of a streamed body is called: `AWS4-HMAC-SHA256-PAYLOAD` and so on.
    pub(crate) fn of_part(self, part: &str) -> String {
        format!("{}-{part}", self.name())
    }

    /// Whether a text can be a signature of this kind, in lower-case hex.
    pub(crate) fn is_signature(self, text: &str) -> bool {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let length = match self {
            Self::Hmac => text.len() == 64,
            // Two integers of up to 33 bytes in DER.
            Self::Ecdsa => (16..=LONGEST).contains(&text.len()) && text.len().is_multiple_of(2),
        };
        length && text.bytes().all(is_hex)
    }

    /// How long a signature in front of a chunk is: SigV4A pads it with `*`, so that a body's length is known beforehand
    /// (as the AWS Common Runtime does, <https://github.com/awslabs/aws-c-auth>).
    pub(crate) fn padded_length(self) -> usize {
        match self {
            Self::Hmac => 64,
            Self::Ecdsa => LONGEST,
        }
    }
}

/// Hex digits of the longest P-256 signature in DER.
const LONGEST: usize = 144;
