//! The one function that decides whether a call may go out.
//!
//! The order of the checks is part of the contract: certificate, cluster, app session, locks,
//! account, roles, deny rules, allow rules, forbidden calls. Deny is greedy: labels, expression
//! or ARN, each by itself, refuse. Allow is not: labels and ARN must be allowed by one role.

use std::sync::Arc;
use std::time::SystemTime;

use aws::{Call, RoleArn};

use crate::aws_session::{self, AwsSession, SessionPolicy};
use crate::compiled::FilledRole;
use crate::denial::{Denial, DenialReason, Wanted};
use crate::identity::{AppClaims, Claims, Identity};
use crate::language::matcher::Fit;
use crate::names::{AppName, AppSessionId, ClusterName, UserName};
use crate::policy::{AppSession, Policy};
use crate::resource::{App, RequireMfa};
use crate::role_set::MAX_SESSION_TTL;
use crate::standing::{self, Reading, Standing};

/// One call to AWS, through an app, at a moment.
#[derive(Debug, Clone, Copy)]
pub struct AccessRequest<'a> {
    /// The app, as the agent that serves it knows it.
    pub app: &'a App,
    /// What is called.
    pub call: &'a Call,
    /// The AWS roles, each assumed with the keys of the one before, by whose keys the call is made; none where it
    /// is made by those of the app session.
    pub chain: &'a [RoleArn],
    /// Now.
    pub now: SystemTime,
}

/// What is to be done with AWS's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerUse {
    /// It is passed on.
    AsItIs,
    /// It holds AWS keys, which stay with the agent: the user gets others in their place.
    KeysOfOurs,
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
    external_id: Option<String>,
    aws_session: Arc<AwsSession>,
    session_policy: Option<Arc<str>>,
    answer: AnswerUse,
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

    /// Session tags and source identity for AssumeRole.
    #[must_use]
    pub fn aws_session(&self) -> &Arc<AwsSession> {
        &self.aws_session
    }

    /// The session policy for AssumeRole, as far as it concerns what was granted.
    #[must_use]
    pub fn session_policy(&self) -> Option<&Arc<str>> {
        self.session_policy.as_ref()
    }

    /// What is to be done with AWS's answer.
    #[must_use]
    pub fn answer(&self) -> AnswerUse {
        self.answer
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
    let denied = |reason, aws_role: Option<&RoleArn>| {
        let what = Wanted::App { app: request.app.name().clone(), aws_role: aws_role.cloned() };
        Denial::new(identity.subject(), what, reason)
    };
    let certificate = identity.user().and_then(|claims| claims.app.as_ref());
    let certified = certificate.and_then(|app| app.aws_role.as_ref());
    let grant =
        check_call(identity, request, policy).map_err(|reason| denied(reason, certified))?;
    let asked_for = request.call.key_giving().and_then(|giving| giving.role());
    for further in request.chain.iter().chain(asked_for) {
        check_further(identity, (request, further), policy)
            .map_err(|reason| denied(reason, Some(further)))?;
    }
    Ok(grant)
}

fn check_call(
    identity: &Identity,
    request: &AccessRequest<'_>,
    policy: &Policy,
) -> Result<Grant, DenialReason> {
    let mut grant = check_role(identity, (request.app, request.now), policy)?;
    grant.answer = answer_use(request.call)?;
    let told = grant.aws_session.policy.as_ref().filter(|policy| policy.is_split());
    if let Some(told) = told {
        grant.session_policy = Some(told.document(request.call.service().signing_name()));
    }
    Ok(grant)
}

fn answer_use(call: &Call) -> Result<AnswerUse, DenialReason> {
    match (call.hands_out_keys(), call.key_giving()) {
        (false, _) => Ok(AnswerUse::AsItIs),
        (true, Some(_)) => Ok(AnswerUse::KeysOfOurs),
        (true, None) => Err(DenialReason::HandsOutKeys { operation: call.operation().to_owned() }),
    }
}

