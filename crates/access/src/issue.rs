//! What goes into a user certificate, and into the certificate of an app session.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use thiserror::Error;

use crate::decide::AppPermit;
use crate::identity::{AppClaims, Claims};
use crate::language::template::Template;
use crate::names::{AppSessionId, ClusterName, RoleName, Traits, UserName};
use crate::policy::AppSession;
use crate::resource::{Finding, Role, User, arn_finding};
use crate::role_set::{MAX_SESSION_TTL, RoleSet};

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

/// What goes into a user certificate: the roles, the traits, and every AWS role ARN that a role
/// allows and none denies.
///
/// # Errors
/// When the user may not have one.
pub fn login_claims(request: &LoginRequest<'_>) -> Result<Login, IssueError> {
    let LoginRequest { user, now, .. } = *request;
    let name = || user.name().clone();
    if user.is_locked(now) {
        return Err(IssueError::Locked { user: name() });
    }
    if user.is_expired(now) {
        return Err(IssueError::Expired { user: name() });
    }
    if user.spec.roles.is_empty() {
        return Err(IssueError::NoRoles { user: name() });
    }
    let roles = roles_of(user, request.roles)?;
    let ttl = request
        .ttl
        .unwrap_or(DEFAULT_TTL)
        .min(MAX_SESSION_TTL)
        .min(roles.options().max_session_ttl);
    let ends = [now.checked_add(ttl), user.spec.expires, user.metadata.expires];
    let expires = ends.into_iter().flatten().min().filter(|end| *end > now);
    let expires = expires.ok_or_else(|| IssueError::NoTimeLeft { user: name() })?;
    let arns = arns_of(&roles, &user.spec.traits);
    let claims = Claims {
        user: name(),
        cluster: request.cluster.clone(),
        roles: user.spec.roles.clone(),
        traits: user.spec.traits.clone(),
        allowed_aws_roles: arns.listed,
        app: None,
        issued_at: now,
        expires,
        mfa: request.mfa,
        login_ip: request.login_ip,
    };
    Ok(Login { claims, warnings: arns.warnings })
}

/// The user's own roles out of those given.
fn roles_of(user: &User, given: &RoleSet) -> Result<RoleSet, IssueError> {
    let own: Result<Vec<Arc<Role>>, IssueError> = user
        .spec
        .roles
        .iter()
        .map(|name| {
            let unknown =
                || IssueError::UnknownRole { user: user.name().clone(), role: name.clone() };
            given.role(name).cloned().ok_or_else(unknown)
        })
        .collect();
    own.map(RoleSet::new)
}

#[derive(Default)]
struct Arns {
    listed: Vec<String>,
    warnings: Vec<Finding>,
}

/// The union over the roles, less what any role denies.
fn arns_of(roles: &RoleSet, traits: &Traits) -> Arns {
    let mut allow = Arns::default();
    let mut deny = Arns::default();
    for role in roles.roles() {
        let (name, spec) = (role.name(), &role.spec);
        allow.add(&format!("role `{name}`, spec.allow"), &spec.allow.aws_role_arns, traits);
        deny.add(&format!("role `{name}`, spec.deny"), &spec.deny.aws_role_arns, traits);
    }
    let denied: BTreeSet<String> = deny.listed.into_iter().collect();
    let allowed: BTreeSet<String> = allow.listed.into_iter().collect();
    let mut warnings = allow.warnings;
    warnings.extend(deny.warnings);
    Arns { listed: allowed.difference(&denied).cloned().collect(), warnings }
}

impl Arns {
    /// Fills the templates of one list.
    fn add(&mut self, place: &str, list: &[String], traits: &Traits) {
        for (index, text) in list.iter().enumerate() {
            let path = format!("{place}.aws_role_arns[{index}]");
            match Template::parse(text) {
                Ok(template) => {
                    let values = template.expand(traits);
                    self.warnings
                        .extend(values.iter().filter_map(|value| arn_finding(&path, value)));
                    self.listed.extend(values);
                }
                Err(error) => self.warnings.push(Finding { path, message: error.to_string() }),
            }
        }
    }
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
    /// Now.
    pub now: SystemTime,
}

/// What goes into an app certificate, and the session that goes with it. Both end together, not
/// later than the user certificate or the shortest `max_session_ttl`.
///
/// # Errors
/// When permit and certificate do not belong together or no time is left.
pub fn app_claims(request: AppLogin<'_>) -> Result<(Claims, AppSession), IssueError> {
    let AppLogin { user, permit, session, public_addr, now } = request;
    if permit.user() != &user.user {
        return Err(IssueError::OtherUser { user: user.user.clone() });
    }
    let expires = user.expires.min(permit.until());
    if expires <= now {
        return Err(IssueError::NoTimeLeft { user: user.user.clone() });
    }
    let app = AppClaims {
        session: session.clone(),
        name: permit.app().clone(),
        public_addr: public_addr.to_owned(),
        aws_role: permit.aws_role().cloned(),
    };
    let claims =
        Claims { app: Some(app), issued_at: now, expires, mfa: permit.with_mfa(), ..user.clone() };
    let session = AppSession {
        id: session,
        user: user.user.clone(),
        app: permit.app().clone(),
        aws_role: permit.aws_role().cloned(),
        expires,
    };
    Ok((claims, session))
}
