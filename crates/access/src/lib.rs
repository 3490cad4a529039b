//! Who someone is, what roles, labels and templates say, and the one function that decides.
//!
//! Pure: no IO, no async, no clock. Time is an argument, the state of the cluster is a
//! [`Policy`], and the answer is a [`Grant`] or a [`Denial`] that names its rule.
//!
//! - [`identity`]: what a verified certificate said.
//! - [`resource`]: roles, users, apps and locks in the shape of their files.
//! - [`policy`]: the snapshot that decisions read.
//! - [`decide`](mod@decide): may this call go out? [`rules`]: may this resource be touched?
//! - [`issue`]: what goes into a certificate.

mod aws_session;
pub mod choose_role;
mod compiled;
pub mod decide;
pub mod decide_app;
pub mod denial;
pub mod identity;
pub mod issue;
mod labels;
pub mod language;
mod locks;
pub mod moment;
pub mod names;
pub mod policy;
pub mod resource;
pub mod role_set;
pub mod rules;
mod standing;

pub use aws_session::{AwsSession, SessionPolicy};
pub use choose_role::{RoleChoice, available_aws_roles, malformed_aws_roles, resolve_aws_role};
pub use decide::{
    AccessRequest, AnswerUse, AppPermit, AppRequest, Grant, Intent, decide, permit_app,
};
pub use decide_app::{AppGrant, AppUseRequest, ConsoleGrant, decide_app, permit_console};
pub use denial::{Denial, DenialReason, Wanted};
pub use identity::{AppClaims, Claims, HostClaims, Identity, SystemRole, VerifiedClaims};
pub use issue::{AppLogin, IssueError, Login, LoginRequest, app_claims, login_claims};
pub use names::{
    AppName, AppSessionId, BadName, ClusterName, HostId, LockName, RoleName, Traits, UserName,
};
pub use policy::{AppSession, AuthPreference, Policy, UserNow};
pub use resource::{App, AppTraffic, Finding, Lock, LockTarget, Metadata, Role, RoleVersion, User};
pub use role_set::{MergedOptions, RoleSet, presets};
pub use rules::{Permit, ResourceFacts, RuleRequest, Verb, may};
