//! The files of the spool: named by a rising number, written at rising offsets, read from any offset, deleted whole.
//!
//! A file is prepared: filled with zeros and synced before its first record, so that a sync of records has no length
//! and no places on the disk to commit. What does not fit any more goes behind the zeros. A byte of zero means "not
//! written (yet)"; no record holds one.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

const SUFFIX: &str = ".spool";

/// In [`Segment::end`]: no record goes there any more.
const SEALED: u64 = 1 << 63;

/// How many zeros are written or looked for at a time.
const PIECE: usize = 256 << 10;
static ZEROS: [u8; PIECE] = [0; PIECE];

/// One file. Whoever may still write to it, or has an entry open that was opened in it, holds an `Arc` of it:
/// it may be deleted once the spool's own list holds the only one.
#[derive(Debug)]
pub(crate) struct Segment {
    number: u64,
    path: PathBuf,
    file: File,
    /// Where the next record goes, and [`SEALED`].
    end: AtomicU64,
    /// Bytes of records that were written whole.
    whole: AtomicU64,
    /// Bytes of gaps: places of records that could not be written.
    lost: AtomicU64,
    /// How much of `whole` is synced.
    synced: AtomicU64,
}

impl Segment {
    /// Makes a file. It is sure to be there only after [`sync_dir`].
    pub(crate) fn create(dir: &Path, number: u64) -> io::Result<Self> {
        let path = dir.join(format!("{number:020}{SUFFIX}"));
        let mut options = OpenOptions::new();
        options.write(true).read(true).create_new(true).mode(0o600);
        let file = options.open(&path)?;
        Ok(Self::of(number, path, file, 0))
    }

    fn of(number: u64, path: PathBuf, file: File, used: u64) -> Self {
        Self {
            number,
            path,
            file,
            end: AtomicU64::new(used),
            whole: AtomicU64::new(used),
            lost: AtomicU64::new(0),
            synced: AtomicU64::new(used),
        }
    }

    /// A device in place of a file: one that is full, or that cannot be synced. It is reached through a link in the
    /// spool's own directory, so that deleting the segment removes the link.
    #[cfg(test)]
    pub(crate) fn special(dir: &Path, device: &str, number: u64) -> Self {
        let path = dir.join(format!("{number:020}{SUFFIX}"));
        std::os::unix::fs::symlink(device, &path).unwrap();
        let file = OpenOptions::new().write(true).read(true).open(&path).unwrap();
        Self::of(number, path, file, 0)
    }

    /// Takes the place of a record and writes only a part of it, or nothing, as a full disk does.
    #[cfg(test)]
    pub(crate) fn tear(&self, part: &[u8], size: usize) {
        let place = self.reserve(size as u64).unwrap();
        self.file.write_all_at(part, place).unwrap();
        self.lost.fetch_add(size as u64, Ordering::SeqCst);
    }

    /// Takes the place of a record that a slow writer writes later, with [`Segment::write`].
    #[cfg(test)]
    pub(crate) fn place(&self, size: usize) -> u64 {
        self.reserve(size as u64).unwrap()
    }

    /// Claims room on the disk for so many bytes, where the file system can.
    pub(crate) fn claim(&self, length: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, length) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Writes one piece of the zeros of a file that nobody writes to yet; where the next one begins.
    pub(crate) fn fill(&self, offset: u64, length: u64) -> io::Result<u64> {
        let left = usize::try_from(length - offset).unwrap_or(usize::MAX);
        let piece = ZEROS.get(..left.min(PIECE)).unwrap_or_default();
        self.file.write_all_at(piece, offset)?;
        Ok(offset + piece.len() as u64)
    }

    /// Writes a record with one `write` at a place of its own; a partial write is an error, and readers skip its
    /// bytes. `None` if the file is sealed.
    pub(crate) fn append(&self, record: &[u8]) -> Option<io::Result<()>> {
        let place = self.reserve(record.len() as u64)?;
        Some(self.write(record, place))
    }

