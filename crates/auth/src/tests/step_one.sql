-- The tables as the first version made them. Not to be changed: files of that version exist.
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
PRAGMA user_version = 1;
