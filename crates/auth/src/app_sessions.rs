//! App sessions: opened for one user, one app and at most one AWS role, with a certificate bound
//! to all three; ended by logout, expiry, a lock, or with the user.

use access::decide::Intent;
use access::rules::Verb;
use access::{
    App, AppLogin, AppRequest, AppSession, AppSessionId, Claims, Denial, DenialReason, User,
    UserName,
};
use api::types::app_sessions::{AppSessionQuery, AppSessionReply, AppSessionRequest};
use api::types::watch::{Item, Key};
use audit::events::{AppSessionEnd, AppSessionStart, CertCreate, CertIdentity, RouteToApp};
use pki::{CertPem, PublicKey};

use crate::caller::Caller;
use crate::cluster::{Asked, Cluster, denied};
use crate::events::{Stamp, rfc3339};
use crate::factors::{self, Accept, Shown};
use crate::passwords::random;
use crate::refusal::Refusal;
use crate::store::Tx;
use crate::web_sessions;

/// Most live sessions of one user.
const MOST_SESSIONS: usize = 500;

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The user said so.
    Logout,
    /// Its time is over.
    Expired,
    /// The user is gone.
    UserDeleted,
    /// The user is locked.
    Locked,
}

impl End {
    fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Expired => "expired",
            Self::UserDeleted => "user deleted",
            Self::Locked => "locked",
        }
    }
}

/// Opens a session and certifies the caller's key for it.
pub(crate) async fn open(
    cluster: &Cluster,
    caller: &Caller,
    mut request: AppSessionRequest,
) -> Result<AppSessionReply, Refusal> {
    let stamp = cluster.stamp(cluster.now());
    let user = caller.person(stamp.now)?;
    let key = public_key(&request.public_key)?;
    let app = announced(cluster, &request).await?;
    let shown = match request.proof.take() {
        None => None,
        Some(proof) => {
            Some(factors::prove(cluster, caller, (proof, Accept::Counting), &stamp).await?)
        }
    };
    let intent = if shown.is_some() { Intent::OpenWithMfa } else { Intent::Open };
    let asked = (&app, &request, intent);
    let (claims, session) = permitted(cluster, caller, asked, &stamp).await?;
    let certificate = cluster
        .authorities
        .user
        .issue_user(&claims, &key, stamp.now)
        .map_err(|error| Refusal::broken("issuing an app certificate", error))?;
    let opening = Opening {
        start: started(&session, &app, &claims, caller),
        certified: certified(&claims),
        user: user.user.clone(),
        session: session.clone(),
        shown,
        stamp,
    };
    cluster.store.write(move |tx| opening.keep(tx)).await?;
    Ok(AppSessionReply { session, certificate: chain_of(&certificate) })
}

/// Live sessions: the caller's own, or everybody's where a rule allows it.
pub(crate) async fn list(
    cluster: &Cluster,
    caller: &Caller,
    query: AppSessionQuery,
) -> Result<Vec<AppSession>, Refusal> {
    let now = cluster.now();
    let mut sessions = if query.all {
        cluster.authorize(caller, &Asked::of(&[Verb::List], "app_session")).await?;
        cluster.store.read(|reader| reader.sessions()).await?
    } else {
        let user = caller.person(now)?.user.clone();
        cluster.store.read(move |reader| reader.sessions_of(&user)).await?
    };
    sessions.retain(|session| now < session.expires);
    Ok(sessions)
}

/// Ends a session of the caller.
pub(crate) async fn end(
    cluster: &Cluster,
    caller: &Caller,
    id: AppSessionId,
) -> Result<(), Refusal> {
    let stamp = cluster.stamp(cluster.now());
    let user = caller.person(stamp.now)?.user.clone();
    cluster
        .store
        .write(move |tx| {
            // Whose session an id is, is nobody else's business.
            let session = tx.session(&id)?.filter(|session| session.user == user);
            let session = session
                .ok_or_else(|| Refusal::missing("the app session has ended or never was"))?;
            end_one(tx, &stamp, &session, End::Logout)
        })
        .await
}

/// Ends every session of a user.
pub(crate) fn end_all(
    tx: &mut Tx<'_>,
    stamp: &Stamp,
    user: &UserName,
    why: End,
) -> Result<(), Refusal> {
    for session in tx.sessions_of(user)? {
        end_one(tx, stamp, &session, why)?;
    }
    Ok(())
}

/// Ends one session.
pub(crate) fn end_one(
    tx: &mut Tx<'_>,
    stamp: &Stamp,
    session: &AppSession,
    why: End,
) -> Result<(), Refusal> {
    if !tx.drop_session(&session.id)? {
        return Ok(());
    }
    tx.record(&stamp.event(AppSessionEnd {
        user: session.user.to_string(),
        sid: session.id.to_string(),
        app_name: session.app.to_string(),
        aws_role_arn: session.aws_role.as_ref().map(ToString::to_string),
        reason: why.as_str().to_owned(),
    }))?;
    tx.gone(Key::AppSession(session.id.clone()));
    web_sessions::end_for(tx, stamp, &session.id)
}

/// Reads the key that a caller wants certified.
pub(crate) fn public_key(pem: &str) -> Result<PublicKey, Refusal> {
    PublicKey::from_pem(pem).map_err(|bad| Refusal::invalid(format!("public_key: {bad}")))
}