/// Whether a role may be used that was reached, or would be, by assuming it with the keys of another. That it may be
/// assumed is for AWS to say; that it may not be used, also for us.
fn check_further(
    identity: &Identity,
    (request, aws_role): (&AccessRequest<'_>, &RoleArn),
    policy: &Policy,
) -> Result<(), DenialReason> {
    check_account(request.app, aws_role)?;
    let claims = standing::certificate(identity, request.now, policy)?;
    let standing = Standing::of(claims, request.now, policy)?;
    check_denied(&standing, request.app, Some(aws_role))
}

/// Whether the certificate's AWS role may be used through the app now, whatever for.
pub(crate) fn check_role(
    identity: &Identity,
    (app, now): (&App, SystemTime),
    policy: &Policy,
) -> Result<Grant, DenialReason> {
    let claims = standing::certificate(identity, now, policy)?;
    let (certificate, session) = live_session(claims, app, now, policy)?;
    let aws_role = certified_role(certificate, app)?;
    let standing = Standing::of(claims, now, policy)?;
    check_denied(&standing, app, Some(aws_role))?;
    let mfa = if claims.mfa { Intent::OpenWithMfa } else { Intent::Open };
    let wanted = AppUse { app, aws_role: Some(aws_role), intent: mfa };
    let allowing = check_allowed(&standing, &wanted, policy)?;
    check_certified(claims, aws_role)?;
    let aws_session = aws_session(&standing, allowing)?;
    Ok(Grant {
        user: claims.user.clone(),
        cluster: claims.cluster.clone(),
        app: app.name().clone(),
        session: session.id.clone(),
        aws_role: aws_role.clone(),
        until: identity.expires().min(session.expires),
        external_id: app.external_id().map(str::to_owned),
        session_policy: aws_session.policy.as_ref().map(SessionPolicy::whole),
        aws_session,
        answer: AnswerUse::AsItIs,
    })
}

/// What AWS is told: by the traits as of now, which must be what they were at the login.
fn aws_session(
    standing: &Standing<'_>,
    allowing: Vec<&FilledRole>,
) -> Result<Arc<AwsSession>, DenialReason> {
    let session = aws_session::merged(allowing)?;
    if !session.is_empty() && standing.tells_aws_otherwise() {
        return Err(DenialReason::TraitsChanged);
    }
    Ok(session)
}

/// The certificate's app session, which must be live and be this user's, for this app and role.
pub(crate) fn live_session<'a>(
    claims: &'a Claims,
    app: &App,
    now: SystemTime,
    policy: &'a Policy,
) -> Result<(&'a AppClaims, &'a AppSession), DenialReason> {
    let certificate = claims.app.as_ref().ok_or(DenialReason::NoAppSession)?;
    if certificate.name != *app.name() {
        return Err(DenialReason::OtherApp { certificate: certificate.name.clone() });
    }
    let session =
        policy.session(certificate.session.as_str()).ok_or(DenialReason::SessionUnknown)?;
    if session.expires <= now {
        return Err(DenialReason::SessionExpired { at: session.expires });
    }
    if session.user != claims.user {
        return Err(DenialReason::SessionOfAnotherUser);
    }
    if session.app != certificate.name {
        return Err(DenialReason::SessionOfAnotherApp);
    }
    if session.aws_role != certificate.aws_role {
        return Err(DenialReason::SessionOfAnotherRole);
    }
    Ok((certificate, session))
}

/// The AWS role of the certificate, which must suit the app.
pub(crate) fn certified_role<'a>(
    certificate: &'a AppClaims,
    app: &App,
) -> Result<&'a RoleArn, DenialReason> {
    if !app.is_aws() {
        return Err(DenialReason::NotAnAwsApp);
    }
    let aws_role = certificate.aws_role.as_ref().ok_or(DenialReason::NoAwsRole)?;
    check_account(app, aws_role)?;
    Ok(aws_role)
}

