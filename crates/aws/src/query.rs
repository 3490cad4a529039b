//! Queries and forms: `name=value` pairs, percent-decoded once, and AWS's own encoding.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

/// AWS's UriEncode: all but the unreserved characters of RFC 3986
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same, but for paths, whose slashes stay.
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');
/// The same, but for paths that are encoded already, as far as they are.
const RESERVED_IN_ENCODED_PATH: &AsciiSet = &RESERVED_IN_PATH.remove(b'%');

/// One pair: as it came, and decoded.
pub(crate) struct Pair<'a> {
    pub(crate) raw: &'a str,
    pub(crate) name: Cow<'a, [u8]>,
    pub(crate) value: Cow<'a, [u8]>,
}

impl Pair<'_> {
    /// Whether the name is this one, in any case.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// The pairs of a query or a form. Empty ones (`&&`) are skipped; `+` is a space.
pub(crate) fn pairs(text: &str) -> impl Iterator<Item = Pair<'_>> {
    text.split('&').filter(|raw| !raw.is_empty()).map(|raw| {
        let (name, value) = raw.split_once('=').unwrap_or((raw, ""));
        Pair { raw, name: decode(name), value: decode(value) }
    })
}

fn decode(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('+') {
        return percent_decode(text.as_bytes()).into();
    }
    let spaced = text.replace('+', " ");
    Cow::Owned(percent_decode(spaced.as_bytes()).collect())
}

/// AWS's UriEncode.
pub(crate) fn encode(bytes: &[u8]) -> Cow<'_, str> {
    percent_encode(bytes, RESERVED).into()
}

/// AWS's UriEncode of a path, slashes kept.
pub(crate) fn encode_path(path: &str) -> Cow<'_, str> {
    percent_encode(path.as_bytes(), RESERVED_IN_PATH).into()
}

/// AWS's UriEncode of what is not encoded yet: escapes and slashes stay.
pub(crate) fn encode_rest_of_path(path: &str) -> Cow<'_, str> {
    percent_encode(path.as_bytes(), RESERVED_IN_ENCODED_PATH).into()
}

/// Percent-decodes a path, with replacement characters where it is not UTF-8: for people.
pub(crate) fn decode_path(path: &str) -> String {
    percent_decode(path.as_bytes()).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::{encode, pairs};

    #[test]
    fn pairs_are_decoded_once() {
        let text = "a=b&&%41c=%2541+x&=v&only&a=2%3D3=4&bad=%4";
        let found: Vec<(Vec<u8>, Vec<u8>)> =
            pairs(text).map(|pair| (pair.name.into_owned(), pair.value.into_owned())).collect();
        let expected: [(&str, &str); 6] =
            [("a", "b"), ("Ac", "%41 x"), ("", "v"), ("only", ""), ("a", "2=3=4"), ("bad", "%4")];
        let expected: Vec<(Vec<u8>, Vec<u8>)> = expected
            .iter()
            .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn only_unreserved_characters_stay() {
        assert_eq!(encode("aZ09-._~ +/é*".as_bytes()), "aZ09-._~%20%2B%2F%C3%A9%2A");
    }
}
