//! The decisions beside AWS calls: signing in to the AWS console, and using web and TCP apps.
//!
//! The order of the checks is that of [`decide`](mod@crate::decide); the proofs are types of their own, so
//! that what was allowed for one purpose cannot be used for another.

use std::time::SystemTime;

use aws::Partition;

use crate::aws_session::SessionPolicy;
use crate::decide::{AppUse, Grant, Intent, check_allowed, check_denied, check_role, live_session};
use crate::denial::{Denial, DenialReason, Wanted};
use crate::identity::Identity;
use crate::names::{AppName, AppSessionId, Traits, UserName};
use crate::policy::Policy;
use crate::resource::{App, AppTraffic};
use crate::standing::{self, Standing};

/// A use of a web or TCP app, at a moment. Asked anew for each request.
#[derive(Debug, Clone, Copy)]
pub struct AppUseRequest<'a> {
    /// The app, as the agent that serves it knows it.
    pub app: &'a App,
    /// What the connection speaks.
    pub traffic: AppTraffic,
    /// Now.
    pub now: SystemTime,
}

/// The proof that [`decide_app`] allowed the use of a web or TCP app. Nothing else makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppGrant {
    user: UserName,
    app: AppName,
    session: AppSessionId,
    traits: Traits,
    until: SystemTime,
}

impl AppGrant {
    /// Whose use it is.
    #[must_use]
    pub fn user(&self) -> &UserName {
        &self.user
    }

    /// Of which app.
    #[must_use]
    pub fn app(&self) -> &AppName {
        &self.app
    }

    /// In which app session.
    #[must_use]
    pub fn session(&self) -> &AppSessionId {
        &self.session
    }

    /// The user's traits, for templates in the app's headers: as of now where that is known, those of the
    /// certificate otherwise.
    #[must_use]
    pub fn traits(&self) -> &Traits {
        &self.traits
    }

    /// When certificate and session end, and with them whatever is still open.
    #[must_use]
    pub fn until(&self) -> SystemTime {
        self.until
    }
}

/// Decides whether a web or TCP app may be used.
///
/// # Errors
/// The first rule that refuses.
pub fn decide_app(
    identity: &Identity,
    request: &AppUseRequest<'_>,
    policy: &Policy,
) -> Result<AppGrant, Denial> {
    check_use(identity, request, policy).map_err(|reason| refused(identity, request.app, reason))
}

fn check_use(
    identity: &Identity,
    request: &AppUseRequest<'_>,
    policy: &Policy,
) -> Result<AppGrant, DenialReason> {
    let AppUseRequest { app, traffic, now } = *request;
    let claims = standing::certificate(identity, now, policy)?;
    let (_, session) = live_session(claims, app, now, policy)?;
    let kind = app.traffic();
    if kind != traffic || !matches!(kind, AppTraffic::Web | AppTraffic::Tcp) {
        return Err(DenialReason::OtherTraffic { app: kind });
    }
    let standing = Standing::of(claims, now, policy)?;
    check_denied(&standing, app, None)?;
    let intent = if claims.mfa { Intent::OpenWithMfa } else { Intent::Open };
    check_allowed(&standing, &AppUse { app, aws_role: None, intent }, policy)?;
    let traits = policy.user(claims.user.as_str()).and_then(|user| user.traits.as_ref());
    Ok(AppGrant {
        user: claims.user.clone(),
        app: app.name().clone(),
        session: session.id.clone(),
        traits: traits.unwrap_or(&claims.traits).clone(),
        until: identity.expires().min(session.expires),
    })
}

/// The proof that [`permit_console`] allowed a sign-in to the AWS console. Nothing else makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleGrant {
    grant: Grant,
    partition: Partition,
    host: &'static str,
}

impl ConsoleGrant {
    /// Who, as which AWS role and until when: for AssumeRole, and for nothing else.
    #[must_use]
    pub fn role_session(&self) -> &Grant {
        &self.grant
    }

    /// The partition of role and console.
    #[must_use]
    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// The console's host.
    #[must_use]
    pub fn console_host(&self) -> &'static str {
        self.host
    }
}

/// Decides whether the certificate's AWS role may be taken to the AWS console.
///
/// # Errors
/// The first rule that refuses.
pub fn permit_console(
    identity: &Identity,
    (app, now): (&App, SystemTime),
    policy: &Policy,
) -> Result<ConsoleGrant, Denial> {
    check_console(identity, (app, now), policy).map_err(|reason| refused(identity, app, reason))
}

fn check_console(
    identity: &Identity,
    (app, now): (&App, SystemTime),
    policy: &Policy,
) -> Result<ConsoleGrant, DenialReason> {
    let grant = check_role(identity, (app, now), policy)?;
    let role = grant.aws_role().partition();
    // An app that names only its cloud is the console of whatever partition the role is of.
    let partition = app.partition().unwrap_or(role);
    if partition != role {
        return Err(DenialReason::OtherPartition { console: partition, role });
    }
    let host = partition.console_host().ok_or(DenialReason::NoConsole { partition })?;
    // A console session speaks to every service with one set of credentials.
    if grant.aws_session().policy.as_ref().is_some_and(SessionPolicy::is_split) {
        return Err(DenialReason::PolicyTooLongForConsole);
    }
    Ok(ConsoleGrant { grant, partition, host })
}

fn refused(identity: &Identity, app: &App, reason: DenialReason) -> Denial {
    let certificate = identity.user().and_then(|claims| claims.app.as_ref());
    let aws_role = certificate.and_then(|app| app.aws_role.clone());
    Denial::new(identity.subject(), Wanted::App { app: app.name().clone(), aws_role }, reason)
}