fn check_account(app: &App, aws_role: &RoleArn) -> Result<(), DenialReason> {
    match app.aws_account() {
        Some(account) if account != aws_role.account().as_str() => {
            Err(DenialReason::OtherAccount { account: account.to_owned() })
        }
        _ => Ok(()),
    }
}

pub(crate) fn check_certified(claims: &Claims, aws_role: &RoleArn) -> Result<(), DenialReason> {
    if claims.allowed_aws_roles.iter().any(|allowed| allowed == aws_role.as_str()) {
        return Ok(());
    }
    Err(DenialReason::ArnNotInCertificate)
}

/// Deny rules of every role that the user has now.
pub(crate) fn check_denied(
    standing: &Standing<'_>,
    app: &App,
    aws_role: Option<&RoleArn>,
) -> Result<(), DenialReason> {
    standing.denying().try_for_each(|reading| check_denied_by(standing, &reading, app, aws_role))
}

fn check_denied_by(
    standing: &Standing<'_>,
    reading: &Reading<'_>,
    app: &App,
    aws_role: Option<&RoleArn>,
) -> Result<(), DenialReason> {
    let (deny, role) = (&reading.role.deny, reading.role.role.name());
    if let Some(fault) = deny.fault() {
        return Err(DenialReason::DenyRuleBroken { role: role.clone(), what: fault.to_owned() });
    }
    match deny.selector_fit(app) {
        Some(Fit::Yes) => return Err(DenialReason::DeniedByLabels { role: role.clone() }),
        Some(Fit::Unknown) => {
            let what = deny.broken_pattern().unwrap_or("app_labels").to_owned();
            return Err(DenialReason::DenyRuleBroken { role: role.clone(), what });
        }
        Some(Fit::No) | None => {}
    }
    if deny.expression_fits(&standing.facts(reading.traits, Some(app))) {
        return Err(DenialReason::DeniedByExpression { role: role.clone() });
    }
    if aws_role.is_some_and(|arn| deny.lists_arn(arn.as_str())) {
        return Err(DenialReason::DeniedByArn { role: role.clone() });
    }
    Ok(())
}

/// What is wanted of an app.
#[derive(Clone, Copy)]
pub(crate) struct AppUse<'a> {
    pub(crate) app: &'a App,
    pub(crate) aws_role: Option<&'a RoleArn>,
    pub(crate) intent: Intent,
}

/// Allow rules: one role must allow the app and, where one is wanted, the AWS role. Those that do are given back.
pub(crate) fn check_allowed<'s>(
    standing: &'s Standing<'_>,
    wanted: &AppUse<'s>,
    policy: &Policy,
) -> Result<Vec<&'s FilledRole>, DenialReason> {
    let allowing: Vec<&FilledRole> = allowing_both(standing, wanted).collect();
    if allowing.is_empty() {
        return Err(why_not_allowed(standing, wanted));
    }
    if wanted.intent == Intent::List {
        return Ok(allowing);
    }
    match Standing::asks_for_mfa(allowing.iter().copied(), policy) {
        None => Ok(allowing),
        // That a key lives in hardware cannot be told from here.
        Some((RequireMfa::Yes, _)) if wanted.intent == Intent::OpenWithMfa => Ok(allowing),
        Some((_, role)) => Err(DenialReason::MfaRequired { role }),
    }
}

fn allowing_both<'s>(
    standing: &'s Standing<'_>,
    wanted: &AppUse<'s>,
) -> impl Iterator<Item = &'s FilledRole> {
    let (app, aws_role) = (wanted.app, wanted.aws_role);
    standing.allowing(move |allow, traits| {
        aws_role.is_none_or(|arn| allow.lists_arn(arn.as_str()))
            && allow.allows_app(app, &standing.facts(traits, Some(app)))
    })
}

