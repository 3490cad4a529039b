//! The one function that decides whether a call may go out.

use std::sync::Arc;
use std::time::SystemTime;

use aws::{Call, RoleArn};

use crate::denial::Denial;
use crate::identity::{Claims, Identity};
use crate::names::{AppName, AppSessionId, ClusterName, UserName};
use crate::policy::Policy;
use crate::resource::App;

/// One call to AWS, through an app, at a moment.
#[derive(Debug, Clone, Copy)]
pub struct AccessRequest<'a> {
    /// The app, as the agent that serves it knows it.
    pub app: &'a App,
    /// What is called.
    pub call: &'a Call,
    /// Now.
    pub now: SystemTime,
}

/// The proof that [`decide`] allowed a call. Nothing else makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    user: UserName,
    cluster: ClusterName,
    app: AppName,
    session: AppSessionId,
    aws_role: RoleArn,
    until: SystemTime,
    external_id: Option<Arc<str>>,
}

impl Grant {
    /// Whose call it is.
    #[must_use]
    pub fn user(&self) -> &UserName {
        &self.user
    }

    /// The cluster of the user.
    #[must_use]
    pub fn cluster(&self) -> &ClusterName {
        &self.cluster
    }

    /// Through which app.
    #[must_use]
    pub fn app(&self) -> &AppName {
        &self.app
    }

    /// In which app session.
    #[must_use]
    pub fn session(&self) -> &AppSessionId {
        &self.session
    }

    /// As which AWS role.
    #[must_use]
    pub fn aws_role(&self) -> &RoleArn {
        &self.aws_role
    }

    /// When certificate and session end: credentials got by this grant must not outlive it.
    #[must_use]
    pub fn until(&self) -> SystemTime {
        self.until
    }

    /// The external id for AssumeRole.
    #[must_use]
    pub fn external_id(&self) -> Option<&str> {
        self.external_id.as_deref()
    }
}

/// Decides whether a call may go out.
///
/// # Errors
/// The first rule that refuses.
pub fn decide(
    identity: &Identity,
    request: &AccessRequest<'_>,
    policy: &Policy,
) -> Result<Grant, Denial> {
    let _ = (identity, request, policy);
    unimplemented!()
}

/// The proof that [`permit_app`] allowed the use of an app: app certificates are issued on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppPermit {
    user: UserName,
    app: AppName,
    aws_role: Option<RoleArn>,
    until: SystemTime,
}

impl AppPermit {
    /// Who may use it.
    #[must_use]
    pub fn user(&self) -> &UserName {
        &self.user
    }

    /// Which app.
    #[must_use]
    pub fn app(&self) -> &AppName {
        &self.app
    }

    /// As which AWS role.
    #[must_use]
    pub fn aws_role(&self) -> Option<&RoleArn> {
        self.aws_role.as_ref()
    }

    /// At most until when: the certificate's end, or sooner by the roles.
    #[must_use]
    pub fn until(&self) -> SystemTime {
        self.until
    }
}

/// One use of an app that is asked about without an app session: for lists and for app logins.
#[derive(Debug, Clone, Copy)]
pub struct AppRequest<'a> {
    /// The app.
    pub app: &'a App,
    /// As which AWS role; `None` asks about the app alone.
    pub aws_role: Option<&'a RoleArn>,
    /// Whether a second factor was shown for this very session.
    pub mfa: bool,
    /// Now.
    pub now: SystemTime,
}

/// Decides whether a user may open a session with an app: the same rules as [`decide`], before
/// there is a session.
///
/// # Errors
/// The first rule that refuses.
pub fn permit_app(
    claims: &Identity,
    request: &AppRequest<'_>,
    policy: &Policy,
) -> Result<AppPermit, Denial> {
    let _ = (claims, request, policy, None::<Claims>);
    unimplemented!()
}
