//! Tokens that tell an app who its user is: for a live session of an app that the asking agent serves.

use std::collections::BTreeMap;
use std::time::Duration;

use access::{App, AppSession, AppSessionId, HostClaims, User};
use api::types::app_tokens::{AppToken, JwkSet};
use api::types::secret::SecretText;
use serde::Serialize;
use uuid::Uuid;

use crate::cluster::Cluster;
use crate::events::{end_of, timestamp};
use crate::refusal::Refusal;
use crate::store::Reader;

/// Longest life of a token. Roles and traits in it are as of its making, so it is short.
const LIFE: Duration = Duration::from_secs(15 * 60);
/// Clocks of apps may be behind ours.
const SKEW: i64 = 10;

/// What a token says.
#[derive(Debug, Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    username: &'a str,
    aud: [&'a str; 1],
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traits: Option<&'a BTreeMap<String, Vec<String>>>,
}

/// Which of a user's facts an app is told: `rewrite.jwt_claims`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    roles: Tell,
    traits: Tell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tell {
    Yes,
    No,
}

impl Told {
    /// An unknown word tells nothing.
    fn of(app: &App) -> Self {
        let word = app.spec.rewrite.as_ref().and_then(|rewrite| rewrite.jwt_claims.as_deref());
        let (roles, traits) = match word {
            None | Some("" | "roles-and-traits") => (Tell::Yes, Tell::Yes),
            Some("roles") => (Tell::Yes, Tell::No),
            Some("traits") => (Tell::No, Tell::Yes),
            Some(_) => (Tell::No, Tell::No),
        };
        Self { roles, traits }
    }
}

/// Makes a token for a session.
pub(crate) async fn make(
    cluster: &Cluster,
    agent: &HostClaims,
    id: AppSessionId,
) -> Result<AppToken, Refusal> {
    let (now, host) = (cluster.now(), agent.host_id.clone());
    let asked = move |reader: &Reader<'_>| {
        let dead = || Refusal::missing("the app session has ended or never was");
        let session = reader.session(&id)?.filter(|session| now < session.expires);
        let session = session.ok_or_else(dead)?;
        let apps = reader.server(&host, now)?.map(|server| server.apps).unwrap_or_default();
        let app = apps.into_iter().find(|app| app.metadata.name == session.app);
        let user = reader.find::<User>(session.user.as_str())?.ok_or_else(dead)?;
        Ok((session, app, user))
    };
    let (session, app, user) = cluster.store.read(asked).await?;
    let app = app.ok_or_else(|| {
        let other = format!("host {} does not serve the app of this session", agent.host_id);
        Refusal::denied(other)
    })?;
    if app.is_aws() {
        return Err(Refusal::invalid("AWS takes no token of this cluster"));
    }
    signed(cluster, &session, &app, &user).await
}

async fn signed(
    cluster: &Cluster,
    session: &AppSession,
    app: &App,
    user: &User,
) -> Result<AppToken, Refusal> {
    let now = cluster.now();
    let expires = end_of(now, LIFE).unwrap_or(now).min(session.expires);
    let (told, uri) = (Told::of(app), app.uri());
    let roles = || user.spec.roles.iter().map(access::RoleName::as_str).collect();
    let issued = timestamp(now).as_second();
    let claims = Claims {
        iss: cluster.name().as_str(),
        sub: session.user.as_str(),
        username: session.user.as_str(),
        aud: [&uri],
        iat: issued,
        nbf: issued.saturating_sub(SKEW),
        exp: timestamp(expires).as_second(),
        jti: Uuid::new_v4().to_string(),
        roles: (told.roles == Tell::Yes).then(roles),
        traits: (told.traits == Tell::Yes).then_some(&user.spec.traits),
    };
    let token = cluster.signing().await?.sign(&claims)?;
    Ok(AppToken { token: SecretText::new(token), expires: timestamp(expires) })
}

/// The public keys.
pub(crate) async fn keys(cluster: &Cluster) -> Result<JwkSet, Refusal> {
    Ok(cluster.signing().await?.keys().clone())
}
