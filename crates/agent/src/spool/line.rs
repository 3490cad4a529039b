//! One record of the spool: how it is written and read back.
//!
//! A record is a line `O <uid> <sum> <event>` when an entry is opened and `C <uid> <sum> <event>` when it is closed.
//! It begins with a line feed of its own as well as ending in one, so that a record torn by a full disk spoils itself
//! and not the next one. It holds no byte of zero: JSON escapes it, and readers take it for "not written". The sum is the
//! first half of the SHA-256 of all else in the line: it tells torn or foreign bytes, not tampering (the Auth Service's
//! chain does that).

use std::cell::Cell;
use std::io::BufRead as _;
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

/// Room for a usual record, and the most that a thread keeps for its next one.
const USUAL: usize = 2 << 10;
const KEPT: usize = 16 << 10;

thread_local! {
    static RECORD: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Shows a record as the bytes of one `write` call. They are the thread's own, and used again for the next record.
pub(crate) fn encoded<T>(
    kind: Kind,
    event: &Event,
    act: impl FnOnce(&[u8]) -> T,
) -> Result<T, serde_json::Error> {
    let mut record = RECORD.take();
    record.clear();
    record.reserve(USUAL);
    let result = encode(kind, event, &mut record).map(|()| act(&record));
    if record.capacity() <= KEPT {
        RECORD.set(record);
    }
    result
}

/// Writes a record to the end of `out`, which is empty.
fn encode(kind: Kind, event: &Event, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
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
    serde_json::to_writer(&mut *out, event)?;
    fill_sum(out, place);
    out.push(b'\n');
    Ok(())
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
    let end = find(bytes, b'\n')?;
    Some((bytes.get(..end)?, end + 1))
}

/// Where a byte first stands. Many bytes at a time, unlike `position`.
pub(crate) fn find(mut bytes: &[u8], byte: u8) -> Option<usize> {
    let all = bytes;
    let taken = bytes.skip_until(byte).ok()?;
    let last = taken.checked_sub(1)?;
    (all.get(last) == Some(&byte)).then_some(last)
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
    use std::time::SystemTime;

    use audit::What;
    use audit::events::RequestFields;
    use proptest::prelude::*;

    use super::*;
    use crate::spool::tests::{event, record};

    fn kinds() -> impl Strategy<Value = Kind> {
        prop_oneof![Just(Kind::Opened), Just(Kind::Closed)]
    }

    #[test]
    fn a_record_is_read_back_as_it_was_written() {
        for kind in [Kind::Opened, Kind::Closed] {
            let event = event(7);
            let bytes = record(kind, &event);
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
        let bytes = record(Kind::Opened, &event(7));
        let line = &bytes[1..bytes.len() - 1];
        assert!(decode(line).is_some());
        for end in 0..line.len() {
            assert_eq!(decode(&line[..end]), None, "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn a_record_holds_no_zero_and_no_line_feed_but_its_own(text in any::<String>(), kind in kinds()) {
            let fields = RequestFields {
                user: text.clone() + "\0",
                raw_query: text.clone(),
                tables: vec![text.clone()],
                error: Some(text),
                ..RequestFields::default()
            };
            let event = Event::new(Uuid::now_v7(), SystemTime::UNIX_EPOCH, "c\0", What::request(fields));
            let bytes = record(kind, &event);
            prop_assert!(!bytes.contains(&0));
            let (head, tail) = (bytes[0], bytes[bytes.len() - 1]);
            prop_assert_eq!((head, tail), (b'\n', b'\n'));
            let line = &bytes[1..bytes.len() - 1];
            prop_assert!(!line.contains(&b'\n'));
            prop_assert_eq!(decode(line).map(|line| line.kind), Some(kind));
        }

        #[test]
        fn a_record_with_any_altered_byte_is_none(at: prop::sample::Index, with in 1_u8..) {
            let bytes = record(Kind::Closed, &event(7));
            let mut line = bytes[1..bytes.len() - 1].to_vec();
            let at = at.index(line.len());
            line[at] ^= with;
            prop_assert_eq!(decode(&line), None);
        }

        #[test]
        fn a_byte_is_found_where_it_first_stands(
            bytes in prop::collection::vec(0_u8..4, 0..40),
            byte in 0_u8..4,
        ) {
            prop_assert_eq!(find(&bytes, byte), bytes.iter().position(|other| *other == byte));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(decode(&bytes), None);
        }
    }
}
