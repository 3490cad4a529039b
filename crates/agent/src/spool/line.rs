//! One record of the spool: how it is written and read back.
//!
//! A record is a line `O <uid> <sum> <event>` when an entry is opened and `C <uid> <sum> <event>` when it is closed.
//! It begins with a line feed of its own as well as ending in one, so that a record torn by a full disk spoils itself
//! and not the next one. The sum is the first half of the SHA-256 of all else in the line: it tells torn or foreign
//! bytes, not tampering (the Auth Service's chain does that).

use std::ops::Range;

use audit::Event;
use aws_lc_rs::digest::{Context, SHA256};
use uuid::Uuid;

/// What a record says about its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A call is about to leave.
    Opened,
    /// What became of it.
    Closed,
}

/// A record read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) kind: Kind,
    pub(crate) uid: Uuid,
    pub(crate) json: &'a [u8],
}

const SUM: usize = 32;
/// `K ` + uid + ` `.
const HEAD: usize = 2 + 36 + 1;

/// Writes a record as the bytes of one `write` call.
pub(crate) fn encode(kind: Kind, event: &Event) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::with_capacity(1536);
    out.push(b'\n');
    out.extend_from_slice(match kind {
        Kind::Opened => b"O ",
        Kind::Closed => b"C ",
    });
    let mut uid = Uuid::encode_buffer();
    out.extend_from_slice(event.uid.hyphenated().encode_lower(&mut uid).as_bytes());
    out.push(b' ');
    let place = out.len()..out.len() + SUM;
    out.resize(place.end, b'0');
    out.push(b' ');
    serde_json::to_writer(&mut out, event)?;
    fill_sum(&mut out, place);
    out.push(b'\n');
    Ok(out)
}

/// Reads a line without its line feeds; `None` if it is no intact record.
pub(crate) fn decode(line: &[u8]) -> Option<Line<'_>> {
    let (head, rest) = line.split_at_checked(HEAD)?;
    let (written, rest) = rest.split_at_checked(SUM)?;
    let json = rest.strip_prefix(b" ")?;
    let kind = match head.split_at_checked(2)?.0 {
        b"O " => Kind::Opened,
        b"C " => Kind::Closed,
        _ => return None,
    };
    if written != sum(head, json) {
        return None;
    }
    let uid = Uuid::try_parse_ascii(head.get(2..HEAD - 1)?).ok()?;
    Some(Line { kind, uid, json })
}

/// Splits off the next line that is complete: what it holds, and how many bytes it took with its line feed.
pub(crate) fn split(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((bytes.get(..end)?, end + 1))
}

fn fill_sum(out: &mut [u8], place: Range<usize>) {
    let (Some(head), Some(json)) = (out.get(1..place.start), out.get(place.end + 1..)) else {
        return;
    };
    let sum = sum(head, json);
    if let Some(target) = out.get_mut(place) {
        target.copy_from_slice(&sum);
    }
}

fn sum(head: &[u8], json: &[u8]) -> [u8; SUM] {
    let mut context = Context::new(&SHA256);
    context.update(head);
    context.update(json);
    let digest = context.finish();
    let mut text = [b'0'; SUM];
    for (pair, byte) in text.chunks_exact_mut(2).zip(digest.as_ref()) {
        pair.copy_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 15)]);
    }
    text
}

fn hex_digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' + value - 10 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::spool::tests::event;

    #[test]
    fn a_record_is_read_back_as_it_was_written() {
        for kind in [Kind::Opened, Kind::Closed] {
            let event = event(7);
            let bytes = encode(kind, &event).unwrap();
            let (first, skip) = split(&bytes).unwrap();
            assert_eq!(first, b"");
            let (line, taken) = split(&bytes[skip..]).unwrap();
            assert_eq!(skip + taken, bytes.len());
            let json = event.to_json().unwrap();
            assert_eq!(decode(line), Some(Line { kind, uid: event.uid, json: json.as_bytes() }));
        }
    }

    #[test]
    fn a_record_cut_at_any_byte_is_none() {
        let bytes = encode(Kind::Opened, &event(7)).unwrap();
        let line = &bytes[1..bytes.len() - 1];
        assert!(decode(line).is_some());
        for end in 0..line.len() {
            assert_eq!(decode(&line[..end]), None, "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn a_record_with_any_altered_byte_is_none(at: prop::sample::Index, with in 1_u8..) {
            let bytes = encode(Kind::Closed, &event(7)).unwrap();
            let mut line = bytes[1..bytes.len() - 1].to_vec();
            let at = at.index(line.len());
            line[at] ^= with;
            prop_assert_eq!(decode(&line), None);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(decode(&bytes), None);
        }
    }
}
