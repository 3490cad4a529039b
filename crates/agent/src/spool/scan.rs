//! Reading records out of a file that others may be writing to, in constant memory.
//!
//! A byte of zero stands where nothing is written yet. Nobody can tell whether a writer is about to come there, so that
//! reading ends at the first one, until the file is settled; then zeros are a gap, and skipped.

use std::io;

use tracing::warn;

use super::line::{self, Line};
use super::segment::Segment;

/// How much is read at a time: the longest record, and the most that one batch for the Auth Service holds.
pub(crate) const CHUNK: usize = 1 << 20;

/// Where a pass over a chunk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    /// Where the next pass begins.
    pub(crate) offset: u64,
    /// Whether there was nothing left to read at the time.
    pub(crate) is_end: bool,
}

/// Reads one chunk at `offset` and shows each intact record. A record that is still being written is left for the
/// next pass; one that was torn or spoiled is skipped.
pub(crate) fn pass(
    segment: &Segment,
    offset: u64,
    buffer: &mut Vec<u8>,
    each: &mut dyn FnMut(Line<'_>),
) -> io::Result<Passed> {
    if buffer.len() != CHUNK {
        *buffer = vec![0; CHUNK];
    }
    // Asked before the bytes are read, which are the last ones if it is.
    let is_settled = segment.is_settled();
    let left = segment.end().saturating_sub(offset);
    let asked = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
    let filled = segment.read(offset, buffer.get_mut(..asked).unwrap_or_default())?;
    let mut rest = buffer.get(..filled).unwrap_or_default();
    let mut is_end = filled as u64 == left || filled < asked;
    if !is_settled && let Some(zero) = line::find(rest, 0) {
        rest = rest.get(..zero).unwrap_or_default();
        is_end = true;
    }
    let mut taken = 0;
    while let Some((bytes, size)) = line::split(rest) {
        show(segment, bytes, each);
        taken += size;
        rest = rest.get(size..).unwrap_or_default();
    }
    if taken == 0 && !is_end {
        // No record is this long: skip it piece by piece.
        warn!(segment = segment.number(), offset, "the spool holds a chunk without a record");
        taken = filled;
    }
    Ok(Passed { offset: offset + taken as u64, is_end })
}

/// Shows each intact record from the beginning to the present end.
pub(crate) fn whole(segment: &Segment, each: &mut dyn FnMut(Line<'_>)) -> io::Result<()> {
    let mut buffer = Vec::new();
    let mut at = Passed { offset: 0, is_end: false };
    while !at.is_end {
        at = pass(segment, at.offset, &mut buffer, each)?;
    }
    Ok(())
}

fn show(segment: &Segment, bytes: &[u8], each: &mut dyn FnMut(Line<'_>)) {
    let bytes = without_zeros(bytes);
    match line::decode(bytes) {
        Some(line) => each(line),
        None if bytes.is_empty() => {}
        None => warn!(
            segment = segment.number(),
            bytes = bytes.len(),
            "skipped a torn record in the spool"
        ),
    }
}

/// A line without the gap before it, or in place of its end.
fn without_zeros(bytes: &[u8]) -> &[u8] {
    let is_written = |byte: &u8| *byte != 0;
    let begin = bytes.iter().position(is_written).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(is_written).map_or(begin, |last| last + 1);
    bytes.get(begin..end).unwrap_or_default()
}
