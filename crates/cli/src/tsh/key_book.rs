//! The key book: what each local key pair stands for.
//!
//! A pair is random, made on this machine, and worth something to this user's local proxies alone: each of
//! them looks the access key id of a request up here and sends the request out by that app session. The book
//! is a file, so that a pair which another `tsh` process has made is known to a proxy that already runs.
//!
//! The file is 0600 and written whole under a lock. One that cannot be read is replaced: what it held is
//! worth no more than making new pairs.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use access::AppName;
use api::files::{self, Mode};
use aws::sigv4::Credentials;
use aws::{RoleArn, Secret};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::app_session::SavedSession;
use super::context::{Context, Login};
use super::local_proxy::ThrowawayKeys;
use crate::failure::{Failure, OrFail as _};

/// How long after its session a pair is remembered, so that tools which hold it go on after the next login.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);
/// Pairs in a book at most; the one that ends first goes.
const MOST: usize = 4096;

/// A pair with what it stands for. `Debug` does not show the secret.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The app.
    pub app: AppName,
    /// The AWS role.
    pub aws_role: Option<RoleArn>,
    /// The pair. One with a session token was derived from the app session's own.
    pub credentials: Credentials,
    /// When its app session ends, as far as is known.
    pub expires: SystemTime,
    /// Until when a tool that has asked for it may use it without asking again.
    pub lent_until: Option<SystemTime>,
}

impl Entry {
    /// Whether the pair was derived from that of its app session.
    #[must_use]
    pub fn is_derived(&self) -> bool {
        self.credentials.session_token.is_some()
    }

    /// Whether the pair stands for a session of the app with the role.
    #[must_use]
    pub fn is_for(&self, app: &AppName, role: Option<&RoleArn>) -> bool {
        self.app == *app && self.aws_role.as_ref() == role
    }
}

/// Tells two states of the book apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

/// The book of one login.
#[derive(Debug, Clone)]
pub struct KeyBook {
    path: PathBuf,
}

impl KeyBook {
    /// The book of a login. No IO yet.
    #[must_use]
    pub fn of(context: &Context, login: &Login) -> Self {
        Self::at(context.home.key_book_path(&login.profile))
    }

    /// The book in a file.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// What changes whenever the book does; `None` while there is no book.
    #[must_use]
    pub fn stamp(&self) -> Option<Stamp> {
        let data = fs::metadata(&self.path).ok()?;
        let modified = (data.mtime(), data.mtime_nsec());
        Some(Stamp { inode: data.ino(), length: data.len(), modified })
    }