/// Which half is missing, in the words of the roles.
fn why_not_allowed(standing: &Standing<'_>, wanted: &AppUse<'_>) -> DenialReason {
    let names = |roles: Vec<&FilledRole>| {
        roles.into_iter().map(|filled| filled.role.name().clone()).collect()
    };
    let by_app = |allow: &crate::compiled::Side, traits: &_| {
        allow.allows_app(wanted.app, &standing.facts(traits, Some(wanted.app)))
    };
    let allow_app: Vec<_> = names(standing.allowing(by_app).collect());
    if allow_app.is_empty() {
        return DenialReason::NoRoleAllowsApp { looked_at: standing.role_names() };
    }
    let arn = wanted.aws_role.map(RoleArn::as_str).unwrap_or_default();
    let allow_arn: Vec<_> = names(standing.allowing(|allow, _| allow.lists_arn(arn)).collect());
    if allow_arn.is_empty() {
        return DenialReason::NoRoleAllowsArn { allow_app };
    }
    DenialReason::SplitAcrossRoles { allow_app, allow_arn }
}

/// The proof that [`permit_app`] allowed the use of an app: app certificates are issued on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppPermit {
    user: UserName,
    app: AppName,
    aws_role: Option<RoleArn>,
    until: SystemTime,
    with_mfa: bool,
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

    /// Whether it was asked for with a second factor.
    #[must_use]
    pub fn with_mfa(&self) -> bool {
        self.with_mfa
    }

    /// At most until when: the certificate's end, or sooner by the roles.
    #[must_use]
    pub fn until(&self) -> SystemTime {
        self.until
    }
}

/// What an app is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// To be shown in a list.
    List,
    /// To open a session.
    Open,
    /// To open a session, for which a second factor was shown just now.
    OpenWithMfa,
}

/// One use of an app that is asked about without an app session: for lists and for app logins.
#[derive(Debug, Clone, Copy)]
pub struct AppRequest<'a> {
    /// The app.
    pub app: &'a App,
    /// As which AWS role; `None` asks about the app alone.
    pub aws_role: Option<&'a RoleArn>,
    /// What for.
    pub intent: Intent,
    /// Now.
    pub now: SystemTime,
}

/// Decides whether a user may open a session with an app: the same rules as [`decide`], before
/// there is a session.
///
/// # Errors
/// The first rule that refuses.
pub fn permit_app(
    identity: &Identity,
    request: &AppRequest<'_>,
    policy: &Policy,
) -> Result<AppPermit, Denial> {
    check_app(identity, request, policy).map_err(|reason| {
        let what =
            Wanted::App { app: request.app.name().clone(), aws_role: request.aws_role.cloned() };
        Denial::new(identity.subject(), what, reason)
    })
}

fn check_app(
    identity: &Identity,
    request: &AppRequest<'_>,
    policy: &Policy,
) -> Result<AppPermit, DenialReason> {
    let AppRequest { app, aws_role, intent, now } = *request;
    let claims = standing::certificate(identity, now, policy)?;
    if let Some(aws_role) = aws_role {
        if !app.is_aws() {
            return Err(DenialReason::NotAnAwsApp);
        }
        check_account(app, aws_role)?;
    }
    let standing = Standing::of(claims, now, policy)?;
    check_denied(&standing, app, aws_role)?;
    check_allowed(&standing, &AppUse { app, aws_role, intent }, policy)?;
    aws_role.map_or(Ok(()), |aws_role| check_certified(claims, aws_role))?;
    let longest = standing.effective_roles().map(FilledRole::max_session_ttl).min();
    let by_roles = now.checked_add(longest.unwrap_or(MAX_SESSION_TTL));
    Ok(AppPermit {
        user: claims.user.clone(),
        app: app.name().clone(),
        aws_role: aws_role.cloned(),
        until: by_roles.map_or(identity.expires(), |end| end.min(identity.expires())),
        with_mfa: intent == Intent::OpenWithMfa,
    })
}
