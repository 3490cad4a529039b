//! Files that only their owner may read.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;

/// Writes a file with mode 0600, in one step: a reader sees the old text or the new.
pub fn write_private(path: &Path, text: &[u8]) -> anyhow::Result<()> {
    let aside = path.with_extension(format!("{}.part", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&aside)?;
        file.write_all(text)?;
        std::fs::rename(&aside, path)
    };
    write().with_context(|| format!("could not write {}", path.display()))
}
