//! Why something was refused: one variant a rule, and one sentence for the person it hits.
//!
//! The sentence names the user, the app, the role and the rule, and says what to ask for. It
//! holds nothing that the refused user's own certificate and roles do not say.

use std::fmt;
use std::time::SystemTime;

use aws::{Partition, RoleArn};
use thiserror::Error;

use crate::moment::rfc3339_text;
use crate::names::{AppName, ClusterName, RoleName};
use crate::resource::AppTraffic;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Denial(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    who: String,
    what: Wanted,
    reason: DenialReason,
}

/// What was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wanted {
    /// The use of an app.
    App {
        /// The app.
        app: AppName,
        /// The AWS role, where one is known.
        aws_role: Option<RoleArn>,
    },
    /// A verb on a resource of the cluster.
    Resource {
        /// The verb.
        verb: &'static str,
        /// The kind.
        kind: String,
        /// The resource, where one is known.
        name: Option<String>,
    },
    /// A login.
    Login,
}

impl Denial {
    pub(crate) fn new(who: &str, what: Wanted, reason: DenialReason) -> Self {
        Self(Box::new(Inner { who: who.to_owned(), what, reason }))
    }

    /// The rule that refused.
    #[must_use]
    pub fn reason(&self) -> &DenialReason {
        &self.0.reason
    }

    /// A short, stable name of the rule, for tables, metrics and audit.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.reason.code()
    }

    /// The user or host that was refused.
    #[must_use]
    pub fn who(&self) -> &str {
        &self.0.who
    }

    /// What was refused.
    #[must_use]
    pub fn wanted(&self) -> &Wanted {
        &self.0.what
    }
}

impl fmt::Display for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = &self.who;
        match &self.what {
            Wanted::App { app, aws_role: Some(arn) } => {
                write!(f, "{who} may not use app `{app}` as {arn}: ")?
            }
            Wanted::App { app, aws_role: None } => write!(f, "{who} may not use app `{app}`: ")?,
            Wanted::Resource { verb, kind, name: Some(name) } => {
                write!(f, "{who} may not {verb} {kind} `{name}`: ")?
            }
            Wanted::Resource { verb, kind, name: None } => {
                write!(f, "{who} may not {verb} {kind}: ")?
            }
            Wanted::Login => write!(f, "{who} may not log in: ")?,
        }
        write!(f, "{}; {}", self.reason, self.reason.remedy())
    }
}

/// One list of variants with their codes, so that none can be forgotten.
macro_rules! codes {
    ($($variant:ident => $code:literal),* $(,)?) => {
        impl DenialReason {
            /// Every code there is.
            pub const CODES: &'static [&'static str] = &[$($code),*];

            /// A short, stable name of the rule.
            #[must_use]
            pub const fn code(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $code,)*
                }
            }
        }
    };
}

codes! {
    NotAUser => "not-a-user",
    CertificateExpired => "certificate-expired",
    OtherCluster => "other-cluster",
    NoAppSession => "no-app-session",
    OtherApp => "other-app",
    SessionUnknown => "session-unknown",
    SessionExpired => "session-expired",
    SessionOfAnotherUser => "session-of-another-user",
    SessionOfAnotherApp => "session-of-another-app",
    SessionOfAnotherRole => "session-of-another-role",
    NotAnAwsApp => "not-an-aws-app",
    OtherTraffic => "other-traffic",
    NoConsole => "no-console",
    OtherPartition => "other-partition",
    NoAwsRole => "no-aws-role",
    Locked => "locked",
    LocksOutOfDate => "locks-out-of-date",
    UserUnknown => "user-unknown",
    UserLocked => "user-locked",
    UserExpired => "user-expired",
    NoRoleLeft => "no-role-left",
    DeniedByLabels => "denied-by-labels",
    DeniedByExpression => "denied-by-expression",
    DeniedByArn => "denied-by-arn",
    DenyRuleBroken => "deny-rule-broken",
    NoRoleAllowsApp => "no-role-allows-app",
    NoRoleAllowsArn => "no-role-allows-arn",
    SplitAcrossRoles => "split-across-roles",
    ArnNotInCertificate => "arn-not-in-certificate",
    OtherAccount => "other-account",
    MfaRequired => "mfa-required",
    OptionNotSupported => "option-not-supported",
    AwsSessionBroken => "aws-session-broken",
    PolicyTooLongForConsole => "policy-too-long-for-console",
    TraitsChanged => "traits-changed",
    HandsOutKeys => "hands-out-keys",
    NoRuleAllows => "no-rule-allows",
    DeniedByRule => "denied-by-rule",
    HostNotEntitled => "host-not-entitled",
}

