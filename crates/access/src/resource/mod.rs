//! The resources that decisions are made from, in the shape that their files have.

mod app;
mod kind;
mod lists;
mod lock;
mod metadata;
mod role;
mod user;
mod validate;

pub use app::{ACCOUNT_LABEL, App, AppAws, AppSpec, AppTraffic, Cloud, DynamicLabel, Rewrite};
pub use kind::{AppKind, AppVersion, LockKind, LockVersion, RoleKind, UserKind, UserVersion};
pub use lists::LabelSelector;
pub use lock::{Lock, LockSpec, LockTarget};
pub use metadata::Metadata;
pub use role::{
    LockingMode, RequireMfa, Role, RoleConditions, RoleOptions, RoleSpec, RoleVersion, Rule,
};
pub use user::{CreatedBy, User, UserRef, UserSpec, UserStatus};
pub(crate) use validate::arn_finding;
pub use validate::{Finding, Invalid, Resource, validate, warnings};
