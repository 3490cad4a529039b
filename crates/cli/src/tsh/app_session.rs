//! App sessions on the user's side: opening one, keeping its files, finding the one that is meant.

use access::{App, AppName, Claims};
use api::profile::Rank;
use api::types::app_sessions::{AppSessionReply, AppSessionRequest};
use api::types::mfa::MfaProof;
use api::{ApiError, Client};
use pki::{CertPem, Credential};

use super::app_sessions;
use super::context::{Context, Login, profile_failure};
use super::factor::Asker;
use super::key_book::KeyBook;
use crate::failure::{Failure, OrFail as _};
use crate::moment;
use crate::output::Output;
use crate::table;

/// A saved app session: its certificate with the login's key, and what the certificate says.
#[derive(Debug, Clone)]
pub struct SavedSession {
    /// The app.
    pub app: AppName,
    /// Key and app certificate.
    pub credential: Credential,
    /// What the certificate says; `app` is there.
    pub claims: Claims,
}

impl SavedSession {
    /// The session's AWS role, if it is for AWS.
    #[must_use]
    pub fn aws_role(&self) -> Option<&aws::RoleArn> {
        self.claims.app.as_ref().and_then(|app| app.aws_role.as_ref())
    }
}

/// Opens an app session and saves its certificate, as the app's newest or beside it, without asking anybody.
///
/// # Errors
/// When the cluster refuses or the certificate cannot be saved.
pub async fn open(
    context: &Context,
    login: &Login,
    client: &Client,
    (app, aws_role, rank): (&AppName, Option<String>, Rank),
) -> Result<SavedSession, Failure> {
    let reply = request(login, client, (app, aws_role), None).await?;
    keep(context, login, (app, &reply), rank)
}

fn keep(
    context: &Context,
    login: &Login,
    (app, reply): (&AppName, &AppSessionReply),
    rank: Rank,
) -> Result<SavedSession, Failure> {
    app_sessions::keep(context, login, (app, &reply.certificate), rank)?;
    let role = reply.session.aws_role.as_ref();
    app_sessions::saved_for(context, login, (app, role))
        .ok_or_else(|| Failure::new("the cluster answered with a certificate for no app session"))
}

/// Opens an app session that is not saved: a running one of the same app goes on. The user is asked for a second
/// factor where the session needs one.
///
/// # Errors
/// When the cluster refuses.
pub async fn open_unsaved(
    asker: Asker<'_>,
    wanted: (&AppName, Option<String>),
    output: &mut Output,
) -> Result<SavedSession, Failure> {
    let (app, login) = (wanted.0, asker.login);
    let reply = request_with_factor(asker, wanted, output).await?;
    let unusable = "the cluster answered with a certificate that cannot be used";
    let cert = CertPem::parse(&reply.certificate).or_fail(unusable)?;
    let credential = Credential::new(cert, login.credential.key().clone()).or_fail(unusable)?;
    let claims = pki::unverified_claims(credential.cert()).or_fail(unusable)?;
    Ok(SavedSession { app: app.clone(), credential, claims })
}

async fn request(
    login: &Login,
    client: &Client,
    (app, aws_role): (&AppName, Option<String>),
    proof: Option<MfaProof>,
) -> Result<AppSessionReply, ApiError> {
    let public_key = login.credential.key().public_pem();
    let request = AppSessionRequest { app: app.clone(), aws_role, public_key, proof };
    client.open_app_session(&request).await
}

/// Asks once more with a second factor, where the session needs one.
async fn request_with_factor(
    asker: Asker<'_>,
    (app, aws_role): (&AppName, Option<String>),
    output: &mut Output,
) -> Result<AppSessionReply, Failure> {
    let why = format!("MFA is required to access Application \"{app}\"");
    let open =
        async |proof| request(asker.login, asker.client, (app, aws_role.clone()), proof).await;
    asker.with_factor(&why, output, open).await
}

/// Where a browser finds a web app: its host, and the proxy's port.
#[must_use]
pub fn web_address(login: &Login, public_addr: &str) -> String {
    match login.profile.web_proxy_addr.rsplit_once(':') {
        Some((_, port)) if port != "443" && !public_addr.contains(':') => {
            format!("https://{public_addr}:{port}")
        }
        _ => format!("https://{public_addr}"),
    }
}