/// A certificate as it is handed out.
pub(crate) fn chain_of(certificate: &CertPem) -> String {
    certificate.as_str().to_owned()
}

/// The event of a certificate for a user.
pub(crate) fn certified(claims: &Claims) -> CertCreate {
    let route_to_app = claims.app.as_ref().map(|app| RouteToApp {
        name: app.name.to_string(),
        session_id: app.session.to_string(),
        public_addr: app.public_addr.clone(),
        cluster_name: claims.cluster.to_string(),
        aws_role_arn: app.aws_role.as_ref().map(ToString::to_string),
    });
    CertCreate {
        cert_type: "user".to_owned(),
        identity: CertIdentity {
            user: claims.user.to_string(),
            roles: claims.roles.iter().map(ToString::to_string).collect(),
            expires: rfc3339(claims.expires),
            teleport_cluster: claims.cluster.to_string(),
            aws_role_arns: claims.allowed_aws_roles.clone(),
            route_to_app,
        },
    }
}

/// Everything that opening a session writes.
struct Opening {
    session: AppSession,
    user: UserName,
    start: AppSessionStart,
    certified: CertCreate,
    shown: Option<Shown>,
    stamp: Stamp,
}

impl Opening {
    fn keep(self, tx: &mut Tx<'_>) -> Result<(), Refusal> {
        if tx.find::<User>(self.user.as_str())?.is_none() {
            return Err(Refusal::denied(format!("user {} does not exist any more", self.user)));
        }
        if tx.sessions_of(&self.user)?.len() >= MOST_SESSIONS {
            let many = format!("user {} has {MOST_SESSIONS} app sessions open", self.user);
            return Err(Refusal::too_many(many).hint("end some with tsh apps logout"));
        }
        if let Some(shown) = &self.shown {
            shown.spend_or_refuse(tx, &self.stamp)?;
        }
        tx.keep_session(&self.session)?;
        tx.record(&self.stamp.event(self.start))?;
        tx.record(&self.stamp.event(self.certified))?;
        tx.put(Item::AppSession(self.session));
        Ok(())
    }
}

/// The app as a living agent announces it.
async fn announced(cluster: &Cluster, request: &AppSessionRequest) -> Result<App, Refusal> {
    let (now, name) = (cluster.now(), request.app.clone());
    let servers = cluster.store.read(move |reader| reader.servers(now)).await?;
    let mut apps = servers.into_iter().flat_map(|server| server.apps);
    apps.find(|app| app.metadata.name == name).ok_or_else(|| no_such_app(request))
}

fn no_such_app(request: &AppSessionRequest) -> Refusal {
    Refusal::missing(format!("app \"{}\" is not found", request.app))
        .hint("`tsh apps ls` lists the apps that you may use and whose agents are online")
}

async fn permitted(
    cluster: &Cluster,
    caller: &Caller,
    (app, request, intent): (&App, &AppSessionRequest, Intent),
    stamp: &Stamp,
) -> Result<(Claims, AppSession), Refusal> {
    let now = stamp.now;
    let identity = caller.identity(now)?;
    let user = caller.person(now)?;
    let policy = cluster.policy_for(identity, now).await?;
    let asked = AppRequest { app, aws_role: None, intent, now };
    let permit =
        access::permit_app(identity, &asked, &policy).map_err(|d| unpermitted(&d, intent))?;
    let permit = if app.is_aws() {
        let role =
            access::resolve_aws_role(&user.allowed_aws_roles, app, request.aws_role.as_deref())
                .map_err(|choice| ambiguous(&choice))?;
        let asked = AppRequest { aws_role: Some(&role), ..asked };
        access::permit_app(identity, &asked, &policy).map_err(|d| unpermitted(&d, intent))?
    } else {
        permit
    };
    let login = AppLogin {
        user,
        permit: &permit,
        session: AppSessionId::from_bytes(random()?),
        public_addr: &app.public_addr(&cluster.proxy_host()),
        now,
    };
    access::app_claims(login).map_err(|error| Refusal::denied(error.to_string()))
}

/// A denial for want of a second factor says so to programs, unless one was shown already.
fn unpermitted(denial: &Denial, intent: Intent) -> Refusal {
    match denial.reason() {
        DenialReason::MfaRequired { .. } if intent != Intent::OpenWithMfa => {
            Refusal::needs_factor(denial.to_string())
                .hint("show a second factor for this session; tsh and the web pages ask for one")
        }
        _ => denied(denial),
    }
}

fn ambiguous(choice: &access::RoleChoice) -> Refusal {
    let roles: Vec<_> = choice.candidates().iter().map(ToString::to_string).collect();
    let refusal = Refusal::invalid(choice.to_string());
    if roles.is_empty() {
        return refusal.hint("no AWS role is available to you for this app; ask an administrator for a role whose aws_role_arns lists one");
    }
    refusal.hint(format!("available AWS roles: {}", roles.join(", ")))
}

fn started(session: &AppSession, app: &App, claims: &Claims, caller: &Caller) -> AppSessionStart {
    AppSessionStart {
        user: session.user.to_string(),
        sid: session.id.to_string(),
        app_name: session.app.to_string(),
        app_uri: app.uri(),
        app_public_addr: claims.app.as_ref().map(|app| app.public_addr.clone()).unwrap_or_default(),
        aws_role_arn: session.aws_role.as_ref().map(ToString::to_string),
        expires: rfc3339(session.expires),
        remote: Some(caller.remote()),
    }
}