    /// The pairs. None where the book cannot be read.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let Ok(Some(text)) = files::read_optional(&self.path) else { return Vec::new() };
        let text = Zeroizing::new(text);
        let Ok(book) = serde_json::from_str::<Written>(&text) else { return Vec::new() };
        book.keys.into_iter().map(Line::meant).collect()
    }

    /// The pair of an app session, made where there is none.
    ///
    /// # Errors
    /// When the book cannot be written.
    pub fn pair(&self, session: &SavedSession, now: SystemTime) -> Result<ThrowawayKeys, Failure> {
        self.lend(session, (now, None))
    }

    /// The pair of an app session for a tool that will use it until `lent_until` without asking again.
    ///
    /// # Errors
    /// When the book cannot be written.
    pub fn lend(
        &self,
        session: &SavedSession,
        (now, lent_until): (SystemTime, Option<SystemTime>),
    ) -> Result<ThrowawayKeys, Failure> {
        let expires = whole_seconds(session.claims.expires);
        let lent_until = lent_until.map(whole_seconds);
        let is_it = |e: &Entry| !e.is_derived() && e.is_for(&session.app, session.aws_role());
        let is_up_to_date = |entry: &Entry| {
            entry.expires == expires
                && lent_until.is_none_or(|until| entry.lent_until >= Some(until))
        };
        let known = self.entries();
        if let Some(entry) = known.iter().find(|entry| is_it(entry) && is_up_to_date(entry)) {
            return Ok(ThrowawayKeys::of_credentials(&entry.credentials));
        }
        self.change(now, |entries| {
            let entry = match entries.iter_mut().position(|entry| is_it(entry)) {
                Some(at) => entries.remove(at),
                None => Entry {
                    app: session.app.clone(),
                    aws_role: session.aws_role().cloned(),
                    credentials: ThrowawayKeys::random().credentials(),
                    expires,
                    lent_until: None,
                },
            };
            let entry = Entry { expires, lent_until: entry.lent_until.max(lent_until), ..entry };
            let keys = ThrowawayKeys::of_credentials(&entry.credentials);
            entries.push(entry);
            keys
        })
    }

    /// Adds a pair that was made elsewhere, or puts it in the place of the one with its access key id.
    ///
    /// # Errors
    /// When the book cannot be written.
    pub fn add(&self, entry: Entry, now: SystemTime) -> Result<(), Failure> {
        self.change(now, |entries| {
            let id = entry.credentials.access_key_id.clone();
            entries.retain(|known| known.credentials.access_key_id != id);
            entries.push(entry);
        })
    }

    /// Notes that an app session was renewed. A pair that is not in the book stays out of it.
    ///
    /// # Errors
    /// When the book cannot be written.
    pub fn renewed(&self, session: &SavedSession, now: SystemTime) -> Result<(), Failure> {
        let is_it =
            |entry: &Entry| !entry.is_derived() && entry.is_for(&session.app, session.aws_role());
        if !self.entries().iter().any(is_it) {
            return Ok(());
        }
        let expires = whole_seconds(session.claims.expires);
        self.change(now, |entries| {
            entries
                .iter_mut()
                .filter(|entry| is_it(entry))
                .for_each(|entry| entry.expires = expires);
        })
    }

    /// Forgets the pairs of an app, of all its roles or of one.
    ///
    /// # Errors
    /// When the book cannot be written.
    pub fn forget(&self, app: &AppName, role: Option<&RoleArn>) -> Result<(), Failure> {
        let goes = |entry: &Entry| {
            entry.app == *app && (role.is_none() || entry.aws_role.as_ref() == role)
        };
        if !self.entries().iter().any(goes) {
            return Ok(());
        }
        self.change(UNIX_EPOCH, |entries| entries.retain(|entry| !goes(entry)))
    }

    /// Changes the book under its lock and drops what is no longer remembered at `now`.
    fn change<T>(
        &self,
        now: SystemTime,
        act: impl FnOnce(&mut Vec<Entry>) -> T,
    ) -> Result<T, Failure> {
        if let Some(folder) = self.path.parent() {
            files::private_folder(folder)?;
        }
        let _lock = self.lock()?;
        let mut entries = self.entries();
        entries.retain(|entry| entry.expires + REMEMBERED > now);
        let result = act(&mut entries);
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.expires));
        entries.truncate(MOST);
        let book = Written { version: 1, keys: entries.iter().map(Line::of).collect() };
        let text = serde_json::to_string_pretty(&book).map(Zeroizing::new);
        let text = text.or_fail("the key book cannot be written")?;
        files::write(&self.path, text.as_bytes(), Mode::Private)?;
        Ok(result)
    }

    fn lock(&self) -> Result<fs::File, Failure> {
        let path = self.path.with_extension("lock");
        let file = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        let locked = file.and_then(|file| file.lock().map(|()| file));
        locked.or_fail(format!("could not lock {}", path.display()))
    }
}

/// The file.
#[derive(Serialize, Deserialize)]
struct Written {
    version: u32,
    keys: Vec<Line>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    app: AppName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aws_role: Option<RoleArn>,
    access_key_id: String,
    secret_access_key: Zeroizing<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session_token: Option<Zeroizing<String>>,
    expires: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lent_until: Option<u64>,
}

impl Line {
    fn of(entry: &Entry) -> Self {
        let hidden = |secret: &Secret<String>| Zeroizing::new(secret.expose().clone());
        Self {
            app: entry.app.clone(),
            aws_role: entry.aws_role.clone(),
            access_key_id: entry.credentials.access_key_id.clone(),
            secret_access_key: hidden(&entry.credentials.secret_access_key),
            session_token: entry.credentials.session_token.as_ref().map(hidden),
            expires: seconds(entry.expires),
            lent_until: entry.lent_until.map(seconds),
        }
    }

    fn meant(self) -> Entry {
        let secret = |text: Zeroizing<String>| Secret::new(text.to_string());
        Entry {
            app: self.app,
            aws_role: self.aws_role,
            credentials: Credentials {
                access_key_id: self.access_key_id,
                secret_access_key: secret(self.secret_access_key),
                session_token: self.session_token.map(secret),
            },
            expires: time(self.expires),
            lent_until: self.lent_until.map(time),
        }
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn time(seconds: u64) -> SystemTime {
    // A moment that no clock reaches is no end at all: the pair is of the past.
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds.min(1 << 40))).unwrap_or(UNIX_EPOCH)
}

