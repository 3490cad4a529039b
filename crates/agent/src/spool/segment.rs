//! The files of the spool: named by a rising number, appended to, read from any offset, deleted whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

const SUFFIX: &str = ".spool";

/// One file. Whoever may still append to it, or has an entry open that was opened in it, holds an `Arc` of it:
/// it may be deleted once the spool's own list holds the only one.
#[derive(Debug)]
pub(crate) struct Segment {
    number: u64,
    path: PathBuf,
    file: File,
    bytes: AtomicU64,
    writes: AtomicU64,
    synced_writes: AtomicU64,
}

impl Segment {
    /// Makes the next file. It is sure to be there only after [`sync_dir`].
    pub(crate) fn create(dir: &Path, number: u64) -> io::Result<Self> {
        let path = dir.join(format!("{number:020}{SUFFIX}"));
        let mut options = OpenOptions::new();
        options.append(true).read(true).create_new(true).mode(0o600);
        let file = options.open(&path)?;
        Ok(Self::of(number, path, file, 0))
    }

    fn of(number: u64, path: PathBuf, file: File, bytes: u64) -> Self {
        Self {
            number,
            path,
            file,
            bytes: AtomicU64::new(bytes),
            writes: AtomicU64::new(0),
            synced_writes: AtomicU64::new(0),
        }
    }

    /// A device in place of a file: one that is full, or that cannot be synced. It is reached through a link in the
    /// spool's own directory, so that deleting the segment removes the link.
    #[cfg(test)]
    pub(crate) fn special(dir: &Path, device: &str, number: u64) -> Self {
        let path = dir.join(format!("{number:020}{SUFFIX}"));
        std::os::unix::fs::symlink(device, &path).unwrap();
        let file = OpenOptions::new().append(true).read(true).open(&path).unwrap();
        Self::of(number, path, file, 0)
    }

    /// Appends a record with one `write`. A partial write is an error; readers skip its bytes.
    pub(crate) fn append(&self, record: &[u8]) -> io::Result<()> {
        let written = loop {
            match (&self.file).write(record) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.writes.fetch_add(1, Ordering::SeqCst);
        if written < record.len() {
            let why = "only a part of the record could be written";
            return Err(io::Error::new(io::ErrorKind::StorageFull, why));
        }
        self.bytes.fetch_add(written as u64, Ordering::Relaxed);
        Ok(())
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

    /// Whether something was written since the last [`Segment::sync`] began.
    pub(crate) fn is_dirty(&self) -> bool {
        self.writes.load(Ordering::SeqCst) > self.synced_writes.load(Ordering::SeqCst)
    }

    /// Makes everything written so far survive the death of the machine. Called by one thread only.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let writes = self.writes.load(Ordering::SeqCst);
        let synced = self.file.sync_data();
        // After a failure the kernel forgets what it could not write, so that trying again would prove nothing.
        self.synced_writes.store(writes, Ordering::SeqCst);
        synced
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

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Makes the directory (0700) if it is missing.
pub(crate) fn make_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Opens the files of an earlier life, oldest first.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<Segment>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let digits = name.strip_suffix(SUFFIX);
        let Some(number) = digits.and_then(|digits| digits.parse().ok()) else { continue };
        let file = File::open(&path)?;
        let bytes = file.metadata()?.len();
        found.push(Segment::of(number, path, file, bytes));
    }
    found.sort_by_key(Segment::number);
    Ok(found)
}

/// Makes files that were made or removed stay so.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
