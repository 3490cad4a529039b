//! The envelope that all events share, and the list of all of them.
//!
//! On the wire an event is one flat JSON object, as auditors of the original know it: `event`, `code`, `time`,
//! `uid`, `ei`, `cluster_name` and the fields of its own kind. Keys that the original lacks are documented where
//! they stand; codes that it lacks begin with `CW`.

mod apps;
mod auth;
mod certs;
mod locks;
mod preference;
mod read;
mod requests;
mod roles;
mod sessions;
mod tokens;
mod users;
mod web;

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

pub use apps::{AppCreate, AppDelete, AppUpdate};
pub use auth::AuthFailure;
pub use certs::{CertCreate, CertIdentity, RouteToApp};
pub use locks::{LockCreated, LockDeleted, LockTarget};
pub use preference::AuthPreferenceUpdate;
pub use requests::{AppRequest, DynamoDbRequest, Outcome, RequestFields};
pub use roles::{RoleCreated, RoleDeleted, RoleUpdated};
pub use sessions::{AppSessionEnd, AppSessionStart};
pub use tokens::{InstanceJoin, JoinTokenCreate, JoinTokenDelete};
pub use users::{
    MfaAdd, MfaDelete, MfaDevice, ResetTokenCreate, ResetTokenPurpose, UserCreate, UserDelete,
    UserFields, UserLockout, UserLogin, UserPasswordChange, UserUpdate,
};
pub use web::{BrowserCodeCreate, WebSessionEnd, WebSessionStart};

use read::RequestEvent;

/// Bytes that are enough for most events as JSON.
const USUAL_LENGTH: usize = 1_536;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Event {
    /// Unique over all events of all processes; a receiver drops an event whose uid it has.
    pub uid: Uuid,
    /// When it happened, to the millisecond.
    pub time: Timestamp,
    /// Position among the events of one request or session; 0 where there is only one.
    #[serde(default)]
    pub ei: i64,
    /// The cluster in which it happened.
    pub cluster_name: String,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

impl Event {
    /// Stamps `what` with its uid, time and cluster.
    pub fn new(uid: Uuid, time: SystemTime, cluster: &str, what: What) -> Self {
        Self { uid, time: timestamp(time), ei: 0, cluster_name: cluster.to_owned(), what }
    }

    /// The event's name, as `user.login`.
    pub fn name(&self) -> &'static str {
        self.what.name()
    }

    /// The event's code, as `T1000I`.
    pub fn code(&self) -> &'static str {
        self.what.code()
    }

    /// The user who did it or to whom it happened, where there is one.
    pub fn user(&self) -> Option<&str> {
        self.what.user()
    }

    /// One line for people, without the time and the code.
    pub fn summary(&self) -> String {
        one_line(&self.what.summary())
    }

    /// The event as the log keeps it: one line of JSON.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let mut line = Vec::with_capacity(USUAL_LENGTH);
        serde_json::to_writer(&mut line, self)?;
        String::from_utf8(line).map_err(serde_json::Error::custom)
    }

    /// Reads a line of JSON; a request in one pass.
    pub fn from_json(line: &[u8]) -> Result<Self, serde_json::Error> {
        match serde_json::from_slice::<RequestEvent>(line) {
            Ok(request) => Ok(request.0),
            Err(_) => serde_json::from_slice(line),
        }
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire<'a> {
            ei: i64,
            #[serde(flatten)]
            what: &'a What,
            uid: &'a Uuid,
            code: &'static str,
            #[serde(serialize_with = "milliseconds")]
            time: &'a Timestamp,
            cluster_name: &'a str,
        }
        let wire = Wire {
            ei: self.ei,
            what: &self.what,
            uid: &self.uid,
            code: self.code(),
            time: &self.time,
            cluster_name: &self.cluster_name,
        };
        wire.serialize(serializer)
    }
}

/// What the list below asks of each kind of event.
trait Kind {
    fn code(&self) -> &'static str;
    fn user(&self) -> Option<&str>;
    fn summary(&self) -> String;
}

macro_rules! kinds {
    ($( $(#[$doc:meta])* $variant:ident = $name:literal, )*) => {
        /// Every kind of event.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "event")]
        pub enum What {
            $( $(#[$doc])* #[serde(rename = $name)] $variant($variant), )*
        }

        impl What {
            /// The names of all events, in the order of this list.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            fn name(&self) -> &'static str {
                match self { $( Self::$variant(_) => $name, )* }
            }

            fn code(&self) -> &'static str {
                match self { $( Self::$variant(kind) => kind.code(), )* }
            }

            fn user(&self) -> Option<&str> {
                match self { $( Self::$variant(kind) => kind.user(), )* }
            }

            fn summary(&self) -> String {
                match self { $( Self::$variant(kind) => kind.summary(), )* }
            }
        }

        $( impl From<$variant> for What {
            fn from(kind: $variant) -> Self {
                Self::$variant(kind)
            }
        } )*
    };
}

kinds! {
    /// Somebody logged in, or failed to.
    UserLogin = "user.login",
    /// A user was locked out after failed logins. Ours.
    UserLockout = "user.lockout",
    /// A user was created.
    UserCreate = "user.create",
    /// A user was changed.
    UserUpdate = "user.update",
    /// A user was deleted.
    UserDelete = "user.delete",
    /// A user set a new password.
    UserPasswordChange = "user.password_change",
    /// A user added a second factor.
    MfaAdd = "mfa.add",
    /// A user removed a second factor.
    MfaDelete = "mfa.delete",
    /// A browser is signed in. Ours.
    WebSessionStart = "web.session.start",
    /// A browser is signed out. Ours.
    WebSessionEnd = "web.session.end",
    /// A browser let `tsh` log in, or proved a second factor for it. Ours.
    BrowserCodeCreate = "browser_code.create",
    /// An invite link or a password reset link was made.
    ResetTokenCreate = "reset_password_token.create",
    /// A role was created.
    RoleCreated = "role.created",
    /// A role was changed.
    RoleUpdated = "role.updated",
    /// A role was deleted.
    RoleDeleted = "role.deleted",
    /// A dynamic app was created.
    AppCreate = "app.create",
    /// A dynamic app was changed.
    AppUpdate = "app.update",
    /// A dynamic app was deleted.
    AppDelete = "app.delete",
    /// A join token was created.
    JoinTokenCreate = "join_token.create",
    /// A join token was deleted. Ours.
    JoinTokenDelete = "join_token.delete",
    /// A process joined the cluster, or failed to.
    InstanceJoin = "instance.join",
    /// A certificate was issued.
    CertCreate = "cert.create",
    /// The settings of logging in were changed. Ours.
    AuthPreferenceUpdate = "auth_preference.update",
    /// A lock was set.
    LockCreated = "lock.created",
    /// A lock was removed.
    LockDeleted = "lock.deleted",
    /// Somebody showed a certificate or asked for a thing that he may not have.
    AuthFailure = "auth",
    /// An app session began.
    AppSessionStart = "app.session.start",
    /// An app session ended.
    AppSessionEnd = "app.session.end",
    /// A request to an AWS service other than DynamoDB.
    AppRequest = "app.session.request",
    /// A request to DynamoDB or DynamoDB Streams.
    DynamoDbRequest = "app.session.dynamodb.request",
}

/// The moment as events carry it: to the millisecond, rounded down.
pub(crate) fn timestamp(time: SystemTime) -> Timestamp {
    let millis = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        Err(_) => 0,
    };
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Writes `2026-11-22T08:00:00.123Z`: always three digits.
fn milliseconds<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.3}"))
}

/// Keeps a name with a line break in it from forging a second line on a terminal.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