    fn reserve(&self, size: u64) -> Option<u64> {
        let next = |end: u64| (end & SEALED == 0).then_some(end + size);
        self.end.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next).ok()
    }

    pub(super) fn write(&self, record: &[u8], place: u64) -> io::Result<()> {
        let size = record.len() as u64;
        let written = loop {
            match self.file.write_at(record, place) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        if matches!(&written, Ok(count) if *count == record.len()) {
            self.whole.fetch_add(size, Ordering::SeqCst);
            return Ok(());
        }
        self.lost.fetch_add(size, Ordering::SeqCst);
        let why = "only a part of the record could be written";
        Err(written.err().unwrap_or_else(|| io::Error::new(io::ErrorKind::StorageFull, why)))
    }

    /// From here on no record gets a place in this file; those that have one may still be on their way into it.
    pub(crate) fn seal(&self) {
        self.end.fetch_or(SEALED, Ordering::SeqCst);
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.end.load(Ordering::SeqCst) & SEALED != 0
    }

    /// Whether its bytes will never change: what is zero now stays a gap.
    pub(crate) fn is_settled(&self) -> bool {
        let end = self.end.load(Ordering::SeqCst);
        let done = self.whole.load(Ordering::SeqCst) + self.lost.load(Ordering::SeqCst);
        end & SEALED != 0 && done == end & !SEALED
    }

    /// Whether there is a gap among its records. Readers stop there until the file is settled.
    pub(crate) fn has_gap(&self) -> bool {
        self.lost.load(Ordering::SeqCst) > 0 && self.bytes() > 0
    }

    /// Reads from `offset`; fewer bytes than asked for are all there are.
    pub(crate) fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// Whether a record was written since the last [`Segment::sync`] began.
    pub(crate) fn is_dirty(&self) -> bool {
        self.whole.load(Ordering::SeqCst) > self.synced.load(Ordering::SeqCst)
    }

    /// Makes everything written so far survive the death of the machine. Called by one thread at a time.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let whole = self.whole.load(Ordering::SeqCst);
        let synced = self.file.sync_data();
        // After a failure the kernel forgets what it could not write, so that trying again would prove nothing.
        self.synced.store(whole, Ordering::SeqCst);
        synced
    }

    /// Gives back the zeros behind the last record of an earlier life, and syncs what that life may not have synced.
    pub(crate) fn trim(&self) -> io::Result<()> {
        self.file.set_len(self.end())?;
        self.sync_all()
    }

    /// Makes it survive the death of the machine, length and all.
    pub(crate) fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Removes the file; whoever has it open may still read it.
    pub(crate) fn delete(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Where the next record would go.
    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::SeqCst) & !SEALED
    }

    /// Bytes of records, without zeros and gaps.
    pub(crate) fn bytes(&self) -> u64 {
        self.whole.load(Ordering::SeqCst)
    }
}

/// Makes the directory (0700) if it is missing.
pub(crate) fn make_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Opens the files of an earlier life, oldest first. Nothing is written to them any more.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<Segment>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let digits = name.strip_suffix(SUFFIX);
        let Some(number) = digits.and_then(|digits| digits.parse().ok()) else { continue };
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let used = used(&file)?;
        let segment = Segment::of(number, path, file, used);
        segment.seal();
        found.push(segment);
    }
    found.sort_by_key(Segment::number);
    Ok(found)
}

/// Where the zeros begin that reach to the end of the file.
fn used(file: &File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut buffer = vec![0; PIECE];
    while end > 0 {
        let begin = end.saturating_sub(PIECE as u64);
        let size = usize::try_from(end - begin).unwrap_or(PIECE);
        let piece = buffer.get_mut(..size).unwrap_or_default();
        file.read_exact_at(piece, begin)?;
        if let Some(last) = piece.iter().rposition(|byte| *byte != 0) {
            return Ok(begin + last as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}

/// Makes files that were made or removed stay so.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