/// The newest saved session of an app, whether it still lasts or not.
///
/// # Errors
/// When its files are damaged.
pub fn saved(
    context: &Context,
    login: &Login,
    app: &AppName,
) -> Result<Option<SavedSession>, Failure> {
    let path = context.home.app_files(&login.profile, app).certificate;
    if !path.exists() {
        return Ok(None);
    }
    app_sessions::read(context, login, app, &path)
}

/// The session of each app that is meant when no role is named: the newest, or another that still lasts.
///
/// # Errors
/// When the folder cannot be read.
pub fn live(context: &Context, login: &Login) -> Result<Vec<SavedSession>, Failure> {
    let now = (context.now)();
    let mut meant: Vec<SavedSession> = Vec::new();
    for session in app_sessions::all_live(context, login)? {
        if meant.last().is_some_and(|last| last.app == session.app) {
            continue;
        }
        let newest = saved(context, login, &session.app).ok().flatten();
        let newest = newest.filter(|newest| newest.claims.expires > now);
        meant.push(newest.unwrap_or(session));
    }
    Ok(meant)
}

/// Ends an app's sessions at the cluster (best effort) and removes its files.
///
/// # Errors
/// When the files cannot be removed.
pub async fn end(
    context: &Context,
    login: &Login,
    client: &Client,
    app: &AppName,
) -> Result<(), Failure> {
    for session in app_sessions::of_app(context, login, app) {
        app_sessions::tell_ended(client, &session).await;
    }
    KeyBook::of(context, login).forget(app, None)?;
    context.home.remove_app(&login.profile, app).map_err(profile_failure)
}

/// The apps that the user may see, sorted by name, each once.
///
/// # Errors
/// When the cluster cannot be asked.
pub async fn visible_apps(client: &Client) -> Result<Vec<App>, Failure> {
    let mut apps = client.apps().await?;
    apps.sort_by(|a, b| a.name().cmp(b.name()));
    apps.dedup_by(|a, b| a.name() == b.name());
    Ok(apps)
}

/// The app of a name.
///
/// # Errors
/// When the user sees no such app.
pub async fn find_app(client: &Client, name: &str) -> Result<App, Failure> {
    let apps = visible_apps(client).await?;
    apps.into_iter().find(|app| *app.name() == *name).ok_or_else(|| {
        Failure::new(format!("app \"{name}\" not found, use `tsh apps ls` to see registered apps"))
    })
}

/// Whether a new app session is talked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Talk {
    /// Say how to use it.
    Usual,
    /// Say nothing.
    Quiet,
}

/// Settles the AWS role (printing the table of roles when that is not possible) and opens the session.
///
/// # Errors
/// When no single role is meant or the cluster refuses.
pub async fn log_in(
    context: &Context,
    login: &Login,
    (app, asked, rank): (&App, Option<&str>, Rank),
    output: &mut Output,
) -> Result<SavedSession, Failure> {
    let client = context.client(login)?;
    let role = if app.is_aws() { Some(choose_role(login, app, asked, output)?) } else { None };
    if role.is_none() && asked.is_some() {
        return Err(Failure::new(format!(
            "--aws-role is for AWS apps; \"{}\" is not one",
            app.name()
        )));
    }
    let asker = Asker { context, login, client: &client };
    let reply = Box::pin(request_with_factor(asker, (app.name(), role), output)).await?;
    keep(context, login, (app.name(), &reply), rank)
}

/// The AWS role that is meant. Prints the table of roles where that is not settled.
///
/// # Errors
/// When no single role is meant.
pub fn choose_role(
    login: &Login,
    app: &App,
    asked: Option<&str>,
    output: &mut Output,
) -> Result<String, Failure> {
    let allowed = &login.claims.allowed_aws_roles;
    match access::resolve_aws_role(allowed, app, asked) {
        Ok(role) => Ok(role.to_string()),
        Err(choice) => {
            output.text(role_table(choice.candidates()))?;
            for finding in access::malformed_aws_roles(allowed) {
                output.warn(finding.message);
            }
            Err(Failure::new(choice.to_string()))
        }
    }
}

/// `Available AWS roles:` with names and ARNs.
#[must_use]
pub fn role_table(roles: &[aws::RoleArn]) -> String {
    let rows: Vec<Vec<String>> =
        roles.iter().map(|role| vec![role.name().to_owned(), role.to_string()]).collect();
    format!("Available AWS roles:\n{}\n", table::table(&["Role Name", "Role ARN"], &rows))
}

/// When a session ends, in words.
#[must_use]
pub fn ends_at(session: &SavedSession) -> String {
    moment::local(session.claims.expires)
}
