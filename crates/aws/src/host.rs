//! A DNS name, parsed once: lower case, no port, no trailing dot, only letters, digits and hyphens.
//!
//! Everything that matches hosts matches on this value, never on the text that came in.

use thiserror::Error;

/// RFC 1035 section 2.3.4: 255 octets on the wire, which is 253 characters of text.
const LONGEST: usize = 253;
/// RFC 1035 section 2.3.4.
const LONGEST_LABEL: usize = 63;

/// A syntactically valid DNS name of at least two labels, in its one spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(String);

/// Why a text is not a host that can be matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HostFault {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// More than 253 characters.
    #[error("it is longer than 253 characters")]
    TooLong,
    /// An empty or overlong label, or one that starts or ends with a hyphen.
    #[error("a label is empty, longer than 63 characters, or starts or ends with a hyphen")]
    BadLabel,
    /// Something that no host name holds: a scheme, user info, a path, a query, percent or non-ASCII characters.
    #[error(
        "it holds a character that no host name holds; expected letters, digits, hyphens and dots"
    )]
    BadCharacter,
    /// A port other than 443, or one that is not a number.
    #[error("its port is not 443")]
    BadPort,
    /// One label only, such as `localhost`.
    #[error("it is a single label")]
    SingleLabel,
}

impl Name {
    /// Parses a name: letters of either case, one trailing dot allowed (an absolute name), no port.
    pub(crate) fn parse(text: &str) -> Result<Self, HostFault> {
        if text.is_empty() {
            return Err(HostFault::Empty);
        }
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.len() > LONGEST {
            return Err(HostFault::TooLong);
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
        if !text.bytes().all(allowed) {
            return Err(HostFault::BadCharacter);
        }
        if !text.split('.').all(is_label) {
            return Err(HostFault::BadLabel);
        }
        if !text.contains('.') {
            return Err(HostFault::SingleLabel);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// Parses a name that may carry `:443`.
    pub(crate) fn parse_with_port(text: &str) -> Result<Self, HostFault> {
        match text.split_once(':') {
            None => Self::parse(text),
            Some((name, "443")) => Self::parse(name),
            Some((_, port))
                if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                Err(HostFault::BadPort)
            }
            Some(_) => Err(HostFault::BadCharacter),
        }
    }

    /// The name, lower case, without a trailing dot.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before `.suffix`, if the name ends with exactly those labels and something stands before.
    pub(crate) fn before(&self, suffix: &str) -> Option<&str> {
        let rest = self.0.strip_suffix(suffix)?.strip_suffix('.')?;
        (!rest.is_empty()).then_some(rest)
    }
}

fn is_label(label: &str) -> bool {
    (1..=LONGEST_LABEL).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::{HostFault, Name};

    #[test]
    fn names_have_one_spelling() {
        let plain = Name::parse("dynamodb.us-east-1.amazonaws.com").unwrap();
        for text in [
            "DynamoDB.US-East-1.AmazonAWS.com",
            "dynamodb.us-east-1.amazonaws.com.",
            "dynamodb.us-east-1.amazonaws.com:443",
            "dynamodb.us-east-1.amazonaws.com.:443",
        ] {
            assert_eq!(Name::parse_with_port(text), Ok(plain.clone()), "{text}");
        }
    }

    #[test]
    fn anything_else_than_a_name_is_refused() {
        for (text, fault) in [
            ("", HostFault::Empty),
            (".", HostFault::BadLabel),
            ("a..b", HostFault::BadLabel),
            (".a.b", HostFault::BadLabel),
            ("a.b..", HostFault::BadLabel),
            ("-a.b", HostFault::BadLabel),
            ("a-.b", HostFault::BadLabel),
            ("localhost", HostFault::SingleLabel),
            ("a.b:8443", HostFault::BadPort),
            ("a.b:0443", HostFault::BadPort),
            ("a.b:", HostFault::BadCharacter),
            ("a.b:443:443", HostFault::BadCharacter),
            ("a.b://c.d", HostFault::BadCharacter),
            ("a@b.c", HostFault::BadCharacter),
            ("a.b/c", HostFault::BadCharacter),
            ("a.b?c", HostFault::BadCharacter),
            ("a.b#c", HostFault::BadCharacter),
            ("a.b%2e", HostFault::BadCharacter),
            ("a.b c", HostFault::BadCharacter),
            ("a.b\0", HostFault::BadCharacter),
            ("a.b\r\nx", HostFault::BadCharacter),
            ("ａ.b", HostFault::BadCharacter),
            ("a。b.c", HostFault::BadCharacter),
            ("[::1]", HostFault::BadCharacter),
            ("a_b.c", HostFault::BadCharacter),
        ] {
            assert_eq!(Name::parse_with_port(text), Err(fault), "{text:?}");
        }
        let long_label = format!("{}.com", "a".repeat(64));
        assert_eq!(Name::parse(&long_label), Err(HostFault::BadLabel));
        let long = format!("{}com", "abc.".repeat(75));
        assert_eq!(Name::parse(&long), Err(HostFault::TooLong));
    }
}
