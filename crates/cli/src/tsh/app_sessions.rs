//! Several app sessions at once: one for each app and AWS role, each with a certificate of its own.

use std::path::{Path, PathBuf};

use access::AppName;
use api::Client;
use api::files;
use api::profile::Rank;
use aws::RoleArn;
use aws_lc_rs::digest;

use super::app_session::SavedSession;
use super::context::{Context, Login, profile_failure};
use super::key_book::KeyBook;
use crate::failure::{Failure, OrFail as _};

/// Reads the session that a certificate file is for; `None` when it is for no app.
///
/// # Errors
/// When the file is damaged.
pub fn read(
    context: &Context,
    login: &Login,
    app: &AppName,
    path: &Path,
) -> Result<Option<SavedSession>, Failure> {
    let credential = context.home.credential_with(&login.profile, path).map_err(profile_failure)?;
    let claims = pki::unverified_claims(credential.cert())
        .or_fail(format!("{} cannot be read", path.display()))
        .map_err(|failure| failure.with_hint(format!("run `tsh apps login {app}`")))?;
    let is_app = claims.app.is_some();
    Ok(is_app.then(|| SavedSession { app: app.clone(), credential, claims }))
}

/// Every saved session that still lasts, by app and role.
///
/// # Errors
/// When the folder cannot be read.
pub fn all_live(context: &Context, login: &Login) -> Result<Vec<SavedSession>, Failure> {
    let now = (context.now)();
    let mut live = all(context, login)?;
    live.retain(|session| session.claims.expires > now);
    Ok(live)
}

/// Every saved session, whether it still lasts or not, by app and role, each once.
fn all(context: &Context, login: &Login) -> Result<Vec<SavedSession>, Failure> {
    let mut found = Vec::new();
    for app in context.home.apps(&login.profile).map_err(profile_failure)? {
        found.extend(of_app(context, login, &app));
    }
    Ok(found)
}

/// The saved sessions of an app, by role, each once.
#[must_use]
pub fn of_app(context: &Context, login: &Login, app: &AppName) -> Vec<SavedSession> {
    let paths = context.home.certificates(&login.profile, app);
    // A damaged certificate is no session; `tsh apps login` replaces it.
    let sessions = paths.iter().filter_map(|path| read(context, login, app, path).ok().flatten());
    let mut sessions: Vec<SavedSession> = sessions.collect();
    let order = |session: &SavedSession| {
        (session.aws_role().cloned(), std::cmp::Reverse(session.claims.expires))
    };
    sessions.sort_by_key(order);
    sessions.dedup_by(|a, b| a.aws_role() == b.aws_role());
    sessions
}

/// The saved session of an app for one role, whether it still lasts or not.
#[must_use]
pub fn saved_for(
    context: &Context,
    login: &Login,
    (app, role): (&AppName, Option<&RoleArn>),
) -> Option<SavedSession> {
    of_app(context, login, app).into_iter().find(|session| session.aws_role() == role)
}

/// Where the certificate of a session is: the app's usual place for its newest.
#[must_use]
pub fn certificate(context: &Context, login: &Login, session: &SavedSession) -> PathBuf {
    let home = &context.home;
    let newest = super::app_session::saved(context, login, &session.app).ok().flatten();
    match session.aws_role() {
        Some(role) if newest.is_none_or(|newest| newest.aws_role() != Some(role)) => {
            home.role_certificate(&login.profile, &session.app, &slot(role))
        }
        _ => home.app_files(&login.profile, &session.app).certificate,
    }
}

/// Saves the certificate of a session.
///
/// # Errors
/// When it cannot be read or written.
pub fn keep(
    context: &Context,
    login: &Login,
    (app, certificate): (&AppName, &str),
    rank: Rank,
) -> Result<(), Failure> {
    let cert = pki::CertPem::parse(certificate)
        .or_fail("the cluster answered with a certificate that cannot be read")?;
    let claims = pki::unverified_claims(&cert)
        .or_fail("the cluster answered with a certificate that cannot be read")?;
    let role = claims.app.and_then(|app| app.aws_role);
    let newest = super::app_session::saved(context, login, app).ok().flatten();
    let rank = match newest {
        // A renewal of the newest stays the newest.
        Some(newest) if newest.aws_role() != role.as_ref() => rank,
        _ => Rank::Newest,
    };
    let slot = role.as_ref().map(slot);
    context
        .home
        .save_session(&login.profile, (app, slot.as_deref()), certificate, rank)
        .map_err(profile_failure)
}

/// Ends one session of an app at the cluster (best effort) and removes its files. Another session of the app
/// takes its place where it was the newest.
///
/// # Errors
/// When the files cannot be removed.
pub async fn end_one(
    context: &Context,
    login: &Login,
    client: &Client,
    session: &SavedSession,
) -> Result<(), Failure> {
    let home = &context.home;
    tell_ended(client, session).await;
    let Some(role) = session.aws_role() else {
        return super::app_session::end(context, login, client, &session.app).await;
    };
    files::remove(&home.role_certificate(&login.profile, &session.app, &slot(role)))?;
    let newest = home.app_files(&login.profile, &session.app).certificate;
    let is_newest = read(context, login, &session.app, &newest)
        .is_ok_and(|newest| newest.is_some_and(|newest| newest.aws_role() == Some(role)));
    if is_newest {
        files::remove(&newest)?;
    }
    KeyBook::of(context, login).forget(&session.app, Some(role))?;
    match of_app(context, login, &session.app).pop() {
        Some(other) if is_newest => {
            let text = other.credential.cert().as_str().to_owned();
            home.save_app(&login.profile, &session.app, &text).map_err(profile_failure)
        }
        Some(_) => Ok(()),
        None => home.remove_app(&login.profile, &session.app).map_err(profile_failure),
    }
}

/// Tells the cluster that a session has ended.
pub async fn tell_ended(client: &Client, session: &SavedSession) {
    if let Some(claims) = &session.claims.app {
        // Best effort: a cluster that cannot be told lets the session expire.
        let _ = client.end_app_session(&claims.session).await;
    }
}

/// A role's place among an app's sessions: its account and name, for people, and what tells it from every other.
#[must_use]
pub fn slot(role: &RoleArn) -> String {
    let digest = digest::digest(&digest::SHA256, role.as_str().as_bytes());
    let short = hex::encode(digest.as_ref().get(..6).unwrap_or_default());
    format!("{}-{}-{short}", role.account(), role.name())
}