fn whole_seconds(moment: SystemTime) -> SystemTime {
    time(seconds(moment))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::tsh::tests::{READER, Saved, now};

    const WRITER: &str = "arn:aws:iam::123456789012:role/writer";

    fn sessions() -> (Saved, Vec<SavedSession>) {
        let saved = Saved::new();
        let profile = saved.log_in("localhost", 7_200);
        saved.log_in_to_app(&profile, "aws", (Some(READER), 3_600));
        saved.log_in_to_app(&profile, "prod", (Some(WRITER), 3_600));
        let sessions = saved.sessions(&profile);
        (saved, sessions)
    }

    #[test]
    fn a_session_keeps_its_pair_and_each_has_its_own() {
        let (_saved, sessions) = sessions();
        let folder = tempfile::tempdir().unwrap();
        let book = KeyBook::at(folder.path().join("keys.json"));
        assert!(book.stamp().is_none());
        let first = book.pair(&sessions[0], now()).unwrap();
        let stamp = book.stamp();
        let again = book.pair(&sessions[0], now()).unwrap();
        assert_eq!(book.stamp(), stamp, "nothing to write");
        assert_eq!(first.access_key_id(), again.access_key_id());
        assert_eq!(first.secret_access_key(), again.secret_access_key());
        let other = book.pair(&sessions[1], now()).unwrap();
        assert_ne!(first.access_key_id(), other.access_key_id());
        assert_ne!(first.secret_access_key(), other.secret_access_key());
        assert_ne!(book.stamp(), stamp);
        // A renewed session has the same pair, and is known to last longer.
        let mut renewed = sessions[0].clone();
        renewed.claims.expires += Duration::from_secs(600);
        assert_eq!(book.pair(&renewed, now()).unwrap().access_key_id(), first.access_key_id());
        let mode = fs::metadata(folder.path().join("keys.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let mode = fs::metadata(folder.path().join("keys.lock")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!format!("{:?}", book.entries()).contains(first.secret_access_key()));
        book.forget(&sessions[0].app, None).unwrap();
        assert_eq!(book.entries().len(), 1);
        assert_ne!(book.pair(&renewed, now()).unwrap().access_key_id(), first.access_key_id());
    }

    #[test]
    fn a_pair_is_forgotten_a_day_after_its_session() {
        let (_saved, sessions) = sessions();
        let folder = tempfile::tempdir().unwrap();
        let book = KeyBook::at(folder.path().join("keys.json"));
        let first = book.pair(&sessions[0], now()).unwrap();
        let late = now() + Duration::from_secs(3_600) + REMEMBERED;
        book.pair(&sessions[1], late).unwrap();
        let ids: Vec<String> =
            book.entries().into_iter().map(|entry| entry.credentials.access_key_id).collect();
        assert!(!ids.contains(&first.access_key_id().to_owned()), "{ids:?}");
    }

    #[test]
    fn a_damaged_book_knows_nothing_and_is_replaced() {
        let (_saved, sessions) = sessions();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let book = KeyBook::at(path.clone());
        for rubbish in ["", "{", "[]", r#"{"version":1,"keys":[{"app":"../x"}]}"#] {
            fs::write(&path, rubbish).unwrap();
            assert!(book.entries().is_empty(), "{rubbish}");
            book.forget(&sessions[0].app, None).unwrap();
        }
        fs::write(&path, [0xff, 0xfe]).unwrap();
        book.pair(&sessions[0], now()).unwrap();
        assert_eq!(book.entries().len(), 1);
    }

    #[test]
    fn many_writers_at_once_lose_nothing() {
        let (_saved, sessions) = sessions();
        let folder = tempfile::tempdir().unwrap();
        let book = KeyBook::at(folder.path().join("keys.json"));
        let makers: Vec<_> = (0..8)
            .map(|number| {
                let (book, mut session) = (book.clone(), sessions[0].clone());
                session.app = AppName::parse(&format!("app-{number}")).unwrap();
                std::thread::spawn(move || {
                    let ids: Vec<String> = (0..10)
                        .map(|_| book.pair(&session, now()).unwrap().access_key_id().to_owned())
                        .collect();
                    assert!(ids.iter().all(|id| *id == ids[0]));
                })
            })
            .collect();
        makers.into_iter().for_each(|maker| maker.join().unwrap());
        assert_eq!(book.entries().len(), 8);
    }
}
