//! What goes into a user certificate, and into the certificate of an app session.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use thiserror::Error;

use crate::decide::AppPermit;
use crate::identity::Claims;
use crate::names::{AppSessionId, ClusterName, RoleName, UserName};
use crate::policy::AppSession;
use crate::resource::{Finding, User};
use crate::role_set::RoleSet;

/// How long a user certificate lives where nothing else is asked for.
pub const DEFAULT_TTL: Duration = Duration::from_secs(12 * 3600);

/// A login whose password, second factor and locks have been checked.
#[derive(Debug, Clone)]
pub struct LoginRequest<'a> {
    /// The user.
    pub user: &'a User,
    /// The user's roles; each must be there.
    pub roles: &'a RoleSet,
    /// The cluster.
    pub cluster: &'a ClusterName,
    /// Now.
    pub now: SystemTime,
    /// The life that was asked for; 12 hours where none was.
    pub ttl: Option<Duration>,
    /// Whether a second factor was shown.
    pub mfa: bool,
    /// The address that logs in.
    pub login_ip: Option<IpAddr>,
}

/// What to put in the certificate, and what to tell the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The certificate's contents.
    pub claims: Claims,
    /// What is likely not as meant, such as ARNs that do not parse.
    pub warnings: Vec<Finding>,
}

/// Why nothing can be issued.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IssueError {
    /// The user names a role that does not exist.
    #[error(
        "user `{user}` has the role `{role}`, which does not exist; ask an administrator to create it or to take it from the user"
    )]
    UnknownRole {
        /// The user.
        user: UserName,
        /// The role.
        role: RoleName,
    },
    /// The user has no roles.
    #[error("user `{user}` has no roles; ask an administrator for one")]
    NoRoles {
        /// The user.
        user: UserName,
    },
    /// The account is locked.
    #[error("user `{user}` is locked; ask an administrator to unlock the account")]
    Locked {
        /// The user.
        user: UserName,
    },
    /// The account has ended.
    #[error("the account of user `{user}` has expired; ask an administrator to renew it")]
    Expired {
        /// The user.
        user: UserName,
    },
    /// The permit is another user's.
    #[error("the permit for the app session is not that of user `{user}`")]
    OtherUser {
        /// The user of the certificate.
        user: UserName,
    },
    /// The certificate has no life left.
    #[error("there is no time left for a certificate of user `{user}`; log in again")]
    NoTimeLeft {
        /// The user.
        user: UserName,
    },
}

/// What goes into a user certificate.
///
/// # Errors
/// When the user may not have one.
pub fn login_claims(request: &LoginRequest<'_>) -> Result<Login, IssueError> {
    let _ = request;
    unimplemented!()
}

/// A session with an app, allowed by [`crate::permit_app`].
#[derive(Debug, Clone)]
pub struct AppLogin<'a> {
    /// What the user certificate says.
    pub user: &'a Claims,
    /// What was allowed.
    pub permit: &'a AppPermit,
    /// The new session's id, drawn at random.
    pub session: AppSessionId,
    /// The app's public host.
    pub public_addr: &'a str,
    /// Whether a second factor was shown for this very session.
    pub mfa: bool,
    /// Now.
    pub now: SystemTime,
}

/// What goes into an app certificate, and the session that goes with it. Both end together, not
/// later than the user certificate or the shortest `max_session_ttl`.
///
/// # Errors
/// When permit and certificate do not belong together or no time is left.
pub fn app_claims(request: AppLogin<'_>) -> Result<(Claims, AppSession), IssueError> {
    let _ = request;
    unimplemented!()
}
