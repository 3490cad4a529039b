//! Changes an AWS config file as a good neighbour: under a lock that every `tsh` takes, whole or not at all, at the
//! end of its symbolic links, with the mode that it has, and never over what another program has written meanwhile.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use api::files;

use crate::edge;
use crate::failure::{Failure, OrFail as _};

/// How often a file that others write to all the time is read again.
const TRIES: usize = 20;
/// Links to follow at most, as the kernel has it.
const MOST_LINKS: usize = 40;

/// The AWS config file: `AWS_CONFIG_FILE`, or `~/.aws/config`.
///
/// # Errors
/// When there is no home folder.
pub fn config_path() -> Result<PathBuf, Failure> {
    named("AWS_CONFIG_FILE", "config")
}

/// The AWS credentials file: `AWS_SHARED_CREDENTIALS_FILE`, or `~/.aws/credentials`.
///
/// # Errors
/// When there is no home folder.
pub fn credentials_path() -> Result<PathBuf, Failure> {
    named("AWS_SHARED_CREDENTIALS_FILE", "credentials")
}

fn named(variable: &str, usual: &str) -> Result<PathBuf, Failure> {
    let home = || edge::variable("HOME").ok_or_else(|| Failure::new("HOME is not set"));
    match edge::variable(variable) {
        // The AWS tools read a tilde here, too.
        Some(path) => match path.strip_prefix("~/") {
            Some(rest) => Ok(Path::new(&home()?).join(rest)),
            None => std::path::absolute(&path).or_fail(format!("{variable} names no file")),
        },
        None => Ok(Path::new(&home()?).join(".aws").join(usual)),
    }
}

/// Reads a file; `None` when it is not there.
///
/// # Errors
/// When it is there and cannot be read.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    match fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::caused_by(format!("could not read {}", path.display()), error)),
    }
}

/// Changes a file: `edit` gets what is there and says what is to be there; `None` is no file.
/// It may be asked again when another program writes at the same time.
///
/// # Errors
/// When `edit` refuses, or the file cannot be read or written; it is then as it was.
pub fn change(
    path: &Path,
    edit: impl Fn(Option<&[u8]>) -> Result<Option<Vec<u8>>, Failure>,
) -> Result<(), Failure> {
    let path = &end_of_links(path)?;
    let fail = |error| Failure::caused_by(format!("could not write {}", path.display()), error);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    if !folder.exists() && edit(None)?.is_none() {
        return Ok(());
    }
    files::private_folder(folder)?;
    let _lock = lock(folder)?;
    for _ in 0..TRIES {
        let before = read(path)?;
        let after = edit(before.as_deref())?;
        if after == before {
            return Ok(());
        }
        let Some(text) = after else {
            if read(path)? == before {
                return Ok(files::remove(path)?);
            }
            continue;
        };
        let fresh = fresh(path, folder, &text).map_err(fail)?;
        // A program that takes no lock may have written meanwhile.
        if read(path)? == before {
            fresh.persist(path).map_err(|error| fail(error.error))?;
            return File::open(folder).and_then(|folder| folder.sync_all()).map_err(fail);
        }
    }
    Err(Failure::new(format!("{} is being written to by another program", path.display()))
        .with_hint("try again"))
}

/// A file with the new text, beside the old one and with its mode.
fn fresh(path: &Path, folder: &Path, text: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    let mode = match fs::metadata(path) {
        Ok(data) => data.permissions().mode() & 0o777,
        Err(_) => 0o600,
    };
    let mut file = tempfile::Builder::new()
        .prefix(".tsh-")
        .permissions(fs::Permissions::from_mode(mode | 0o600))
        .tempfile_in(folder)?;
    file.write_all(text)?;
    // Whatever the process's own mask says.
    file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Locks a folder: this leaves no lock file in a folder that is not ours.
///
/// # Errors
/// When it cannot be opened.
pub fn lock(folder: &Path) -> Result<File, Failure> {
    let locked = File::open(folder).and_then(|folder| folder.lock().map(|()| folder));
    locked.or_fail(format!("could not lock {}", folder.display()))
}

/// The file that a path leads to, whether it is there or not.
fn end_of_links(path: &Path) -> Result<PathBuf, Failure> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(target) = fs::read_link(&path) else { return Ok(path) };
        path = match path.parent() {
            Some(folder) => folder.join(target),
            None => target,
        };
    }
    Err(Failure::new(format!("{} is a link that leads to itself", path.display())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn add(path: &Path, text: &str) -> Result<(), Failure> {
        change(path, |before| Ok(Some([before.unwrap_or_default(), text.as_bytes()].concat())))
    }

    #[test]
    fn links_are_followed_and_modes_kept() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("dotfiles/config");
        fs::create_dir(folder.path().join("dotfiles")).unwrap();
        let (first, second) = (folder.path().join("one"), folder.path().join("two"));
        symlink("two", &first).unwrap();
        symlink("dotfiles/config", &second).unwrap();
        add(&first, "a").unwrap();
        assert_eq!(fs::read(&real).unwrap(), b"a");
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&real, fs::Permissions::from_mode(0o664)).unwrap();
        add(&first, "b").unwrap();
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o664);
        assert!(fs::symlink_metadata(&first).unwrap().is_symlink());
        assert_eq!(fs::read(&first).unwrap(), b"ab");
        assert_eq!(fs::read_dir(folder.path().join("dotfiles")).unwrap().count(), 1);
        let ring = folder.path().join("ring");
        symlink("ring", &ring).unwrap();
        assert!(add(&ring, "x").unwrap_err().to_string().contains("leads to itself"));
    }

    #[test]
    fn a_refusal_leaves_all_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absent/config");
        assert!(change(&path, |_| Err(Failure::new("no"))).is_err());
        change(&path, |_| Ok(None)).unwrap();
        assert!(!folder.path().join("absent").exists());
        add(&path, "x").unwrap();
        assert!(change(&path, |_| Err(Failure::new("no"))).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"x");
        change(&path, |_| Ok(None)).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn what_another_program_writes_meanwhile_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        fs::write(&path, "first\n").unwrap();
        let meddled = std::cell::Cell::new(false);
        change(&path, |before| {
            if !meddled.replace(true) {
                fs::write(&path, "second\n").unwrap();
            }
            Ok(Some([before.unwrap_or_default(), b"ours\n"].concat()))
        })
        .unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "second\nours\n");
    }

    #[test]
    fn writers_at_once_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let path = path.clone();
                std::thread::spawn(move || {
                    (0..25).for_each(|n| add(&path, &format!("{writer}:{n}\n")).unwrap());
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 100);
    }
}