/// The rule that refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DenialReason {
    /// The certificate is a host's.
    #[error("the certificate is a host's, not a user's")]
    NotAUser,
    /// The certificate has ended.
    #[error("the certificate expired at {}", rfc3339_text(*.at))]
    CertificateExpired {
        /// When.
        at: SystemTime,
    },
    /// The certificate is of another cluster.
    #[error("the certificate is of cluster `{theirs}`, this is cluster `{ours}`")]
    OtherCluster {
        /// The certificate's.
        theirs: ClusterName,
        /// Ours.
        ours: ClusterName,
    },
    /// The certificate carries no app session.
    #[error("the certificate carries no app session")]
    NoAppSession,
    /// The certificate's session is for another app.
    #[error("the certificate is for app `{certificate}`")]
    OtherApp {
        /// The certificate's app.
        certificate: AppName,
    },
    /// The session is not among the live ones.
    #[error("the app session has ended or never was")]
    SessionUnknown,
    /// The session's time is over.
    #[error("the app session expired at {}", rfc3339_text(*.at))]
    SessionExpired {
        /// When.
        at: SystemTime,
    },
    /// The session belongs to somebody else.
    #[error("the app session belongs to another user")]
    SessionOfAnotherUser,
    /// The session is for another app.
    #[error("the app session was opened for another app")]
    SessionOfAnotherApp,
    /// The session is for another AWS role.
    #[error("the app session was opened for another AWS role")]
    SessionOfAnotherRole,
    /// The app is not AWS.
    #[error("the app is not an AWS app")]
    NotAnAwsApp,
    /// The app is of another kind than the connection.
    #[error("the app is {}", .app.words())]
    OtherTraffic {
        /// What the app is.
        app: AppTraffic,
    },
    /// The partition has no console that browsers can be sent to.
    #[error("partition `{partition}` has no public console")]
    NoConsole {
        /// The partition.
        partition: Partition,
    },
    /// The app's console is of another partition than the role.
    #[error("the app is the console of partition `{console}`, the AWS role is of `{role}`")]
    OtherPartition {
        /// The app's.
        console: Partition,
        /// The role's.
        role: Partition,
    },
    /// The certificate carries no AWS role.
    #[error("the certificate carries no AWS role")]
    NoAwsRole,
    /// A lock is in force.
    #[error("a lock on {target} is in force{}", told(.message))]
    Locked {
        /// Whom or what it stops, in words.
        target: String,
        /// What its maker wants them to know.
        message: Option<String>,
    },
    /// Strict locking, and the list of locks may be out of date.
    #[error("the list of locks is out of date, and strict locking is on")]
    LocksOutOfDate,
    /// The user does not exist any more.
    #[error("the user does not exist any more")]
    UserUnknown,
    /// The account is locked.
    #[error("the account is locked{}", told(.message))]
    UserLocked {
        /// What its maker wants them to know.
        message: Option<String>,
    },
    /// The account has ended.
    #[error("the account has expired")]
    UserExpired,
    /// None of the roles in the certificate is still the user's.
    #[error("the user has none of the certificate's roles any more ({})", list(.had))]
    NoRoleLeft {
        /// The certificate's roles.
        had: Vec<RoleName>,
    },
    /// Labels in a deny section fit the app.
    #[error("role `{role}` denies it by deny.app_labels")]
    DeniedByLabels {
        /// The role.
        role: RoleName,
    },
    /// The expression in a deny section fits the app.
    #[error("role `{role}` denies it by deny.app_labels_expression")]
    DeniedByExpression {
        /// The role.
        role: RoleName,
    },
    /// A deny section lists the ARN.
    #[error("role `{role}` denies that AWS role by deny.aws_role_arns")]
    DeniedByArn {
        /// The role.
        role: RoleName,
    },
    /// A deny section cannot be understood, so that it counts as a refusal.
    #[error(
        "role `{role}` has a deny rule that cannot be evaluated ({what}), which counts as a refusal"
    )]
    DenyRuleBroken {
        /// The role.
        role: RoleName,
        /// Which part, and why.
        what: String,
    },
    /// No role's labels fit the app.
    #[error("no role allows this app by its labels (allow.app_labels; looked at {})", list(.looked_at))]
    NoRoleAllowsApp {
        /// The roles that were looked at.
        looked_at: Vec<RoleName>,
    },
    /// Roles allow the app, none of any lists the ARN.
    #[error("role {} allows the app, but no role lists that AWS role in allow.aws_role_arns", list(.allow_app))]
    NoRoleAllowsArn {
        /// The roles that allow the app.
        allow_app: Vec<RoleName>,
    },
    /// One role allows the app, another the ARN.
    #[error(
        "role {} allows the app and role {} the AWS role, but one role must allow both",
        list(.allow_app), list(.allow_arn)
    )]
    SplitAcrossRoles {
        /// The roles that allow the app.
        allow_app: Vec<RoleName>,
        /// The roles that list the ARN.
        allow_arn: Vec<RoleName>,
    },
    /// The ARN was not allowed when the certificate was issued.
    #[error("the certificate does not allow that AWS role")]
    ArnNotInCertificate,
    /// The app is bound to another account.
    #[error("the app's label aws_account_id is {account}, the AWS role is of another account")]
    OtherAccount {
        /// The app's account.
        account: String,
    },
    /// A fresh second factor is needed.
    #[error("{} requires a second factor for each session, and this one was opened without", by(.role))]
    MfaRequired {
        /// The role that asks for it; the cluster if none.
        role: Option<RoleName>,
    },
    /// A role demands something that is not enforced here, so that it counts as a refusal.
    #[error("role `{role}` sets options.{option}, which this cluster cannot honour")]
    OptionNotSupported {
        /// The role.
        role: RoleName,
        /// The option.
        option: &'static str,
    },
    /// What a role tells AWS of the session cannot be had for this user.
    #[error(
        "role `{role}` sets what AWS is told of the session, and that cannot be had for this user: {what}"
    )]
    AwsSessionBroken {
        /// The role.
        role: RoleName,
        /// Which setting, and why.
        what: String,
    },
    /// A session policy that is split by service does not fit a console session.
    #[error("the session policy of the user's roles is longer than what AWS takes for the console")]
    PolicyTooLongForConsole,
    /// What AWS is told would be another thing by the traits as of now than by those of the login.
    #[error("the user's traits have changed since the login, and a role tells AWS of them")]
    TraitsChanged,
    /// The answer would hold AWS keys.
    #[error("the answer to {operation} would hold AWS keys, which never leave the agent")]
    HandsOutKeys {
        /// The operation.
        operation: String,
    },
    /// No rule allows the verb on the kind.
    #[error("no role has an allow rule for it (looked at {})", list(.looked_at))]
    NoRuleAllows {
        /// The roles that were looked at.
        looked_at: Vec<RoleName>,
    },
    /// A deny rule fits.
    #[error("role `{role}` denies it by a deny rule")]
    DeniedByRule {
        /// The role.
        role: RoleName,
    },
    /// A host asked for what its system roles do not give.
    #[error("a host with the system roles {roles} may not")]
    HostNotEntitled {
        /// Its system roles, in words.
        roles: String,
    },
}

