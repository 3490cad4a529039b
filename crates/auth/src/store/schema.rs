//! The tables, and how an older file becomes a newer one.

use rusqlite::{Connection, TransactionBehavior};

use super::OpenError;

/// Each step brings a file from the version of its place (0, 1, …) to the next.
const STEPS: &[&str] = &[FIRST, INDEX_AND_SHELVES, DEVICES_AND_WEB_SESSIONS, WORDS, PORTIONS];

/// Times are milliseconds since 1970. `body` is JSON. Audit rows cannot be changed or
/// removed by this program: triggers refuse, whatever the statement says.
const FIRST: &str = "
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE authorities (
    kind TEXT PRIMARY KEY, cert TEXT NOT NULL, key TEXT NOT NULL, rotated INTEGER
) WITHOUT ROWID;
CREATE TABLE resources (
    kind TEXT NOT NULL, name TEXT NOT NULL, revision TEXT NOT NULL, expires INTEGER,
    body TEXT NOT NULL, PRIMARY KEY (kind, name)
) WITHOUT ROWID;
CREATE INDEX resources_expires ON resources (expires) WHERE expires IS NOT NULL;
CREATE TABLE credentials (
    user TEXT PRIMARY KEY, password_hash TEXT, otp_secret BLOB, otp_device TEXT, otp_step INTEGER,
    failures INTEGER NOT NULL DEFAULT 0, last_failure INTEGER, locked_until INTEGER
) WITHOUT ROWID;
CREATE TABLE invites (
    token_hash BLOB PRIMARY KEY, user TEXT NOT NULL, kind TEXT NOT NULL, expires INTEGER NOT NULL,
    otp_secret BLOB
) WITHOUT ROWID;
CREATE INDEX invites_user ON invites (user);
CREATE TABLE app_sessions (
    id TEXT PRIMARY KEY, user TEXT NOT NULL, expires INTEGER NOT NULL, body TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX app_sessions_user ON app_sessions (user);
CREATE INDEX app_sessions_expires ON app_sessions (expires);
CREATE TABLE app_servers (
    host_id TEXT PRIMARY KEY, expires INTEGER NOT NULL, body TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY, prev BLOB NOT NULL, hash BLOB NOT NULL, uid BLOB NOT NULL UNIQUE,
    time INTEGER NOT NULL, event TEXT NOT NULL, code TEXT NOT NULL, user TEXT, app TEXT,
    session TEXT, tables TEXT, json TEXT NOT NULL
);
CREATE INDEX audit_time ON audit (time);
CREATE INDEX audit_user ON audit (user) WHERE user IS NOT NULL;
CREATE INDEX audit_session ON audit (session) WHERE session IS NOT NULL;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_is_not_removed BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_is_in_order BEFORE INSERT ON audit
    WHEN NEW.seq <> COALESCE((SELECT MAX(seq) FROM audit), 0) + 1
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
";

/// The index over the log (made from the log at the next opening; see `audit_index`), words to search
/// resources by, and the shelves of web certificates and of keys that sign apps' tokens.
const INDEX_AND_SHELVES: &str = "
CREATE VIRTUAL TABLE audit_terms USING fts5 (
    terms, content = '', columnsize = 0, detail = none, tokenize = 'ascii'
);
CREATE TABLE audit_minutes (
    at INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL,
    ok INTEGER NOT NULL, denied INTEGER NOT NULL, failed INTEGER NOT NULL
);
CREATE TABLE audit_hours (
    at INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL,
    ok INTEGER NOT NULL, denied INTEGER NOT NULL, failed INTEGER NOT NULL
);
CREATE TABLE audit_indexed (seq INTEGER NOT NULL);
INSERT INTO audit_indexed (seq) VALUES (0);
DROP INDEX audit_time;
DROP INDEX audit_user;
DROP INDEX audit_session;
ALTER TABLE resources ADD COLUMN words TEXT;
CREATE INDEX resources_words ON resources (kind, name, words);
CREATE TABLE web_certificates (
    name TEXT PRIMARY KEY, certificate TEXT NOT NULL, key TEXT NOT NULL, not_after INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE web_leases (
    name TEXT PRIMARY KEY, holder TEXT NOT NULL, until INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE acme_accounts (
    directory TEXT PRIMARY KEY, credentials TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE acme_answers (
    name TEXT PRIMARY KEY, certificate TEXT NOT NULL, key TEXT NOT NULL, expires INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE signing_keys (
    kid TEXT PRIMARY KEY, key TEXT NOT NULL, created INTEGER NOT NULL
) WITHOUT ROWID;
";

/// Several second factors a user, instead of the one in `credentials`; its date is found in the
/// log. And the web sessions.
const DEVICES_AND_WEB_SESSIONS: &str = "
CREATE TABLE mfa_devices (
    id TEXT PRIMARY KEY, user TEXT NOT NULL, name TEXT NOT NULL, added INTEGER NOT NULL,
    last_used INTEGER, secret BLOB, last_step INTEGER NOT NULL DEFAULT 0,
    credential_id BLOB UNIQUE, credential TEXT, counter INTEGER NOT NULL DEFAULT 0,
    UNIQUE (user, name), CHECK ((secret IS NULL) <> (credential IS NULL))
) WITHOUT ROWID;
INSERT INTO mfa_devices (id, user, name, added, secret, last_step)
    SELECT COALESCE(otp_device, lower(hex(randomblob(16)))), user, 'otp',
        COALESCE((SELECT MIN(audit.time) FROM audit WHERE audit.event = 'mfa.add'
            AND json_extract(audit.json, '$.mfa_device_uuid') = credentials.otp_device), 0),
        otp_secret, COALESCE(otp_step, 0)
    FROM credentials WHERE otp_secret IS NOT NULL;
ALTER TABLE credentials DROP COLUMN otp_secret;
ALTER TABLE credentials DROP COLUMN otp_device;
ALTER TABLE credentials DROP COLUMN otp_step;
CREATE TABLE web_sessions (
    id TEXT PRIMARY KEY, token_hash BLOB NOT NULL UNIQUE, user TEXT NOT NULL,
    created INTEGER NOT NULL, expires INTEGER NOT NULL, last_seen INTEGER NOT NULL,
    remote_addr TEXT, user_agent TEXT, app_session TEXT, parent TEXT, sealed TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX web_sessions_user ON web_sessions (user);
CREATE INDEX web_sessions_expires ON web_sessions (expires);
CREATE INDEX web_sessions_last_seen ON web_sessions (last_seen);
CREATE INDEX web_sessions_parent ON web_sessions (parent) WHERE parent IS NOT NULL;
CREATE INDEX web_sessions_app ON web_sessions (app_session) WHERE app_session IS NOT NULL;
";

/// Which words the index over the log knows, in their order.
const WORDS: &str = "CREATE VIRTUAL TABLE audit_words USING fts5vocab ('audit_terms', 'instance');";

/// How far requests are counted: farther than the terms go, which follow in larger portions. Of those, more parts may
/// stand side by side before they are merged. And a trigger that need not undo half a statement, since it fires before
/// the one row is there: for one that may, SQLite keeps a copy of every page that the row changes.
const PORTIONS: &str = "
ALTER TABLE audit_indexed ADD COLUMN counted INTEGER NOT NULL DEFAULT 0;
UPDATE audit_indexed SET counted = seq;
INSERT INTO audit_terms (audit_terms, rank) VALUES ('automerge', 8);
DROP TRIGGER audit_is_in_order;
CREATE TRIGGER audit_is_in_order BEFORE INSERT ON audit
    WHEN NEW.seq <> COALESCE((SELECT MAX(seq) FROM audit), 0) + 1
    BEGIN SELECT RAISE(FAIL, 'the audit log is append-only'); END;
";

/// Brings the file to the newest version.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known {
        return Err(OpenError::Newer { found, known });
    }
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        tx.execute_batch(step)?;
    }
    tx.pragma_update(None, "user_version", known)?;
    tx.commit()?;
    Ok(())
}