impl DenialReason {
    /// What to do about it, lower case, no full stop.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "a table: one line a rule")]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::CertificateExpired { .. }
            | Self::OtherCluster { .. }
            | Self::NotAUser
            | Self::TraitsChanged => "log in again with tsh login",
            Self::NoAppSession
            | Self::OtherApp { .. }
            | Self::SessionUnknown
            | Self::SessionExpired { .. }
            | Self::SessionOfAnotherUser
            | Self::SessionOfAnotherApp
            | Self::SessionOfAnotherRole
            | Self::NoAwsRole => "log in to the app again with tsh apps login",
            Self::ArnNotInCertificate | Self::NoRoleLeft { .. } => {
                "log in again with tsh login; if that does not help, ask an administrator for the role"
            }
            Self::NotAnAwsApp => "ask an administrator to check the app's uri or cloud",
            Self::OtherTraffic { .. } => "use tsh aws for AWS apps, and tsh proxy app for others",
            Self::NoConsole { .. } => "use tsh aws instead",
            Self::OtherPartition { .. } => "choose a role of the app's own partition",
            Self::Locked { .. } => "ask an administrator to remove the lock",
            Self::LocksOutOfDate => {
                "try again shortly; an administrator can see whether the agent reaches the cluster"
            }
            Self::UserUnknown | Self::UserLocked { .. } | Self::UserExpired => {
                "ask an administrator to restore the account"
            }
            Self::DeniedByLabels { .. }
            | Self::DeniedByExpression { .. }
            | Self::DeniedByArn { .. }
            | Self::DeniedByRule { .. } => {
                "ask an administrator to change that role or to take it from the user"
            }
            Self::DenyRuleBroken { .. } => "ask an administrator to correct that role",
            Self::NoRoleAllowsApp { .. } => {
                "ask an administrator for a role whose app_labels fit the app"
            }
            Self::NoRoleAllowsArn { .. } => {
                "ask an administrator to add the ARN to the role's aws_role_arns"
            }
            Self::SplitAcrossRoles { .. } => {
                "ask an administrator to put app_labels and aws_role_arns into one role"
            }
            Self::OtherAccount { .. } => {
                "choose a role of that account, or the app of the other account"
            }
            Self::MfaRequired { .. } => {
                "log in to the app again with a second factor, where the cluster offers it"
            }
            Self::OptionNotSupported { .. } => {
                "ask an administrator to remove the option from the role"
            }
            Self::PolicyTooLongForConsole => {
                "use tsh aws, or ask an administrator to shorten the roles' aws_session_policy"
            }
            Self::AwsSessionBroken { .. } => {
                "ask an administrator to correct the role's aws_session_… settings or the user's traits"
            }
            Self::HandsOutKeys { .. } => {
                "use the AWS role of the app session, or AssumeRole signed with its keys; for another role ask for it in aws_role_arns"
            }
            Self::NoRuleAllows { .. } => "ask an administrator for a role with such a rule",
            Self::HostNotEntitled { .. } => "join the host with the system role that it needs",
        }
    }
}

fn told(message: &Option<String>) -> String {
    message.as_ref().map(|message| format!(" ({message})")).unwrap_or_default()
}

fn by(role: &Option<RoleName>) -> String {
    role.as_ref().map_or_else(|| "the cluster".to_owned(), |role| format!("role `{role}`"))
}

fn list(roles: &[RoleName]) -> String {
    if roles.is_empty() {
        return "no role".to_owned();
    }
    let quoted: Vec<String> = roles.iter().map(|role| format!("`{role}`")).collect();
    quoted.join(", ")
}
